package drive_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/drive"
)

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func TestOpenBuildTakesTheBodyOfEveryGeneration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ input, number string }{
		"the newest":                      {`{"project_id":"default","platform_id":"aws-commercial","os_version_id":"rhel-8.8","image_type_id":"base","build_number":"n1"}`, "n1"},
		"the oldest":                      {`{"platform":"aws-commercial","os_version":"rhel-8.8","image_type":"base","build_id":"n1"}`, "n1"},
		"without a number":                {`{"platform":"aws-commercial"}`, "nightly-7"},
		"with fields nobody knows, nulls": {`{"platform":"aws-commercial","build_number":"n1","what":{},"metadata":null}`, "n1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			execution := arn("nightly-7")
			first := w.open(execution, json.RawMessage(c.input))
			again := w.open(execution, json.RawMessage(c.input)) // the task is retried
			b := w.build(first.BuildID)
			if b.Number != c.number || b.Execution != execution || b.PlatformID != "aws-commercial" || first.Next != build.Await || again.BuildID != first.BuildID || again.Next != build.Await {
				t.Errorf("got %+v, %+v and the build %+v", first, again, b)
			}
		})
	}
}

func TestASecondExecutionForABuildEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := map[string]string{"platform": "aws-commercial", "build_number": "n1"}
	w.machine.set(arn("one"), "RUNNING")
	first := w.open(arn("one"), body)
	second := w.open(arn("two"), body)
	if second.Next != build.Done || second.AttachedTo != arn("one") || second.BuildID != first.BuildID {
		t.Errorf("got %+v", second)
	}
	w.machine.set(arn("one"), "ABORTED")
	third := w.open(arn("three"), body)
	if third.Next != build.Await || third.AttachedTo != "" || w.build(first.BuildID).Execution != arn("three") {
		t.Errorf("the one that drove it is dead; got %+v, driven by %s", third, w.build(first.BuildID).Execution)
	}
}

func TestOpenBuildRefusesWhatTryingAgainCannotHelp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		input any
		want  string
	}{
		"no document":               {"[]", "Expected object"},
		"an unknown platform":       {map[string]string{"platform": "moon"}, "moon"},
		"a build that is not there": {drive.Ask{BuildID: "0190c0de-0000-7000-8000-00000000dead", Attempt: 2}, "not found"},
		"a text that is too long":   {map[string]string{"commit_hash": strings.Repeat("x", 201)}, "commit_hash]: Expected length <= 200"},
		"the number of another":     {map[string]string{"build_number": "n1", "platform": "azure"}, "another platform"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create("n1")
			_, err := w.tasks.OpenBuild(t.Context(), openIn(arn("x"), c.input))
			var refused *drive.Refused
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want Refused with %q, got %v", c.want, err)
			}
		})
	}
}

func TestAReportBeforeTheTokenIsParkedIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.create("n1")
	execution := arn(b.ID + "-a1")
	d := w.open(execution, drive.Ask{BuildID: b.ID, Attempt: 1})
	w.report(b.ID, 25, "in_progress", "")
	w.relayAll()
	w.machine.clear()
	w.wait(d, execution, "t1")
	want(t, "the machine", w.machine.said(), "answer t1 await 25")
}

func TestAChangeThatIsNoMoveDoesNotKeepATokenFromBeingParked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.create("n1")
	execution := arn(b.ID + "-a1")
	d := w.open(execution, drive.Ask{BuildID: b.ID, Attempt: 1})
	if _, _, err := w.store.ChangeBuild(t.Context(), b.ID, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		text := "another text"
		return b.Update(build.UpdateIn{Description: &text}, rules, now)
	}); err != nil {
		t.Fatal(err)
	}
	w.wait(d, execution, "t1")
	want(t, "the machine", w.machine.said())
	if got := w.driver(b.ID).Token; got != "t1" {
		t.Errorf("parked %q", got)
	}
}

func TestRecordStall(t *testing.T) {
	t.Parallel()
	window, limit := build.DefaultHeartbeat, build.DefaultLimit(25)
	for name, c := range map[string]struct {
		worker string
		later  time.Duration
		before func(*world, string)
		next   build.Step
		class  build.Class
	}{
		"a silent worker is stalled":                       {worker: "r", later: window + build.Grace, next: build.Decide, class: build.Stalled},
		"a worker whose lease is live is waited for":       {worker: "r", later: window / 2, next: build.Await},
		"a slow state is timed out":                        {later: limit, next: build.Decide, class: build.TimedOut},
		"a caller without a worker is never stalled":       {later: limit - time.Minute, next: build.Await},
		"a report that came meanwhile goes on":             {later: limit, before: func(w *world, id string) { w.report(id, 30, "in_progress", "") }, next: build.Await},
		"a report that moves nothing shows life":           {worker: "r", later: window + build.Grace, before: func(w *world, id string) { w.report(id, 25, "in_progress", "") }, next: build.Await},
		"a failure that came meanwhile is decided about":   {later: limit, before: func(w *world, id string) { w.fail(id, build.Quota) }, next: build.Decide, class: build.Quota},
		"the limit of a state is not moved by its reports": {later: limit, before: func(w *world, id string) { w.report(id, 25, "in_progress", "") }, next: build.Decide, class: build.TimedOut},
		"a build that is to be cancelled is cancelled":     {worker: "r", later: window, before: cancel, next: build.Done},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.create("n1")
			execution := arn(b.ID + "-a1")
			w.report(b.ID, 25, "in_progress", c.worker)
			d := w.open(execution, drive.Ask{BuildID: b.ID, Attempt: 1})
			w.clock.Advance(c.later)
			if c.before != nil {
				c.before(w, b.ID)
			}
			out := w.task(w.tasks.RecordStall, d, execution)
			after := w.build(b.ID)
			if out.Next != c.next || after.FailureClass != c.class || out.Revision != after.Rev {
				t.Errorf("want %s %q, got %s %q (%+v)", c.next, c.class, out.Next, after.FailureClass, out)
			}
			if again := w.task(w.tasks.RecordStall, d, execution); again.Next != out.Next || w.build(b.ID).Rev != after.Rev {
				t.Errorf("asked again it says %s and not %s, at revision %d after %d", again.Next, out.Next, w.build(b.ID).Rev, after.Rev)
			}
		})
	}
}

