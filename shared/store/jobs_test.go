package store_test

import (
	"strings"
	"testing"

	embedded "bldst/localstack/table"
)

func TestJobs(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		at := w.build("n1")
		first := w.call("POST "+at+`/jobs write {"platform":"concourse","job_name":"images"}`).want(201).
			has("platform", "concourse", "job_name", "images", "status", "pending", "is_resume_job", false, "pipeline_name", nil, "job_url", nil, "resumed_from_state", nil, "started_at", nil, "attempt", 1)
		w.call("POST "+at+`/jobs write {"platform":"jenkins","job_name":"j","pipeline_name":"p","job_url":"u","job_id":"7","build_number":"8","triggered_by":"me","trigger_source":"resume","status":"running","is_resume_job":true,"resumed_from_state":35,"parent_job_id":"x"}`).
			want(201).has("job_id", "7", "build_number", "8", "trigger_source", "resume", "resumed_from_state", 35, "parent_job_id", "x", "status", "running")
		w.fields(at+"/jobs", "job_name", "j", "images")
		w.fields(at+"/jobs?limit=1", "job_name", "j", "images")
		w.fields(at+"/jobs?skip=1", "job_name", "images")
		one := at + "/jobs/" + first.id()
		w.call("PATCH "+one+` write {"status":"success","completed_at":"2024-02-01T10:30:00Z"}`, "If-Match", `"1"`).want(200).has("status", "success", "completed_at", "2024-02-01T10:30:00Z")
		w.call("PATCH "+one+` write {"status":"failed"}`, "If-Match", `"1"`).want(412)
		w.call("PATCH " + at + "/jobs/nothing write {}").want(404).says("Build job nothing not found for build " + strings.TrimPrefix(at, "/builds/"))
		w.call("PATCH "+one+` write {"status":"splendid"}`).bad("body status", "enum")
		w.call("PATCH " + one + " read {}").want(403)
		w.history(at)
	})
}

func TestJobsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	w.call("POST "+at+`/jobs write {"job_name":"j"}`).bad("body platform", "missing")
	w.call("POST "+at+`/jobs write {"platform":"p"}`).bad("body job_name", "missing")
	w.call("POST "+at+`/jobs write {"platform":"p","job_name":"j","status":"splendid"}`).bad("body status", "enum")
	w.call("POST " + at + `/jobs write {"platform":"p","job_name":"j","resumed_from_state":101}`).want(422)
	w.call(`POST /builds/nobody/jobs write {"platform":"p","job_name":"j"}`).want(404).says("Build nobody not found")
	w.call("GET /builds/nobody/jobs read").want(404).says("Build nobody not found")
	w.call("PATCH /builds/nobody/jobs/j write {}").want(404).says("Build nobody not found")
	w.fields(at+"/jobs", "job_name")
}
