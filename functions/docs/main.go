// Command docs serves /docs, /redoc and /openapi.json.
package main

import (
	"bldst/shared/config"
	"bldst/shared/gateway"
	"bldst/shared/openapi"
	"bldst/shared/wire"
)

func main() {
	gateway.Start(wire.Public(wire.On(config.Load(), nil), openapi.Docs))
}
