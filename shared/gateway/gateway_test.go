package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

// seen is what reaches the handler of a request.
type seen struct {
	Method, Path, Query, Host, Remote, ID string
	Notes                                 []string
	Body                                  string
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	*s = seen{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Host: r.URL.Host, Remote: r.RemoteAddr,
		ID: r.Header.Get("X-Request-Id"), Notes: r.Header.Values("X-Note"), Body: string(body)}
	w.Header().Add("X-Out", "one")
	w.Header().Add("X-Out", "two")
	w.WriteHeader(http.StatusTeapot)
	_, _ = w.Write(body)
}

func invoke(t *testing.T, h http.Handler, event any) events.APIGatewayProxyResponse {
	t.Helper()
	payload, ok := event.(string)
	if !ok {
		b, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		payload = string(b)
	}
	out, err := Handler(h).Invoke(t.Context(), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	var res events.APIGatewayProxyResponse
	if err := json.Unmarshal(out, &res); err != nil {
		t.Fatal(err)
	}
	return res
}

func TestHandlerPassesRequests(t *testing.T) {
	t.Parallel()
	context := events.APIGatewayProxyRequestContext{RequestID: "req-1", DomainName: "api.example", Identity: events.APIGatewayRequestIdentity{SourceIP: "192.0.2.1"}}
	for name, c := range map[string]struct {
		event events.APIGatewayProxyRequest
		want  seen
	}{
		"everything there is": {
			events.APIGatewayProxyRequest{HTTPMethod: "POST", Path: "/builds", Body: `{"a":1}`, RequestContext: context,
				MultiValueHeaders:               map[string][]string{"X-Note": {"one", "two"}},
				MultiValueQueryStringParameters: map[string][]string{"b": {"2", "3 4"}, "a": {"1"}}},
			seen{Method: "POST", Path: "/builds", Query: "a=1&b=2&b=3+4", Host: "api.example", Remote: "192.0.2.1", ID: "req-1", Notes: []string{"one", "two"}, Body: `{"a":1}`}},
		"single values, as a test event of the console has them": {
			events.APIGatewayProxyRequest{HTTPMethod: "GET", Path: "/builds", Headers: map[string]string{"X-Note": "one"}, QueryStringParameters: map[string]string{"q": "1"}},
			seen{Method: "GET", Path: "/builds", Query: "q=1", Notes: []string{"one"}}},
		"the caller's own request id": {
			events.APIGatewayProxyRequest{HTTPMethod: "GET", Path: "/", RequestContext: context, MultiValueHeaders: map[string][]string{"x-request-id": {"mine"}}},
			seen{Method: "GET", Path: "/", Host: "api.example", Remote: "192.0.2.1", ID: "mine"}},
		"a body in base64": {
			events.APIGatewayProxyRequest{HTTPMethod: "POST", Path: "/x", Body: "//4=", IsBase64Encoded: true},
			seen{Method: "POST", Path: "/x", Body: "\xff\xfe"}},
		"an encoded path stays encoded":   {events.APIGatewayProxyRequest{HTTPMethod: "GET", Path: "/builds/a%20b%2Fc"}, seen{Method: "GET", Path: "/builds/a b/c"}},
		"a decoded path is encoded":       {events.APIGatewayProxyRequest{HTTPMethod: "GET", Path: "/builds/a b"}, seen{Method: "GET", Path: "/builds/a b"}},
		"a path with a broken escape":     {events.APIGatewayProxyRequest{HTTPMethod: "GET", Path: "/builds/%zz"}, seen{Method: "GET", Path: "/builds/%zz"}},
		"a decoded question mark":         {events.APIGatewayProxyRequest{HTTPMethod: "GET", Path: "/builds/a?admin=true"}, seen{Method: "GET", Path: "/builds/a?admin=true"}},
		"a path with a control character": {events.APIGatewayProxyRequest{HTTPMethod: "GET", Path: "/builds/\n"}, seen{Method: "GET", Path: "/builds/\n"}},
		"a path that looks like a host":   {events.APIGatewayProxyRequest{HTTPMethod: "GET", Path: "//evil.example/x"}, seen{Method: "GET", Path: "//evil.example/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got seen
			res := invoke(t, &got, c.event)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if res.StatusCode != http.StatusTeapot || !cmp.Equal(res.MultiValueHeaders["X-Out"], []string{"one", "two"}) {
				t.Errorf("answer %d %v, want the handler's", res.StatusCode, res.MultiValueHeaders)
			}
		})
	}
}

func TestHandlerAnswersBinaryInBase64(t *testing.T) {
	t.Parallel()
	res := invoke(t, new(seen), events.APIGatewayProxyRequest{HTTPMethod: "POST", Path: "/x", Body: "//4=", IsBase64Encoded: true})
	if !res.IsBase64Encoded || res.Body != "//4=" {
		t.Errorf("body %q, base64 %v, want //4= in base64", res.Body, res.IsBase64Encoded)
	}
}

func TestHandlerAnswersWhatHTTPCannotSay(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]events.APIGatewayProxyRequest{
		"a method with a space":  {HTTPMethod: "GE T", Path: "/"},
		"a broken base64 body":   {HTTPMethod: "POST", Path: "/", Body: "*", IsBase64Encoded: true},
		"a host that is no host": {HTTPMethod: "GET", Path: "/", RequestContext: events.APIGatewayProxyRequestContext{DomainName: "a b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event.RequestContext.RequestID = "req-1"
			res := invoke(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), event)
			var body map[string]string
			if err := json.Unmarshal([]byte(res.Body), &body); err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != http.StatusBadRequest || body["code"] != "refused" || body["request_id"] != "req-1" || body["detail"] == "" {
				t.Errorf("%d %v, want 400 in the shape of every error", res.StatusCode, body)
			}
		})
	}
}

func TestHandlerRefusesOtherEvents(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{``, `[]`, `{"Records":[]}`, `{"httpMethod":"GET","path":7}`} {
		_, err := Handler(new(seen)).Invoke(context.Background(), []byte(payload))
		if err == nil || !strings.Contains(err.Error(), "not an API Gateway proxy event") {
			t.Errorf("payload %q: error %v, want that it is not a proxy event", payload, err)
		}
	}
}

func FuzzHandler(f *testing.F) {
	f.Add("GET", "/builds/%zz", "q", "v", "body", false)
	f.Fuzz(func(t *testing.T, method, path, key, value, body string, encoded bool) {
		if method == "" {
			return
		}
		invoke(t, new(seen), events.APIGatewayProxyRequest{HTTPMethod: method, Path: path, Body: body, IsBase64Encoded: encoded,
			MultiValueHeaders: map[string][]string{key: {value}}, MultiValueQueryStringParameters: map[string][]string{key: {value}}})
	})
}
