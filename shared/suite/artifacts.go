package suite

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bldst/shared/id"
	"bldst/shared/problem"
)

var artifactTests = []test{
	{"a new one has every field and is found by id and name", newArtifact},
	{"the checksum is taken with and without its algorithm", checksums},
	{"a name is unique in its build and free after deletion", artifactNames},
	{"what a later attempt makes again supersedes what was there", remadeArtifact},
	{"path, checksum and size are changed together", replacedArtifact},
	{"lists filter by state, type and flags, by state and age, in pages", listArtifacts},
	{"PATCH changes what it may", patchArtifact},
	{"a deleted one is gone and can be restored", deleteArtifact},
	{"a revoked one is never restored", revokeArtifact},
	{"what is none is refused and names the field", badArtifacts},
}

const artifactKeys = `id build_id state_code artifact_name artifact_type artifact_path storage_backend storage_region storage_bucket storage_key size_bytes checksum checksum_algorithm
	is_resumable is_final expires_at metadata created_at updated_at deleted_at revoked_at revoked_by revoke_reason`

// artifact returns the body of a new artifact.
func artifact(name string, code int) obj {
	return obj{"state_code": code, "artifact_name": name, "artifact_type": "vm_snapshot", "artifact_path": "s3://bucket/" + name, "storage_backend": "s3"}
}

func newArtifact(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	at := "/builds/" + b + "/artifacts"
	body := with(artifact("base-vm-snapshot", 20), obj{"storage_region": "us-east-1", "storage_bucket": "b", "storage_key": "k", "size_bytes": 5368709120, "checksum": sum,
		"expires_at": "2099-01-01T00:00:00Z", "metadata": obj{"snapshot_id": "snap-1", "vm_id": 7}})
	r := s.dev.post(t, at, body).is(http.StatusCreated).keys(artifactKeys).has(body).
		has(obj{"build_id": b, "checksum_algorithm": "sha256", "is_resumable": true, "is_final": false, "deleted_at": nil, "revoked_at": nil, "attempt": 1})
	if !id.IsUUID(r.id()) {
		t.Errorf("id %s, want a UUID", r.id())
	}
	for _, ref := range []string{r.id(), "base-vm-snapshot"} {
		s.reader.get(t, at+"/"+ref).is(http.StatusOK).has(r.obj())
	}
	s.dev.post(t, at, artifact("plain", 25)).is(http.StatusCreated).keys(artifactKeys).has(obj{"size_bytes": nil, "checksum": nil, "metadata": nil, "expires_at": nil, "storage_region": nil})
	s.dev.post(t, at, with(artifact("by state", 25), obj{"state_code": nil, "state": 30})).is(http.StatusCreated).has(obj{"state_code": 30})
	s.dev.post(t, at, with(artifact("by name", 25), obj{"state_code": "testing"})).is(http.StatusCreated).has(obj{"state_code": 80})
	s.reader.get(t, at+"/no-such").refused(http.StatusNotFound, problem.NotFound, "Artifact no-such not found for build "+b)
	for _, path := range []string{"/builds/no-such/artifacts", "/builds/no-such/artifacts/x"} {
		s.reader.get(t, path).refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
	}
	s.dev.post(t, "/builds/no-such/artifacts", artifact("x", 5)).refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_code": 100}).is(http.StatusOK)
	s.dev.post(t, at, artifact("late", 100)).is(http.StatusCreated)
}

func checksums(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil) + "/artifacts"
	for sent, want := range map[string]string{sum: sum, "sha256:" + sum: sum, strings.ToUpper(sum): sum} {
		s.dev.post(t, at, with(artifact(unique("a"), 5), obj{"checksum": sent})).is(http.StatusCreated).has(obj{"checksum": want, "checksum_algorithm": "sha256"})
	}
	s.dev.post(t, at, with(artifact(unique("a"), 5), obj{"checksum": "md5:" + sum[:32]})).is(http.StatusCreated).has(obj{"checksum": sum[:32], "checksum_algorithm": "md5"})
	s.dev.post(t, at, with(artifact(unique("a"), 5), obj{"checksum": sum[:40], "checksum_algorithm": "SHA-1"})).is(http.StatusCreated).has(obj{"checksum_algorithm": "sha1"})
	for _, bad := range []obj{{"checksum": "abc"}, {"checksum": sum[:63] + "g"}, {"checksum": "md5:" + sum}, {"checksum": "sha256:" + sum, "checksum_algorithm": "md5"}} {
		s.dev.post(t, at, with(artifact(unique("a"), 5), bad)).invalid("checksum")
	}
}

