package store_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/build"
	"bldst/shared/problem"
)

func (w *works) configure(state int, more string) {
	w.t.Helper()
	w.call(fmt.Sprintf(`POST /projects/default/resumable-states write {"state_code":%d%s}`, state, more)).want(201)
}

func TestAResumeFromTheFailureToTheEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		w.configure(35, `,"resume_strategy":"from_artifact","required_artifacts":["vm_snapshot"],"required_variables":["vm_id"],"notes":"of 35"`)
		at := w.failed("n1")
		w.call("GET "+at+"/resume-plan read").want(200).has("resumable", false, "reason", "artifact_missing", "resume_from_state", 35)
		w.call("POST " + at + `/resume write {"resume_from_state":35}`).want(409).says("artifact_missing")
		w.artifact(at, "vm", 30, `,"checksum":"`+strings.Repeat("ab", 32)+`"`)
		w.call("GET "+at+"/resume-plan read").has("reason", "variable_missing")
		w.set(at, "vm_id", "vm-1", "")
		plan := w.call("GET "+at+"/resume-plan read").want(200).has("resumable", true, "reason", "ok", "strategy", "from_artifact", "resume_from_state", 35, "last_completed_state", 30,
			"failed_state", 35, "attempt", 1, "warnings", []any{})
		restore := plan.object()["restore"].([]any)[0].(map[string]any)
		if restore["artifact_name"] != "vm" || restore["checksum_known"] != true || restore["artifact_path"] != "s3://b/k" || restore["target"] != nil {
			t.Errorf("restore %v", restore)
		}
		context := w.call("GET "+at+"/resume-context read").want(200).has("current_state", 35, "last_successful_state", 30, "failed_state", 35, "resume_from_state", 35,
			"variables", map[string]any{"vm_id": "vm-1"}, "resume_request_id", nil)
		if config := context.object()["resumable_state_config"].(map[string]any); config["notes"] != "of 35" || config["id"] == "" || config["state_code"] != 35.0 {
			t.Errorf("configuration %v", config)
		}

		r := w.call("POST "+at+`/resume write {"resume_from_state":35,"resume_reason":"fixed","metadata":{"a":1},"orchestration_config":{"platform":"jenkins"}}`).want(201).
			has("attempt", 2, "resume_from_state", 35, "requested_from_state", 35, "resume_to_state", nil, "resume_reason", "fixed", "requested_by", "write", "request_source", "api",
				"orchestration_status", "pending", "strategy", "from_artifact", "force", false, "metadata", map[string]any{"a": 1.0}, "triggered_at", nil, "completed_at", nil, "error_message", nil)
		if o := r.object(); o["resume_request_id"] != o["id"] {
			t.Errorf("%v is not %v", o["resume_request_id"], o["id"])
		}
		w.call("GET "+at+" read").has("attempt", 2, "status", "in_progress", "current_state", 35)
		w.call("GET "+at+"/resume-context read").has("failed_state", 35, "resume_from_state", 35, "resume_request_id", r.id(), "requested_from_state", 35, "attempt", 2)
		w.call("POST " + at + `/state write {"state_code":35,"attempt":1}`).want(409).says("stale_attempt")
		w.call("POST "+at+`/resume write {"resume_from_state":35}`).want(409).says("resume_in_progress", r.id())
		w.call("POST "+at+`/resume write {"resume_from_state":35,"force":true}`).want(409).says("resume_in_progress", r.id())
		w.call("GET "+at+"/resume-plan read").has("resumable", false, "reason", "resume_in_progress")

		one := "/resume-requests/" + r.id()
		w.call("PATCH "+one+` write {"orchestration_status":"triggered","orchestration_job_id":"7","orchestration_job_url":"https://ci/7"}`, "If-Match", r.header.Get("ETag")).want(200).
			has("orchestration_status", "triggered", "orchestration_job_id", "7", "metadata", map[string]any{"a": 1.0}).says(`"triggered_at":"2026`)
		w.call("POST " + at + `/state write {"state_code":35,"attempt":2}`).want(200)
		w.call("GET "+one+" read").has("orchestration_status", "running", "orchestration_job_id", "7")
		w.reports(at, "35 completed", "60")
		w.call("GET "+at+"/resume-context read").has("failed_state", nil, "resume_from_state", 60)
		w.reports(at, "100")
		w.call("GET "+one+" read").has("orchestration_status", "completed").says(`"completed_at":"2026`)
		w.call("GET "+at+" read").has("attempt", 2, "status", "completed")
		w.call("POST " + at + `/resume write {"resume_from_state":35,"force":true}`).want(409).says("build_completed")
		w.history(at)
	})
}

