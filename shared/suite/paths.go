package suite

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"bldst/shared/openapi"
	"bldst/shared/problem"

	"github.com/getkin/kin-openapi/openapi3"
)

var pathTests = []test{
	{"every spelling of a path is the same endpoint, and none redirects", spellings},
	{"every endpoint of the contract's index is there", endpointIndex},
	{"an unknown path is 404 and an unknown method 405 with Allow", unrouted},
	{"ids and keys keep their underscores", underscores},
}

// variants returns the spellings of a path: hyphen or underscore in the names
// of collections, with and without a slash at the end.
func variants(path string) []string {
	out := []string{path, path + "/"}
	parts := strings.Split(path, "/")
	for i := 1; i < len(parts); i += 2 {
		parts[i] = strings.ReplaceAll(parts[i], "-", "_")
	}
	if other := strings.Join(parts, "/"); other != path {
		out = append(out, other, other+"/")
	}
	return out
}

func spellings(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	rid := s.resumed(t, b)
	s.dev.post(t, "/builds/"+b+"/artifacts", artifact(unique("a"), 10)).is(http.StatusCreated)
	for _, path := range []string{
		"/platforms", "/os-versions", "/image-types", "/cloud-providers", "/os-distributions", "/image-variants", "/projects", "/state-codes",
		"/platforms/aws-commercial", "/os-versions/rhel-9.3", "/image-types/base", "/projects/default", "/projects/rhel-9",
		"/projects/default/state-codes", "/projects/default/state-codes/pending", "/projects/default/resumable-states", "/projects/default/resumable-states/20",
		"/builds", "/builds/" + b, "/builds/" + b + "/state", "/builds/" + b + "/states", "/builds/" + b + "/failures", "/builds/" + b + "/artifacts",
		"/builds/" + b + "/variables", "/builds/" + b + "/variables/dict", "/builds/" + b + "/resume-context", "/builds/" + b + "/resume-requests",
		"/builds/" + b + "/resume", "/builds/" + b + "/resume/" + rid, "/builds/" + b + "/resume-plan", "/resume-requests/" + rid, "/builds/" + b + "/jobs",
		"/builds/" + b + "/history", "/builds/" + b + "/history/verify",
		"/dashboard/summary", "/dashboard/recent", "/dashboard/platform/aws-commercial", "/users/me", "/users/me/profile", "/breakers",
		"/health", "/ready", "/status", "/health/liveness", "/health/readiness", "/openapi.json",
	} {
		for _, v := range variants(path) {
			if r := s.reader.get(t, v); r.status != http.StatusOK {
				t.Errorf("GET %s: %d %.300s, want 200", v, r.status, r.body)
			}
		}
	}
	for _, path := range []string{"/users", "/users/testuser", "/users/testuser/tokens", "/users/testuser/profile", "/audit"} {
		for _, v := range variants(path) {
			s.admin.get(t, v).is(http.StatusOK)
		}
	}
	spellingsOfCreates(t, s, b)
}

func spellingsOfCreates(t *testing.T, s *session, b string) {
	named := func() obj { return obj{"name": unique("path"), "display_name": "Path"} }
	for path, body := range map[string]func() obj{
		"/platforms":   func() obj { return obj{"name": unique("path"), "cloud_provider": "aws"} },
		"/os-versions": func() obj { return obj{"name": unique("path"), "version": "1"} },
		"/image-types": func() obj { return obj{"name": unique("path")} },
		"/projects":    func() obj { return obj{"name": unique("path")} },
		"/builds":      func() obj { return obj{} },

		"/cloud-providers": named, "/os-distributions": named, "/image-variants": named,
		"/builds/" + b + "/artifacts": func() obj { return artifact(unique("a"), 10) },
		"/builds/" + b + "/variables": func() obj { return obj{"variable_key": unique("v"), "variable_value": "x"} },
		"/builds/" + b + "/jobs":      func() obj { return obj{"platform": "jenkins", "job_name": "j"} },
	} {
		for _, v := range variants(path) {
			s.dev.post(t, v, body()).is(http.StatusCreated)
		}
	}
	for _, path := range []string{"/builds/" + b + "/state", "/builds/" + b + "/states"} {
		for _, v := range variants(path) {
			s.dev.post(t, v, obj{"state_code": 10}).is(http.StatusOK).has(obj{"build_id": b})
		}
	}
	for _, v := range append(variants("/builds/"+b+"/failure"), variants("/builds/"+b+"/failures")...) {
		s.dev.post(t, v, obj{"error_message": "spelled"}).is(http.StatusOK).has(obj{"build_id": b})
	}
}

