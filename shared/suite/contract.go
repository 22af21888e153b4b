package suite

import (
	"maps"
	"net/http"
	"testing"
)

// contractTests send what the callers of all generations send, word for word.
var contractTests = []test{
	{"the create bodies of all generations make the same build", generationsOfCreate},
	{"the report bodies of all generations say the same", generationsOfReport},
	{"the failure bodies of all generations say the same", generationsOfFailure},
	{"the create bodies of reference rows are taken", referenceBodies},
	{"the quick start's calls work one after the other", quickStart},
	{"a client that sends null for what it does not set is understood", explicitNulls},
}

// newBuild makes a build of the default project, with further fields, and
// returns its id.
func (s *session) newBuild(t *testing.T, more obj) string {
	t.Helper()
	return s.dev.post(t, "/builds", with(obj{"build_number": unique("build")}, more)).is(http.StatusCreated).id()
}

// with returns base with the fields of more.
func with(base, more obj) obj {
	out := maps.Clone(base)
	maps.Copy(out, more)
	return out
}

func generationsOfCreate(t *testing.T, s *session) {
	uuid := func(path string) string { return s.dev.get(t, path).is(http.StatusOK).id() }
	rhel9, def := uuid("/projects/rhel-9"), uuid("/projects/default")
	same := obj{"platform_id": "aws-commercial", "os_version_id": "rhel-9.3", "image_type_id": "base"}
	for name, c := range map[string]struct{ body, want obj }{
		"G1": {obj{"platform": "aws-commercial", "os_version": "rhel-9.3", "image_type": "base", "build_id": unique("g1"), "pipeline_url": "https://ci/1", "commit_hash": "abc123"},
			obj{"project_id": def, "pipeline_url": "https://ci/1", "concourse_pipeline_url": "https://ci/1", "commit_hash": "abc123"}},
		"G2": {obj{"project_id": rhel9, "platform_id": "aws-commercial", "os_version_id": "rhel-9.3", "image_type_id": "base", "build_number": unique("g2"),
			"created_by": "concourse-main", "concourse_pipeline_url": "https://ci/2", "concourse_job_name": "build"},
			obj{"project_id": rhel9, "created_by": "concourse-main", "pipeline_url": "https://ci/2", "concourse_job_name": "build"}},
		"G3": {obj{"project_id": "rhel-9", "platform_id": "aws-commercial", "os_version_id": "rhel-9.3", "image_type_id": "base", "build_number": unique("g3"),
			"build_metadata": obj{"commit_sha": "abc123", "branch": "main"}},
			obj{"project_id": rhel9, "build_metadata": obj{"commit_sha": "abc123", "branch": "main"}, "metadata": obj{"commit_sha": "abc123", "branch": "main"}}},
		"G4": {obj{"project_id": rhel9, "platform_id": "aws-commercial", "os_version_id": "rhel-9.3", "image_type_id": "base", "description": "nightly", "metadata": obj{"a": 1}},
			obj{"project_id": rhel9, "description": "nightly", "build_metadata": obj{"a": 1}}},
		"by name": {obj{"project": "rhel-9", "platform": "AWS Commercial", "os_version": "Red Hat Enterprise Linux 9.3", "image_type": "Base Image"}, obj{"project_id": rhel9}},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.dev.post(t, "/builds", c.body).is(http.StatusCreated).has(with(same, c.want)).keys(buildKeys)
			r.has(obj{"current_state": 0, "status": "pending", "attempt": 1, "build_id": r.str("build_number")})
			for _, number := range []string{"build_number", "build_id"} {
				if v, ok := c.body[number]; ok {
					r.has(obj{"build_number": v})
				}
			}
		})
	}
	t.Run("test-api.sh", func(t *testing.T) {
		s.dev.post(t, "/builds", obj{"project_id": def, "platform": "aws-commercial", "image_type": "base", "description": "Test build"}).is(http.StatusCreated).
			has(obj{"os_version_id": nil, "description": "Test build"})
	})
	t.Run("AUTHENTICATION", func(t *testing.T) {
		s.dev.post(t, "/builds", obj{"project_id": "rhel-9", "platform_id": "aws-commercial"}).is(http.StatusCreated)
	})
}

