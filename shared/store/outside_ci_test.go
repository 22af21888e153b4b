package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/dispatch"
	"bldst/shared/outbound"
	"bldst/shared/problem"
)

func TestTheCIOfAProjectHoldsAReferenceAndIsChangedByAnAdmin(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	const path = "/projects/images/ci"
	const body = `{"kind":"jenkins","url":"https://jenkins.example.com/","job":"images/rhel","credential_ref":"env:BLDST_CI_JENKINS"}`
	o.call("GET "+path+" read", "").want(404)
	o.call("PUT "+path+" write", body).want(403)
	o.call("PUT "+path+" admin", body).want(200).has("kind", "jenkins", "url", "https://jenkins.example.com", "credential_ref", "env:BLDST_CI_JENKINS", "updated_by", "admin-user")
	o.call("PUT "+path+" admin", body, "If-Match", `"7"`).want(412)
	r := o.call("GET "+path+" read", "").want(200).has("job", "images/rhel")
	o.call("PUT "+path+" admin", `{"kind":"github-actions","repository":"acme/images","credential_ref":"ssm:/bldst/ci/github"}`, "If-Match", r.header.Get("ETag")).want(200).
		has("url", "https://api.github.com", "ref", "main")
	if _, kept := o.call("GET "+path+" read", "").object()["job"]; kept {
		t.Error("PUT keeps what it was not given")
	}
	for bad, want := range map[string]int{
		`{"kind":"jenkins","url":"https://jenkins.example.com","credential_ref":"bob:s3cret"}`:                400,
		`{"kind":"jenkins","url":"https://jenkins.example.com","credential_ref":"env:JWT_KEYS"}`:              400,
		`{"kind":"jenkins","url":"http://169.254.169.254","credential_ref":"env:BLDST_CI_A"}`:                 400,
		`{"kind":"jenkins","url":"https://bob:s3cret@jenkins.example.com","credential_ref":"env:BLDST_CI_A"}`: 400,
		`{"kind":"jenkins","credential_ref":"env:BLDST_CI_A"}`:                                                422,
		`{"kind":"jenkins","url":"https://jenkins.example.com"}`:                                              422,
		`{"kind":"gitlab-ci","credential_ref":"env:BLDST_CI_A"}`:                                              422,
		`{"kind":"github-actions","repository":"acme","credential_ref":"env:BLDST_CI_A"}`:                     422,
		`{"kind":"cron","url":"https://example.com"}`:                                                         422,
	} {
		if r := o.call("PUT "+path+" admin", bad).want(want); strings.Contains(r.text, "s3cret") {
			t.Errorf("the answer holds the credential: %s", r.text)
		}
	}
	o.call("PUT /projects/nobody/ci admin", body).want(404)
	o.call("DELETE "+path+" admin", "").want(204)
	o.call("DELETE "+path+" admin", "").want(404)
}

// resume asks for a resume of the failed build and returns the request's id and
// the event.
func (o *outside) resume(id, config string) (string, build.Event) {
	o.t.Helper()
	if config == "" {
		config = "{}"
	}
	rid := o.call("POST /builds/"+id+"/resume write", `{"resume_from_state":25,"resume_to_state":80,"resume_reason":"fixed","force":true,"orchestration_config":`+config+`}`).want(201).id()
	e := o.happened(build.EventResumeRequested)
	if e.RequestID != rid {
		o.t.Fatalf("the event is about %q, want %q", e.RequestID, rid)
	}
	return rid, e
}

// owns makes the target the CI of the project.
func (o *outside) owns(g *target) {
	o.t.Helper()
	o.secrets["env:BLDST_CI_HOOK"] = "shared"
	o.call("PUT /projects/images/ci admin", fmt.Sprintf(`{"kind":"webhook","url":"%s","credential_ref":"env:BLDST_CI_HOOK"}`, g.URL)).want(200)
}

func TestAResumeStartsItsJobOnce(t *testing.T) {
	t.Parallel()
	o, ci := newOutside(t), newTarget(t)
	o.owns(ci)
	id, _ := o.failed()
	rid, e := o.resume(id, "")
	o.call("GET /resume-requests/"+rid+" read", "").has("orchestration_status", "pending")
	for range 3 {
		if err := o.dispatcher.Handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if len(ci.got()) != 1 {
		t.Fatalf("told %d times, want once", len(ci.got()))
	}
	var hook dispatch.Hook
	if err := json.Unmarshal([]byte(ci.got()[0]), &hook); err != nil {
		t.Fatal(err)
	}
	if hook.BuildID != id || hook.From != 25 || *hook.To != 80 || hook.Attempt != 2 || hook.Reason != "fixed" || hook.RequestID != rid {
		t.Errorf("%+v", hook)
	}
	if _, err := outbound.Verify("shared", ci.header.Get("Bldst-Signature"), o.clock(), []byte(ci.got()[0])); err != nil {
		t.Error(err)
	}
	o.call("GET /resume-requests/"+rid+" read", "").has("orchestration_status", "triggered", "error_message", nil, "triggered_at", "2026-03-04T12:01:00Z")
	o.call("GET /builds/"+id+"/history/verify read", "").has("valid", true)
}

func TestAJobIsToldWhatIsLeftOfAState(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first string // target that is done before the other one fails
		want  string
	}{
		"the targets that are left": {"us", `"resume_targets":["eu"]`},
		"all of it":                 {"", `"resume_targets":null`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, ci := newOutside(t), newTarget(t)
			o.owns(ci)
			id := o.build("2024.02.001")
			o.call("POST /builds/"+id+"/state write", `{"state_code":25,"status":"completed","target":"`+c.first+`"}`).want(200)
			o.call("POST /builds/"+id+"/failure write", `{"state_code":25,"target":"eu","error_message":"throttled"}`).want(200)
			_, e := o.resume(id, "")
			if err := o.dispatcher.Handle(t.Context(), e); err != nil || len(ci.got()) != 1 || !strings.Contains(ci.got()[0], c.want) {
				t.Errorf("want %s, got %q, %v", c.want, ci.got(), err)
			}
		})
	}
}

