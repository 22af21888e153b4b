package apitest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// create makes a build and returns its address.
func (c *client) create(body doc) string {
	c.t.Helper()
	return "/builds/" + c.call(201, "POST", "/builds", body).doc["id"].(string)
}

func generations(t *testing.T, c *client) {
	c = c.as(writeKey)
	for name, body := range map[string]doc{
		"G1": {"platform": "aws-commercial", "os_version": "rhel-8.8", "image_type": "base", "build_id": "g1-build", "pipeline_url": "https://ci/1", "commit_hash": "abc"},
		"G2": {"project_id": "018d64e2-0000-7000-8000-000000000001", "platform_id": "aws-commercial", "os_version_id": "rhel-9.3", "image_type_id": "base",
			"build_number": "g2-build", "created_by": "ci", "concourse_pipeline_url": "https://ci/2", "concourse_job_name": "bake"},
		"G3":             {"project_id": "rhel-9", "platform_id": "aws-commercial", "os_version_id": "rhel-9.3", "image_type_id": "base", "build_number": "2024.02.001", "build_metadata": doc{"commit_sha": "abc123"}},
		"G4":             {"project_id": "default-project-uuid", "platform_id": "AWS Commercial", "description": "x", "metadata": doc{"a": 1}},
		"authentication": {"project_id": "rhel-9", "platform_id": "aws-commercial"},
		"test-api":       {"project_id": "default", "platform": "aws-commercial", "image_type": "base", "description": "d"},
		"base, inputs":   {"base": doc{"key": "rhel-9.3-minimal", "digest": "sha256:ab"}, "inputs": doc{"playbook": "sha256:cd"}},
		"nulls":          {"platform_id": nil, "build_number": nil, "build_metadata": nil},
	} {
		b := c.call(201, "POST", "/builds", body)
		has(t, b.doc, "id", "build_number", "build_id", "project_id", "platform_id", "os_version_id", "image_type_id", "current_state", "status", "build_metadata", "created_by",
			"concourse_pipeline_url", "concourse_job_name", "pipeline_url", "commit_hash", "ami_id", "image_id", "packer_manifest", "start_time", "end_time", "duration_seconds",
			"created_at", "updated_at", "attempt", "revision", "lease_until", "deadline_at", "cancel_requested", "eta", "execution_arn", "links", "base", "inputs")
		if b.doc["status"] != "pending" || b.doc["current_state"] != float64(0) || b.doc["build_id"] != b.doc["build_number"] || b.doc["attempt"] != float64(1) {
			t.Errorf("%s: %s", name, b.raw)
		}
	}
	got := c.call(200, "GET", "/builds/g1-build", nil)
	if got.doc["pipeline_url"] != "https://ci/1" || got.doc["os_version_id"] != "rhel-8.8" {
		t.Errorf("G1: %s", got.raw)
	}
	taken := c.call(409, "POST", "/builds", doc{"build_number": "g1-build"})
	if !strings.Contains(taken.detail(), got.doc["id"].(string)) {
		t.Errorf("a number twice: %s", taken.raw)
	}
	if same := c.call(200, "POST", "/builds?attach=true", doc{"build_id": "g1-build", "platform": "aws-commercial"}); same.doc["id"] != got.doc["id"] {
		t.Errorf("attach: %s", same.raw)
	}
	c.call(409, "POST", "/builds?attach=true", doc{"build_id": "g1-build", "platform": "azure"})
	c.call(404, "POST", "/builds", doc{"platform": "no-such-platform"})
	c.call(404, "POST", "/builds", doc{"project_id": "12345"})
}

