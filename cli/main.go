// Command bldst is the command line of the build state API.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

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
		Browse:  browse,

		Bootstrap: bootstrap,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}

// local runs the whole system on this machine until ctx ends.
func local(ctx context.Context, o cmd.LocalOptions) error {
	return localstack.Run(ctx, localstack.RunOptions{Port: o.Port, Data: o.Data, Hosts: o.Hosts, Quiet: o.Quiet, Env: os.LookupEnv, Stdout: os.Stdout, Stderr: os.Stderr})
}

// bootstrap stores what every stage begins with, and makes the first key of a
// deployed one.
func bootstrap(ctx context.Context, o cmd.BootstrapOptions) (string, error) {
	a, err := access(ctx)
	if err != nil {
		return "", err
	}
	t := dynamo.Open(a, o.Table)
	s := &store.Store{Table: t, Now: time.Now, NewID: id.New}
	if err := s.SeedReference(ctx, false); err != nil {
		return "", err
	}
	return s.CreateAdminKey(ctx, o.Username)
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

// browse opens a page in the browser, with what the system has for it.
func browse(address string) error {
	open := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if open == nil {
		open = []string{"xdg-open"}
	}
	return exec.Command(open[0], append(open[1:], address)...).Start()
}
