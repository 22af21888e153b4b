package drive_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/drive"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// refuser is a plan that refuses.
type refuser struct{}

func (refuser) AutoResume(context.Context, string, int, string) error {
	return problem.New(problem.ArtifactMissing, "the artifact is gone")
}

// everyMinute runs the sweep as its schedule does, and relay between.
func (w *world) everyMinute(d time.Duration) (total drive.SweepReport) {
	w.t.Helper()
	for range int(d / time.Minute) {
		w.clock.Advance(time.Minute)
		r := w.runSweep()
		total.Looked, total.Ended, total.Started = total.Looked+r.Looked, total.Ended+r.Ended, total.Started+r.Started
		w.relayAll()
	}
	return total
}

func TestTheSweepFailsASilentWorkerThatTheMachineForgot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, _ := w.driven("n1")
	w.report(b.ID, 25, "in_progress", "runner-1")
	w.relayAll()
	w.machine.clear()
	w.everyMinute(build.DefaultHeartbeat - time.Minute)
	if got := w.build(b.ID); got.Status != build.InProgress {
		t.Fatalf("failed too early: %+v", got)
	}
	w.everyMinute(2 * time.Minute)
	got := w.build(b.ID)
	if got.Status != build.Failed || got.FailureClass != build.Stalled || !strings.Contains(got.Message, "runner-1") {
		t.Errorf("want stalled within a minute after its window, got %s %s %q", got.Status, got.FailureClass, got.Message)
	}
	if types := w.bus.types(); types[len(types)-1] != "stalled" {
		t.Errorf("published %q", types)
	}
}

func TestTheSweepFailsAStateOverItsLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, _ := w.driven("n1")
	w.report(b.ID, 25, "in_progress", "")
	w.relayAll()
	w.everyMinute(build.DefaultLimit(25) + time.Minute)
	if got := w.build(b.ID); got.Status != build.Failed || got.FailureClass != build.TimedOut {
		t.Errorf("want timed out, got %s %s", got.Status, got.FailureClass)
	}
}

func TestALeaseThatComesAsAHeartbeatIsWatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, _ := w.driven("n1")
	w.report(b.ID, 25, "in_progress", "")
	w.relayAll()
	w.everyMinute(30 * time.Minute)
	now := w.clock.Now()
	lease := build.Lease{Attempt: 1, Worker: "late", State: 25, At: now, Until: now.Add(2 * time.Minute)}
	row := table.Item{Key: table.Key{PK: "build#" + b.ID, SK: "lease"}, Rev: 1, Doc: mustJSON(lease)}
	if err := w.table.Write(t.Context(), table.PutOp(row, table.Cond{})); err != nil {
		t.Fatal(err)
	}
	w.relayAll()
	w.everyMinute(3 * time.Minute)
	if got := w.build(b.ID); got.FailureClass != build.Stalled {
		t.Errorf("want stalled, got %s %q", got.Status, got.FailureClass)
	}
}

func TestABuildWithoutAnExecutionGetsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.create("n1")
	w.changes() // relay never sees them
	r := drive.SweepReport{}
	for range 12 {
		w.clock.Advance(time.Minute)
		got := w.runSweep()
		r.Started += got.Started
	}
	if r.Started != 1 {
		t.Errorf("want one start, got %+v", r)
	}
	want(t, "the machine", w.machine.said(), "start "+b.ID+"-a1")
}

func TestAFailureThatNobodyDecidesAboutGetsAnotherExecution(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, execution, _ := w.driven("n1")
	w.fail(b.ID, build.Transient)
	w.relayAll()
	w.machine.clear()
	w.everyMinute(build.FirstLook + time.Minute)
	said := w.machine.said()
	if len(said) != 1 || !strings.HasPrefix(said[0], "start "+b.ID+"-a1-s") {
		t.Fatalf("want another execution of the same attempt, got %q", said)
	}
	other := strings.TrimPrefix(said[0], "start ")
	d := w.open(arn(other), drive.Ask{BuildID: b.ID, Attempt: 1, Previous: execution})
	if d.Next != build.Decide {
		t.Errorf("want it to decide, got %+v", d)
	}
	if old := w.task(w.tasks.RecordStall, d, execution); old.Next != build.Done {
		t.Errorf("the lost one wakes up and must be done, got %+v", old)
	}
}

func TestBuildsThatNeedNothingAreNotLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	done, _, _ := w.driven("n1")
	w.report(done.ID, 100, "completed", "")
	w.relayAll()
	waits, execution, _ := w.driven("n2")
	w.fail(waits.ID, build.Persistent)
	w.relayAll()
	w.task(w.tasks.DecideFailure, waitOf(w.build(waits.ID)), execution)
	w.relayAll()
	w.everyMinute(build.FirstLook + time.Minute) // one look to see that it was decided
	if r := w.everyMinute(60 * time.Minute); r.Looked != 0 {
		t.Errorf("looked %d times at builds that need nothing", r.Looked)
	}
}

