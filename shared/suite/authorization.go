package suite

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bldst/shared/problem"
)

var authorizationTests = []test{
	{"every endpoint asks every credential for its scope", authorization},
	{"a bound credential is kept out of other projects by every endpoint", boundEverywhere},
	{"a bound credential counts and lists what its projects have", boundCounts},
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
POST /builds/{id}/uploads write|GET /builds/{id}/uploads read|GET /builds/{id}/uploads/{id} read|DELETE /builds/{id}/uploads/{id} write
POST /builds/{id}/uploads/{id}/parts write|GET /builds/{id}/uploads/{id}/parts read|POST /builds/{id}/uploads/{id}/complete write|GET /builds/{id}/downloads/{id} read
POST /webhooks/build-failure -|POST /webhooks/github -|POST /webhooks/gitlab -|POST /webhooks/sns -
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
	"POST /webhooks/github":        {"*": 401},
	"POST /webhooks/gitlab":        {"*": 401},
	"POST /webhooks/sns":           {"*": 401},
	"POST /webhooks/build-failure": {"*": 401},                                      // the signature is missing
	"GET /users/{}/profile":        {"read": 403, "write": 403, "bound write": 403}, // somebody else's
	"GET /users/{}/tokens":         {"read": 403, "write": 403, "bound write": 403},
	"POST /users/{}/tokens":        {"read": 403, "write": 403, "bound write": 403},
	"DELETE /users/{}/tokens/{}":   {"read": 403, "write": 403, "bound write": 403},
	"POST /builds":                 {"bound write": 403}, // the example is of another project
	"POST /state-codes":            {"bound write": 403},
}

// expectation returns what the endpoint says to the credential; false when
// nobody has said.
func expectation(key string, scopes map[string]string, credential string) (int, bool) {
	scope, ok := scopes[key]
	if !ok {
		return 0, false
	}
	want := admission[scope][credential]
	if credential == "bound write" && scope == "write" && shared(key) {
		return http.StatusForbidden, true
	}
	if e, ok := exceptions[key]["*"]; ok && want == 0 {
		return e, true
	}
	if e, ok := exceptions[key][credential]; ok {
		return e, true
	}
	return want, true
}