func generationsOfReport(t *testing.T, s *session) {
	for _, c := range []struct {
		name       string
		body, want obj
	}{
		{"DOC", obj{"state_code": 25, "status": "in_progress", "message": "Packer build started", "metadata": obj{"progress_percent": 40}},
			obj{"state_code": 25, "state": 25, "status": "in_progress", "message": "Packer build started", "metadata": obj{"progress_percent": 40}}},
		{"with an artifact", obj{"state_code": 25, "status": "completed", "artifact_storage_type": "s3", "artifact_storage_path": "s3://bucket/key",
			"artifact_size_bytes": 5368709120, "artifact_checksum": "sha256:" + sum, "artifact_metadata": obj{"format": "qcow2"}},
			obj{"artifact_storage_type": "s3", "artifact_storage_path": "s3://bucket/key", "artifact_size_bytes": 5368709120, "artifact_checksum": "sha256:" + sum, "artifact_metadata": obj{"format": "qcow2"}}},
		{"G2", obj{"build_id": "ignored", "state": 30, "status": "running", "start_time": "2024-02-01T10:00:00Z", "error_message": nil, "retry_count": 0},
			obj{"state": 30, "state_code": 30, "status": "in_progress", "start_time": "2024-02-01T10:00:00Z", "retry_count": 0}},
		{"G4", obj{"state_name": "preparation"}, obj{"state_code": 5, "status": "in_progress"}},
		{"G4, a name of the project", obj{"state_name": "building", "metadata": obj{"worker": "w1"}}, obj{"state_code": 20, "status": "in_progress"}},
		{"LEGACY", obj{"state_code": 40, "message": "Packer done"}, obj{"state_code": 40, "status": "in_progress", "message": "Packer done", "new_state": 40}},
		{"a name as the state", obj{"state": "TESTING"}, obj{"state_code": 80}},
		{"a number in quotes", obj{"state_code": "45"}, obj{"state_code": 45}},
		{"free text as the status", obj{"state": 45, "status": "Ansible started successfully"}, obj{"status": "in_progress", "message": "Ansible started successfully"}},
		{"free text and a message", obj{"state": 45, "status": "Ansible started", "message": "on host a"}, obj{"status": "in_progress", "message": "Ansible started: on host a"}},
		{"no multiple of five", obj{"state_code": 42, "status": "completed"}, obj{"state_code": 42, "status": "completed", "build_status": "in_progress"}},
		{"started", obj{"state_code": 50, "status": "started"}, obj{"status": "in_progress"}},
		{"success", obj{"state_code": 50, "status": "success"}, obj{"status": "completed", "build_status": "in_progress"}},
		{"backwards", obj{"state_code": 10, "status": "in_progress"}, obj{"state_code": 10, "current_state": 10}},
		{"zero", obj{"state_code": 0, "status": "pending"}, obj{"state_code": 0}},
		{"100 without a status", obj{"state_code": 100}, obj{"status": "completed", "build_status": "completed", "current_state": 100}},
	} {
		for _, path := range []string{"/state", "/states"} {
			t.Run(c.name+path, func(t *testing.T) {
				b := s.newBuild(t, nil)
				s.dev.post(t, "/builds/"+b+path, c.body).is(http.StatusOK).has(with(c.want, obj{"build_id": b})).keys(stateKeys + " revision current_state build_status")
			})
		}
	}
}

func generationsOfFailure(t *testing.T, s *session) {
	for _, c := range []struct {
		name       string
		body, want obj
	}{
		{"DOC", obj{"state_code": 35, "error_message": "Ansible failed", "error_details": obj{"task": "x"}, "is_retryable": true},
			obj{"state_code": 35, "state": 35, "error_message": "Ansible failed", "error_details": obj{"task": "x"}, "is_retryable": true}},
		{"CODE", obj{"error_message": "boom", "error_code": "E1", "metadata": obj{"a": 1}}, obj{"state_code": 15, "error_code": "E1", "error_details": obj{"a": 1}}},
		{"LEGACY", obj{"error_message": "timeout", "error_code": "PACKER_TIMEOUT", "component": "packer", "details": obj{"s": 60}},
			obj{"error_code": "PACKER_TIMEOUT", "component": "packer", "error_details": obj{"s": 60}}},
		{"G2", obj{"state": 25, "failure_type": "packer_error", "error_message": "x", "error_details": obj{"k": "v"}, "component": "packer", "retry_attempt": 2},
			obj{"state": 25, "state_code": 25, "failure_type": "packer_error", "retry_attempt": 2, "resolved": false}},
	} {
		for _, path := range []string{"/failure", "/failures"} {
			t.Run(c.name+path, func(t *testing.T) {
				b := s.newBuild(t, nil)
				s.dev.post(t, "/builds/"+b+"/state", obj{"state_code": 15}).is(http.StatusOK)
				r := s.dev.post(t, "/builds/"+b+path, c.body).is(http.StatusOK).has(with(c.want, obj{"build_id": b, "attempt": 1})).keys(failureKeys)
				s.dev.get(t, "/builds/"+b).has(obj{"status": "failed", "current_state": r.obj()["state_code"], "failed_state": r.obj()["state_code"]})
			})
		}
	}
}

