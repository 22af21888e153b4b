package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	embedded "bldst/localstack/table"
	"bldst/shared/build"
	"bldst/shared/table"
)

// changes returns what the feed tells behind after: none at its end.
func (w *works) changes(after string, limit int) []table.Change {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 50*time.Millisecond)
	defer cancel()
	cs, err := w.feed.Changes(ctx, after, limit)
	if err != nil {
		w.t.Fatal(err)
	}
	return cs
}

// all returns everything the feed tells.
func (w *works) all() []table.Change {
	w.t.Helper()
	var out []table.Change
	for after := ""; ; {
		cs := w.changes(after, 1000)
		if len(cs) == 0 {
			return out
		}
		out, after = append(out, cs...), cs[len(cs)-1].Seq
	}
}

// recount counts the builds one by one.
func (w *works) recount() (total map[string]int, platforms map[string]int) {
	w.t.Helper()
	total, platforms = map[string]int{}, map[string]int{}
	bs, next, err := w.store.Builds(w.t.Context(), build.Filter{Limit: 1000})
	if err != nil || next != "" {
		w.t.Fatal(err, next)
	}
	for _, b := range bs {
		total["builds"]++
		total["status:"+string(b.Status)]++
		total[fmt.Sprint("state:", b.Current)]++
		if b.PlatformID != "" {
			platforms[b.PlatformID]++
		}
	}
	return total, platforms
}

// counted returns what the dashboard says.
func (w *works) counted() (map[string]int, map[string]int) {
	w.t.Helper()
	var s build.Summary
	if err := json.Unmarshal([]byte(w.call("GET /dashboard/summary read").want(200).text), &s); err != nil {
		w.t.Fatal(err)
	}
	total := map[string]int{"builds": s.TotalBuilds}
	for status, n := range s.StatusCounts {
		if n != 0 {
			total["status:"+status] = n
		}
	}
	for state, n := range s.BuildsByState {
		total["state:"+state] = n
	}
	if s.ActiveBuilds != s.StatusCounts["pending"]+s.StatusCounts["in_progress"] || s.CompletedBuilds != s.StatusCounts["completed"] || s.FailedBuilds != s.StatusCounts["failed"] {
		w.t.Errorf("%+v", s)
	}
	return total, s.BuildsByPlatform
}

func (w *works) countsRight(when string) {
	w.t.Helper()
	wantTotal, wantPlatforms := w.recount()
	total, platforms := w.counted()
	if diff := cmp.Diff([]map[string]int{wantTotal, wantPlatforms}, []map[string]int{total, platforms}); diff != "" {
		w.t.Errorf("%s: %s", when, diff)
	}
}

func TestTheCountersAreRightHoweverChangesCome(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorks(t, embedded.Options{})
	populate := func() {
		for i := range 12 {
			n := fmt.Sprintf("n%d-%d", r.Int(), i)
			platform := []string{"azure", "gcp", ""}[r.IntN(3)]
			w.call(fmt.Sprintf(`POST /builds write {"build_number":%q,"platform_id":%q}`, n, platform)).want(201)
			for range r.IntN(4) {
				w.call(fmt.Sprintf(`POST /builds/%s/state write {"state_code":%d}`, n, 5*r.IntN(19))).want(200)
			}
			switch r.IntN(4) {
			case 0:
				w.call("POST /builds/" + n + `/failure write {"error_message":"x"}`).want(200)
			case 1:
				w.reports("/builds/"+n, "100")
			case 2:
				at := "/builds/" + w.call("GET /builds/"+n+" read").id()
				w.call("POST " + at + "/cancel write").want(200)
				w.call("DELETE " + at + " admin").want(204)
				if r.IntN(2) == 0 {
					w.call("POST " + at + "/restore admin").want(200)
				}
			}
		}
	}
	populate()
	changes := w.all()
	changes = append(changes, changes[:len(changes)/2]...) // half of them come twice
	r.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	for len(changes) > 0 {
		n := min(len(changes), 1+r.IntN(120))
		if err := w.store.Count(t.Context(), changes[:n]); err != nil {
			t.Fatal(err)
		}
		changes = changes[n:]
	}
	w.countsRight("shuffled and doubled")

	populate()
	changes = w.all() // from the beginning, all that was counted too
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			mine := append([]table.Change(nil), changes...)
			rand.New(rand.NewPCG(seed, uint64(i))).Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			for len(mine) > 0 {
				n := min(len(mine), 100)
				if err := w.store.Count(t.Context(), mine[:n]); err != nil {
					t.Error(err)
				}
				mine = mine[n:]
			}
		})
	}
	all.Wait()
	w.countsRight("by four at once")
}

func TestTheCountersOfAPlatform(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		for i, state := range []string{"25", "100", "45", "45"} {
			n := fmt.Sprint("n", i)
			w.call(fmt.Sprintf(`POST /builds write {"build_number":%q,"platform_id":"azure"}`, n)).want(201)
			w.reports("/builds/"+n, state)
		}
		w.call(`POST /builds write {"build_number":"other","platform_id":"gcp"}`).want(201)
		w.relay()
		w.lists("/builds?platform=azure", "build_number", "n3", "n2", "n1", "n0")
		for _, ref := range []string{"azure", "Azure%20Commercial"} {
			r := w.call("GET /dashboard/platform/"+ref+" read").want(200).has("platform", "Azure Commercial", "platform_id", "azure",
				"state_distribution", map[string]any{"25": 1.0, "45": 2.0, "100": 1.0})
			o := r.object()
			if s := o["statistics"].(map[string]any); s["total_builds"] != 4.0 || s["oldest_build"] == nil || !(s["oldest_build"].(string) < s["newest_build"].(string)) || len(o["recent_builds"].([]any)) != 4 {
				t.Error(r.text)
			}
		}
		w.call("GET /dashboard/platform/oci read").want(200).has("state_distribution", map[string]any{})
		w.call("GET /dashboard/platform/nope read").want(404).says("Platform not found")
		w.call("GET /dashboard/summary read").want(200).has("projects", 2).says(`"builds_by_platform":{"azure":4,"gcp":1}`)
	})
}
