package suite

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"bldst/shared/problem"
)

var resumeTests = []test{
	{"the context has what a worker needs", resumeContext},
	{"the context leaves out what cannot be restored", contextArtifacts},
	{"a resume opens the next attempt", resumeRequest},
	{"what makes no sense is refused with the original's words", badResumes},
	{"a plan's refusals are refusals of the resume, unless forced", resumeReasons},
	{"the plan says what a resume would do, and changes nothing", resumePlan},
	{"a request is read and changed at both paths", requestPaths},
	{"a request ends with its attempt", requestEnds},
	{"a project's configuration decides", resumeConfig},
}

const requestKeys = `id resume_request_id build_id resume_from_state resume_to_state resume_reason requested_by request_source metadata orchestration_job_id orchestration_job_url
	orchestration_status triggered_at completed_at error_message created_at updated_at attempt strategy`

const planKeys = `build_id attempt resumable reason detail resume_from_state last_completed_state failed_state restore artifacts variables states estimated_minutes_saved warnings strategy`

// failed makes a build that has completed 5 and 10, left checkpoints of both,
// and failed at 15; it returns its path.
func (s *session) failed(t *testing.T, more obj) string {
	t.Helper()
	at := "/builds/" + s.newBuild(t, more)
	for _, code := range []int{5, 10} {
		s.dev.post(t, at+"/state", obj{"state_code": code, "status": "completed"}).is(http.StatusOK)
		s.dev.post(t, at+"/artifacts", with(artifact("checkpoint-"+string(rune('0'+code/5)), code), obj{"checksum": sum})).is(http.StatusCreated)
	}
	s.dev.post(t, at+"/failure", obj{"state_code": 15, "error_message": "network timeout"}).is(http.StatusOK)
	return at
}

// resumed makes the build id one that was resumed and returns the request.
func (s *session) resumed(t *testing.T, b string) string {
	t.Helper()
	s.dev.post(t, "/builds/"+b+"/failure", obj{"state_code": 5, "error_message": "x"}).is(http.StatusOK)
	return s.dev.post(t, "/builds/"+b+"/resume", obj{"resume_from_state": 5, "force": true}).is(http.StatusCreated).id()
}

func resumeContext(t *testing.T, s *session) {
	at := s.failed(t, nil)
	s.dev.post(t, at+"/variables", obj{"variable_key": "vm_id", "variable_value": "vm-1"}).is(http.StatusCreated)
	r := s.reader.get(t, at+"/resume-context").is(http.StatusOK).keys("build_id current_state last_successful_state failed_state resume_from_state artifacts variables resumable_state_config").
		has(obj{"build_id": strings.TrimPrefix(at, "/builds/"), "current_state": 15, "last_successful_state": 10, "failed_state": 15, "resume_from_state": 15, "variables": obj{"vm_id": "vm-1"}, "resumable_state_config": nil, "attempt": 1})
	artifacts := r.obj()["artifacts"].([]any)
	if len(artifacts) != 2 || artifacts[0].(obj)["state_code"] != 5.0 || lacks(artifacts[0].(obj), artifactKeys) != "" {
		t.Errorf("artifacts of the context: %v", artifacts)
	}
	s.dev.post(t, at+"/state", obj{"state_code": 15, "status": "completed"}).is(http.StatusOK)
	s.reader.get(t, at+"/resume-context").is(http.StatusOK).has(obj{"failed_state": nil, "last_successful_state": 15, "resume_from_state": 16, "attempt": 2})
	fresh := "/builds/" + s.newBuild(t, nil)
	s.reader.get(t, fresh+"/resume-context").is(http.StatusOK).has(obj{"current_state": 0, "last_successful_state": nil, "failed_state": nil, "resume_from_state": 0, "artifacts": []any{}, "variables": obj{}})
	zero := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, zero+"/failure", obj{"state_code": 0, "error_message": "x"}).is(http.StatusOK)
	s.reader.get(t, zero+"/resume-context").is(http.StatusOK).has(obj{"failed_state": 0, "resume_from_state": 0})
	s.reader.get(t, "/builds/no-such/resume-context").refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
}

