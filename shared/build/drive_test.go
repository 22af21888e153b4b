package build_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"bldst/shared/build"
)

func TestDrive(t *testing.T) {
	t.Parallel()
	const window, limit = 600, 7200 // seconds in state 25
	started := &build.Build{ID: "b", Rev: 3, Attempt: 1, Current: 25, Status: build.InProgress, Deadline: ptr(noon.Add(2 * time.Hour)), UpdatedAt: noon}
	with := func(change func(b *build.Build)) *build.Build {
		b := started.Copy()
		change(b)
		return b
	}
	decided := func(next build.Step, delay int) *build.Build {
		return with(func(b *build.Build) {
			b.Status, b.Deadline = build.Failed, nil
			b.Decision = &build.Decision{Attempt: 1, Next: next, Delay: delay, At: noon, Reason: "so"}
		})
	}
	person := int(build.PersonWait.Seconds())
	for name, c := range map[string]struct {
		b                         *build.Build
		later                     time.Duration
		next                      build.Step
		heartbeat, timeout, delay int
	}{
		"a build in progress is waited for":                {started, 0, build.Await, limit, limit, 0},
		"its limit runs":                                   {started, time.Hour, build.Await, limit - 3600, limit - 3600, 0},
		"a limit that is over is one second":               {started, 3 * time.Hour, build.Await, 1, 1, 0},
		"a worker with a lease must beat":                  {with(func(b *build.Build) { b.Lease = &build.Lease{Attempt: 1, Worker: "w"} }), 0, build.Await, window + 30, limit, 0},
		"a lease that was given back counts for nothing":   {with(func(b *build.Build) { b.Lease = &build.Lease{Attempt: 1} }), 0, build.Await, limit, limit, 0},
		"a lease of the attempt before counts for nothing": {with(func(b *build.Build) { b.Lease = &build.Lease{Attempt: 1, Worker: "w"}; b.Attempt = 2 }), 0, build.Await, limit, limit, 0},
		"a pending build waits a day from its creation":    {&build.Build{Status: build.Pending, CreatedAt: noon}, time.Hour, build.Await, 23 * 3600, 23 * 3600, 0},
		"a failure is decided about":                       {with(func(b *build.Build) { b.Status = build.Failed }), 0, build.Decide, person, person, 0},
		"a decision of the attempt before is none": {with(func(b *build.Build) {
			b.Status, b.Attempt = build.Failed, 2
			b.Decision = &build.Decision{Attempt: 1, Next: build.Await}
		}), 0, build.Decide, person, person, 0},
		"then it waits for a person":    {decided(build.Await, 0), 0, build.Await, person, person, 0},
		"or for the time to resume it":  {decided(build.Backoff, 60), 0, build.Backoff, person, person, 60},
		"of which some may have passed": {decided(build.Backoff, 60), 45 * time.Second, build.Backoff, person - 45, person - 45, 15},
		"or it was given up":            {decided(build.GiveUp, 0), 0, build.GiveUp, person, person, 0},
		"a completed build is done":     {with(func(b *build.Build) { b.Status = build.Completed }), 0, build.Done, limit, limit, 0},
		"so is a cancelled one":         {with(func(b *build.Build) { b.Status = build.Cancelled }), 0, build.Done, limit, limit, 0},
		"so is a deleted one":           {with(func(b *build.Build) { b.Status, b.DeactivatedAt = build.Failed, &noon }), 0, build.Done, person, person, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.b.Drive(build.Builtin{}, noon.Add(c.later))
			if got.Next != c.next || got.Delay != c.delay || got.Next != build.Done && (got.Heartbeat != c.heartbeat || got.Timeout != c.timeout+1) {
				t.Errorf("want %s %d/%d/%d, got %+v", c.next, c.heartbeat, c.timeout, c.delay, got)
			}
			if got.Heartbeat < 1 || got.Timeout <= got.Heartbeat {
				t.Errorf("limits the machine refuses: %+v", got)
			}
		})
	}
}

func TestSeenHoldsAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		revs := rand.New(rand.NewPCG(seed, 3)).Perm(40)
		var s build.Seen
		for i, r := range revs {
			for _, later := range revs[i:] {
				if s.Has(int64(later + 1)) {
					t.Fatalf("seed %d: %d is in %+v and never came", seed, later+1, s)
				}
			}
			s = s.Add(int64(r + 1)).Add(int64(r + 1))
			if !s.Has(int64(r + 1)) {
				t.Fatalf("seed %d: %d is not in %+v", seed, r+1, s)
			}
		}
		if s.UpTo != 40 || len(s.Beyond) != 0 {
			t.Errorf("seed %d: want 40, got %+v", seed, s)
		}
	}
}

func TestSeenIsBounded(t *testing.T) {
	t.Parallel()
	var s build.Seen
	for rev := int64(1000); rev < 2000; rev += 2 {
		s = s.Add(rev)
	}
	if len(s.Beyond) > 64 || !s.Has(1998) || s.Has(1997) {
		t.Errorf("got %+v", s)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	base := &build.Build{ID: "b", Rev: 1, Attempt: 1, Current: 25, Status: build.InProgress}
	with := func(b *build.Build, change func(b *build.Build)) *build.Build {
		c := b.Copy()
		c.Rev++
		change(c)
		return c
	}
	broken := with(base, func(b *build.Build) { b.Status, b.FailureClass = build.Failed, build.Transient })
	resumed := with(broken, func(b *build.Build) {
		b.Status, b.Attempt, b.FailureClass, b.Recovering = build.InProgress, 2, "", ptr(25)
	})
	for name, c := range map[string]struct {
		old, b *build.Build
		want   []build.EventType
	}{
		"a new build":                  {nil, base, []build.EventType{build.EventCreated}},
		"a state":                      {base, with(base, func(b *build.Build) { b.Current = 30 }), []build.EventType{build.EventStateChanged}},
		"a report that moves nothing":  {base, with(base, func(b *build.Build) { b.Message = "still" }), nil},
		"a failure":                    {base, broken, []build.EventType{build.EventStateChanged, build.EventFailed}},
		"a stall":                      {base, with(broken, func(b *build.Build) { b.FailureClass = build.Stalled }), []build.EventType{build.EventStateChanged, build.EventStalled}},
		"a timeout":                    {base, with(broken, func(b *build.Build) { b.FailureClass = build.TimedOut }), []build.EventType{build.EventStateChanged, build.EventStalled}},
		"another failure":              {broken, with(broken, func(b *build.Build) { b.FailureClass = build.Quota }), nil},
		"a decision to resume":         {broken, with(broken, func(b *build.Build) { b.Decision = &build.Decision{Attempt: 1, Next: build.Backoff} }), nil},
		"a decision to ask a person":   {broken, with(broken, func(b *build.Build) { b.Decision = &build.Decision{Attempt: 1, Next: build.Await} }), []build.EventType{build.EventWaiting}},
		"a resume":                     {broken, resumed, []build.EventType{build.EventStateChanged}},
		"the state that failed passed": {resumed, with(resumed, func(b *build.Build) { b.Recovering = nil }), []build.EventType{build.EventRecovered}},
		"a cancel while recovering":    {resumed, with(resumed, func(b *build.Build) { b.Recovering, b.Status = nil, build.Cancelled }), []build.EventType{build.EventStateChanged, build.EventCancelled}},
		"the end":                      {base, with(base, func(b *build.Build) { b.Current, b.Status = 100, build.Completed }), []build.EventType{build.EventStateChanged, build.EventCompleted}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]bool{}
			var got []build.EventType
			for _, e := range build.Events(c.old, c.b) {
				got = append(got, e.Type)
				if seen[e.ID] || e.Revision != c.b.Rev {
					t.Errorf("two events have the id %s, or the revision is wrong: %+v", e.ID, e)
				}
				seen[e.ID] = true
			}
			if len(got) != len(c.want) {
				t.Fatalf("want %q, got %q", c.want, got)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("want %q, got %q", c.want, got)
				}
			}
		})
	}
}
