package build

import (
	"fmt"
	"time"
)

// Skew is how far the clock of the machine may be ahead of the table's: a
// limit that ends within it counts as over.
const Skew = 2 * time.Second

// Due returns when b must have been heard of at the latest, and the class of
// its failure when it was not; false when it may be silent for ever.
//
// Only a worker that said who it is has a lease and can be silent for too
// long. Any change of the build since shows that somebody still works on it,
// unless it is to be cancelled.
func (b *Build) Due(rules Rules) (time.Time, Class, bool) {
	if !b.Status.Active() || b.DeactivatedAt != nil {
		return time.Time{}, "", false
	}
	limit, bounded := b.limit(rules)
	if !b.leased() {
		return limit, TimedOut, bounded
	}
	silent := b.Lease.Until
	window, _ := rules.Windows(b.Current)
	if heard := b.UpdatedAt.Add(window); heard.After(silent) && !b.Cancelling {
		silent = heard
	}
	if bounded && limit.Before(silent) {
		return limit, TimedOut, true
	}
	return silent, Stalled, true
}

// limit returns when the state b is in has taken too long.
func (b *Build) limit(rules Rules) (time.Time, bool) {
	switch {
	case b.Deadline != nil:
		return *b.Deadline, true
	case b.Status == Pending:
		_, limit := rules.Windows(b.Current)
		return b.CreatedAt.Add(limit), true
	default:
		return time.Time{}, false
	}
}

// Overdue fails b, or cancels it when that was asked for, if it should have
// been heard of by now; it reports whether it did.
func (b *Build) Overdue(rules Rules, now time.Time) (Entry, bool, error) {
	due, class, ok := b.Due(rules)
	if !ok || now.Before(due.Add(-Skew)) {
		return Entry{}, false, nil
	}
	if b.Cancelling {
		e, err := b.Advance(Report{At: b.Current, How: Cancelled, Text: "Cancelled: the worker did not answer in time."}, rules, now)
		return e, err == nil, err
	}
	e, err := b.Fail(FailureIn{ErrorMessage: b.silence(class, rules), FailureClass: string(class)}, rules, now)
	return e, err == nil, err
}

// silence says in a sentence why b is failed for silence.
func (b *Build) silence(class Class, rules Rules) string {
	window, limit := rules.Windows(b.Current)
	if class == Stalled {
		return fmt.Sprintf("The worker '%s' was silent for longer than %s in state %d; last heard at %s.", b.Lease.Worker, window, b.Current, b.Lease.At.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("State %d took longer than its limit of %s.", b.Current, limit)
}

// Abort fails b because the execution that drove it has ended with status, or
// cancels it when that was asked for. It reports false when b needs no
// execution.
func (b *Build) Abort(status string, rules Rules, now time.Time) (Entry, bool, error) {
	if !b.Status.Active() || b.DeactivatedAt != nil {
		return Entry{}, false, nil
	}
	if b.Cancelling {
		e, err := b.Advance(Report{At: b.Current, How: Cancelled, Text: "Cancelled: the execution that drove the build has ended."}, rules, now)
		return e, err == nil, err
	}
	if status == "" {
		status = "gone"
	}
	e, err := b.Fail(FailureIn{ErrorMessage: fmt.Sprintf("The execution that drove the build is %s.", status), FailureClass: string(Aborted)}, rules, now)
	return e, err == nil, err
}

// FirstLook is how long the sweep leaves a build alone after its status has
// changed: by then the machine has done what it does.
const FirstLook = 10 * time.Minute

// Look returns when the sweep is to look at b next, given what b itself knows;
// false when there is nothing to look for.
func (b *Build) Look(now time.Time) (time.Time, bool) {
	at := now.Add(FirstLook)
	switch d := b.decided(); {
	case b.DeactivatedAt != nil || b.Status.Final():
		return time.Time{}, false
	case d != nil && d.Next == Backoff:
		return d.At.Add(time.Duration(d.Delay)*time.Second + FirstLook), true
	case d != nil:
		return time.Time{}, false // a person has all the time there is
	case b.Status == Failed:
		return at, true
	}
	if b.Deadline != nil && b.Deadline.Before(at) {
		at = *b.Deadline
	}
	if b.leased() && b.Lease.Until.Before(at) {
		at = b.Lease.Until
	}
	return at, true
}

// LookAgain is Look once the sweep has looked and found b as it should be.
func (b *Build) LookAgain(rules Rules, now time.Time) (time.Time, bool) {
	if !b.Status.Active() {
		return b.Look(now)
	}
	if due, _, ok := b.Due(rules); ok {
		return due, b.DeactivatedAt == nil
	}
	return now.Add(24 * time.Hour), b.DeactivatedAt == nil
}
