package suite

import (
	"net/http"
	"strings"
	"testing"

	"bldst/shared/problem"
)

var headerTests = []test{
	{"X-Request-Id is the caller's when it is safe to log, else a new one", requestIDs},
	{"browsers of all origins may call, with what their users give them only", cors},
	{"ETag is the revision of what was answered", etags},
	{"every answer that is none of HTML says it must not be sniffed", nosniff},
	{"HEAD is GET without the body", head},
}

func requestIDs(t *testing.T, s *session) {
	for _, path := range []string{"/platforms", "/builds/no-such", "/nowhere", "/health"} {
		id := unique("my.Request_id")
		if r := s.dev.get(t, path, "X-Request-Id", id); r.header.Get("X-Request-Id") != id {
			t.Errorf("%s: X-Request-Id %s came back as %s", path, id, r.header.Get("X-Request-Id"))
		}
		eventually(t, func() string {
			if !strings.Contains(s.Log(), id) {
				return "the log does not have " + id
			}
			return ""
		})
	}
	for _, bad := range []string{strings.Repeat("x", 65), "a b", "a/b", `a"b`, "ü", "{}"} {
		if r := s.dev.get(t, "/platforms", "X-Request-Id", bad); r.header.Get("X-Request-Id") == bad {
			t.Errorf("X-Request-Id %q was taken", bad)
		}
	}
	one, two := s.dev.get(t, "/platforms").header.Get("X-Request-Id"), s.dev.get(t, "/platforms").header.Get("X-Request-Id")
	if one == two {
		t.Errorf("two requests have the id %s", one)
	}
}

func cors(t *testing.T, s *session) {
	r := s.dev.get(t, "/platforms", "Origin", "https://example.com").is(http.StatusOK)
	if r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("Access-Control-Allow-Credentials") != "" || !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Errorf("CORS headers %v", r.header)
	}
	p := s.nobody().do(t, http.MethodOptions, "/builds", nil, "Origin", "https://example.com", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "X-API-Key").is(http.StatusNoContent)
	if !strings.Contains(p.header.Get("Access-Control-Allow-Methods"), "POST") || !strings.Contains(p.header.Get("Access-Control-Allow-Headers"), "X-API-Key") {
		t.Errorf("preflight: %v", p.header)
	}
	if r := s.dev.get(t, "/platforms"); r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS headers without an origin")
	}
	s.nobody().get(t, "/platforms", "Origin", "https://example.com").refused(http.StatusUnauthorized, problem.Unauthorized)
}

func etags(t *testing.T, s *session) {
	b := s.dev.post(t, "/builds", obj{}).is(http.StatusCreated)
	at := "/builds/" + b.id()
	r := s.dev.post(t, at+"/state", obj{"state_code": 5}).is(http.StatusOK)
	if r.etag() != `"2"` || s.dev.get(t, at).etag() != `"2"` || s.dev.get(t, at+"/state").etag() != `"2"` || s.dev.get(t, at).obj()["revision"] != 2.0 {
		t.Errorf("ETag %s of the report, %s of the build", r.etag(), s.dev.get(t, at).etag())
	}
	for _, path := range []string{"/users/me", "/users/me/profile", "/projects/default", "/projects/default/state-codes/pending", "/projects/default/resumable-states/20"} {
		s.admin.get(t, path).is(http.StatusOK).etag()
	}
}

func nosniff(t *testing.T, s *session) {
	for _, path := range []string{"/platforms", "/nowhere", "/health", "/openapi.json", "/docs"} {
		if r := s.dev.get(t, path); r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s has no X-Content-Type-Options", path)
		}
	}
	for path, want := range map[string]string{"/docs": "no-cache", "/redoc": "no-cache", "/platforms": "no-store", "/nowhere": "no-store", "/users/me/tokens": "no-store"} {
		if r := s.dev.get(t, path); r.header.Get("Cache-Control") != want {
			t.Errorf("%s has Cache-Control %q, want %q", path, r.header.Get("Cache-Control"), want)
		}
	}
	for _, path := range []string{"/docs", "/redoc"} {
		h := s.nobody().get(t, path).is(http.StatusOK).header
		if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("X-Frame-Options") != "DENY" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if r := s.dev.get(t, "/platforms"); r.header.Get("Content-Type") != "application/json" {
		t.Errorf("/platforms is %s", r.header.Get("Content-Type"))
	}
}

func head(t *testing.T, s *session) {
	for _, path := range []string{"/platforms", "/platforms/azure", "/health"} {
		if r := s.dev.do(t, http.MethodHead, path, nil).is(http.StatusOK); len(r.body) != 0 {
			t.Errorf("HEAD %s has a body", path)
		}
	}
}
