package store_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/table"

	"github.com/google/go-cmp/cmp"
)

// lives lets three builds live: one is completed at once, one fails, is
// resumed twice and completed, one fails and is resumed.
func (o *outside) lives() {
	o.t.Helper()
	a, b, c := o.build("a"), o.build("b"), o.build("c")
	for _, code := range []int{10, 25, 50} {
		o.report(10*time.Minute, a, code, "in_progress")
	}
	o.report(10*time.Minute, a, 100, "completed")

	o.report(time.Minute, b, 10, "in_progress")
	o.report(20*time.Minute, b, 25, "completed") // state 10 took 20 minutes
	o.report(40*time.Minute, b, 50, "in_progress")
	o.fail(b, "transient")
	o.pass(2 * time.Minute)
	o.again(b, 50, "cli")
	o.report(time.Minute, b, 50, "in_progress")
	o.fail(b, "transient")
	o.pass(4 * time.Minute)
	o.again(b, 50, "auto")
	o.pass(24 * time.Hour)
	o.report(time.Minute, b, 50, "completed")
	o.report(time.Minute, b, 100, "completed")

	o.report(time.Minute, c, 25, "in_progress")
	o.fail(c, "persistent")
	o.pass(time.Minute)
	o.again(c, 25, "")
}

func (o *outside) fail(id, class string) {
	o.t.Helper()
	o.pass(time.Minute)
	o.call("POST /builds/"+id+"/failure write", `{"error_message":"x","failure_class":"`+class+`"}`).want(200)
}

func (o *outside) again(id string, from int, source string) {
	o.t.Helper()
	o.call("POST /builds/"+id+"/resume write", fmt.Sprintf(`{"resume_from_state":%d,"force":true,"request_source":"%s"}`, from, source)).want(201)
}

func (o *outside) count(changes ...table.Change) {
	o.t.Helper()
	if err := o.store.Count(o.t.Context(), changes); err != nil {
		o.t.Fatal(err)
	}
}

// numbers returns what an endpoint of metrics answers.
func (o *outside) numbers(path string) string {
	o.t.Helper()
	return strings.TrimSpace(o.call("GET "+path+" read", "").want(200).text)
}

const (
	wantStats = `{"total_resumes":3,"succeeded":1,"failed":1,"in_progress":1,"success_rate":0.5,"by_failure_class":{"persistent":1,"transient":2},` +
		`"by_request_source":{"api":1,"auto":1,"cli":1},"mean_seconds_to_resume":140,"builds_failed":2,"builds_recovered":1,"recovery_rate":0.5}`
	wantSaved = `{"period":"30d","from":"2026-02-04","to":"2026-03-05","minutes_saved":20,"hours_saved":0.3,"builds":1,"daily":[{"date":"2026-03-05","minutes_saved":20,"builds":1}]}`
	wantRate  = `{"period":"2d","from":"2026-03-04","to":"2026-03-05","resumes":3,"succeeded":1,"failed":1,"success_rate":0.5,` +
		`"daily":[{"date":"2026-03-04","resumes":2,"succeeded":0,"failed":1,"success_rate":0},{"date":"2026-03-05","resumes":1,"succeeded":1,"failed":0,"success_rate":1}]}`
)

func (o *outside) hasNumbers() {
	o.t.Helper()
	for path, want := range map[string]string{
		"/metrics/resumes/stats": wantStats, "/metrics/resumes/time-saved": wantSaved, "/metrics/builds/resume-success-rate?period=2d": wantRate,
		"/metrics/resumes/stats?project_id=images": wantStats,
	} {
		if d := cmp.Diff(want, o.numbers(path)); d != "" {
			o.t.Errorf("%s\n%s", path, d)
		}
	}
}

func TestTheNumbersOfResumes(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	o.lives()
	o.count(o.changes()...)
	o.hasNumbers()
	o.call("POST /projects write", `{"name":"other"}`).want(201)
	if got := o.numbers("/metrics/resumes/stats?project_id=other"); !strings.HasPrefix(got, `{"total_resumes":0,`) || !strings.Contains(got, `"success_rate":null`) {
		t.Error(got)
	}
	o.pass(48 * time.Hour)
	if got := o.numbers("/metrics/builds/resume-success-rate?period=1d"); !strings.Contains(got, `"resumes":0`) || !strings.Contains(got, `"daily":[]`) {
		t.Error(got)
	}
	o.call("GET /metrics/resumes/stats?project_id=nobody read", "").want(404)
	for _, period := range []string{"d", "0d", "-1d", "367d", "13m", "7", "7y", "1e3d", ""} {
		r := o.call("GET /metrics/resumes/time-saved?period="+period+" read", "")
		if r.status != 422 && period != "" {
			t.Errorf("period %q: status %d", period, r.status)
		}
	}
}

