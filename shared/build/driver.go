package build

import (
	"slices"
	"time"

	"bldst/shared/problem"
)

// A Driver says which execution drives a build, and what relay needs to know
// to move it on. It has a row of its own: that a build is driven is no change
// of the build.
type Driver struct {
	Execution string `json:"execution_arn,omitempty"` // "" when none does
	Previous  string `json:"previous_arn,omitempty"`  // that drove it before
	Token     string `json:"token,omitempty"`         // of the wait that is parked
	Seen      Stand  `json:"seen"`                    // where the build was when it was parked
	Relayed   Seen   `json:"relayed"`                 // the revisions relay has dealt with
	Moves     int    `json:"moves,omitempty"`         // waits of the execution so far
	Handed    int    `json:"handed,omitempty"`        // how often one has handed the build over to the next

	Rev int64 `json:"-"`
}

// Adopt makes execution the driver when there is none; it reports whether it
// is the driver.
func (d *Driver) Adopt(execution string) bool {
	if d.Execution == "" {
		d.Execution, d.Token = execution, ""
	}
	return d.Execution == execution
}

// MaxMoves is after how many waits an execution hands the build over to another.
// A standard execution ends with its 25,000th event; a wait costs six, so that
// is well before.
const MaxMoves = 3500

// Park remembers the wait with token for what comes after seen.
func (d *Driver) Park(token string, seen Stand) {
	d.Token, d.Seen = token, seen
	d.Moves++
}

// HandOver makes execution the driver in the place of from. It returns the token
// from waits with, "" for none; false when from is not the driver.
func (d *Driver) HandOver(from, execution string) (token string, ok bool) {
	if from == "" || d.Execution != from || execution == from {
		return "", false
	}
	token = d.Token
	d.Previous, d.Execution, d.Token, d.Moves = from, execution, "", 0
	d.Handed++
	return token, true
}

// Release makes the build one that nobody drives.
func (d *Driver) Release() {
	if d.Execution != "" {
		d.Previous = d.Execution
	}
	d.Execution, d.Token, d.Moves = "", "", 0
}

// Tell remembers that relay has dealt with the revisions, and that the wait
// with token is over ("" for none).
func (d *Driver) Tell(revs []int64, token string) {
	for _, rev := range revs {
		d.Relayed = d.Relayed.Add(rev)
	}
	if token != "" && d.Token == token {
		d.Token = ""
	}
}

// A Stand is where a build is, as far as the machine cares: it is told when
// this changes.
type Stand struct {
	State   int    `json:"state_code"`
	Status  Status `json:"status"`
	Attempt int    `json:"attempt"`
}

// Stand returns where b is.
func (b *Build) Stand() Stand { return Stand{b.Current, b.Status, b.Attempt} }

// Seen is a set of revisions: all up to one, and a few beyond it that came
// before their time.
type Seen struct {
	UpTo   int64   `json:"up_to,omitempty"`
	Beyond []int64 `json:"beyond,omitempty"`
}

// maxBeyond bounds how many revisions are kept one by one. When more are
// missing, those that never came are given up.
const maxBeyond = 64

// Has reports whether rev is in s.
func (s Seen) Has(rev int64) bool { return rev <= s.UpTo || slices.Contains(s.Beyond, rev) }

// Add returns s with rev.
func (s Seen) Add(rev int64) Seen {
	if s.Has(rev) {
		return s
	}
	beyond := append(slices.Clone(s.Beyond), rev)
	slices.Sort(beyond)
	for len(beyond) > 0 && (beyond[0] == s.UpTo+1 || len(beyond) > maxBeyond) {
		s.UpTo, beyond = beyond[0], beyond[1:]
	}
	s.Beyond = slices.Clip(beyond)
	if len(s.Beyond) == 0 {
		s.Beyond = nil
	}
	return s
}

// A Driven is a build with everything that decides about driving it. A
// function that is given one changes it in place; Entry says what the history
// is to say, when the build itself was changed.
type Driven struct {
	*Build
	Rules   Rules
	Now     time.Time
	Driver  Driver
	Policy  Policy   // of its project
	Chosen  bool     // the project has a policy of its own
	Breaker *Breaker // of its line; changed as Entry is stored, nil when none was asked for
	Entry   *Entry

	Looks  time.Time  // when the sweep is to look at it, zero for never
	LookAt *time.Time // when it is to look instead
}

// Drive returns what the machine does with the build now.
func (d *Driven) Drive() Drive { return d.Build.Drive(d.Rules, d.Now) }

// Decide decides about the failure the build is in, once for each attempt, and
// counts it for the breaker of the line. Without a failure it does nothing.
func (d *Driven) Decide() error {
	if d.Status != Failed || d.decided() != nil || d.DeactivatedAt != nil {
		return nil
	}
	if d.Chosen && d.Breaker != nil && d.Policy.Breaker != nil {
		d.Breaker.Count(*d.Policy.Breaker, d.Build, d.Now)
	}
	return d.settle(d.Policy.Decide(d.Build, d.Breaker, d.Now))
}

// AskPerson replaces the decision about the failure the build is in: it cannot
// be resumed by itself, for this reason.
func (d *Driven) AskPerson(reason string) error {
	c := Decision{Attempt: d.Attempt, Class: d.FailureClass, Next: Await, At: d.Now, Reason: reason}
	if d.Decision != nil {
		c.Retries = d.Decision.Retries
	}
	return d.settle(c)
}

func (d *Driven) settle(c Decision) error {
	d.Decision = &c
	e, err := NewEntry(Decided, c)
	d.Entry = &e
	return err
}

// GiveUp decides that the failed build is not waited for any longer. It can
// still be resumed; that starts another execution.
func (d *Driven) GiveUp() error {
	c := *d.Decision
	c.Next, c.Delay, c.At = GiveUp, 0, d.Now
	c.Reason = "Nobody resumed the build for " + PersonWait.String() + "."
	return d.settle(c)
}

// Lost reports whether the build has nobody to drive it although it should:
// an active one without an execution, or a failed one about which an execution
// should have decided long ago, or that it should have resumed.
func (d *Driven) Lost() bool {
	if d.DeactivatedAt != nil {
		return false
	}
	if d.Status.Active() {
		return d.Driver.Execution == ""
	}
	c := d.decided()
	return d.Status == Failed && (c == nil || c.Next == Backoff)
}

// AutoRequest asks for the resume of the build of m that was decided on, from
// where its plan begins, as the system does by itself: see ResumeIn.Request.
// ResumeInProgress when the build is not failed in that attempt any more.
func AutoRequest(m *Materials, id string, attempt int, reason string) (*Request, error) {
	if b := m.Build; b.Status != Failed || b.Attempt != attempt {
		return nil, problem.New(problem.ResumeInProgress, "Build '%s' is at attempt %d and %s.", b.ID, b.Attempt, b.Status)
	}
	from := NewPlan(m, nil, nil).From
	return ResumeIn{From: &from, Reason: &reason, RequestedBy: "system", Source: "auto"}.Request(m, id)
}
