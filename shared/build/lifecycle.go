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