func artifactNames(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil) + "/artifacts"
	first := s.dev.post(t, at, artifact("one", 5)).is(http.StatusCreated).id()
	s.dev.post(t, at, artifact("one", 10)).refused(http.StatusConflict, problem.Conflict, "Artifact with name 'one' already exists for this build", first)
	second := s.dev.post(t, at, artifact("two", 5)).is(http.StatusCreated).id()
	s.dev.patch(t, at+"/"+second, obj{"artifact_name": "one"}).refused(http.StatusConflict, problem.Conflict, first)
	s.admin.delete(t, at+"/"+first).is(http.StatusNoContent)
	third := s.dev.post(t, at, artifact("one", 15)).is(http.StatusCreated).id()
	s.admin.post(t, at+"/"+first+"/restore", nil).refused(http.StatusConflict, problem.Conflict, third)
	s.dev.patch(t, at+"/"+third, obj{"artifact_name": "three"}).is(http.StatusOK).has(obj{"artifact_name": "three"})
	s.admin.post(t, at+"/"+first+"/restore", nil).is(http.StatusOK).has(obj{"id": first, "deleted_at": nil})
	other := "/builds/" + s.newBuild(t, nil) + "/artifacts"
	s.dev.post(t, other, artifact("one", 5)).is(http.StatusCreated)
}

func remadeArtifact(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	made := func(path string) obj {
		return with(artifact("after-10", 10), obj{"artifact_path": path, "checksum": sum})
	}
	s.dev.post(t, at+"/state", obj{"state_code": 10, "status": "completed"}).is(http.StatusOK)
	first := s.dev.post(t, at+"/artifacts", made("s3://b/1")).is(http.StatusCreated).id()
	if again := s.dev.post(t, at+"/artifacts", made("s3://b/1")).is(http.StatusCreated).id(); again != first {
		t.Errorf("the same artifact came twice and has the ids %s and %s", first, again)
	}
	s.dev.post(t, at+"/artifacts", made("s3://b/2")).refused(http.StatusConflict, problem.Conflict, first)
	s.dev.post(t, at+"/failure", obj{"state_code": 15, "error_message": "runner lost"}).is(http.StatusOK)
	s.dev.post(t, at+"/state", obj{"state_code": 10, "status": "completed"}).is(http.StatusOK).has(obj{"attempt": 2})
	second := s.dev.post(t, at+"/artifacts", made("s3://b/2")).is(http.StatusCreated).has(obj{"attempt": 2, "superseded_at": nil}).id()
	s.reader.get(t, at+"/artifacts/"+first).is(http.StatusOK).has(obj{"artifact_path": "s3://b/1", "superseded_by": second})
	s.reader.get(t, at+"/artifacts/after-10").is(http.StatusOK).has(obj{"id": second})
	for query, want := range map[string]int{"": 1, "?include_deactivated=true": 2} {
		if got := s.reader.get(t, at+"/artifacts"+query).list(); len(got) != want {
			t.Errorf("artifacts%s lists %d, want %d", query, len(got), want)
		}
	}
	s.dev.post(t, at+"/artifacts/"+second+"/revoke", obj{"reason": "half of it is missing"}).is(http.StatusOK)
	third := s.dev.post(t, at+"/artifacts", made("s3://b/3")).is(http.StatusCreated).id()
	s.dev.post(t, at+"/failure", obj{"state_code": 15, "error_message": "runner lost"}).is(http.StatusOK)
	restore := s.reader.get(t, at+"/resume-plan").is(http.StatusOK).obj()["restore"].([]any)
	if len(restore) != 1 || restore[0].(obj)["artifact_id"] != third {
		t.Errorf("the plan restores %v, want %s alone", restore, third)
	}
	if kinds := s.acts(t, at); len(slices.DeleteFunc(kinds, func(k string) bool { return k != "artifact" })) != 3 {
		t.Errorf("the history says %v", s.acts(t, at))
	}
}

