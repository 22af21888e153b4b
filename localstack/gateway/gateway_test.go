package gateway_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bldst/localstack/gateway"
	"bldst/shared/manifest"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/go-cmp/cmp"
)

var functions = []manifest.Function{
	{Name: "things", Routes: []string{"/things", "/things/{id}", "/things/{id}/{proxy+}"}},
	{Name: "rest", Routes: []string{"/", "/{proxy+}"}},
}

// fake answers every event with what reply makes of it.
type fake func(payload []byte) (string, error)

func (f fake) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	out, err := f(payload)
	return []byte(out), err
}

func serve(t *testing.T, f fake) http.Handler {
	t.Helper()
	g, err := gateway.New(map[string]lambda.Handler{"things": f, "rest": f}, gateway.Options{
		Functions: functions, Stage: "test", Log: slog.New(slog.DiscardHandler),
		Now:   func() time.Time { return time.Date(2024, 2, 1, 10, 0, 0, 5e6, time.UTC) },
		NewID: func() string { return "req-1" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// eventOf returns the event that the request becomes, and its JSON.
func eventOf(t *testing.T, r *http.Request) (events.APIGatewayProxyRequest, []byte) {
	t.Helper()
	var payload []byte
	h := serve(t, func(p []byte) (string, error) {
		payload = append(payload, p...)
		return `{"statusCode":204}`, nil
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNoContent {
		t.Fatalf("the function was not asked: %d %s", w.Code, w.Body)
	}
	var e events.APIGatewayProxyRequest
	if err := json.Unmarshal(payload, &e); err != nil {
		t.Fatalf("the event is no JSON: %v\n%s", err, payload)
	}
	return e, payload
}

func TestEventIsThatOfAPIGateway(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/things/a%20b/sub/x%2Fy?q=1&q=two+words&empty=", strings.NewReader("{\"text\":\"\\u00e4 \\\\ \x01\n\t\"}"))
	r.Host, r.RemoteAddr = "api.example:8080", "192.0.2.1:4711"
	r.Header = http.Header{"X-Note": {"one", "two \"quoted\""}, "User-Agent": {"tester"}, "X-Forwarded-For": {"198.51.100.7"}}
	got, _ := eventOf(t, r)
	want := events.APIGatewayProxyRequest{
		Resource: "/things/{id}/{proxy+}", Path: "/things/a%20b/sub/x%2Fy", HTTPMethod: "POST",
		Headers: map[string]string{"X-Note": "two \"quoted\"", "User-Agent": "tester", "Host": "api.example:8080",
			"X-Forwarded-For": "198.51.100.7, 192.0.2.1", "X-Forwarded-Port": "8080", "X-Forwarded-Proto": "http"},
		MultiValueHeaders: map[string][]string{"X-Note": {"one", "two \"quoted\""}, "User-Agent": {"tester"}, "Host": {"api.example:8080"},
			"X-Forwarded-For": {"198.51.100.7, 192.0.2.1"}, "X-Forwarded-Port": {"8080"}, "X-Forwarded-Proto": {"http"}},
		QueryStringParameters:           map[string]string{"q": "two words", "empty": ""},
		MultiValueQueryStringParameters: map[string][]string{"q": {"1", "two words"}, "empty": {""}},
		PathParameters:                  map[string]string{"id": "a b", "proxy": "sub/x/y"},
		Body:                            "{\"text\":\"\\u00e4 \\\\ \x01\n\t\"}",
		RequestContext: events.APIGatewayProxyRequestContext{
			AccountID: "000000000000", APIID: "local", ResourceID: "local", Protocol: "HTTP/1.1", ResourcePath: "/things/{id}/{proxy+}",
			HTTPMethod: "POST", Path: "/things/a%20b/sub/x%2Fy", Stage: "test", RequestID: "req-1", ExtendedRequestID: "req-1", DomainName: "api.example:8080",
			RequestTime: "01/Feb/2024:10:00:00 +0000", RequestTimeEpoch: 1706781600005,
			Identity: events.APIGatewayRequestIdentity{SourceIP: "192.0.2.1", UserAgent: "tester"},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// Every name in the event must be one the events package knows: a field with a
// wrong name would be lost without a word.
func TestEventHasNoUnknownFields(t *testing.T) {
	t.Parallel()
	_, payload := eventOf(t, httptest.NewRequest(http.MethodGet, "/things/1?q=1", nil))
	d := json.NewDecoder(strings.NewReader(string(payload)))
	d.DisallowUnknownFields()
	var e events.APIGatewayProxyRequest
	if err := d.Decode(&e); err != nil {
		t.Error(err)
	}
}

func TestEventOfABody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body    string
		want    string
		encoded bool
	}{
		"none":               {"", "", false},
		"text":               {"grün \u2028 \U0001F600", "grün \u2028 \U0001F600", false},
		"bytes that are not": {"\xff\x00", base64.StdEncoding.EncodeToString([]byte("\xff\x00")), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, _ := eventOf(t, httptest.NewRequest(http.MethodPost, "/things", strings.NewReader(c.body)))
			if e.Body != c.want || e.IsBase64Encoded != c.encoded {
				t.Errorf("body %q, base64 %v; want %q, %v", e.Body, e.IsBase64Encoded, c.want, c.encoded)
			}
		})
	}
}

func FuzzEvent(f *testing.F) {
	f.Add("/things/1", "q=1", "X-Note", "value", "body")
	f.Add("/things/1", "q=1", "\xd7", "\x86", "two halves of a letter")
	f.Fuzz(func(t *testing.T, path, query, header, value, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.URL.Path, r.URL.RawQuery = "/"+path, query
		r.Header = http.Header{header: {value}}
		e, _ := eventOf(t, r)
		if got := e.Headers[header]; utf8.ValidString(header) && utf8.ValidString(value) && !isAdded(header) && got != value {
			t.Errorf("header %q is %q, want %q", header, got, value)
		}
		if got := decoded(t, e); got != body {
			t.Errorf("body %q, want %q", got, body)
		}
	})
}

func isAdded(name string) bool {
	return name == "Host" || strings.HasPrefix(name, "X-Forwarded-")
}

func decoded(t *testing.T, e events.APIGatewayProxyRequest) string {
	t.Helper()
	if !e.IsBase64Encoded {
		return e.Body
	}
	b, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	internal := `{"code":"internal","detail":"Internal Server Error","request_id":"req-1"}` + "\n"
	for name, c := range map[string]struct {
		answer string
		err    error
		status int
		body   string
		header http.Header
	}{
		"a plain one":                      {`{"statusCode":201,"headers":{"X-A":"1"},"multiValueHeaders":{"x-b":["1","2"]},"body":"hi"}`, nil, 201, "hi", http.Header{"X-A": {"1"}, "X-B": {"1", "2"}}},
		"a binary one":                     {`{"statusCode":200,"body":"/w==","isBase64Encoded":true}`, nil, 200, "\xff", nil},
		"without body":                     {`{"statusCode":204}`, nil, 204, "", nil},
		"a function that fails":            {"", errors.New("secret cause"), 500, internal, http.Header{"X-Request-Id": {"req-1"}}},
		"a function that answers nonsense": {"hello", nil, 500, internal, nil},
		"a function without a status":      {"{}", nil, 500, internal, nil},
		"a broken binary answer":           {`{"statusCode":200,"body":"*","isBase64Encoded":true}`, nil, 500, internal, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			serve(t, func([]byte) (string, error) { return c.answer, c.err }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/things", nil))
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, c.status, c.body)
			}
			for k, v := range c.header {
				if !cmp.Equal(w.Header()[k], v) {
					t.Errorf("header %s is %q, want %q", k, w.Header()[k], v)
				}
			}
		})
	}
}

func TestAFunctionThatPanics(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	serve(t, func([]byte) (string, error) { panic("kaboom") }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/things", nil))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "kaboom") {
		t.Errorf("%d %s, want 500 without the cause", w.Code, w.Body)
	}
}

func TestABodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	h := serve(t, func(p []byte) (string, error) { return `{"statusCode":204}`, nil })
	for size, want := range map[int]int{gateway.MaxBody: http.StatusNoContent, gateway.MaxBody + 1: http.StatusRequestEntityTooLarge} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/things", strings.NewReader(strings.Repeat("x", size))))
		if w.Code != want {
			t.Errorf("%d bytes: %d, want %d", size, w.Code, want)
		}
	}
}

func TestTheFunctionGoesOnWhenTheCallerHangsUp(t *testing.T) {
	t.Parallel()
	var alive error
	f := handlerFunc(func(ctx context.Context, _ []byte) ([]byte, error) {
		alive = ctx.Err()
		return []byte(`{"statusCode":204}`), nil
	})
	g, err := gateway.New(map[string]lambda.Handler{"things": f, "rest": f}, gateway.Options{Functions: functions})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/things", nil).WithContext(ctx))
	if alive != nil {
		t.Errorf("the context of the function ended: %v", alive)
	}
}

type handlerFunc func(context.Context, []byte) ([]byte, error)

func (f handlerFunc) Invoke(ctx context.Context, p []byte) ([]byte, error) { return f(ctx, p) }

func TestNewNamesTheFunctionWithoutAHandler(t *testing.T) {
	t.Parallel()
	_, err := gateway.New(map[string]lambda.Handler{"rest": fake(nil)}, gateway.Options{Functions: functions})
	if err == nil || !strings.Contains(err.Error(), "things") {
		t.Errorf("error %v, want one that names things", err)
	}
}

// BenchmarkGateway compares the whole way of a request with a bare Lambda
// handler, which only decodes the event and encodes an answer.
func BenchmarkGateway(b *testing.B) {
	bare := lambda.NewHandler(func(_ context.Context, e events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
		return events.APIGatewayProxyResponse{StatusCode: 200, Body: `{"id":"1"}`, Headers: map[string]string{"Content-Type": "application/json"}}, nil
	})
	g, err := gateway.New(map[string]lambda.Handler{"things": bare, "rest": bare}, gateway.Options{Functions: functions})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/things/1?limit=10", nil)
	r.Header = http.Header{"Accept": {"*/*"}, "User-Agent": {"bench/1.0"}, "X-Api-Key": {"dev-key-12345"}, "Accept-Encoding": {"gzip"}}
	b.ReportAllocs()
	for b.Loop() {
		g.ServeHTTP(discard{http.Header{}}, r)
	}
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func TestAnAnswerIsAsLargeAsLambdaAllows(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for _, c := range []struct{ size, status int }{{gateway.MaxAnswer, http.StatusOK}, {gateway.MaxAnswer + 1, http.StatusBadGateway}} {
		frame := `{"statusCode":200,"body":""}`
		h := fake(func([]byte) (string, error) {
			return strings.Replace(frame, `""`, `"`+strings.Repeat("x", c.size-len(frame))+`"`, 1), nil
		})
		g, err := gateway.New(map[string]lambda.Handler{"things": h, "rest": h}, gateway.Options{Functions: functions, Log: slog.New(slog.NewJSONHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/things", nil))
		if w.Code != c.status {
			t.Errorf("an answer of %d bytes: %d, want %d", c.size, w.Code, c.status)
		}
	}
	if said := log.String(); !strings.Contains(said, `"bytes":6291557`) || !strings.Contains(said, `"function":"things"`) || strings.Count(said, "\n") != 1 {
		t.Errorf("the log says %q, want one line with the function and the bytes", said)
	}
}