func TestTwoDeliveriesAtOnceStartOneJob(t *testing.T) {
	t.Parallel()
	o, ci := newOutside(t), newTarget(t)
	ci.hanging = make(chan struct{})
	o.owns(ci)
	id, _ := o.failed()
	_, e := o.resume(id, "")
	first := make(chan error)
	go func() { first <- o.dispatcher.Handle(t.Context(), e) }()
	<-ci.arrived // the first is in the middle of it
	if err := o.dispatcher.Handle(t.Context(), e); !problem.Is(err, problem.Unavailable) {
		t.Errorf("a second delivery is to come later: %v", err)
	}
	close(ci.hanging)
	if err := <-first; err != nil || len(ci.got()) != 1 {
		t.Errorf("%d requests, %v", len(ci.got()), err)
	}
}

func TestAResumeWhoseJobCannotBeStartedFailsTheBuildAgain(t *testing.T) {
	t.Parallel()
	o, ci := newOutside(t), newTarget(t)
	ci.answers(403)
	o.owns(ci)
	id, _ := o.failed()
	rid, e := o.resume(id, "")
	if err := o.dispatcher.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	why := strings.TrimPrefix(ci.URL, "http://") + " answered 403 Forbidden"
	o.call("GET /resume-requests/"+rid+" read", "").has("orchestration_status", "failed", "error_message", why)
	o.call("GET /builds/"+id+" read", "").has("status", "failed", "attempt", 2, "message", why)
}

func TestACIThatIsDownKeepsTheRequestPending(t *testing.T) {
	t.Parallel()
	o, ci := newOutside(t), newTarget(t)
	ci.answers(503)
	o.owns(ci)
	id, _ := o.failed()
	rid, e := o.resume(id, "")
	if err := o.dispatcher.Handle(t.Context(), e); !outbound.IsTemporary(err) {
		t.Fatal(err)
	}
	o.call("GET /resume-requests/"+rid+" read", "").has("orchestration_status", "pending", "error_message", strings.TrimPrefix(ci.URL, "http://")+" answered 503 Service Unavailable")
	ci.answers(202)
	if err := o.dispatcher.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	o.call("GET /resume-requests/"+rid+" read", "").has("orchestration_status", "triggered")
}

func TestNoJobIsStartedForWhatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(o *outside, id, rid string){
		"a worker has reported": func(o *outside, id, _ string) { o.report(time.Minute, id, 30, "in_progress") },
		"somebody has started the job": func(o *outside, _, rid string) {
			o.call("PATCH /resume-requests/"+rid+" write", `{"orchestration_status":"triggered"}`).want(200)
		},
		"the build was completed": func(o *outside, id, _ string) { o.report(time.Minute, id, 100, "completed") },
		"it has failed and was resumed again": func(o *outside, id, _ string) {
			o.call("POST /builds/"+id+"/failure write", `{"error_message":"again"}`).want(200)
			o.call("POST /builds/"+id+"/resume write", `{"resume_from_state":25,"force":true}`).want(201)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, ci := newOutside(t), newTarget(t)
			o.owns(ci)
			id, _ := o.failed()
			rid, e := o.resume(id, "")
			meanwhile(o, id, rid)
			if err := o.dispatcher.Handle(t.Context(), e); err != nil || len(ci.got()) != 0 {
				t.Errorf("%d requests, %v", len(ci.got()), err)
			}
		})
	}
}

func TestAProjectWithoutACILeavesTheBuildAlone(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	id, _ := o.failed()
	rid, e := o.resume(id, `{"platform":"concourse","pipeline":"p","job":"j"}`)
	if err := o.dispatcher.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	o.call("GET /resume-requests/"+rid+" read", "").has("orchestration_status", "pending")
	o.call("GET /builds/"+id+" read", "").has("status", "in_progress", "attempt", 2)
}

