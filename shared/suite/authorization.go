package suite

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

var authorizationTests = []test{
	{"every endpoint asks every credential for its scope", authorization},
	{"a bound credential is kept out of other projects' builds by every endpoint", boundEverywhere},
	{"everybody may act on themselves", self},
}

// beyond are the endpoints that the contract's index does not have, beside those
// of nouns.
const beyond = `
GET /docs -|GET /redoc -|GET /openapi.json -
GET /projects/{id}/windows read
GET /projects/{id}/policy read|PUT /projects/{id}/policy write|GET /projects/{id}/ci read|PUT /projects/{id}/ci admin|DELETE /projects/{id}/ci admin
GET /projects/{id}/subscriptions read|POST /projects/{id}/subscriptions write|GET /projects/{id}/subscriptions/{id} read
PUT /projects/{id}/subscriptions/{id} write|DELETE /projects/{id}/subscriptions/{id} write
GET /projects/{id}/deliveries read|GET /deliveries/{id} read|POST /deliveries/{id}/replay admin
GET /breakers read|GET /breakers/{id} read|POST /breakers/{id}/close write
GET /metrics/resumes/stats read|GET /metrics/resumes/time-saved read|GET /metrics/artifacts/storage-usage read|GET /metrics/builds/resume-success-rate read
POST /webhooks/build-failure -
`

// The credentials, and what an endpoint of each scope says to them: the status,
// or 0 for "let in", whatever it answers then.
var admission = map[string]map[string]int{
	"-":     {"none": 0, "garbage": 0, "expired JWT": 0, "unsigned JWT": 0, "revoked key": 0, "read": 0, "write": 0, "bound write": 0, "admin": 0},
	"any":   {"none": 401, "garbage": 401, "expired JWT": 401, "unsigned JWT": 401, "revoked key": 401, "read": 0, "write": 0, "bound write": 0, "admin": 0},
	"read":  {"none": 401, "garbage": 401, "expired JWT": 401, "unsigned JWT": 401, "revoked key": 401, "read": 0, "write": 0, "bound write": 0, "admin": 0},
	"write": {"none": 401, "garbage": 401, "expired JWT": 401, "unsigned JWT": 401, "revoked key": 401, "read": 403, "write": 0, "bound write": 0, "admin": 0},
	"admin": {"none": 401, "garbage": 401, "expired JWT": 401, "unsigned JWT": 401, "revoked key": 401, "read": 403, "write": 403, "bound write": 403, "admin": 0},
}

// exceptions say something else than the scope does, by endpoint and
// credential; "*" is every credential that is let in.
var exceptions = map[string]map[string]int{
	"POST /token":                  {"*": 401}, // the example's password is wrong
	"POST /auth/token":             {"*": 401},
	"POST /auth/password":          {"*": 401},
	"POST /auth/idm":               {"*": 401},
	"POST /webhooks/build-failure": {"*": 401},                                      // the signature is missing
	"GET /users/{}/profile":        {"read": 403, "write": 403, "bound write": 403}, // somebody else's
	"GET /users/{}/tokens":         {"read": 403, "write": 403, "bound write": 403},
	"POST /users/{}/tokens":        {"read": 403, "write": 403, "bound write": 403},
	"DELETE /users/{}/tokens/{}":   {"read": 403, "write": 403, "bound write": 403},
	"POST /builds":                 {"bound write": 403}, // the example is of another project
}

// expectation returns what the endpoint says to the credential; false when
// nobody has said.
func expectation(key string, scopes map[string]string, credential string) (int, bool) {
	scope, ok := scopes[key]
	if !ok {
		return 0, false
	}
	want := admission[scope][credential]
	if e, ok := exceptions[key]["*"]; ok && want == 0 {
		return e, true
	}
	if e, ok := exceptions[key][credential]; ok {
		return e, true
	}
	return want, true
}

// credentials returns one caller for each credential of admission.
func (s *session) credentials(t *testing.T) map[string]caller {
	t.Helper()
	owner := s.newUser(t, nil)
	key := func(scopes ...string) string {
		return s.admin.post(t, "/users/"+owner.id+"/tokens", obj{"name": "authorization", "scopes": scopes}).is(http.StatusCreated).str("token")
	}
	revoked := s.admin.post(t, "/users/"+owner.id+"/tokens", obj{"name": "revoked"}).is(http.StatusCreated)
	s.admin.delete(t, "/users/"+owner.id+"/tokens/"+revoked.id()).is(http.StatusNoContent)
	bound := s.admin.post(t, "/users/"+owner.id+"/tokens", obj{"name": "bound", "scopes": []string{"write"}, "projects": []string{s.newProject(t)}}).is(http.StatusCreated)
	jwts := s.jwts(t)
	return map[string]caller{
		"none": s.nobody(), "garbage": {s: s, key: s.newSecret(), bearer: "garbage"}, "expired JWT": s.bearer(jwts["expired"][0]), "unsigned JWT": s.bearer(jwts["signed none"][0]),
		"revoked key": s.key(revoked.str("token")), "read": s.key(key("read")), "write": s.key(key("write")), "bound write": s.key(bound.str("token")), "admin": s.admin,
	}
}

