package suite

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"bldst/shared/id"
	"bldst/shared/problem"
)

var buildTests = []test{
	{"a new build has every field and is found by id and number", newBuilds},
	{"a number that is taken is refused with the id, and can be attached to", attach},
	{"references are checked, by id, slug or name", references},
	{"a name that several have is ambiguous", ambiguous},
	{"what is no build is refused and names the field", badBuilds},
	{"base and inputs are kept", baseAndInputs},
	{"lists filter by project, platform and status, newest first", listBuilds},
	{"lists go by skip and limit and by cursor", pageBuilds},
	{"PUT changes any subset", updateBuild},
	{"PUT moves a build and completes it", moveBuild},
	{"only a build that has ended can be deleted, and it can be restored", deleteBuild},
	{"numbers that look like ids and odd numbers are numbers", oddNumbers},
}

const (
	buildKeys = `id build_number build_id project_id platform_id os_version_id image_type_id current_state status build_metadata created_by
		concourse_pipeline_url concourse_job_name pipeline_url commit_hash ami_id image_id packer_manifest start_time end_time duration_seconds created_at updated_at
		attempt revision lease_until deadline_at cancel_requested eta execution_arn links base inputs`
	failureKeys = `id build_id state_code state failure_type error_message error_code error_details component is_retryable retry_attempt resolved resolution_notes
		created_at resolved_at failure_class class_reason attempt`
	stateKeys = `id build_id state_code state status message metadata artifact_storage_type artifact_storage_path artifact_size_bytes artifact_checksum artifact_metadata
		start_time end_time duration_seconds error_message retry_count timestamp created_at attempt`
)

func newBuilds(t *testing.T, s *session) {
	number := unique("2024.02.001")
	r := s.dev.post(t, "/builds", obj{"build_number": number, "platform_id": "aws-commercial"}).is(http.StatusCreated).keys(buildKeys).
		has(obj{"build_number": number, "build_id": number, "current_state": 0, "status": "pending", "attempt": 1, "revision": 1, "created_by": "testuser", "start_time": nil, "end_time": nil,
			"cancel_requested": false, "deactivated_at": nil, "last_successful_state": nil, "failed_state": nil})
	if !id.IsUUID(r.id()) || r.etag() != `"1"` {
		t.Errorf("id %s, ETag %s; want a UUID and revision 1", r.id(), r.etag())
	}
	for _, ref := range []string{r.id(), number} {
		s.reader.get(t, "/builds/"+ref).is(http.StatusOK).keys(buildKeys).has(obj{"id": r.id(), "build_number": number})
	}
	s.reader.get(t, "/builds/no-such").refused(http.StatusNotFound, problem.NotFound, "Build not found")
	links := s.reader.get(t, "/builds/"+number).obj()["links"].(obj)
	for name, path := range links {
		s.reader.get(t, path.(string)).is(http.StatusOK)
		if !strings.Contains(path.(string), r.id()) {
			t.Errorf("link %s is %s", name, path)
		}
	}
	if a, b := s.newBuilt(t), s.newBuilt(t); a == b {
		t.Errorf("two builds without a number got the number %s", a)
	}
}

// newBuilt makes a build without a number and returns the number it got.
func (s *session) newBuilt(t *testing.T) string {
	t.Helper()
	return s.dev.post(t, "/builds", obj{}).is(http.StatusCreated).str("build_number")
}

func attach(t *testing.T, s *session) {
	body := obj{"build_number": unique("attach"), "project_id": "rhel-9", "platform_id": "aws-commercial", "os_version_id": "rhel-9.3", "image_type_id": "base"}
	first := s.dev.post(t, "/builds", body).is(http.StatusCreated).id()
	s.dev.post(t, "/builds", body).refused(http.StatusConflict, problem.Conflict, first)
	s.dev.post(t, "/builds?attach=true", body).is(http.StatusOK).has(obj{"id": first}).keys(buildKeys)
	s.dev.post(t, "/builds?attach=true", obj{"build_id": body["build_number"], "platform": "AWS Commercial"}).is(http.StatusOK).has(obj{"id": first})
	s.dev.post(t, "/builds/"+first+"/state", obj{"state_code": 5, "status": "failed"}).is(http.StatusOK)
	s.dev.post(t, "/builds?attach=true", body).is(http.StatusOK).has(obj{"id": first, "status": "failed"})
	for reason, end := range map[problem.Kind]func(at string) *reply{
		problem.BuildCompleted: func(at string) *reply { return s.dev.post(t, at+"/state", obj{"state_code": 100}) },
		problem.BuildCancelled: func(at string) *reply { return s.dev.post(t, at+"/cancel", nil) },
	} {
		ended := obj{"build_number": unique("attach")}
		b := s.dev.post(t, "/builds?attach=true", ended).is(http.StatusCreated).id()
		end("/builds/" + b).is(http.StatusOK)
		s.dev.post(t, "/builds?attach=true", ended).refused(http.StatusConflict, reason, b)
	}
	s.dev.post(t, "/builds?attach=true", with(body, obj{"platform_id": "azure"})).refused(http.StatusConflict, problem.Conflict, first, "azure")
	s.dev.post(t, "/builds?attach=true", with(body, obj{"project_id": "default"})).refused(http.StatusConflict, problem.Conflict, first)
	s.dev.post(t, "/builds?attach=true", with(body, obj{"build_number": unique("attach")})).is(http.StatusCreated)
}

