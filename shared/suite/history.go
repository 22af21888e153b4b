package suite

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"bldst/shared/problem"
)

var historyTests = []test{
	{"every act is one row of a hash chain", chain},
	{"the chain can be checked from outside and by the API", verifyChain},
}

// escape returns s as one segment of a path.
func escape(s string) string { return url.PathEscape(s) }

// acted makes a build and does everything to it that the history records.
func (s *session) acted(t *testing.T) (at string, kinds []string) {
	t.Helper()
	at = "/builds/" + s.newBuild(t, nil)
	secret := s.newSecret()
	s.dev.post(t, at+"/state", obj{"state_code": 5, "status": "completed"}).is(http.StatusOK)
	a := s.dev.post(t, at+"/artifacts", artifact(unique("a"), 5)).is(http.StatusCreated).id()
	s.dev.patch(t, at+"/artifacts/"+a, obj{"is_final": true}).is(http.StatusOK)
	s.admin.delete(t, at+"/artifacts/"+a).is(http.StatusNoContent)
	s.admin.post(t, at+"/artifacts/"+a+"/restore", nil).is(http.StatusOK)
	s.dev.post(t, at+"/artifacts/"+a+"/revoke", obj{"reason": "r"}).is(http.StatusOK)
	s.dev.post(t, at+"/variables", obj{"variable_key": "password", "variable_value": secret, "is_sensitive": true}).is(http.StatusCreated)
	s.dev.get(t, at+"/variables/password?reveal=true").is(http.StatusOK).has(obj{"variable_value": secret})
	s.dev.delete(t, at+"/variables/password").is(http.StatusNoContent)
	s.dev.put(t, at, obj{"ami_id": "ami-1"}).is(http.StatusOK)
	s.dev.post(t, at+"/failure", obj{"state_code": 10, "error_message": "x"}).is(http.StatusOK)
	s.dev.post(t, at+"/resume", obj{"resume_from_state": 10, "force": true}).is(http.StatusCreated)
	return at, []string{"created", "state", "artifact", "artifact.update", "artifact.delete", "artifact.restore", "artifact.revoke", "variable", "variable.reveal", "variable.delete", "update", "failure", "resume"}
}

// acts returns the kinds of what people did to a build. What the system does
// about a build follows in its own time.
func (s *session) acts(t *testing.T, at string) []string {
	t.Helper()
	return kindsOf(s.reader.get(t, at+"/history?limit=1000").is(http.StatusOK).list())
}

func kindsOf(rows []obj) []string {
	return fields(slices.DeleteFunc(slices.Clone(rows), func(r obj) bool { return r["actor"] == "system" }), "kind")
}

func chain(t *testing.T, s *session) {
	at, want := s.acted(t)
	if got := s.acts(t, at); !slices.Equal(got, want) {
		t.Errorf("the acts are of kinds %v, want %v", got, want)
	}
	rows := s.reader.get(t, at+"/history").is(http.StatusOK).list()
	for i, r := range rows {
		wrong := differs(obj{"seq": i + 1}, r) + lacks(r, "id build_id at actor attempt before after hash prev_hash json")
		if r["actor"] != "system" { // which acts without a request
			wrong += lacks(r, "credential request_id")
		}
		if wrong != "" {
			t.Errorf("row %d: %s in %v", i+1, wrong, r)
		}
	}
	if wrong := differs(obj{"actor": "testuser", "credential": "key:test-token", "before": obj{"state_code": 0, "status": "pending"}, "after": obj{"state_code": 5, "status": "in_progress"}}, rows[1]); wrong != "" {
		t.Errorf("the report: %s", wrong)
	}
	for how, got := range map[string][]obj{"by cursor": s.reader.walk(t, at+"/history?limit=2"), "by skip": s.reader.skim(t, at+"/history", 5)} {
		if !slices.Equal(kindsOf(got), want) {
			t.Errorf("%s the acts are of kinds %v", how, kindsOf(got))
		}
	}
	if text := string(s.reader.get(t, at+"/history").body); slices.ContainsFunc(s.secrets, func(v string) bool { return v != "" && len(v) > 10 && containsText(text, v) }) {
		t.Error("the history holds a secret")
	}
	s.reader.get(t, "/builds/no-such/history").refused(http.StatusNotFound, problem.NotFound, "Build not found")
	s.reader.get(t, "/builds/no-such/history/verify").refused(http.StatusNotFound, problem.NotFound, "Build not found")
}

func verifyChain(t *testing.T, s *session) {
	at, _ := s.acted(t)
	eventually(t, func() string { // until nothing more is being done to it
		rows := s.reader.walk(t, at+"/history?limit=4")
		head := chained(t, rows)
		return differs(obj{"valid": true, "rows": len(rows), "head_hash": head}, s.reader.get(t, at+"/history/verify").is(http.StatusOK).obj())
	})
}

// chained checks the hashes of a history and returns the last one.
func chained(t *testing.T, rows []obj) (prev string) {
	t.Helper()
	for i, r := range rows {
		text, hash := r["json"].(string), r["hash"].(string)
		own := sha256.Sum256([]byte(prev + text))
		if r["prev_hash"] != prev || hash != hex.EncodeToString(own[:]) {
			t.Errorf("row %d: prev_hash %v and hash %v do not fit its text", i+1, r["prev_hash"], hash)
		}
		var inside obj
		if err := json.Unmarshal([]byte(text), &inside); err != nil || fmt.Sprint(inside["seq"]) != fmt.Sprint(i+1) {
			t.Errorf("row %d says %s, %v", i+1, text, err)
		}
		prev = hash
	}
	return prev
}

