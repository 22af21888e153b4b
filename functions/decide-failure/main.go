// Command decide-failure is the task that decides what is done about a failure.
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
	lambda.Start(wire.DecideFailure(p))
}
