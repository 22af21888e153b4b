package suite

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"bldst/shared/problem"
)

var inputTests = []test{
	{"a field that nobody knows is told, and refused to who asks for that, by every endpoint", strangeFields},
	{"a query parameter that nobody knows is told, and refused to who asks for that, by every endpoint", strangeParameters},
	{"a field that is there twice, and half a character, are refused with their place, by every endpoint", mendedBodies},
	{"times are read as every language and CI writes them", spellingsOfTimes},
	{"a failure is not refused for what is only kept of it", ornaments},
	{"what is too long is kept with head and tail, and its class is that of the whole", longTexts},
	{"metadata is an object", metadataIsAnObject},
	{"a build number that a variable left empty, or half empty, is refused with the reason", emptyNumbers},
	{"a build is not completed while targets are open, unless that is said", openTargets},
	{"artifact_storage_* of a report is the artifact of its state", artifactsOfReports},
	{"the images of many regions are kept, and told apart", amiIDs},
}

var strictly = []string{"Prefer", "handling=strict"}

func strangeFields(t *testing.T, s *session) {
	for _, c := range s.bodies(t) {
		body := obj{"stauts": "x", "x\r\nX-Injected: 1": 1}
		s.admin.do(t, c.method, c.path, body, strictly...).refused(http.StatusUnprocessableEntity, problem.Invalid)
		if r := s.admin.do(t, c.method, c.path, body); r.status < 400 {
			r.warned("'stauts'")
		}
	}
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/state", obj{"state_code": 5, "stauts": "failed"}).is(http.StatusOK).warned("'stauts'", "did you mean 'status'?")
	s.dev.post(t, at+"/state", obj{"state_code": 5, "stauts": "failed"}, strictly...).invalid("stauts")
	s.dev.post(t, at+"/state", obj{"state_code": 5, "stauts": "failed"}, "Prefer", "return=minimal, handling=\"strict\"; x").invalid("stauts")
	s.dev.post(t, at+"/state", obj{"state_code": 5, "stauts": "failed"}, "Prefer", "handling=lenient").is(http.StatusOK).warned("stauts")
	s.dev.post(t, "/builds", obj{"platfrom_id": "aws-commercial"}).is(http.StatusCreated).warned("platfrom_id", "platform_id")
	s.dev.post(t, "/builds", obj{"base": obj{"key": "k", "digest": "d", "digset": "x"}}).is(http.StatusCreated).warned("base.digset", "digest")
	s.dev.post(t, at+"/artifacts", with(artifact("x", 5), obj{"cheksum": sum})).is(http.StatusCreated).warned("cheksum", "checksum")
	s.dev.post(t, at+"/state", obj{"State_Code": 5, "STATUS": "completed"}, strictly...).is(http.StatusOK).unwarned().has(obj{"state_code": 5, "status": "completed"})
	for field, v := range map[string]any{"platform_id": "azure", "project_id": "rhel-9", "build_number": "other", "id": "x", "created_at": "2024-01-01T00:00:00Z", "attempt_": nil} {
		if r := s.dev.put(t, at, obj{field: v}); v == nil {
			r.is(http.StatusOK)
		} else {
			r.invalid(field)
		}
	}
}

var parameter = regexp.MustCompile(`\{[^}]+\}`)

func strangeParameters(t *testing.T, s *session) {
	for key := range described(t) {
		method, path, _ := strings.Cut(key, " ")
		if method != http.MethodGet || strings.HasPrefix(path, "/docs") || strings.HasPrefix(path, "/redoc") || strings.HasPrefix(path, "/openapi") {
			continue
		}
		path = parameter.ReplaceAllString(path, "default") + "?stauts=failed"
		s.admin.get(t, path, strictly...).invalid("stauts")
		if r := s.admin.get(t, path); r.status < 400 {
			r.warned("'stauts'")
		}
	}
	s.dev.get(t, "/builds?limit=1&stauts=failed").is(http.StatusOK).warned("stauts", "did you mean 'status'?")
	s.dev.get(t, "/builds?limit=1&status=failed&status=completed").invalid("status")
	s.dev.get(t, "/builds?limit=1&Status=failed").warned("Status")
	b := "/builds/" + s.newBuild(t, nil)
	for query, field := range map[string]string{"/resume-plan?from=-1": "from", "/resume-plan?from=101": "from", "/artifacts?state_code=-1": "state_code", "/artifacts?state=-1": "state"} {
		s.dev.get(t, b+query).invalid(field)
	}
}

