package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/api"
	"bldst/shared/build"
	"bldst/shared/project"
)

// onEachTable runs f with a project on every kind of table. at is the path of
// the project.
func onEachTable(t *testing.T, f func(s *site, at string)) {
	for how, o := range lagging {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, o)
			f(s, "/projects/"+s.call(`POST /projects write {"name":"p"}`).want(201).id())
		})
	}
}

func TestTheDefaultProjectHasSeveralNames(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{}).seed(true)
	for _, ref := range []string{project.DefaultID, "default", "default-project-uuid"} {
		s.call("GET /projects/"+ref+" read").want(200).has("id", project.DefaultID, "display_name", "Default Project", "is_active", true)
		s.lists("/projects/"+ref+"/state_codes", "name", "building", "cancelled", "completed", "failed", "pending")
	}
	s.call("GET /projects/rhel-9 read").want(200).has("id", project.RHEL9ID)
	s.call(`POST /projects write {"name":"default"}`).want(409)
	s.call(`POST /projects write {"name":"default-project-uuid"}`).want(409)
	s.call("PUT /projects/default write {\"name\":\"main\"}").want(200)
	s.call("GET /projects/default-project-uuid read").want(200).has("name", "main")
	s.call(`POST /projects write {"name":"alias","aliases":["x"]}`).want(201)
	s.call("GET /projects/x read").want(404)
}

func TestTheDefaultProjectsStateCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{}).seed(false)
	for name, want := range map[string][]any{
		"pending":   {"state_code", 0, "code", 0, "color", "#FFA500", "is_initial", true, "is_final", false},
		"building":  {"state_code", 20, "color", "#0000FF", "is_initial", false},
		"completed": {"state_code", 100, "color", "#00FF00", "is_final", true, "is_terminal", true, "is_error", false},
		"failed":    {"state_code", nil, "code", nil, "color", "#FF0000", "is_final", true, "is_error", true},
		"cancelled": {"state_code", nil, "color", "#808080", "cancels", true},
	} {
		s.call("GET /projects/default/state-codes/"+name+" read").want(200).has(want...).has("name", name, "project_id", project.DefaultID)
	}
	s.call("GET /projects/default/resumable_states/20 read").want(200).has("resume_strategy", "from_artifact", "is_resumable", true, "resume_timeout_seconds", 3600)
}

func TestAProjectHasAParent(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{})
	parent := s.call(`POST /projects write {"name":"parent","is_active":false}`).want(201).has("is_active", true, "parent_project_id", nil)
	child := s.call(`POST /projects/ write {"name":"child","parent_project_id":"parent"}`).want(201).has("parent_project_id", parent.id())
	s.call(`POST /projects write {"name":"x","parent_project_id":"nobody"}`).want(404).says("Project with id 'nobody' not found")
	s.call("PUT /projects/child write {\"parent_project_id\":\"child\"}").bad("body parent_project_id", "value_error")
	s.call("PUT /projects/parent write {\"parent_project_id\":\"child\"}").bad("body parent_project_id", "value_error")
	s.call("DELETE /projects/parent admin").want(204)
	s.call("GET /projects/"+parent.id()+"?include_deactivated=true read").want(200).has("is_active", false)
	s.call("PUT /projects/child write {\"description\":\"d\"}").want(200).has("parent_project_id", parent.id())
	s.call("PUT /projects/child write {\"parent_project_id\":null}").want(200).has("parent_project_id", nil, "description", "d", "id", child.id())
	s.call("PUT /projects/child write {\"parent_project_id\":\"" + parent.id() + "\"}").want(404)
}

