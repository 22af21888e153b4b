// Command relay deals with the changes of the table: it moves executions on and publishes events.
package main

import (
	"bldst/shared/bus"
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
	events := bus.Open(bus.Access(c.AWS("eventbridge")), c.Bus)
	lambda.Start(wire.Relay(p, machine, events))
}
