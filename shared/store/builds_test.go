package store_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	embedded "bldst/localstack/table"
	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/project"
)

func TestABuildResolvesItsReferences(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		p := w.call(`POST /projects write {"name":"images"}`).want(201).id()
		rhel := w.call("GET /os-versions/rhel-9.3 read").want(200).id()
		for name, body := range map[string]string{
			"slugs":                  `"project_id":"images","platform_id":"aws-commercial","os_version_id":"rhel-9.3","image_type_id":"base"`,
			"names":                  `"project_id":"images","platform_id":"AWS Commercial","os_version_id":"rhel-9.3","image_type_id":"Base Image"`,
			"ids":                    `"project_id":"` + p + `","platform_id":"aws-commercial","os_version_id":"` + rhel + `","image_type_id":"base"`,
			"the first generation's": `"project":"images","platform":"aws-commercial","os_version":"rhel-9.3","image_type":"base"`,
		} {
			w.call("POST /builds write {"+body+"}").want(201).has("project_id", p, "platform_id", "aws-commercial", "os_version_id", rhel, "image_type_id", "base",
				"status", "pending", "current_state", 0, "attempt", 1, "revision", 1, "created_by", "write-user")
			_ = name
		}
		w.call("POST /builds write {}").want(201).has("project_id", project.DefaultID, "platform_id", nil)
	})
}

func TestReferencesThatLeadNowhere(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	w.call(`POST /platforms write {"name":"gone","cloud_provider":"x"}`).want(201)
	w.call("DELETE /platforms/gone admin").want(204)
	for body, says := range map[string]string{
		`{"project_id":"nope"}`:         "Project with id 'nope' not found",
		`{"platform_id":"nope"}`:        "Platform with id 'nope' not found",
		`{"platform":"gone"}`:           "Platform with id 'gone' not found",
		`{"os_version_id":"nope"}`:      "OS version with id 'nope' not found",
		`{"image_type_id":"nope"}`:      "Image type with id 'nope' not found",
		`{"cloud_provider_id":"nope"}`:  "Cloud provider with id 'nope' not found",
		`{"os_distribution_id":"nope"}`: "OS distribution with id 'nope' not found",
		`{"image_variant_id":"nope"}`:   "Image variant with id 'nope' not found",
		`{"platform_id":"a\u0000b"}`:    "not found",
	} {
		w.call("POST /builds write " + body).want(404).says(says)
	}
	w.call(`POST /builds write {"build_number":"a\u0000b"}`).bad("body build_number", "value_error")
	w.call(`POST /builds write {"build_number":"` + strings.Repeat("n", 201) + `"}`).want(422)
	w.call(`POST /builds write {"build_number":7}`).want(422)
	w.call(`POST /builds read {}`).want(403)
}

func TestABuildNumberIsTakenOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		first := w.call(`POST /builds write {"build_number":"n1","platform_id":"azure"}`).want(201)
		w.call(`POST /builds write {"build_id":"n1"}`).want(409).says("Build number 'n1' already exists with id '" + first.id() + "'")
		for body, status := range map[string]int{
			`{"build_number":"n1"}`:                            200,
			`{"build_number":"n1","platform_id":"azure"}`:      200,
			`{"build_number":"n1","platform_id":"gcp"}`:        409,
			`{"build_number":"n1","os_version_id":"rhel-9.3"}`: 409,
			`{"build_number":"n1","platform_id":"nope"}`:       404,
		} {
			r := w.call("POST /builds?attach=true write " + body).want(status)
			if status == 200 {
				r.has("id", first.id(), "platform_id", "azure")
			}
		}
		w.call(`POST /builds?attach=true write {"build_number":"n2"}`).want(201)
		for _, ref := range []string{"n1", first.id()} {
			w.call("GET /builds/"+ref+" read").want(200).has("id", first.id())
			w.call("GET /builds/"+ref+"/state read").want(200).has("build_id", first.id())
			w.call("POST /builds/"+ref+`/state write {"state_code":5}`).want(200).has("build_id", first.id())
		}
		for _, ref := range []string{"nope", strings.Repeat("x", 199), "018d64e2-5a10-7c3e-9f52-1d2c3b4a5968", "=n1", "==n1", "n1%23"} {
			w.call("GET /builds/" + ref + " read").want(404).says("Build not found")
			w.call("POST /builds/" + ref + `/state write {"state_code":5}`).want(404).says("Build not found")
		}
		w.call("GET /builds/a%00b read").want(404)
		for _, kind := range []string{"platform_id", "project_id", "image_type_id"} {
			w.call(`POST /builds write {"` + kind + `":"=default"}`).want(404)
			w.call(`POST /builds write {"` + kind + `":"=azure"}`).want(404)
		}
		w.call("GET /platforms/=azure read").want(404)
		w.call("PUT /platforms/=azure write {}").want(404)
		odd := "018d64e2-5a10-7c3e-9f52-1d2c3b4a5968" // a number that looks like an id
		made := w.call(`POST /builds write {"build_number":"` + odd + `"}`).want(201)
		w.call("GET /builds/"+odd+" read").want(200).has("id", made.id())
		w.call(`POST /builds write {"build_number":"` + first.id() + `"}`).want(201) // an id goes before a number
		w.call("GET /builds/"+first.id()+" read").has("build_number", "n1")
	})
}