func reports(t *testing.T, c *client) {
	c = c.as(writeKey)
	b := c.create(doc{"build_number": "reports-build"})
	for i, r := range []struct {
		path  string
		body  doc
		state float64
		how   string
	}{
		{"/state", doc{"state_code": 5, "status": "in_progress", "message": "m", "metadata": doc{"progress_percent": 5}}, 5, "in_progress"},
		{"/states", doc{"build_id": "x", "state": 10, "status": "running", "start_time": "2024-02-01T10:00:00Z", "retry_count": 0}, 10, "in_progress"},
		{"/state/", doc{"state_name": "provisioning"}, 20, "in_progress"},
		{"/state", doc{"state_name": "BUILDING"}, 20, "in_progress"},
		{"/state", doc{"state_code": "25"}, 25, "in_progress"},
		{"/state", doc{"state_code": "TESTING", "message": "x"}, 80, "in_progress"},
		{"/state", doc{"state_code": 42, "message": "only a message"}, 42, "in_progress"},
		{"/state", doc{"state_code": 48, "status": "Packer build completed successfully"}, 48, "in_progress"},
		{"/state", doc{"state_code": 50, "status": "success"}, 50, "completed"},
		{"/state", doc{"state_code": 55, "status": "completed", "artifact_storage_type": "s3", "artifact_storage_path": "s3://b/k", "artifact_size_bytes": 5368709120, "artifact_checksum": "sha256:ab", "artifact_metadata": doc{"x": 1}}, 55, "completed"},
	} {
		a := c.call(200, "POST", b+r.path, r.body)
		if a.doc["state_code"] != r.state || a.doc["state"] != r.state || a.doc["status"] != r.how || a.doc["current_state"] != r.state || a.doc["build_status"] != "in_progress" {
			t.Errorf("report %d %v: %s", i, r.body, a.raw)
		}
		has(t, a.doc, "id", "build_id", "start_time", "retry_count", "timestamp", "created_at", "attempt")
	}
	for _, bad := range []doc{{"state_code": 101}, {"state_code": -1}, {"state_code": 4.5}, {"state_name": "no such state"}, {"status": "completed"}, {"state_code": []int{1}}} {
		c.call(422, "POST", b+"/state", bad)
	}
	s := c.call(200, "GET", b+"/state", nil)
	has(t, s.doc, "build_id", "current_state", "status", "message", "last_updated", "last_transition", "transitioned_at", "history", "state_history")
	h := s.doc["history"].([]any)
	if len(h) != 10 || h[0].(map[string]any)["state_code"] != float64(5) || s.doc["state_history"].([]any)[0].(map[string]any)["state_code"] != float64(55) {
		t.Errorf("history: %s", s.raw)
	}
	if rows := c.call(200, "GET", b+"/states?limit=3", nil); len(rows.list) != 3 || rows.header.Get("Link") == "" {
		t.Errorf("states: %s", rows.raw)
	}
	c.call(200, "POST", b+"/state", doc{"state_code": 60, "status": "failed", "message": "it broke"})
	again := c.call(200, "POST", b+"/state", doc{"state_code": 60})
	if again.doc["attempt"] != float64(2) || again.doc["retry_count"] != float64(1) {
		t.Errorf("a report on a failed build is a resume: %s", again.raw)
	}
	if a := c.call(409, "POST", b+"/state", doc{"state_code": 65, "attempt": 1}); a.doc["code"] != "stale_attempt" {
		t.Errorf("stale attempt: %s", a.raw)
	}
	if a := c.call(409, "POST", b+"/state", doc{"state_code": 65}, "X-Build-Attempt", "1"); a.doc["code"] != "stale_attempt" {
		t.Errorf("stale attempt in the header: %s", a.raw)
	}
	if a := c.call(200, "POST", b+"/state", doc{"state_code": 100}); a.doc["build_status"] != "completed" || a.doc["status"] != "completed" {
		t.Errorf("100: %s", a.raw)
	}
	c.call(400, "POST", b+"/state", doc{"state_code": 100})
	c.call(400, "POST", b+"/failure", doc{"error_message": "late"})
	c.call(200, "PUT", b, doc{"ami_id": "ami-1", "status": nil, "current_state": nil})
	c.call(400, "PUT", b, doc{"status": "in_progress"})
	if v := c.call(200, "GET", b+"/history/verify", nil); v.doc["valid"] != true {
		t.Errorf("verify: %s", v.raw)
	}
	c.call(404, "POST", "/builds/no-such-build/state", doc{"state_code": 5})
	parallel(t, c)
	cancelled := c.create(doc{})
	c.call(200, "POST", cancelled+"/state", doc{"state_name": "cancelled"})
	c.call(400, "POST", cancelled+"/state", doc{"state_code": 5})
	c.as(adminKey).call(204, "DELETE", cancelled, nil)
	c.call(404, "GET", cancelled, nil)
	c.as(adminKey).call(200, "POST", cancelled+"/restore", nil)
	running := c.create(doc{})
	c.as(adminKey).call(409, "DELETE", running, nil)
	byPut := c.create(doc{})
	if a := c.call(200, "PUT", byPut, doc{"status": "completed", "current_state": 90}); a.doc["status"] != "completed" {
		t.Errorf("completed by PUT: %s", a.raw)
	}
}

