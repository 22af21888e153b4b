package cmd

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"bldst/cli/settings"
	"bldst/cli/streams"
	"bldst/shared/client"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// A seen is what the server remembers of a request.
type seen struct {
	Call string // method and URI
	Body string
	Key  string // X-API-Key or Authorization
}

// A server answers by method and path, and remembers what it was asked.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	seen    []seen
	answers map[string]reply
}

type reply struct {
	status int    // 0: 200
	wants  string // a credential that is answered with 200 instead
	body   string
	header map[string]string
}

func serve(t *testing.T, answers map[string]reply) *server {
	t.Helper()
	s := &server{answers: answers}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	key := r.Header.Get("X-API-Key")
	if key == "" {
		key = r.Header.Get("Authorization")
	}
	s.mu.Lock()
	s.seen = append(s.seen, seen{r.Method + " " + r.RequestURI, string(data), key})
	s.mu.Unlock()
	s.mu.Lock()
	a, ok := s.answers[r.Method+" "+r.RequestURI]
	s.mu.Unlock()
	if !ok {
		a = reply{status: 404, body: `{"detail":"Not Found","code":"not_found","request_id":"r-404"}`}
	}
	if a.wants != "" && a.wants == key {
		a.status = 200
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	if a.status == 0 {
		a.status = 200
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// set changes an answer.
func (s *server) set(call string, a reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[call] = a
}

// memory is a keyring for tests.
type memory map[string]string

func (m memory) Get(e string) (string, error) {
	if v, ok := m[e]; ok {
		return v, nil
	}
	return "", settings.ErrNotFound
}
func (m memory) Set(e, s string) error { m[e] = s; return nil }
func (m memory) Delete(e string) error { delete(m, e); return nil }

// A session is a user with a home directory, an environment and a keyring.
type session struct {
	t    *testing.T
	home string
	env  map[string]string
	ring settings.Keyring
	tty  bool
	in   string
}

func newSession(t *testing.T, url string) *session {
	t.Helper()
	return &session{t: t, home: t.TempDir(), ring: memory{}, env: map[string]string{"BLDST_API_URL": url, "BLDST_API_KEY": "k"}}
}

type result struct {
	Code     int
	Out, Err string
}

// factory returns a Factory of the session, and its output streams.
func (s *session) factory() (f *Factory, out, err interface{ String() string }) {
	st, o, e := streams.Test(s.in)
	st.InTTY, st.OutTTY = s.tty, s.tty
	return &Factory{
		Streams: st, Keyring: s.ring, Version: "1.2.3",
		Env:   func(k string) (string, bool) { v, ok := s.env[k]; return v, ok },
		Home:  func() (string, error) { return s.home, nil },
		Retry: client.Retry{Sleep: func(context.Context, time.Duration) error { return nil }},
	}, o, e
}

func (s *session) run(args ...string) result {
	s.t.Helper()
	f, out, err := s.factory()
	code := Run(s.t.Context(), f, args)
	return result{code, out.String(), err.String()}
}

// parse runs one command up to its work and returns what it would do, as JSON,
// or the error.
func parse[O any](t *testing.T, newCmd func(*Factory, run[O]) *cobra.Command, args ...string) string {
	t.Helper()
	f, _, _ := newSession(t, "http://unused").factory()
	got := ""
	c := newCmd(f, func(_ context.Context, _ *Factory, o O) error {
		b, err := json.Marshal(o)
		got = string(b)
		return err
	})
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	if err := c.ExecuteContext(t.Context()); err != nil {
		return "error: " + err.Error()
	}
	return got
}

// argv splits a line at spaces; single quotes keep an argument together.
func argv(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	if out == nil {
		out = []string{}
	}
	return out
}

func check[T any](t *testing.T, want, got T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