func TestAStateCodeOfEveryGeneration(t *testing.T) {
	t.Parallel()
	onEachTable(t, func(s *site, at string) {
		id := s.call("GET " + at + " read").want(200).id()
		for body, want := range map[string][]any{
			`{"state_code":35,"description":"d","is_blocking":true}`: {"name", "35", "state_code", 35, "code", 35, "is_blocking", true, "description", "d"},
			`{"name":"start","is_initial":true}`:                     {"state_code", 0, "is_initial", true},
			`{"name":"done","is_final":true}`:                        {"state_code", 100, "is_final", true, "is_terminal", true},
			`{"name":"broken","is_error":true,"is_final":true}`:      {"state_code", nil, "is_error", true},
			`{"name":"stopped","cancels":true,"state_code":55}`:      {"state_code", nil, "cancels", true},
			`{"project_id":"p","code":40,"name":"net","display_name":"Network","color":"#00ff00","is_terminal":false,"sort_order":7}`: {
				"state_code", 40, "display_name", "Network", "color", "#00ff00", "is_terminal", false, "sort_order", 7},
			`{"state_code":60,"name":"slow","heartbeat_seconds":60,"timeout_seconds":7200}`: {"heartbeat_seconds", 60, "timeout_seconds", 7200},
			`{"state_code":45,"code":null,"name":null,"is_error":null,"color":null}`:        {"state_code", 45, "name", "45", "is_error", false, "color", nil},
		} {
			made := s.call("POST "+at+"/state-codes write "+body).want(201).has(want...).has("project_id", id)
			for _, path := range []string{at + "/state-codes/", at + "/state_codes/", "/state-codes/", "/state_codes/"} {
				if got := s.call("GET " + path + made.id() + " read").want(200); got.text != made.text || got.header.Get("ETag") != `"1"` {
					s.t.Errorf("GET %s: %s, want %s", path, got.text, made.text)
				}
			}
		}
		names := []any{"35", "45", "broken", "done", "net", "slow", "start", "stopped"}
		for _, path := range []string{at + "/state-codes", at + "/state_codes/", at + "/state-codes?limit=3", "/state-codes", "/state_codes/?limit=3", "/state-codes?project_id=p&limit=5"} {
			s.lists(path, "name", names...)
		}
		s.lists(at+"/state-codes?skip=6", "name", names[6:]...)
		s.call("POST /state-codes write {\"project_id\":\"p\",\"code\":70,\"name\":\"top\"}").want(201)
		s.call("GET "+at+"/state-codes/70 read").want(200).has("name", "top")
		s.call("GET "+at+"/state-codes/TOP read").want(200).has("name", "top")
	})
}

func TestNameOnlyStateCodesAreNumberedInOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{})
	at := "/projects/" + s.call(`POST /projects write {"name":"p"}`).want(201).id() + "/state-codes"
	s.call("POST "+at+` write {"name":"begin","is_initial":true}`).want(201).has("state_code", 0)
	s.call("POST " + at + ` write {"state_code":10}`).want(201)
	for n := 15; n < 100; n += 5 {
		s.call(fmt.Sprintf(`POST %s write {"name":"n%d"}`, at, n)).want(201).has("state_code", n)
	}
	s.call("POST "+at+` write {"name":"late"}`).want(201).has("state_code", 5)
	s.call("POST "+at+` write {"name":"full"}`).bad("body state_code", "missing")
	s.call("POST " + at + ` write {"name":"full","state_code":42}`).want(201)
	s.call("POST "+at+` write {"name":"end","is_final":true}`).want(201).has("state_code", 100)
	s.call("POST "+at+` write {"name":"end 2","is_final":true}`).bad("body state_code", "missing")
	s.call("POST " + at + ` write {"name":"end 2","is_final":true,"state_code":97}`).want(201)
}