// shared reports whether an endpoint changes what all projects share, or makes
// a project.
func shared(key string) bool {
	return slices.ContainsFunc(nouns, func(n noun) bool {
		return key == "POST "+n.path || n.kind != "project" && strings.HasPrefix(key, "PUT "+n.path+"/")
	})
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
			body := op.example(t)
			if op.signsIn() { // wrong passwords of one user make the next wait
				body = obj{"username": unique("nobody"), "password": "wrong"}
			}
			r := c.do(t, op.method, op.filled("no-such-thing"), body)
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

// signsIn reports whether the operation is a sign-in.
func (op operation) signsIn() bool {
	return op.path == "/token" || strings.HasPrefix(op.path, "/auth/")
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

// forBound is what a credential bound to other projects is answered with, by
// endpoint; all others refuse it. "own" is about itself or what all projects
// share, "only its own" an answer that must hold nothing of the other project.
var forBound = map[string]string{
	"GET /users/me": "own", "GET /users/me/profile": "own", "GET /breakers": "only its own",
	"GET /projects": "only its own", "GET /state-codes": "only its own", "GET /builds": "only its own",
	"GET /dashboard/summary": "only its own", "GET /dashboard/recent": "only its own", "GET /dashboard/platform/{}": "only its own",
	"GET /metrics/resumes/stats": "only its own", "GET /metrics/resumes/time-saved": "only its own",
	"GET /metrics/artifacts/storage-usage": "only its own", "GET /metrics/builds/resume-success-rate": "only its own",
	"GET /deliveries/{}": "absent", "POST /deliveries/{}/replay": "absent", // no delivery can be made here
}

// boundTo returns what the endpoint says to a credential bound to other
// projects: "", "own", "only its own" or "absent".
func boundTo(key string) string {
	for _, n := range nouns {
		if n.kind != "project" && (key == "GET "+n.path || key == "GET "+n.path+"/{}") {
			return "own"
		}
	}
	return forBound[key]
}

// A foreign is everything that a project can have, which a credential bound to
// another one must not see or change.
type foreign struct {
	at    string            // the path of its build
	names []string          // what its things are called
	under map[string]params // by the beginning of a path
}

// params are the values of the parameters of a path.
type params map[string]string

// foreign makes a project and what it can have.
func (s *session) foreign(t *testing.T) foreign {
	t.Helper()
	p, number, platform := s.newProject(t), unique("foreign"), s.dev.post(t, "/platforms", obj{"name": unique("foreign"), "cloud_provider": "own"}).is(http.StatusCreated).id()
	code := s.dev.post(t, "/projects/"+p+"/state-codes", obj{"name": unique("theirs"), "state_code": 40}).is(http.StatusCreated)
	s.dev.post(t, "/projects/"+p+"/resumable-states", obj{"state_code": 5}).is(http.StatusCreated)
	sub := s.dev.post(t, "/projects/"+p+"/subscriptions", obj{"kind": "webhook", "url": "https://hooks.example.com/x", "events": []string{"completed"}}).is(http.StatusCreated).id()
	at := s.failed(t, obj{"project_id": p, "platform_id": platform, "build_number": number})
	b := strings.TrimPrefix(at, "/builds/")
	a := s.dev.get(t, at+"/artifacts").list()[0]["id"].(string)
	s.dev.post(t, at+"/variables", obj{"variable_key": "k", "variable_value": "v"}).is(http.StatusCreated)
	j := s.dev.post(t, at+"/jobs", obj{"platform": "x", "job_name": "y"}).is(http.StatusCreated).id()
	u := s.dev.post(t, at+"/uploads", obj{"state_code": 15, "artifact_name": unique("theirs")}).is(http.StatusCreated).id()
	rid := s.dev.post(t, at+"/resume", obj{"resume_from_state": 15}).is(http.StatusCreated).id()
	line := s.breaker(t, p)
	other := s.newUser(t, nil)
	key := s.admin.post(t, "/users/"+other.id+"/tokens", obj{"name": "theirs"}).is(http.StatusCreated)
	s.secret(key.str("token"))
	return foreign{at: at, names: []string{p, number, b, a, code.id(), code.str("name"), sub, j, rid, line}, under: map[string]params{
		"/builds/": {"id": b, "aid": a, "key": "k", "jid": j, "rid": rid, "uid": u}, "/resume-requests/": {"rid": rid},
		"/projects/": {"id": p, "project": p, "code": "5"}, "/projects/{project}/state-codes/": {"project": p, "id": code.id()},
		"/projects/{project}/subscriptions/": {"project": p, "sid": sub}, "/state-codes/": {"id": code.id()},
		"/users/": {"id": other.id, "tid": key.id()}, "/breakers/": {"id": line, "line": line}, "/dashboard/platform/": {"id": platform},
	}}
}

// breaker waits for the breaker of the failed build of project p, and returns
// its image line.
func (s *session) breaker(t *testing.T, p string) (line string) {
	t.Helper()
	if s.Undriven {
		return unique("line")
	}
	s.dev.put(t, "/projects/"+p+"/policy", obj{"breaker": obj{"failures": 1, "within_seconds": 600}}).is(http.StatusOK)
	b := s.newBuild(t, obj{"project_id": p})
	s.dev.post(t, "/builds/"+b+"/failure", obj{"state_code": 5, "error_message": "exit status 3"}).is(http.StatusOK)
	eventually(t, func() string {
		for _, k := range s.dev.get(t, "/breakers").is(http.StatusOK).list() {
			if k["project_id"] == p {
				line = k["id"].(string)
				return ""
			}
		}
		return "no breaker of the project is open"
	})
	return line
}

// path returns the path of op about the foreign things.
func (f foreign) path(t *testing.T, op operation) string {
	t.Helper()
	longest, with := "", params{}
	for prefix, v := range f.under {
		if strings.HasPrefix(op.path, prefix) && len(prefix) > len(longest) {
			longest, with = prefix, v
		}
	}
	parts := strings.Split(op.path, "/")
	for i, p := range parts {
		name, ok := strings.CutPrefix(p, "{")
		if !ok {
			continue
		}
		if parts[i], ok = with[strings.TrimSuffix(name, "}")]; !ok {
			parts[i] = "no-such-thing"
		}
	}
	return strings.Join(parts, "/")
}

func boundEverywhere(t *testing.T, s *session) {
	_, c := s.bound(t, "read", "write", "admin")
	f := s.foreign(t)
	ops := described(t)
	for _, key := range slices.Sorted(maps.Keys(ops)) {
		op, want := ops[key], boundTo(key)
		if op.scope == "-" || s.Undriven && strings.HasPrefix(op.path, "/breakers/") {
			continue // anybody may, or there is none
		}
		r := c.do(t, op.method, f.path(t, op), op.example(t))
		switch {
		case want == "" && r.status != http.StatusForbidden:
			t.Errorf("%s with a credential bound to another project: %d %.300s, want 403; what else is right, forBound says", r.call, r.status, r.body)
		case want == "absent" && r.status != http.StatusNotFound:
			t.Errorf("%s of nothing: %d %.300s", r.call, r.status, r.body)
		case want == "own" && (r.status == http.StatusForbidden || r.status == http.StatusUnauthorized):
			t.Errorf("%s refuses a bound credential: %d %.300s", r.call, r.status, r.body)
		case want == "only its own":
			r.is(http.StatusOK)
			for _, name := range f.names {
				if strings.Contains(string(r.body), name) {
					t.Errorf("%s shows %s of another project: %.500s", r.call, name, r.body)
				}
			}
		}
	}
	s.dev.get(t, f.at).is(http.StatusOK).has(obj{"attempt": 2})
}

// A bound credential counts the builds of its projects alone, and sees of the
// audit trail what is about them.
func boundCounts(t *testing.T, s *session) {
	p, c := s.bound(t, "read", "write", "admin")
	platform := s.dev.post(t, "/platforms", obj{"name": unique("shared"), "cloud_provider": "own"}).is(http.StatusCreated).id()
	mine := s.newBuild(t, obj{"project_id": p, "platform_id": platform})
	theirs := s.newBuild(t, obj{"platform_id": platform})
	eventually(t, func() string {
		if wrong := differs(obj{"state_distribution": obj{"0": 2}}, s.dev.get(t, "/dashboard/platform/"+platform).is(http.StatusOK).obj()); wrong != "" {
			return wrong
		}
		if wrong := differs(obj{"total_builds": 1, "active_builds": 1, "projects": 1, "builds_by_platform": obj{platform: 1}, "builds_by_state": obj{"0": 1}}, c.get(t, "/dashboard/summary").is(http.StatusOK).obj()); wrong != "" {
			return wrong
		}
		return differs(obj{"state_distribution": obj{"0": 1}}, c.get(t, "/dashboard/platform/"+platform).is(http.StatusOK).obj())
	})
	if got := fields(c.walk(t, "/projects"), "id"); !slices.Equal(got, []string{p}) {
		t.Errorf("a bound credential lists the projects %v", got)
	}
	code := c.post(t, "/projects/"+p+"/state-codes", obj{"name": unique("mine"), "state_code": 40}).is(http.StatusCreated).id()
	if got := fields(c.walk(t, "/state-codes"), "id"); !slices.Equal(got, []string{code}) {
		t.Errorf("a bound credential lists the state codes %v", got)
	}
	c.put(t, "/projects/"+p, obj{"description": "by its own credential"}).is(http.StatusOK)
	c.get(t, "/audit?resource=build&resource_id="+mine).is(http.StatusOK)
	if got := c.get(t, "/audit?resource=project&resource_id="+p).is(http.StatusOK).list(); len(got) == 0 {
		t.Error("the audit trail of the own project is empty")
	}
	for _, query := range []string{"", "?resource=build&resource_id=" + theirs, "?resource=project&resource_id=" + project9(t, s), "?resource=user", "?actor=admin"} {
		c.get(t, "/audit"+query).refused(http.StatusForbidden, problem.Forbidden)
	}
}

// project9 returns the id of a project nobody is bound to.
func project9(t *testing.T, s *session) string {
	return s.dev.get(t, "/projects/rhel-9").is(http.StatusOK).id()
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
