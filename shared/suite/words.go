package suite

import (
	"net/http"
	"strings"
	"testing"

	"bldst/shared/api"
	"bldst/shared/build"
	"bldst/shared/problem"
)

var wordTests = []test{
	{"nothing but a word for done completes a build", nothingElseCompletes},
	{"a word that nobody knows is kept and told, and changes nothing of a failed build", unknownWords},
	{"jobs and filters know the words of every CI", wordsOfJobs},
}

// warned fails the test unless the answer carries a warning with all of says.
func (r *reply) warned(says ...string) *reply {
	r.t.Helper()
	all := strings.Join(api.Warnings(r.header.Get("Warning")), "\n")
	for _, say := range says {
		if !strings.Contains(all, say) {
			r.t.Errorf("%s: the warning is %q, want %q in it", r.call, all, say)
		}
	}
	if all == "" {
		r.t.Errorf("%s: no warning", r.call)
	}
	return r
}

// unwarned fails the test when the answer carries a warning.
func (r *reply) unwarned() *reply {
	r.t.Helper()
	if w := r.header.Get("Warning"); w != "" {
		r.t.Errorf("%s: the warning %s", r.call, w)
	}
	return r
}

func nothingElseCompletes(t *testing.T, s *session) {
	for _, word := range []string{"ABORTED", "errored", "TIMED_OUT", "timed_out", "Timed out", "NOT_BUILT", "UNSTABLE", "startup_failure", "STOPPED", "FAULT", "fail", "killed", "cancelled", "CANCELED", "skipped",
		"stale", "broken", "expired", "not_run", "ROLLBACK_COMPLETED", "partiallySucceeded", "infrastructure_fail", "OOMKilled", "compelted", "not completed", "finished", "unknown", "0", "build completed", " ", "\u200b", "${STATUS}"} {
		m, known := build.ParseWord(word)
		fresh, failed := "/builds/"+s.newBuild(t, nil), "/builds/"+s.newBuild(t, nil)
		s.dev.post(t, failed+"/failure", obj{"state_code": 40, "error_message": "no"}).is(http.StatusOK)
		for _, at := range []string{fresh, failed} {
			r := s.dev.post(t, at+"/state", obj{"state_code": 100, "status": word})
			if b := s.dev.get(t, at).obj(); b["status"] == "completed" {
				t.Errorf("100 %q completes a build: %s", word, r.body)
			}
			if r.status == http.StatusOK && (!known || m.Skips) {
				r.warned()
			}
		}
	}
	for _, word := range []string{"completed", "COMPLETED", "success", "Succeeded", "SUCCESS", "passed", "AVAILABLE", "done", "ok", "OK.", "succeededWithIssues", "neutral"} {
		at := "/builds/" + s.newBuild(t, nil)
		s.dev.post(t, at+"/state", obj{"state_code": 40, "status": word}).is(http.StatusOK).unwarned().has(obj{"status": "completed", "build_status": "in_progress"})
		s.dev.post(t, at+"/state", obj{"state_code": 100, "status": word}).is(http.StatusOK).unwarned().has(obj{"build_status": "completed"})
	}
}

func unknownWords(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/state", obj{"state_code": 100, "status": "compelted", "message": "at last"}).is(http.StatusOK).warned("compelted", "completed").
		has(obj{"status": "in_progress", "build_status": "in_progress", "message": "compelted: at last"})
	s.dev.post(t, at+"/state", obj{"state_code": 45, "status": "\"quoted\" \u2713 \r\n X-Injected: 1"}).is(http.StatusOK).warned("\"quoted\" \u2713 \r\n X-Injected")
	s.dev.post(t, at+"/state", obj{"state_code": 45, "status": "failed", "message": "disk full"}).is(http.StatusOK).unwarned()
	for _, code := range []int{40, 45, 50, 100} {
		s.dev.post(t, at+"/state", obj{"state_code": code, "status": "cleaning up"}).is(http.StatusOK).warned("cleaning up").has(obj{"build_status": "failed", "attempt": 1, "message": "cleaning up"})
	}
	s.dev.get(t, at).has(obj{"status": "failed", "attempt": 1, "failed_state": 45, "current_state": 45, "message": "disk full"})
	s.dev.get(t, at+"/history/verify").has(obj{"valid": true})
}

func wordsOfJobs(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	at := "/builds/" + b + "/jobs"
	for word, want := range map[string]string{"timed_out": "failed", "skipped": "aborted", "UNSTABLE": "failed", "NOT_BUILT": "failed", "startup_failure": "failed", "waiting_for_resource": "pending", "PAUSED": "pending",
		"passed": "success", "Succeeded": "success", "canceling": "running", "STOPPED": "aborted", "infrastructure_fail": "failed"} {
		j := s.dev.post(t, at, obj{"platform": "x", "job_name": word, "status": word}).is(http.StatusCreated).has(obj{"status": want, "ci_status": word})
		s.dev.patch(t, at+"/"+j.id(), obj{"status": "running"}).is(http.StatusOK).has(obj{"status": "running", "ci_status": nil})
		s.dev.patch(t, at+"/"+j.id(), obj{"status": word}).is(http.StatusOK).has(obj{"status": want, "ci_status": word})
	}
	s.dev.post(t, at, obj{"platform": "x", "job_name": "y", "status": "asleep"}).invalid("status")
	s.dev.post(t, "/builds/"+b+"/failure", obj{"error_message": "x"}).is(http.StatusOK)
	for word, want := range map[string]string{"TIMED_OUT": "failed", "errored": "failed", "FAILURE": "failed", "passed": "completed", "ABORTED": "cancelled", "queued": "pending", "canceling": "in_progress"} {
		for _, row := range s.dev.get(t, "/builds?limit=20&status="+word).is(http.StatusOK).list() {
			if row["status"] != want {
				t.Errorf("?status=%s lists a build that is %v, want %s", word, row["status"], want)
			}
		}
	}
	for _, word := range []string{"compelted", "finished", "all", "%20", "not_failed"} {
		s.dev.get(t, "/builds?status="+word).refused(http.StatusUnprocessableEntity, problem.Invalid, "failed").invalid("status")
	}
}