func TestTheRequestsOfABuild(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		at := w.failed("n1")
		var ids []any
		for i := range 3 {
			r := w.call("POST "+at+`/resume write {"resume_from_state":35}`).want(201).has("attempt", i+2)
			ids = append([]any{r.id()}, ids...)
			w.reports(at, "35")
			w.fails(at)
			w.call("GET /resume-requests/"+r.id()+" read").has("orchestration_status", "failed", "error_message", "boom")
		}
		for _, list := range []string{"/resume-requests", "/resume", "/resume_requests", "/resume-requests/"} {
			w.fields(at+list, "id", ids...)
			w.fields(at+list+"?limit=1", "id", ids...)
		}
		w.fields(at+"/resume?skip=2", "id", ids[2])
		one := ids[0].(string)
		other := w.build("n2")
		w.call("GET "+at+"/resume/"+one+" read").want(200).has("id", one)
		w.call("GET " + other + "/resume/" + one + " read").want(404).says("Resume request " + one + " not found")
		w.call("PATCH "+at+"/resume/"+one+` write {"orchestration_job_url":"u"}`).want(200).has("orchestration_job_url", "u")
		w.call("PATCH " + other + "/resume/" + one + " write {}").want(404)
		for _, ref := range []string{"nothing", strings.TrimPrefix(at, "/builds/")} {
			w.call("GET /resume-requests/" + ref + " read").want(404).says("Resume request " + ref + " not found")
			w.call("PATCH /resume-requests/" + ref + " write {}").want(404).says("Resume request " + ref + " not found")
		}
		w.call("GET /builds/nobody/resume/" + one + " read").want(404).says("Build nobody not found")
		w.call("GET /builds/nobody/resume read").want(404).says("Build nobody not found")
		w.call("PATCH /resume-requests/" + one + ` write {"orchestration_status":"running"}`).want(400).says("is failed")
		w.call("PATCH /resume-requests/"+one+` write {"orchestration_status":"x"}`).bad("body orchestration_status", "enum")
		w.call("PATCH /resume-requests/"+one+` write {}`, "If-Match", `"1"`).want(412)
		w.call("PATCH /resume-requests/" + one + " read {}").want(403)
		w.call("DELETE " + at + " admin").want(204)
		w.call("GET /resume-requests/" + one + " read").want(404).says("Resume request " + one + " not found")
		w.call("PATCH /resume-requests/" + one + " write {}").want(404)
	})
}

func TestAJobThatCannotBeStartedFailsTheBuildAgain(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.failed("n1")
	r := w.call("POST " + at + `/resume write {"resume_from_state":35}`).want(201)
	w.call("PATCH /resume-requests/"+r.id()+` write {"orchestration_status":"failed","error_message":"no runner"}`).want(200).has("orchestration_status", "failed", "error_message", "no runner")
	w.call("GET "+at+" read").has("status", "failed", "attempt", 2, "message", "no runner", "failed_state", 35)
	w.call("POST "+at+`/resume write {"resume_from_state":35}`).want(201).has("attempt", 3)
	w.history(at)
}

func TestResumesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	w.configure(60, `,"is_resumable":false`)
	at, running, fresh, done, stopped, firm := w.failed("n1"), w.build("n2"), w.build("n3"), w.build("n4"), w.build("n5"), w.build("n6")
	w.reports(running, "10")
	w.reports(done, "100")
	w.reports(stopped, "10")
	w.call("POST " + stopped + "/cancel write").want(200)
	w.reports(firm, "60")
	w.fails(firm)
	for _, c := range []struct {
		request string
		status  int
		says    string
	}{
		{at + ` write {"resume_from_state":-1}`, 400, "resume_from_state must be"},
		{at + ` write {"resume_from_state":101}`, 400, "resume_from_state must be"},
		{at + ` write {"resume_from_state":35,"resume_to_state":35}`, 400, "resume_to_state must be greater than resume_from_state"},
		{at + ` read {"resume_from_state":35}`, 403, "Write permission required"},
		{running + ` write {"resume_from_state":10}`, 409, "build_running"},
		{fresh + ` write {"resume_from_state":0}`, 409, "nothing_done"},
		{done + ` write {"resume_from_state":0,"force":true}`, 409, "build_completed"},
		{stopped + ` write {"resume_from_state":0,"force":true}`, 409, "build_cancelled"},
		{firm + ` write {"resume_from_state":60}`, 409, "state_not_resumable"},
		{`/builds/nobody write {"resume_from_state":60}`, 404, "Build nobody not found"},
		{firm + ` write {"resume_from_state":60,"force":true}`, 201, `"force":true`},
		{running + ` write {"resume_from_state":10,"force":true}`, 201, `"attempt":2`},
		{fresh + ` write {"resume_from_state":0,"force":true}`, 201, `"attempt":2`},
	} {
		path, rest, _ := strings.Cut(c.request, " ")
		w.call("POST " + path + "/resume " + rest).want(c.status).says(c.says)
	}
	w.call("POST "+at+`/resume write {"resume_from_state":-1}`).has("detail", "resume_from_state must be >= 0")
	w.call("POST "+at+`/resume write {"resume_from_state":"here"}`).bad("body resume_from_state", "type_error")
	w.call("POST "+at+`/resume write {"resume_from_state":35}`, "If-Match", `"1"`).want(412)
	w.call("POST "+at+`/resume write {"resume_from_state":35,"fingerprints":{"x":"y"}}`).bad("body fingerprints", "value_error")
	w.call("GET "+at+" read").has("attempt", 1, "status", "failed")
	w.fields(at+"/resume", "id")
}

func TestThePlanWithFingerprints(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	for _, c := range []int{10, 20, 30} {
		w.call(fmt.Sprintf(`POST %s/state write {"state_code":%d,"status":"completed","fingerprint":"sha256:%d"}`, at, c, c)).want(200)
	}
	w.reports(at, "35")
	w.fails(at)
	w.artifact(at, "vm", 10, "")
	rows := len(w.history(at))
	w.call("POST "+at+`/resume-plan read {"fingerprints":{"10":"sha256:10","20":"sha256:new"}}`).want(200).has("resume_from_state", 20, "resumable", true, "strategy", "from_artifact").says("inputs of state 20 have changed")
	w.call("POST "+at+`/resume-plan read {"from_state":10,"fingerprints":{"20":"sha256:new"}}`).want(200).has("resume_from_state", 10)
	w.call("POST "+at+`/resume-plan read {"from_state":30}`).want(200).has("resume_from_state", 30)
	w.call("POST "+at+"/resume-plan read {}").want(200).has("resume_from_state", 35)
	w.call("POST "+at+"/resume-plan read").want(200).has("resume_from_state", 35)
	w.call("GET "+at+"/resume-plan?from=20 read").want(200).has("resume_from_state", 20)
	w.call("GET "+at+"/resume-plan?from=0 read").want(200).has("resume_from_state", 0)
	w.call("POST "+at+`/resume-plan read {"fingerprints":{"x":"y"}}`).bad("body fingerprints", "value_error")
	w.call("POST " + at + `/resume-plan read {"from_state":101}`).want(422)
	w.call("GET " + at + "/resume-plan?from=101 read").want(422)
	w.call("GET /builds/nobody/resume-plan read").want(404).says("Build nobody not found")
	w.call("GET /builds/nobody/resume-context read").want(404).says("Build nobody not found")
	if got := len(w.history(at)); got != rows {
		t.Errorf("plans are in the history: %d rows, then %d", rows, got)
	}
	w.call("POST "+at+`/resume write {"resume_from_state":35,"fingerprints":{"20":"sha256:new"}}`).want(201).has("resume_from_state", 20, "requested_from_state", 35)
}

