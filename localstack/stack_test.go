package localstack_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bldst/localstack"
	"bldst/localstack/clock"
	"bldst/localstack/table"
	"bldst/shared/health"
	"bldst/shared/openapi/openapitest"
	port "bldst/shared/table"
)

// runFolder makes this test binary run the system in that folder until it is
// told to end by a signal, as the command line does.
const runFolder = "BLDST_TEST_RUN_FOLDER"

func init() {
	dir := os.Getenv(runFolder)
	if dir == "" {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := localstack.Run(ctx, localstack.RunOptions{Data: dir, Env: os.LookupEnv, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func start(t *testing.T, o localstack.Options) *localstack.Stack {
	t.Helper()
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	s, err := localstack.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return s
}

// ask returns the status and the body of the answer, which must be one that
// the document describes.
func ask(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-Key", "admin-key-99999")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Client{Transport: openapitest.Transport(t, nil)}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestTheSystemAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, localstack.Options{})
	for _, c := range []struct {
		method, path string
		status       int
		contains     string
	}{
		{"GET", "/", 200, `"Build State API"`},
		{"GET", "/health", 200, `"healthy"`},
		{"GET", "/health/liveness", 200, `"healthy"`},
		{"GET", "/health/readiness", 200, `"database":"ok"`},
		{"GET", "/ready", 200, `"database":"connected"`},
		{"GET", "/status", 200, `"status":"running"`},
		{"GET", "/platforms/", 200, `"aws-commercial"`},
		{"GET", "/os_versions/rhel-9.3", 200, `"rhel-9.3"`},
		{"GET", "/os-versions/rhel-9.3/", 200, `"rhel-9.3"`},
		{"GET", "/projects/default/state_codes", 200, `"pending"`},
		{"GET", "/users/me", 200, `"admin"`},
		{"GET", "/audit", 200, `[`},
		{"GET", "/builds", 200, `[`},
		{"GET", "/nowhere/at/all", 404, `"not_found"`},
		{"GET", "/platforms/a%20b", 404, `"not_found"`},
		{"PATCH", "/platforms", 405, `"method_not_allowed"`},
		{"POST", "/platforms", 422, `"invalid"`},
	} {
		if status, body := ask(t, c.method, s.URL+c.path, ""); status != c.status || !strings.Contains(body, c.contains) {
			t.Errorf("%s %s: %d %.300s, want %d with %s", c.method, c.path, status, body, c.status, c.contains)
		}
	}
}

func TestReadinessFollowsTheTable(t *testing.T) {
	t.Parallel()
	s := start(t, localstack.Options{})
	if err := s.Table.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/": 200, "/health/liveness": 200, "/health": 503, "/health/readiness": 503, "/ready": 503, "/status": 503, "/platforms": 503} {
		if status, body := ask(t, "GET", s.URL+path, ""); status != want {
			t.Errorf("%s without a table: %d %s, want %d", path, status, body, want)
		}
	}
}

// Whoever waits for counters and lists learns how far they are behind.
func TestHealthTellsHowFarRelayIsBehind(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	held := make(chan struct{})
	s := start(t, localstack.Options{Data: t.TempDir(), Clock: now, Guard: func(function string, tb port.Table) port.Table {
		if function == "relay" {
			return heldTable{tb, held}
		}
		return tb
	}})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	now.Advance(7 * time.Second)
	for _, path := range []string{"/health", "/status"} {
		if changes, oldest := backlog(t, s.URL+path); changes == 0 || oldest != 7 {
			t.Errorf("%s: %d changes, the oldest %v s, want some, and 7", path, changes, oldest)
		}
	}
	release()
	for deadline := time.Now().Add(time.Minute); ; {
		if changes, oldest := backlog(t, s.URL+"/health"); changes == 0 && oldest == 0 {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%d changes are left, the oldest %v s", changes, oldest)
		}
	}
}

// A heldTable is a table that answers once held is closed.
type heldTable struct {
	port.Table
	held chan struct{}
}

func (h heldTable) Get(ctx context.Context, keys ...port.Key) ([]*port.Item, error) {
	<-h.held
	return h.Table.Get(ctx, keys...)
}

func (h heldTable) Write(ctx context.Context, ops ...port.Op) error {
	<-h.held
	return h.Table.Write(ctx, ops...)
}

// backlog returns what the answer at url says of it.
func backlog(t *testing.T, url string) (changes int, oldest float64) {
	t.Helper()
	status, body := ask(t, "GET", url, "")
	var said struct {
		Backlog *health.Backlog `json:"backlog"`
	}
	if err := json.Unmarshal([]byte(body), &said); err != nil || status != 200 || said.Backlog == nil {
		t.Fatalf("%s: %d %s, want 200 and the backlog", url, status, body)
	}
	return said.Backlog.Changes, said.Backlog.OldestSeconds
}

func TestARestartContinuesWithTheData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, localstack.Options{Data: dir})
	if status, body := ask(t, "POST", first.URL+"/platforms", `{"name":"mine","cloud_provider":"own"}`); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := ask(t, "DELETE", first.URL+"/platforms/azure", ""); status != 204 {
		t.Fatalf("%d %s", status, body)
	}
	_, login := ask(t, "POST", first.URL+"/token", `{"username":"admin","password":"admin123"}`)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := start(t, localstack.Options{Data: dir})
	if status, body := ask(t, "GET", second.URL+"/platforms/mine", ""); status != 200 {
		t.Errorf("what was made before the restart: %d %s", status, body)
	}
	if status, body := ask(t, "GET", second.URL+"/platforms/azure", ""); status != 404 {
		t.Errorf("seeded data that was deleted came back: %d %s", status, body)
	}
	_, token, _ := strings.Cut(login, `"access_token":"`)
	token, _, _ = strings.Cut(token, `"`)
	if status, body := ask(t, "GET", second.URL+"/users/me", "", "X-API-Key", "", "Authorization", "Bearer "+token); status != 200 {
		t.Errorf("a token from before the restart: %d %s", status, body)
	}
}

func TestAnEmptySystemKnowsNobody(t *testing.T) {
	t.Parallel()
	s := start(t, localstack.Options{Empty: true})
	if status, _ := ask(t, "GET", s.URL+"/platforms", ""); status != 401 {
		t.Errorf("a documented key in a system without seeds: %d, want 401", status)
	}
}

func TestStartSaysWhatToDo(t *testing.T) {
	t.Parallel()
	running := start(t, localstack.Options{Data: t.TempDir()})
	var taken int
	if _, err := fmt.Sscanf(running.URL, "http://localhost:%d", &taken); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used := t.TempDir()
	other, err := table.Open(filepath.Join(used, "bldst.db"), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	bad := t.TempDir()
	if err := os.WriteFile(filepath.Join(bad, "jwt.key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	orphan := t.TempDir()
	if err := os.WriteFile(filepath.Join(orphan, "states.db"), []byte("full"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    localstack.Options
		says []string
	}{
		"a port in use":                {localstack.Options{Data: t.TempDir(), Port: taken}, []string{"in use by another program", "--port", "make run PORT="}},
		"a folder in use":              {localstack.Options{Data: used}, []string{"in use by another process", "choose another folder"}},
		"a folder that cannot be made": {localstack.Options{Data: filepath.Join(file, "data")}, []string{"cannot be written", "choose another folder"}},
		"a signing key that is no key": {localstack.Options{Data: bad}, []string{"jwt.key", "remove it"}},
		"a port that there is not":     {localstack.Options{Data: t.TempDir(), Port: 70000}, []string{"port 70000", "1 to 65535"}},
		"an address of others":         {localstack.Options{Data: t.TempDir(), Hosts: []string{"192.0.2.1"}}, []string{"--host", "192.0.2.1"}},
		"a table that is gone":         {localstack.Options{Data: orphan}, []string{"bldst.db", "states.db belongs to it", "restore"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := localstack.Start(t.Context(), c.o)
			if err == nil {
				_ = s.Stop(t.Context())
				t.Fatal("it started")
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %q", err)
			}
			for _, say := range c.says {
				if !strings.Contains(err.Error(), say) {
					t.Errorf("error %q does not say %q", err, say)
				}
			}
		})
	}
}

func TestStopWaitsForRequestsInFlight(t *testing.T) {
	t.Parallel()
	s := start(t, localstack.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"name":"late","cloud_provider":"own"}`
	fmt.Fprintf(conn, "POST /platforms HTTP/1.1\r\nHost: localhost\r\nX-API-Key: admin-key-99999\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body))
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, error %v: the request is not being served", line, err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	for { // until no new requests are taken
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			break
		}
		_ = c.Close()
	}
	fmt.Fprint(conn, body)
	_, _ = in.ReadString('\n')
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "201") {
		t.Errorf("the request in flight got %q, error %v; want 201", line, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// output is written by a process and read by a test.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func TestASignalEndsTheProcessCleanly(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), runFolder+"="+t.TempDir(), "LOG_LEVEL=info")
			var out, log output
			cmd.Stdout, cmd.Stderr = &out, &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			url := waitFor(t, &out)
			if status, body := ask(t, "GET", url+"/platforms?limit=1", "", "X-API-Key", "dev-key-12345"); status != 200 {
				t.Errorf("%d %s", status, body)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("ended with %v, want exit code 0\n%s", err, log.String())
			}
			for _, key := range []string{"readonly-key-888", "dev-key-12345", "admin-key-99999"} {
				if !strings.Contains(out.String(), key) || strings.Contains(log.String(), key) {
					t.Errorf("the key %s belongs on standard output, and never in the log\n%s\n%s", key, out.String(), log.String())
				}
			}
			if !strings.Contains(log.String(), `"path":"/platforms"`) {
				t.Errorf("the request is not in the log at level info:\n%s", log.String())
			}
		})
	}
}

// waitFor returns the address the process prints once it answers.
func waitFor(t *testing.T, out *output) string {
	t.Helper()
	for {
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
		_, rest, ok := strings.Cut(out.String(), "API   ")
		if url, _, whole := strings.Cut(rest, "\n"); ok && whole {
			return url
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestRunWithoutAFolderLeavesNothingBehind(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	var out, log output
	ended := make(chan error, 1)
	go func() {
		ended <- localstack.Run(ctx, localstack.RunOptions{Env: func(string) (string, bool) { return "", false }, Stdout: &out, Stderr: &log})
	}()
	waitFor(t, &out)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

func TestRunRefusesAnEnvironmentItCannotRead(t *testing.T) {
	t.Parallel()
	env := func(name string) (string, bool) {
		return map[string]string{"LOG_LEVEL": "loud"}[name], name == "LOG_LEVEL"
	}
	err := localstack.Run(t.Context(), localstack.RunOptions{Env: env, Stdout: io.Discard, Stderr: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "LOG_LEVEL") {
		t.Errorf("error %v, want one that names LOG_LEVEL", err)
	}
}
