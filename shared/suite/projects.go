package suite

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"bldst/shared/id"
	"bldst/shared/problem"
)

var projectTests = []test{
	{"the project above is named by id or name and cannot be below", parents},
	{"a project needs no state codes for builds", withoutCodes},
	{"a deleted project takes no new builds and keeps the old ones", deletedProject},
}

// newProject makes a project and returns its id.
func (s *session) newProject(t *testing.T) string {
	t.Helper()
	return s.dev.post(t, "/projects", obj{"name": unique("project")}).is(http.StatusCreated).id()
}

func parents(t *testing.T, s *session) {
	top := s.dev.post(t, "/projects", obj{"name": unique("top")}).is(http.StatusCreated)
	mid := s.dev.post(t, "/projects", obj{"name": unique("mid"), "parent_project_id": top.str("name")}).is(http.StatusCreated).has(obj{"parent_project_id": top.id()})
	s.dev.put(t, "/projects/"+top.id(), obj{"parent_project_id": mid.id()}).invalid("parent_project_id")
	s.dev.put(t, "/projects/"+top.id(), obj{"parent_project_id": top.id()}).invalid("parent_project_id")
	s.dev.post(t, "/projects", obj{"name": unique("lost"), "parent_project_id": "no-such"}).refused(http.StatusNotFound, problem.NotFound, "no-such")
	s.dev.put(t, "/projects/"+mid.id(), obj{"parent_project_id": nil}).is(http.StatusOK).has(obj{"parent_project_id": nil})
	s.admin.delete(t, "/projects/"+mid.id()).is(http.StatusNoContent)
	s.admin.get(t, "/projects/"+mid.id()+"?include_deactivated=1").is(http.StatusOK).has(obj{"is_active": false})
}

func withoutCodes(t *testing.T, s *session) {
	p := s.newProject(t)
	if codes := s.dev.get(t, "/projects/"+p+"/state-codes").is(http.StatusOK).list(); len(codes) != 0 {
		t.Errorf("a new project has the state codes %v", codes)
	}
	b := s.newBuild(t, obj{"project_id": p})
	s.dev.get(t, "/builds/"+b).has(obj{"project_id": p, "current_state": 0, "status": "pending"})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_name": "Provisioning"}).is(http.StatusOK).has(obj{"state_code": 20})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_name": "sleeping"}).refused(http.StatusUnprocessableEntity, problem.Invalid, "sleeping", "provisioning", "pending")
}

func deletedProject(t *testing.T, s *session) {
	p := s.newProject(t)
	b := s.newBuild(t, obj{"project_id": p})
	s.admin.delete(t, "/projects/"+p).is(http.StatusNoContent)
	s.dev.post(t, "/builds", obj{"project_id": p}).refused(http.StatusNotFound, problem.NotFound, p)
	s.dev.get(t, "/builds/"+b).is(http.StatusOK)
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_code": 5}).is(http.StatusOK)
	s.dev.get(t, "/projects/"+p+"/state-codes").refused(http.StatusNotFound, problem.NotFound)
}

var codeTests = []test{
	{"the create bodies of all generations make the same record", codeGenerations},
	{"both paths serve the same records", codePaths},
	{"names and numbers are unique and the refusals name what is there", codeConflicts},
	{"names alone get their numbers", codeNumbers},
	{"a change changes what it names, and If-Match guards it", codeUpdate},
	{"a code in use cannot be deleted; others can be restored", codeDelete},
	{"codes of a project are listed by name, in pages", codePages},
	{"bad bodies are refused and name the field", codeBad},
	{"a new code counts at once", codeCounts},
	{"the limits of states are listed, also of one called windows", codeWindows},
}

const codeKeys = "id project_id state_code code name display_name description color is_blocking is_initial is_final is_terminal is_error cancels sort_order created_at updated_at deactivated_at start_date end_date"