// parallel reports on one build are all accepted, in one order.
func parallel(t *testing.T, c *client) {
	b := c.create(doc{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { c.call(200, "POST", b+"/state", doc{"state_code": 5 + i}) })
	}
	wg.Wait()
	v := c.call(200, "GET", b+"/history/verify", nil)
	if v.doc["valid"] != true || v.doc["rows"] != float64(9) {
		t.Errorf("8 parallel reports: %s", v.raw)
	}
}

func failures(t *testing.T, c *client) {
	c = c.as(writeKey)
	b := c.create(doc{})
	c.call(200, "POST", b+"/state", doc{"state_code": 45})
	for i, body := range []doc{
		{"state_code": 45, "error_message": "e", "error_details": doc{"x": 1}, "is_retryable": true},
		{"error_message": "e", "metadata": doc{"x": 1}, "error_code": "PACKER_TIMEOUT"},
		{"error_message": "e", "details": doc{"x": 1}, "component": "packer"},
		{"state": 45, "error_message": "e", "failure_type": "network_error", "retry_attempt": 2},
	} {
		path := []string{"/failure", "/failures"}[i%2]
		a := c.call(200, "POST", b+path, body)
		has(t, a.doc, "id", "build_id", "state_code", "state", "error_message", "retry_attempt", "resolved", "created_at", "failure_class")
		if a.doc["state_code"] != float64(45) || a.doc["status"] != "failed" {
			t.Errorf("failure %v: %s", body, a.raw)
		}
	}
	c.call(422, "POST", b+"/failure", doc{"state_code": 45})
	got := c.call(200, "GET", b, nil)
	if got.doc["status"] != "failed" || got.doc["current_state"] != float64(45) || got.doc["failed_state"] != float64(45) {
		t.Errorf("a failed build stays where it failed: %s", got.raw)
	}
	c.call(200, "POST", b+"/state", doc{"state_code": 45, "status": "completed"})
	fs := c.call(200, "GET", b+"/failures", nil)
	if len(fs.list) != 4 || fs.list[0].(map[string]any)["resolved"] != true {
		t.Errorf("failures: %s", fs.raw)
	}
}

func lists(t *testing.T, c *client) {
	c = c.as(writeKey)
	c.as(adminKey).call(201, "POST", "/projects", doc{"name": "list-project"})
	var ids []string
	for range 5 {
		ids = append(ids, strings.TrimPrefix(c.create(doc{"project_id": "list-project", "platform_id": "oci"}), "/builds/"))
	}
	c.call(200, "POST", "/builds/"+ids[2]+"/failure", doc{"error_message": "e"})
	slices.Reverse(ids)
	c.eventually("the list of the project, newest first", func() bool {
		return slices.Equal(c.call(200, "GET", "/builds?project_id=list-project", nil).column("id"), ids)
	})
	c.eventually("the failed one", func() bool {
		return slices.Equal(c.call(200, "GET", "/builds?project_id=list-project&status=failed", nil).column("id"), ids[2:3])
	})
	c.eventually("the others", func() bool {
		return len(c.call(200, "GET", "/builds?project_id=list-project&status=queued", nil).list) == 4
	})
	c.eventually("all failed ones", func() bool {
		return slices.Contains(c.call(200, "GET", "/builds?status=failed&limit=1000", nil).column("id"), ids[2])
	})
	var walked []string
	for path := "/builds?project_id=list-project&limit=2"; path != ""; {
		a := c.call(200, "GET", path, nil)
		walked = append(walked, a.column("id")...)
		link := a.header.Get("Link")
		if path = ""; link != "" {
			path = "/builds" + strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		}
	}
	if !slices.Equal(walked, ids) {
		t.Errorf("by links: %v, want %v", walked, ids)
	}
	if a := c.call(200, "GET", "/builds?project_id=list-project&skip=1&limit=2", nil); !slices.Equal(a.column("id"), ids[1:3]) {
		t.Errorf("skip and limit: %v", a.column("id"))
	}
	if c.s.Feed {
		c.eventually("the builds of a platform", func() bool {
			return len(c.call(200, "GET", "/builds?platform=oci&project_id=list-project", nil).list) == 5
		})
	}
	c.call(422, "GET", "/builds?status=nonsense", nil)
	c.call(422, "GET", "/builds?cursor=nonsense", nil)
	c.call(404, "GET", "/builds?project_id=no-such-project", nil)
}

