package build

import "time"

// A Lease says that a worker holds the build, and until when it is believed to
// be alive. Heartbeats renew it without touching the build.
type Lease struct {
	Attempt  int       `json:"attempt"`
	Worker   string    `json:"worker"`
	State    int       `json:"state_code"`
	Since    time.Time `json:"since,omitzero"` // when the worker got it, over all renewals
	Until    time.Time `json:"lease_until"`
	Progress *int      `json:"progress,omitempty"`
	Message  string    `json:"message,omitempty"`
	At       time.Time `json:"at"`
	Nameless bool      `json:"nameless,omitempty"` // Worker is the caller: it did not say its name, and excludes nobody
	Rev      int64     `json:"-"`
}

// A Hold is a lease as callers read it.
type Hold struct {
	Worker string    `json:"worker"`
	Since  time.Time `json:"since" doc:"When it got the lease."`
	Until  time.Time `json:"until" doc:"Until when it is believed to be alive; from then on anybody may go on with the build."`
}

// leased reports whether a worker of the current attempt has promised to beat.
// One that gave its lease back has not.
func (b *Build) leased() bool {
	return b.Lease != nil && b.Lease.Attempt == b.Attempt && b.Lease.Worker != ""
}

// held reports whether a worker is alive at now that works on b.
func (b *Build) held(now time.Time) bool {
	return b.Status.Active() && b.leased() && b.Lease.Until.After(now)
}

// heldByName reports whether a worker that said its name holds b at now.
func (b *Build) heldByName(now time.Time) bool { return b.held(now) && !b.Lease.Nameless }

// hold returns who holds b, or held it last in this attempt; nil when no worker
// has said who it is, or nobody works on b.
func (b *Build) hold() *Hold {
	if !b.leased() || !b.Status.Active() {
		return nil
	}
	return &Hold{Worker: b.Lease.Worker, Since: b.Lease.since(), Until: b.Lease.Until}
}

// since returns when the worker got the lease: rows of earlier versions only
// know its last sign of life.
func (l *Lease) since() time.Time {
	if l.Since.IsZero() {
		return l.At
	}
	return l.Since
}

// lend gives the worker a lease: it is believed to be alive for as long as it
// may be silent in the state the build is in.
func (b *Build) lend(worker string, rules Rules, now time.Time) {
	window, _ := rules.Windows(b.Current)
	b.Lease = b.renewed(&Lease{Attempt: b.Attempt, Worker: worker, State: b.Current, Until: now.Add(window), At: now})
}

// release takes the lease back from the worker: it has ended well, and another
// one may go on in the same attempt.
func (b *Build) release(now time.Time) {
	b.Lease = &Lease{Attempt: b.Attempt, State: b.Current, Until: now, At: now}
}

// renewed returns l with the time since when its worker has it.
func (b *Build) renewed(l *Lease) *Lease {
	if l.Since = l.At; b.leased() && b.Lease.Worker == l.Worker {
		l.Since = b.Lease.since()
	}
	return l
}

// Work adds to b, which was old until now, how long it was worked on since: from
// one sign of life to the next within an attempt. What lies between the last one
// of a worker that died and its replacement, or the discovery, is no work.
func (b *Build) Work(old *Build, now time.Time) {
	if old.WorkedMS == 0 && old.StartTime != nil { // a row of an earlier version
		b.WorkedMS = max(0, old.UpdatedAt.Sub(*old.StartTime).Milliseconds())
	}
	if old.Status != InProgress {
		return
	}
	until := now
	if dead := b.Status == Failed && (b.FailureClass == Stalled || b.FailureClass == TimedOut || b.FailureClass == Aborted); dead || b.Attempt != old.Attempt {
		if until = old.UpdatedAt; old.leased() && old.Lease.At.After(until) {
			until = old.Lease.At
		}
	}
	b.WorkedMS += max(0, until.Sub(old.UpdatedAt).Milliseconds())
}