func TestTheNumbersAreTheSameInWhateverOrderAndHoweverOftenTheFeedTells(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			o := newOutside(t)
			o.lives()
			changes := o.changes()
			mixed := shuffled(seed, append(changes, changes...))
			for batch := range slices.Chunk(mixed, 7) {
				o.count(batch...)
				o.count(batch[0])
			}
			o.hasNumbers()
		})
	}
}

func TestTheStorageInUse(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	id := o.build("a")
	add := func(name, backend, size string) string {
		body := `{"state_code":25,"artifact_name":"` + name + `","artifact_type":"vm-snapshot","artifact_path":"/x/` + name + `","storage_backend":"` + backend + `"` + size + `}`
		return o.call("POST /builds/"+id+"/artifacts write", body).want(201).id()
	}
	add("one", "s3", `,"size_bytes":2000000000`)
	two := add("two", "s3", `,"size_bytes":600000000`)
	three := add("three", "nfs", "")
	o.call("PATCH /builds/"+id+"/artifacts/"+two+" write", `{"metadata":{"a":1}}`).want(200)
	o.call("DELETE /builds/"+id+"/artifacts/"+three+" admin", "").want(204)
	add("four", "nfs", "")
	changes := o.changes()
	o.count(shuffled(1, append(changes, changes...))...)
	want := `{"artifacts":3,"total_bytes":2600000000,"unknown_size":1,"total_gb":2.6,"by_backend":{"nfs":{"artifacts":1,"bytes":0},"s3":{"artifacts":2,"bytes":2600000000}},` +
		`"by_type":{"vm-snapshot":{"artifacts":3,"bytes":2600000000}}}`
	if d := cmp.Diff(want, o.numbers("/metrics/artifacts/storage-usage")); d != "" {
		t.Error(d)
	}
}

func TestHowLongStatesTakeIsKnownFromTheBuildsBefore(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	o.lives()
	id := o.build("next")
	o.report(time.Minute, id, 25, "in_progress")
	o.count(o.changes()...)
	b, err := o.store.Build(t.Context(), id, false)
	if err != nil {
		t.Fatal(err)
	}
	times, err := o.store.Typical(t.Context(), b.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	// State 10 took 10 and 20 minutes, 25 took 10 and 40, 50 took 10, and 1 in the attempt that was completed.
	want := build.Typical{0: times[0], 10: {Count: 2, Seconds: 1800}, 25: {Count: 2, Seconds: 3000}, 50: times[50]}
	delete(want, 0)
	if d := cmp.Diff(want[10], times[10]); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want[25], times[25]); d != "" {
		t.Error(d)
	}
	fifty, known := times.Seconds(50)
	if !known {
		t.Fatalf("nothing is known of state 50: %v", times)
	}
	o.pass(5 * time.Minute)
	eta := times.ETA(b, o.clock())
	if want := o.clock().Add(20*time.Minute + time.Duration(fifty)*time.Second); eta == nil || !eta.Equal(want) {
		t.Errorf("ETA %v, want %s: what is left of 25 minutes, and state 50", eta, want)
	}
	doc, _ := json.Marshal(times)
	t.Logf("%s", doc)
}

func TestManyChangesAreCountedInTransactionsThatAreSmallEnough(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	var ids []string
	for n := range 50 {
		ids = append(ids, o.build(fmt.Sprint("n", n)))
	}
	for _, id := range ids {
		o.report(time.Second, id, 10, "in_progress")
	}
	for _, id := range ids {
		o.report(time.Minute, id, 25, "in_progress")
		for n := range 3 {
			o.call("POST /builds/"+id+"/artifacts write", fmt.Sprintf(`{"state_code":10,"artifact_name":"n%d","artifact_type":"log","artifact_path":"/x","storage_backend":"s3","size_bytes":1}`, n)).want(201)
		}
	}
	for n := range 150 { // more than one transaction takes
		o.call("POST /builds/"+ids[0]+"/artifacts write", fmt.Sprintf(`{"state_code":10,"artifact_name":"m%d","artifact_type":"log","artifact_path":"/x","storage_backend":"s3","size_bytes":1}`, n)).want(201)
	}
	o.count(o.changes()...)
	if got := o.numbers("/metrics/artifacts/storage-usage"); !strings.HasPrefix(got, `{"artifacts":300,"total_bytes":300,`) {
		t.Error(got)
	}
}