func bound(t *testing.T, c *client) {
	c.call(201, "POST", "/projects", doc{"name": "bound-project"})
	k := c.call(201, "POST", "/users/test-user/tokens", doc{"name": "bound", "scopes": []string{"read", "write"}, "projects": []string{"bound-project"}})
	b := c.as(secret(k.doc["token"].(string)))
	mine := b.create(doc{"project_id": "bound-project"})
	other := c.create(doc{})
	for _, path := range []string{"", "/state", "/states", "/failures", "/history", "/artifacts", "/variables", "/jobs", "/resume-context", "/resume-plan", "/resume-requests"} {
		b.call(200, "GET", mine+path, nil)
		b.call(403, "GET", other+path, nil)
	}
	b.call(403, "POST", other+"/state", doc{"state_code": 5})
	b.call(403, "POST", "/builds", doc{"project_id": "default"})
	b.call(403, "GET", "/builds?project_id=default", nil)
	b.eventually("only its own builds", func() bool {
		return slices.Equal(b.call(200, "GET", "/builds?limit=1000", nil).column("project_id"), []string{fmt.Sprint(c.call(200, "GET", mine, nil).doc["project_id"])})
	})
}

func artifacts(t *testing.T, c *client) {
	b := c.create(doc{})
	sum := strings.Repeat("ab", 32)
	body := doc{"state_code": 40, "artifact_name": "vm", "artifact_type": "vm_snapshot", "artifact_path": "s3://b/vm", "storage_backend": "s3",
		"size_bytes": 5368709120, "checksum": "sha256:" + sum, "metadata": doc{"snapshot_id": "snap-1"}}
	a := c.as(writeKey).call(201, "POST", b+"/artifacts", body)
	has(t, a.doc, "id", "build_id", "state_code", "artifact_name", "artifact_type", "artifact_path", "storage_backend", "storage_region", "storage_bucket", "storage_key", "size_bytes",
		"checksum", "checksum_algorithm", "is_resumable", "is_final", "expires_at", "metadata", "created_at", "updated_at", "deleted_at")
	if a.doc["size_bytes"] != float64(5368709120) || a.doc["checksum"] != sum || a.doc["is_resumable"] != true {
		t.Errorf("artifact: %s", a.raw)
	}
	id := a.doc["id"].(string)
	c.call(409, "POST", b+"/artifacts", body)
	c.call(422, "POST", b+"/artifacts", doc{"state_code": 40, "artifact_name": "x"})
	c.call(404, "POST", "/builds/nope/artifacts", body)
	c.call(201, "POST", b+"/artifacts", doc{"state_code": 20, "artifact_name": "early", "artifact_type": "config_file", "artifact_path": "/x", "storage_backend": "local", "is_resumable": false, "is_final": true})
	for q, want := range map[string]int{"": 2, "?state_code=40": 1, "?state=40": 1, "?artifact_type=vm_snapshot": 1, "?is_resumable=true": 1, "?resumable=true": 1, "?is_final=true": 1} {
		if got := c.call(200, "GET", b+"/artifacts"+q, nil); len(got.list) != want {
			t.Errorf("artifacts%s: %d, want %d", q, len(got.list), want)
		}
	}
	c.as(writeKey).call(200, "PATCH", b+"/artifacts/"+id, doc{"metadata": doc{"other": 1}, "artifact_name": nil})
	c.as(writeKey).call(403, "DELETE", b+"/artifacts/"+id, nil)
	c.call(204, "DELETE", b+"/artifacts/"+id, nil)
	if gone := c.call(404, "GET", b+"/artifacts/"+id, nil); !strings.HasPrefix(gone.detail(), "Artifact "+id+" not found for build") {
		t.Errorf("404: %s", gone.raw)
	}
	c.call(201, "POST", b+"/artifacts", body)
	c.call(409, "POST", b+"/artifacts/"+id+"/restore", nil)
	r := c.as(writeKey).call(200, "POST", b+"/artifacts/vm/revoke", doc{"reason": "bad base"})
	if r.doc["revoke_reason"] != "bad base" || r.doc["revoked_at"] == nil {
		t.Errorf("revoked: %s", r.raw)
	}
	if v := c.call(200, "GET", b+"/history/verify", nil); v.doc["valid"] != true {
		t.Errorf("verify: %s", v.raw)
	}
}