func TestTheWebhookOfARequestAndTheNewestJobAreUsed(t *testing.T) {
	t.Parallel()
	o, hook, jenkins := newOutside(t), newTarget(t), newTarget(t)
	id, _ := o.failed()
	_, e := o.resume(id, `{"trigger_webhook":"`+hook.URL+`"}`)
	if err := o.dispatcher.Handle(t.Context(), e); err != nil || len(hook.got()) != 1 {
		t.Fatalf("%d requests, %v", len(hook.got()), err)
	}
	o.call("POST /builds/"+id+"/failure write", `{"error_message":"again"}`).want(200)
	o.call("POST /builds/"+id+"/jobs write", `{"platform":"jenkins","job_name":"images/rhel"}`).want(201)
	o.secrets["env:BLDST_CI_J"] = "bob:token"
	o.call("PUT /projects/images/ci admin", fmt.Sprintf(`{"kind":"jenkins","url":"%s","credential_ref":"env:BLDST_CI_J"}`, jenkins.URL)).want(200)
	o.changes()
	_, e = o.resume(id, "")
	if err := o.dispatcher.Handle(t.Context(), e); err != nil || len(jenkins.got()) != 1 || !strings.Contains(jenkins.got()[0], "BUILD_ID="+id) {
		t.Errorf("%v %v", jenkins.got(), err)
	}
}

// hook sends a signed webhook and returns the answer.
func (o *outside) hook(body, signature string) reply {
	o.t.Helper()
	return o.call("POST /webhooks/build-failure", body, "Bldst-Signature", signature, "Content-Type", "application/json")
}

func TestACIReportsAFailureItself(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	id := o.build("2024.02.001")
	o.report(time.Minute, id, 25, "in_progress")
	body := `{"event":"build.failed","build_id":"2024.02.001","current_state":30,"last_successful_state":25,"failure_reason":"RequestLimitExceeded","timestamp":"2026-03-04T12:00:00Z",` +
		`"metadata":{"ci_platform":"jenkins","pipeline":"rhel","job":"images/rhel","build_number":117}}`
	for name, signature := range map[string]string{
		"none": "", "nonsense": "t=1,v1=00", "another secret": outbound.Sign("guess", o.clock(), []byte(body)),
		"another body": outbound.Sign("shared", o.clock(), []byte("{}")), "too old": outbound.Sign("shared", o.clock().Add(-6*time.Minute), []byte(body)),
	} {
		if r := o.hook(body, signature); r.status != 401 {
			t.Errorf("%s: status %d", name, r.status)
		}
	}
	o.hook("not json", "").want(401)
	good := outbound.Sign("shared", o.clock(), []byte(body))
	o.hook(body, good).want(200).has("build_id", id, "status", "failed", "current_state", 30, "failure_class", "transient", "attempt", 1)
	o.hook(body, good).want(200).has("known", true, "revision", 3)
	o.report(time.Minute, id, 30, "in_progress")
	o.hook(body, good).want(200).has("known", true, "status", "in_progress", "attempt", 2)
	o.hook(body, outbound.Sign("shared", o.clock(), []byte(body))).want(200).has("known", true, "status", "in_progress")
	nobody := `{"build_id":"2024.02.001","failure_reason":"RequestLimitExceeded"}`
	once := outbound.Sign("shared", o.clock(), []byte(nobody))
	o.hook(nobody, once).want(200).has("known", false, "status", "failed", "attempt", 2)
	o.hook(nobody, once).want(401).says("used before")
	o.pass(6 * time.Minute)
	o.hook(body, good).want(401).says("too old")
	var failures []map[string]any
	if err := json.Unmarshal([]byte(o.call("GET /builds/"+id+"/failures read", "").want(200).text), &failures); err != nil || len(failures) != 2 {
		t.Fatalf("%v %v", failures, err)
	}
	if f := failures[0]; f["component"] != "jenkins" || f["error_message"] != "RequestLimitExceeded" || f["state_code"] != 30.0 {
		t.Errorf("%v", f)
	}
	o.call("GET /builds/"+id+"/history read", "").says(`"actor":"webhook"`)
	o.hook(body, outbound.Sign("old", o.clock(), []byte(body))).want(200).has("known", true) // the secret that is being replaced
}

func TestASignedWebhookThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	id := o.build("2024.02.001")
	for body, want := range map[string]int{
		`not json`: 422, `[]`: 422, `{"failure_reason":"x"}`: 422, `{"build_id":"` + id + `"}`: 422,
		`{"build_id":"nobody","failure_reason":"x"}`:                               404,
		`{"build_id":"` + id + `","failure_reason":"x","event":"build.completed"}`: 422,
		`{"build_id":"` + id + `","failure_reason":"x","current_state":101}`:       422,
		`{"build_id":"` + id + `","failure_reason":"x","failure_class":"odd"}`:     422,
		`{"build_id":"` + id + `","failure_reason":"x","attempt":2}`:               422,
		`{"build_id":"` + id + `","failure_reason":"x","attempt":0}`:               422,
	} {
		o.hook(body, outbound.Sign("shared", o.clock(), []byte(body))).want(want)
	}
	o.call("GET /builds/"+id+" read", "").has("status", "pending")
	o.report(time.Minute, id, 100, "completed")
	body := `{"build_id":"` + id + `","failure_reason":"x"}`
	o.hook(body, outbound.Sign("shared", o.clock(), []byte(body))).want(400)
}