func codeGenerations(t *testing.T, s *session) {
	p := s.newProject(t)
	at := "/projects/" + p + "/state-codes"
	s.dev.post(t, at, obj{"state_code": 35, "description": "Runtime", "is_blocking": true}).is(http.StatusCreated).keys(codeKeys).
		has(obj{"state_code": 35, "code": 35, "name": "35", "description": "Runtime", "is_blocking": true, "is_final": false, "project_id": p})
	s.dev.post(t, at, obj{"name": "start", "description": "d", "is_initial": true, "is_final": false, "is_error": false}).is(http.StatusCreated).
		has(obj{"name": "start", "state_code": 0, "is_initial": true})
	r := s.dev.post(t, "/state-codes", obj{"project_id": p, "code": 100, "name": "delivered", "display_name": "Delivered", "description": "d", "color": "#00ff00", "is_terminal": true, "sort_order": 9}).
		is(http.StatusCreated).keys(codeKeys).has(obj{"project_id": p, "state_code": 100, "is_terminal": true, "is_final": true, "color": "#00ff00", "sort_order": 9, "display_name": "Delivered"})
	if !id.IsUUID(r.id()) {
		t.Errorf("id %s, want a UUID", r.id())
	}
}

func codePaths(t *testing.T, s *session) {
	p := s.newProject(t)
	c := s.dev.post(t, "/projects/"+p+"/state_codes/", obj{"state_code": 30, "name": "middle"}).is(http.StatusCreated)
	for _, at := range []string{"/state-codes/" + c.id(), "/projects/" + p + "/state-codes/" + c.id(), "/projects/" + p + "/state-codes/middle", "/projects/" + p + "/state-codes/30"} {
		s.reader.get(t, at).is(http.StatusOK).has(c.obj())
	}
	s.dev.put(t, "/state-codes/"+c.id(), obj{"description": "top"}).is(http.StatusOK)
	s.dev.get(t, "/projects/"+p+"/state-codes/middle").has(obj{"description": "top"})
	for _, path := range []string{"/state-codes?project_id=" + p, "/projects/" + p + "/state-codes"} {
		if rows := s.reader.get(t, path).is(http.StatusOK).list(); len(rows) != 1 || rows[0]["id"] != c.id() {
			t.Errorf("%s lists %v", path, rows)
		}
	}
	eventually(t, func() string {
		if got := among(s.reader.walk(t, "/state-codes?limit=7"), "id", []string{c.id()}); len(got) != 1 {
			return "/state-codes does not list it once"
		}
		return ""
	})
	other := s.newProject(t)
	s.reader.get(t, "/projects/"+other+"/state-codes/"+c.id()).refused(http.StatusNotFound, problem.NotFound, "Active state code not found")
	s.admin.delete(t, "/state-codes/"+c.id()).is(http.StatusNoContent)
	s.admin.delete(t, "/state-codes/"+c.id()).refused(http.StatusNotFound, problem.NotFound)
	s.admin.post(t, "/state-codes/"+c.id()+"/restore", nil).is(http.StatusOK).has(obj{"id": c.id(), "deactivated_at": nil})
}

func codeWindows(t *testing.T, s *session) {
	at := "/projects/" + s.newProject(t)
	s.dev.post(t, at+"/state-codes", obj{"state_code": 42, "name": "windows", "heartbeat_seconds": 60, "timeout_seconds": 900}).is(http.StatusCreated)
	s.dev.get(t, at+"/state-codes/windows").is(http.StatusOK).has(obj{"state_code": 42, "name": "windows"})
	rows := s.reader.get(t, at+"/windows").is(http.StatusOK).list()
	of := func(code float64) obj {
		i := slices.IndexFunc(rows, func(r obj) bool { return r["state_code"] == code })
		if i < 0 {
			t.Fatalf("no limits of state %v in %v", code, rows)
		}
		return rows[i]
	}
	if wrong := differs(obj{"name": "windows", "heartbeat_seconds": 60, "timeout_seconds": 900}, of(42)) + differs(obj{"name": nil, "heartbeat_seconds": 600, "timeout_seconds": 7200}, of(45)); wrong != "" {
		t.Error(wrong)
	}
}