// index is section 16 of the contract, and what section 14 adds to it: method,
// path, scope; nouns have those of ofNoun. Names of parameters do not count.
const index = `
GET / -|GET /health -|GET /ready -|GET /status -|GET /health/liveness -|GET /health/readiness -
POST /token -|POST /auth/idm -|POST /auth/token -|POST /auth/password -
POST /projects/{id}/state-codes write|GET /projects/{id}/state-codes read|GET /projects/{id}/state-codes/{id} read|PUT /projects/{id}/state-codes/{id} write
DELETE /projects/{id}/state-codes/{id} admin|POST /projects/{id}/state-codes/{id}/restore admin
POST /state-codes write|GET /state-codes read|GET /state-codes/{id} read|PUT /state-codes/{id} write|DELETE /state-codes/{id} admin|POST /state-codes/{id}/restore admin
POST /projects/{id}/resumable-states write|GET /projects/{id}/resumable-states read|GET /projects/{id}/resumable-states/{id} read|PUT /projects/{id}/resumable-states/{id} write
POST /builds write|GET /builds read|GET /builds/{id} read|PUT /builds/{id} write|DELETE /builds/{id} admin|POST /builds/{id}/restore admin
POST /builds/{id}/state write|GET /builds/{id}/state read|POST /builds/{id}/states write|GET /builds/{id}/states read
POST /builds/{id}/failure write|POST /builds/{id}/failures write|GET /builds/{id}/failures read|GET /builds/{id}/history read|GET /builds/{id}/history/verify read
POST /builds/{id}/artifacts write|GET /builds/{id}/artifacts read|GET /builds/{id}/artifacts/{id} read|PATCH /builds/{id}/artifacts/{id} write
DELETE /builds/{id}/artifacts/{id} admin|POST /builds/{id}/artifacts/{id}/restore admin|POST /builds/{id}/artifacts/{id}/revoke write
POST /builds/{id}/variables write|GET /builds/{id}/variables read|GET /builds/{id}/variables/dict read
GET /builds/{id}/variables/{id} read|PATCH /builds/{id}/variables/{id} write|DELETE /builds/{id}/variables/{id} write
GET /builds/{id}/resume-context read|GET /builds/{id}/resume-plan read|POST /builds/{id}/resume-plan read|POST /builds/{id}/resume write
GET /builds/{id}/resume-requests read|GET /builds/{id}/resume read|GET /resume-requests/{id} read|PATCH /resume-requests/{id} write
GET /builds/{id}/resume/{id} read|PATCH /builds/{id}/resume/{id} write|POST /builds/{id}/heartbeat write|POST /builds/{id}/cancel write
POST /builds/{id}/jobs write|GET /builds/{id}/jobs read|PATCH /builds/{id}/jobs/{id} write
GET /dashboard/summary read|GET /dashboard/recent read|GET /dashboard/platform/{id} read
POST /users admin|GET /users admin|GET /users/me any|GET /users/me/profile any|GET /users/{id} admin|PUT /users/{id} admin|DELETE /users/{id} admin
POST /users/{id}/restore admin|GET /users/{id}/profile any|POST /users/{id}/tokens any|GET /users/{id}/tokens any|DELETE /users/{id}/tokens/{id} any
GET /audit admin
`

// ofNoun are the endpoints every noun has below its path.
const ofNoun = "POST NOUN write|GET NOUN read|GET NOUN/{} read|PUT NOUN/{} write|DELETE NOUN/{} admin|POST NOUN/{}/restore admin"

// expected returns the scopes of index, and of the nouns, by "METHOD /path/{}".
func expected() map[string]string {
	out := map[string]string{}
	for _, n := range nouns {
		maps.Copy(out, scopesIn(strings.ReplaceAll(ofNoun, "NOUN", n.path)))
	}
	maps.Copy(out, scopesIn(index))
	return out
}

// scopesIn reads "METHOD /path scope|…", in any number of lines.
func scopesIn(text string) map[string]string {
	out := map[string]string{}
	for e := range strings.SplitSeq(strings.ReplaceAll(strings.TrimSpace(text), "\n", "|"), "|") {
		f := strings.Fields(e)
		out[f[0]+" "+nameless(f[1])] = f[2]
	}
	return out
}

