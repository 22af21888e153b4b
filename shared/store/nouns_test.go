package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/api"
	"bldst/shared/audit"
	"bldst/shared/auth"
	"bldst/shared/problem"
	"bldst/shared/project"
	"bldst/shared/store"
)

// callers knows one credential per scope; its name is the key.
type callers struct{}

func (callers) Authenticate(_ context.Context, key, _ string) (*auth.Caller, error) {
	switch s := auth.Scope(key); s {
	case auth.Read, auth.Write, auth.Admin:
		return &auth.Caller{UserID: key, Username: key + "-user", Credential: "key:" + key, Scopes: []string{key}}, nil
	}
	return nil, problem.New(problem.Unauthorized, "no such key")
}

// A site is the reference data of the API on the real store.
type site struct {
	t     testing.TB
	store *store.Store
	api   *api.API
}

// lagging are the tables every endpoint must be right on: one whose indexes
// are up to date, and one whose indexes lag.
var lagging = map[string]embedded.Options{
	"with indexes that are up to date": {},
	"with indexes that lag":            {IndexLag: func() time.Duration { return 3 * time.Millisecond }},
}

func newSite(t testing.TB, o embedded.Options) *site {
	t.Helper()
	tbl, err := embedded.Open(filepath.Join(t.TempDir(), "table.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tbl.Close() })
	s := store.New(tbl)
	a := api.New(api.Options{Auth: callers{}, Idempotency: s, Log: slog.New(slog.DiscardHandler)})
	for _, n := range store.Catalogue() {
		n.Mount(a, s)
	}
	project.Mount(a, s.Projects())
	rules := &project.Service{Store: s}
	rules.MountCodes(a)
	rules.MountResumable(a)
	(&audit.Service{Trail: s}).Mount(a)
	return &site{t: t, store: s, api: a}
}

func (s *site) seed(dev bool) *site {
	s.t.Helper()
	if err := s.store.SeedReference(s.t.Context(), dev); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// A reply is what an endpoint answered.
type reply struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	text   string
}

// call makes a request: "POST /platforms write {...}" with headers as pairs.
func (s *site) call(request string, header ...string) reply {
	s.t.Helper()
	parts := strings.SplitN(request, " ", 4)
	var body io.Reader
	if len(parts) == 4 {
		body = strings.NewReader(parts[3])
	}
	r := httptest.NewRequestWithContext(s.t.Context(), parts[0], parts[1], body)
	r.Header.Set("X-API-Key", parts[2])
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	return reply{s.t, request, w.Code, w.Header(), w.Body.String()}
}

func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: status %d, want %d: %s", r.what, r.status, status, r.text)
	}
	return r
}

// says requires the detail to contain each of the texts.
func (r reply) says(texts ...string) reply {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.text, text) {
			r.t.Errorf("%s: the answer does not say %q: %s", r.what, text, r.text)
		}
	}
	return r
}

func (r reply) object() map[string]any {
	r.t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.text), &m); err != nil {
		r.t.Fatalf("%s: no object: %s", r.what, r.text)
	}
	return m
}

func (r reply) id() string { return r.object()["id"].(string) }

// has requires fields of the answer's object: name, value, name, value ...
func (r reply) has(fields ...any) reply {
	r.t.Helper()
	m := r.object()
	for i := 0; i < len(fields); i += 2 {
		want := fields[i+1]
		if n, ok := want.(int); ok {
			want = float64(n)
		}
		got, there := m[fields[i].(string)]
		if !there || !reflect.DeepEqual(got, want) {
			r.t.Errorf("%s: %s is %v (there: %v), want %v", r.what, fields[i], got, there, want)
		}
	}
	return r
}

// bad requires a 422 about one field.
func (r reply) bad(loc, typ string) {
	r.t.Helper()
	r.want(422)
	var e struct {
		Detail []problem.Field
		Code   string
	}
	if err := json.Unmarshal([]byte(r.text), &e); err != nil || e.Code != "invalid" {
		r.t.Fatalf("%s: no list of fields: %s", r.what, r.text)
	}
	for _, f := range e.Detail {
		if strings.Trim(fmt.Sprint(f.Loc), "[]") == loc && f.Type == typ && f.Msg != "" {
			return
		}
	}
	r.t.Errorf("%s: nothing about %q of type %q: %s", r.what, loc, typ, r.text)
}

// list returns a field of each row of a list, over all its pages.
func (s *site) list(path, field string) []any {
	s.t.Helper()
	out := []any{}
	for next := path; next != ""; {
		r := s.call("GET " + next + " admin").want(200)
		var rows []map[string]any
		if err := json.Unmarshal([]byte(r.text), &rows); err != nil {
			s.t.Fatalf("%s: no list: %s", r.what, r.text)
		}
		for _, row := range rows {
			out = append(out, row[field])
		}
		next = ""
		if link := r.header.Get("Link"); link != "" {
			query, _, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">; rel=\"next\"")
			if !ok {
				s.t.Fatalf("%s: Link %q", r.what, link)
			}
			base, _, _ := strings.Cut(path, "?")
			next = base + query
		}
	}
	return out
}

// lists waits until a list is as wanted: its index may lag.
func (s *site) lists(path, field string, want ...any) {
	s.t.Helper()
	if want == nil {
		want = []any{}
	}
	var got []any
	for range 500 {
		if got = s.list(path, field); reflect.DeepEqual(got, want) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Errorf("GET %s: %s are %v, want %v", path, field, got, want)
}
