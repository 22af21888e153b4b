package suite

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bldst/shared/problem"
)

var fenceTests = []test{
	{"every write below a build is held to the attempt and the worker it names", fencedEverywhere},
	{"one worker holds a build, until it is taken over", oneHolder},
	{"a worker that gives its lease back leaves the attempt to another", leaseGivenBack},
	{"what is done in an attempt stays done in it", staysDone},
	{"a resume begins where the plan says and replaces who holds the build", takeOverByResume},
}

// writesBelow reports whether op writes something of a build.
func (op operation) writesBelow() bool {
	return op.method != http.MethodGet && op.scope != "read" && (strings.HasPrefix(op.path, "/builds/{id}") || strings.HasPrefix(op.path, "/resume-requests/{rid}"))
}

// claiming returns the example of op's body with what the caller says of itself.
func (op operation) claiming(t *testing.T, said obj) obj {
	t.Helper()
	body := obj{}
	if text, ok := op.example(t).(string); ok {
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
	}
	return with(body, said)
}

func fencedEverywhere(t *testing.T, s *session) {
	f := s.foreign(t) // its build is at attempt 2
	s.dev.post(t, f.at+"/heartbeat", obj{"worker": "holder", "attempt": 2}).is(http.StatusOK)
	before := s.dev.get(t, f.at).has(obj{"attempt": 2}).etag()
	ops, seen := described(t), 0
	for _, key := range slices.Sorted(maps.Keys(ops)) {
		op := ops[key]
		if !op.writesBelow() {
			continue
		}
		seen++
		path := f.path(t, op)
		say := func(header string, said obj) *reply {
			var body any
			if op.method != http.MethodDelete {
				body = op.claiming(t, said)
			}
			if header == "" {
				return s.admin.do(t, op.method, path, body)
			}
			return s.admin.do(t, op.method, path, body, "X-Build-Attempt", header)
		}
		say("1", nil).refused(http.StatusConflict, problem.StaleAttempt, "attempt 2")
		say("3", nil).invalid("attempt")
		for _, bad := range []string{"0", "-1", "x"} {
			say(bad, nil).invalid("X-Build-Attempt")
		}
		if op.method == http.MethodDelete {
			continue
		}
		say("", obj{"attempt": 1}).refused(http.StatusConflict, problem.StaleAttempt, "attempt 2")
		say("", obj{"attempt": 3}).invalid("attempt")
		say("", obj{"attempt": 0}).invalid("attempt")
		say("2", obj{"attempt": 1}).invalid("attempt")
		say("", obj{"worker": "another", "attempt": nil}).refused(http.StatusConflict, problem.Leased, "'holder'", "take_over")
	}
	if after := s.dev.get(t, f.at); after.etag() != before || seen < 15 {
		t.Errorf("%d endpoints that were refused have changed the build from %s to %s", seen, before, after.etag())
	}
}

func oneHolder(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/state", obj{"state_code": 40, "worker": "runner-a"}).is(http.StatusOK)
	lease := s.dev.get(t, at).obj()["lease"].(obj)
	for path, body := range map[string]obj{"/state": {"state_code": 45}, "/heartbeat": {}, "/failure": {"error_message": "x"}} {
		s.dev.post(t, at+path, with(body, obj{"worker": "runner-b"})).refused(http.StatusConflict, problem.Leased, "'runner-a'", lease["until"].(string)[:10], "take_over", "attempt 2")
		s.dev.post(t, at+path, with(body, obj{"worker": "runner-b", "attempt": 1})).refused(http.StatusConflict, problem.Leased)
	}
	s.dev.get(t, at).has(obj{"status": "in_progress", "current_state": 40, "attempt": 1, "lease": lease})
	s.dev.post(t, at+"/state", obj{"state_code": 45}).is(http.StatusOK) // who says no name is nobody else
	s.dev.post(t, at+"/state", obj{"state_code": 45, "worker": "runner-b", "take_over": true}).is(http.StatusOK).has(obj{"attempt": 2})
	if l := s.dev.get(t, at).has(obj{"attempt": 2}).obj()["lease"].(obj); l["worker"] != "runner-b" {
		t.Errorf("the build was taken over and is held by %v", l)
	}
	s.dev.post(t, at+"/heartbeat", obj{"worker": "runner-a", "attempt": 1}).refused(http.StatusConflict, problem.StaleAttempt)
	s.dev.post(t, at+"/heartbeat", obj{"worker": "runner-a"}).refused(http.StatusConflict, problem.Leased, "'runner-b'")
	s.dev.post(t, at+"/heartbeat", obj{"worker": "runner-a", "take_over": true}).is(http.StatusOK).has(obj{"attempt": 3})
	s.dev.post(t, at+"/state", obj{"state_code": 50, "worker": "runner-b", "attempt": 2}).refused(http.StatusConflict, problem.StaleAttempt)
	if acts := s.acts(t, at); acts[len(acts)-1] != "takeover" {
		t.Errorf("the history says %v", acts)
	}
}