func referenceBodies(t *testing.T, s *session) {
	for _, c := range []struct {
		path       string
		body, want obj
	}{
		{"/platforms/", obj{"name": unique("p"), "cloud_provider": "aws", "region": "us-east-1"}, obj{"region": "us-east-1"}},
		{"/platforms", obj{"name": unique("p"), "cloud_provider": "aws", "display_name": "P", "updated_at": nil}, obj{"region": nil, "display_name": "P"}},
		{"/os_versions/", obj{"name": "Fedora " + unique("f"), "version": "41"}, obj{"version": "41"}},
		{"/os-versions/", obj{"os_distribution_id": "x", "name": unique("ubuntu"), "display_name": "Ubuntu", "os_family": "linux", "major_version": 24, "minor_version": 4},
			obj{"version": "24.4", "os_family": "linux", "major_version": 24, "minor_version": 4, "os_distribution_id": "x"}},
		{"/image_types/", obj{"name": unique("i"), "description": "d"}, obj{"description": "d"}},
		{"/image-types/", obj{"image_variant_id": "v", "name": unique("i"), "display_name": "I", "description": "d"}, obj{"display_name": "I", "image_variant_id": "v"}},
		{"/cloud-providers/", obj{"name": unique("aws"), "display_name": "Amazon Web Services", "description": "AWS"}, obj{"display_name": "Amazon Web Services", "end_date": nil}},
		{"/os-distributions/", obj{"name": unique("ubuntu"), "display_name": "Ubuntu", "description": "u"}, obj{"display_name": "Ubuntu"}},
		{"/image-variants/", obj{"name": unique("hardened"), "display_name": "Hardened Image", "description": "h"}, obj{"display_name": "Hardened Image"}},
		{"/projects", obj{"name": unique("pr"), "display_name": "Pr", "description": "d", "parent_project_id": "default"}, obj{"display_name": "Pr", "is_active": true}},
	} {
		s.dev.post(t, c.path, c.body).is(http.StatusCreated).has(with(c.want, obj{"name": c.body["name"]}))
	}
}