// cancel asks the worker to stop.
func cancel(w *world, id string) {
	w.t.Helper()
	if _, _, err := w.store.ChangeBuild(w.t.Context(), id, func(b *build.Build, _ build.Rules, _ time.Time) (build.Entry, error) {
		b.Cancelling = true
		return build.Entry{Kind: build.CancelRequested}, nil
	}); err != nil {
		w.t.Fatal(err)
	}
}

func TestAFailedBuildIsGivenUpAfterNinetyDaysAndCanStillBeResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, execution, _ := w.driven("n1")
	w.fail(b.ID, build.Persistent)
	w.relayAll()
	d := w.task(w.tasks.DecideFailure, w.machine.last, execution)
	w.wait(d, execution, "t2")
	w.clock.Advance(build.PersonWait)
	out := w.task(w.tasks.RecordStall, d, execution)
	if out.Next != build.GiveUp || w.build(b.ID).Execution != "" {
		t.Fatalf("want it given up, got %+v and %q", out, w.build(b.ID).Execution)
	}
	w.relayAll()
	w.machine.clear()
	w.report(b.ID, 0, "in_progress", "")
	w.relayAll()
	want(t, "the machine", w.machine.said(), "start "+b.ID+"-a2")
}

func TestDecisionsAndResumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy(build.Policy{Automatic: true, Classes: map[build.Class]build.ClassPolicy{build.Transient: {Retries: 2, Backoff: []int{10, 20}}}})
	b, execution, _ := w.driven("n1")
	for i, delay := range []int{10, 20} {
		w.fail(b.ID, build.Transient)
		w.relayAll()
		d := w.task(w.tasks.DecideFailure, waitOf(w.build(b.ID)), execution)
		if again := w.task(w.tasks.DecideFailure, d, execution); d.Next != build.Backoff || d.Delay != delay || again != d {
			t.Fatalf("failure %d: want backoff of %d twice, got %+v and %+v", i, delay, d, again)
		}
		w.clock.Advance(time.Duration(delay) * time.Second)
		if d = w.task(w.tasks.ResumeBuild, d, execution); d.Next != build.Await || d.Attempt != i+2 {
			t.Fatalf("failure %d: want attempt %d, got %+v", i, i+2, d)
		}
		if again := w.task(w.tasks.ResumeBuild, d, execution); again.Attempt != i+2 {
			t.Fatalf("failure %d: resumed twice: %+v", i, again)
		}
	}
	w.fail(b.ID, build.Transient)
	d := w.task(w.tasks.DecideFailure, waitOf(w.build(b.ID)), execution)
	if d.Next != build.Await || !strings.Contains(d.Reason, "used up") {
		t.Errorf("want a person, got %+v", d)
	}
	w.relayAll()
	if got := w.bus.types(); got[len(got)-1] != "waiting" {
		t.Errorf("want it to be told that it waits, got %q", got)
	}
	_, rows, _, err := w.store.History(t.Context(), b.ID, build.HistoryQuery{Kinds: []build.Kind{build.Decided}, Limit: 10})
	if err != nil || len(rows) != 3 {
		t.Errorf("want three decisions in the history, got %d, %v", len(rows), err)
	}
}

// waitOf returns what the machine knows of b.
func waitOf(b *build.Build) build.Drive {
	return build.Drive{BuildID: b.ID, Revision: b.Rev, State: b.Current, Status: b.Status, Attempt: b.Attempt}
}

func TestAResumeThatIsRefusedWaitsForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy(build.Policy{Automatic: true, Classes: map[build.Class]build.ClassPolicy{build.Transient: {Retries: 2, Backoff: []int{0}}}})
	b, execution, _ := w.driven("n1")
	w.fail(b.ID, build.Transient)
	d := w.task(w.tasks.DecideFailure, waitOf(w.build(b.ID)), execution)
	w.tasks.Resumer = refuser{}
	d = w.task(w.tasks.ResumeBuild, d, execution)
	if d.Next != build.Await || d.Attempt != 1 || !strings.Contains(d.Reason, "the artifact is gone") {
		t.Errorf("got %+v", d)
	}
}

func TestAnExecutionThatWasReplacedIsDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, execution, d := w.driven("n1")
	w.machine.set(execution, "ABORTED")
	w.open(arn("other"), drive.Ask{BuildID: b.ID, Attempt: 1})
	w.machine.waits("t9")
	w.machine.clear()
	for _, f := range []func() build.Drive{
		func() build.Drive { return w.task(w.tasks.RecordStall, d, execution) },
		func() build.Drive { return w.task(w.tasks.DecideFailure, d, execution) },
		func() build.Drive { return w.task(w.tasks.ResumeBuild, d, execution) },
	} {
		if out := f(); out.Next != build.Done || out.AttachedTo != arn("other") {
			t.Errorf("got %+v", out)
		}
	}
	w.wait(d, execution, "t9")
	want(t, "the machine", w.machine.said(), "answer t9 done 0")
}