func TestOfManyBuildsWithOneNumberOneIsMade(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	var all sync.WaitGroup
	var mu sync.Mutex
	count, ids := map[int]int{}, map[string]bool{}
	for range 16 {
		all.Go(func() {
			r := w.call(`POST /builds?attach=true write {"build_number":"n1"}`)
			mu.Lock()
			defer mu.Unlock()
			count[r.status]++
			ids[r.id()] = true
		})
	}
	all.Wait()
	if count[http.StatusCreated] != 1 || count[http.StatusOK] != 15 || len(ids) != 1 {
		t.Errorf("%v, %d builds", count, len(ids))
	}
}

func TestADeletedBuildCanBeRestored(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		at := w.build("n1")
		w.call("DELETE " + at + " admin").want(409).says("cancel it before you delete it")
		w.reports(at, "100")
		w.call("DELETE " + at + " write").want(403)
		w.call("DELETE "+at+" admin", "If-Match", `"1"`).want(412)
		w.call("DELETE " + at + " admin").want(204)
		for _, r := range []string{"GET " + at + " read", "GET /builds/n1 read", "DELETE " + at + " admin", "GET " + at + "/state read", "GET " + at + "/history read",
			"POST " + at + `/state write {"state_code":5}`, "PUT " + at + " write {}"} {
			w.call(r).want(404).says("Build not found")
		}
		w.call("GET " + at + "/artifacts read").want(404)
		w.call("GET " + at + "?include_deactivated=true read").want(200).says(`"deactivated_at":"2026`)
		w.lists("/builds", "build_number")
		w.lists("/builds?include_deactivated=true", "build_number", "n1")
		w.lists("/builds?status=completed", "build_number")

		other := w.build("n1")
		w.call("POST " + at + "/restore admin").want(409).says("'n1' was taken meanwhile")
		w.reports(other, "100")
		w.call("DELETE " + other + " admin").want(204)
		w.call("POST " + at + "/restore write").want(403)
		w.call("POST "+at+"/restore admin").want(200).has("deactivated_at", nil, "status", "completed")
		w.call("POST "+at+"/restore admin").want(200).has("deactivated_at", nil)
		w.call("POST /builds/nope/restore admin").want(404)
		w.call("GET /builds/n1 read").want(200)
		w.lists("/builds?status=completed", "build_number", "n1")
		w.history(at)
	})
}

func TestParallelReportsAreAllAccepted(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			w.call(fmt.Sprintf(`POST %s/state write {"state_code":%d,"status":"completed","worker":"w"}`, at, 5+i)).want(200)
		})
	}
	all.Wait()
	rows := w.history(at)
	if len(rows) != 41 {
		t.Fatalf("%d rows of history", len(rows))
	}
	w.call("GET "+at+" read").has("revision", 41, "status", "in_progress", "current_state", int(rows[40].After.State))
	for i, r := range rows[1:] {
		if r.Before != rows[i].After {
			t.Errorf("row %d begins at %+v, the one before ended at %+v", r.Seq, r.Before, rows[i].After)
		}
	}
	w.fields(at+"/states?limit=7", "attempt", slices.Repeat([]any{1}, 40)...)
}

