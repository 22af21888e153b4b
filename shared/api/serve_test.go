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
