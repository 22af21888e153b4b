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
}

// Beat returns the lease of a worker of b that says it is alive at now: until
// it may have been silent for too long in the state the build is in.
// StaleAttempt for a worker that was replaced; Conflict when the build has
// failed, Refused when it has ended: there is nothing to work on.
func (b *Build) Beat(in HeartbeatIn, caller string, rules Rules, now time.Time) (*Lease, error) {
	attempt := 0
	if in.Attempt != nil {
		attempt = *in.Attempt
	}
	if err := b.fence(attempt); err != nil {
		return nil, err
	}
	switch {
	case b.Status.Final():
		return nil, problem.New(problem.Refused, "The build is %s; stop working on it.", b.Status)
	case b.Status == Failed:
		return nil, problem.New(problem.Conflict, "Attempt %d has failed; to go on, report a state: that begins attempt %d.", b.Attempt, b.Attempt+1)
	}
	known := ""
	if b.leased() {
		known = b.Lease.Worker
	}
	window, _ := rules.Windows(b.Current)
	state := b.Current
	if in.State != nil {
		state = *in.State
	}
	return b.renewed(&Lease{Attempt: b.Attempt, Worker: either(in.Worker, known, caller, "unknown"), State: state, Until: now.Add(window),
		Progress: in.Progress, Message: in.Message, At: now}), nil
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
