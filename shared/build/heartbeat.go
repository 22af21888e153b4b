package build

import (
	"context"
	"time"

	"bldst/shared/problem"
)

// A WorkerStore keeps what is known of the worker of a build. ref is the id or
// number of the build (NotFound "Build REF not found").
type WorkerStore interface {
	// Beat reads the build ref and stores the lease f makes, and nothing
	// else: one read, one row. It returns the build with that lease.
	Beat(ctx context.Context, ref string, f func(b *Build, rules Rules, now time.Time) (*Lease, error)) (*Build, error)
	// ChangeBuild is that of Store.
	ChangeBuild(ctx context.Context, ref string, f Change) (*Build, Entry, error)
}

// A HeartbeatIn is the body of POST /builds/{id}/heartbeat, which may be
// absent.
type HeartbeatIn struct {
	Attempt  *int   `json:"attempt,omitempty" minimum:"1" maximum:"1000000" doc:"The attempt the worker belongs to. Also as header X-Build-Attempt."`
	Worker   string `json:"worker,omitempty" maxLength:"200" doc:"Who is alive. Default: who was so far, else the caller."`
	State    *int   `json:"state_code,omitempty" minimum:"0" maximum:"100" doc:"What it is working on. Default: the state the build is in, whose window holds in any case."`
	Progress *int   `json:"progress,omitempty" minimum:"0" maximum:"100" doc:"How far the current state is, in percent."`
	Message  string `json:"message,omitempty" maxLength:"1000"`
	TakeOver bool   `json:"take_over,omitempty" doc:"The worker replaces whoever holds the build: the next attempt begins."`
}

// alive refuses signs of life where there is nothing to work on: Conflict when
// b has failed, Refused when it has ended.
func (b *Build) alive() error {
	switch {
	case b.Status.Final():
		return problem.New(problem.Refused, "The build is %s; stop working on it.", b.Status)
	case b.Status == Failed:
		return problem.New(problem.Conflict, "Attempt %d has failed; to go on, report a state: that begins attempt %d.", b.Attempt, b.Attempt+1)
	}
	return nil
}

// Beat returns the lease of a worker of b, which has passed the Fence, that says
// it is alive at now: until it may have been silent for too long in the state
// the build is in. It is refused where there is nothing to work on.
func (b *Build) Beat(in HeartbeatIn, caller string, rules Rules, now time.Time) (*Lease, error) {
	if err := b.alive(); err != nil {
		return nil, err
	}
	known, nameless := "", in.Worker == ""
	if b.leased() {
		known, nameless = b.Lease.Worker, nameless && b.Lease.Nameless
	}
	window, _ := rules.Windows(b.Current)
	state := b.Current
	if in.State != nil {
		state = *in.State
	}
	return b.renewed(&Lease{Attempt: b.Attempt, Worker: either(in.Worker, known, caller, "unknown"), State: state, Until: now.Add(window),
		Progress: in.Progress, Message: in.Message, At: now, Nameless: nameless}), nil
}

// Cancel cancels b, or asks its worker to stop when one is alive: then the
// build goes on until the worker reports cancelled or its lease ends.
func (b *Build) Cancel(reason string, now time.Time) (Entry, error) {
	if err := b.open(); err != nil {
		return Entry{}, err
	}
	if b.Cancelling = b.held(now); !b.Cancelling {
		b.end(Cancelled, now)
		b.Deadline, b.Message = nil, either(reason, "Cancelled.")
		b.followResume(b.Current, Cancelled)
	}
	return NewEntry(CancelRequested, map[string]any{"reason": reason, "worker_asked": b.Cancelling})
}