func leaseGivenBack(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/state", obj{"state_code": 40, "status": "completed", "worker": "runner-a", "attempt": 1, "release": true}).is(http.StatusOK)
	s.dev.get(t, at).has(obj{"lease": nil, "lease_until": nil})
	s.dev.post(t, at+"/state", obj{"state_code": 45, "worker": "runner-b"}).is(http.StatusOK).has(obj{"attempt": 1})
	s.dev.post(t, at+"/heartbeat", obj{"worker": "runner-a", "attempt": 1}).refused(http.StatusConflict, problem.Leased, "'runner-b'")
}

func staysDone(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	for _, code := range []int{10, 20, 40, 50} {
		s.dev.post(t, at+"/state", obj{"state_code": code, "status": "completed", "fingerprint": "sha256:aa"}).is(http.StatusOK)
	}
	s.dev.post(t, at+"/state", obj{"state_code": 55}).is(http.StatusOK)
	for _, late := range []obj{{"state_code": 40, "status": "completed"}, {"state_code": 40}, {"state_code": 40, "status": "completed", "attempt": 1, "fingerprint": "SHA256:AA"}} {
		s.dev.post(t, at+"/state", with(late, obj{"message": "late"})).is(http.StatusOK).has(obj{"current_state": 55, "build_status": "in_progress", "attempt": 1, "state_code": 40})
		s.dev.get(t, at).has(obj{"current_state": 55, "last_successful_state": 50, "message": nil})
	}
	s.dev.post(t, at+"/state", obj{"state_code": 45, "status": "completed"}).is(http.StatusOK).has(obj{"current_state": 55}) // a step beside, that ends last
	s.dev.get(t, at).has(obj{"current_state": 55, "last_successful_state": 50})
	if acts := s.acts(t, at); strings.Count(strings.Join(acts, " "), "state.repeated") != 3 {
		t.Errorf("late reports are not in the history: %v", acts)
	}
	if got := numbers(s.reader.get(t, at+"/states").list(), "state"); got != "[10 20 40 50 55 45]" {
		t.Errorf("/states lists %s", got)
	}
	s.dev.post(t, at+"/state", obj{"state_code": 40, "fingerprint": "sha256:bb"}).is(http.StatusOK).has(obj{"current_state": 40})
	s.dev.post(t, at+"/state", obj{"state_code": 40, "status": "completed"}).is(http.StatusOK)
	s.dev.post(t, at+"/state", obj{"state_code": 50, "rerun": true}).is(http.StatusOK).has(obj{"current_state": 50, "retry_count": 1})
}

func takeOverByResume(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/state", obj{"state_code": 40, "status": "completed", "worker": "runner-a"}).is(http.StatusOK)
	s.dev.post(t, at+"/state", obj{"state_code": 45, "worker": "runner-a"}).is(http.StatusOK)
	s.dev.post(t, at+"/resume", obj{}).refused(http.StatusConflict, problem.BuildRunning, "'runner-a'", "until", "take_over", "--take-over")
	first := s.dev.post(t, at+"/resume", obj{"take_over": true}).is(http.StatusCreated).has(obj{"resume_from_state": 45, "attempt": 2}).id()
	s.dev.post(t, at+"/heartbeat", obj{"worker": "runner-a", "attempt": 1}).refused(http.StatusConflict, problem.StaleAttempt)
	s.dev.post(t, at+"/state", obj{"state_code": 45, "worker": "runner-b", "attempt": 2}).is(http.StatusOK)
	s.dev.post(t, at+"/resume", obj{}).refused(http.StatusConflict, problem.ResumeInProgress, first, "take_over")
	second := s.dev.post(t, at+"/resume", obj{"take_over": true, "attempt": 2}).is(http.StatusCreated).has(obj{"attempt": 3}).id()
	s.dev.get(t, "/resume-requests/"+first).has(obj{"orchestration_status": "failed"})
	s.dev.post(t, at+"/resume", obj{"take_over": true, "attempt": 2}).refused(http.StatusConflict, problem.StaleAttempt)
	if got := fields(s.dev.get(t, at+"/resume-requests").list(), "id"); !slices.Equal(got, []string{second, first}) {
		t.Errorf("requests %v", got)
	}
	cancelled := s.failed(t, nil)
	s.dev.post(t, cancelled+"/cancel", nil).is(http.StatusOK)
	s.dev.post(t, cancelled+"/resume", obj{}).refused(http.StatusConflict, problem.BuildCancelled, "--force")
	s.dev.post(t, cancelled+"/resume", obj{"force": true}).is(http.StatusCreated).has(obj{"attempt": 2, "resume_from_state": 15})
	s.dev.get(t, cancelled).has(obj{"status": "in_progress", "end_time": nil})
}
