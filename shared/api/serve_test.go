package api_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// failing is an API whose endpoint fails with f, and its log.
func failing(f func() error) (http.Handler, *bytes.Buffer) {
	var log bytes.Buffer
	a := api.New(api.Options{Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	api.Handle(a, api.Op{ID: "fail", Method: http.MethodPost, Path: "/things"}, func(context.Context, *thingIn) (*api.Empty, error) { return nil, f() })
	return a, &log
}

func TestFailuresOfOursAreAnsweredWithoutTheirCause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail   func() error
		status int
		detail string
		retry  string
	}{
		"a panic":         {func() error { panic("secret cause") }, 500, "Internal Server Error", ""},
		"a nil pointer":   {func() error { var p *problem.Problem; return errors.New(p.Detail) }, 500, "Internal Server Error", ""},
		"any other error": {func() error { return errors.New("secret cause") }, 500, "Internal Server Error", ""},
		"throttled": {func() error {
			return &problem.Problem{Kind: problem.Unavailable, Detail: "Try again.", Err: errors.New("secret cause")}
		}, 503, "Try again.", "1"},
		"throttled for long": {func() error {
			return &problem.Problem{Kind: problem.Unavailable, Detail: "Try again.", RetryAfter: 30 * time.Second}
		}, 503, "Try again.", "30"},
		"in flight": {func() error {
			return &problem.Problem{Kind: problem.Conflict, Detail: "Busy.", RetryAfter: time.Second}
		}, 409, "Busy.", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := failing(c.fail)
			r := httptest.NewRequest(http.MethodPost, "/things", strings.NewReader(`{"name":"x"}`))
			r.Header.Set("X-Request-Id", "of-this-test")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), `"detail":"`+c.detail+`"`) || !strings.Contains(w.Body.String(), `"request_id":"of-this-test"`) || w.Header().Get("Retry-After") != c.retry {
				t.Errorf("%d %v %s, want %d %q, Retry-After %q", w.Code, w.Header(), w.Body, c.status, c.detail, c.retry)
			}
			if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "goroutine") {
				t.Errorf("the answer tells the cause: %s", w.Body)
			}
			if c.status == 500 && (!strings.Contains(log.String(), `"cause":`) || !strings.Contains(log.String(), "of-this-test")) {
				t.Errorf("the log does not tell the cause: %s", log)
			}
		})
	}
}

func TestTheLogHoldsNoCredentialQueryOrBody(t *testing.T) {
	t.Parallel()
	h, log := failing(func() error { return problem.New(problem.Refused, "no") })
	r := httptest.NewRequest(http.MethodPost, "/things?token=secret-query", strings.NewReader(`{"name":"secret-body"}`))
	r.Header.Set("X-API-Key", "secret-key")
	r.Header.Set("Authorization", "Bearer secret-jwt")
	r.Header.Set("Idempotency-Key", "secret-idempotency")
	r.Header.Set("X-Request-Id", "secret id with blanks")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if text := log.String(); strings.Contains(text, "secret") || !strings.Contains(text, `"path":"/things"`) || !strings.Contains(text, `"status":400`) {
		t.Errorf("the log says %s", text)
	}
}

func TestAFieldInTwoSpellingsIsRefused(t *testing.T) {
	t.Parallel()
	for body, refused := range map[string]bool{
		`{"name":"x"}`:                     false,
		`{"name":"A","Name":"b"}`:          true,
		`{"NAME" : "a", "name" :"b"}`:      true,
		`{"n\u0061me":"a","NAME":"b"}`:     true,
		`{"Name":"only once, Capitals"}`:   false,
		`{"name":"Name","x":["Name",":"]}`: false,
		`{"name":"x","sub":{"a":1,"A":2}}`: false, // what is kept as it is
		`{"\u017fame":"a","same":"b"}`:     true,  // the long s is an s in capitals
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			h, _ := failing(func() error { return nil })
			r := httptest.NewRequest(http.MethodPost, "/things", strings.NewReader(body))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := strings.Contains(w.Body.String(), "duplicate_field"); got != refused {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

// A watched body says whether anybody has read it.
type watched struct{ read bool }

func (b *watched) Read(p []byte) (int, error) { b.read = true; return copy(p, "{"), nil }
func (b *watched) Close() error               { return nil }

// locked refuses everybody.
type locked struct{}

func (locked) Authenticate(context.Context, string, string) (*auth.Caller, error) {
	return nil, problem.New(problem.Unauthorized, "no")
}

func TestABodyIsReadOnceTheCallerIsKnown(t *testing.T) {
	t.Parallel()
	a := api.New(api.Options{Log: slog.New(slog.DiscardHandler), Auth: locked{}})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch} {
		api.Handle(a, api.Op{ID: "locked-" + method, Method: method, Path: "/things", Scope: auth.Write}, func(context.Context, *thingIn) (*api.Empty, error) { return nil, nil })
		for path, want := range map[string]int{"/things": 401, "/nowhere": 404} {
			body := &watched{}
			r := httptest.NewRequest(method, path, body)
			r.Header.Set("X-API-Key", "x")
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			if w.Code != want || body.read {
				t.Errorf("%s %s: %d, want %d; body read: %t", method, path, w.Code, want, body.read)
			}
		}
	}
}

func TestOnlyPlainUTF8IsTakenForIt(t *testing.T) {
	t.Parallel()
	h, _ := failing(func() error { return nil })
	for header, status := range map[string]int{
		"Content-Encoding: gzip": 415, "Content-Encoding: identity, br": 415, "Content-Encoding: identity": 200, "Content-Encoding: ": 200,
		"Content-Type: application/json; charset=utf-16": 415, "Content-Type: application/json; charset=iso-8859-1": 415,
		"Content-Type: application/json; charset=UTF-8": 200, "Content-Type: application/json; charset=us-ascii": 200,
	} {
		r := httptest.NewRequest(http.MethodPost, "/things", strings.NewReader(`{"name":"x"}`))
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code/100 != status/100 || status == 415 && w.Code != 415 {
			t.Errorf("%s: %d %s, want %d", header, w.Code, w.Body, status)
		}
	}
}
