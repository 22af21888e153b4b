package build

import (
	"time"

	"bldst/shared/problem"
)

// Delete soft-deletes b. Only a build that is not being worked on can go.
func (b *Build) Delete(now time.Time) (Entry, error) {
	if b.Status.Active() {
		return Entry{}, problem.New(problem.Conflict, "Build '%s' is %s; cancel it before you delete it.", b.ID, b.Status)
	}
	b.DeactivatedAt = &now
	return Entry{Kind: Deleted}, nil
}

// lend gives the worker a lease: it is believed to be alive for as long as it
// may be silent in the state the build is in.
func (b *Build) lend(worker string, rules Rules, now time.Time) {
	heartbeat, _ := rules.Windows(b.Current)
	b.Lease = &Lease{Attempt: b.Attempt, Worker: worker, State: b.Current, Until: now.Add(heartbeat), At: now}
}