func TestStateCodesThatDoNotFit(t *testing.T) {
	t.Parallel()
	onEachTable(t, func(s *site, at string) {
		codes := at + "/state-codes"
		first := s.call("POST " + codes + ` write {"name":"start","is_initial":true}`).want(201)
		s.call("POST "+codes+` write {"name":"START","state_code":5}`).want(409).says("name 'start' already exists", first.id())
		s.call("POST "+codes+` write {"name":"other","state_code":0}`).want(409).says("number 0 already exists", first.id())
		s.call("POST " + codes + ` write {"name":"start","is_initial":true}`).want(409)
		s.call("POST "+codes+` write {"name":"second","is_initial":true}`).want(400).says("An active initial state already exists for this project. Deactivate it before creating a new one.", "refused")
		s.call("POST " + codes + ` write {"name":"second","is_initial":true,"state_code":0}`).want(400)
		s.call("POST " + codes + ` write {"name":"done","is_final":true}`).want(201)
		s.call("POST " + codes + ` write {"name":"done","is_final":true}`).want(409).says("name 'done'")
		s.call("POST "+codes+" write {}").bad("body state_code", "missing")
		s.call("POST "+codes+` write {"state_code":101}`).bad("body state_code", "value_error")
		s.call("POST "+codes+` write {"state_code":5,"CODE":500}`).bad("body code", "value_error")
		s.call("POST "+codes+` write {"state_code":5,"code":6}`).bad("body code", "value_error")
		s.call("POST "+codes+` write {"state_code":"5"}`).bad("body state_code", "type_error")
		s.call("POST "+codes+` write {"name":"x","color":"red"}`).bad("body color", "value_error")
		s.call("POST "+codes+` write {"name":" "}`).bad("body name", "value_error")
		s.call("POST "+codes+` write {"name":"x","heartbeat_seconds":0}`).bad("body heartbeat_seconds", "value_error")
		s.call("POST /state-codes write {\"name\":\"x\"}").bad("body project_id", "missing")
		s.call(`POST /projects/nobody/state-codes write {"name":"x"}`).want(404).says("Active project with id nobody not found")
		s.call("GET /projects/nobody/state-codes read").want(404)
		s.call("GET " + codes + "/nothing read").want(404).says("Active state code not found")
		s.call("GET /state-codes/nothing read").want(404)
		s.call("PUT " + codes + "/start write {\"name\":\"done\"}").want(409)
		s.call("PUT " + codes + "/done write {\"is_initial\":true}").want(400)
		s.call("PUT "+codes+"/done write {\"color\":\"red\"}").bad("body color", "value_error")
		s.call("GET "+codes+"?cursor=x read").bad("query cursor", "value_error")
		s.lists(codes, "name", "done", "start")
		for _, request := range []string{"POST " + codes + " read {}", "PUT " + codes + "/start read {}", "DELETE " + codes + "/start write", "DELETE /state-codes/x write",
			"POST " + codes + "/start/restore write", "POST " + at + "/resumable-states read {}"} {
			s.call(request).want(403)
		}
	})
}

func TestAStateCodeChangesInPart(t *testing.T) {
	t.Parallel()
	onEachTable(t, func(s *site, at string) {
		made := s.call("POST " + at + `/state-codes write {"code":40,"name":"net","display_name":"Network","color":"#000000","timeout_seconds":600}`).want(201)
		for _, one := range []string{at + "/state-codes/" + made.id(), "/state-codes/" + made.id()} {
			s.call("PUT "+one+` write {"description":"d"}`).want(200).has("description", "d", "name", "net", "state_code", 40, "color", "#000000")
			s.call("PUT "+one+` write {"name":null,"state_code":null,"is_blocking":null}`).want(200).has("name", "net", "state_code", 40)
			s.call("PUT "+one+` write {"description":null,"color":null,"timeout_seconds":null}`).want(200).has("description", nil, "color", nil, "timeout_seconds", nil, "display_name", "Network")
			s.call("PUT "+one+` write {"color":"#000000"}`).want(200).has("created_at", made.object()["created_at"])
		}
		one := "/state-codes/" + made.id()
		now := s.call("GET " + one + " read").want(200)
		s.call("PUT "+one+" write "+now.text).want(200).has("name", "net", "state_code", 40)
		s.call("PUT "+one+` write {"state_code":40,"code":41,"is_final":false,"is_terminal":true}`).want(200).has("state_code", 41, "code", 41, "is_final", true)
		s.call("PUT "+one+` write {"state_code":42,"code":41}`).want(200).has("state_code", 42)
		s.call("PUT "+one+` write {"state_code":43,"code":44}`).bad("body code", "value_error")
		s.call("PUT "+one+` write {"is_error":true}`).want(200).has("state_code", nil, "is_error", true)
		s.call("PUT "+one+` write {"is_error":false,"is_final":false}`).want(200).has("state_code", 5)
		s.lists(at+"/state-codes", "state_code", 5.0)
		s.lists("/state-codes", "state_code", 5.0)
	})
}

