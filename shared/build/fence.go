package build

import (
	"context"
	"time"

	"bldst/shared/auth"
	"bldst/shared/problem"
)

// Fence is the one gate of every write below a build: the store asks it whenever
// it reads a build for a caller that says something of itself. It refuses a caller of a replaced attempt
// (StaleAttempt), of one that does not exist (Invalid), and a worker while
// another one holds the build (Leased), unless it takes the build over. A
// caller that says nothing of itself acts on the current attempt.
func (b *Build) Fence(c auth.Claim, now time.Time) error {
	switch {
	case c.Attempt != 0 && c.Attempt < b.Attempt:
		return problem.New(problem.StaleAttempt, "Attempt %d was replaced by attempt %d; stop working on this build.", c.Attempt, b.Attempt)
	case c.Attempt > b.Attempt:
		return problem.BadField("attempt", "out_of_range", "The build is at attempt %d; there is no attempt %d", b.Attempt, c.Attempt)
	case c.Worker != "" && !c.TakeOver && b.heldByName(now) && b.Lease.Worker != c.Worker:
		return problem.New(problem.Leased, "Worker '%s' may not act on the build: %s", c.Worker, b.takeOverHint())
	}
	return nil
}

// takeOverHint says who holds b, and how to go on without waiting for it.
func (b *Build) takeOverHint() string {
	h := b.hold()
	return "worker '" + h.Worker + "' holds it in attempt " + formatCode(b.Attempt) + " since " + h.Since.UTC().Format(time.RFC3339) + ", until " + h.Until.UTC().Format(time.RFC3339) +
		". Wait until then, or replace it at once: take_over: true in the body (bldst build resume " + b.ID + " --take-over) begins attempt " + formatCode(b.Attempt+1) + "."
}

// claimed returns the attempt the caller of ctx named, nil for none.
func claimed(ctx context.Context) *int {
	if c := auth.RequestOf(ctx).Claim; c.Attempt > 0 {
		return &c.Attempt
	}
	return nil
}

// A Claimed is embedded in the bodies of writes below a build that say nothing
// else of their caller.
type Claimed struct {
	Attempt *int `json:"attempt,omitempty" minimum:"1" maximum:"1000000" doc:"The attempt the caller belongs to. Also as header X-Build-Attempt."`
}

// A Kept is the error of words that change nothing of the build although the
// history keeps them: the store stores the entry and returns the problem.
type Kept struct {
	Entry   Entry
	Problem *problem.Problem
}

func (k *Kept) Error() string { return k.Problem.Error() }

// Unwrap returns the problem.
func (k *Kept) Unwrap() error { return k.Problem }

// takeOver begins the next attempt of b, which is worked on: whoever worked on
// it so far is replaced. It does nothing to a build that nobody has begun.
func (b *Build) takeOver(by string) {
	if !b.Status.Active() || len(b.Marks) == 0 && !b.leased() {
		return
	}
	b.breakOff()
	b.closeResume("Worker '" + either(by, "unknown") + "' took the build over.")
}

// breakOff begins the next attempt of b, which is worked on. A state that was
// begun and not completed counts as the one the attempt before ended in, until
// this one gets past that.
func (b *Build) breakOff() {
	if m := b.Marks[b.Current]; b.Recovering == nil && m.Attempt == b.Attempt && m.Status == InProgress {
		at := b.Current
		b.Recovering = &at
	}
	b.Attempt++
}

// closeResume ends the open resume of b, if there is one, as failed.
func (b *Build) closeResume(why string) {
	if b.Resume.Open() {
		r := *b.Resume
		r.Status, r.Error = RequestFailed, why
		b.Resume = &r
	}
}

// restarts reports whether r comes from a worker that begins anew after the
// lease of the attempt has ended: another one, or the same that begins where it
// was, or before that. One that names its attempt goes on in it.
func (b *Build) restarts(r Report, now time.Time) bool {
	if !b.Status.Active() || !b.leased() || b.Lease.Until.After(now) || r.Worker == "" || r.Attempt != 0 {
		return false
	}
	return r.Worker != b.Lease.Worker || (r.How == InProgress || r.How == Pending) && r.At <= b.Current
}

// settled reports whether r says of a state that is done in this attempt that
// it goes on, or is done: it came late, or twice. rerun, or another
// fingerprint, mean that the state is run again; so does going back to a state
// before it. A failed build is resumed by such a report.
func (b *Build) settled(r Report) bool {
	m := b.Marks[r.At]
	switch {
	case b.Status == Failed || r.Rerun || r.How == Failed || r.How == Cancelled || m.Attempt != b.Attempt || b.Current < r.At:
		return false
	case r.Fingerprint != "" && m.Fingerprint != "" && plainPrint(r.Fingerprint) != plainPrint(m.Fingerprint):
		return false
	case r.Target != "" && m.Status != Completed:
		return m.Targets[r.Target] == Completed
	default:
		return m.Status == Completed
	}
}

// passed reports whether r completes a state that the build has left behind in
// this attempt: steps that run side by side end in any order.
func (b *Build) passed(r Report, rules Rules) bool {
	return r.How == Completed && !r.Rerun && r.Target == "" && r.At < b.Current && b.Status == InProgress &&
		b.Marks[b.Current].Attempt == b.Attempt && r.At != LastState && !rules.Final(r.At)
}

// note returns the entry of a report that changes nothing of where b is.
func (b *Build) note(r Report, now time.Time) (Entry, error) {
	e, err := b.stateEntry(r, now)
	e.Kind = StateRepeated
	return e, err
}

// keep returns the error of words that name the failed attempt of b.
func (b *Build) keep(r Report, now time.Time) error {
	e, err := b.note(r, now)
	if err != nil {
		return err
	}
	return &Kept{Entry: e, Problem: problem.New(problem.Conflict, "Attempt %d has failed; the history keeps this report, and it changes nothing. To go on, report without an attempt or POST /builds/%s/resume: that begins attempt %d.",
		b.Attempt, b.ID, b.Attempt+1)}
}

// A TakenOver says in the history that a worker took the build over by a
// heartbeat.
type TakenOver struct {
	Worker string `json:"worker"`
}

// TakeOver is Beat for a worker that replaces whoever holds b: it begins the
// next attempt, in which the worker has the lease.
func (b *Build) TakeOver(in HeartbeatIn, caller string, rules Rules, now time.Time) (Entry, error) {
	if err := b.alive(); err != nil {
		return Entry{}, err
	}
	worker := either(in.Worker, caller, "unknown")
	b.takeOver(worker)
	b.go_(InProgress, now)
	b.watch(rules, now)
	l, err := b.Beat(in, caller, rules, now)
	if err != nil {
		return Entry{}, err
	}
	b.Lease = l
	return NewEntry(BuildTakenOver, TakenOver{Worker: worker})
}
