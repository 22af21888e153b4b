package suite

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"bldst/shared/problem"
)

var raceTests = []test{
	{"of many that make the same at once, one does and the others are told so", sameAtOnce},
	{"an artifact that is registered often at once is there once", artifactAtOnce},
	{"of many that attach to a number at once, one makes the build", attachAtOnce},
	{"of many that change one revision at once, one does", matchAtOnce},
	{"parallel changes of one project's state codes are all there", codesAtOnce},
	{"of many parallel changes of one row none is turned away", editsAtOnce},
}

// atOnce sends n requests at once and returns the answers.
func atOnce(n int, send func(i int) *reply) []*reply {
	out := make([]*reply, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { out[i] = send(i) })
	}
	wg.Wait()
	return out
}

// statuses counts the answers by their status.
func statuses(rs []*reply) map[int]int {
	out := map[int]int{}
	for _, r := range rs {
		out[r.status]++
	}
	return out
}

const racers = 6

func sameAtOnce(t *testing.T, s *session) {
	p := s.newProject(t)
	u := unique("same")
	for path, body := range map[string]obj{
		"/builds": {"build_number": u}, "/projects/" + p + "/state-codes": {"state_code": 40, "name": u},
		"/projects/" + p + "/resumable-states": {"state_code": 40}, "/users": {"username": u, "email": u + "@example.com", "password": s.newSecret()},
		"/platforms": nouns[0].make(u), "/os-versions": nouns[1].make(u), "/image-types": nouns[2].make(u), "/cloud-providers": dated(u), "/projects": {"name": u},
	} {
		rs := atOnce(racers, func(int) *reply { return s.admin.post(t, path, body) })
		if got := statuses(rs); got[http.StatusCreated] != 1 || got[http.StatusConflict] != racers-1 {
			t.Errorf("%s, %d at once: %v, want one 201 and the others 409", path, racers, got)
			continue
		}
		var made string
		for _, r := range rs {
			if r.status == http.StatusCreated {
				made = r.id()
			}
		}
		for _, r := range rs {
			if r.status == http.StatusConflict {
				r.refused(http.StatusConflict, problem.Conflict, made)
			}
		}
	}
}

func artifactAtOnce(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil) + "/artifacts"
	ids := map[string]bool{}
	for _, r := range atOnce(racers, func(int) *reply { return s.dev.post(t, at, artifact("one", 5)) }) {
		ids[r.is(http.StatusCreated).id()] = true
	}
	if len(ids) != 1 || len(s.dev.get(t, at+"?include_deactivated=true").list()) != 1 {
		t.Errorf("one artifact that was registered %d times at once has the ids %v", racers, ids)
	}
}

func attachAtOnce(t *testing.T, s *session) {
	body := obj{"build_number": unique("attach"), "platform_id": "gcp"}
	rs := atOnce(racers, func(int) *reply { return s.dev.post(t, "/builds?attach=true", body) })
	if got := statuses(rs); got[http.StatusCreated] != 1 || got[http.StatusOK] != racers-1 {
		t.Fatalf("%d at once: %v, want one 201 and the others 200", racers, got)
	}
	for _, r := range rs {
		r.has(obj{"id": rs[0].id()})
	}
}

func matchAtOnce(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	p := s.dev.post(t, "/platforms", obj{"name": unique("match"), "cloud_provider": "own"}).is(http.StatusCreated).id()
	v := s.dev.post(t, "/builds/"+b+"/variables", obj{"variable_key": "k", "variable_value": "v"}).is(http.StatusCreated)
	for path, send := range map[string]func(string, string) *reply{
		"/builds/" + b:    func(at, tag string) *reply { return s.dev.put(t, at, obj{"ami_id": random()}, "If-Match", tag) },
		"/platforms/" + p: func(at, tag string) *reply { return s.dev.put(t, at, obj{"region": random()}, "If-Match", tag) },
		"/builds/" + b + "/variables/k": func(at, tag string) *reply {
			return s.dev.patch(t, at, obj{"variable_value": random()}, "If-Match", v.etag())
		},
	} {
		tag := s.dev.get(t, path).etag()
		rs := atOnce(racers, func(int) *reply { return send(path, tag) })
		if got := statuses(rs); got[http.StatusOK] != 1 || got[http.StatusPreconditionFailed] != racers-1 {
			t.Errorf("%s, %d at once: %v, want one 200 and the others 412", path, racers, got)
		}
	}
}

func codesAtOnce(t *testing.T, s *session) {
	p := s.newProject(t)
	rs := atOnce(racers, func(int) *reply { return s.dev.post(t, "/projects/"+p+"/state-codes", obj{"name": unique("code")}) })
	if got := statuses(rs); got[http.StatusCreated] != racers {
		t.Errorf("%d at once: %v, want 201 for all", racers, got)
	}
	seen := map[float64]bool{}
	for _, c := range s.dev.get(t, "/projects/"+p+"/state-codes").list() {
		seen[c["state_code"].(float64)] = true
	}
	if len(seen) != racers {
		t.Errorf("%d different numbers for %d codes", len(seen), racers)
	}
}

// edits is how many change one row at the same time.
const edits = 64

func editsAtOnce(t *testing.T, s *session) {
	at := "/platforms/" + s.dev.post(t, "/platforms", obj{"name": unique("busy"), "cloud_provider": "own"}).is(http.StatusCreated).id()
	rs := atOnce(edits, func(i int) *reply { return s.dev.put(t, at, obj{"region": fmt.Sprintf("r%d", i)}) })
	if got := statuses(rs); got[http.StatusOK] != edits {
		t.Errorf("%d changes at once are answered %v, want 200 for all", edits, got)
	}
	revisions := map[string]bool{}
	for _, r := range rs {
		revisions[r.header.Get("ETag")] = true
	}
	if len(revisions) != edits {
		t.Errorf("%d changes have %d revisions", edits, len(revisions))
	}
}