func variables(t *testing.T, c *client) {
	b := c.create(doc{})
	w, r := c.as(writeKey), c.as(readKey)
	hidden := secret("hunter2-secret")
	v := w.call(201, "POST", b+"/variables", doc{"variable_key": "password", "variable_value": hidden, "is_sensitive": true, "is_required_for_resume": true})
	has(t, v.doc, "id", "build_id", "variable_key", "variable_value", "variable_type", "set_at_state", "is_sensitive", "is_required_for_resume", "created_at", "updated_at")
	w.call(201, "POST", b+"/variables", doc{"variable_key": "vm_id", "variable_value": "vm-1"})
	w.call(201, "POST", b+"/variables", doc{"variable_key": "vm_id", "variable_value": "vm-2"})
	for _, path := range []string{"/variables", "/variables/dict", "/variables/password", "/resume-context"} {
		if a := r.call(200, "GET", b+path, nil); strings.Contains(string(a.raw), hidden) || !strings.Contains(string(a.raw), "******") {
			t.Errorf("%s is not masked: %s", path, a.raw)
		}
		r.call(403, "GET", b+path+"?reveal=true", nil)
		if a := w.call(200, "GET", b+path+"?reveal=true", nil); !strings.Contains(string(a.raw), hidden) {
			t.Errorf("%s is not revealed: %s", path, a.raw)
		}
	}
	if strings.Contains(string(v.raw), hidden) {
		t.Errorf("the answer to POST shows the value: %s", v.raw)
	}
	h := c.call(200, "GET", b+"/history?limit=1000", nil)
	if strings.Contains(string(h.raw), hidden) || strings.Count(string(h.raw), "variable.reveal") < 4 {
		t.Errorf("the history holds the value, or not who saw it: %s", h.raw)
	}
	if d := c.call(200, "GET", b+"/variables/dict", nil); d.doc["vm_id"] != "vm-2" {
		t.Errorf("dict: %s", d.raw)
	}
	c.call(200, "PATCH", b+"/variables/vm_id", doc{"variable_value": "vm-3"})
	c.call(422, "POST", b+"/variables", doc{"variable_key": "j", "variable_value": "{", "variable_type": "json"})
	w.call(204, "DELETE", b+"/variables/vm_id", nil)
	if gone := c.call(404, "GET", b+"/variables/vm_id", nil); !strings.HasPrefix(gone.detail(), "Variable 'vm_id' not found for build") {
		t.Errorf("404: %s", gone.raw)
	}
}