func replacedArtifact(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil) + "/artifacts"
	at += "/" + s.dev.post(t, at, with(artifact("x", 5), obj{"checksum": sum, "size_bytes": 1})).is(http.StatusCreated).id()
	other := strings.Repeat("ab", 32)
	for missing, body := range map[string]obj{
		"checksum": {"artifact_path": "s3://b/2"}, "size_bytes": {"artifact_path": "s3://b/2", "checksum": other}, "artifact_path": {"checksum": other, "size_bytes": 2},
	} {
		s.dev.patch(t, at, body).invalid(missing)
	}
	s.dev.patch(t, at, obj{"artifact_path": "s3://b/2", "checksum": "no hex", "size_bytes": 2}).invalid("checksum")
	s.dev.get(t, at).has(obj{"artifact_path": "s3://bucket/x", "checksum": sum, "size_bytes": 1})
	s.dev.patch(t, at, obj{"artifact_path": "s3://b/2", "checksum": "sha256:" + other, "size_bytes": 2}).is(http.StatusOK).has(obj{"artifact_path": "s3://b/2", "checksum": other, "size_bytes": 2})
	s.dev.patch(t, at, obj{"artifact_path": "s3://b/3", "checksum": nil, "size_bytes": nil}).is(http.StatusOK).has(obj{"artifact_path": "s3://b/3", "checksum": nil, "size_bytes": nil})
}