func references(t *testing.T, s *session) {
	for field, label := range map[string]string{"project_id": "Project", "platform_id": "Platform", "os_version_id": "OS version", "image_type_id": "Image type",
		"platform": "Platform", "os_version": "OS version", "image_type": "Image type", "project": "Project"} {
		s.dev.post(t, "/builds", obj{field: "unknown-" + field}).refused(http.StatusNotFound, problem.NotFound, label+" with id 'unknown-"+field+"' not found")
	}
	for _, field := range []string{"cloud_provider_id", "os_distribution_id", "image_variant_id"} {
		s.dev.post(t, "/builds", obj{field: "unknown"}).refused(http.StatusNotFound, problem.NotFound, "unknown")
	}
	cloud := s.dev.post(t, "/cloud-providers", dated(unique("cloud"))).is(http.StatusCreated)
	s.newBuildWith(t, obj{"cloud_provider_id": cloud.str("name")}, obj{"cloud_provider_id": cloud.id()})
	for spelled, want := range map[string]obj{
		"Red Hat Enterprise Linux-9.3": {"os_version_id": "rhel-9.3"}, "Red Hat Enterprise Linux 9.3": {"os_version_id": "rhel-9.3"}, "rhel-9.3": {"os_version_id": "rhel-9.3"},
		"Ubuntu 22.04": {"os_version_id": "ubuntu-22.04"},
	} {
		s.newBuildWith(t, obj{"os_version": spelled}, want)
	}
	gone := s.dev.post(t, "/platforms", obj{"name": unique("gone"), "cloud_provider": "own"}).is(http.StatusCreated).id()
	s.admin.delete(t, "/platforms/"+gone).is(http.StatusNoContent)
	s.dev.post(t, "/builds", obj{"platform_id": gone}).refused(http.StatusNotFound, problem.NotFound, gone)
}

func (s *session) newBuildWith(t *testing.T, body, want obj) {
	t.Helper()
	s.dev.post(t, "/builds", body).is(http.StatusCreated).has(want)
}

func ambiguous(t *testing.T, s *session) {
	s.reader.get(t, "/image-types/Database%20Server").refused(http.StatusConflict, problem.Ambiguous, "hana", "database")
	s.dev.post(t, "/builds", obj{"image_type": "Database Server"}).refused(http.StatusConflict, problem.Ambiguous, "hana", "database")
	s.reader.get(t, "/os-versions/Ubuntu").refused(http.StatusConflict, problem.Ambiguous, "ubuntu-20.04", "ubuntu-22.04")
	s.dev.post(t, "/builds", obj{"os_version": "Red Hat Enterprise Linux"}).refused(http.StatusConflict, problem.Ambiguous, "rhel-9.3")
}

func badBuilds(t *testing.T, s *session) {
	for field, v := range map[string]any{
		"build_number": strings.Repeat("x", 201), "platform_id": 7, "project_id": []int{}, "created_by": obj{}, "description": strings.Repeat("x", 2001),
		"base": obj{"key": "only"}, "inputs": obj{"a": 1}, "commit_hash": true,
	} {
		r := s.dev.post(t, "/builds", obj{field: v}).refused(http.StatusUnprocessableEntity, problem.Invalid)
		if !strings.Contains(string(r.body), field) {
			t.Errorf("422 of a bad %s does not name it: %s", field, r.body)
		}
	}
	s.dev.post(t, "/builds", obj{"build_number": "a\nb"}).invalid("build_number")
	s.dev.post(t, "/builds", obj{"inputs": obj{"": "x"}}).invalid("inputs")
	s.dev.post(t, "/builds", obj{"build_metadata": obj{"big": strings.Repeat("x", 70000)}}).refused(http.StatusRequestEntityTooLarge, problem.TooLarge)
}

func baseAndInputs(t *testing.T, s *session) {
	body := obj{"base": obj{"key": "rhel-9-golden", "digest": "sha256:" + sum}, "inputs": obj{"kickstart": "sha256:aa", "ansible": "sha256:bb"}}
	b := s.dev.post(t, "/builds", body).is(http.StatusCreated).has(body).id()
	s.dev.get(t, "/builds/"+b).is(http.StatusOK).has(body)
}

