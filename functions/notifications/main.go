// Command notifications serves subscriptions and what was delivered to them.
package main

import (
	"bldst/shared/awslite"
	"bldst/shared/config"
	"bldst/shared/gateway"
	"bldst/shared/table/dynamo"
	"bldst/shared/wire"
)

func main() {
	c := config.Load(config.TableName, config.Region, config.JWTKeys)
	p := wire.On(c, dynamo.Open(dynamo.Access(c.AWS("dynamodb")), c.Table))
	gateway.Start(wire.Notifications(p, awslite.SNS{Access: awslite.Access(c.AWS("sns"))}))
}