func TestOfManyResumesOneWins(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.failed("n1")
	var mu sync.Mutex
	var winners []string
	var losers []reply
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			r := w.call("POST " + at + `/resume write {"resume_from_state":35}`)
			mu.Lock()
			defer mu.Unlock()
			if r.status == http.StatusCreated {
				winners = append(winners, r.id())
			} else {
				losers = append(losers, r.want(409))
			}
		})
	}
	all.Wait()
	if len(winners) != 1 {
		t.Fatalf("%d resumes have won", len(winners))
	}
	for _, r := range losers {
		r.says("resume_in_progress", winners[0])
	}
	w.call("GET "+at+" read").has("attempt", 2)
	w.fields(at+"/resume", "id", winners[0])
	w.history(at)
}

func TestResumingWithAKeyIsDoneOnce(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.failed("n1")
	first := w.call("POST "+at+`/resume write {"resume_from_state":35}`, "Idempotency-Key", "k").want(201)
	if again := w.call("POST "+at+`/resume write {"resume_from_state":35}`, "Idempotency-Key", "k").want(201); again.text != first.text {
		t.Errorf("%s and then %s", first.text, again.text)
	}
	w.call("GET "+at+" read").has("attempt", 2)
}

func TestTheSystemResumesByItself(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.failed("n1")
	id := strings.TrimPrefix(at, "/builds/")
	if err := w.store.AutoResume(t.Context(), id, 1, "it was the network"); err != nil {
		t.Fatal(err)
	}
	w.fields(at+"/resume", "request_source", "auto")
	w.fields(at+"/resume", "requested_by", "system")
	w.fields(at+"/resume", "resume_reason", "it was the network")
	if err := w.store.AutoResume(t.Context(), id, 1, "again"); !problem.Is(err, problem.ResumeInProgress) {
		t.Errorf("a second time: %v", err)
	}
	w.configure(35, `,"is_resumable":false`)
	other := w.failed("n2")
	if err := w.store.AutoResume(t.Context(), strings.TrimPrefix(other, "/builds/"), 1, "r"); !problem.Is(err, problem.StateNotResumable) {
		t.Errorf("against the plan: %v", err)
	}
}

func TestHeartbeatsKeepTheLease(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		at := w.build("n1")
		w.call("POST " + at + "/heartbeat read").want(403)
		w.call("POST /builds/nobody/heartbeat write").want(404).says("Build nobody not found")
		w.call("POST " + at + `/heartbeat write {"progress":101}`).want(422)
		w.call("POST "+at+"/heartbeat write").want(200).has("attempt", 1, "revision", 1, "cancel_requested", false)
		w.reports(at, "25")
		rows := len(w.history(at))
		first := w.call("POST "+at+`/heartbeat write {"attempt":1,"worker":"w","progress":50}`).want(200).has("attempt", 1, "revision", 2).object()["lease_until"]
		w.pass(time.Minute)
		next := w.call("POST "+at+"/heartbeat write", "X-Build-Attempt", "1").want(200).object()["lease_until"]
		if !(first.(string) < next.(string)) {
			t.Errorf("a lease until %v, then until %v", first, next)
		}
		w.call("GET "+at+" read").has("lease_until", next, "revision", 2)
		if got := len(w.history(at)); got != rows {
			t.Errorf("heartbeats are in the history: %d rows, then %d", rows, got)
		}
		w.fails(at)
		w.call("POST "+at+"/heartbeat write").want(409).says("conflict", "attempt 2")
		w.reports(at, "25")
		w.call("POST " + at + `/heartbeat write {"attempt":1}`).want(409).says("stale_attempt")
		w.call("POST "+at+"/heartbeat write", "X-Build-Attempt", "1").want(409).says("stale_attempt")
		w.call("POST " + at + `/heartbeat write {"attempt":3}`).want(422)
		w.call("GET "+at+" read").has("lease_until", nil)
		w.call("POST "+at+`/heartbeat write {"attempt":2}`).want(200).has("attempt", 2)
		w.reports(at, "100")
		w.call("POST " + at + "/heartbeat write").want(400).says("completed")
	})
}