func listBuilds(t *testing.T, s *session) {
	p := s.newProject(t)
	status := map[string]obj{"pending": nil, "in_progress": {"state_code": 5}, "completed": {"state_code": 100}, "failed": {"state_code": 5, "status": "failed"}, "cancelled": nil}
	byStatus := map[string]string{}
	var all []string
	for _, name := range []string{"pending", "in_progress", "completed", "failed", "cancelled"} {
		platform := map[bool]string{true: "aws-commercial", false: "gcp"}[name == "failed" || name == "completed"]
		b := s.newBuild(t, obj{"project_id": p, "platform_id": platform})
		if status[name] != nil {
			s.dev.post(t, "/builds/"+b+"/state", status[name]).is(http.StatusOK)
		}
		if name == "cancelled" {
			s.dev.post(t, "/builds/"+b+"/cancel", nil).is(http.StatusOK)
		}
		byStatus[name] = b
		all = append(all, b)
	}
	slices.Reverse(all)
	projectName := s.dev.get(t, "/projects/"+p).str("name")
	for query, want := range map[string][]string{
		"project_id=" + p: all, "project_id=" + projectName: all, "project=" + p: all,
		"project_id=" + p + "&status=failed":                            {byStatus["failed"]},
		"project_id=" + p + "&status=running":                           {byStatus["in_progress"]},
		"project_id=" + p + "&status=success":                           {byStatus["completed"]},
		"project_id=" + p + "&status=pending":                           {byStatus["pending"]},
		"project_id=" + p + "&status=canceled":                          {byStatus["cancelled"]},
		"project_id=" + p + "&platform_id=gcp":                          {byStatus["cancelled"], byStatus["in_progress"], byStatus["pending"]},
		"project_id=" + p + "&platform=gcp":                             {byStatus["cancelled"], byStatus["in_progress"], byStatus["pending"]},
		"project_id=" + p + "&limit=2":                                  all[:2],
		"project_id=" + p + "&skip=1&limit=2":                           all[1:3],
		"project_id=" + p + "&status=failed&platform_id=aws-commercial": {byStatus["failed"]},
	} {
		eventually(t, func() string {
			got := fields(s.reader.get(t, "/builds?"+query).is(http.StatusOK).list(), "id")
			if !slices.Equal(got, want) {
				return fmt.Sprintf("?%s lists %v, want %v", query, got, want)
			}
			return ""
		})
	}
	for _, query := range []string{"status=failed", "platform_id=aws-commercial", "status=failed&platform_id=aws-commercial"} {
		eventually(t, func() string {
			if got := among(s.reader.walk(t, "/builds?limit=20&"+query), "id", all); !slices.Contains(got, byStatus["failed"]) || slices.Contains(got, byStatus["pending"]) {
				return fmt.Sprintf("?%s lists %v", query, got)
			}
			return ""
		})
	}
	s.reader.get(t, "/builds?status=asleep").invalid("status")
	s.reader.get(t, "/builds?project_id=no-such").refused(http.StatusNotFound, problem.NotFound, "no-such")
	s.reader.get(t, "/builds?platform_id=no-such").refused(http.StatusNotFound, problem.NotFound, "no-such")
}

func pageBuilds(t *testing.T, s *session) {
	p := s.newProject(t)
	var want []string
	for range 7 {
		want = append(want, s.newBuild(t, obj{"project_id": p}))
	}
	slices.Reverse(want)
	at := "/builds?project_id=" + p
	for how, read := range map[string]func() []obj{
		"by cursor":         func() []obj { return s.reader.walk(t, at+"&limit=3") },
		"by skip and limit": func() []obj { return s.reader.skim(t, at, 2) },
		"one by one":        func() []obj { return s.reader.walk(t, at+"&limit=1") },
		"all, newest first": func() []obj { return s.reader.walk(t, "/builds?limit=50") },
	} {
		eventually(t, func() string {
			if got := among(read(), "id", want); !slices.Equal(got, want) {
				return fmt.Sprintf("%s: %v, want %v", how, got, want)
			}
			return ""
		})
	}
	badPages(t, s, "/builds")
	for _, sub := range []string{"/states", "/failures", "/history", "/artifacts", "/variables", "/resume-requests", "/jobs"} {
		badPages(t, s, "/builds/"+want[0]+sub)
	}
}

