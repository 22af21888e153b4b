package build

import "time"

// A Step is what the state machine does next with a build: the value of
// "next" in its input, routed by events/asl/build.asl.json.
type Step string

// The steps of the machine.
const (
	Await   Step = "await"   // wait for a report
	Decide  Step = "decide"  // the build failed: what now?
	Backoff Step = "backoff" // wait, then resume
	Done    Step = "done"    // completed or cancelled, or another execution drives it
	GiveUp  Step = "fail"    // nobody will resume it here
)

// Steps lists every step; the test of the definition walks it.
var Steps = []Step{Await, Decide, Backoff, Done, GiveUp}

// A Drive is what the machine knows of a build while it waits: the answer of
// every task, the input of the next.
type Drive struct {
	BuildID   string `json:"build_id"`
	Revision  int64  `json:"revision"`
	Attempt   int    `json:"attempt"`
	State     int    `json:"state_code"`
	Status    Status `json:"status"`
	Next      Step   `json:"next"`
	Heartbeat int    `json:"heartbeat_seconds"` // of the wait
	Timeout   int    `json:"timeout_seconds"`
	Delay     int    `json:"delay_seconds"`
	Reason    string `json:"reason,omitempty"`
	// AttachedTo is the execution that drives the build, when it is another.
	AttachedTo string `json:"attached_to,omitempty"`
}

// Grace is how much longer than its window a worker may be silent before it is
// failed: a beat needs a moment to get to the machine.
const Grace = 30 * time.Second

// PersonWait is how long a failed build waits for a person before its
// execution ends; the build can still be resumed after that.
const PersonWait = 90 * 24 * time.Hour

// Drive returns what the machine does with b now. A failure is decided about
// once; from then on the decision says what is next.
func (b *Build) Drive(rules Rules, now time.Time) Drive {
	d := Drive{BuildID: b.ID, Revision: b.Rev, Attempt: b.Attempt, State: b.Current, Status: b.Status, Next: Await}
	switch {
	case b.Status.Final() || b.DeactivatedAt != nil:
		d.Next = Done
	case b.Status == Failed:
		d.Next = Decide
		if c := b.decided(); c != nil {
			d.Next, d.Reason = c.Next, c.Reason
			d.Delay = max(0, c.Delay-int(now.Sub(c.At)/time.Second))
		}
	}
	d.Heartbeat, d.Timeout = b.wait(rules, now)
	return d
}

// wait returns the limits of a wait for the next report, in seconds. Only a
// worker that said who it is has promised to beat; others have until the
// state's limit. Step Functions wants the heartbeat to be the shorter one, so
// the timeout is a second longer than what there is to wait for.
func (b *Build) wait(rules Rules, now time.Time) (heartbeat, timeout int) {
	if b.Status == Failed {
		left := max(1, seconds(b.gaveUp().Sub(now)))
		return left, left + 1
	}
	window, limit := rules.Windows(b.Current)
	if until, bounded := b.limit(rules); bounded {
		limit = until.Sub(now)
	}
	left := max(1, seconds(limit))
	if b.leased() {
		return min(left, seconds(window+Grace)), left + 1
	}
	return left, left + 1
}

// gaveUp returns when a failed build is given up by its execution.
func (b *Build) gaveUp() time.Time {
	since := b.UpdatedAt
	if c := b.decided(); c != nil {
		since = c.At
	}
	return since.Add(PersonWait)
}

// GivenUp reports whether the failed build b has waited long enough for a
// person.
func (b *Build) GivenUp(now time.Time) bool {
	return b.decided() != nil && !now.Before(b.gaveUp().Add(-Skew))
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