// scopes returns the expected scope of every endpoint.
func scopes() map[string]string {
	out := expected()
	maps.Copy(out, scopesIn(beyond))
	return out
}

func authorization(t *testing.T, s *session) {
	callers, want := s.credentials(t), scopes()
	ops := described(t)
	for _, key := range slices.Sorted(maps.Keys(ops)) {
		op := ops[key]
		if want[key] != op.scope {
			t.Errorf("%s %s has the scope %q in the document and %q in the expectations; say what is right in nouns, index or beyond", op.method, op.path, op.scope, want[key])
			continue
		}
		for name, c := range callers {
			expect, ok := expectation(key, want, name)
			if !ok {
				t.Errorf("nobody has said what %s says to %s; add it to authorization.go", key, name)
				continue
			}
			r := c.do(t, op.method, op.filled("no-such-thing"), op.example(t))
			let := r.status != http.StatusUnauthorized && r.status != http.StatusForbidden
			if expect == 0 && !let || expect != 0 && r.status != expect {
				t.Errorf("%s with %s: %d %.300s, want %s", r.call, name, r.status, r.body, map[bool]string{true: "to be let in", false: fmt.Sprint(expect)}[expect == 0])
			}
			if let && r.status == http.StatusUnprocessableEntity {
				t.Errorf("%s refuses the document's own example: %.500s", r.call, r.body)
			}
		}
	}
}

// filled returns the path with v for its parameters, a number where only
// numbers will do.
func (op operation) filled(v string) string {
	parts := strings.Split(op.path, "/")
	for i, p := range parts {
		switch {
		case p == "{code}":
			parts[i] = "5"
		case strings.HasPrefix(p, "{"):
			parts[i] = v
		}
	}
	return strings.Join(parts, "/")
}

// example returns the document's example of the body, nil when it takes none.
func (op operation) example(t *testing.T) any {
	t.Helper()
	if op.RequestBody == nil {
		return nil
	}
	m := op.RequestBody.Value.Content.Get("application/json")
	if m == nil || m.Example == nil {
		return obj{}
	}
	b, err := json.Marshal(m.Example)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func boundEverywhere(t *testing.T, s *session) {
	_, c := s.bound(t, "read", "write", "admin")
	at := s.failed(t, nil)
	b := strings.TrimPrefix(at, "/builds/")
	a := s.dev.get(t, at+"/artifacts").list()[0]["id"].(string)
	s.dev.post(t, at+"/variables", obj{"variable_key": "k", "variable_value": "v"}).is(http.StatusCreated)
	j := s.dev.post(t, at+"/jobs", obj{"platform": "x", "job_name": "y"}).is(http.StatusCreated).id()
	rid := s.dev.post(t, at+"/resume", obj{"resume_from_state": 15}).is(http.StatusCreated).id()
	is := map[string]string{"{id}": b, "{aid}": a, "{key}": "k", "{jid}": j, "{rid}": rid}
	n := 0
	for _, op := range described(t) {
		if !strings.HasPrefix(op.path, "/builds/{id}") && !strings.HasPrefix(op.path, "/resume-requests/") {
			continue
		}
		path := op.path
		for name, v := range is {
			path = strings.ReplaceAll(path, name, v)
		}
		if r := c.do(t, op.method, path, op.example(t)); r.status != http.StatusForbidden {
			t.Errorf("%s with a credential bound to another project: %d %.300s, want 403", r.call, r.status, r.body)
		}
		n++
	}
	if n < 30 {
		t.Errorf("only %d endpoints of builds were tried", n)
	}
	s.dev.get(t, at).is(http.StatusOK).has(obj{"attempt": 2})
}

func self(t *testing.T, s *session) {
	for _, scope := range []string{"read", "write"} {
		p := s.newUser(t, obj{"scopes": []string{scope}})
		c := s.signIn(t, p.name, p.password)
		for _, ref := range []string{"me", p.id, p.name} {
			c.get(t, "/users/"+ref+"/profile").is(http.StatusOK)
			c.get(t, "/users/"+ref+"/tokens").is(http.StatusOK)
			k := c.post(t, "/users/"+ref+"/tokens", obj{"name": "mine"}).is(http.StatusCreated)
			s.secret(k.str("token"))
			c.delete(t, "/users/"+ref+"/tokens/"+k.id()).is(http.StatusNoContent)
		}
	}
}