func TestTheETagOfAStateCodeIsItsOwn(t *testing.T) {
	t.Parallel()
	onEachTable(t, func(s *site, at string) {
		made := s.call("POST " + at + `/state-codes write {"state_code":40}`).want(201)
		s.call("POST " + at + `/state-codes write {"state_code":45}`).want(201)
		one, tag := at+"/state-codes/40", made.header.Get("ETag")
		if tag != `"1"` {
			s.t.Errorf("ETag %s", tag)
		}
		after := s.call("PUT "+one+` write {"sort_order":1}`, "If-Match", tag).want(200)
		s.call("PUT "+one+` write {"sort_order":2}`, "If-Match", tag).want(412)
		s.call("DELETE "+one+" admin", "If-Match", tag).want(412)
		s.call("PUT "+at+`/state-codes/nothing write {"sort_order":2}`, "If-Match", tag).want(404)
		s.call("DELETE /state-codes/"+made.id()+" admin", "If-Match", after.header.Get("ETag")).want(204)
	})
}

func TestADeletedStateCodeIsGoneUntilItIsRestored(t *testing.T) {
	t.Parallel()
	onEachTable(t, func(s *site, at string) {
		codes := at + "/state-codes"
		made := s.call("POST " + codes + ` write {"name":"net","state_code":40}`).want(201)
		s.call("DELETE " + codes + "/" + made.id() + " admin").want(204)
		s.call("DELETE " + codes + "/" + made.id() + " admin").want(404)
		s.call("DELETE /state-codes/" + made.id() + " admin").want(404)
		s.call("PUT /state-codes/" + made.id() + " write {\"sort_order\":1}").want(404)
		for _, path := range []string{codes, "/state-codes"} {
			s.call("GET " + path + "/" + made.id() + " read").want(404)
			gone := s.call("GET " + path + "/" + made.id() + "?include_deactivated=true read").want(200)
			if m := gone.object(); m["deactivated_at"] == nil || m["end_date"] != m["deactivated_at"] {
				s.t.Errorf("%s", gone.text)
			}
			s.lists(path, "id")
			s.lists(path+"?include_deactivated=true", "id", made.id())
		}
		second := s.call("POST " + codes + ` write {"name":"net","state_code":50}`).want(201)
		s.call("POST " + codes + "/" + made.id() + "/restore admin").want(409).says(second.id())
		s.lists(codes+"?include_deactivated=true&limit=1", "id", second.id(), made.id())
		s.call("PUT /state-codes/" + second.id() + ` write {"name":"net 2"}`).want(200)
		s.call("POST /state-codes/"+made.id()+"/restore admin").want(200).has("state_code", 40, "deactivated_at", nil)
		s.call("POST " + codes + "/" + made.id() + "/restore admin").want(200)
		s.lists(codes, "name", "net", "net 2")
		s.call("DELETE " + at + " admin").want(204)
		s.call("GET " + codes + " read").want(404)
		s.call("GET /state-codes/" + made.id() + " read").want(404)
		s.call("POST " + codes + ` write {"name":"x"}`).want(404)
	})
}

func TestACodeOfAnotherProjectIsNotFound(t *testing.T) {
	t.Parallel()
	onEachTable(t, func(s *site, at string) {
		made := s.call("POST " + at + `/state-codes write {"name":"net","state_code":40}`).want(201)
		s.call(`POST /projects write {"name":"q"}`).want(201)
		s.call("GET /projects/q/state-codes/" + made.id() + " read").want(404)
		s.call("DELETE /projects/q/state-codes/" + made.id() + " admin").want(404)
		s.call(`POST /projects/q/state-codes write {"name":"net","state_code":40}`).want(201)
	})
}

func TestAStateCodeInUseStays(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{})
	s.call(`POST /projects write {"name":"p"}`).want(201)
	made := s.call(`POST /projects/p/state-codes write {"name":"net","state_code":40}`).want(201)
	c, err := build.CreateIn{ProjectID: "p", BuildNumber: "b1"}.Normalise()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.CreateBuild(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	report(s, "b1", 40, "in_progress")
	const text = "Cannot deactivate state code. It is currently used by 1 active builds."
	s.call("DELETE /projects/p/state-codes/"+made.id()+" admin").want(400).says(text, "refused")
	s.call("DELETE /state-codes/" + made.id() + " admin").want(400).says(text)
	report(s, "b1", 40, "failed")
	s.call("DELETE /projects/p/state-codes/" + made.id() + " admin").want(204)
}

