package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bldst/events"
	"bldst/localstack/bus"
	"bldst/localstack/clock"
	"bldst/shared/build"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// functions remembers what it was invoked with, and answers as it is told.
type functions struct {
	mu     sync.Mutex
	got    []string // "target payload"
	answer func(ctx context.Context, target string) error
}

func (f *functions) Invoke(ctx context.Context, target string, payload []byte) ([]byte, error) {
	f.mu.Lock()
	f.got = append(f.got, target+" "+string(payload))
	answer := f.answer
	f.mu.Unlock()
	if answer == nil {
		return nil, nil
	}
	return nil, answer(ctx, target)
}

// count returns how often the function was invoked.
func (f *functions) count(target string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, g := range f.got {
		if strings.HasPrefix(g, target+" ") {
			n++
		}
	}
	return n
}

func (f *functions) set(answer func(context.Context, string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func always(err error) func(context.Context, string) error {
	return func(context.Context, string) error { return err }
}

// rules are the deployed ones without the schedule.
func rules() []events.Rule {
	return slices.DeleteFunc(events.Bind(events.Rules, "arn:machine"), func(r events.Rule) bool { return r.Schedule != "" })
}

func open(t *testing.T, path string, c *clock.Fake, f *functions, rules []events.Rule) *bus.Bus {
	t.Helper()
	b, err := bus.Open(bus.Options{Path: path, Rules: rules, Invoker: f, Clock: c, NewID: func() string { return "id" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func failed(n int) build.Event {
	return build.Event{ID: "b1@" + string(rune('0'+n)) + ":build.failed", Type: build.EventFailed, Time: noon, BuildID: "b1", Status: build.Failed}
}

func TestAnEventReachesTheFunctionOfItsRuleInItsEnvelope(t *testing.T) {
	t.Parallel()
	c, f := clock.NewFake(noon), &functions{}
	b := open(t, filepath.Join(t.TempDir(), "bus.db"), c, f, rules())
	created := build.Event{ID: "b1@1:build.created", Type: build.EventCreated, Time: noon, BuildID: "b1"}
	if err := b.Publish(t.Context(), []build.Event{created, failed(2)}); err != nil {
		t.Fatal(err)
	}
	b.Settle()
	if len(f.got) != 1 {
		t.Fatalf("want one invocation, got %v", f.got)
	}
	var got bus.Event
	if err := json.Unmarshal([]byte(strings.TrimPrefix(f.got[0], "notify ")), &got); err != nil {
		t.Fatal(err)
	}
	var detail build.Event
	if err := json.Unmarshal(got.Detail, &detail); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(failed(2), detail); d != "" {
		t.Error(d)
	}
	got.Detail, got.ID = nil, ""
	want := bus.Event{Version: "0", DetailType: "build.failed", Source: "bldst", Account: bus.Account, Region: bus.Region, Time: noon, Resources: []string{}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAnExecutionThatWasAbortedReachesReconcile(t *testing.T) {
	t.Parallel()
	c, f := clock.NewFake(noon), &functions{}
	b := open(t, filepath.Join(t.TempDir(), "bus.db"), c, f, rules())
	for _, status := range []string{"RUNNING", "SUCCEEDED", "ABORTED"} {
		envelope := map[string]any{"version": "0", "id": "e-" + status, "source": events.StatesSource, "detail-type": events.StatesChange, "account": bus.Account, "region": bus.Region,
			"time": noon, "resources": []string{"arn:execution"}, "detail": map[string]any{"status": status, "stateMachineArn": "arn:machine", "name": "b1-a1"}}
		if err := b.Take(t.Context(), envelope); err != nil {
			t.Fatal(err)
		}
	}
	b.Settle()
	if len(f.got) != 1 || f.count("reconcile") != 1 || !strings.Contains(f.got[0], `"id":"e-ABORTED"`) {
		t.Errorf("want reconcile to get the aborted one, got %v", f.got)
	}
}

func TestAFailingFunctionIsTriedThreeTimesAndThenTheEventIsADeadLetter(t *testing.T) {
	t.Parallel()
	c, f := clock.NewFake(noon), &functions{}
	f.set(always(errors.New("broken")))
	b := open(t, filepath.Join(t.TempDir(), "bus.db"), c, f, rules())
	c.OnStep(b.Settle)
	if err := b.Publish(t.Context(), []build.Event{failed(1)}); err != nil {
		t.Fatal(err)
	}
	c.Advance(59 * time.Second)
	if n := f.count("notify"); n != 1 {
		t.Errorf("tried %d times within a minute, want 1", n)
	}
	c.Advance(time.Hour)
	if n := f.count("notify"); n != 3 {
		t.Errorf("tried %d times, want 3", n)
	}
	dead, err := b.DeadLetters()
	if err != nil || len(dead) != 1 || dead[0].Target != "notify" || dead[0].Tries != 3 || dead[0].Error != "broken" || !dead[0].At.Equal(noon.Add(3*time.Minute)) {
		t.Fatalf("want one dead letter at 12:03, got %+v %v", dead, err)
	}
	f.set(nil)
	if err := b.Redrive(dead[0].Key); err != nil {
		t.Fatal(err)
	}
	b.Settle()
	if dead, _ := b.DeadLetters(); len(dead) != 0 || f.count("notify") != 4 {
		t.Errorf("a dead letter that was redriven is left: %+v", dead)
	}
	if b.Redrive("nonsense") == nil {
		t.Error("a dead letter that does not exist was redriven")
	}
}

func TestAnEventPublishedAgainWhileItWaitsIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	c, f := clock.NewFake(noon), &functions{}
	release := make(chan struct{})
	f.set(func(ctx context.Context, _ string) error { <-release; return nil })
	b := open(t, filepath.Join(t.TempDir(), "bus.db"), c, f, rules())
	for range 5 {
		if err := b.Publish(t.Context(), []build.Event{failed(1)}); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	b.Settle()
	if n := f.count("notify"); n != 1 {
		t.Errorf("delivered %d times, want 1", n)
	}
}

func TestAFunctionThatHangsHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	c, f := clock.NewFake(noon), &functions{}
	dispatched := make(chan struct{}, 100)
	f.set(func(ctx context.Context, target string) error {
		if target == "notify" {
			<-ctx.Done()
			return ctx.Err()
		}
		dispatched <- struct{}{}
		return nil
	})
	b := open(t, filepath.Join(t.TempDir(), "bus.db"), c, f, rules())
	var es []build.Event
	for n := range 40 {
		e := failed(1)
		e.ID += string(rune('a' + n))
		es = append(es, e)
	}
	es = append(es, build.Event{ID: "b1@9:build.resume_requested", Type: build.EventResumeRequested, Time: noon})
	if err := b.Publish(t.Context(), es); err != nil {
		t.Fatal(err)
	}
	<-dispatched
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n := f.count("notify"); n != 16 {
		t.Errorf("%d invocations at once, want 16", n)
	}
}

func TestWhatWasTakenSurvivesARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bus.db")
	c, f := clock.NewFake(noon), &functions{}
	f.set(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
	b := open(t, path, c, f, rules())
	if err := b.Publish(t.Context(), []build.Event{failed(1), failed(2)}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), []build.Event{failed(3)}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a closed bus took an event: %v", err)
	}
	g := &functions{}
	b = open(t, path, c, g, rules())
	b.Settle()
	if n := g.count("notify"); n != 2 {
		t.Errorf("delivered %d after the restart, want 2", n)
	}
	if dead, err := b.DeadLetters(); len(dead) != 0 || err != nil {
		t.Errorf("dead letters: %+v %v", dead, err)
	}
}

func TestTheScheduleTicksEveryMinute(t *testing.T) {
	t.Parallel()
	c, f := clock.NewFake(noon), &functions{}
	f.set(always(errors.New("broken")))
	b := open(t, filepath.Join(t.TempDir(), "bus.db"), c, f, events.Bind(events.Rules, "arn:machine"))
	c.OnStep(b.Settle)
	c.Advance(10*time.Minute + 30*time.Second)
	if n := f.count("sweep"); n != 10 {
		t.Errorf("swept %d times, want 10: every minute, failing or not", n)
	}
	want := `sweep {"version":"0","id":"id","detail-type":"Scheduled Event","source":"aws.events","account":"000000000000",` +
		`"time":"2026-03-04T12:01:00Z","region":"us-east-1","resources":["arn:aws:events:us-east-1:000000000000:rule/bldst-sweep"],"detail":{}}`
	if d := cmp.Diff(want, f.got[0]); d != "" {
		t.Error(d)
	}
}

func TestARuleThatIsWrongStopsTheStart(t *testing.T) {
	t.Parallel()
	_, err := bus.Open(bus.Options{Path: filepath.Join(t.TempDir(), "bus.db"), Rules: rules(), Functions: []string{"notify"}, Invoker: &functions{}})
	if err == nil || !strings.Contains(err.Error(), "events/rules.go") || !strings.Contains(err.Error(), "bldst-dispatch") {
		t.Errorf("want an error with the file and the rule, got %v", err)
	}
}