func updateBuild(t *testing.T, s *session) {
	b := s.dev.post(t, "/builds", obj{"description": "old", "build_metadata": obj{"a": 1}}).is(http.StatusCreated)
	at := "/builds/" + b.id()
	manifest := obj{"builds": []obj{{"artifact_id": "us-east-1:ami-0abc"}}}
	r := s.dev.put(t, at, obj{"ami_id": "ami-0abc", "image_id": "img-1", "packer_manifest": manifest}).is(http.StatusOK).keys(buildKeys).
		has(obj{"ami_id": "ami-0abc", "image_id": "img-1", "packer_manifest": manifest, "description": "old", "build_metadata": obj{"a": 1}, "status": "pending", "revision": 2})
	s.dev.put(t, at, obj{"description": "new", "commit_hash": "c0ffee", "pipeline_url": "https://ci/9", "build_metadata": obj{"b": 2}}).is(http.StatusOK).
		has(obj{"description": "new", "commit_hash": "c0ffee", "pipeline_url": "https://ci/9", "concourse_pipeline_url": "https://ci/9", "build_metadata": obj{"b": 2}, "ami_id": "ami-0abc"})
	s.dev.put(t, at, obj{"ami_id": "x"}, "If-Match", r.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.dev.put(t, at, obj{"ami_id": "x"}, "If-Match", s.dev.get(t, at).etag()).is(http.StatusOK)
	s.dev.put(t, "/builds/no-such", obj{}).refused(http.StatusNotFound, problem.NotFound, "Build not found")
	s.dev.put(t, at, obj{"status": "asleep"}).invalid("status")
	s.dev.put(t, at, obj{"current_state": 101}).refused(http.StatusUnprocessableEntity, problem.Invalid)
	s.dev.post(t, at+"/state", obj{"state_code": 100}).is(http.StatusOK)
	s.dev.put(t, at, obj{"ami_id": "ami-1", "end_time": "2024-02-01T10:00:00Z"}).is(http.StatusOK).has(obj{"ami_id": "ami-1", "status": "completed", "end_time": "2024-02-01T10:00:00Z"})
}

func moveBuild(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	at := "/builds/" + b
	s.dev.put(t, at, obj{"current_state": 40, "status": "running"}).is(http.StatusOK).has(obj{"current_state": 40, "status": "in_progress"})
	s.dev.put(t, at, obj{"status": "failed"}).is(http.StatusOK).has(obj{"status": "failed", "current_state": 40, "failed_state": 40})
	s.dev.put(t, at, obj{"status": "in_progress"}).is(http.StatusOK).has(obj{"status": "in_progress", "attempt": 2})
	s.dev.put(t, at, obj{"status": "completed"}).refused(http.StatusConflict, problem.Conflict, "state 40", "bldst state update", "100")
	s.dev.put(t, at, obj{"status": "failed"}).is(http.StatusOK)
	s.dev.put(t, at, obj{"status": "completed"}).refused(http.StatusConflict, problem.Conflict, "failed in state 40", "bldst build resume")
	s.dev.put(t, at, obj{"status": "running"}).is(http.StatusOK).has(obj{"attempt": 3})
	s.dev.put(t, at, obj{"status": "completed", "current_state": 100}).is(http.StatusOK).has(obj{"status": "completed", "current_state": 100})
	for _, body := range []obj{{"status": "in_progress"}, {"current_state": 50}, {"status": "completed"}} {
		s.dev.put(t, at, body).refused(http.StatusBadRequest, problem.Refused, "Cannot transition a completed build.")
	}
	c := s.newBuild(t, nil)
	s.dev.put(t, "/builds/"+c, obj{"current_state": "testing", "status": "cancelled"}).is(http.StatusOK).has(obj{"status": "cancelled", "current_state": 80})
}

func deleteBuild(t *testing.T, s *session) {
	p := s.newProject(t)
	b := s.dev.post(t, "/builds", obj{"build_number": unique("del"), "project_id": p}).is(http.StatusCreated)
	at, number := "/builds/"+b.id(), b.str("build_number")
	s.admin.delete(t, at).refused(http.StatusConflict, problem.Conflict, "pending")
	s.dev.post(t, at+"/state", obj{"state_code": 5}).is(http.StatusOK)
	s.admin.delete(t, at).refused(http.StatusConflict, problem.Conflict, "in_progress")
	s.dev.post(t, at+"/failure", obj{"error_message": "x"}).is(http.StatusOK)
	s.dev.delete(t, at).refused(http.StatusForbidden, problem.Forbidden, "Admin permission required")
	s.admin.delete(t, at, "If-Match", b.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.admin.delete(t, at).is(http.StatusNoContent)
	for _, path := range []string{at, "/builds/" + number, at + "/state", at + "/states", at + "/failures", at + "/history", at + "/artifacts", at + "/variables", at + "/resume-context", at + "/jobs", at + "/resume-plan"} {
		s.admin.get(t, path).refused(http.StatusNotFound, problem.NotFound, "not found")
	}
	s.admin.delete(t, at).refused(http.StatusNotFound, problem.NotFound, "Build not found")
	s.dev.post(t, at+"/state", obj{"state_code": 5}).refused(http.StatusNotFound, problem.NotFound)
	s.dev.get(t, at+"?include_deactivated=true").is(http.StatusOK).has(obj{"id": b.id(), "status": "failed"})
	for query, want := range map[string]int{"": 0, "&include_deactivated=true": 1} {
		eventually(t, func() string {
			if got := s.dev.walk(t, "/builds?project_id="+p+query); len(got) != want {
				return fmt.Sprintf("%q lists %d, want %d", query, len(got), want)
			}
			return ""
		})
	}
	young := s.dev.post(t, "/builds", obj{"build_number": number}).is(http.StatusCreated).id()
	s.admin.post(t, at+"/restore", nil).refused(http.StatusConflict, problem.Conflict)
	s.dev.post(t, "/builds/"+young+"/state", obj{"state_code": 100}).is(http.StatusOK)
	s.admin.delete(t, "/builds/"+young).is(http.StatusNoContent)
	s.admin.post(t, at+"/restore", nil).is(http.StatusOK).has(obj{"id": b.id(), "build_number": number, "deactivated_at": nil, "status": "failed"})
	s.admin.post(t, at+"/restore", nil).is(http.StatusOK)
	s.dev.get(t, "/builds/"+number).is(http.StatusOK).has(obj{"id": b.id()})
	s.dev.get(t, at+"/history/verify").is(http.StatusOK).has(obj{"valid": true})
	s.admin.post(t, "/builds/no-such/restore", nil).refused(http.StatusNotFound, problem.NotFound)
}

func oddNumbers(t *testing.T, s *session) {
	uuid := id.New()
	for _, number := range []string{uuid, unique("with blanks and (brackets)"), unique("ünïcode"), unique("a#b"), unique("=x"), unique("100%"), unique("a+b"), strings.Repeat("x", 188) + random()} {
		b := s.newBuild(t, obj{"build_number": number})
		s.dev.get(t, "/builds/"+escape(number)).is(http.StatusOK).has(obj{"id": b, "build_number": number})
		s.dev.post(t, "/builds/"+escape(number)+"/state", obj{"state_code": 5}).is(http.StatusOK).has(obj{"build_id": b})
	}
}

var reportTests = []test{
	{"the status of a report is that of the state", stateStatus},
	{"after the end nothing follows; a failed build goes on in the next attempt", transitions},
	{"a report of a replaced attempt is refused", staleAttempt},
	{"parallel reports are all accepted, in one order", parallelReports},
	{"where a build is, and how it came there", stateViews},
	{"If-Match guards reports", matchReports},
	{"what is no report is refused and names the field", badReports},
	{"a report with a worker gives a lease, and heartbeats renew it", leases},
	{"cancelling asks the worker that is alive, else cancels at once", cancelling},
}

func stateStatus(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	at := "/builds/" + b
	report := func(body obj, state, build string) {
		t.Helper()
		s.dev.post(t, at+"/state", body).is(http.StatusOK).has(obj{"status": state, "build_status": build})
		s.dev.get(t, at).has(obj{"status": build})
	}
	report(obj{"state_code": 0, "status": "pending"}, "pending", "pending")
	report(obj{"state_code": 5}, "in_progress", "in_progress")
	report(obj{"state_code": 5, "status": "completed"}, "completed", "in_progress")
	s.dev.get(t, at).has(obj{"last_successful_state": 5, "end_time": nil})
	report(obj{"state_code": 10, "status": "failed", "message": "disk full"}, "failed", "failed")
	s.dev.get(t, at).has(obj{"failed_state": 10, "current_state": 10, "last_successful_state": 5, "message": "disk full"}).keys("failure_class")
	report(obj{"state_code": 10}, "in_progress", "in_progress")
	s.dev.get(t, at).has(obj{"attempt": 2, "failed_state": nil})
	report(obj{"state_code": 100, "status": "in_progress"}, "in_progress", "in_progress")
	report(obj{"state_code": 100, "status": "completed"}, "completed", "completed")
	done := s.dev.get(t, at).has(obj{"status": "completed", "current_state": 100}).obj()
	if done["end_time"] == nil || done["duration_seconds"] == nil || done["start_time"] == nil {
		t.Errorf("a completed build has start %v, end %v, duration %v", done["start_time"], done["end_time"], done["duration_seconds"])
	}
}

func transitions(t *testing.T, s *session) {
	done, stopped := "/builds/"+s.newBuild(t, nil), "/builds/"+s.newBuild(t, nil)
	s.dev.post(t, done+"/state", obj{"state_code": 100, "status": "completed"}).is(http.StatusOK)
	s.dev.post(t, stopped+"/cancel", nil).is(http.StatusOK)
	for name, at := range map[string]string{"completed": done, "cancelled": stopped} {
		for _, body := range []obj{{"state_code": 5}, {"state_code": 100, "status": "in_progress"}, {"state_code": 5, "status": "failed"}, {"state_code": 5, "status": "cancelled"}} {
			s.dev.post(t, at+"/state", body).refused(http.StatusBadRequest, problem.Refused, "Cannot transition a "+name+" build.")
		}
		s.dev.post(t, at+"/failure", obj{"error_message": "late"}).refused(http.StatusBadRequest, problem.Refused, name)
	}
	s.dev.post(t, done+"/state", obj{"state_code": 100}).is(http.StatusOK).has(obj{"build_status": "completed", "attempt": 1})
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/failure", obj{"state_code": 5, "error_message": "one"}).is(http.StatusOK).has(obj{"attempt": 1})
	s.dev.post(t, at+"/state", obj{"state_code": 5, "status": "failed"}).is(http.StatusOK).has(obj{"attempt": 1, "build_status": "failed"})
	s.dev.post(t, at+"/failure", obj{"error_message": "two"}).is(http.StatusOK).has(obj{"attempt": 1})
	for i, body := range []obj{{"state_code": 5}, {"state_code": 5, "status": "completed"}, {"state_code": 0, "status": "pending"}, {"state_code": 5}} {
		s.dev.post(t, at+"/state", body).is(http.StatusOK).has(obj{"attempt": i + 2})
		s.dev.post(t, at+"/failure", obj{"error_message": "again"}).is(http.StatusOK).has(obj{"attempt": i + 2})
	}
	s.dev.post(t, at+"/state", obj{"state_code": 5, "status": "cancelled"}).is(http.StatusOK).has(obj{"attempt": 5, "build_status": "failed"})
	s.dev.post(t, at+"/cancel", nil).is(http.StatusOK).has(obj{"attempt": 5, "status": "cancelled"})
	s.dev.post(t, "/builds/no-such/state", obj{"state_code": 5}).refused(http.StatusNotFound, problem.NotFound, "Build not found")
	s.dev.post(t, "/builds/no-such/failure", obj{"error_message": "x"}).refused(http.StatusNotFound, problem.NotFound, "Build not found")
}

func staleAttempt(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/state", obj{"state_code": 5, "attempt": 1}).is(http.StatusOK)
	s.dev.post(t, at+"/failure", obj{"error_message": "x", "attempt": 1}).is(http.StatusOK)
	before := s.dev.get(t, at).has(obj{"status": "failed", "attempt": 1})
	s.dev.post(t, at+"/state", obj{"state_code": 5, "attempt": 1, "message": "words of the dead"}).refused(http.StatusConflict, problem.Conflict, "resume", "attempt 2")
	after := s.dev.get(t, at).has(obj{"status": "failed", "attempt": 1, "message": "x"})
	if got := s.acts(t, at); got[len(got)-1] != "state.repeated" || after.etag() == before.etag() {
		t.Errorf("words that name a failed attempt are not kept: %v", got)
	}
	s.dev.post(t, at+"/state", obj{"state_code": 5}).is(http.StatusOK).has(obj{"attempt": 2})
	for _, path := range []string{"/state", "/failure"} {
		body := obj{"state_code": 5, "error_message": "x"}
		s.dev.post(t, at+path, with(body, obj{"attempt": 1})).refused(http.StatusConflict, problem.StaleAttempt, "2")
		s.dev.post(t, at+path, body, "X-Build-Attempt", "1").refused(http.StatusConflict, problem.StaleAttempt, "2")
		s.dev.post(t, at+path, with(body, obj{"attempt": 3})).invalid("attempt")
		s.dev.post(t, at+path, with(body, obj{"attempt": 0})).invalid("attempt")
	}
	s.dev.post(t, at+"/heartbeat", obj{"attempt": 1}).refused(http.StatusConflict, problem.StaleAttempt)
	s.dev.post(t, at+"/state", obj{"state_code": 5}, "X-Build-Attempt", "2").is(http.StatusOK)
}

func parallelReports(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	at := "/builds/" + b
	const reports = 16
	var wg sync.WaitGroup
	for i := range reports {
		wg.Go(func() {
			if r := s.dev.post(t, at+"/state", obj{"state_code": 10, "message": fmt.Sprint("report ", i)}); r.status != http.StatusOK {
				t.Errorf("a parallel report: %d %s", r.status, r.body)
			}
		})
	}
	wg.Wait()
	seen := map[any]bool{}
	for _, row := range s.dev.walk(t, at+"/states?limit=5") {
		seen[row["message"]] = true
	}
	if len(seen) != reports {
		t.Errorf("%d reports are in the history, want %d", len(seen), reports)
	}
	s.dev.get(t, at+"/history/verify").is(http.StatusOK).has(obj{"valid": true, "rows": reports + 1})
	s.dev.get(t, at).has(obj{"revision": reports + 1})
}

func stateViews(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	at := "/builds/" + b
	for _, body := range []obj{{"state_code": 5, "status": "completed", "message": "five"}, {"state_code": 10, "message": "ten", "artifact_storage_path": "s3://b/ten"}, {"state_code": 15, "status": "failed", "message": "no"}} {
		s.dev.post(t, at+"/state", body).is(http.StatusOK)
	}
	view := s.reader.get(t, at+"/state").is(http.StatusOK).has(obj{"build_id": b, "current_state": 15, "status": "failed", "message": "no", "attempt": 1}).
		keys("last_updated last_transition transitioned_at history state_history").obj()
	history, newest := view["history"].([]any), view["state_history"].([]any)
	if len(history) != 3 || len(newest) != 3 {
		t.Fatalf("history of %d, state_history of %d rows, want 3", len(history), len(newest))
	}
	for i, want := range []obj{{"state_code": 5, "status": "completed", "message": "five"}, {"state_code": 10, "status": "in_progress"}, {"state_code": 15, "status": "failed"}} {
		row := history[i].(obj)
		if wrong := differs(want, row) + lacks(row, "timestamp message"); wrong != "" {
			t.Errorf("history[%d]: %s", i, wrong)
		}
		if wrong := differs(want, newest[2-i].(obj)); wrong != "" {
			t.Errorf("state_history[%d]: %s", 2-i, wrong)
		}
	}
	rows := s.reader.get(t, at+"/states").is(http.StatusOK).list()
	if got := numbers(rows, "state"); got != "[5 10 15]" || rows[1]["artifact_storage_path"] != "s3://b/ten" || lacks(rows[0], stateKeys) != "" || lacks(newest[0].(obj), stateKeys) != "" {
		t.Errorf("/states lists %s: %v", got, rows)
	}
	if got := numbers(s.reader.walk(t, at+"/states?limit=1"), "state"); got != "[5 10 15]" {
		t.Errorf("/states by cursor lists %s", got)
	}
	if got := numbers(s.reader.skim(t, at+"/states", 2), "state"); got != "[5 10 15]" {
		t.Errorf("/states by skip lists %s", got)
	}
	for _, path := range []string{"/state", "/states", "/failures"} {
		s.reader.get(t, "/builds/no-such"+path).refused(http.StatusNotFound, problem.NotFound, "Build not found")
	}
}

func matchReports(t *testing.T, s *session) {
	b := s.dev.post(t, "/builds", obj{}).is(http.StatusCreated)
	at := "/builds/" + b.id()
	r := s.dev.post(t, at+"/state", obj{"state_code": 5}, "If-Match", b.etag()).is(http.StatusOK)
	if s.dev.get(t, at).etag() != r.etag() {
		t.Errorf("ETag %s of the report, %s of the build", r.etag(), s.dev.get(t, at).etag())
	}
	s.dev.post(t, at+"/state", obj{"state_code": 10}, "If-Match", b.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed, r.etag())
	s.dev.post(t, at+"/failure", obj{"error_message": "x"}, "If-Match", b.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.dev.post(t, at+"/failure", obj{"error_message": "x"}, "If-Match", r.etag()).is(http.StatusOK)
}

func badReports(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	for field, bodies := range map[string][]obj{
		"state_code":          {{}, {"status": "completed"}, {"state_code": 101}, {"state_code": -1}, {"state_code": 999}, {"state_code": 10.5}, {"state_code": true}, {"state_code": obj{}}, {"state": 200}, {"state_code": "101"}, {"state_code": nil}},
		"state_name":          {{"state_name": "no such state"}, {"state_code": "sleeping"}, {"state": "sleeping"}},
		"artifact_size_bytes": {{"state_code": 5, "artifact_size_bytes": -1}, {"state_code": 5, "artifact_size_bytes": "big"}},
		"artifact_checksum":   {{"state_code": 5, "artifact_checksum": strings.Repeat("x", 129)}},
		"message":             {{"state_code": 5, "message": 7}},
		"start_time":          {{"state_code": 5, "start_time": "yesterday"}},
		"retry_count":         {{"state_code": 5, "retry_count": -1}},
	} {
		for _, body := range bodies {
			for _, path := range []string{"/state", "/states"} {
				r := s.dev.post(t, at+path, body).refused(http.StatusUnprocessableEntity, problem.Invalid)
				if field == "state_code" && strings.Contains(string(r.body), `"state"`) {
					continue // the alias was given and is named
				}
				r.invalid(field)
			}
		}
	}
	s.dev.post(t, at+"/state", obj{"state_code": 5, "metadata": obj{"big": strings.Repeat("x", 70000)}}).refused(http.StatusRequestEntityTooLarge, problem.TooLarge)
	s.dev.get(t, at).has(obj{"revision": 1, "status": "pending"})
}

func leases(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/state", obj{"state_code": 5}).is(http.StatusOK)
	s.dev.get(t, at).has(obj{"lease_until": nil, "lease": nil})
	s.dev.post(t, at+"/state", obj{"state_code": 10, "worker": "runner-7"}).is(http.StatusOK)
	b := s.dev.get(t, at)
	if b.obj()["lease_until"] == nil || b.obj()["deadline_at"] == nil {
		t.Errorf("a build with a worker has lease %v and deadline %v", b.obj()["lease_until"], b.obj()["deadline_at"])
	}
	beat := s.dev.post(t, at+"/heartbeat", obj{"worker": "runner-7", "attempt": 1, "progress": 60, "message": "half"}).is(http.StatusOK).
		has(obj{"attempt": 1, "cancel_requested": false, "revision": b.obj()["revision"]}).keys("lease_until")
	if after := s.dev.get(t, at); after.etag() != b.etag() || after.str("lease_until") != beat.str("lease_until") {
		t.Errorf("after a heartbeat ETag %s and lease %s, want %s and %s", after.etag(), after.str("lease_until"), b.etag(), beat.str("lease_until"))
	}
	held := s.dev.get(t, at).has(obj{"lease": obj{"worker": "runner-7", "since": b.obj()["lease"].(obj)["since"], "until": beat.str("lease_until")}})
	s.dev.get(t, at+"/resume-plan").is(http.StatusOK).has(obj{"reason": "build_running", "lease": held.obj()["lease"]})
	s.dev.post(t, at+"/heartbeat", nil).is(http.StatusOK)
	s.dev.post(t, at+"/heartbeat", obj{"progress": 101}).invalid("progress")
	s.dev.post(t, at+"/failure", obj{"error_message": "x"}).is(http.StatusOK)
	s.dev.post(t, at+"/heartbeat", obj{}).refused(http.StatusConflict, problem.Conflict)
	s.dev.post(t, at+"/state", obj{"state_code": 100, "status": "completed"}).is(http.StatusOK)
	s.dev.post(t, at+"/heartbeat", obj{}).refused(http.StatusBadRequest, problem.Refused)
	s.dev.post(t, "/builds/no-such/heartbeat", obj{}).refused(http.StatusNotFound, problem.NotFound)
}

func cancelling(t *testing.T, s *session) {
	idle := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, idle+"/cancel", obj{"reason": "superseded"}).is(http.StatusOK).has(obj{"status": "cancelled", "cancel_requested": false, "message": "superseded"})
	s.dev.post(t, idle+"/cancel", nil).refused(http.StatusBadRequest, problem.Refused, "Cannot transition a cancelled build.")
	busy := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, busy+"/state", obj{"state_code": 5, "worker": "w"}).is(http.StatusOK)
	s.dev.post(t, busy+"/cancel", nil).is(http.StatusAccepted).has(obj{"status": "in_progress", "cancel_requested": true})
	s.dev.post(t, busy+"/heartbeat", obj{"worker": "w"}).is(http.StatusOK).has(obj{"cancel_requested": true})
	s.dev.post(t, busy+"/state", obj{"state_code": 10, "worker": "w"}).is(http.StatusOK).has(obj{"cancel_requested": true, "build_status": "in_progress"})
	s.dev.post(t, busy+"/state", obj{"state_code": 10, "status": "cancelled", "worker": "w"}).is(http.StatusOK).has(obj{"build_status": "cancelled", "cancel_requested": false})
	s.dev.post(t, "/builds/no-such/cancel", nil).refused(http.StatusNotFound, problem.NotFound)
	failed := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, failed+"/failure", obj{"error_message": "x"}).is(http.StatusOK)
	s.dev.post(t, failed+"/cancel", nil).is(http.StatusOK).has(obj{"status": "cancelled"})
}

