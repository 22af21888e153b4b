package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	embedded "bldst/localstack/table"
	"bldst/shared/build"
)

// A populace is a set of builds, and what is known of them.
type populace struct {
	*works
	projects map[string]string // ids by name
	builds   []listed          // newest first
}

type listed struct{ number, project, platform, status string }

func populate(w *works, n int) *populace {
	w.t.Helper()
	p := &populace{works: w, projects: map[string]string{}}
	for _, name := range []string{"p0", "p1", "p2"} {
		p.projects[name] = w.call(`POST /projects write {"name":"` + name + `"}`).want(201).id()
	}
	r := rand.New(rand.NewPCG(1, 2))
	statuses := []string{"pending", "in_progress", "completed", "failed", "cancelled"}
	for i := range n {
		l := listed{fmt.Sprintf("n%02d", i), fmt.Sprint("p", r.IntN(3)), []string{"azure", "gcp"}[r.IntN(2)], statuses[r.IntN(5)]}
		w.call(fmt.Sprintf(`POST /builds write {"build_number":%q,"project_id":%q,"platform_id":%q}`, l.number, l.project, l.platform)).want(201)
		switch l.status {
		case "pending":
		case "cancelled":
			w.call("POST /builds/" + l.number + "/cancel write").want(200)
		default:
			code := map[string]int{"completed": 100}[l.status]
			w.call(fmt.Sprintf(`POST /builds/%s/state write {"state_code":%d,"status":%q}`, l.number, max(code, 25), l.status)).want(200)
		}
		p.builds = append([]listed{l}, p.builds...)
	}
	p.relay()
	return p
}

// relay counts everything that has happened so far, as the function of that
// name does.
func (w *works) relay() {
	w.t.Helper()
	for after := ""; ; {
		changes := w.changes(after, 500)
		if len(changes) == 0 {
			return
		}
		after = changes[len(changes)-1].Seq
		if err := w.store.Count(w.t.Context(), changes); err != nil {
			w.t.Fatal(err)
		}
	}
}

// wanted returns the numbers of the builds that keep wants, newest first.
func (p *populace) wanted(keep func(l listed) bool) []any {
	out := []any{}
	for _, l := range p.builds {
		if keep(l) {
			out = append(out, l.number)
		}
	}
	return out
}

func TestEveryFilterAndPageOfBuilds(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		p := populate(w, 30)
		for query, keep := range map[string]func(l listed) bool{
			"":                                func(listed) bool { return true },
			"status=failed":                   func(l listed) bool { return l.status == "failed" },
			"status=running":                  func(l listed) bool { return l.status == "in_progress" },
			"status=success":                  func(l listed) bool { return l.status == "completed" },
			"project_id=p1":                   func(l listed) bool { return l.project == "p1" },
			"project=" + p.projects["p1"]:     func(l listed) bool { return l.project == "p1" },
			"platform_id=gcp":                 func(l listed) bool { return l.platform == "gcp" },
			"platform=gcp&status=failed":      func(l listed) bool { return l.platform == "gcp" && l.status == "failed" },
			"project_id=p2&status=cancelled":  func(l listed) bool { return l.project == "p2" && l.status == "cancelled" },
			"project_id=p0&platform_id=azure": func(l listed) bool { return l.project == "p0" && l.platform == "azure" },
			"project_id=p0&platform_id=azure&status=pending": func(l listed) bool { return l.project == "p0" && l.platform == "azure" && l.status == "pending" },
			"project_id=default":                             func(listed) bool { return false },
		} {
			want := p.wanted(keep)
			p.lists("/builds?limit=1000&"+query, "build_number", want...) // waits for the indexes
			for _, page := range []string{"limit=1", "limit=4", "limit=100"} {
				p.fields("/builds?"+page+"&"+query, "build_number", want...)
			}
			for _, skip := range []int{1, 5, 40} {
				p.fields(fmt.Sprintf("/builds?limit=3&skip=%d&%s", skip, query), "build_number", slices.Clone(want[min(skip, len(want)):])...)
			}
		}
	})
}

func TestListsOfBuildsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	w.call("GET /builds?status=splendid read").bad("query status", "enum")
	w.call("GET /builds?limit=1001 read").want(422)
	w.call("GET /builds?limit=0 read").want(422)
	w.call("GET /builds?skip=-1 read").want(422)
	w.call("GET /builds?project_id=nope read").want(404).says("Project with id 'nope' not found")
	w.call("GET /builds?platform_id=nope read").want(404).says("Platform with id 'nope' not found")
	for _, cursor := range []string{"x", "W10", "WyJ4Il0", "bnVsbA", "WyItIiwiLSJd"} {
		w.call("GET /builds?cursor="+cursor+" read").bad("query cursor", "value_error")
	}
	w.call("GET /builds nobody").want(401)
}

func TestTheBuildsOfSeveralProjectsAreOneList(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		p := populate(w, 24)
		ctx := bound(t.Context(), p.projects["p0"], p.projects["p2"])
		for name, f := range map[string]build.Filter{"all": {}, "by status": {Status: build.Failed}, "by platform": {Platform: "gcp"}, "by both": {Status: build.InProgress, Platform: "azure"}} {
			want := p.wanted(func(l listed) bool {
				return l.project != "p1" && (f.Status == "" || l.status == string(f.Status)) && (f.Platform == "" || l.platform == f.Platform)
			})
			query := "/builds?limit=1000&status=" + string(f.Status) + "&platform=" + f.Platform
			p.lists(query, "build_number", p.wanted(func(l listed) bool {
				return (f.Status == "" || l.status == string(f.Status)) && (f.Platform == "" || l.platform == f.Platform)
			})...) // waits for the indexes
			for _, limit := range []int{1, 3, 1000} {
				for _, skip := range []int{0, 2} {
					f.Limit, f.Skip, f.Cursor = limit, skip, ""
					got := []any{}
					for {
						bs, next, err := p.store.Builds(ctx, f)
						if err != nil {
							t.Fatal(err)
						}
						for _, b := range bs {
							got = append(got, b.Number)
						}
						if f.Cursor, f.Skip = next, 0; next == "" {
							break
						}
					}
					if w := want[min(skip, len(want)):]; !slices.Equal(got, w) {
						t.Errorf("%s, %d at a time after %d: want %v, got %v", name, limit, skip, w, got)
					}
				}
			}
		}
	})
}

func TestDeletedBuildsComeAfterTheOthers(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		for _, n := range []string{"a", "b", "c", "d"} {
			w.reports(w.build(n), "100")
		}
		for _, n := range []string{"b", "c", "a"} {
			w.call("DELETE /builds/" + n + " admin").want(204)
		}
		w.lists("/builds", "build_number", "d")
		w.lists("/builds?include_deactivated=true", "build_number", "d", "a", "c", "b") // those deleted last first
		for _, limit := range []int{1, 2, 3} {
			w.fields(fmt.Sprintf("/builds?include_deactivated=true&limit=%d", limit), "build_number", "d", "a", "c", "b")
		}
		w.fields("/builds?include_deactivated=true&skip=2", "build_number", "c", "b")
		w.fields("/builds?include_deactivated=true&status=pending", "build_number")
	})
}

func TestTheBuildsChangedLast(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		for _, n := range []string{"a", "b", "c"} {
			w.build(n)
		}
		w.reports("/builds/a", "25")
		w.relay()
		w.lists("/dashboard/recent", "build_number", "a", "c", "b")
		w.lists("/dashboard/recent?limit=2", "build_number", "a", "c", "b") // the pages lead on
		w.reports("/builds/b", "100")
		w.call("DELETE /builds/b admin").want(204)
		w.relay()
		w.lists("/dashboard/recent", "build_number", "a", "c")
		w.call("GET /dashboard/recent?limit=0 read").want(422)
		if r := w.call("GET /dashboard/summary read").want(200); !strings.Contains(r.text, `"recent_builds"`) {
			t.Error(r.text)
		}
	})
}
