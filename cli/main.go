// Command bldst is the command line of the build state API.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"bldst/cli/cmd"
	"bldst/cli/settings"
	"bldst/cli/streams"
	"bldst/localstack"
	"bldst/shared/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := cmd.Run(ctx, &cmd.Factory{
		Streams: streams.System(),
		Env:     os.LookupEnv,
		Home:    os.UserHomeDir,
		Keyring: settings.SystemKeyring(),
		Version: version.Number,
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

// companion is the program that makes the first key of a stage. It is one of
// its own since it holds clients of AWS, which would make every start of bldst a
// third slower.
const companion = "bldst-bootstrap"

// bootstrap runs the companion beside this program and returns the key.
func bootstrap(ctx context.Context, o cmd.BootstrapOptions) (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = exec.LookPath(filepath.Join(filepath.Dir(path), companion))
	}
	if err != nil {
		if path, err = exec.LookPath(companion); err != nil {
			return "", fmt.Errorf("%s is neither beside bldst nor in PATH; build it with: make bin/%s", companion, companion)
		}
	}
	run := exec.CommandContext(ctx, path, "-table", o.Table, "-username", o.Username)
	run.Stderr = os.Stderr
	key, err := run.Output()
	if err != nil {
		return "", fmt.Errorf("%s could not make the key: %w", companion, err)
	}
	return strings.TrimSpace(string(key)), nil
}

// browse opens a page in the browser, with what the system has for it.
func browse(address string) error {
	open := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if open == nil {
		open = []string{"xdg-open"}
	}
	return exec.Command(open[0], append(open[1:], address)...).Start()
}