var failureTests = []test{
	{"a failure has a class, and is resolved when its state is completed", failures},
	{"a build that fails in any other way has a failure, too", otherFailures},
	{"a failure is resolved once a later attempt is past its state", resolvedFailures},
	{"what is no failure is refused and names the field", badFailures},
}

func failures(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/state", obj{"state_code": 25}).is(http.StatusOK)
	s.dev.post(t, at+"/failure", obj{"error_message": "connection reset by peer"}).is(http.StatusOK).keys(failureKeys).has(obj{"state_code": 25, "resolved": false, "status": "failed"})
	s.dev.get(t, at).has(obj{"status": "failed", "current_state": 25, "failed_state": 25, "message": "connection reset by peer"})
	s.dev.post(t, at+"/failures", obj{"state": 30, "error_message": "quota", "failure_class": "quota", "exit_code": 3, "target": "us-east-1", "worker": "w"}).is(http.StatusOK).
		has(obj{"failure_class": "quota", "exit_code": 3, "target": "us-east-1", "worker": "w"})
	s.dev.get(t, at).has(obj{"failure_class": "quota", "failed_state": 30})
	s.dev.post(t, at+"/state", obj{"state_code": 30, "status": "completed"}).is(http.StatusOK)
	rows := s.reader.get(t, at+"/failures").is(http.StatusOK).list()
	if got := numbers(rows, "state_code"); got != "[25 30]" || lacks(rows[0], failureKeys) != "" || rows[0]["resolved"] != true || rows[1]["resolved"] != true || rows[1]["resolved_at"] == nil {
		t.Errorf("failures: %v", rows)
	}
	if got := numbers(s.reader.walk(t, at+"/failures?limit=1"), "state_code"); got != "[25 30]" {
		t.Errorf("failures by cursor: %s", got)
	}
	for class, message := range map[string]string{"transient": "connection timed out", "persistent": "permission denied"} {
		b := "/builds/" + s.newBuild(t, nil)
		s.dev.post(t, b+"/failure", obj{"error_message": message, "failure_class": class}).is(http.StatusOK).has(obj{"failure_class": class})
		for _, row := range s.dev.get(t, b+"/history").list() {
			if data, _ := row["data"].(obj); row["kind"] == "failure" && data["failure_class"] != class {
				t.Errorf("the history says %v, want class %s", data, class)
			}
		}
	}
}

