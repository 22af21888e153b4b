package drive_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bldst/localstack/clock"
	embedded "bldst/localstack/table"
	"bldst/shared/api"
	"bldst/shared/build"
	"bldst/shared/drive"
	"bldst/shared/problem"
	"bldst/shared/store"
	"bldst/shared/table"
	"bldst/shared/table/stream"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// A world is a store on the embedded table, a clock that is moved by hand, and
// a workflow that only records what it is told.
type world struct {
	t       *testing.T
	clock   *clock.Fake
	table   *embedded.Table
	store   *store.Store
	machine *recorder
	bus     *published
	tasks   *drive.Tasks
	relay   *drive.Relay
	sweep   *drive.Sweep
	repair  *drive.Reconcile
	at      string // how far the feed was read
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewFake(noon), machine: newRecorder(), bus: &published{}}
	var err error
	if w.table, err = embedded.Open(filepath.Join(t.TempDir(), "table.db"), embedded.Options{Feed: true, Now: w.clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.table.Close() })
	w.store = store.New(w.table)
	w.store.Now = w.clock.Now
	quiet := slog.New(slog.DiscardHandler)
	w.tasks = &drive.Tasks{Store: w.store, Machine: w.machine, Resumer: reopen{w.store}}
	w.relay = &drive.Relay{Store: w.store, Machine: w.machine, Events: w.bus, Log: quiet}
	w.sweep = &drive.Sweep{Store: w.store, Machine: w.machine, Log: quiet}
	w.repair = &drive.Reconcile{Store: w.store, Machine: w.machine, Log: quiet}
	if err := w.store.SeedReference(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	w.changes()
	return w
}