func mendedBodies(t *testing.T, s *session) {
	for _, c := range s.bodies(t) {
		for _, body := range []string{`{"name":"a","name":"b"}`, `{"name":"a","na\u006de":"b"}`, `{"x":{"name":"a","y":1,"name":"b"}}`, `{"list":[{"a":1},{"name":1,"name":2}]}`} {
			s.admin.do(t, c.method, c.path, body).invalid("name")
		}
		for _, body := range []string{`{"name":"a\ud800"}`, `{"name":"\udc00\ud800"}`, `{"name":"\ud83dx\ude00"}`, `{"x":[1,{"name":"\uD83D"}]}`} {
			s.admin.do(t, c.method, c.path, body).invalid("name")
		}
	}
	s.dev.post(t, "/builds", `{"description":"\ud83d\ude00 \\ud800 \u0041"}`).is(http.StatusCreated).has(obj{"description": "\U0001F600 \\ud800 A"})
}

func spellingsOfTimes(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	for _, v := range []any{"2024-02-01T10:30:00", "2024-02-01 10:30:00", "2024-02-01T10:30:00+0000", "2024-02-01 10:30:00 UTC", "2024-02-01 12:30:00 +0200", "2024-02-01 10:30:00+00:00", 1706783400, 1706783400000, "1706783400000", "Thu, 01 Feb 2024 10:30:00 GMT"} {
		want := "2024-02-01T10:30:00Z"
		s.dev.post(t, at+"/states", obj{"state": 10, "status": "completed", "start_time": v, "rerun": true}).is(http.StatusOK).has(obj{"start_time": want})
		a := s.dev.post(t, at+"/artifacts", with(artifact(unique("a"), 5), obj{"expires_at": v})).is(http.StatusCreated).has(obj{"expires_at": want}).id()
		s.dev.patch(t, at+"/artifacts/"+a, obj{"expires_at": v}).is(http.StatusOK).has(obj{"expires_at": want})
		j := s.dev.post(t, at+"/jobs", obj{"platform": "x", "job_name": "y"}).is(http.StatusCreated).id()
		s.dev.patch(t, at+"/jobs/"+j, obj{"started_at": v, "completed_at": v}).is(http.StatusOK).has(obj{"started_at": want, "completed_at": want})
	}
	for _, v := range []any{"yesterday", 5, true, obj{}, []int{1}, "2024-02-30", "2024-02-01 10:30:00 CET"} {
		s.dev.post(t, at+"/state", obj{"state_code": 10, "start_time": v}).invalid("start_time")
		s.dev.post(t, at+"/artifacts", with(artifact("never", 5), obj{"expires_at": v})).invalid("expires_at")
	}
	s.admin.get(t, "/audit?limit=1&since=2024-02-01%2010:30:00").is(http.StatusOK)
	s.admin.get(t, "/audit?limit=1&since=1706783400").is(http.StatusOK)
	s.admin.get(t, "/audit?limit=1&since=yesterday").invalid("since")
	s.dev.post(t, at+"/state", obj{"state_code": 20, "status": "completed", "start_time": "2024-02-01T10:30:00", "end_time": "2024-02-01T10:00:00"}).is(http.StatusOK).has(obj{"duration_seconds": 0})
}

