// Command notify tells the subscribers of a project what has become of its builds.
package main

import (
	"bldst/shared/awslite"
	"bldst/shared/config"
	"bldst/shared/table/dynamo"
	"bldst/shared/wire"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	c := config.Load(config.TableName, config.Region)
	p := wire.On(c, dynamo.Open(dynamo.Access(c.AWS("dynamodb")), c.Table))
	lambda.Start(wire.Notify(p, awslite.SNS{Access: awslite.Access(c.AWS("sns"))}))
}