func otherFailures(t *testing.T, s *session) {
	for name, fail := range map[string]func(at string) *reply{
		"a report": func(at string) *reply {
			return s.dev.post(t, at+"/state", obj{"state_code": 45, "status": "failed", "message": "connection timed out"})
		},
		"PUT": func(at string) *reply {
			return s.dev.put(t, at, obj{"current_state": 45, "status": "failed", "message": "connection timed out"})
		},
		"cancelled without wish": func(at string) *reply {
			return s.dev.post(t, at+"/state", obj{"state_code": 45, "status": "cancelled", "message": "connection timed out"})
		},
	} {
		at := "/builds/" + s.newBuild(t, nil)
		fail(at).is(http.StatusOK)
		s.dev.get(t, at).has(obj{"status": "failed", "failed_state": 45, "failure_class": "transient"})
		rows := s.reader.get(t, at+"/failures").is(http.StatusOK).list()
		if len(rows) != 1 || lacks(rows[0], failureKeys) != "" || differs(obj{"state_code": 45, "failure_class": "transient", "error_message": "connection timed out", "attempt": 1, "resolved": false}, rows[0]) != "" {
			t.Errorf("failed by %s: %v", name, rows)
		}
		if interrupted := rows[0]["failure_type"] == "interrupted"; interrupted != (name == "cancelled without wish") {
			t.Errorf("failed by %s: type %v", name, rows[0]["failure_type"])
		}
	}
}