func quickStart(t *testing.T, s *session) {
	s.nobody().get(t, "/health").is(http.StatusOK)
	user := s.signIn(t, "user", "user123")
	platform := unique("test-platform")
	s.dev.post(t, "/platforms/", obj{"name": platform, "cloud_provider": "aws", "region": "us-east-1"}).is(http.StatusCreated).has(obj{"id": platform})
	s.dev.get(t, "/platforms/"+platform).is(http.StatusOK)
	project := user.post(t, "/projects/", obj{"name": unique("quick"), "description": "Quick start"}).is(http.StatusCreated).id()
	build := user.post(t, "/builds", obj{"project_id": project, "platform_id": platform, "os_version_id": "rhel-9.3", "image_type_id": "base", "build_number": unique("2024.02.001")}).is(http.StatusCreated).id()
	at := "/builds/" + build
	user.post(t, at+"/state", obj{"state_code": 10, "status": "completed", "message": "validated"}).is(http.StatusOK)
	user.post(t, at+"/artifacts", obj{"state_code": 10, "artifact_name": "base-vm-snapshot", "artifact_type": "vm_snapshot", "artifact_path": "s3://b/k", "storage_backend": "s3",
		"storage_region": "us-east-1", "storage_bucket": "b", "storage_key": "k", "size_bytes": 5368709120, "checksum": sum, "is_resumable": true, "metadata": obj{"snapshot_id": "snap-1"}}).is(http.StatusCreated)
	user.post(t, at+"/variables", obj{"variable_key": "vm_id", "variable_value": "vm-123", "set_at_state": 10, "is_required_for_resume": true}).is(http.StatusCreated)
	user.post(t, "/projects/"+project+"/resumable-states", obj{"state_code": 20, "is_resumable": true, "resume_strategy": "from_artifact", "required_artifacts": []string{"vm_snapshot"},
		"required_variables": []string{"vm_id"}, "resume_command": "./resume.sh", "resume_timeout_seconds": 7200}).is(http.StatusCreated)
	user.post(t, at+"/failure", obj{"state_code": 20, "error_message": "network timeout", "is_retryable": true}).is(http.StatusOK)
	user.get(t, at+"/resume-context").is(http.StatusOK).has(obj{"current_state": 20, "last_successful_state": 10, "failed_state": 20, "resume_from_state": 20, "variables": obj{"vm_id": "vm-123"}})
	user.post(t, at+"/resume", obj{"resume_from_state": 20, "resume_reason": "network is back", "orchestration_config": obj{"platform": "concourse", "pipeline": "p", "job": "j", "trigger_webhook": true}}).is(http.StatusCreated)
	user.post(t, at+"/state", obj{"state_code": 20, "status": "completed"}).is(http.StatusOK).has(obj{"attempt": 2})
	user.post(t, at+"/state", obj{"state_code": 100, "status": "completed"}).is(http.StatusOK).has(obj{"build_status": "completed"})
	user.delete(t, "/platforms/"+platform).is(http.StatusForbidden)
	s.nobody().get(t, "/dashboard/summary").is(http.StatusUnauthorized)
	user.get(t, "/dashboard/summary").is(http.StatusOK)
}

// sum is a SHA-256 in hex.
const sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func explicitNulls(t *testing.T, s *session) {
	p := s.dev.post(t, "/platforms", obj{"name": unique("null"), "cloud_provider": "aws", "region": nil, "display_name": nil}).is(http.StatusCreated)
	s.dev.put(t, "/platforms/"+p.id(), obj{"name": nil, "cloud_provider": "gcp", "region": "r1"}).is(http.StatusOK).has(obj{"name": p.str("name"), "cloud_provider": "gcp", "region": "r1"})
	b := s.newBuild(t, obj{"project_id": nil, "platform_id": nil, "build_metadata": nil, "metadata": nil, "base": nil, "inputs": nil, "description": nil, "created_by": nil})
	s.dev.put(t, "/builds/"+b, obj{"current_state": 15, "status": nil, "end_time": nil, "ami_id": nil, "image_id": nil, "packer_manifest": nil}).is(http.StatusOK).has(obj{"current_state": 15})
	s.dev.post(t, "/builds/"+b+"/states", obj{"state": 20, "status": "running", "state_code": nil, "state_name": nil, "message": nil, "artifact_size_bytes": nil, "artifact_metadata": nil,
		"end_time": nil, "attempt": nil, "retry_count": nil}).is(http.StatusOK).has(obj{"state_code": 20})
	s.dev.post(t, "/builds/"+b+"/failures", obj{"state": nil, "error_message": "x", "error_details": nil, "is_retryable": nil, "retry_attempt": nil, "failure_class": nil}).is(http.StatusOK)
	a := s.dev.post(t, "/builds/"+b+"/artifacts", with(artifact(unique("n"), 20), obj{"size_bytes": nil, "checksum": nil, "metadata": nil, "expires_at": nil, "is_final": nil})).is(http.StatusCreated).id()
	s.dev.patch(t, "/builds/"+b+"/artifacts/"+a, obj{"artifact_name": nil, "artifact_type": nil, "artifact_path": nil, "is_resumable": false, "is_final": nil}).is(http.StatusOK).has(obj{"is_resumable": false, "is_final": false})
	u := s.newUser(t, nil)
	s.admin.put(t, "/users/"+u.id, obj{"email": nil, "full_name": "New Name", "is_active": nil, "username": nil, "password": nil, "scopes": nil}).is(http.StatusOK).has(obj{"full_name": "New Name", "username": u.name, "is_active": true})
}
