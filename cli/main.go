// Command bldst is the command line of the build state API.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"bldst/cli/cmd"
	"bldst/cli/settings"
	"bldst/cli/streams"
	"bldst/localstack"
	"bldst/shared/config"
	"bldst/shared/id"
	"bldst/shared/store"
	"bldst/shared/table/dynamo"
)

// version is the version of the product; releases set it with -ldflags.
var version = "0.0.5"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := cmd.Run(ctx, &cmd.Factory{
		Streams: streams.System(),
		Env:     os.LookupEnv,
		Home:    os.UserHomeDir,
		Keyring: settings.SystemKeyring(),
		Version: version,
		Local:   local,

		Bootstrap: bootstrap,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}

// local runs the whole system on this machine until ctx ends.
func local(ctx context.Context, o cmd.LocalOptions) error {
	return localstack.Run(ctx, localstack.RunOptions{Port: o.Port, Data: o.Data, Env: os.LookupEnv, Stdout: os.Stdout, Stderr: os.Stderr})
}

// bootstrap stores what every stage begins with, and makes the first key of a
// deployed one.
func bootstrap(ctx context.Context, o cmd.BootstrapOptions) (string, error) {
	c, err := config.Read(os.LookupEnv)
	if err != nil {
		return "", err
	}
	if c.AccessKey == "" || c.Region == "" {
		return "", errors.New(`no credentials or no region of AWS: eval "$(aws configure export-credentials --format env)" and export AWS_REGION=us-east-1`)
	}
	t := dynamo.Open(dynamo.Access(c.AWS("dynamodb")), o.Table)
	s := &store.Store{Table: t, Now: time.Now, NewID: id.New}
	if err := s.SeedReference(ctx, false); err != nil {
		return "", err
	}
	return s.CreateAdminKey(ctx, o.Username)
}