// changes returns the changes of the table since it was last asked.
func (w *world) changes() []table.Change {
	w.t.Helper()
	var all []table.Change
	over, cancel := context.WithCancel(w.t.Context())
	cancel() // do not wait for further ones
	for {
		cs, err := w.table.Changes(over, w.at, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(cs) == 0 {
			return all
		}
		all, w.at = append(all, cs...), cs[len(cs)-1].Seq
	}
}

// handle gives relay changes; it returns the records it could not deal with.
func (w *world) handle(cs []table.Change) []events.DynamoDBBatchItemFailure {
	w.t.Helper()
	out, err := w.relay.Handle(w.t.Context(), stream.Event(cs))
	if err != nil {
		w.t.Fatal(err)
	}
	return out.BatchItemFailures
}

// relayAll lets relay deal with everything that has changed.
func (w *world) relayAll() {
	w.t.Helper()
	for cs := w.changes(); len(cs) > 0; cs = w.changes() {
		if failed := w.handle(cs); len(failed) > 0 {
			w.t.Fatalf("relay failed: %v", failed)
		}
	}
}

// create makes a build.
func (w *world) create(number string) *build.Build {
	w.t.Helper()
	c, err := build.CreateIn{BuildNumber: number, Platform: "aws-commercial", ImageType: "base"}.Normalise()
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := w.store.CreateBuild(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// report reports a state; with a worker it gets a lease.
func (w *world) report(id string, code int, status, worker string) *build.Build {
	w.t.Helper()
	b, _, err := w.store.ChangeBuild(w.t.Context(), id, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		r, err := build.ReportIn{StateCode: api.IntOrString{Int: &code}, Status: status, Worker: worker}.Normalise(b.Current, rules)
		if err != nil {
			return build.Entry{}, err
		}
		b.Cancelling = r.How == build.Cancelled // somebody has asked for it
		e, err := b.Advance(r, rules, now)
		if worker != "" && b.Status.Active() {
			window, _ := rules.Windows(b.Current)
			b.Lease = &build.Lease{Attempt: b.Attempt, Worker: worker, State: b.Current, Until: now.Add(window), At: now}
		}
		return e, err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// fail reports a failure of a class.
func (w *world) fail(id string, class build.Class) *build.Build {
	w.t.Helper()
	b, _, err := w.store.ChangeBuild(w.t.Context(), id, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		return b.Fail(build.FailureIn{ErrorMessage: "it broke", FailureClass: string(class)}, rules, now)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) build(id string) *build.Build {
	w.t.Helper()
	b, err := w.store.Build(w.t.Context(), id, true)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) driver(id string) build.Driver {
	w.t.Helper()
	d, err := w.store.Driven(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d.Driver
}

// policy gives the default project a policy.
func (w *world) policy(p build.Policy) {
	w.t.Helper()
	p, err := p.Normalise()
	if err == nil {
		_, err = w.store.SetPolicy(w.t.Context(), "default", p, func(int64) error { return nil })
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// open runs the task open-build of the execution that drives b.
func (w *world) open(execution string, input any) build.Drive {
	w.t.Helper()
	d, err := w.tasks.OpenBuild(w.t.Context(), openIn(execution, input))
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func openIn(execution string, input any) drive.OpenIn {
	raw, err := json.Marshal(input)
	if err != nil {
		panic(err)
	}
	return drive.OpenIn{Execution: execution, Input: raw}
}

// wait runs the task await-report after d, with a token.
func (w *world) wait(d build.Drive, execution, token string) {
	w.t.Helper()
	w.machine.waits(token)
	if _, err := w.tasks.AwaitReport(w.t.Context(), waitIn(d, execution, token, "")); err != nil {
		w.t.Fatal(err)
	}
}

func waitIn(d build.Drive, execution, token, failure string) drive.WaitIn {
	return drive.WaitIn{BuildID: d.BuildID, Revision: d.Revision, State: d.State, Status: d.Status, Attempt: d.Attempt, Execution: execution, Token: token, Error: failure}
}

// task runs one of the other tasks.
func (w *world) task(f func(context.Context, drive.WaitIn) (build.Drive, error), d build.Drive, execution string) build.Drive {
	w.t.Helper()
	out, err := f(w.t.Context(), waitIn(d, execution, "", "States.Timeout"))
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// driven makes a build whose execution waits with the token t1.
func (w *world) driven(number string) (*build.Build, string, build.Drive) {
	w.t.Helper()
	b := w.create(number)
	w.relayAll()
	execution := arn(b.ID + "-a1")
	d := w.open(execution, drive.Ask{BuildID: b.ID, Attempt: 1})
	w.wait(d, execution, "t1")
	w.machine.clear()
	return b, execution, d
}

func (w *world) runSweep() drive.SweepReport {
	w.t.Helper()
	r, err := w.sweep.Run(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// dies is the event of an execution that has ended.
func (w *world) dies(execution, status string) {
	w.t.Helper()
	w.machine.set(execution, status)
	e := events.EventBridgeEvent{ID: "1", Detail: json.RawMessage(fmt.Sprintf(`{"executionArn":%q,"status":"RUNNING","input":"{\"build_id\":\"another\"}"}`, execution))}
	if err := w.repair.Handle(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
}

func arn(name string) string {
	return "arn:aws:states:us-east-1:000000000000:execution:bldst-build:" + name
}

// A recorder is a workflow that remembers what it was told. Executions run
// until set says otherwise; a token can be answered once.
type recorder struct {
	mu       sync.Mutex
	statuses map[string]string
	waiting  map[string]bool
	calls    []string
	last     build.Drive // of the newest answer
	down     error
}

func newRecorder() *recorder {
	return &recorder{statuses: map[string]string{}, waiting: map[string]bool{}}
}

func (r *recorder) note(format string, args ...any) {
	r.calls = append(r.calls, fmt.Sprintf(format, args...))
}

func (r *recorder) Start(_ context.Context, name string, _ any) (string, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down != nil {
		return "", false, r.down
	}
	if r.statuses[arn(name)] != "" {
		return "", false, nil
	}
	r.statuses[arn(name)] = "RUNNING"
	r.note("start %s", name)
	return arn(name), true, nil
}

func (r *recorder) Succeed(_ context.Context, token string, output any) (bool, error) {
	d := output.(build.Drive)
	if d.Next != build.Await {
		return false, fmt.Errorf("the machine would wait again, but %s is next", d.Next)
	}
	return r.answer(token, d)
}

func (r *recorder) Fail(_ context.Context, token, name, cause string) (bool, error) {
	var d build.Drive
	if err := json.Unmarshal([]byte(cause), &d); err != nil || name != drive.AnswerError || d.Next == build.Await {
		return false, fmt.Errorf("the machine does not take %s: %s", name, cause)
	}
	return r.answer(token, d)
}

func (r *recorder) Stop(_ context.Context, execution, _ string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.statuses[execution] == "RUNNING" {
		r.statuses[execution] = "ABORTED"
		r.note("stop %s", execution)
	}
	return r.down
}

func (r *recorder) answer(token string, d build.Drive) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down != nil {
		return false, r.down
	}
	if !r.waiting[token] {
		r.note("too late %s", token)
		return false, nil
	}
	delete(r.waiting, token)
	r.last = d
	r.note("answer %s %s %d", token, r.last.Next, r.last.State)
	return true, nil
}

func (r *recorder) Beat(_ context.Context, token string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.waiting[token] {
		return false, r.down
	}
	r.note("beat %s", token)
	return true, r.down
}

func (r *recorder) Status(_ context.Context, execution string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.statuses[execution], r.down
}

func (r *recorder) set(execution, status string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statuses[execution] = status
}

func (r *recorder) waits(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[token] = true
}

func (r *recorder) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = nil
}

// said returns the calls since the last clear.
func (r *recorder) said() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// published are the events that were published.
type published struct {
	mu   sync.Mutex
	all  []build.Event
	down error
}

func (p *published) Publish(_ context.Context, es []build.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down != nil {
		return p.down
	}
	p.all = append(p.all, es...)
	return nil
}

// types returns what was published, in words.
func (p *published) types() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]string, len(p.all))
	for i, e := range p.all {
		out[i] = strings.TrimPrefix(string(e.Type), "build.")
	}
	return out
}

// reopen opens the next attempt without asking a plan.
type reopen struct{ s *store.Store }

func (r reopen) AutoResume(ctx context.Context, id string, attempt int, reason string) error {
	_, _, err := r.s.ChangeBuild(ctx, id, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		if b.Status != build.Failed || b.Attempt != attempt {
			return build.Entry{}, problem.New(problem.ResumeInProgress, "attempt %d is there", b.Attempt)
		}
		code := b.Current
		rep, err := build.ReportIn{StateCode: api.IntOrString{Int: &code}, Message: reason}.Normalise(code, rules)
		if err != nil {
			return build.Entry{}, err
		}
		return b.Advance(rep, rules, now)
	})
	return err
}

// want compares what was said with what was to be.
func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: want %q, got %q", what, want, got)
	}
}
