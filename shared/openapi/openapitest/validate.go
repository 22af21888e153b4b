// Package openapitest checks answers against the OpenAPI document. It is for
// tests.
package openapitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"bldst/shared/openapi"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Check fails t when an answer to method and path (which may have a query) is
// not one the document allows: another status, header or content type, or a
// body of another form. Paths the document does not have, and the
// documentation itself, are not checked.
func Check(t testing.TB, method, path string, status int, header http.Header, body []byte) {
	t.Helper()
	if err := validate(method, path, status, header, body); err != nil {
		t.Errorf("%s %s answered %d, which openapi.json does not describe: %v\nbody: %.2000s\nMend the handler, or what its api.Op says, and run make gen.", method, path, status, err, body)
	}
}

// Transport returns a RoundTripper that makes requests with next (nil is the
// default one) and checks every answer.
func Transport(t testing.TB, next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{t, next}
}

type transport struct {
	t    testing.TB
	next http.RoundTripper
}

func (tr *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := tr.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	Check(tr.t, r.Method, r.URL.RequestURI(), res.StatusCode, res.Header, body)
	return res, nil
}

// document loads the document once.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(openapi.JSON)
	if err != nil {
		return nil, fmt.Errorf("openapi.json: %w", err)
	}
	for _, s := range doc.Components.Schemas {
		for _, p := range s.Value.Properties {
			// A schema that says nothing allows null; the validator thinks not.
			if v := p.Value; p.Ref == "" && v.Type == nil && len(v.AnyOf)+len(v.OneOf)+len(v.AllOf) == 0 {
				v.Type = &openapi3.Types{"array", "boolean", "null", "number", "object", "string"}
			}
		}
	}
	return doc, nil
})

func validate(method, path string, status int, header http.Header, body []byte) error {
	doc, err := document()
	if err != nil {
		return err
	}
	route := find(doc, method, path)
	if route == nil {
		return nil
	}
	r, err := http.NewRequest(method, "http://api.example/", nil)
	if err != nil {
		return err
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route},
		Status:                 status, Header: header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	out.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(r.Context(), out)
}

// find returns the operation that serves path, nil when there is none. Names
// go before parameters.
func find(doc *openapi3.T, method, path string) *routers.Route {
	var best *routers.Route
	fixed := -1
	for template, item := range doc.Paths.Map() {
		op := item.GetOperation(method)
		if n := match(segments(template), segments(path)); op != nil && n > fixed {
			best, fixed = &routers.Route{Spec: doc, Path: template, PathItem: item, Method: method, Operation: op}, n
		}
	}
	return best
}

// match returns how many segments of path are those of template, -1 when the
// path is not of that form.
func match(template, path []string) int {
	if len(template) != len(path) {
		return -1
	}
	n := 0
	for i, s := range template {
		switch {
		case s == path[i]:
			n++
		case s == "" || s[0] != '{' || path[i] == "":
			return -1
		}
	}
	return n
}

// segments splits a path, in the spelling the document has.
func segments(path string) []string {
	p, _, _ := strings.Cut(path, "?")
	if len(p) > 1 {
		p = strings.TrimSuffix(p, "/")
	}
	parts := strings.Split(p, "/")
	for i := 1; i < len(parts); i += 2 {
		parts[i] = strings.ReplaceAll(parts[i], "_", "-")
	}
	return parts
}