func listArtifacts(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil) + "/artifacts"
	for _, a := range []struct {
		name string
		code int
		more obj
	}{{"c", 30, nil}, {"a", 10, obj{"is_resumable": false}}, {"d", 30, obj{"artifact_type": "ami", "is_final": true}}, {"b", 20, nil}} {
		s.dev.post(t, at, with(artifact(a.name, a.code), a.more)).is(http.StatusCreated)
	}
	for query, want := range map[string]string{"": "a b c d", "?state_code=30": "c d", "?state=30": "c d", "?artifact_type=ami": "d", "?is_resumable=true": "b c d", "?resumable=true": "b c d",
		"?is_resumable=false": "a", "?is_final=true": "d", "?is_final=false": "a b c", "?state_code=30&is_final=false": "c", "?skip=1&limit=2": "b c", "?state_code=0": "", "?is_resumable=1": "b c d", "?is_resumable=True": "b c d"} {
		if got := strings.Join(fields(s.reader.get(t, at+query).is(http.StatusOK).list(), "artifact_name"), " "); got != want {
			t.Errorf("%q lists %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"?limit=1", "?limit=3", "?limit=1&is_resumable=true"} {
		want := []string{"a", "b", "c", "d"}
		if strings.Contains(query, "resumable") {
			want = want[1:]
		}
		if got := fields(s.reader.walk(t, at+query), "artifact_name"); !slices.Equal(got, want) {
			t.Errorf("%s by cursor lists %v", query, got)
		}
	}
	s.reader.get(t, at+"?is_final=perhaps").invalid("is_final")
	s.reader.get(t, at+"?state_code=101").invalid("state_code")
}

func patchArtifact(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil) + "/artifacts"
	a := s.dev.post(t, at, with(artifact("x", 5), obj{"checksum": sum, "size_bytes": 1, "metadata": obj{"a": 1, "b": 2}, "expires_at": "2099-01-01T00:00:00Z"})).is(http.StatusCreated)
	at += "/" + a.id()
	r := s.dev.patch(t, at, obj{"artifact_name": "y", "artifact_type": "ami", "is_resumable": false, "is_final": true, "metadata": obj{"c": 3}}).is(http.StatusOK).
		has(obj{"artifact_name": "y", "artifact_type": "ami", "artifact_path": "s3://bucket/x", "is_resumable": false, "is_final": true, "metadata": obj{"c": 3}, "checksum": sum, "size_bytes": 1})
	for field, v := range map[string]any{"storage_backend": "z", "state_code": 50, "id": "other"} { // what cannot be changed is named
		s.dev.patch(t, at, obj{field: v}).invalid(field)
	}
	s.dev.get(t, at).has(obj{"checksum": sum, "size_bytes": 1, "storage_backend": "s3", "state_code": 5, "id": a.id()})
	s.dev.patch(t, at, obj{"metadata": nil, "expires_at": nil, "artifact_name": nil, "is_final": nil}).is(http.StatusOK).has(obj{"metadata": nil, "expires_at": nil, "artifact_name": "y", "is_final": true})
	s.dev.patch(t, at, obj{"is_final": false}, "If-Match", r.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.dev.patch(t, at, obj{"is_final": false}, "If-Match", s.dev.get(t, at).etag()).is(http.StatusOK)
	s.dev.patch(t, at, obj{"metadata": []int{1}}).invalid("metadata")
	s.dev.patch(t, at, obj{"expires_at": "soon"}).invalid("expires_at")
	s.dev.patch(t, at, obj{"is_final": "yes"}).invalid("is_final")
	s.dev.patch(t, at, obj{"artifact_name": ""}).invalid("artifact_name")
}

func deleteArtifact(t *testing.T, s *session) {
	coll := "/builds/" + s.newBuild(t, nil) + "/artifacts"
	a := s.dev.post(t, coll, artifact("gone", 5)).is(http.StatusCreated)
	at := coll + "/" + a.id()
	s.dev.delete(t, at).refused(http.StatusForbidden, problem.Forbidden, "Admin permission required")
	s.admin.delete(t, at, "If-Match", `"77"`).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.admin.delete(t, at).is(http.StatusNoContent)
	s.admin.get(t, at).refused(http.StatusNotFound, problem.NotFound)
	s.admin.delete(t, at).refused(http.StatusNotFound, problem.NotFound)
	s.dev.patch(t, at, obj{"is_final": true}).refused(http.StatusNotFound, problem.NotFound)
	s.dev.post(t, at+"/revoke", obj{"reason": "x"}).refused(http.StatusNotFound, problem.NotFound)
	if r := s.dev.get(t, at+"?include_deactivated=true").is(http.StatusOK); r.obj()["deleted_at"] == nil {
		t.Errorf("a deleted artifact says %s", r.body)
	}
	for query, want := range map[string]int{"": 0, "?include_deactivated=true": 1} {
		if got := len(s.dev.get(t, coll+query).list()); got != want {
			t.Errorf("%q lists %d, want %d", query, got, want)
		}
	}
	s.admin.post(t, at+"/restore", nil).is(http.StatusOK).has(obj{"deleted_at": nil, "artifact_name": "gone"})
	s.admin.post(t, at+"/restore", nil).is(http.StatusOK)
	s.dev.get(t, at).is(http.StatusOK)
}

func revokeArtifact(t *testing.T, s *session) {
	b := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, b+"/state", obj{"state_code": 5, "status": "completed"}).is(http.StatusOK)
	a := s.dev.post(t, b+"/artifacts", with(artifact("checkpoint", 5), obj{"checksum": sum})).is(http.StatusCreated).id()
	s.dev.post(t, b+"/failure", obj{"state_code": 10, "error_message": "x"}).is(http.StatusOK)
	at := b + "/artifacts/" + a
	s.reader.post(t, at+"/revoke", obj{"reason": "x"}).refused(http.StatusForbidden, problem.Forbidden, "Write permission required")
	s.dev.post(t, at+"/revoke", obj{}).invalid("reason")
	r := s.dev.post(t, at+"/revoke", obj{"reason": "compromised runner"}).is(http.StatusOK).has(obj{"revoked_by": "testuser", "revoke_reason": "compromised runner"})
	s.dev.post(t, at+"/revoke", obj{"reason": "another"}).is(http.StatusOK).has(obj{"revoke_reason": "compromised runner", "revoked_at": r.obj()["revoked_at"]})
	if got := s.dev.get(t, b+"/resume-context").obj()["artifacts"].([]any); len(got) != 0 {
		t.Errorf("a revoked artifact is in the resume context: %v", got)
	}
	plan := s.dev.get(t, b+"/resume-plan").is(http.StatusOK)
	if restore := plan.obj()["restore"].([]any); len(restore) != 0 {
		t.Errorf("a revoked artifact is to be restored: %s", plan.body)
	}
}

func badArtifacts(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil) + "/artifacts"
	for _, field := range []string{"artifact_name", "artifact_type", "artifact_path", "storage_backend", "state_code"} {
		body := artifact("x", 5)
		delete(body, field)
		s.dev.post(t, at, body).invalid(field)
	}
	for field, values := range map[string][]any{
		"artifact_name": {"", strings.Repeat("x", 201), "a\tb", 7}, "size_bytes": {-1, "big", 1.5}, "expires_at": {"soon", 7}, "metadata": {[]int{1}, "text", 7}, "state_code": {101, -1, 5.5},
		"is_resumable": {"yes", 1}, "artifact_type": {""}, "storage_backend": {strings.Repeat("x", 101)},
	} {
		for _, v := range values {
			if r := s.dev.post(t, at, with(artifact(unique("x"), 5), obj{field: v})).refused(http.StatusUnprocessableEntity, problem.Invalid); !strings.Contains(string(r.body), field) {
				t.Errorf("%s %v: %s", field, v, r.body)
			}
		}
	}
	s.dev.post(t, at, with(artifact("x", 5), obj{"metadata": obj{"big": strings.Repeat("x", 70000)}})).refused(http.StatusRequestEntityTooLarge, problem.TooLarge)
	if got := s.dev.get(t, at).list(); len(got) != 0 {
		t.Errorf("refused artifacts were stored: %v", got)
	}
}