func resume(t *testing.T, c *client) {
	c = c.as(writeKey)
	b := c.create(doc{})
	if a := c.call(200, "GET", b+"/resume-plan", nil); a.doc["resumable"] != false {
		t.Errorf("a plan before anything was done: %s", a.raw)
	}
	c.call(200, "POST", b+"/state", doc{"state_code": 30, "status": "completed"})
	c.call(201, "POST", b+"/artifacts", doc{"state_code": 30, "artifact_name": "cp", "artifact_type": "disk_image", "artifact_path": "/cp", "storage_backend": "local", "checksum": strings.Repeat("0", 64)})
	c.call(200, "POST", b+"/failure", doc{"state_code": 35, "error_message": "connection reset"})
	ctx := c.call(200, "GET", b+"/resume-context", nil)
	if ctx.doc["last_successful_state"] != float64(30) || ctx.doc["failed_state"] != float64(35) || ctx.doc["resume_from_state"] != float64(35) || len(ctx.doc["artifacts"].([]any)) != 1 {
		t.Errorf("context: %s", ctx.raw)
	}
	has(t, ctx.doc, "build_id", "current_state", "variables", "resumable_state_config")
	plan := c.call(200, "GET", b+"/resume-plan", nil)
	has(t, plan.doc, "build_id", "attempt", "resumable", "reason", "detail", "resume_from_state", "last_completed_state", "failed_state", "restore", "artifacts", "variables", "states", "estimated_minutes_saved", "warnings", "strategy")
	if plan.doc["resumable"] != true || plan.doc["reason"] != "ok" || len(plan.doc["restore"].([]any)) != 1 {
		t.Errorf("plan: %s", plan.raw)
	}
	if a := c.call(400, "POST", b+"/resume", doc{"resume_from_state": -1}); a.detail() != "resume_from_state must be >= 0" {
		t.Errorf("below 0: %s", a.raw)
	}
	if a := c.call(400, "POST", b+"/resume", doc{"resume_from_state": 35, "resume_to_state": 35}); a.detail() != "resume_to_state must be greater than resume_from_state" {
		t.Errorf("to before from: %s", a.raw)
	}
	r := c.call(201, "POST", b+"/resume", doc{"resume_from_state": 35, "resume_reason": "fixed"})
	has(t, r.doc, "id", "resume_request_id", "build_id", "resume_from_state", "resume_to_state", "resume_reason", "requested_by", "request_source", "orchestration_status", "created_at", "updated_at")
	if a := c.call(409, "POST", b+"/resume", doc{"resume_from_state": 35}); a.doc["code"] != "resume_in_progress" || !strings.Contains(a.detail(), r.doc["id"].(string)) {
		t.Errorf("two resumes: %s", a.raw)
	}
	rid := r.doc["id"].(string)
	for _, p := range []string{b + "/resume-requests", b + "/resume"} {
		if a := c.call(200, "GET", p, nil); !slices.Contains(a.column("id"), rid) {
			t.Errorf("%s: %s", p, a.raw)
		}
	}
	for _, p := range []string{"/resume-requests/" + rid, b + "/resume/" + rid} {
		c.call(200, "GET", p, nil)
		c.call(200, "PATCH", p, doc{"orchestration_status": "running", "orchestration_job_url": "https://ci/1"})
	}
	c.call(404, "GET", "/resume-requests/nope", nil)
	if a := c.call(200, "GET", b, nil); a.doc["attempt"] != float64(2) {
		t.Errorf("a resume opens the next attempt: %s", a.raw)
	}
	beat := c.call(200, "POST", b+"/heartbeat", doc{"attempt": 2, "worker": "w1", "state_code": 35, "progress": 10})
	has(t, beat.doc, "attempt", "revision", "lease_until", "cancel_requested")
	if a := c.call(409, "POST", b+"/heartbeat", doc{"attempt": 1, "worker": "w0", "state_code": 35}); a.doc["code"] != "stale_attempt" {
		t.Errorf("a beat of a replaced attempt: %s", a.raw)
	}
	if a := c.send("POST", b+"/cancel", nil); a.status != 202 || a.doc["cancel_requested"] != true {
		t.Errorf("cancel with a live worker: %d %s", a.status, a.raw)
	}
	c.call(200, "POST", b+"/state", doc{"state_code": 35, "status": "cancelled", "attempt": 2, "worker": "w1"})
	if a := c.call(409, "POST", b+"/resume", doc{"resume_from_state": 35, "force": true}); a.doc["code"] != "build_cancelled" {
		t.Errorf("resume of a cancelled build: %s", a.raw)
	}
}

func jobs(t *testing.T, c *client) {
	c = c.as(writeKey)
	b := c.create(doc{})
	j := c.call(201, "POST", b+"/jobs", doc{"platform": "concourse", "job_name": "bake", "trigger_source": "manual"})
	has(t, j.doc, "id", "build_id", "platform", "pipeline_name", "job_name", "job_url", "job_id", "build_number", "triggered_by", "trigger_source", "status", "is_resume_job",
		"resumed_from_state", "parent_job_id", "started_at", "completed_at", "created_at", "updated_at")
	c.call(200, "PATCH", b+"/jobs/"+j.doc["id"].(string), doc{"status": "running", "started_at": "2024-02-01T10:00:00Z"})
	c.call(404, "PATCH", b+"/jobs/nope", doc{"status": "running"})
	c.call(422, "POST", b+"/jobs", doc{"platform": "concourse"})
	if a := c.call(200, "GET", b+"/jobs", nil); len(a.list) != 1 {
		t.Errorf("jobs: %s", a.raw)
	}
}

