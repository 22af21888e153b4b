package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"bldst/shared/problem"

	"github.com/google/go-cmp/cmp"
)

// A seen is what a test server remembers of a request.
type seen struct {
	Method, URI, Body, ContentType, Key, Auth, Idempotency string
}

// serve starts a server whose answers are given in order; the last one is
// repeated. It returns the server and the requests it has seen.
func serve(t *testing.T, answers ...http.HandlerFunc) (*httptest.Server, *[]seen) {
	t.Helper()
	var log []seen
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		log = append(log, seen{r.Method, r.RequestURI, string(body), r.Header.Get("Content-Type"), r.Header.Get("X-API-Key"), r.Header.Get("Authorization"), r.Header.Get("Idempotency-Key")})
		answers[min(len(log), len(answers))-1](w, r)
	}))
	t.Cleanup(s.Close)
	return s, &log
}

// answer writes a status, headers given as name, value pairs, and a body.
func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// newClient returns a client that does not really sleep, and its pauses.
func newClient(t *testing.T, o Options) (*Client, *[]time.Duration) {
	t.Helper()
	var pauses []time.Duration
	o.Retry.Sleep = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	o.Retry.Jitter = func() float64 { return 0 }
	if o.NewID == nil {
		o.NewID = func() string { return "id-1" }
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, &pauses
}

func TestDoSendsWhatIsAsked(t *testing.T) {
	t.Parallel()
	s, log := serve(t, answer(201, `{"n":12345678901234567890}`))
	c, _ := newClient(t, Options{BaseURL: s.URL + "/dev/", APIKey: "k", Token: "t"})
	var out json.RawMessage
	err := c.Do(t.Context(), "POST", Path("builds", "a/b c", "state"), url.Values{"attach": {"true"}}, map[string]any{"a": "<&>"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	want := []seen{{"POST", "/dev/builds/a%2Fb%20c/state?attach=true", `{"a":"<&>"}`, "application/json", "k", "", "id-1"}}
	if d := cmp.Diff(want, *log); d != "" {
		t.Error(d)
	}
	if string(out) != `{"n":12345678901234567890}` {
		t.Errorf("out = %s, want the body unchanged", out)
	}
}

func TestTokenIsSentWhenThereIsNoKeyAndAFormIsAForm(t *testing.T) {
	t.Parallel()
	s, log := serve(t, answer(200, `{}`))
	c, _ := newClient(t, Options{BaseURL: s.URL, Token: "t"})
	if err := c.Do(t.Context(), "POST", "/token", nil, url.Values{"username": {"a b"}}, nil); err != nil {
		t.Fatal(err)
	}
	want := []seen{{"POST", "/token", "username=a+b", "application/x-www-form-urlencoded", "", "Bearer t", ""}}
	if d := cmp.Diff(want, *log); d != "" {
		t.Error(d)
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://x.example/dev/":  "https://x.example/dev",
		" http://localhost:8080 ": "http://localhost:8080",
		"localhost:8080":          "error: the API URL \"localhost:8080\" must begin with http:// or https://",
		"":                        "error: the API URL \"\" must begin with http:// or https://",
		"https://":                "error: the API URL \"https:\" names no host",
		"https://u:p@x":           "error: the API URL must not contain a user name or password",
		"https://x?key=s":         "error: the API URL \"https://x?key=s\" must end after its path",
	} {
		got := ""
		if u, err := ParseURL(in); err != nil {
			got = "error: " + err.Error()
		} else {
			got = u.String()
		}
		if got != want {
			t.Errorf("ParseURL(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestPathKeepsASegmentASegment(t *testing.T) {
	t.Parallel()
	if got, want := Path("builds", "..", "a/b?c", "."), "/builds/%2E%2E/a%2Fb%3Fc/%2E"; got != want {
		t.Errorf("Path = %s, want %s", got, want)
	}
}

func TestTheChallengeIsReadUnderEitherName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"WWW-Authenticate", "x-amzn-Remapped-WWW-Authenticate"} {
		s, _ := serve(t, answer(401, `{"detail":"Sign in","code":"unauthorized"}`, name, "Bearer, X-API-Key"))
		c, _ := newClient(t, Options{BaseURL: s.URL, APIKey: "secret"})
		var e *Error
		if err := c.Do(t.Context(), "GET", "/x", nil, nil, nil); !errors.As(err, &e) || e.Challenge != "Bearer, X-API-Key" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrorsAreReadBackwards(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer  http.HandlerFunc
		want    problem.Problem
		id      string
		fromAPI bool
	}{
		"a sentence with a code": {
			answer(409, `{"detail":"Platform exists","code":"ambiguous","request_id":"r1"}`, "X-Request-Id", "header"),
			problem.Problem{Kind: problem.Ambiguous, Detail: "Platform exists"}, "r1", true},
		"a sentence without a code": {
			answer(404, `{"detail":"Build not found"}`, "X-Request-Id", "r2"),
			problem.Problem{Kind: problem.NotFound, Detail: "Build not found"}, "r2", true},
		"a list of inputs": {
			answer(422, `{"detail":[{"loc":["body","items",3,"name"],"msg":"Field required","type":"missing"}],"code":"invalid"}`),
			problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"body", "items", 3, "name"}, Msg: "Field required", Type: "missing"}}}, "", true},
		"API Gateway": {
			answer(403, `{"message":"Missing Authentication Token"}`, "X-Amzn-Requestid", "r3"),
			problem.Problem{Kind: problem.Forbidden, Detail: "Missing Authentication Token"}, "r3", false},
		"API Gateway, capital letter": {
			answer(413, `{"Message":"Request Too Long"}`),
			problem.Problem{Kind: problem.TooLarge, Detail: "Request Too Long"}, "", false},
		"a proxy's page": {
			answer(405, `<html>no</html>`, "Allow", "GET"),
			problem.Problem{Kind: problem.MethodNotAllowed, Allow: "GET", Detail: "405 Method Not Allowed (the answer is not from the API)"}, "", false},
		"throttled": {
			answer(503, `{"detail":"busy","code":"unavailable"}`, "Retry-After", "60"),
			problem.Problem{Kind: problem.Unavailable, Detail: "busy", RetryAfter: time.Minute}, "", true},
		"JSON of an unknown shape": {
			answer(500, `{"ready":false}`),
			problem.Problem{Kind: problem.Internal, Detail: "500 Internal Server Error"}, "", false},
		"a redirect elsewhere": {
			answer(302, ``, "Location", "https://login.example/in?secret=s"),
			problem.Problem{Kind: problem.Internal, Detail: "The API answered with a redirect to https://login.example/in, which is not followed. Is the URL right?"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := serve(t, test.answer)
			c, _ := newClient(t, Options{BaseURL: s.URL, APIKey: "secret"})
			err := c.Do(t.Context(), "GET", "/x", nil, nil, nil)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("err = %v, want an *Error", err)
			}
			if d := cmp.Diff(test.want, *e.Problem); d != "" {
				t.Error(d)
			}
			if e.RequestID != test.id || e.FromAPI != test.fromAPI {
				t.Errorf("request id %q, from API %v; want %q, %v", e.RequestID, e.FromAPI, test.id, test.fromAPI)
			}
			if !problem.Is(err, test.want.Kind) {
				t.Errorf("problem.Is(err, %s) is false", test.want.Kind)
			}
		})
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	ok := answer(200, `{}`)
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, test := range map[string]struct {
		method  string
		answers []http.HandlerFunc
		calls   int
		pauses  []time.Duration
		kind    problem.Kind // of the error; "" for success
	}{
		"a GET after 503":                        {"GET", []http.HandlerFunc{answer(503, `{}`), answer(502, `{}`), ok}, 3, []time.Duration{100 * ms, 200 * ms}, ""},
		"a POST after 429, waiting as asked":     {"POST", []http.HandlerFunc{answer(429, `{}`, "Retry-After", "7"), ok}, 2, []time.Duration{7 * time.Second}, ""},
		"three tries and no more":                {"PUT", []http.HandlerFunc{answer(504, `{}`)}, 3, []time.Duration{100 * ms, 200 * ms}, problem.Unavailable},
		"not when asked to wait for too long":    {"GET", []http.HandlerFunc{answer(503, `{}`, "Retry-After", "3600")}, 1, nil, problem.Unavailable},
		"not after another error":                {"GET", []http.HandlerFunc{answer(500, `{}`)}, 1, nil, problem.Internal},
		"not a PATCH":                            {"PATCH", []http.HandlerFunc{answer(503, `{}`)}, 1, nil, problem.Unavailable},
		"a POST whose connection broke":          {"POST", []http.HandlerFunc{hangUp, ok}, 2, []time.Duration{100 * ms}, ""},
		"a POST whose first try is still on":     {"POST", []http.HandlerFunc{answer(409, `{}`, "Retry-After", "1"), ok}, 2, []time.Duration{time.Second}, ""},
		"not a conflict without Retry-After":     {"POST", []http.HandlerFunc{answer(409, `{}`)}, 1, nil, problem.Conflict},
		"not a conflict of another method (PUT)": {"PUT", []http.HandlerFunc{answer(409, `{}`, "Retry-After", "1")}, 1, nil, problem.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, log := serve(t, test.answers...)
			ids := 0
			c, pauses := newClient(t, Options{BaseURL: s.URL, NewID: func() string { ids++; return fmt.Sprint("id-", ids) }})
			err := c.Do(t.Context(), test.method, "/x", nil, map[string]int{"a": 1}, nil)
			if test.kind == "" && err != nil || test.kind != "" && !problem.Is(err, test.kind) {
				t.Errorf("err = %v, want kind %q", err, test.kind)
			}
			if len(*log) != test.calls {
				t.Errorf("%d calls, want %d", len(*log), test.calls)
			}
			if d := cmp.Diff(test.pauses, *pauses); d != "" {
				t.Error(d)
			}
			for _, l := range *log {
				if d := cmp.Diff((*log)[0], l); d != "" {
					t.Errorf("a repetition differs: %s", d)
				}
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c, pauses := newClient(t, Options{BaseURL: s.URL, APIKey: "secret"})
	err := c.Do(t.Context(), "POST", "/x", url.Values{"q": {"v"}}, map[string]int{}, nil)
	var u *Unreachable
	if !errors.As(err, &u) || u.Timeout != 0 {
		t.Fatalf("err = %v, want an *Unreachable without a timeout", err)
	}
	if !strings.HasPrefix(err.Error(), "the API at "+s.URL+" cannot be reached: ") || strings.Contains(err.Error(), "secret") {
		t.Errorf("err = %v", err)
	}
	if len(*pauses) != 2 {
		t.Errorf("%d pauses, want 2", len(*pauses))
	}
}

func TestTimeoutIsSaidAndNotRepeated(t *testing.T) {
	t.Parallel()
	s, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c, pauses := newClient(t, Options{BaseURL: s.URL, Timeout: time.Millisecond})
	err := c.Do(t.Context(), "GET", "/x", nil, nil, nil)
	var u *Unreachable
	if !errors.As(err, &u) || err.Error() != "the API at "+s.URL+" did not answer within 1ms" {
		t.Fatalf("err = %v, want a timeout", err)
	}
	if len(*pauses) != 0 {
		t.Errorf("%d repetitions, want none", len(*pauses))
	}
}

func TestTheEndOfTheContextIsNotAnUnreachableAPI(t *testing.T) {
	t.Parallel()
	s, _ := serve(t, answer(200, `{}`))
	c, _ := newClient(t, Options{BaseURL: s.URL})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Do(ctx, "GET", "/x", nil, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
}

func TestRedirectsStayOnTheOrigin(t *testing.T) {
	t.Parallel()
	other, otherLog := serve(t, answer(200, `{}`))
	s, log := serve(t, answer(307, ``, "Location", "/there"), answer(307, ``, "Location", other.URL+"/steal"))
	c, _ := newClient(t, Options{BaseURL: s.URL, APIKey: "secret"})
	err := c.Do(t.Context(), "POST", "/x", nil, map[string]int{"a": 1}, nil)
	if err == nil || !strings.Contains(err.Error(), "redirect to "+other.URL+"/steal") {
		t.Errorf("err = %v, want a refused redirect", err)
	}
	if len(*otherLog) != 0 {
		t.Errorf("another host was called: %+v", *otherLog)
	}
	if len(*log) != 2 || (*log)[1].Body != `{"a":1}` || (*log)[1].Key != "secret" {
		t.Errorf("calls %+v, want the redirect within the origin to be followed with its body", *log)
	}
}

func TestTraceTellsEveryTryAndNoSecret(t *testing.T) {
	t.Parallel()
	s, _ := serve(t, answer(503, `{}`, "X-Request-Id", "r1"), answer(200, `{}`, "X-Request-Id", "r2"))
	var got []Call
	c, _ := newClient(t, Options{BaseURL: s.URL, APIKey: "secret", Trace: func(k Call) { got = append(got, k) }})
	if err := c.Do(t.Context(), "GET", "/x", nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	want := []Call{{Method: "GET", URL: s.URL + "/x", Try: 1, Status: 503, RequestID: "r1"}, {Method: "GET", URL: s.URL + "/x", Try: 2, Status: 200, RequestID: "r2"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAnAnswerThatIsNotJSON(t *testing.T) {
	t.Parallel()
	s, _ := serve(t, answer(200, `<html>`))
	c, _ := newClient(t, Options{BaseURL: s.URL})
	var out json.RawMessage
	if err := c.Do(t.Context(), "GET", "/x", nil, nil, &out); err == nil || !strings.Contains(err.Error(), "is the URL right?") {
		t.Errorf("err = %v, want a question about the URL", err)
	}
}

func TestNewRefusesASecretThatIsNoHeader(t *testing.T) {
	t.Parallel()
	_, err := New(Options{BaseURL: "http://x", APIKey: "hush\n"})
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("err = %v, want one that does not repeat the key", err)
	}
}

func TestWarningsAreTold(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Prefer"); got != "handling=strict" {
			t.Errorf("Prefer: %q, want handling=strict", got)
		}
		w.Header().Add("Warning", `299 - "status \"done-ish\" is no status, it is kept as the message"`)
		w.Header().Add("Warning", `299 bldst "first, with a comma" "Sat, 28 Nov 2026 21:00:00 GMT", 199 - "second"`)
		w.Header().Add("Warning", `not a warning`)
	}))
	defer srv.Close()
	var told []string
	c, err := New(Options{BaseURL: srv.URL, Warn: func(s string) { told = append(told, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), "GET", "/x", nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	want := []string{`status "done-ish" is no status, it is kept as the message`, "first, with a comma", "second"}
	if d := cmp.Diff(want, told); d != "" {
		t.Error(d)
	}
}