func TestALateHeartbeatDoesNotTakeTheLeaseOfTheNextWorker(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	w.call("POST " + at + `/state write {"state_code":25,"worker":"old"}`).want(200)
	meanwhile := func() { // between the read and the write of the heartbeat
		w.fails(at)
		w.call("POST " + at + `/state write {"state_code":25,"worker":"new"}`).want(200)
	}
	w.table.before.Store(&meanwhile)
	w.call("POST " + at + `/heartbeat write {"attempt":1,"worker":"old"}`).want(409).says("stale_attempt")
	b, err := w.store.Build(t.Context(), strings.TrimPrefix(at, "/builds/"), false)
	if err != nil || b.Lease.Worker != "new" || b.Lease.Attempt != 2 {
		t.Errorf("%+v, %v", b.Lease, err)
	}
}

func TestManyHeartbeatsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	w.reports(at, "25")
	var all sync.WaitGroup
	var held atomic.Int32
	for i := range 10 {
		all.Go(func() { w.call("POST " + at + "/heartbeat write").want(200) })
		all.Go(func() {
			if w.call(fmt.Sprintf(`POST %s/heartbeat write {"worker":"w%d"}`, at, i)).status == 200 {
				held.Add(1)
			}
		})
	}
	all.Wait()
	if got := held.Load(); got != 1 {
		t.Errorf("%d workers hold the build, want one", got)
	}
}

func TestCancelling(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		idle, alive, lost, done := w.build("n1"), w.build("n2"), w.build("n3"), w.build("n4")
		w.call("POST " + idle + "/cancel read").want(403)
		w.call("POST /builds/nobody/cancel write").want(404)
		w.call("POST "+idle+"/cancel write", "If-Match", `"9"`).want(412)
		w.call("POST "+idle+`/cancel write {"reason":"superseded"}`).want(200).has("status", "cancelled", "message", "superseded", "cancel_requested", false)
		w.call("POST " + idle + "/cancel write").want(400).says("Cannot transition a cancelled build.")

		w.call("POST " + alive + `/state write {"state_code":25,"worker":"w"}`).want(200)
		for range 2 {
			w.call("POST "+alive+"/cancel write {}").want(202).has("status", "in_progress", "cancel_requested", true)
		}
		w.call("POST "+alive+"/heartbeat write").want(200).has("cancel_requested", true)
		w.call("POST "+alive+`/state write {"state_code":25}`).want(200).has("cancel_requested", true, "build_status", "in_progress")
		w.call("POST "+alive+`/state write {"state_code":25,"status":"cancelled"}`).want(200).has("build_status", "cancelled", "cancel_requested", false)

		w.call("POST " + lost + `/state write {"state_code":25,"worker":"w"}`).want(200)
		w.pass(time.Hour)
		w.call("POST "+lost+"/cancel write").want(200).has("status", "cancelled")
		w.reports(done, "100")
		w.call("POST " + done + "/cancel write").want(400).says("Cannot transition a completed build.")
		for _, at := range []string{idle, alive, lost, done} {
			w.history(at)
		}
	})
}