var boundTests = []test{
	{"other projects' builds are refused and absent", boundBuilds},
	{"a bound key makes builds and keys of its projects only", boundMakes},
}

// bound returns a project, and who has a key that is bound to it, for the owner
// of the key admin-key-99999 with the scopes.
func (s *session) bound(t *testing.T, scopes ...string) (project string, c caller) {
	t.Helper()
	project = s.newProject(t)
	r := s.admin.post(t, "/users/me/tokens", obj{"name": unique("bound"), "scopes": scopes, "projects": []string{project}}).is(http.StatusCreated).has(obj{"projects": []string{project}})
	return project, s.key(r.str("token"))
}

func boundBuilds(t *testing.T, s *session) {
	p, c := s.bound(t, "read", "write")
	mine, theirs := s.newBuild(t, obj{"project_id": p}), s.newBuild(t, nil)
	a := s.dev.post(t, "/builds/"+theirs+"/artifacts", artifact(unique("a"), 5)).is(http.StatusCreated).id()
	s.dev.post(t, "/builds/"+theirs+"/failure", obj{"state_code": 5, "error_message": "x"}).is(http.StatusOK)
	rid := s.dev.post(t, "/builds/"+theirs+"/resume", obj{"resume_from_state": 5, "force": true}).is(http.StatusCreated).id()
	for _, path := range []string{"", "/state", "/states", "/failures", "/history", "/history/verify", "/artifacts", "/artifacts/" + a, "/variables", "/variables/dict", "/variables/x",
		"/resume-context", "/resume-plan", "/resume-requests", "/resume", "/resume/" + rid, "/jobs"} {
		c.get(t, "/builds/"+theirs+path).refused(http.StatusForbidden, problem.Forbidden)
	}
	for path, body := range map[string]obj{"/state": {"state_code": 5}, "/states": {"state_code": 5}, "/failure": {"error_message": "x"}, "/artifacts": artifact("x", 5), "/variables": {"variable_key": "k", "variable_value": "v"},
		"/jobs": {"platform": "x", "job_name": "y"}, "/resume": {"resume_from_state": 5}, "/heartbeat": {}, "/cancel": {}, "/resume-plan": {}, "/artifacts/" + a + "/revoke": {"reason": "x"}} {
		c.post(t, "/builds/"+theirs+path, body).refused(http.StatusForbidden, problem.Forbidden)
	}
	c.put(t, "/builds/"+theirs, obj{"ami_id": "x"}).refused(http.StatusForbidden, problem.Forbidden)
	c.patch(t, "/builds/"+theirs+"/artifacts/"+a, obj{"is_final": true}).refused(http.StatusForbidden, problem.Forbidden)
	c.get(t, "/resume-requests/"+rid).refused(http.StatusForbidden, problem.Forbidden)
	c.patch(t, "/resume-requests/"+rid, obj{"orchestration_status": "running"}).refused(http.StatusForbidden, problem.Forbidden)
	c.get(t, "/builds?project_id=default").refused(http.StatusForbidden, problem.Forbidden)
	c.get(t, "/builds/"+mine).is(http.StatusOK)
	c.post(t, "/builds/"+mine+"/state", obj{"state_code": 5}).is(http.StatusOK)
	for _, path := range []string{"/builds", "/builds?limit=1", "/builds?status=in_progress", "/builds?project_id=" + p, "/dashboard/recent"} {
		eventually(t, func() string {
			if got := fields(c.walk(t, path), "id"); !slices.Equal(got, []string{mine}) {
				return fmt.Sprintf("%s lists %v, want %s alone", path, got, mine)
			}
			return ""
		})
	}
	for _, path := range []string{"/dashboard/summary", "/dashboard/platform/aws-commercial"} {
		if r := c.get(t, path); r.status == http.StatusOK && containsText(string(r.body), theirs) {
			t.Errorf("%s shows a build of another project to a bound credential", path)
		}
	}
}

func boundMakes(t *testing.T, s *session) {
	p, c := s.bound(t, "read", "write", "admin")
	c.post(t, "/builds", obj{"project_id": p}).is(http.StatusCreated).has(obj{"project_id": p})
	c.post(t, "/builds", obj{"project_id": "default"}).refused(http.StatusForbidden, problem.Forbidden)
	c.post(t, "/builds", obj{}).refused(http.StatusForbidden, problem.Forbidden)
	c.post(t, "/users/me/tokens", obj{"name": "child"}).is(http.StatusCreated).has(obj{"projects": []string{p}})
	c.post(t, "/users/me/tokens", obj{"name": "child", "projects": []string{"default"}}).refused(http.StatusForbidden, problem.Forbidden)
	c.post(t, "/users", obj{"username": unique("u"), "email": unique("u") + "@example.com", "password": s.newSecret()}).refused(http.StatusForbidden, problem.Forbidden)
	number := unique("bound")
	s.newBuild(t, obj{"build_number": number})
	if r := c.post(t, "/builds?attach=true", obj{"build_number": number, "project_id": p}); r.status != http.StatusForbidden && r.status != http.StatusConflict {
		t.Errorf("a bound credential attaches to a build of another project: %d", r.status)
	}
}
