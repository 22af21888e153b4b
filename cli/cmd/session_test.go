package cmd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"bldst/cli/streams"
	"bldst/localstack"

	"github.com/rogpeppe/go-internal/testscript"
)

// deployed is the variable with the URL of a deployment that the sessions are
// to be held with, in place of a system of their own each. In the development
// stage they sign in as its data says; in any other with what adminKey, the key
// of an administrator, makes for them and removes afterwards.
const deployed, adminKey = "BLDST_URL", "BLDST_API_KEY"

// development is what the sessions sign in with where the development data is.
var development = map[string]string{
	"ADMIN_KEY": "admin-key-99999", "WRITE_KEY": "dev-key-12345", "READ_KEY": "readonly-key-888", "USERNAME": "user", "PASSWORD": "user123",
}

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

// credentials returns what the scripts sign in with, by the names of their
// variables.
func credentials(t *testing.T) map[string]string {
	t.Helper()
	url, admin := os.Getenv(deployed), os.Getenv(adminKey)
	if url == "" || admin == "" {
		return development
	}
	const write, read = `["read","write"]`, `["read"]`
	out := map[string]string{"ADMIN_KEY": admin, "USERNAME": "session-" + run36(), "PASSWORD": rand.Text()}
	user := call(t, admin, http.MethodPost, url+"/users", fmt.Sprintf(`{"username":%q,"email":"session@invalid.example","password":%q,"scopes":%s}`, out["USERNAME"], out["PASSWORD"], write))
	user["at"] = url + "/users/" + fmt.Sprint(user["id"])
	t.Cleanup(func() { call(t, admin, http.MethodDelete, fmt.Sprint(user["at"]), "") })
	for name, scopes := range map[string]string{"WRITE_KEY": write, "READ_KEY": read} {
		out[name] = fmt.Sprint(call(t, admin, http.MethodPost, fmt.Sprint(user["at"], "/tokens"), fmt.Sprintf(`{"name":%q,"scopes":%s}`, name, scopes))["token"])
	}
	return out
}

// call makes a request and returns the object it is answered with.
func call(t *testing.T, key, method, url, body string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	out := map[string]any{}
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil || res.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s %s (%v)", method, url, res.Status, raw, err)
	}
	return out
}

// run36 names what a run of the scripts makes: a deployment keeps what earlier
// runs have made.
func run36() string { return strconv.FormatInt(time.Now().UnixMilli(), 36) }

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
	who := credentials(t)
	testscript.Run(t, scripts("../testdata", func(env *testscript.Env) error {
		url, stop, err := startStack(filepath.Join(env.WorkDir, "stack"))
		if err != nil {
			return err
		}
		env.Defer(stop)
		env.Setenv("BLDST_API_URL", url)
		env.Setenv("RUN", run36())
		for name, value := range who {
			env.Setenv(name, value)
		}
		return os.WriteFile(filepath.Join(env.WorkDir, "password.txt"), []byte(who["PASSWORD"]+"\n"), 0o600)
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

// capture is "capture NAME [KEY]": the last output, which must be one line, or
// what its object has under the key, becomes a variable.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: capture NAME [KEY]")
	}
	out := strings.TrimSpace(ts.ReadFile("stdout"))
	if len(args) == 2 {
		object := map[string]any{}
		ts.Check(json.Unmarshal([]byte(out), &object))
		out = fmt.Sprint(object[args[1]])
	}
	if out == "" || strings.Contains(out, "\n") {
		ts.Check(fmt.Errorf("the output is not one line: %q", out))
	}
	ts.Setenv(args[0], out)
}