var variableTests = []test{
	{"a variable is set, replaced, read, changed and deleted", variables},
	{"sensitive values are masked, and revealed to writers who then stand in the history", sensitive},
	{"lists go by key, filter and page", listVariables},
	{"what is none is refused and names the field", badVariables},
	{"no variable is called as all are", variableDict},
}

const variableKeys = "id build_id variable_key variable_value variable_type set_at_state is_sensitive is_required_for_resume created_at updated_at"

func variables(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	at := "/builds/" + b + "/variables"
	v := s.dev.post(t, at, obj{"variable_key": "vm_id", "variable_value": "vm-123"}).is(http.StatusCreated).keys(variableKeys).
		has(obj{"build_id": b, "variable_key": "vm_id", "variable_value": "vm-123", "variable_type": "string", "set_at_state": nil, "is_sensitive": false, "is_required_for_resume": false})
	s.dev.post(t, at, obj{"variable_key": "vm_id", "variable_value": "vm-124", "set_at_state": 20, "is_required_for_resume": true}).is(http.StatusCreated).
		has(obj{"id": v.id(), "variable_value": "vm-124", "set_at_state": 20, "is_required_for_resume": true, "created_at": v.str("created_at")})
	s.dev.post(t, at, obj{"variable_key": "vm_id", "variable_value": "vm-125"}).is(http.StatusCreated).has(obj{"variable_value": "vm-125", "set_at_state": 20, "is_required_for_resume": true})
	for _, ref := range []string{"vm_id", v.id()} {
		s.reader.get(t, at+"/"+ref).is(http.StatusOK).has(obj{"id": v.id(), "variable_value": "vm-125"})
	}
	r := s.dev.patch(t, at+"/vm_id", obj{"variable_value": `{"a":1}`, "variable_type": "json", "is_required_for_resume": false}).is(http.StatusOK).
		has(obj{"variable_value": `{"a":1}`, "variable_type": "json", "is_required_for_resume": false})
	s.dev.patch(t, at+"/vm_id", obj{"variable_value": "{", "variable_type": "json"}).invalid("variable_value")
	s.dev.patch(t, at+"/vm_id", obj{"variable_type": "string"}, "If-Match", v.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.dev.patch(t, at+"/vm_id", obj{"variable_type": "string"}, "If-Match", r.etag()).is(http.StatusOK)
	s.dev.delete(t, at+"/vm_id", "If-Match", r.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.reader.delete(t, at+"/vm_id").refused(http.StatusForbidden, problem.Forbidden, "Write permission required")
	s.dev.delete(t, at+"/vm_id").is(http.StatusNoContent)
	s.dev.get(t, at+"/vm_id").refused(http.StatusNotFound, problem.NotFound, "Variable 'vm_id' not found for build "+b)
	s.dev.delete(t, at+"/vm_id").refused(http.StatusNotFound, problem.NotFound, "Variable 'vm_id' not found for build "+b)
	s.dev.patch(t, at+"/vm_id", obj{"variable_value": "x"}).refused(http.StatusNotFound, problem.NotFound)
	for _, path := range []string{"", "/dict", "/x"} {
		s.dev.get(t, "/builds/no-such/variables"+path).refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
	}
	s.dev.post(t, "/builds/no-such/variables", obj{"variable_key": "k", "variable_value": "v"}).refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
}

func sensitive(t *testing.T, s *session) {
	b := "/builds/" + s.newBuild(t, nil)
	at, secret := b+"/variables", s.newSecret()
	s.dev.post(t, at, obj{"variable_key": "open", "variable_value": "seen"}).is(http.StatusCreated)
	s.dev.post(t, at, obj{"variable_key": "password", "variable_value": secret, "is_sensitive": true}).is(http.StatusCreated).has(obj{"variable_value": "******", "is_sensitive": true})
	s.dev.post(t, at, obj{"variable_key": "token", "variable_value": secret, "variable_type": "encrypted"}).is(http.StatusCreated).has(obj{"variable_value": "******", "is_sensitive": true})
	s.dev.patch(t, at+"/password", obj{"is_required_for_resume": true}).is(http.StatusOK).has(obj{"variable_value": "******"})
	for _, c := range []caller{s.reader, s.dev, s.admin} {
		for _, path := range []string{at, at + "/dict", at + "/password", at + "/token", b + "/resume-context", b + "/resume-plan", b + "/history", at + "?reveal=false"} {
			if r := c.get(t, path).is(http.StatusOK); containsText(string(r.body), secret) {
				t.Errorf("%s shows a sensitive value", path)
			}
		}
	}
	s.reader.get(t, at+"/dict").has(obj{"open": "seen", "password": "******", "token": "******"})
	for _, path := range []string{at, at + "/dict", at + "/password", b + "/resume-context"} {
		s.reader.get(t, path+"?reveal=true").refused(http.StatusForbidden, problem.Forbidden, "Write permission required")
		if r := s.dev.get(t, path+"?reveal=true").is(http.StatusOK); !containsText(string(r.body), secret) {
			t.Errorf("%s does not reveal: %s", path, r.body)
		}
	}
	s.dev.get(t, at+"/dict?reveal=true").has(obj{"open": "seen", "password": secret, "token": secret})
	s.dev.get(t, at+"/open?reveal=true").is(http.StatusOK).has(obj{"variable_value": "seen"})
	rows := s.dev.walk(t, b+"/history")
	reveals := slices.DeleteFunc(rows, func(r obj) bool { return r["kind"] != "variable.reveal" })
	if len(reveals) < 5 {
		t.Errorf("%d reveals in the history, want at least 5", len(reveals))
	}
	for _, r := range reveals {
		if data, _ := r["data"].(obj); r["actor"] != "testuser" || len(data["variable_keys"].([]any)) == 0 {
			t.Errorf("a reveal is recorded as %v", r)
		}
	}
	audit := s.admin.get(t, "/audit?resource=build&resource_id="+strings.TrimPrefix(b, "/builds/")).is(http.StatusOK)
	if !slices.Contains(fields(audit.list(), "action"), "build.variable.reveal") || containsText(string(audit.body), secret) {
		t.Error("the audit trail lacks the reveal, or shows the value")
	}
}

func containsText(text, part string) bool { return strings.Contains(text, part) }

func listVariables(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil) + "/variables"
	for _, k := range []string{"c", "a", "d", "b"} {
		s.dev.post(t, at, obj{"variable_key": k, "variable_value": "of " + k, "is_required_for_resume": k < "c"}).is(http.StatusCreated)
	}
	for query, want := range map[string]string{"": "a b c d", "?required_for_resume=true": "a b", "?required_for_resume=false": "c d", "?skip=1&limit=2": "b c"} {
		if got := strings.Join(fields(s.reader.get(t, at+query).is(http.StatusOK).list(), "variable_key"), " "); got != want {
			t.Errorf("%q lists %q, want %q", query, got, want)
		}
	}
	s.reader.get(t, at+"/dict").is(http.StatusOK).has(obj{"a": "of a", "d": "of d"})
	if r := s.reader.get(t, at+"/dict?required_for_resume=true").is(http.StatusOK).has(obj{"a": "of a", "b": "of b"}); len(r.obj()) != 2 {
		t.Errorf("required ones: %s", r.body)
	}
	if got := fields(s.reader.walk(t, at+"?limit=1"), "variable_key"); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("by cursor: %v", got)
	}
	s.reader.get(t, at+"?required_for_resume=perhaps").invalid("required_for_resume")
}

