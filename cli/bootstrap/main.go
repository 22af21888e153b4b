// Command bldst-bootstrap makes the first administrator's key of a deployed stage
// and prints it. 'bldst bootstrap' runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"bldst/shared/config"
	"bldst/shared/id"
	"bldst/shared/store"
	"bldst/shared/table/dynamo"
)

func main() {
	table := flag.String("table", "", "`name` of the stage's table")
	username := flag.String("username", "admin", "`name` of the administrator")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	key, err := bootstrap(ctx, *table, *username)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	fmt.Println(key)
}

// bootstrap stores what every stage begins with, and makes the first key of a
// deployed one.
func bootstrap(ctx context.Context, table, username string) (string, error) {
	a, err := access(ctx)
	if err != nil {
		return "", err
	}
	t := dynamo.Open(a, table)
	s := &store.Store{Table: t, Now: time.Now, NewID: id.New}
	if err := s.SeedReference(ctx, false); err != nil {
		return "", err
	}
	return s.CreateAdminKey(ctx, username)
}

// access returns the access to DynamoDB of who calls, as the tools of AWS find
// it: environment, profile, single sign-on.
func access(ctx context.Context) (dynamo.Access, error) {
	env, err := config.Read(os.LookupEnv)
	if err != nil {
		return dynamo.Access{}, err
	}
	c, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return dynamo.Access{}, fmt.Errorf("the settings of AWS cannot be read: %w", err)
	}
	if c.Region == "" {
		return dynamo.Access{}, errors.New("no region is set: export AWS_REGION=us-east-1, or aws configure")
	}
	keys, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		return dynamo.Access{}, errors.New("no credentials for AWS: aws configure, or aws sso login, or export AWS_PROFILE=NAME")
	}
	return dynamo.Access{Region: c.Region, Endpoint: env.Endpoint("dynamodb"), KeyID: keys.AccessKeyID, Secret: keys.SecretAccessKey, SessionToken: keys.SessionToken}, nil
}