func codeConflicts(t *testing.T, s *session) {
	p := s.newProject(t)
	at := "/projects/" + p + "/state-codes"
	first := s.dev.post(t, at, obj{"state_code": 10, "name": "Ready", "is_initial": true}).is(http.StatusCreated).id()
	s.dev.post(t, at, obj{"state_code": 15, "name": "ready"}).refused(http.StatusConflict, problem.Conflict, "An active state code with name 'Ready' already exists for this project.", first)
	s.dev.post(t, at, obj{"state_code": 10, "name": "other"}).refused(http.StatusConflict, problem.Conflict, "10", first)
	s.dev.post(t, at, obj{"name": "begin", "is_initial": true}).refused(http.StatusBadRequest, problem.Refused, "An active initial state already exists for this project. Deactivate it before creating a new one.")
	s.dev.post(t, "/projects/no-such/state-codes", obj{"state_code": 1}).refused(http.StatusNotFound, problem.NotFound, "Active project with id no-such not found")
	s.dev.get(t, "/projects/no-such/state-codes").refused(http.StatusNotFound, problem.NotFound)
	s.dev.get(t, at+"/no-such").refused(http.StatusNotFound, problem.NotFound, "Active state code not found")
}

func codeNumbers(t *testing.T, s *session) {
	p := s.newProject(t)
	at := "/projects/" + p + "/state-codes"
	for _, c := range []struct {
		body obj
		want any
	}{
		{obj{"name": "begin", "is_initial": true}, 0}, {obj{"name": "one"}, 5}, {obj{"name": "two"}, 10}, {obj{"state_code": 42, "name": "odd"}, 42}, {obj{"name": "three"}, 45},
		{obj{"name": "done", "is_final": true}, 100}, {obj{"name": "broken", "is_final": true, "is_error": true}, nil}, {obj{"name": "stopped", "cancels": true}, nil},
	} {
		s.dev.post(t, at, c.body).is(http.StatusCreated).has(obj{"state_code": c.want, "code": c.want})
	}
	s.dev.post(t, at, obj{"name": "done too", "is_final": true}).invalid("state_code")
	s.dev.post(t, at, obj{}).invalid("state_code")
	for n := 15; n < 100; n += 5 {
		s.dev.post(t, at, obj{"state_code": n})
	}
	s.dev.post(t, at, obj{"name": "no room"}).invalid("state_code")
}

