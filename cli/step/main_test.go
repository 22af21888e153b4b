package step_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bldst/cli/cmd"
	"bldst/cli/streams"
	"bldst/localstack"
)

// asBldst makes the test's program the command line.
const asBldst = "BLDST_TEST_AS_BLDST"

func TestMain(m *testing.M) {
	if os.Getenv(asBldst) != "" {
		os.Exit(cmd.Run(context.Background(), &cmd.Factory{Streams: streams.System(), Env: os.LookupEnv, Home: os.UserHomeDir, Version: "test", Local: local}, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// A bench is a system, a folder to work in, and the environment of a user.
type bench struct {
	t       testing.TB
	dir     string
	url     string
	stack   *localstack.Stack
	build   string
	environ []string
}

var builds atomic.Int64

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), build: fmt.Sprintf("b-%d", builds.Add(1))}
	b.start(0)
	t.Cleanup(func() { b.stop() })
	b.environ = append(os.Environ(), asBldst+"=1", "HOME="+b.dir, "BLDST_API_URL="+b.url, "BLDST_API_KEY=dev-key-12345", "BLDST_SPOOL="+filepath.Join(b.dir, "spool"),
		"BLDST_PLATFORM=aws-commercial", "BLDST_OS_VERSION=rhel-9.3", "BLDST_IMAGE_TYPE=base", "BLDST_BUILD_NUMBER="+b.build, "BLDST_WORKER=runner", "CI=")
	return b
}

func (b *bench) start(port int) {
	b.t.Helper()
	s, err := localstack.Start(context.Background(), localstack.Options{Data: filepath.Join(b.dir, "stack"), Port: port})
	if err != nil {
		b.t.Fatal(err)
	}
	b.stack, b.url = s, s.URL
}

func (b *bench) stop() {
	if b.stack != nil {
		_ = b.stack.Stop(context.Background())
		b.stack = nil
	}
}

// set gives the user a variable.
func (b *bench) set(name, value string) { b.environ = append(b.environ, name+"="+value) }

// command is a step that was not started yet.
func (b *bench) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	c := exec.Command(self, append([]string{"step"}, args...)...)
	c.Dir, c.Env = b.dir, b.environ
	return c
}

// A done is how a step went.
type done struct {
	code     int
	out, err string
}

func (b *bench) step(args ...string) done {
	b.t.Helper()
	return run(b.t, b.command(args...))
}

func run(t testing.TB, c *exec.Cmd) done {
	t.Helper()
	var out, errs bytes.Buffer
	if c.Stdout == nil {
		c.Stdout = &out
	}
	if c.Stderr == nil {
		c.Stderr = &errs
	}
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return done{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

func (d done) want(t testing.TB, code int, texts ...string) {
	t.Helper()
	if d.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", d.code, code, d.out, d.err)
	}
	for _, text := range texts {
		if !strings.Contains(d.out+d.err, text) {
			t.Errorf("%q is missing in\nstdout: %s\nstderr: %s", text, d.out, d.err)
		}
	}
}

// api makes a request and decodes the answer.
func (b *bench) api(method, path string, in, out any) int {
	b.t.Helper()
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			b.t.Fatal(err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", "dev-key-12345")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if out != nil {
		if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
			b.t.Fatal(err)
		}
	}
	return resp.StatusCode
}

// A view is what the tests look at of a build.
type view struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Attempt int    `json:"attempt"`
	State   int    `json:"current_state"`
	Class   string `json:"failure_class"`
}

func (b *bench) view() view {
	b.t.Helper()
	var v view
	if status := b.api("GET", "/builds/"+b.build, nil, &v); status != 200 {
		b.t.Fatalf("GET build: %d", status)
	}
	return v
}

type failure struct {
	Message string          `json:"error_message"`
	Class   string          `json:"failure_class"`
	Type    string          `json:"failure_type"`
	Code    *int            `json:"exit_code"`
	Details json.RawMessage `json:"error_details"`
}

func (b *bench) failures() []failure {
	b.t.Helper()
	var out []failure
	b.api("GET", "/builds/"+b.build+"/failures", nil, &out)
	return out
}

// eventually waits for something that another process does.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not come about", what)
		}
	}
}

func (b *bench) file(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) exists(name string) func() bool {
	return func() bool { _, err := os.Stat(b.file(name)); return err == nil }
}

// A front is an address that leads to a system that may change.
type front struct {
	*httptest.Server
	to atomic.Pointer[httputil.ReverseProxy]
}

func newFront(t testing.TB, to string) *front {
	f := &front{}
	f.lead(to)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.to.Load().ServeHTTP(w, r) }))
	t.Cleanup(f.Close)
	return f
}

func (f *front) lead(to string) {
	u, _ := url.Parse(to)
	f.to.Store(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }})
}

// local runs the whole system, as the command of that name does.
func local(ctx context.Context, o cmd.LocalOptions) error {
	return localstack.Run(ctx, localstack.RunOptions{Port: o.Port, Data: o.Data, Env: os.LookupEnv, Stdout: os.Stdout, Stderr: os.Stderr})
}
