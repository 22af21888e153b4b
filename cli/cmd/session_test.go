package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"bldst/cli/streams"
	"bldst/localstack"

	"github.com/rogpeppe/go-internal/testscript"
)

// deployed is the variable with the URL of a deployment that the sessions are
// to be held with, in place of a system of their own each. It is in the
// development stage and new: what the scripts make, they make once.
const deployed = "BLDST_URL"

// startStack starts a new system in the development stage on a free port and
// returns its URL and how to end it.
func startStack(dir string) (url string, stop func(), err error) {
	if url := os.Getenv(deployed); url != "" {
		return url, func() {}, nil
	}
	s, err := localstack.Start(context.Background(), localstack.Options{Data: dir})
	if err != nil {
		return "", nil, err
	}
	return s.URL, func() { _ = s.Stop(context.Background()) }, nil
}

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bldst": func() {
		os.Exit(Run(context.Background(), &Factory{
			Streams: streams.System(), Env: os.LookupEnv, Home: os.UserHomeDir, Version: "test",
		}, os.Args[1:])) // no keyring: credentials go to the script's home
	}})
}

// TestSessions runs the scripts in ../testdata, each against a system of its
// own that holds the development data.
func TestSessions(t *testing.T) {
	t.Parallel()
	testscript.Run(t, scripts("../testdata", func(env *testscript.Env) error {
		url, stop, err := startStack(filepath.Join(env.WorkDir, "stack"))
		if err != nil {
			return err
		}
		env.Defer(stop)
		env.Setenv("BLDST_API_URL", url)
		return nil
	}))
}

// TestOfflineSessions runs the scripts that need no API.
func TestOfflineSessions(t *testing.T) {
	t.Parallel()
	testscript.Run(t, scripts("../testdata/offline", func(*testscript.Env) error { return nil }))
}

func scripts(dir string, setup func(*testscript.Env) error) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("USERPROFILE", home)
			if err := os.Mkdir(home, 0o700); err != nil {
				return err
			}
			return setup(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "capture": capture},
	}
}

// exits is "exits CODE PROGRAM ARGS...": the program ends with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGS...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d; stderr:\n%s", got, want, ts.ReadFile("stderr"))
	}
}

// capture is "capture NAME": the last output, which must be one line, becomes
// a variable.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture NAME")
	}
	out := strings.TrimSpace(ts.ReadFile("stdout"))
	if out == "" || strings.Contains(out, "\n") {
		ts.Check(fmt.Errorf("the output is not one line: %q", out))
	}
	ts.Setenv(args[0], out)
}