func TestADeadExecutionFailsItsBuildAndTheNextResumeStartsAnother(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"FAILED", "TIMED_OUT", "ABORTED", ""} {
		w := newWorld(t)
		b, execution, _ := w.driven("n1")
		w.report(b.ID, 25, "in_progress", "r")
		w.relayAll()
		w.dies(execution, status)
		w.dies(execution, status)
		w.relayAll()
		got := w.build(b.ID)
		if got.Status != build.Failed || got.FailureClass != build.Aborted || got.Execution != "" || got.Decision == nil || got.Decision.Next != build.Await {
			t.Fatalf("%s: got %+v", status, got)
		}
		w.machine.clear()
		w.everyMinute(30 * time.Minute)
		want(t, "nobody starts it by itself", w.machine.said())
		w.report(b.ID, 25, "in_progress", "r")
		w.relayAll()
		want(t, "the machine", w.machine.said(), "start "+b.ID+"-a2")
	}
}

func TestADeadExecutionThatDrivesNothingChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, execution, _ := w.driven("n1")
	rev := w.build(b.ID).Rev
	w.dies(arn(b.ID+"-a7"), "ABORTED") // named after the build, drives it not
	w.dies(arn("somebody"), "FAILED")  // of nobody
	w.dies(arn("n1-a1"), "FAILED")     // looks like one of the build's number
	w.dies(execution, "RUNNING")       // the event lies
	w.report(b.ID, 100, "completed", "")
	done := w.build(b.ID).Rev
	w.dies(execution, "FAILED")
	if got := w.build(b.ID); got.Rev != done || done != rev+1 || got.Status != build.Completed {
		t.Errorf("got %+v", got)
	}
}

func TestADeadExecutionOfCIIsFoundByItsARN(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(arn("nightly"), map[string]string{"platform": "aws-commercial"})
	w.dies(arn("nightly"), "ABORTED")
	if got := w.build(d.BuildID); got.FailureClass != build.Aborted {
		t.Errorf("got %s %q", got.Status, got.FailureClass)
	}
}

func TestADeadExecutionIsReplacedWhenThePolicySaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy(build.Policy{Automatic: true, Classes: map[build.Class]build.ClassPolicy{build.Aborted: {Retries: 1, Backoff: []int{60}}}})
	b, execution, _ := w.driven("n1")
	w.dies(execution, "FAILED")
	said := w.machine.said()
	if len(said) != 1 || !strings.HasPrefix(said[0], "start "+b.ID+"-a1-r") {
		t.Fatalf("got %q", said)
	}
	d := w.open(arn(strings.TrimPrefix(said[0], "start ")), drive.Ask{BuildID: b.ID, Attempt: 1})
	if d.Next != build.Backoff || d.Delay != 60 {
		t.Errorf("want it to wait for the resume, got %+v", d)
	}
}

func TestTheBreakerOfALineOpensAndCloses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy(build.Policy{Automatic: true, Breaker: &build.BreakerRule{Failures: 3, Within: 3600},
		Classes: map[build.Class]build.ClassPolicy{build.Transient: {Retries: 9, Backoff: []int{0}}}})
	b, execution, _ := w.driven("n1")
	var d build.Drive
	for range 3 {
		w.fail(b.ID, build.Transient)
		if d = w.task(w.tasks.DecideFailure, waitOf(w.build(b.ID)), execution); d.Next == build.Backoff {
			w.task(w.tasks.ResumeBuild, d, execution)
		}
		w.clock.Advance(time.Minute)
	}
	if d.Next != build.Await || !strings.Contains(d.Reason, "breaker") {
		t.Fatalf("want the breaker to hold it, got %+v", d)
	}
	open, err := w.store.Breakers(t.Context())
	if err != nil || len(open) != 1 || open[0].ID != b.Line() {
		t.Fatalf("want one open breaker, got %+v, %v", open, err)
	}
	other := w.create("n2") // of the same line
	w.report(other.ID, 100, "completed", "")
	w.relayAll()
	k, err := w.store.Breaker(t.Context(), b.Line())
	if err != nil || k.Open || k.ClosedBy != "build "+other.ID {
		t.Errorf("want it closed by the success, got %+v, %v", k, err)
	}
	if open, _ = w.store.Breakers(t.Context()); len(open) != 0 {
		t.Errorf("still listed: %+v", open)
	}
}
