// Command metrics serves the numbers of resumes and storage.
package main

import (
	"bldst/shared/config"
	"bldst/shared/gateway"
	"bldst/shared/table/dynamo"
	"bldst/shared/wire"
)

func main() {
	c := config.Load(config.TableName, config.Region, config.JWTKeys)
	gateway.Start(wire.Metrics(wire.On(c, dynamo.Open(dynamo.Access(c.AWS("dynamodb")), c.Table))))
}