func TestAReportOnlyIfTheBuildIsAsItWas(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	r := w.call("POST "+at+`/state write {"state_code":5}`, "If-Match", `"1"`).want(200)
	if r.header.Get("ETag") != `"2"` {
		t.Errorf("ETag %s", r.header.Get("ETag"))
	}
	w.call("POST "+at+`/state write {"state_code":10}`, "If-Match", `"1"`).want(412)
	w.call("POST "+at+`/failure write {"error_message":"x"}`, "If-Match", `"1"`).want(412)
	w.call("PUT "+at+` write {"ami_id":"a"}`, "If-Match", `"1"`).want(412)
	w.call("PUT "+at+` write {"ami_id":"a"}`, "If-Match", `"1", W/"2"`).want(200)
	w.call("POST "+at+`/state write {"state_code":10}`, "If-Match", "*").want(200)
	w.call("GET "+at+" read").has("revision", 4)
}

func TestTheStatesOfABuildInEverySpelling(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	w.call("POST "+at+`/state write {"state_code":10,"status":"completed","message":"m1"}`).want(200).has("state_code", 10, "state", 10, "status", "completed", "new_state", 10, "build_status", "in_progress")
	w.call("POST "+at+`/states write {"state":20,"status":"running","start_time":"2024-01-01T00:00:00Z","retry_count":2}`).want(200).has("state", 20, "status", "in_progress", "retry_count", 2)
	w.call("POST "+at+`/state/ write {"state_name":"testing"}`).want(200).has("state_code", 80)
	w.call("POST "+at+`/failure write {"error_message":"e1","error_code":"X"}`).want(200).has("state_code", 80, "error_code", "X", "resolved", false, "status", "failed")
	w.call("POST "+at+`/failures write {"state":80,"failure_type":"t","error_message":"e2"}`).want(200).has("failure_type", "t", "attempt", 1)
	w.call("POST "+at+`/state write {"state_code":80,"status":"completed"}`).want(200).has("attempt", 2)
	w.fields(at+"/states", "state_code", 10, 20, 80, 80)
	w.fields(at+"/states?limit=1", "state_code", 10, 20, 80, 80)
	w.fields(at+"/states?skip=1&limit=2", "state_code", 20, 80, 80)
	w.fields(at+"/failures", "error_message", "e1", "e2")
	w.fields(at+"/failures?limit=1", "resolved", true, true)
	s := w.call("GET "+at+"/state read").want(200).has("current_state", 80, "status", "in_progress", "attempt", 2)
	o := s.object()
	history, newest := o["history"].([]any), o["state_history"].([]any)
	if len(history) != 4 || history[0].(map[string]any)["state_code"] != 10.0 || newest[0].(map[string]any)["state_code"] != 80.0 || o["last_updated"] != o["last_transition"] {
		t.Errorf("%s", s.text)
	}
	w.call("POST " + at + `/state write {"state_name":"nowhere"}`).want(422).says("known ones are")
	w.call("POST "+at+"/state write {}").bad("body state_code", "missing")
	w.call("POST "+at+`/failure write {"state_code":5}`).bad("body error_message", "missing")
	w.call("GET " + at + "/states?cursor=x read").want(422)
}

func TestACredentialBoundToAProject(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	p := w.call(`POST /projects write {"name":"images"}`).want(201).id()
	other := strings.TrimPrefix(w.build("other"), "/builds/")
	ctx := bound(t.Context(), p)
	create := func(ctx context.Context, project, number string) error {
		c, err := build.CreateIn{ProjectID: project, BuildNumber: number}.Normalise()
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.store.CreateBuild(ctx, c)
		return err
	}
	if err := create(ctx, "images", "mine"); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"creating in another project": create(ctx, "default", "x"),
		"reading":                     second(w.store.Build(ctx, other, false)),
		"reading by number":           second(w.store.Build(ctx, "other", false)),
		"changing":                    third(w.store.ChangeBuild(ctx, other, nil)),
		"restoring":                   second(w.store.RestoreBuild(ctx, other)),
		"listing another project":     third(w.store.Builds(ctx, build.Filter{Project: "default", Limit: 10})),
	} {
		if !problem.Is(err, problem.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, f := range map[string]build.Filter{"all": {Limit: 10}, "its own": {Project: "images", Limit: 10}, "by status": {Status: build.Pending, Limit: 10}} {
		bs, _, err := w.store.Builds(ctx, f)
		if err != nil || len(bs) != 1 || bs[0].Number != "mine" {
			t.Errorf("%s: %v, %v", name, bs, err)
		}
	}
}