func codeUpdate(t *testing.T, s *session) {
	p := s.newProject(t)
	c := s.dev.post(t, "/projects/"+p+"/state-codes", obj{"state_code": 20, "name": "work", "description": "d", "color": "#123456"}).is(http.StatusCreated)
	at := "/projects/" + p + "/state-codes/" + c.id()
	s.dev.put(t, at, obj{"display_name": "Work"}).is(http.StatusOK).has(obj{"display_name": "Work", "name": "work", "state_code": 20, "color": "#123456"})
	s.dev.put(t, at, obj{"color": nil, "name": nil, "is_blocking": nil}).is(http.StatusOK).has(obj{"color": nil, "name": "work", "is_blocking": false})
	s.dev.put(t, at, obj{"code": 25}).is(http.StatusOK).has(obj{"state_code": 25, "code": 25})
	s.dev.put(t, at, obj{"is_terminal": true}).is(http.StatusOK).has(obj{"is_final": true})
	s.dev.put(t, at, obj{"color": "red"}).invalid("color")
	s.dev.put(t, at, c.obj()).is(http.StatusOK).has(obj{"state_code": 20, "is_final": false})
	s.dev.put(t, at, obj{"description": "x"}, "If-Match", c.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.dev.put(t, at, obj{"description": "x"}, "If-Match", s.dev.get(t, at).etag()).is(http.StatusOK)
	s.admin.delete(t, at, "If-Match", c.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
}

func codeDelete(t *testing.T, s *session) {
	p := s.newProject(t)
	at := "/projects/" + p + "/state-codes"
	c := s.dev.post(t, at, obj{"state_code": 20, "name": "work"}).is(http.StatusCreated).id()
	b := s.newBuild(t, obj{"project_id": p})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_name": "work"}).is(http.StatusOK).has(obj{"state_code": 20})
	eventually(t, func() string { // the builds at a code are found through an index
		r := s.admin.delete(t, at+"/"+c)
		if r.status == http.StatusNoContent {
			s.admin.post(t, at+"/"+c+"/restore", nil).is(http.StatusOK)
			return "it was deleted although a build is at it"
		}
		r.refused(http.StatusBadRequest, problem.Refused, "Cannot deactivate state code. It is currently used by 1 active builds.")
		return ""
	})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_code": 25}).is(http.StatusOK)
	eventually(t, func() string {
		if r := s.admin.delete(t, at+"/"+c); r.status != http.StatusNoContent {
			return fmt.Sprintf("it cannot be deleted: %s", r.body)
		}
		return ""
	})
	s.dev.get(t, at+"/"+c).refused(http.StatusNotFound, problem.NotFound, "Active state code not found")
	s.dev.get(t, at+"/"+c+"?include_deactivated=true").is(http.StatusOK).has(obj{"name": "work"})
	if got := len(s.dev.get(t, at+"?include_deactivated=true").list()); got != 1 {
		t.Errorf("%d codes with deleted ones, want 1", got)
	}
	young := s.dev.post(t, at, obj{"state_code": 20, "name": "work"}).is(http.StatusCreated).id()
	s.admin.post(t, at+"/"+c+"/restore", nil).refused(http.StatusConflict, problem.Conflict, young)
	s.admin.delete(t, at+"/"+young).is(http.StatusNoContent)
	s.admin.post(t, at+"/"+c+"/restore", nil).is(http.StatusOK)
	s.dev.delete(t, at+"/"+c).refused(http.StatusForbidden, problem.Forbidden, "Admin permission required")
}

func codePages(t *testing.T, s *session) {
	p := s.newProject(t)
	at := "/projects/" + p + "/state-codes"
	want := []string{"a", "b", "c", "d", "e"}
	for i, name := range []string{"d", "a", "e", "c", "b"} {
		s.dev.post(t, at, obj{"state_code": 10 * i, "name": name}).is(http.StatusCreated)
	}
	for how, rows := range map[string][]obj{"by cursor": s.dev.walk(t, at+"?limit=2"), "by skip": s.dev.skim(t, at, 2), "at once": s.dev.get(t, at).list()} {
		if got := fields(rows, "name"); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", how, got, want)
		}
	}
	badPages(t, s, at)
	badPages(t, s, "/state-codes")
}

func codeBad(t *testing.T, s *session) {
	p := s.newProject(t)
	for field, bodies := range map[string][]obj{
		"state_code": {{"state_code": 101}, {"state_code": -1}, {"state_code": 1.5}, {"state_code": "x"}},
		"code":       {{"code": 101, "name": "x"}, {"state_code": 5, "code": 10}},
		"name":       {{"state_code": 5, "name": ""}, {"state_code": 5, "name": "   "}},
		"color":      {{"state_code": 5, "color": "#12345"}, {"state_code": 5, "color": "red"}},
		"is_initial": {{"state_code": 5, "is_initial": "yes"}},
	} {
		for _, body := range bodies {
			s.dev.post(t, "/projects/"+p+"/state-codes", body).invalid(field)
		}
	}
	s.dev.post(t, "/state-codes", obj{"state_code": 5}).invalid("project_id")
}

func codeCounts(t *testing.T, s *session) {
	p := s.newProject(t)
	b := s.newBuild(t, obj{"project_id": p})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_name": "baking"}).refused(http.StatusUnprocessableEntity, problem.Invalid, "baking")
	s.dev.post(t, "/projects/"+p+"/state-codes", obj{"state_code": 33, "name": "Baking"}).is(http.StatusCreated)
	s.dev.post(t, "/projects/"+p+"/state-codes", obj{"name": "broken", "is_error": true}).is(http.StatusCreated)
	s.dev.post(t, "/projects/"+p+"/state-codes", obj{"name": "shipped", "state_code": 90, "is_final": true}).is(http.StatusCreated)
	eventually(t, func() string { // another function remembers the rules of a project for ten seconds
		if r := s.dev.post(t, "/builds/"+b+"/state", obj{"state_name": "baking"}); r.status != http.StatusOK {
			return string(r.body)
		}
		return ""
	})
	s.dev.get(t, "/builds/"+b).has(obj{"current_state": 33})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_name": "BROKEN", "message": "no flour"}).is(http.StatusOK).has(obj{"state_code": 33, "status": "failed", "build_status": "failed"})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_name": "baking"}).is(http.StatusOK).has(obj{"attempt": 2, "build_status": "in_progress"})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_name": "shipped"}).is(http.StatusOK).has(obj{"state_code": 90, "status": "completed", "build_status": "completed"})
}

var resumableTests = []test{
	{"a state is configured once, read and changed", resumable},
	{"they are listed by number, in pages and by is_resumable", resumablePages},
}