func dashboard(t *testing.T, c *client) {
	s := c.call(200, "GET", "/dashboard/summary", nil)
	has(t, s.doc, "total_builds", "active_builds", "completed_builds", "failed_builds", "platforms", "projects", "builds_by_platform", "builds_by_state", "status_counts", "recent_builds")
	p := c.call(200, "GET", "/dashboard/platform/aws-commercial", nil)
	has(t, p.doc, "platform", "statistics", "recent_builds", "state_distribution", "builds")
	c.call(404, "GET", "/dashboard/platform/no-such-platform", nil)
	if !c.s.Feed {
		return
	}
	c.eventually("the seeded builds are counted", func() bool {
		d := c.call(200, "GET", "/dashboard/summary", nil).doc
		return d["total_builds"].(float64) >= 10 && d["completed_builds"].(float64) >= 5
	})
	b := strings.TrimPrefix(c.create(doc{"platform_id": "openstack"}), "/builds/")
	c.eventually("a new build among the recent ones", func() bool {
		return slices.Contains(c.call(200, "GET", "/dashboard/recent?limit=200", nil).column("id"), b)
	})
}

func audit(t *testing.T, c *client) {
	c.call(201, "POST", "/platforms", doc{"name": "audited", "cloud_provider": "x"}, "X-Request-Id", "audit-request-1")
	c.call(200, "PUT", "/platforms/audited", doc{"region": "r"})
	a := c.call(200, "GET", "/audit?resource=platform&resource_id=audited", nil)
	if !slices.Equal(a.column("action"), []string{"platform.update", "platform.create"}) || !slices.Contains(a.column("request_id"), "audit-request-1") {
		t.Errorf("audit: %s", a.raw)
	}
	b := strings.TrimPrefix(c.create(doc{}), "/builds/")
	if a := c.call(200, "GET", "/audit?resource=build&resource_id="+b, nil); len(a.list) == 0 {
		t.Errorf("audit of a build: %s", a.raw)
	}
	c.eventually("by actor", func() bool { return len(c.call(200, "GET", "/audit?actor=admin&limit=5", nil).list) > 0 })
	c.as(writeKey).call(403, "GET", "/audit", nil)
}

func idempotency(t *testing.T, c *client) {
	c = c.as(writeKey)
	body := doc{"build_number": "once-1"}
	first := c.call(201, "POST", "/builds", body, "Idempotency-Key", "k-1")
	again := c.call(201, "POST", "/builds", body, "Idempotency-Key", "k-1")
	if string(first.raw) != string(again.raw) || again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" || again.header.Get("ETag") != first.header.Get("ETag") {
		t.Errorf("replay: %s %v", again.raw, again.header)
	}
	c.call(409, "POST", "/builds", doc{"build_number": "once-2"}, "Idempotency-Key", "k-1")
	b := "/builds/once-1"
	for range 3 {
		c.call(200, "POST", b+"/state", doc{"state_code": 5}, "Idempotency-Key", "k-2")
		c.call(201, "POST", b+"/artifacts", doc{"state_code": 5, "artifact_name": "a", "artifact_type": "t", "artifact_path": "p", "storage_backend": "s"}, "Idempotency-Key", "k-3")
		c.call(201, "POST", b+"/variables", doc{"variable_key": "v", "variable_value": "1"}, "Idempotency-Key", "k-4")
		c.call(201, "POST", b+"/jobs", doc{"platform": "jenkins", "job_name": "j"}, "Idempotency-Key", "k-5")
		c.as(adminKey).call(201, "POST", "/platforms", doc{"name": "once-platform", "cloud_provider": "x"}, "Idempotency-Key", "k-6")
		c.call(404, "POST", "/builds", doc{"platform": "comes-later"}, "Idempotency-Key", "k-7")
	}
	if v := c.call(200, "GET", b+"/history/verify", nil); v.doc["rows"] != float64(5) {
		t.Errorf("each act has its effect once: %s", v.raw)
	}
	c.as(adminKey).call(201, "POST", "/platforms", doc{"name": "comes-later", "cloud_provider": "x"})
	if a := c.call(404, "POST", "/builds", doc{"platform": "comes-later"}, "Idempotency-Key", "k-7"); a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a refusal is kept: %v", a.header)
	}
	var wg sync.WaitGroup
	seen := make([]string, 8)
	for i := range seen {
		wg.Go(func() {
			seen[i] = fmt.Sprint(c.call(201, "POST", "/builds", doc{}, "Idempotency-Key", "k-8").doc["id"])
		})
	}
	wg.Wait()
	if len(slices.Compact(seen)) != 1 {
		t.Errorf("one key at once: %v", seen)
	}
	k := c.as(adminKey).call(201, "POST", "/users/test-user/tokens", doc{"name": "once"}, "Idempotency-Key", "k-9")
	r := c.as(adminKey).call(201, "POST", "/users/test-user/tokens", doc{"name": "once"}, "Idempotency-Key", "k-9")
	if secret(k.doc["token"].(string)) != r.doc["token"] {
		t.Error("the replay of a new key is another key")
	}
}

