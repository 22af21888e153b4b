package drive_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"bldst/shared/build"
	"bldst/shared/drive"
	"bldst/shared/table"
	"bldst/shared/table/stream"
)

func TestANewBuildGetsOneExecutionNamedAfterItsAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.create("n1")
	cs := w.changes()
	for range 5 {
		w.handle(cs)
	}
	want(t, "the machine", w.machine.said(), "start "+b.ID+"-a1")
	want(t, "the bus", w.bus.types(), "created")
}

func TestABuildThatCIOpenedIsNotStartedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(arn("nightly"), map[string]string{"platform": "aws-commercial", "build_number": "n1"})
	w.relayAll()
	want(t, "the machine", w.machine.said())
	if b := w.build(d.BuildID); b.Execution != arn("nightly") || b.Number != "n1" {
		t.Errorf("want n1 driven by nightly, got %s by %s", b.Number, b.Execution)
	}
}

func TestAReportThatMovesTheCodeAnswersTheMachineOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, _ := w.driven("n1")
	w.report(b.ID, 25, "in_progress", "")
	cs := w.changes()
	for range 5 {
		w.handle(cs)
	}
	want(t, "the machine", w.machine.said(), "answer t1 await 25")
	if d := w.driver(b.ID); d.Token != "" {
		t.Errorf("the token is still parked: %+v", d)
	}
	want(t, "the bus", w.bus.types(), "created", "state_changed")
}

func TestAReportThatDoesNotMoveTheCodeBeats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, execution, _ := w.driven("n1")
	w.report(b.ID, 25, "in_progress", "")
	w.relayAll()
	w.wait(w.machine.last, execution, "t2")
	w.machine.clear()
	w.report(b.ID, 25, "in_progress", "")
	w.relayAll()
	want(t, "the machine", w.machine.said(), "beat t2")
}

func TestAHeartbeatBeatsAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, execution, _ := w.driven("n1")
	w.report(b.ID, 25, "in_progress", "runner-1")
	w.relayAll()
	w.wait(w.machine.last, execution, "t2")
	w.relayAll()
	w.machine.clear()
	lease := *w.build(b.ID).Lease
	lease.Until = lease.Until.Add(lease.Until.Sub(lease.At))
	before := w.build(b.ID).Rev
	old := table.Item{Key: table.Key{PK: "build#" + b.ID, SK: "lease"}, Rev: 1, Doc: mustJSON(lease)}
	if err := w.table.Write(t.Context(), table.PutOp(old, table.Cond{})); err != nil {
		t.Fatal(err)
	}
	w.relayAll()
	want(t, "the machine", w.machine.said(), "beat t2")
	if got := w.build(b.ID).Rev; got != before {
		t.Errorf("the build changed from revision %d to %d", before, got)
	}
}

func TestTheEndOfABuildEndsItsExecution(t *testing.T) {
	t.Parallel()
	for status, next := range map[string]string{"completed": "done", "cancelled": "done", "failed": "decide"} {
		w := newWorld(t)
		b, _, _ := w.driven("n1")
		w.report(b.ID, 100, status, "")
		w.relayAll()
		want(t, status, w.machine.said(), "answer t1 "+next+" 100")
	}
}

func TestRecordsInAnyOrderAndOftenDoTheSame(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := newWorld(t)
		b := w.create("n1")
		w.report(b.ID, 5, "in_progress", "r")
		w.report(b.ID, 5, "completed", "r")
		w.fail(b.ID, build.Transient)
		w.report(b.ID, 5, "in_progress", "r2")
		w.report(b.ID, 5, "completed", "r2")
		w.report(b.ID, 100, "completed", "r2")
		var cs []table.Change
		for _, c := range w.changes() {
			for range 5 {
				cs = append(cs, c)
			}
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		rnd.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
		for chunk := range slices.Chunk(cs, 1+int(seed)) {
			if failed := w.handle(chunk); len(failed) > 0 {
				t.Fatalf("seed %d: failed records %v", seed, failed)
			}
		}
		got := w.bus.types()
		slices.Sort(got)
		want(t, "the bus", got, "completed", "created", "failed", "recovered", "state_changed", "state_changed", "state_changed", "state_changed")
		if said := w.machine.said(); len(said) != 0 {
			t.Errorf("seed %d: a build that has ended needs no execution, got %q", seed, said)
		}
		sum, err := w.store.Summary(t.Context())
		if err != nil || sum.TotalBuilds != 1 || sum.CompletedBuilds != 1 {
			t.Errorf("seed %d: counted %+v, %v", seed, sum, err)
		}
	}
}

func TestAResumeAfterTheExecutionEndedStartsAnotherOneLinkedToIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, execution, _ := w.driven("n1")
	w.fail(b.ID, build.Persistent)
	w.relayAll()
	w.machine.set(execution, "FAILED")
	w.machine.clear()
	w.report(b.ID, 0, "in_progress", "")
	w.relayAll()
	want(t, "the machine", w.machine.said(), "start "+b.ID+"-a2")
	d := w.open(arn(b.ID+"-a2"), drive.Ask{BuildID: b.ID, Attempt: 2, Previous: execution})
	if d.Next != build.Await || w.build(b.ID).Execution != arn(b.ID+"-a2") {
		t.Errorf("want it to drive the build, got %+v and %s", d, w.build(b.ID).Execution)
	}
}

func TestAResumeWhileTheMachineDecidesStartsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, _ := w.driven("n1")
	w.fail(b.ID, build.Persistent)
	w.relayAll()
	w.machine.clear()
	w.report(b.ID, 0, "in_progress", "") // the machine has no token now
	w.relayAll()
	want(t, "the machine", w.machine.said())
}

func TestAPoisonedRecordFailsAloneAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.create("n1")
	bad := table.Item{Key: table.Key{PK: "build#poison", SK: "a"}, Rev: 1, Doc: []byte(`{"id":7}`)}
	if err := w.table.Write(t.Context(), table.PutOp(bad, table.Cond{})); err != nil {
		t.Fatal(err)
	}
	b := w.create("n2")
	cs := w.changes()
	e := stream.Event(cs)
	delete(e.Records[0].Change.NewImage, table.AttrPK) // not of the table at all
	out, err := w.relay.Handle(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range out.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	poison := slices.IndexFunc(cs, func(c table.Change) bool { return c.Key.PK == "build#poison" })
	if !slices.Contains(failed, cs[poison].Seq) {
		t.Errorf("the poisoned record is not among the failed ones: %q", failed)
	}
	said := w.machine.said()
	slices.Sort(said)
	starts := []string{"start " + b.ID + "-a1"}
	if len(failed) == 1 {
		starts = append(starts, "start "+a.ID+"-a1")
	}
	slices.Sort(starts)
	want(t, "the machine", said, starts...)
}

func TestWhenTheWorkflowIsDownTheRecordComesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, _ := w.driven("n1")
	w.report(b.ID, 25, "in_progress", "")
	cs := w.changes()
	w.machine.down = errors.New("down")
	if failed := w.handle(cs); len(failed) == 0 {
		t.Error("the record was taken although nobody was told")
	}
	w.machine.down, w.bus.down = nil, errors.New("down")
	if failed := w.handle(cs); len(failed) == 0 {
		t.Error("the record was taken although nothing was published")
	}
	w.bus.down = nil
	if failed := w.handle(cs); len(failed) != 0 {
		t.Errorf("want it to be dealt with now, got %v", failed)
	}
	want(t, "the bus", w.bus.types(), "created", "state_changed")
}