func contextArtifacts(t *testing.T, s *session) {
	at := s.failed(t, nil)
	for name, more := range map[string]obj{"expired": {"expires_at": "2020-01-01T00:00:00Z"}, "for people": {"is_resumable": false}, "deleted": {}, "revoked": {}, "good": {}} {
		a := s.dev.post(t, at+"/artifacts", with(artifact(name, 10), more)).is(http.StatusCreated).id()
		switch name {
		case "deleted":
			s.admin.delete(t, at+"/artifacts/"+a).is(http.StatusNoContent)
		case "revoked":
			s.dev.post(t, at+"/artifacts/"+a+"/revoke", obj{"reason": "x"}).is(http.StatusOK)
		}
	}
	var c struct{ Artifacts []obj }
	s.reader.get(t, at+"/resume-context").is(http.StatusOK).as(&c)
	if got := fields(c.Artifacts, "artifact_name"); !slices.Equal(got, []string{"checkpoint-1", "checkpoint-2", "good"}) {
		t.Errorf("artifacts %v, want the two checkpoints and the good one", got)
	}
}

func resumeRequest(t *testing.T, s *session) {
	at := s.failed(t, nil)
	r := s.dev.post(t, at+"/resume", obj{"resume_from_state": 15, "resume_to_state": 40, "resume_reason": "fixed", "metadata": obj{"ticket": "T-1"},
		"orchestration_config": obj{"platform": "concourse", "pipeline": "p", "job": "j"}}).is(http.StatusCreated).keys(requestKeys).
		has(obj{"resume_from_state": 15, "resume_to_state": 40, "resume_reason": "fixed", "requested_by": "test-user", "request_source": "api", "metadata": obj{"ticket": "T-1"}, "attempt": 2,
			"orchestration_config": obj{"platform": "concourse", "pipeline": "p", "job": "j"}})
	if r.str("resume_request_id") != r.id() || !slices.Contains([]any{"pending", "triggered"}, r.obj()["orchestration_status"]) {
		t.Errorf("the request: %s", r.body)
	}
	s.dev.get(t, at).has(obj{"status": "in_progress", "attempt": 2, "failed_state": nil})
	s.dev.post(t, at+"/state", obj{"state_code": 15, "attempt": 1}).refused(http.StatusConflict, problem.StaleAttempt)
	s.dev.get(t, at+"/resume-context").has(obj{"resume_request_id": r.id(), "requested_from_state": 15, "failed_state": 15})
	other := s.failed(t, nil)
	s.dev.post(t, other+"/resume", obj{"resume_from_state": 15, "requested_by": "alice", "request_source": "cli"}).is(http.StatusCreated).has(obj{"requested_by": "alice", "request_source": "cli", "resume_to_state": nil})
}

func badResumes(t *testing.T, s *session) {
	at := s.failed(t, nil)
	s.dev.post(t, at+"/resume", obj{"resume_from_state": "x"}).invalid("resume_from_state")
	s.dev.post(t, at+"/resume", obj{"resume_from_state": -1}).refused(http.StatusBadRequest, problem.Refused, "resume_from_state must be >= 0")
	s.dev.post(t, at+"/resume", obj{"resume_from_state": 101}).refused(http.StatusBadRequest, problem.Refused)
	for _, to := range []int{10, 15} {
		s.dev.post(t, at+"/resume", obj{"resume_from_state": 15, "resume_to_state": to}).refused(http.StatusBadRequest, problem.Refused, "resume_to_state must be greater than resume_from_state")
	}
	s.dev.post(t, at+"/resume", obj{"resume_from_state": 15, "metadata": "x"}).invalid("metadata")
	s.dev.post(t, "/builds/no-such/resume", obj{"resume_from_state": 15}).refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
	s.dev.get(t, "/builds/no-such/resume-requests").refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
	s.dev.get(t, "/builds/no-such/resume-plan").refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
	s.dev.post(t, at+"/resume", obj{"resume_from_state": 15}, "If-Match", `"1"`).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.dev.get(t, at).has(obj{"attempt": 1, "status": "failed"})
}

func resumeReasons(t *testing.T, s *session) {
	body := obj{"resume_from_state": 10}
	refused := func(at string, code problem.Kind, forced bool) {
		t.Helper()
		s.dev.get(t, at+"/resume-plan").is(http.StatusOK).has(obj{"reason": string(code), "resumable": false})
		s.dev.post(t, at+"/resume", body).refused(http.StatusConflict, code)
		r := s.dev.post(t, at+"/resume", with(body, obj{"force": true}))
		if forced {
			r.is(http.StatusCreated)
		} else {
			r.refused(http.StatusConflict, code)
		}
	}
	done := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, done+"/state", obj{"state_code": 100}).is(http.StatusOK)
	refused(done, problem.BuildCompleted, false)
	cancelled := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, cancelled+"/cancel", nil).is(http.StatusOK)
	refused(cancelled, problem.BuildCancelled, false)
	refused("/builds/"+s.newBuild(t, nil), problem.NothingDone, true)
	running := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, running+"/state", obj{"state_code": 10, "worker": "w"}).is(http.StatusOK)
	refused(running, problem.BuildRunning, true)
	twice := s.failed(t, nil)
	s.dev.post(t, twice+"/resume", obj{"resume_from_state": 15}).is(http.StatusCreated)
	refused(twice, problem.ResumeInProgress, false)
}