// nameless returns a path without the names of its parameters.
func nameless(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "{}"
		}
	}
	return strings.Join(parts, "/")
}

// described returns the operations of the document by "METHOD /path/{}".
func described(t *testing.T) map[string]operation {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.JSON)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]operation{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			op := operation{method: method, path: path, scope: "-", Operation: o}
			if v, ok := o.Extensions["x-scope"].(string); ok {
				op.scope = v
			}
			if (op.scope == "-") != (o.Security != nil && len(*o.Security) == 0) {
				t.Errorf("%s %s: x-scope %s, security %v", method, path, op.scope, o.Security)
			}
			out[method+" "+nameless(path)] = op
		}
	}
	return out
}

// serves reports whether the operation is the one that serves path, whatever
// its spelling.
func (op operation) serves(method, path string) bool {
	have, want := strings.Split(strings.TrimSuffix(path, "/"), "/"), strings.Split(op.path, "/")
	if op.method != method || len(have) != len(want) {
		return false
	}
	for i, w := range want {
		if i%2 == 1 {
			have[i] = strings.ReplaceAll(have[i], "_", "-")
		}
		if w != have[i] && !strings.HasPrefix(w, "{") {
			return false
		}
	}
	return true
}

// An operation is one endpoint as the document has it.
type operation struct {
	method, path, scope string
	*openapi3.Operation
}

func endpointIndex(t *testing.T, _ *session) {
	have := described(t)
	for key, scope := range expected() {
		if op, ok := have[key]; !ok {
			t.Errorf("%s is in the contract and not in the document", key)
		} else if op.scope != scope {
			t.Errorf("%s asks for the scope %s, the contract says %s", key, op.scope, scope)
		}
	}
}

func unrouted(t *testing.T, s *session) {
	for _, path := range []string{"/nowhere", "/nowhere/at/all", "/platforms/aws-commercial/more", "/builds/build-001/nothing", "/projects/default/state-codes/1/2/3",
		"/metricsx", "/auth", "/dashboard", "/builds/build-001/history/verify/x", "/api/v1/builds", "/healthz"} {
		s.admin.get(t, path).refused(http.StatusNotFound, problem.NotFound)
		s.nobody().post(t, path, obj{}).refused(http.StatusNotFound, problem.NotFound)
	}
	for path, allow := range map[string]string{
		"/platforms": "GET, POST", "/platforms/": "GET, POST", "/os_versions": "GET, POST", "/platforms/aws-commercial": "GET, PUT, DELETE",
		"/platforms/azure/restore": "POST", "/builds": "GET, POST", "/builds/build-001": "GET, PUT, DELETE", "/builds/build-001/state": "GET, POST", "/token": "POST", "/health": "GET",
		"/builds/build-001/artifacts/x": "GET, PATCH, DELETE", "/builds/build-001/resume": "GET, POST", "/users/me": "GET, PUT, DELETE", "/audit": "GET", "/": "GET",
		"/projects/default/resumable_states/20": "GET, PUT",
	} {
		r := s.nobody().do(t, http.MethodPatch, path, obj{})
		if strings.Contains(allow, "PATCH") {
			r = s.nobody().do(t, "PROPFIND", path, nil)
		}
		r.refused(http.StatusMethodNotAllowed, problem.MethodNotAllowed)
		if got := r.header.Get("Allow"); got != allow {
			t.Errorf("%s allows %q, want %q", path, got, allow)
		}
	}
	if r := s.nobody().do(t, "BREW", "/builds", nil); r.status != http.StatusMethodNotAllowed {
		t.Errorf("an unheard-of method: %d", r.status)
	}
}

func underscores(t *testing.T, s *session) {
	name := strings.ReplaceAll(unique("with_under"), "-", "_")
	s.dev.post(t, "/platforms", obj{"name": name, "cloud_provider": "own"}).is(http.StatusCreated)
	s.dev.get(t, "/platforms/"+name).is(http.StatusOK).has(obj{"name": name})
	b := s.newBuild(t, obj{"build_number": name})
	s.dev.get(t, "/builds/"+name+"/").is(http.StatusOK).has(obj{"id": b})
	s.dev.post(t, "/builds/"+name+"/variables", obj{"variable_key": "vm_id_x", "variable_value": "1"}).is(http.StatusCreated)
	s.dev.get(t, "/builds/"+name+"/variables/vm_id_x").is(http.StatusOK).has(obj{"variable_key": "vm_id_x"})
}
