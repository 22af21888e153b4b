package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/project"
	"bldst/shared/store"
	"bldst/shared/table"
	"bldst/shared/table/tabletest"
)

// counting is a table that counts. before, when it is set, is called once
// before the next write.
type counting struct {
	tabletest.Counting
	before atomic.Pointer[func()]
}

func (c *counting) Write(ctx context.Context, ops ...table.Op) error {
	if f := c.before.Swap(nil); f != nil {
		(*f)()
	}
	return c.Counting.Write(ctx, ops...)
}

// A works is the API of builds and all that belongs to them on the real store,
// with a clock that goes on a step, a second, at every look.
type works struct {
	*site
	table *counting
	feed  *embedded.Table
	mu    sync.Mutex
	now   time.Time
	step  time.Duration // from one look at the clock to the next
}

func (w *works) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(w.step)
	return w.now
}

func (w *works) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// stop stops the clock.
func (w *works) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step = 0
}

func newWorks(t testing.TB, o embedded.Options) *works {
	t.Helper()
	o.Feed = true
	tbl, err := embedded.Open(filepath.Join(t.TempDir(), "table.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tbl.Close() })
	w := &works{table: &counting{Counting: tabletest.Counting{Table: tbl}}, feed: tbl, now: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), step: time.Second}
	s := store.New(w.table)
	s.Now = w.clock
	w.site = &site{t: t, store: s, api: api.New(api.Options{Auth: callers{}, Idempotency: s, Now: w.clock, Log: slog.New(slog.DiscardHandler)})}
	for _, n := range store.Catalogue() {
		n.Mount(w.api, s)
	}
	project.Mount(w.api, s.Projects())
	rules := &project.Service{Store: s}
	rules.MountCodes(w.api)
	rules.MountResumable(w.api)
	builds := &build.Service{Store: s}
	builds.Mount(w.api)
	builds.MountDashboard(w.api)
	(&build.ArtifactService{Store: s}).Mount(w.api)
	(&build.VariableService{Store: s}).Mount(w.api)
	(&build.ResumeService{Store: s}).Mount(w.api)
	(&build.JobService{Store: s}).Mount(w.api)
	w.seed(true)
	return w
}

// everywhere runs f on every kind of table.
func everywhere(t *testing.T, f func(t *testing.T, w *works)) {
	t.Helper()
	t.Parallel()
	for name, o := range lagging {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, newWorks(t, o))
		})
	}
}

// build makes a build and returns its address.
func (w *works) build(number string) string {
	w.t.Helper()
	return "/builds/" + w.call(fmt.Sprintf(`POST /builds write {"build_number":%q}`, number)).want(201).id()
}

// reports reports states: "25 completed".
func (w *works) reports(at string, reports ...string) {
	w.t.Helper()
	for _, r := range reports {
		code, status, _ := strings.Cut(r, " ")
		w.call(fmt.Sprintf(`POST %s/state write {"state_code":%s,"status":%q}`, at, code, status)).want(200)
	}
}

// fails reports that a build has failed where it is.
func (w *works) fails(at string) {
	w.t.Helper()
	w.call(`POST ` + at + `/failure write {"error_message":"boom"}`).want(200)
}

// failed makes a build that has failed at 35 and done what comes before.
func (w *works) failed(number string) string {
	w.t.Helper()
	at := w.build(number)
	w.reports(at, "10 completed", "20 completed", "30 completed", "35 in_progress")
	w.fails(at)
	return at
}

// artifact registers an artifact and returns its address.
func (w *works) artifact(at, name string, code int, more string) string {
	w.t.Helper()
	body := fmt.Sprintf(`{"state_code":%d,"artifact_name":%q,"artifact_type":"vm_snapshot","artifact_path":"s3://b/k","storage_backend":"s3"%s}`, code, name, more)
	return at + "/artifacts/" + w.call("POST "+at+"/artifacts write "+body).want(201).id()
}

// history returns what is said of the acts on a build, oldest first, and
// requires that the chain holds.
func (w *works) history(at string) []build.HistoryRow {
	w.t.Helper()
	var rows []build.HistoryRow
	if err := json.Unmarshal([]byte(w.call("GET "+at+"/history?limit=1000 read").want(200).text), &rows); err != nil {
		w.t.Fatal(err)
	}
	w.call("GET "+at+"/history/verify read").want(200).has("valid", true, "rows", len(rows))
	for i, r := range rows {
		if r.Seq != i+1 {
			w.t.Errorf("row %d of the history says it is %d", i+1, r.Seq)
		}
	}
	return rows
}

// kinds returns the kinds of the acts on a build.
func (w *works) kinds(at string) []build.Kind {
	w.t.Helper()
	var out []build.Kind
	for _, r := range w.history(at) {
		out = append(out, r.Kind)
	}
	return out
}

// fields requires a field of the rows of a list, over all pages.
func (w *works) fields(path, field string, want ...any) {
	w.t.Helper()
	if want == nil {
		want = []any{}
	}
	for i, v := range want {
		if n, ok := v.(int); ok {
			want[i] = float64(n)
		}
	}
	if got := w.list(path, field); !reflect.DeepEqual(got, want) {
		w.t.Errorf("GET %s: %s are %v, want %v", path, field, got, want)
	}
}

// bound returns a context of a caller whose credential is bound to projects.
func bound(ctx context.Context, projects ...string) context.Context {
	return auth.WithRequest(ctx, &auth.Request{Caller: &auth.Caller{Username: "bound", Scopes: []string{"admin"}, Projects: projects}})
}