func resumePlan(t *testing.T, s *session) {
	at := s.failed(t, nil)
	plan := s.reader.get(t, at+"/resume-plan").is(http.StatusOK).keys(planKeys).
		has(obj{"resumable": true, "reason": "ok", "attempt": 1, "resume_from_state": 15, "last_completed_state": 10, "failed_state": 15, "strategy": "from_artifact"})
	restore := plan.obj()["restore"].([]any)
	if len(restore) != 1 || differs(obj{"artifact_name": "checkpoint-2", "state_code": 10, "artifact_path": "s3://bucket/checkpoint-2", "checksum": sum, "checksum_known": true}, restore[0].(obj)) != "" {
		t.Errorf("restore %v, want checkpoint-2", restore)
	}
	for _, st := range plan.obj()["states"].([]any) {
		if missing := lacks(st.(obj), "state_code name action why typical_seconds by at"); missing != "" {
			t.Errorf("state %v lacks %s", st, missing)
		}
	}
	s.reader.get(t, at+"/resume-plan?from=10").is(http.StatusOK).has(obj{"resume_from_state": 10})
	s.reader.get(t, at+"/resume-plan?from=101").invalid("from")
	s.reader.post(t, at+"/resume-plan", nil).is(http.StatusOK).has(plan.obj())
	s.reader.post(t, at+"/resume-plan", obj{"from_state": 10, "fingerprints": obj{"5": "sha256:aa"}}).is(http.StatusOK).has(obj{"resume_from_state": 10})
	s.reader.post(t, at+"/resume-plan", obj{"fingerprints": obj{"x": "y"}}).invalid("fingerprints")
	s.dev.get(t, at).has(obj{"status": "failed", "attempt": 1, "current_state": 15})
	if got := s.acts(t, at); slices.ContainsFunc(got, func(k string) bool { return strings.HasPrefix(k, "resume") }) {
		t.Errorf("asking for a plan was an act: %v", got)
	}
	inputs := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, inputs+"/state", obj{"state_code": 5, "status": "completed", "fingerprint": "sha256:old"}).is(http.StatusOK)
	s.dev.post(t, inputs+"/failure", obj{"state_code": 10, "error_message": "x"}).is(http.StatusOK)
	s.reader.post(t, inputs+"/resume-plan", obj{"fingerprints": obj{"5": "sha256:old"}}).is(http.StatusOK).has(obj{"resume_from_state": 10})
	s.reader.post(t, inputs+"/resume-plan", obj{"fingerprints": obj{"5": "sha256:new"}}).is(http.StatusOK).has(obj{"resume_from_state": 5})
}

func requestPaths(t *testing.T, s *session) {
	at := s.failed(t, nil)
	b := strings.TrimPrefix(at, "/builds/")
	first := s.dev.post(t, at+"/resume", obj{"resume_from_state": 15}).is(http.StatusCreated).id()
	s.dev.post(t, at+"/state", obj{"state_code": 15, "status": "failed"}).is(http.StatusOK)
	second := s.dev.post(t, at+"/resume", obj{"resume_from_state": 15}).is(http.StatusCreated).id()
	for _, path := range []string{at + "/resume-requests", at + "/resume", at + "/resume_requests/"} {
		if got := fields(s.reader.get(t, path).is(http.StatusOK).list(), "id"); !slices.Equal(got, []string{second, first}) {
			t.Errorf("%s lists %v, want the newest first", path, got)
		}
	}
	if got := fields(s.reader.walk(t, at+"/resume-requests?limit=1"), "id"); !slices.Equal(got, []string{second, first}) {
		t.Errorf("by cursor: %v", got)
	}
	for _, path := range []string{"/resume-requests/" + second, at + "/resume/" + second} {
		s.reader.get(t, path).is(http.StatusOK).keys(requestKeys).has(obj{"id": second, "build_id": b, "attempt": 3})
		s.dev.patch(t, path, obj{"orchestration_job_id": "42", "orchestration_job_url": "https://ci/42", "orchestration_status": "triggered"}).is(http.StatusOK).
			has(obj{"orchestration_job_id": "42", "orchestration_job_url": "https://ci/42", "orchestration_status": "triggered"})
		s.dev.patch(t, path, obj{"orchestration_status": "asleep"}).invalid("orchestration_status")
	}
	s.dev.patch(t, "/resume-requests/"+second, obj{"error_message": "x"}, "If-Match", `"1"`).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	r := s.dev.patch(t, "/resume-requests/"+second, obj{"orchestration_status": "completed"}).is(http.StatusOK).has(obj{"orchestration_status": "completed"})
	if r.obj()["completed_at"] == nil || r.obj()["triggered_at"] == nil {
		t.Errorf("a completed request: %s", r.body)
	}
	s.dev.patch(t, "/resume-requests/"+second, obj{"orchestration_status": "pending"}).refused(http.StatusBadRequest, problem.Refused)
	s.reader.get(t, "/resume-requests/no-such").refused(http.StatusNotFound, problem.NotFound, "Resume request no-such not found")
	s.dev.patch(t, "/resume-requests/no-such", obj{}).refused(http.StatusNotFound, problem.NotFound, "Resume request no-such not found")
	s.reader.get(t, "/builds/build-001/resume/"+second).refused(http.StatusNotFound, problem.NotFound, "Resume request "+second+" not found")
}

