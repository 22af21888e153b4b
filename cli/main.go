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
	}, os.Args[1:])
	stop()
	os.Exit(code)
}