func ornaments(t *testing.T, s *session) {
	for _, body := range []obj{{"start_time": "yesterday"}, {"end_time": true}, {"retry_count": "many"}, {"artifact_checksum": 7}, {"artifact_size_bytes": -1}, {"metadata": "text"}, {"build_id": obj{}}} {
		at := "/builds/" + s.newBuild(t, nil)
		r := s.dev.post(t, at+"/state", with(obj{"state_code": "40", "status": "failed", "message": "no"}, body)).is(http.StatusOK).has(obj{"build_status": "failed", "state_code": 40})
		if unread, _ := r.obj()["unread"].([]any); body["metadata"] == nil && len(unread) != 1 && body["artifact_checksum"] == nil {
			t.Errorf("%v: unread is %v", body, unread)
		}
	}
	for _, body := range []obj{{"error_code": 137}, {"error_code": strings.Repeat("x", 300000)}, {"exit_code": "x"}, {"exit_code": "137"}, {"component": []int{1}}, {"failure_type": 7}, {"error_details": "text"}} {
		at := "/builds/" + s.newBuild(t, nil)
		s.dev.post(t, at+"/failure", with(obj{"state_code": "40", "error_message": "no"}, body)).is(http.StatusOK).has(obj{"status": "failed", "state_code": 40})
	}
	at := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, at+"/failure", obj{"error_message": "no", "error_code": 137, "component": obj{"name": "packer"}}).is(http.StatusOK).warned("component").
		has(obj{"error_code": "137", "component": nil, "unread": []string{`component: {"name":"packer"}`}})
}

func longTexts(t *testing.T, s *session) {
	log := strings.Repeat("packages are being installed\n", 1500)
	for _, c := range []struct {
		path  string
		body  obj
		field string
		most  int
	}{
		{"/state", obj{"state_code": 5, "status": "failed", "message": "Begin " + log + "Connection reset by peer"}, "message", 4000},
		{"/state", obj{"state_code": 5, "status": "failed", "error_message": "Begin " + log + "Connection reset by peer"}, "error_message", 4000},
		{"/failure", obj{"state_code": 5, "error_message": "Begin " + log + "Connection reset by peer"}, "error_message", 8000},
	} {
		at := "/builds/" + s.newBuild(t, nil)
		got := s.dev.post(t, at+c.path, c.body).is(http.StatusOK).warned(c.field, "left out").str(c.field)
		if n := len([]rune(got)); n > c.most || n < c.most-100 || !strings.HasPrefix(got, "Begin ") || !strings.HasSuffix(got, "Connection reset by peer") || !strings.Contains(got, "characters left out") {
			t.Errorf("%s keeps %d characters: %.40s ... %s", c.path, n, got, got[max(0, len(got)-40):])
		}
		s.dev.get(t, at).has(obj{"status": "failed", "failure_class": "transient"})
	}
	at := "/builds/" + s.newBuild(t, nil)
	exact := strings.Repeat("\U0001F4A9", 4000)
	s.dev.post(t, at+"/state", obj{"state_code": 5, "message": exact}).is(http.StatusOK).unwarned().has(obj{"message": exact})
}

func emptyNumbers(t *testing.T, s *session) {
	for _, number := range []string{"", " ", "\t", "\u00a0", ".", "..", "rhel-9-", "rhel-9_", "-117", "_117", "rhel/", "rhel-9.", " x", "x ", "x\u200b", "rhel-${BUILD_NUMBER}", "rhel-$(date)", "rhel-{{n}}", "rhel-null", "rhel_undefined", "a\u0000b"} {
		for _, field := range []string{"build_number", "build_id"} {
			for _, path := range []string{"/builds", "/builds?attach=true"} {
				r := s.dev.post(t, path, obj{field: number}).refused(http.StatusUnprocessableEntity, problem.Invalid, "variable")
				if number != "" {
					r.invalid("build_number")
				}
			}
		}
	}
	s.dev.post(t, "/builds?attach=true", obj{}).invalid("build_number")
	for _, number := range []string{"rhel--117", "#117", "2024.02.001", "a b", "null-1", "x$y"} {
		number += "-" + random()
		s.dev.post(t, "/builds?attach=true", obj{"build_number": number}).is(http.StatusCreated).has(obj{"build_number": number})
	}
}

