// Command bldst is the command line of the build state API.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"bldst/cli/cmd"
	"bldst/cli/settings"
	"bldst/cli/streams"
	"bldst/localstack"
)

// version is the version of the product; releases set it with -ldflags.
var version = "0.0.5"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cmd.Run(ctx, &cmd.Factory{
		Streams: streams.System(),
		Env:     os.LookupEnv,
		Home:    os.UserHomeDir,
		Keyring: settings.SystemKeyring(),
		Version: version,
		Local:   local,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}

// local runs the whole system on this machine until ctx ends.
func local(ctx context.Context, o cmd.LocalOptions) error {
	return localstack.Run(ctx, localstack.RunOptions{Port: o.Port, Data: o.Data, Env: os.LookupEnv, Stdout: os.Stdout, Stderr: os.Stderr})
}
