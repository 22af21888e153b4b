// Package apitest is a walk through the whole REST API for hosts that have no
// change feed: the API on a real DynamoDB engine, and functions whose use of
// the table is watched. Package suite is the full test of the contract.
package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bldst/shared/auth"
	"bldst/shared/openapi/openapitest"
)

// A Stack is a freshly started development stage.
type Stack struct {
	URL    string
	Signer *auth.Signer  // that it signs JWTs with
	Log    func() string // everything it has logged
	Feed   bool          // relay gets the changes of the table
}

// The development keys.
const (
	readKey  = "readonly-key-888"
	writeKey = "dev-key-12345"
	adminKey = "admin-key-99999"
)

// Run runs the suite against s.
func Run(t *testing.T, s Stack) {
	for name, f := range map[string]func(*testing.T, *client){
		"sign in":       signIn,
		"spellings":     spellings,
		"catalogue":     catalogue,
		"projects":      projects,
		"generations":   generations,
		"reports":       reports,
		"failures":      failures,
		"lists":         lists,
		"artifacts":     artifacts,
		"variables":     variables,
		"resume":        resume,
		"jobs":          jobs,
		"users":         users,
		"bound":         bound,
		"idempotency":   idempotency,
		"preconditions": preconditions,
		"bad input":     badInput,
		"dashboard":     dashboard,
		"audit":         audit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, &client{t: t, s: s, key: adminKey})
		})
	}
}

// A client calls the API as one test, with one key, and checks every answer
// against the document.
type client struct {
	t   *testing.T
	s   Stack
	key string
}

// as returns the client with another key.
func (c *client) as(key string) *client { return &client{c.t, c.s, key} }

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    []byte
	doc    map[string]any
	list   []any
}

// secrets are what must never stand in a log.
var secrets = struct {
	sync.Mutex
	seen []string
}{seen: []string{readKey, writeKey, adminKey, "admin123", "user123", "readonly123", "testpass", "hunter2-secret"}}

func secret(s string) string {
	secrets.Lock()
	defer secrets.Unlock()
	secrets.seen = append(secrets.seen, s)
	return s
}

// NoSecretIn fails t when one of the secrets the suite used stands in text.
func NoSecretIn(t *testing.T, text string) {
	secrets.Lock()
	defer secrets.Unlock()
	for _, s := range secrets.seen {
		if strings.Contains(text, s) {
			t.Errorf("the log holds the secret %.8s...", s)
		}
	}
}

var plain = &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
	return fmt.Errorf("the API redirects")
}}

// send makes a request with a body of any type and headers as pairs.
func (c *client) send(method, path string, body io.Reader, headers ...string) answer {
	c.t.Helper()
	req, err := http.NewRequest(method, c.s.URL+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.key != "" {
		req.Header.Set("X-API-Key", c.key)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := plain.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.raw, err = io.ReadAll(res.Body); err != nil {
		c.t.Fatal(err)
	}
	if json.Unmarshal(a.raw, &a.doc) != nil {
		_ = json.Unmarshal(a.raw, &a.list)
	}
	openapitest.Check(c.t, method, path, a.status, a.header, a.raw)
	if a.header.Get("X-Request-Id") == "" {
		c.t.Errorf("%s %s: no X-Request-Id", method, path)
	}
	return a
}

// call sends body as JSON and requires the status want.
func (c *client) call(want int, method, path string, body any, headers ...string) answer {
	c.t.Helper()
	var r io.Reader
	if s, ok := body.(string); ok {
		r = strings.NewReader(s)
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	if r != nil {
		headers = append([]string{"Content-Type", "application/json"}, headers...)
	}
	a := c.send(method, path, r, headers...)
	if a.status != want {
		c.t.Fatalf("%s %s %v: %d, want %d: %s", method, path, body, a.status, want, a.raw)
	}
	if want >= 400 {
		c.refused(method+" "+path, a)
	}
	return a
}

// refused checks the form of an error.
func (c *client) refused(what string, a answer) {
	c.t.Helper()
	if a.doc["code"] == nil || a.doc["request_id"] != a.header.Get("X-Request-Id") || a.doc["detail"] == nil {
		c.t.Errorf("%s: an error without code, request_id or detail: %s", what, a.raw)
	}
}

type doc = map[string]any

// eventually polls until f is satisfied: what rests on an index or on relay
// comes a moment later.
func (c *client) eventually(what string, f func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	c.t.Fatalf("never came true: %s", what)
}

// has fails unless the document has all keys.
func has(t *testing.T, d map[string]any, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if _, ok := d[k]; !ok {
			t.Errorf("the answer has no %q: %v", k, d)
		}
	}
}

// detail returns the detail of an error as text.
func (a answer) detail() string { return fmt.Sprint(a.doc["detail"]) }

// ids returns the field of every row.
func (a answer) column(field string) []string {
	out := make([]string, len(a.list))
	for i, r := range a.list {
		out[i] = fmt.Sprint(r.(map[string]any)[field])
	}
	return out
}
