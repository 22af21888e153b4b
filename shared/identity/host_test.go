package identity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/identity"
	"bldst/shared/resource"
	"bldst/shared/store"
	"bldst/shared/table"
)

// The documented development keys.
const (
	adminKey = "admin-key-99999"
	devKey   = "dev-key-12345"
	readKey  = "readonly-key-888"
)

// counting passes everything on to the table and counts.
type counting struct {
	table.Table
	gets, writes atomic.Int64
}

func (c *counting) Get(ctx context.Context, keys ...table.Key) ([]*table.Item, error) {
	c.gets.Add(1)
	return c.Table.Get(ctx, keys...)
}

func (c *counting) Write(ctx context.Context, ops ...table.Op) error {
	c.writes.Add(1)
	return c.Table.Write(ctx, ops...)
}

// A host is the API of this package on the real store.
type host struct {
	t      testing.TB
	table  *counting
	store  *store.Store
	users  *store.Users
	keys   *auth.Keys
	signer *auth.Signer
	api    *api.API
	log    bytes.Buffer

	mu  sync.Mutex
	now time.Time
}

func (h *host) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *host) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func secret(c string) []byte { return []byte(strings.Repeat(c, 32)) }

func newHost(t testing.TB, change ...func(*identity.Service)) *host {
	t.Helper()
	tbl, err := embedded.Open(filepath.Join(t.TempDir(), "table.db"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tbl.Close() })
	h := &host{t: t, table: &counting{Table: tbl}, now: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}
	h.store = store.New(h.table)
	h.store.Now = h.clock
	h.users = store.NewUsers(h.store)
	h.signer = &auth.Signer{Keys: map[string][]byte{"k1": secret("a")}, Current: "k1"}
	h.keys = auth.NewKeys(h.users, h.signer, h.clock)
	svc := &identity.Service{Users: h.users, Tokens: h.users, Attempts: h.users, Signer: h.signer, Now: h.clock, NewID: h.store.NewID, NewKey: auth.NewKey, DevIDM: true}
	for _, f := range change {
		f(svc)
	}
	h.api = api.New(api.Options{Auth: h.keys, Idempotency: h.store, Now: h.clock, Log: slog.New(slog.NewTextHandler(&h.log, nil))})
	svc.MountUsers(h.api)
	svc.MountSignIn(h.api)
	if err := h.store.SeedIdentity(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// An answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	text   string
}

// get returns a field of the answer's object.
func (a answer) get(field string) any {
	a.t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.text), &m); err != nil {
		a.t.Fatalf("answer %d is no object: %s", a.status, a.text)
	}
	return m[field]
}

func (a answer) str(field string) string {
	a.t.Helper()
	s, _ := a.get(field).(string)
	return s
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.text)
	}
	return a
}

func (a answer) wantDetail(status int, detail string) {
	a.t.Helper()
	if got := a.want(status).str("detail"); got != detail {
		a.t.Errorf("detail %q, want %q", got, detail)
	}
}

// do sends a request. credential is an API key, or "Bearer ..." , or "".
func (h *host) do(method, path, credential, body string, headers ...string) answer {
	h.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(h.t.Context(), method, path, r)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	switch {
	case strings.HasPrefix(credential, "Bearer "):
		req.Header.Set("Authorization", credential)
	case credential != "":
		req.Header.Set("X-API-Key", credential)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.api.ServeHTTP(rec, req)
	return answer{h.t, rec.Code, rec.Header(), rec.Body.String()}
}

// signIn returns the Authorization header of a user.
func (h *host) signIn(username, password string) string {
	h.t.Helper()
	body, _ := json.Marshal(map[string]string{"username": username, "password": password})
	return "Bearer " + h.do("POST", "/token", "", string(body)).want(200).str("access_token")
}

// project stores a project the way the domain does.
func (h *host) project(name string) string {
	h.t.Helper()
	type row struct {
		resource.Meta
		Name string `json:"name"`
	}
	p := &row{Name: name}
	n := store.NewNamed(h.store, store.Kind[row, *row]{Name: "project", Label: "Project", Unique: func(r *row) []string { return []string{r.Name} }})
	if err := n.Create(h.t.Context(), p); err != nil {
		h.t.Fatal(err)
	}
	return p.ID
}
