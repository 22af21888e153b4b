package localstack_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"bldst/localstack"
)

// call returns the status and headers of a request with those headers; Host
// among them is the name it is sent to.
func call(t *testing.T, method, url string, headers ...string) (int, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header
}

func TestPagesOfStrangersCannotUseTheSystem(t *testing.T) {
	t.Parallel()
	var lines output
	closed := start(t, localstack.Options{Access: &lines})
	open := start(t, localstack.Options{Hosts: []string{"build-server"}, Origins: []string{"https://portal.example", "*"}})
	for name, c := range map[string]struct {
		s       *localstack.Stack
		headers []string
		status  int
		origin  string // that may read the answer
		trusted bool   // with credentials
	}{
		"a program":                         {closed, nil, 200, "", false},
		"an address":                        {closed, []string{"Host", "127.0.0.1:80"}, 200, "", false},
		"an address of IPv6":                {closed, []string{"Host", "[::1]:80"}, 200, "", false},
		"a name below localhost":            {closed, []string{"Host", "bldst.localhost:8080"}, 200, "", false},
		"a name of a stranger":              {closed, []string{"Host", "evil.example"}, 403, "", false},
		"a name that only begins well":      {closed, []string{"Host", "localhost.evil.example"}, 403, "", false},
		"a page of this machine":            {closed, []string{"Origin", "http://localhost:3000"}, 200, "http://localhost:3000", true},
		"its own page at an address":        {closed, []string{"Origin", "http://10.1.2.3:80", "Host", "10.1.2.3:80"}, 200, "", false},
		"a page of a stranger":              {closed, []string{"Origin", "https://evil.example"}, 403, "", false},
		"a page that only begins well":      {closed, []string{"Origin", "http://localhost:80.evil.example"}, 403, "", false},
		"a page of nobody":                  {closed, []string{"Origin", "null"}, 403, "", false},
		"a name that was told":              {open, []string{"Host", "build-server:8080"}, 200, "", false},
		"a page under that name":            {open, []string{"Host", "build-server:8080", "Origin", "http://build-server:8080"}, 200, "http://build-server:8080", true},
		"another name":                      {open, []string{"Host", "evil.example"}, 403, "", false},
		"a page that was named":             {open, []string{"Origin", "https://portal.example"}, 200, "https://portal.example", true},
		"a page when every one may":         {open, []string{"Origin", "https://other.example"}, 200, "*", false},
		"the state machine, by a bad name":  {closed, []string{"Host", "evil.example", "X-Amz-Target", "AWSStepFunctions.ListStateMachines"}, 403, "", false},
		"the state machine, by a bad page":  {closed, []string{"Origin", "https://evil.example", "X-Amz-Target", "AWSStepFunctions.ListStateMachines"}, 403, "", false},
		"the origin of the star, literally": {open, []string{"Origin", "*"}, 200, "*", false},
	} {
		status, h := call(t, "GET", c.s.URL+"/health", c.headers...)
		if got := h.Get("Access-Control-Allow-Origin"); status != c.status || got != c.origin || (h.Get("Access-Control-Allow-Credentials") == "true") != c.trusted {
			t.Errorf("%s: %d for %q, credentials %q; want %d for %q, %v", name, status, got, h.Get("Access-Control-Allow-Credentials"), c.status, c.origin, c.trusted)
		}
		if h.Get("X-Request-Id") == "" || c.s == closed && c.headers == nil && !strings.Contains(lines.String(), h.Get("X-Request-Id")) {
			t.Errorf("%s: the request id %q is not in the log:\n%s", name, h.Get("X-Request-Id"), lines.String())
		}
	}
}

func TestNothingIsReadyWhileNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	s := start(t, localstack.Options{BeforeCommit: func() error {
		if full.Load() {
			return errors.Join(errors.New("write /secret/folder/bldst.db"), syscall.ENOSPC)
		}
		return nil
	}})
	full.Store(true)
	if status, body := ask(t, "POST", s.URL+"/platforms", `{"name":"mine","cloud_provider":"own"}`); status != 503 {
		t.Fatalf("a write that is not stored: %d %s", status, body)
	}
	for path, want := range map[string]int{"/health/liveness": 200, "/health": 503, "/health/readiness": 503, "/ready": 503, "/status": 503} {
		status, body := ask(t, "GET", s.URL+path, "")
		if status != want || want == 503 && (!strings.Contains(body, "no space left on device") || strings.Contains(body, "folder")) {
			t.Errorf("%s while the disk is full: %d %s, want %d with the reason", path, status, body, want)
		}
	}
	if status, _ := ask(t, "GET", s.URL+"/platforms", ""); status != 200 {
		t.Errorf("reading while the disk is full: %d", status)
	}
	full.Store(false)
	if status, body := ask(t, "GET", s.URL+"/ready", ""); status != 200 {
		t.Errorf("with room again: %d %s", status, body)
	}
}

// A body that nobody reads does not hold the connection.
func TestARefusedRequestIsAnsweredBeforeItsBody(t *testing.T) {
	t.Parallel()
	s := start(t, localstack.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /builds HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100\r\n\r\n{")
	answer, err := io.ReadAll(conn) // until the server hangs up
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 403") {
		t.Errorf("%.80q, error %v; want 403 and the connection closed", answer, err)
	}
}
