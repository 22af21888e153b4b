// Package gateway puts an http.Handler behind the proxy events of an API
// Gateway REST API (payload 1.0). It is the only importer of
// aws-lambda-go-api-proxy.
package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"bldst/shared/problem"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
)

// Start serves h to the Lambda runtime and does not return.
func Start(h http.Handler) { lambda.Start(Handler(h)) }

// Handler returns h as a Lambda handler. A request h can be asked is always
// answered by h; one that HTTP cannot express is answered with a JSON error.
// Invoke returns an error only for a payload that is not a proxy event.
func Handler(h http.Handler) lambda.Handler {
	return &handler{adapter: httpadapter.New(h)}
}

type handler struct{ adapter *httpadapter.HandlerAdapter }

// Invoke implements lambda.Handler.
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("not an API Gateway proxy event: %w", err)
	}
	if e.HTTPMethod == "" {
		return nil, errors.New("not an API Gateway proxy event: httpMethod is missing")
	}
	req, err := e.request()
	if err != nil {
		return json.Marshal(unreadable(e.RequestContext.RequestID))
	}
	res, err := h.adapter.ProxyWithContext(ctx, req)
	if err != nil {
		return json.Marshal(unreadable(e.RequestContext.RequestID))
	}
	return json.Marshal(&res)
}

// An event is what is needed of events.APIGatewayProxyRequest. Real events
// carry everything twice; the single-value maps stay undecoded unless they
// are all there is.
type event struct {
	Path              string              `json:"path"`
	HTTPMethod        string              `json:"httpMethod"`
	Headers           json.RawMessage     `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Query             json.RawMessage     `json:"queryStringParameters"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
	RequestContext    struct {
		DomainName string `json:"domainName"`
		RequestID  string `json:"requestId"`
		Identity   struct {
			SourceIP string `json:"sourceIp"`
		} `json:"identity"`
	} `json:"requestContext"`
}

// request returns the event as the adapter wants it: with a path and a query
// that parse whatever the caller sent, and the id API Gateway gave the request
// unless the caller has one of his own.
func (e *event) request() (events.APIGatewayProxyRequest, error) {
	headers, err := multi(e.MultiValueHeaders, e.Headers)
	if err != nil {
		return events.APIGatewayProxyRequest{}, fmt.Errorf("headers: %w", err)
	}
	query, err := multi(e.MultiValueQuery, e.Query)
	if err != nil {
		return events.APIGatewayProxyRequest{}, fmt.Errorf("query: %w", err)
	}
	r := events.APIGatewayProxyRequest{HTTPMethod: e.HTTPMethod, Path: escape(e.Path), MultiValueHeaders: headers, Body: e.Body}
	// In the path, because the adapter would write the map in random order and
	// equal requests must stay equal (see api.Idempotency).
	if len(query) > 0 {
		r.Path += "?" + url.Values(query).Encode()
	}
	if e.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(e.Body)
		if err != nil {
			return r, fmt.Errorf("body: %w", err)
		}
		r.Body = string(body)
	}
	if !has(headers, "X-Request-Id") && e.RequestContext.RequestID != "" {
		headers["X-Request-Id"] = []string{e.RequestContext.RequestID}
	}
	r.RequestContext.DomainName = e.RequestContext.DomainName
	r.RequestContext.Identity.SourceIP = e.RequestContext.Identity.SourceIP
	return r, nil
}

// multi returns the map of many values, made from the single-value one when it
// is absent. It is never nil.
func multi(many map[string][]string, single json.RawMessage) (map[string][]string, error) {
	if many != nil {
		return many, nil
	}
	out := map[string][]string{}
	if len(single) == 0 {
		return out, nil
	}
	var one map[string]string
	err := json.Unmarshal(single, &one)
	for k, v := range one {
		out[k] = []string{v}
	}
	return out, err
}

func has(headers map[string][]string, name string) bool {
	if _, ok := headers[name]; ok {
		return true
	}
	for k := range headers {
		if strings.EqualFold(k, name) {
			return true
		}
	}
	return false
}

// escape makes path safe to parse. A REST API hands it over as it was sent,
// percent-encoded; other hosts decode it. What is encoded already stays, and
// what cannot stand in a path is encoded.
func escape(path string) string {
	clean := true
	for i := 0; i < len(path) && clean; i++ {
		clean = pathByte(path, i)
	}
	if clean {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if pathByte(path, i) {
			b.WriteByte(path[i])
			continue
		}
		fmt.Fprintf(&b, "%%%02X", path[i])
	}
	return b.String()
}

// pathByte reports whether the byte at i may stand in an encoded path.
func pathByte(path string, i int) bool {
	switch c := path[i]; {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	case c == '%':
		return i+2 < len(path) && hex(path[i+1]) && hex(path[i+2])
	default:
		return strings.IndexByte("/-._~!$&'()*+,;=:@", c) >= 0
	}
}

func hex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// unreadable is the answer to a request that cannot be expressed in HTTP.
func unreadable(requestID string) events.APIGatewayProxyResponse {
	p := problem.New(problem.Refused, "The request cannot be read; send it again with a valid method, host and body.")
	body, _ := json.Marshal(map[string]any{"detail": p.Detail, "code": p.Kind, "request_id": requestID})
	return events.APIGatewayProxyResponse{
		StatusCode:        p.Kind.Status(),
		MultiValueHeaders: map[string][]string{"Content-Type": {"application/json"}, "X-Request-Id": {requestID}},
		Body:              string(body),
	}
}
