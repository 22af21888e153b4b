// Command files moves the files of artifacts into the bucket and out of it.
package main

import (
	"bldst/shared/bucket"
	"bldst/shared/config"
	"bldst/shared/gateway"
	"bldst/shared/table/dynamo"
	"bldst/shared/wire"
)

func main() {
	c := config.Load(config.TableName, config.Region, config.JWTKeys, config.Bucket)
	p := wire.On(c, dynamo.Open(dynamo.Access(c.AWS("dynamodb")), c.Table))
	p.Bucket = bucket.Open(bucket.Access(c.AWS("s3")), c.Bucket)
	gateway.Start(wire.Files(p))
}
