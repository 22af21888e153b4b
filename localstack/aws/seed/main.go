// Command seed stores the development data, with its documented credentials, in
// the table of a deployment on an emulator:
//
//	TABLE_NAME=... AWS_ENDPOINT_URL=http://127.0.0.1:4566 seed
//
// It does not do so in AWS, where everybody on the net would know a key.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"bldst/localstack"
	"bldst/shared/config"
	"bldst/shared/id"
	"bldst/shared/store"
	"bldst/shared/table/dynamo"
)

func main() {
	c := config.Load(config.TableName, config.Region)
	if err := seed(context.Background(), c); err != nil {
		fmt.Fprintln(os.Stderr, "seed:", err)
		os.Exit(1)
	}
}

func seed(ctx context.Context, c *config.Config) error {
	if c.Endpoint("dynamodb") == "" {
		return errors.New("AWS_ENDPOINT_URL is not set: the development data is for emulators; bldst bootstrap makes a key for a stage in AWS")
	}
	t := dynamo.Open(dynamo.Access(c.AWS("dynamodb")), c.Table)
	return localstack.Seed(ctx, &store.Store{Table: t, Now: time.Now, NewID: id.New})
}