func openTargets(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	at := "/builds/" + b
	for target, status := range map[string]string{"us-east-1": "completed", "eu-west-1": "in_progress"} {
		s.dev.post(t, at+"/state", obj{"state_code": 95, "status": status, "target": target}).is(http.StatusOK)
	}
	s.dev.post(t, at+"/state", obj{"state_code": 95, "status": "failed", "target": "ap-south-1", "message": "quota"}).is(http.StatusOK)
	open := []any{obj{"state_code": 95, "target": "ap-south-1", "status": "failed"}, obj{"state_code": 95, "target": "eu-west-1", "status": "in_progress"}}
	for _, body := range []obj{{"state_code": 100, "status": "completed"}, {"state_code": 100}, {"state_name": "completed"}} {
		s.dev.post(t, at+"/state", body).refused(http.StatusConflict, problem.TargetsOpen, "ap-south-1", "eu-west-1", "allow_partial")
	}
	s.dev.get(t, at).has(obj{"status": "failed", "attempt": 1, "open_targets": open})
	s.dev.post(t, at+"/state", obj{"state_code": 96}).is(http.StatusOK)
	s.dev.put(t, at, obj{"current_state": 100, "status": "completed"}).refused(http.StatusConflict, problem.TargetsOpen, "ap-south-1")
	s.dev.post(t, at+"/state", obj{"state_code": 100, "status": "completed", "allow_partial": true}).is(http.StatusOK).has(obj{"build_status": "completed", "open_targets": open})
	s.dev.get(t, at).has(obj{"status": "completed", "open_targets": open})
	eventually(t, func() string { // a list may be behind
		for _, row := range s.dev.get(t, "/builds?limit=1000").list() {
			if row["id"] == b && differs(obj{"open_targets": open}, row) != "" {
				return fmt.Sprintf("the list says %v", row["open_targets"])
			}
		}
		return ""
	})
	done := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, done+"/state", obj{"state_code": 95, "target": "us-east-1"}).is(http.StatusOK)
	s.dev.post(t, done+"/state", obj{"state_code": 95, "status": "completed"}).is(http.StatusOK)
	s.dev.post(t, done+"/state", obj{"state_code": 100, "status": "completed"}).is(http.StatusOK).has(obj{"build_status": "completed", "open_targets": nil})
}

func artifactsOfReports(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	body := obj{"state_code": 40, "status": "completed", "artifact_storage_type": "s3", "artifact_storage_path": "s3://b/40", "artifact_size_bytes": 7, "artifact_checksum": "sha256:" + strings.ToUpper(sum), "artifact_metadata": obj{"format": "qcow2"}}
	id := s.dev.post(t, at+"/state", body).is(http.StatusOK).str("artifact_id")
	s.dev.get(t, at+"/artifacts/"+id).is(http.StatusOK).has(obj{"artifact_name": "state-40", "state_code": 40, "artifact_path": "s3://b/40", "storage_backend": "s3", "size_bytes": 7, "checksum": sum, "is_resumable": true, "metadata": obj{"format": "qcow2"}})
	s.dev.post(t, at+"/state", body).is(http.StatusOK).has(obj{"artifact_id": id})
	if n := len(s.dev.get(t, at+"/artifacts").list()); n != 1 {
		t.Errorf("after the same report again there are %d artifacts", n)
	}
	s.dev.post(t, at+"/state", obj{"state_code": 45, "status": "failed", "message": "no", "artifact_checksum": "zzz", "artifact_storage_path": "p"}).is(http.StatusOK).warned("artifact_checksum").has(obj{"build_status": "failed", "artifact_id": nil})
	s.dev.get(t, at+"/resume-plan").has(obj{"resumable": true, "strategy": "from_artifact"})
	for _, sum := range []string{"zzz", "sha256:abc123", "md5:" + sum} {
		s.dev.post(t, at+"/state", with(body, obj{"state_code": 50, "artifact_checksum": sum})).invalid("artifact_checksum")
		s.dev.post(t, at+"/state", obj{"state_code": 50, "artifact_checksum": sum}).invalid("artifact_checksum")
	}
	second := s.dev.post(t, at+"/state", with(body, obj{"artifact_storage_path": "s3://b/40-2"})).is(http.StatusOK).str("artifact_id")
	if second == id {
		t.Error("another path is the same artifact")
	}
	s.dev.get(t, at+"/artifacts/state-40").has(obj{"id": second, "artifact_path": "s3://b/40-2"})
	s.dev.post(t, at+"/state", obj{"state_code": 55, "artifact_size_bytes": 7}).is(http.StatusOK).warned("artifact_storage_path").has(obj{"artifact_id": nil})
	one := s.dev.post(t, at+"/state", with(body, obj{"state_code": 95, "target": "us-east-1"})).is(http.StatusOK).str("artifact_id")
	s.dev.get(t, at+"/artifacts/"+one).has(obj{"artifact_name": "state-95-us-east-1", "target": "us-east-1"})
	half := s.dev.post(t, at+"/state", with(body, obj{"state_code": 96, "status": "in_progress"})).is(http.StatusOK).str("artifact_id")
	s.dev.get(t, at+"/artifacts/"+half).has(obj{"is_resumable": false})
	whole := s.dev.post(t, at+"/state", with(body, obj{"state_code": 96})).is(http.StatusOK).str("artifact_id")
	s.dev.get(t, at+"/artifacts/"+whole).has(obj{"is_resumable": true})
}

