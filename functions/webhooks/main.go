// Command webhooks serves what CI systems send without an API key.
package main

import (
	"bldst/shared/awslite"
	"bldst/shared/config"
	"bldst/shared/gateway"
	"bldst/shared/table/dynamo"
	"bldst/shared/wire"
)

func main() {
	c := config.Load(config.TableName, config.Region)
	p := wire.On(c, dynamo.Open(dynamo.Access(c.AWS("dynamodb")), c.Table))
	gateway.Start(wire.Webhooks(p, awslite.SSM{Access: awslite.Access(c.AWS("ssm"))}))
}