func TestCancellingEndsTheResume(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.failed("n1")
	r := w.call("POST " + at + `/resume write {"resume_from_state":35}`).want(201)
	w.call("POST " + at + "/cancel write").want(200)
	w.call("GET /resume-requests/"+r.id()+" read").has("orchestration_status", "failed", "error_message", "The build was cancelled.")
}

func TestEveryActIsInTheHistoryAndTheChainHolds(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.failed("n1")
	one := w.artifact(at, "vm", 30, "")
	w.call("PATCH " + one + ` write {"is_final":true}`).want(200)
	w.call("DELETE " + one + " admin").want(204)
	w.call("POST " + one + "/restore admin").want(200)
	w.call("POST " + one + `/revoke write {"reason":"r"}`).want(200)
	w.set(at, "k", "v", `,"is_sensitive":true`)
	w.call("GET " + at + "/variables/k?reveal=true write").want(200)
	w.call("DELETE " + at + "/variables/k write").want(204)
	job := w.call("POST " + at + `/jobs write {"platform":"p","job_name":"j"}`).want(201).id()
	w.call("PATCH " + at + "/jobs/" + job + ` write {"status":"running"}`).want(200)
	r := w.call("POST " + at + `/resume write {"resume_from_state":35}`).want(201).id()
	w.call("PATCH /resume-requests/" + r + ` write {"orchestration_status":"triggered"}`).want(200)
	w.call("PUT " + at + ` write {"ami_id":"ami-1"}`).want(200)
	w.call("POST " + at + "/cancel write").want(200)
	w.call("DELETE " + at + " admin").want(204)
	w.call("POST " + at + "/restore admin").want(200)

	got := w.kinds(at)
	want := []build.Kind{build.Created, build.StateReported, build.StateReported, build.StateReported, build.StateReported, build.FailureReported,
		build.ArtifactCreated, build.ArtifactChanged, build.ArtifactDeleted, build.ArtifactRestored, build.ArtifactRevoked, build.VariableSet, build.VariableRevealed,
		build.VariableDeleted, build.JobCreated, build.JobChanged, build.ResumeRequested, build.ResumeChanged, build.Updated, build.CancelRequested, build.Deleted, build.Restored}
	if !slices.Equal(got, want) {
		t.Errorf("want %v\ngot  %v", want, got)
	}
	for _, row := range w.history(at) {
		var plain any
		if err := json.Unmarshal([]byte(row.JSON), &plain); err != nil || row.Actor == "" || row.At.IsZero() || row.BuildID == "" || row.Attempt == 0 {
			t.Errorf("row %d: %v, %+v", row.Seq, err, row)
		}
	}
}

func TestWhatIsAttachedIsNotInTheHistory(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.failed("n1")
	w.artifact(at, "vm", 30, `,"metadata":{"token":"hush-1"}`)
	w.call("POST " + at + `/resume write {"resume_from_state":35,"metadata":{"token":"hush-2"},"orchestration_config":{"token":"hush-3"}}`).want(201)
	if text := w.call("GET " + at + "/history?limit=1000 read").text; strings.Contains(text, "hush") {
		t.Error(text)
	}
}

// A reader that sees the artifact as it was before a change, and the build as
// it is after it, must not undo the change.
func TestAChangeOfAnArtifactIsNotLostToAnother(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	one := w.artifact(at, "vm", 30, "")
	meanwhile := func() { w.call("PATCH " + one + ` write {"is_final":true}`).want(200) }
	w.table.before.Store(&meanwhile)
	w.call("PATCH "+one+` write {"artifact_type":"ami"}`).want(200).has("is_final", true, "artifact_type", "ami")
	first := w.call("GET " + one + " read").object()
	if !reflect.DeepEqual(first["is_final"], true) || first["artifact_type"] != "ami" {
		t.Error(first)
	}
}