const resumableKeys = "id project_id state_code is_resumable resume_strategy required_artifacts required_variables resume_command resume_timeout_seconds description notes created_at updated_at"

func resumable(t *testing.T, s *session) {
	p := s.newProject(t)
	at := "/projects/" + p + "/resumable-states"
	r := s.dev.post(t, at, obj{"state_code": 40}).is(http.StatusCreated).keys(resumableKeys).
		has(obj{"project_id": p, "state_code": 40, "is_resumable": true, "resume_timeout_seconds": 3600, "resume_strategy": nil, "required_artifacts": nil, "required_variables": nil, "resume_command": nil})
	s.dev.post(t, at, obj{"state_code": 40}).refused(http.StatusConflict, problem.Conflict, "Resumable state 40 already configured for this project", r.id())
	s.dev.get(t, at+"/40").is(http.StatusOK).has(r.obj())
	s.dev.put(t, at+"/40", obj{"resume_strategy": "rerun_state", "required_artifacts": []string{"vm_snapshot"}, "required_variables": []string{"vm_id"}, "notes": "n", "resume_command": "./x"}).is(http.StatusOK).
		has(obj{"resume_strategy": "rerun_state", "required_artifacts": []string{"vm_snapshot"}, "is_resumable": true, "notes": "n"})
	now := s.dev.put(t, at+"/40", obj{"is_resumable": false, "resume_timeout_seconds": nil, "notes": nil}).is(http.StatusOK).has(obj{"is_resumable": false, "resume_timeout_seconds": 3600, "notes": nil, "resume_command": "./x"})
	s.dev.put(t, at+"/40", obj{"state_code": 40}, "If-Match", r.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.dev.put(t, at+"/40", obj{"state_code": 40}, "If-Match", now.etag()).is(http.StatusOK)
	s.dev.put(t, at+"/40", obj{"state_code": 45}).refused(http.StatusBadRequest, problem.Refused, "45")
	s.dev.get(t, at+"/45").refused(http.StatusNotFound, problem.NotFound, "Resumable state 45 not found: it is not configured for project "+p)
	s.dev.put(t, at+"/45", obj{}).refused(http.StatusNotFound, problem.NotFound, "Resumable state 45 not found: it is not configured for project "+p)
	s.dev.post(t, "/projects/no-such/resumable-states", obj{"state_code": 5}).refused(http.StatusNotFound, problem.NotFound, "Project no-such not found")
	s.dev.post(t, at, obj{}).invalid("state_code")
	s.dev.post(t, at, obj{"state_code": 101}).invalid("state_code")
	s.dev.post(t, at, obj{"state_code": 5, "resume_timeout_seconds": 0}).invalid("resume_timeout_seconds")
	s.dev.get(t, at+"/x").invalid("code")
	s.admin.delete(t, at+"/40").refused(http.StatusMethodNotAllowed, problem.MethodNotAllowed)
}

func resumablePages(t *testing.T, s *session) {
	p := s.newProject(t)
	at := "/projects/" + p + "/resumable-states"
	for _, code := range []int{30, 10, 20, 40} {
		s.dev.post(t, at, obj{"state_code": code, "is_resumable": code != 20}).is(http.StatusCreated)
	}
	for path, want := range map[string]string{at: "[10 20 30 40]", at + "?is_resumable=true": "[10 30 40]", at + "?is_resumable=false": "[20]", at + "?skip=1&limit=2": "[20 30]"} {
		if got := numbers(s.dev.get(t, path).is(http.StatusOK).list(), "state_code"); got != want {
			t.Errorf("%s lists %s, want %s", path, got, want)
		}
	}
	if got := numbers(s.dev.walk(t, at+"?limit=1"), "state_code"); got != "[10 20 30 40]" {
		t.Errorf("by cursor: %s", got)
	}
	badPages(t, s, at)
}

// numbers writes the numbers that are the field of rows.
func numbers(rows []obj, field string) string {
	out := []int{}
	for _, r := range rows {
		n, ok := r[field].(float64)
		if !ok {
			return strconv.Quote(fmt.Sprint(r[field])) + " is no number"
		}
		out = append(out, int(n))
	}
	return fmt.Sprint(out)
}