func report(s *site, number string, code int, status string) {
	s.t.Helper()
	_, _, err := s.store.ChangeBuild(s.t.Context(), number, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		r, err := build.ReportIn{StateCode: api.IntOrString{Int: &code}, Status: status}.Normalise(b.Current, rules)
		if err != nil {
			return build.Entry{}, err
		}
		return b.Advance(r, rules, now)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestParallelStateCodesGetNumbersOfTheirOwn(t *testing.T) {
	t.Parallel()
	onEachTable(t, func(s *site, at string) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s.call(fmt.Sprintf(`POST %s/state-codes write {"name":"n%d"}`, at, i), "Idempotency-Key", fmt.Sprint(i)).want(201)
			})
		}
		wg.Wait()
		seen := map[any]bool{}
		for _, n := range s.list(at+"/state-codes", "state_code") {
			seen[n] = true
		}
		if len(seen) != 8 || !seen[5.0] || !seen[40.0] {
			s.t.Errorf("numbers %v, want 5 to 40", seen)
		}
	})
}

func TestResumableStates(t *testing.T) {
	t.Parallel()
	onEachTable(t, func(s *site, at string) {
		all := at + "/resumable-states"
		made := s.call("POST "+all+` write {"state_code":40,"resume_strategy":"from_artifact","required_artifacts":["vm"],"required_variables":["vm_id"],"notes":"n"}`).want(201).
			has("is_resumable", true, "resume_timeout_seconds", 3600, "resume_command", nil, "notes", "n")
		s.call("POST "+at+`/resumable_states/ write {"state_code":20,"is_resumable":null}`).want(201).has("is_resumable", true, "required_artifacts", nil)
		s.call("POST "+all+` write {"state_code":30,"is_resumable":false}`).want(201).has("is_resumable", false)
		s.call("POST "+all+` write {"state_code":40}`).want(409).says("Resumable state 40 already configured for this project", made.id())
		s.call("POST "+all+` write {}`).bad("body state_code", "missing")
		s.call("POST "+all+` write {"state_code":-1}`).bad("body state_code", "value_error")
		s.call(`POST /projects/nobody/resumable-states write {"state_code":1}`).want(404).says("Project nobody not found")
		s.lists(all, "state_code", 20.0, 30.0, 40.0)
		s.lists(all+"?limit=1&is_resumable=true", "state_code", 20.0, 40.0)
		s.lists(at+"/resumable_states/?is_resumable=false", "state_code", 30.0)
		s.call("GET "+all+"?is_resumable=maybe read").bad("query is_resumable", "value_error")
		if got := s.call("GET " + at + "/resumable_states/40 read").want(200); got.text != made.text {
			s.t.Errorf("%s, want %s", got.text, made.text)
		}
		s.call("GET " + all + "/41 read").want(404).says("Resumable state 41 not found: it is not configured for project")
		s.call("PUT "+all+`/40 write {"notes":null,"required_artifacts":["a","b"],"resume_timeout_seconds":null}`).want(200).
			has("notes", nil, "required_artifacts", []any{"a", "b"}, "required_variables", []any{"vm_id"}, "resume_timeout_seconds", 3600)
		s.call("PUT "+all+`/40 write {"required_artifacts":null,"is_resumable":false}`, "If-Match", `"2"`).want(200).has("required_artifacts", nil, "is_resumable", false)
		s.call("PUT "+all+`/40 write {"is_resumable":true}`, "If-Match", `"2"`).want(412)
		s.call("PUT " + all + `/40 write {"state_code":41}`).want(400)
		s.call("PUT " + all + `/40 write {"state_code":40}`).want(200)
		s.call("PUT " + all + `/41 write {"notes":"n"}`).want(404)
		s.call("DELETE " + all + "/40 admin").want(405)
	})
}

func TestRulesOfAProject(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{}).seed(false)
	r, err := s.store.ProjectRules(t.Context(), project.DefaultID)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.ResumableState(20); got == nil || *got.Strategy != "from_artifact" {
		t.Errorf("resumable state 20 is %v", got)
	}
	if c, err := r.Code("building"); err != nil || c.Number != 20 {
		t.Errorf("building is %v %v", c, err)
	}
}
