package store_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// github sends an event as GitHub signs it.
func (o *outside) github(event, body string) reply {
	o.t.Helper()
	h := hmac.New(sha256.New, []byte("shared"))
	h.Write([]byte(body))
	return o.call("POST /webhooks/github", body, "Content-Type", "application/json", "X-GitHub-Event", event, "X-Hub-Signature-256", "sha256="+hex.EncodeToString(h.Sum(nil)))
}

func (o *outside) gitlab(body string) reply {
	o.t.Helper()
	return o.call("POST /webhooks/gitlab", body, "Content-Type", "application/json", "X-Gitlab-Event", "Job Hook", "X-Gitlab-Token", "shared")
}

// working makes a build that a registered job works on.
func (o *outside) working(number, job string) (id, at string) {
	o.t.Helper()
	id = o.build(number)
	o.report(time.Minute, id, 25, "in_progress")
	return id, "/builds/" + id + "/jobs/" + o.call("POST /builds/"+id+"/jobs write", job).want(201).id()
}

// job returns the status of the only job of a build.
func (o *outside) job(id string) string {
	o.t.Helper()
	var jobs []struct{ Status string }
	if err := json.Unmarshal([]byte(o.call("GET /builds/"+id+"/jobs read", "").want(200).text), &jobs); err != nil || len(jobs) != 1 {
		o.t.Fatalf("%v %v", jobs, err)
	}
	return jobs[0].Status
}

func (o *outside) is(id, job, status, class string) {
	o.t.Helper()
	b := o.call("GET /builds/"+id+" read", "").want(200).object()
	if got := fmt.Sprint(o.job(id), b["status"], b["failure_class"]); got != fmt.Sprint(job, status, class) {
		o.t.Errorf("job, build and class are %s, want %s %s %s", got, job, status, class)
	}
}

// A jobEvent is a workflow_job of the run 30 as GitHub documents it.
func jobEvent(run int, status, conclusion, steps string) string {
	return fmt.Sprintf(`{"action":"completed","workflow_job":{"id":400,"run_id":%d,"run_attempt":1,"name":"image","head_branch":"main","status":"%s","conclusion":%s,
		"html_url":"https://github.com/acme/images/actions/runs/%d/job/400","steps":[%s],"runner_name":"r-1"},
		"repository":{"full_name":"acme/images","html_url":"https://github.com/acme/images"},"sender":{"login":"bob"}}`, run, status, conclusion, run, steps)
}

const githubJob = `{"platform":"github-actions","job_name":"image","job_id":"30","job_url":"https://github.com/acme/images/actions/runs/30","status":"running"}`

func TestWhatGitHubSaysOfAJobThatDied(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ conclusion, steps, job, class string }{
		"a runner that was lost":   {`"failure"`, `{"name":"Set up job","conclusion":"success"},{"name":"Build","conclusion":null}`, "failed", "transient"},
		"a step that failed":       {`"failure"`, `{"name":"Build","conclusion":"failure"}`, "failed", "unknown"},
		"a limit of time":          {`"timed_out"`, ``, "failed", "timed_out"},
		"a run that was cancelled": {`"cancelled"`, ``, "aborted", "transient"},
	} {
		o := newOutside(t)
		id, _ := o.working("n-1", githubJob)
		o.github("workflow_job", jobEvent(30, "in_progress", "null", "")).want(200)
		o.is(id, "running", "in_progress", "<nil>")
		event := jobEvent(30, "completed", c.conclusion, c.steps)
		if r := o.github("workflow_job", event).want(200); len(r.object()["jobs"].([]any)) != 1 {
			t.Errorf("%s: %s", name, r.text)
		}
		o.is(id, c.job, "failed", c.class)

		o.call("POST /builds/"+id+"/state write", `{"state_code":25,"status":"in_progress"}`).want(200) // the second attempt
		o.github("workflow_job", event).want(200)                                                       // sent again
		o.is(id, c.job, "in_progress", "<nil>")
	}
}

func TestAJobThatSucceededCompletesNoBuild(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	id, _ := o.working("n-1", githubJob)
	o.github("workflow_run", `{"action":"completed","workflow_run":{"id":30,"run_attempt":1,"name":"Images","status":"completed","conclusion":"success",
		"html_url":"https://github.com/acme/images/actions/runs/30"},"repository":{"html_url":"https://github.com/acme/images"}}`).want(200)
	o.is(id, "success", "in_progress", "<nil>")
}

