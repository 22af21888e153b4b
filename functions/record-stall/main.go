// Command record-stall is the task that asks the table what a wait without an answer means.
package main

import (
	"bldst/shared/config"
	"bldst/shared/table/dynamo"
	"bldst/shared/wire"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	c := config.Load(config.TableName, config.Region)
	p := wire.On(c, dynamo.Open(dynamo.Access(c.AWS("dynamodb")), c.Table))
	lambda.Start(wire.RecordStall(p))
}