func amiIDs(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	want, ids := obj{}, []string{}
	for _, r := range strings.Fields("ap-northeast-1 ap-south-1 eu-central-1 eu-west-1 us-east-1 us-east-2 us-west-1 us-west-2 us-gov-west-1 cn-north-1") {
		want[r] = "ami-0123456789abcdef0"
		ids = append(ids, r+":ami-0123456789abcdef0")
	}
	s.dev.put(t, at, obj{"ami_id": strings.Join(ids, ",")}).is(http.StatusOK).has(obj{"ami_id": strings.Join(ids, ","), "ami_ids": want})
	s.dev.put(t, at, obj{"ami_id": "ami-1"}).is(http.StatusOK).has(obj{"ami_id": "ami-1", "ami_ids": nil})
	s.dev.put(t, at, obj{"ami_ids": obj{"us-east-1": "ami-1", "eu-west-1": "ami-2"}}).is(http.StatusOK).has(obj{"ami_id": "eu-west-1:ami-2,us-east-1:ami-1", "ami_ids": obj{"us-east-1": "ami-1", "eu-west-1": "ami-2"}})
	for _, v := range []any{obj{"us-east-1": ""}, obj{"": "ami-1"}, obj{"a,b": "c"}, obj{"us-east-1": 7}, []string{"x"}, "x"} {
		r := s.dev.put(t, at, obj{"ami_ids": v})
		r.refused(http.StatusUnprocessableEntity, problem.Invalid, "ami_ids")
	}
	s.dev.put(t, at, obj{"ami_id": strings.Repeat("x", 2001)}).invalid("ami_id")
}

func metadataIsAnObject(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	for _, v := range []any{"x", 7, true, []int{1}} {
		s.dev.post(t, at+"/state", obj{"state_code": 5, "metadata": v}).invalid("metadata")
		s.dev.post(t, at+"/state", obj{"state_code": 5, "artifact_metadata": v}).invalid("artifact_metadata")
		s.dev.post(t, "/builds", obj{"build_metadata": v}).invalid("build_metadata")
		s.dev.post(t, "/builds", obj{"metadata": v}).invalid("metadata")
		s.dev.put(t, at, obj{"build_metadata": v}).invalid("build_metadata")
		s.dev.put(t, at, obj{"metadata": v}).invalid("metadata")
		s.dev.post(t, at+"/artifacts", with(artifact("x", 5), obj{"metadata": v})).invalid("metadata")
	}
}