func TestAnotherJobOfTheRunIsNoneOfTheBuilds(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	id, _ := o.working("n-1", `{"platform":"github-actions","job_name":"lint","job_url":"https://github.com/acme/images/actions/runs/30/attempts/1","status":"running"}`)
	o.github("workflow_job", jobEvent(30, "completed", `"failure"`, "")).want(200)
	o.is(id, "running", "in_progress", "<nil>")
	o.github("workflow_run", `{"workflow_run":{"id":30,"conclusion":"failure","html_url":"https://github.com/acme/images/actions/runs/30"}}`).want(200)
	o.is(id, "failed", "failed", "unknown")
}

func TestWhatGitLabSaysOfAJobThatDied(t *testing.T) {
	t.Parallel()
	for reason, class := range map[string]string{"runner_system_failure": "transient", "job_execution_timeout": "timed_out", "ci_quota_exceeded": "quota", "stuck_or_timeout_failure": "transient", "script_failure": "unknown"} {
		o := newOutside(t)
		id, _ := o.working("n-1", `{"platform":"gitlab-ci","job_name":"build image","job_id":"1977","status":"running"}`)
		event := `{"object_kind":"build","ref":"main","build_id":1977,"build_name":"image","build_stage":"build","build_status":"failed","build_failure_reason":"` + reason + `","pipeline_id":2366,
			"build_created_at":"2026-03-04 12:00:00 UTC","project":{"web_url":"https://gitlab.example.com/acme/images"},"runner":null}`
		o.gitlab(event).want(200)
		o.is(id, "failed", "failed", class)
		o.gitlab(event).want(200)
	}
}

func TestWhatGitLabSaysOfAPipeline(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	id, _ := o.working("n-1", `{"platform":"gitlab","job_name":"image","job_url":"https://gitlab.example.com/acme/images/-/pipelines/31","status":"running"}`)
	o.gitlab(`{"object_kind":"pipeline","object_attributes":{"id":31,"status":"running","url":"https://gitlab.example.com/acme/images/-/pipelines/31"}}`).want(200)
	o.is(id, "running", "in_progress", "<nil>")
	o.gitlab(`{"object_kind":"pipeline","object_attributes":{"id":31,"status":"canceled","url":"https://gitlab.example.com/acme/images/-/pipelines/31"}}`).want(200)
	o.is(id, "aborted", "failed", "transient")
}

func TestABuildThatWasToBeCancelledIs(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	id, _ := o.working("n-1", githubJob)
	o.call("POST /builds/"+id+"/heartbeat write", `{"worker":"w"}`).want(200)
	o.call("POST /builds/"+id+"/cancel write", `{}`)
	o.github("workflow_job", jobEvent(30, "completed", `"cancelled"`, "")).want(200)
	if b := o.call("GET /builds/"+id+" read", "").object(); b["status"] != "cancelled" {
		t.Errorf("the build is %v", b["status"])
	}
}

func TestNoticesThatAreRefusedOrAboutNothing(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	event := jobEvent(31, "completed", `"failure"`, "")
	o.call("POST /webhooks/github", event, "Content-Type", "application/json", "X-GitHub-Event", "workflow_job").want(401)
	o.call("POST /webhooks/github", event+" ", "Content-Type", "application/json", "X-Hub-Signature-256", "sha256=00").want(401)
	o.call("POST /webhooks/gitlab", event, "Content-Type", "application/json", "X-Gitlab-Token", "guessed").want(401)
	o.call("POST /webhooks/gitlab", event, "Content-Type", "application/json").want(401)
	o.github("workflow_job", event).want(200).says("No build has registered this job")
	o.github("ping", `{"zen":"x"}`).want(200).says("says nothing of a job")
	o.gitlab(`{"object_kind":"push"}`).want(200).says("says nothing of a job")
	o.github("workflow_job", "payload=%7B%7D").want(422).says("application/json")
	id, _ := o.working("n-1", githubJob)
	o.github("workflow_job", jobEvent(30, "completed", `"exploded"`, "")).want(200).says("exploded")
	o.is(id, "running", "in_progress", "<nil>")
}