func badVariables(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil) + "/variables"
	ok := obj{"variable_key": "k", "variable_value": "v"}
	s.dev.post(t, at, obj{"variable_value": "v"}).invalid("variable_key")
	s.dev.post(t, at, obj{"variable_key": "k"}).invalid("variable_value")
	for field, values := range map[string][]any{"variable_key": {"", strings.Repeat("x", 201), "a\nb", 7}, "variable_value": {7, obj{}, true}, "set_at_state": {101, -1, 2.5, "sleeping"}, "is_sensitive": {"yes"}} {
		for _, v := range values {
			s.dev.post(t, at, with(ok, obj{field: v})).invalid(field)
		}
	}
	s.dev.post(t, at, with(ok, obj{"variable_type": "json", "variable_value": "{"})).invalid("variable_value")
	s.dev.post(t, at, with(ok, obj{"variable_value": strings.Repeat("x", 64<<10+1)})).refused(http.StatusRequestEntityTooLarge, problem.TooLarge)
	s.dev.post(t, at, with(ok, obj{"variable_value": ""})).is(http.StatusCreated).has(obj{"variable_value": ""})
	s.dev.post(t, at, with(ok, obj{"variable_value": strings.Repeat("x", 64<<10)})).is(http.StatusCreated)
	for _, key := range []string{"with blank", "a.b-c_d", "ü", "a#b", "50%"} {
		s.dev.post(t, at, with(ok, obj{"variable_key": key})).is(http.StatusCreated)
		s.dev.get(t, at+"/"+escape(key)).is(http.StatusOK).has(obj{"variable_key": key})
	}
}

