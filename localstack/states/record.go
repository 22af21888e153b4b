package states

import (
	"encoding/json"
	"slices"
	"time"
)

// Statuses of an execution.
const (
	Running   = "RUNNING"
	Succeeded = "SUCCEEDED"
	Failed    = "FAILED"
	TimedOut  = "TIMED_OUT"
	Aborted   = "ABORTED"
)

// A phase says what a running execution is waiting for.
type phase string

const (
	phaseNone     phase = ""
	phaseWait     phase = "wait"     // a Wait state: WakeAt
	phaseInvoke   phase = "invoke"   // a Lambda whose answer is the result
	phaseDispatch phase = "dispatch" // a Lambda that hands the token on; an answer may come already
	phaseCallback phase = "callback" // an answer
	phaseRetry    phase = "retry"    // the next attempt: WakeAt
)

// A record is all that is known of an execution but its history. It is what
// lies on disk; every time in it is absolute, so a restart changes nothing.
type record struct {
	key uint64 // under which it lies

	ARN        string
	Name       string
	Machine    string // its ARN
	Definition string // hash of the definition it runs, whatever its machine has become
	Status     string
	Input      string          // as it was given
	Output     json.RawMessage `json:",omitempty"`
	Error      *string         `json:",omitempty"`
	Cause      *string         `json:",omitempty"`
	Started    time.Time
	Stopped    time.Time `json:",omitzero"`
	Deadline   time.Time `json:",omitzero"` // of the execution

	Redrives     int        `json:",omitempty"`
	Redriven     time.Time  `json:",omitzero"`
	RedriveToken string     `json:",omitempty"` // of the last one
	Tokens       []redriven `json:",omitempty"` // of the last ones, oldest first

	State        string
	StateInput   json.RawMessage `json:",omitempty"`
	Entered      time.Time
	EnteredEvent int64
	RetryCount   int   `json:",omitempty"` // of this visit of the state
	Retries      []int `json:",omitempty"` // per retrier

	Phase     phase           `json:",omitempty"`
	Attempt   int64           `json:",omitempty"` // of a task, never reused in an execution
	WakeAt    time.Time       `json:",omitzero"`
	TimeoutAt time.Time       `json:",omitzero"`
	SilentAt  time.Time       `json:",omitzero"`  // the heartbeat must come before
	Heartbeat int64           `json:",omitempty"` // seconds
	Function  string          `json:",omitempty"` // what is being invoked
	Payload   json.RawMessage `json:",omitempty"`

	Events      int64 // id of the last history event
	Transitions int64
	RetryTotal  int64 `json:",omitempty"`
}

// next returns the earliest time at which something happens by itself; zero
// when nothing does.
func (r *record) next() time.Time {
	var earliest time.Time
	if r.Status != Running {
		return earliest
	}
	for _, t := range []time.Time{r.Deadline, r.WakeAt, r.TimeoutAt, r.SilentAt} {
		if !t.IsZero() && (earliest.IsZero() || t.Before(earliest)) {
			earliest = t
		}
	}
	return earliest
}

// invoking reports whether a Lambda invocation is due or under way.
func (r *record) invoking() bool {
	return r.Status == Running && (r.Phase == phaseInvoke || r.Phase == phaseDispatch)
}

// waiting reports whether a task waits for an answer with a token.
func (r *record) waiting() bool {
	return r.Status == Running && (r.Phase == phaseDispatch || r.Phase == phaseCallback)
}

// A redriven is a client token that redrove an execution, and when.
type redriven struct {
	Token string
	At    time.Time
}

// How many client tokens of an execution are known, and for how long, as AWS
// documents it (RedriveExecution).
const (
	tokensKept  = 10
	tokenIsGood = 15 * time.Minute
)

// redrivenBy returns when this token redrove the execution; false when it did
// not, or so long ago that it counts as a new one.
func (r *record) redrivenBy(token string, now time.Time) (time.Time, bool) {
	for _, one := range r.Tokens {
		if one.Token == token && now.Sub(one.At) <= tokenIsGood {
			return one.At, true
		}
	}
	old := token != "" && len(r.Tokens) == 0 && r.RedriveToken == token // rows without Tokens
	return r.Redriven, old && now.Sub(r.Redriven) <= tokenIsGood
}

// remember notes that token redrives the execution now.
func (r *record) remember(token string) {
	r.RedriveToken = token
	if token == "" {
		return
	}
	kept := append(slices.Clone(r.Tokens), redriven{token, r.Redriven})
	r.Tokens = kept[max(0, len(kept)-tokensKept):]
}