func requestEnds(t *testing.T, s *session) {
	at := s.failed(t, nil)
	rid := s.dev.post(t, at+"/resume", obj{"resume_from_state": 15, "resume_to_state": 20}).is(http.StatusCreated).id()
	status := func(want string) {
		t.Helper()
		s.dev.get(t, "/resume-requests/"+rid).is(http.StatusOK).has(obj{"orchestration_status": want})
	}
	s.dev.post(t, at+"/state", obj{"state_code": 15}).is(http.StatusOK)
	status("running")
	s.dev.post(t, at+"/failure", obj{"error_message": "again"}).is(http.StatusOK)
	status("failed")
	rid = s.dev.post(t, at+"/resume", obj{"resume_from_state": 15, "resume_to_state": 20}).is(http.StatusCreated).id()
	s.dev.post(t, at+"/state", obj{"state_code": 20, "status": "completed"}).is(http.StatusOK)
	status("completed")
	dead := s.failed(t, nil)
	rid = s.dev.post(t, dead+"/resume", obj{"resume_from_state": 15}).is(http.StatusCreated).id()
	s.dev.patch(t, "/resume-requests/"+rid, obj{"orchestration_status": "failed", "error_message": "no runner"}).is(http.StatusOK)
	s.dev.get(t, dead).has(obj{"status": "failed", "attempt": 2})
}

func resumeConfig(t *testing.T, s *session) {
	p := s.newProject(t)
	s.dev.post(t, "/projects/"+p+"/resumable-states", obj{"state_code": 15, "resume_strategy": "from_artifact", "required_artifacts": []string{"vm_snapshot"}, "required_variables": []string{"vm_id"}}).is(http.StatusCreated)
	at := s.failed(t, obj{"project_id": p})
	config := s.dev.get(t, at+"/resume-context").is(http.StatusOK).obj()["resumable_state_config"].(obj)
	if wrong := differs(obj{"state_code": 15, "resume_strategy": "from_artifact"}, config); wrong != "" {
		t.Errorf("the configuration of the context: %s", wrong)
	}
	s.dev.get(t, at+"/resume-plan").is(http.StatusOK).has(obj{"resumable": false, "reason": "variable_missing"})
	s.dev.post(t, at+"/resume", obj{"resume_from_state": 15}).refused(http.StatusConflict, problem.VariableMissing, "vm_id")
	s.dev.post(t, at+"/variables", obj{"variable_key": "vm_id", "variable_value": "1"}).is(http.StatusCreated)
	s.dev.get(t, at+"/resume-plan").is(http.StatusOK).has(obj{"resumable": true, "reason": "ok"})
	for _, name := range []string{"checkpoint-1", "checkpoint-2"} {
		s.dev.post(t, at+"/artifacts/"+name+"/revoke", obj{"reason": "x"}).is(http.StatusOK)
	}
	s.dev.get(t, at+"/resume-plan").is(http.StatusOK).has(obj{"resumable": false, "reason": "artifact_revoked"})
	s.dev.post(t, at+"/resume", obj{"resume_from_state": 15}).refused(http.StatusConflict, problem.ArtifactRevoked)
	closed := s.newProject(t)
	s.dev.post(t, "/projects/"+closed+"/resumable-states", obj{"state_code": 15, "is_resumable": false}).is(http.StatusCreated)
	fixed := s.failed(t, obj{"project_id": closed})
	s.dev.post(t, fixed+"/resume", obj{"resume_from_state": 15}).refused(http.StatusConflict, problem.StateNotResumable)
	s.dev.post(t, fixed+"/resume", obj{"resume_from_state": 15, "force": true}).is(http.StatusCreated).has(obj{"force": true})
}
