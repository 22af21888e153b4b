package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bldst/shared/api"
	"bldst/shared/problem"
)

// A thing has a field of every kind that bodies have.
type thing struct {
	Name  string            `json:"name" required:"true" maxLength:"50" pattern:"\\S" patternDescription:"more than blanks"`
	Count *int64            `json:"count,omitempty" minimum:"0"`
	Share float64           `json:"share,omitempty"`
	On    *bool             `json:"on,omitempty"`
	At    *time.Time        `json:"at,omitempty"`
	State api.IntOrString   `json:"state,omitzero"`
	Tags  []string          `json:"tags,omitempty" maxItems:"10"`
	Any   json.RawMessage   `json:"any,omitempty"`
	Map   map[string]string `json:"map,omitempty"`
	Inner *struct {
		Key string `json:"key" required:"true"`
	} `json:"inner,omitempty"`
}

type thingIn struct{ Body thing }

type partialIn struct {
	ID   string `path:"id" maxLength:"50"`
	Body api.Partial[thing]
}

type pageIn struct{ api.Page }

// things is an API with an endpoint for every way in.
func things() http.Handler {
	a := api.New(api.Options{Log: slog.New(slog.DiscardHandler)})
	echo := func(_ context.Context, in *thingIn) (*api.Object[thing], error) { return api.Rev(1, in.Body), nil }
	api.Handle(a, api.Op{ID: "create", Method: http.MethodPost, Path: "/things"}, echo)
	api.Handle(a, api.Op{ID: "form", Method: http.MethodPost, Path: "/forms", Form: true}, echo)
	api.Handle(a, api.Op{ID: "change", Method: http.MethodPut, Path: "/things/{id}"}, func(_ context.Context, in *partialIn) (*api.Object[thing], error) {
		var v thing
		if err := in.Body.Apply(&v); err != nil {
			return nil, err
		}
		return api.Rev(1, v), nil
	})
	api.Handle(a, api.Op{ID: "list", Method: http.MethodGet, Path: "/things"}, func(_ context.Context, in *pageIn) (*api.List[string], error) {
		return &api.List[string]{Link: in.Next(in.Cursor), Body: []string{}}, nil
	})
	return a
}

// FuzzBody sends bodies of any content type: each is answered, none with a
// failure of ours.
func FuzzBody(f *testing.F) {
	for _, kind := range []string{"application/json", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", "application/x+json;a=b", "text/plain"} {
		for _, body := range []string{`{"name":"x"}`, `{"name":"x","count":1e400,"state":"5","at":"2024-01-01T00:00:00Z","tags":["a"],"any":{},"map":{"a":"b"},"inner":{"key":"k"}}`, `{"name":null,"on":"x"}`,
			`{"name":"x","NAME":"y"}`, "name=x&count=1", "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nv\r\n--x--\r\n", `[[[[`, "{\"name\":\"\xff\"}", `{"state":{}}`, `"x"`, ``, ` `, `null`} {
			f.Add(kind, body)
		}
	}
	h := things()
	f.Fuzz(func(t *testing.T, kind, body string) {
		for _, to := range [][2]string{{"POST", "/things"}, {"PUT", "/things/1"}, {"POST", "/forms"}} {
			r := httptest.NewRequest(to[0], to[1], strings.NewReader(body))
			r.Header.Set("Content-Type", kind)
			answered(t, h, r)
		}
	})
}

// FuzzPath asks for any path: none is redirected, none fails.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/things", "/things/", "/THINGS", "//things", "/things/../x", "/things/a%2Fb", "/things/%00", "/things/%ff", "/things?limit=x&cursor=%zz", "/things?skip=-1", "/", "/things/.", "/%2e%2e", "/things/" + strings.Repeat("x", 300), "/a_b/c_d/e_f"} {
		f.Add("GET", p)
		f.Add("PUT", p)
	}
	h := things()
	f.Fuzz(func(t *testing.T, method, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(path, "/") || u.Host != "" {
			return
		}
		answered(t, h, &http.Request{Method: method, URL: u, Host: "api.example", RequestURI: path, Header: http.Header{}, Proto: "HTTP/1.1"})
	})
}

// answered fails t unless the answer to r is one an API gives: JSON, an error
// with its code, never a redirect or a failure.
func answered(t *testing.T, h http.Handler, r *http.Request) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code >= 500 || w.Code >= 300 && w.Code < 400 {
		t.Fatalf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
	}
	if w.Body.Len() == 0 {
		return
	}
	if !utf8.Valid(w.Body.Bytes()) || !json.Valid(w.Body.Bytes()) {
		t.Fatalf("%s %s: %d with a body that is no JSON: %q", r.Method, r.URL, w.Code, w.Body)
	}
	var e struct {
		Detail    any
		Code      problem.Kind
		RequestID string `json:"request_id"`
	}
	if w.Code >= 400 {
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Detail == nil || e.Code.Status() != w.Code || e.RequestID == "" {
			t.Fatalf("%s %s: %d %s, want detail, code and request_id", r.Method, r.URL, w.Code, w.Body)
		}
	}
}
