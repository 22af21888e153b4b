// Command open-build is the task that finds or makes the build an execution is to drive.
package main

import (
	"bldst/shared/config"
	"bldst/shared/table/dynamo"
	"bldst/shared/wire"
	"bldst/shared/workflow"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	c := config.Load(config.TableName, config.Region, config.Machine)
	p := wire.On(c, dynamo.Open(dynamo.Access(c.AWS("dynamodb")), c.Table))
	machine := workflow.Open(workflow.Access(c.AWS("sfn")), c.Machine)
	lambda.Start(wire.OpenBuild(p, machine))
}