func preconditions(t *testing.T, c *client) {
	b := c.create(doc{})
	tag := c.call(200, "GET", b, nil).header.Get("ETag")
	after := c.call(200, "POST", b+"/state", doc{"state_code": 5}, "If-Match", tag)
	if a := c.call(412, "POST", b+"/state", doc{"state_code": 10}, "If-Match", tag); a.doc["code"] != "precondition_failed" {
		t.Errorf("412: %s", a.raw)
	}
	c.call(200, "POST", b+"/failure", doc{"error_message": "e"}, "If-Match", after.header.Get("ETag"))
}

func badInput(t *testing.T, c *client) {
	b := c.create(doc{})
	post := func(want int, code string, body string, headers ...string) {
		t.Helper()
		if len(headers) == 0 {
			headers = []string{"Content-Type", "application/json"}
		}
		a := c.send("POST", b+"/state", strings.NewReader(body), headers...)
		if a.status != want || a.doc["code"] != code {
			t.Errorf("%.60q: %d %s, want %d %s", body, a.status, a.raw, want, code)
		}
		c.refused(body[:min(len(body), 40)], a)
	}
	post(422, "invalid", `{"state_code":`)
	post(422, "invalid", `[]`)
	post(422, "invalid", `"text"`)
	post(422, "invalid", ``)
	post(422, "invalid", `{"state_code":1e400}`)
	post(422, "invalid", `{"state_code":99999999999999999999}`)
	post(422, "invalid", `{"state_code":5,"status":7}`)
	post(422, "invalid", `{"state_code":5,"message":"`+"\xff\xfe"+`"}`)
	post(422, "invalid", strings.Repeat("[", 100)+strings.Repeat("]", 100))
	post(422, "invalid", `{"state_code":5,"metadata":`+strings.Repeat(`{"a":`, 100)+"1"+strings.Repeat("}", 101))
	post(413, "too_large", `{"state_code":5,"message":"`+strings.Repeat("x", 1<<20)+`"}`)
	post(415, "unsupported_media_type", `<a/>`, "Content-Type", "application/xml")
	post(415, "unsupported_media_type", `state_code=5`, "Content-Type", "application/x-www-form-urlencoded")
	for _, path := range []string{"/no/such/path", "/builds/a%2Fb", "/builds/%00", "/builds/%0a", "/builds//state", "/builds/../users", "/platforms/" + strings.Repeat("x", 3000), "/%ff"} {
		a := c.send("GET", path, nil)
		if a.status != 404 && a.status != 422 && a.status != 400 && a.status != 414 {
			t.Errorf("GET %.40s: %d %s", path, a.status, a.raw)
		}
		c.refused(path[:min(40, len(path))], a)
	}
	if a := c.send("PATCH", "/platforms", strings.NewReader("{}"), "Content-Type", "application/json"); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" || a.doc["code"] != "method_not_allowed" {
		t.Errorf("405: %d %s %v", a.status, a.raw, a.header)
	}
	if a := c.send("GET", "/builds", nil, "X-Request-Id", "my-own-id_1.2"); a.header.Get("X-Request-Id") != "my-own-id_1.2" {
		t.Errorf("the caller's request id: %v", a.header)
	}
	if a := c.send("GET", "/builds", nil, "X-Request-Id", "bad id\twith spaces"); a.header.Get("X-Request-Id") == "bad id\twith spaces" {
		t.Error("an unsafe request id is taken over")
	}
	big := c.send("POST", b+"/variables", strings.NewReader(`{"variable_key":"k","variable_value":"`+strings.Repeat("x", 300<<10)+`"}`), "Content-Type", "application/json")
	if big.status != 413 {
		t.Errorf("what the table cannot hold: %d %.200s", big.status, big.raw)
	}
	none := c.as("").call(401, "GET", "/builds", nil)
	if none.detail() != "Authentication required. Use Bearer token or X-API-Key." || none.header.Get("WWW-Authenticate") != "Bearer, X-API-Key" {
		t.Errorf("401: %s %v", none.raw, none.header)
	}
	if a := c.as(readKey).call(403, "POST", "/builds", doc{}); a.detail() != "Write permission required" {
		t.Errorf("403: %s", a.raw)
	}
}