func resolvedFailures(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/state", obj{"state_code": 40}).is(http.StatusOK)
	s.dev.post(t, at+"/failure", obj{"state_code": 45, "error_message": "x"}).is(http.StatusOK)
	resolved := func(want bool) {
		t.Helper()
		row := s.reader.get(t, at+"/failures").list()[0]
		if row["resolved"] != want || (row["resolved_at"] != nil) != want || (row["resolution_notes"] != nil) != want {
			t.Errorf("resolved %v at %v: %v, want %v", row["resolved"], row["resolved_at"], row["resolution_notes"], want)
		}
	}
	resolved(false)
	s.dev.post(t, at+"/state", obj{"state_code": 40}).is(http.StatusOK)
	resolved(false)
	s.dev.post(t, at+"/state", obj{"state_code": 45}).is(http.StatusOK)
	resolved(false)
	s.dev.post(t, at+"/state", obj{"state_code": 60}).is(http.StatusOK)
	resolved(true)
}

func badFailures(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	for field, body := range map[string]obj{"error_message": {}, "state_code": {"state_code": 101, "error_message": "x"}, "failure_class": {"error_message": "x", "failure_class": "bad luck"},
		"is_retryable": {"error_message": "x", "is_retryable": "yes"}, "retry_attempt": {"error_message": "x", "retry_attempt": -1}, "state_name": {"error_message": "x", "state": "sleeping"}} {
		s.dev.post(t, at+"/failure", body).invalid(field)
		s.dev.post(t, at+"/failures", body).invalid(field)
	}
	s.dev.post(t, at+"/failure", obj{"error_message": "x", "error_details": obj{"big": strings.Repeat("x", 70000)}}).refused(http.StatusRequestEntityTooLarge, problem.TooLarge)
	s.dev.get(t, at).has(obj{"status": "pending"})
}