func variableDict(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil) + "/variables"
	s.dev.post(t, at, obj{"variable_key": "dict", "variable_value": "x"}).invalid("variable_key")
	s.dev.post(t, at, obj{"variable_key": "dictum", "variable_value": "x"}).is(http.StatusCreated)
	s.dev.get(t, at+"/dict").is(http.StatusOK).has(obj{"dictum": "x"})
}

var jobTests = []test{
	{"a job is registered, listed newest first and changed", jobs},
}

const jobKeys = `id build_id platform pipeline_name job_name job_url job_id build_number triggered_by trigger_source status is_resume_job resumed_from_state parent_job_id
	started_at completed_at created_at updated_at`

func jobs(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	at := "/builds/" + b + "/jobs"
	body := obj{"platform": "concourse", "job_name": "build", "pipeline_name": "p", "job_url": "https://ci/1", "job_id": "17", "build_number": "5", "triggered_by": "alice", "trigger_source": "manual", "is_resume_job": true, "resumed_from_state": 20}
	j := s.dev.post(t, at, body).is(http.StatusCreated).keys(jobKeys).has(body).has(obj{"build_id": b, "status": "pending", "started_at": nil, "completed_at": nil, "parent_job_id": nil})
	child := s.dev.post(t, at, obj{"platform": "jenkins", "job_name": "child", "parent_job_id": j.id(), "status": "running"}).is(http.StatusCreated).has(obj{"parent_job_id": j.id(), "status": "running"})
	if got := fields(s.reader.get(t, at).is(http.StatusOK).list(), "id"); !slices.Equal(got, []string{child.id(), j.id()}) {
		t.Errorf("jobs %v, want the newest first", got)
	}
	if got := fields(s.reader.walk(t, at+"?limit=1"), "id"); !slices.Equal(got, []string{child.id(), j.id()}) {
		t.Errorf("by cursor %v", got)
	}
	r := s.dev.patch(t, at+"/"+j.id(), obj{"status": "running"}).is(http.StatusOK)
	if r.obj()["started_at"] == nil {
		t.Errorf("a running job: %s", r.body)
	}
	s.dev.patch(t, at+"/"+j.id(), obj{"status": "success", "completed_at": "2024-02-01T10:00:00Z"}).is(http.StatusOK).has(obj{"status": "success", "completed_at": "2024-02-01T10:00:00Z"})
	s.dev.patch(t, at+"/"+j.id(), obj{"status": "failed"}, "If-Match", j.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.dev.patch(t, at+"/"+j.id(), obj{"status": "asleep"}).invalid("status")
	s.dev.patch(t, at+"/"+j.id(), obj{"started_at": "soon"}).invalid("started_at")
	s.dev.patch(t, at+"/no-such", obj{"status": "failed"}).refused(http.StatusNotFound, problem.NotFound, fmt.Sprintf("Build job no-such not found for build %s", b))
	s.dev.post(t, at, obj{"job_name": "x"}).invalid("platform")
	s.dev.post(t, at, obj{"platform": "x"}).invalid("job_name")
	s.dev.post(t, at, obj{"platform": "x", "job_name": "y", "status": "asleep"}).invalid("status")
	s.dev.post(t, at, obj{"platform": "x", "job_name": "y", "resumed_from_state": 101}).invalid("resumed_from_state")
	s.dev.post(t, "/builds/no-such/jobs", body).refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
	s.dev.get(t, "/builds/no-such/jobs").refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
}
