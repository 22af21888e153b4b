package identity

import (
	"context"
	"runtime"
	"time"

	"bldst/shared/problem"
)

// A gate lets some at a time hash a password. Hashing takes a core for some
// 60 ms, so those who sign in may have half of the cores and no more: all other
// requests go on beside them.
type gate struct{ turns chan struct{} }

// hashing is the gate of the process: users and sign-ins may be served by
// several handlers in it.
var hashing = gate{make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}

// patience is how long a sign-in waits for its turn.
const patience = time.Second

// enter returns once it is the caller's turn, and what ends the turn. TooMany
// when it does not come soon.
func (g gate) enter(ctx context.Context) (leave func(), err error) {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case g.turns <- struct{}{}:
		return func() { <-g.turns }, nil
	case <-t.C:
		return nil, tooMany(patience)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func tooMany(wait time.Duration) error {
	seconds := (wait + time.Second - 1).Truncate(time.Second)
	return &problem.Problem{Kind: problem.TooMany, RetryAfter: seconds, Detail: "Too many passwords to check; wait for as many seconds as Retry-After says."}
}

// An Attempt is one who tries to sign in.
type Attempt struct {
	Username string // as it was given; there need be no such user
	UserID   string // "" when there is none
	Address  string // where the request comes from
}

// Attempts counts wrong passwords: of a user from one address, of a user from
// all, and of an address for all users. Each counter makes who comes next wait
// longer, and forgets within the hour.
type Attempts interface {
	// Wait returns how long the next attempt must wait, and whether wrong ones
	// are counted.
	Wait(ctx context.Context, a Attempt) (wait time.Duration, counted bool, err error)
	// Wrong counts a wrong password; once it makes the next one wait, the audit
	// trail says so.
	Wrong(ctx context.Context, a Attempt) error
	// Right forgets the wrong ones of the user.
	Right(ctx context.Context, a Attempt) error
}
