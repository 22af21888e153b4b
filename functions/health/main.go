// Command health serves /, /health, /ready, /status, and every path nobody else serves.
package main

import (
	"bldst/shared/config"
	"bldst/shared/gateway"
	"bldst/shared/table/dynamo"
	"bldst/shared/wire"
)

func main() {
	c := config.Load(config.TableName, config.Region)
	gateway.Start(wire.Health(wire.On(c, dynamo.Open(dynamo.Access(c.AWS("dynamodb")), c.Table))))
}
