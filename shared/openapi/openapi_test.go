package openapi_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bldst/shared/api"
	"bldst/shared/openapi"
	"bldst/shared/openapi/openapitest"
	"bldst/shared/wire"

	"github.com/getkin/kin-openapi/openapi3"
)

func TestTheDocumentIsThatOfTheCode(t *testing.T) {
	t.Parallel()
	want, err := wire.Spec()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, openapi.JSON) {
		t.Error("shared/openapi/openapi.json is not what the endpoints say; run make gen and commit the file")
	}
}

func TestTheDocumentIsValid(t *testing.T) {
	t.Parallel()
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(openapi.JSON)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(loader.Context, openapi3.AllowExtraSiblingFields("patternDescription"), openapi3.DisableExamplesValidation()); err != nil {
		t.Error(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, res := range op.Responses.Map() {
				checkExamples(t, method, path, status, res.Value)
			}
		}
	}
	if doc.Info.Title != api.Title || doc.Info.Version != api.Version {
		t.Errorf("the document is of %s %s, want %s %s", doc.Info.Title, doc.Info.Version, api.Title, api.Version)
	}
}

func TestEveryOperationIsDescribed(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.JSON)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Summary == "" {
				t.Errorf("%s %s has no summary", method, path)
			}
			if _, scoped := op.Extensions["x-scope"]; !scoped && (op.Security == nil || len(*op.Security) > 0) {
				t.Errorf("%s %s has no scope and is not public", method, path)
			}
			if op.RequestBody != nil && !hasExample(op.RequestBody.Value.Content) {
				t.Errorf("%s %s has no example of its body; give its Op a Request", method, path)
			}
			errors := 0
			for status, res := range op.Responses.Map() {
				if status >= "400" {
					errors++
				}
				if len(res.Value.Content) > 0 && !hasExample(res.Value.Content) {
					t.Errorf("%s %s has no example of its %s; give its Op an Answer", method, path, status)
				}
			}
			if errors == 0 {
				t.Errorf("%s %s has no error answers", method, path)
			}
		}
	}
}

func hasExample(c openapi3.Content) bool {
	for _, m := range c {
		if m.Example != nil || len(m.Examples) > 0 {
			return true
		}
	}
	return false
}

// reserved are the words that stand where others have a name or an id, and why
// nothing is lost.
var reserved = map[string]string{
	"/users/me":                   "nobody may be called me",
	"/builds/{id}/variables/dict": "a variable called dict is found by its id",
}

func TestNoWordTakesThePlaceOfAName(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.JSON)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{} // paths, up to a parameter, that have one next
	for path := range doc.Paths.Map() {
		parts := strings.Split(path, "/")
		for i, p := range parts {
			if strings.HasPrefix(p, "{") {
				named[strings.Join(parts[:i], "/")] = true
			}
		}
	}
	for path := range doc.Paths.Map() {
		parts := strings.Split(path, "/")
		for i, p := range parts {
			at := strings.Join(parts[:i+1], "/")
			if i > 0 && !strings.HasPrefix(p, "{") && named[strings.Join(parts[:i], "/")] && reserved[at] == "" {
				t.Errorf("%s hides what is called %s; choose another path, or say in reserved why nothing is lost", at, p)
			}
		}
	}
}

// checkExamples fails t when an example of an answer is none the document
// allows.
func checkExamples(t *testing.T, method, path, status string, res *openapi3.Response) {
	t.Helper()
	code, err := strconv.Atoi(status)
	m := res.Content.Get("application/json")
	if err != nil || m == nil {
		return
	}
	examples := []any{m.Example}
	for _, e := range m.Examples {
		examples = append(examples, e.Value.Value)
	}
	for _, e := range examples {
		if e == nil {
			continue
		}
		body, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		openapitest.Check(t, method, path, code, http.Header{"Content-Type": {"application/json"}}, body)
	}
}

func serve(t *testing.T) http.Handler {
	t.Helper()
	return wire.Public(wire.Ports{Log: slog.New(slog.DiscardHandler)}, openapi.Docs)
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := serve(t)
	for path, want := range map[string]struct {
		contentType string
		contains    string
	}{
		"/docs":                      {"text/html; charset=utf-8", "SwaggerUIBundle"},
		"/docs/":                     {"text/html; charset=utf-8", "SwaggerUIBundle"},
		"/redoc":                     {"text/html; charset=utf-8", "Redoc.init"},
		"/openapi.json":              {"application/json", `"openapi"`},
		"/docs/swagger-ui.css":       {"text/css; charset=utf-8", ".swagger-ui"},
		"/docs/swagger-ui-bundle.js": {"text/javascript; charset=utf-8", "SwaggerUIBundle"},
		"/redoc/redoc.js":            {"text/javascript; charset=utf-8", "Redoc"},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			w := get(h, path)
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want.contentType || !strings.Contains(w.Body.String(), want.contains) {
				t.Errorf("%d %s %.200s, want 200 %s with %q", w.Code, w.Header().Get("Content-Type"), w.Body, want.contentType, want.contains)
			}
			again := get(h, path, "If-None-Match", w.Header().Get("ETag"))
			if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
				t.Errorf("asked again with its ETag: %d with %d bytes, want 304 without any", again.Code, again.Body.Len())
			}
		})
	}
	if w := get(h, "/docs/other.js"); w.Code != http.StatusNotFound {
		t.Errorf("an unknown file: %d, want 404", w.Code)
	}
}

func TestPagesNameNothingOutsideTheirFolder(t *testing.T) {
	t.Parallel()
	h := serve(t)
	address := regexp.MustCompile(`(?:src|href|url)(?:=|: )"([^"+]*)"|Redoc\.init\("([^"]*)"`)
	for _, page := range []string{"/docs", "/redoc"} {
		var named []string
		for _, m := range address.FindAllStringSubmatch(get(h, page).Body.String(), -1) {
			named = append(named, m[1]+m[2])
		}
		if !slices.Contains(named, "openapi.json") {
			t.Errorf("%s names %q, want openapi.json among them", page, named)
		}
		for _, a := range named {
			if a == "data:," {
				continue
			}
			if strings.Contains(a, "//") || strings.HasPrefix(a, "/") {
				t.Errorf("%s names %q, which is not relative: it is lost behind a stage, or needs a network", page, a)
			}
			if w := get(h, "/"+a); w.Code != http.StatusOK {
				t.Errorf("%s names %q, which answers %d", page, a, w.Code)
			}
		}
	}
}
