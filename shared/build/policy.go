package build

import (
	"fmt"
	"slices"
	"time"

	"bldst/shared/problem"
)

// A Policy says what a project wants done about failures. Nothing is resumed
// automatically unless a project has a policy that says so.
type Policy struct {
	Automatic bool                  `json:"automatic" doc:"Resume failed builds without being asked, within the limits below."`
	Classes   map[Class]ClassPolicy `json:"classes,omitempty" doc:"By failure class; a class that is not named keeps its default."`
	MaxTotal  int                   `json:"max_total_seconds,omitempty" doc:"No automatic resume once a build would be older than this, counted from its first report; 0 is no limit."`
	Breaker   *BreakerRule          `json:"breaker,omitempty" doc:"When an image line stops being resumed."`

	Rev int64 `json:"-"`
}

// A ClassPolicy is how often failures of one class are resumed in one build,
// and how long each resume waits; the last wait holds for all further ones.
type ClassPolicy struct {
	Retries int   `json:"retries" minimum:"0" maximum:"20"`
	Backoff []int `json:"backoff_seconds" doc:"Before the first resume, the second ..."`
}

// A BreakerRule opens the breaker of an image line after so many failures of
// its builds within so long.
type BreakerRule struct {
	Failures int `json:"failures"`
	Within   int `json:"within_seconds"`
}

// DefaultClasses are the classes of a policy that does not name them. Transient
// failures go away by themselves, a silent worker is probably gone with its
// runner, a quota is free again later; the others need a person.
var DefaultClasses = map[Class]ClassPolicy{
	Transient:   {Retries: 3, Backoff: []int{60, 300, 900}},
	Stalled:     {Retries: 2, Backoff: []int{60, 300}},
	Quota:       {Retries: 3, Backoff: []int{3600}},
	TimedOut:    {Backoff: []int{60}},
	Persistent:  {Backoff: []int{60}},
	Aborted:     {Backoff: []int{60}},
	NothingDone: {Backoff: []int{60}},
	Unknown:     {Backoff: []int{60}},
}

// DefaultBreaker is the breaker of a policy that does not name one.
var DefaultBreaker = BreakerRule{Failures: 5, Within: 24 * 60 * 60}

// DefaultPolicy returns the policy of a project that has none.
func DefaultPolicy() Policy {
	p, _ := Policy{MaxTotal: 24 * 60 * 60}.Normalise()
	return p
}

// The limits of a policy.
const (
	maxRetries  = 20
	maxBackoff  = 7 * 24 * 60 * 60   // seconds
	maxTotal    = 365 * 24 * 60 * 60 // seconds: the machine's own limit
	maxFailures = 100
	maxWithin   = 30 * 24 * 60 * 60 // seconds
)

// Normalise returns p with its defaults filled in; an Invalid problem that
// names every field that makes no sense.
func (p Policy) Normalise() (Policy, error) {
	bad := &problem.Problem{Kind: problem.Invalid}
	given := p.Classes
	p.Classes = map[Class]ClassPolicy{}
	for c, d := range DefaultClasses {
		p.Classes[c] = ClassPolicy{Retries: d.Retries, Backoff: slices.Clone(d.Backoff)}
	}
	for c, cp := range given {
		if !slices.Contains(Classes, c) {
			refuse(bad, fmt.Sprintf("One of %v", Classes), "classes", string(c))
			continue
		}
		if len(cp.Backoff) == 0 {
			cp.Backoff = p.Classes[c].Backoff
		}
		cp.check(bad, c)
		p.Classes[c] = cp
	}
	if p.MaxTotal < 0 || p.MaxTotal > maxTotal {
		refuse(bad, fmt.Sprintf("0 to %d seconds", maxTotal), "max_total_seconds")
	}
	if p.Breaker == nil {
		d := DefaultBreaker
		p.Breaker = &d
	}
	p.Breaker.check(bad)
	if len(bad.Fields) > 0 {
		slices.SortFunc(bad.Fields, func(a, b problem.Field) int { return slices.Compare(spell(a.Loc), spell(b.Loc)) })
		return p, bad
	}
	return p, nil
}

func spell(loc []any) []string {
	out := make([]string, len(loc))
	for i, l := range loc {
		out[i] = fmt.Sprint(l)
	}
	return out
}

func refuse(p *problem.Problem, msg string, loc ...any) {
	p.Fields = append(p.Fields, problem.Field{Loc: append([]any{"body"}, loc...), Msg: msg, Type: "value_error"})
}

func (cp ClassPolicy) check(bad *problem.Problem, c Class) {
	if cp.Retries < 0 || cp.Retries > maxRetries {
		refuse(bad, fmt.Sprintf("0 to %d retries", maxRetries), "classes", string(c), "retries")
	}
	if len(cp.Backoff) > maxRetries {
		refuse(bad, fmt.Sprintf("At most %d waits", maxRetries), "classes", string(c), "backoff_seconds")
	}
	for i, s := range cp.Backoff {
		if s < 0 || s > maxBackoff {
			refuse(bad, fmt.Sprintf("0 to %d seconds", maxBackoff), "classes", string(c), "backoff_seconds", i)
		}
	}
}

func (r BreakerRule) check(bad *problem.Problem) {
	if r.Failures < 1 || r.Failures > maxFailures {
		refuse(bad, fmt.Sprintf("1 to %d failures", maxFailures), "breaker", "failures")
	}
	if r.Within < 60 || r.Within > maxWithin {
		refuse(bad, fmt.Sprintf("60 to %d seconds", maxWithin), "breaker", "within_seconds")
	}
}

// A Decision is what was decided about the failure of one attempt. It is kept
// with the build, so that asking twice gives the same answer, and stands in
// the history with its reason.
type Decision struct {
	Attempt int           `json:"attempt"`
	Class   Class         `json:"failure_class"`
	Next    Step          `json:"next" enum:"backoff,await,fail" doc:"Resume after the delay, wait for a person, or give up."`
	Delay   int           `json:"delay_seconds,omitempty"`
	Reason  string        `json:"reason"`
	At      time.Time     `json:"at"`
	Retries map[Class]int `json:"retries,omitempty" doc:"Automatic resumes so far, by class."`
}

// decided returns the decision about the failure b is in, nil while there is
// none.
func (b *Build) decided() *Decision {
	if b.Status != Failed || b.Decision == nil || b.Decision.Attempt != b.Attempt {
		return nil
	}
	return b.Decision
}

// Decide decides about the failure of the failed build b whose line has the
// breaker k, nil for none. It is a pure function.
func (p Policy) Decide(b *Build, k *Breaker, now time.Time) Decision {
	d := Decision{Attempt: b.Attempt, Class: b.FailureClass, Next: Await, At: now, Retries: map[Class]int{}}
	if d.Class == "" {
		d.Class = Unknown
	}
	if b.Decision != nil {
		for c, n := range b.Decision.Retries {
			d.Retries[c] = n
		}
	}
	rule, spent := p.Classes[d.Class], d.Retries[d.Class]
	delay := rule.wait(spent)
	switch {
	case !p.Automatic:
		d.Reason = "The project resumes nothing automatically; a person must resume the build."
	case k != nil && k.Open:
		d.Reason = "The breaker of the image line is open: " + k.Reason
	case rule.Retries == 0:
		d.Reason = fmt.Sprintf("Failures of class %s are not resumed automatically.", d.Class)
	case spent >= rule.Retries:
		d.Reason = fmt.Sprintf("All %d automatic resumes for failures of class %s are used up.", rule.Retries, d.Class)
	case p.MaxTotal > 0 && now.Add(delay).Sub(b.began()) > time.Duration(p.MaxTotal)*time.Second:
		d.Reason = fmt.Sprintf("The time for automatic resumes is used up: %s since the first report.", time.Duration(p.MaxTotal)*time.Second)
	default:
		d.Next, d.Delay = Backoff, seconds(delay)
		d.Retries[d.Class]++
		d.Reason = fmt.Sprintf("Automatic resume %d of %d for failures of class %s, in %s.", spent+1, rule.Retries, d.Class, delay)
	}
	return d
}

// wait returns how long the resume after spent others waits.
func (cp ClassPolicy) wait(spent int) time.Duration {
	if len(cp.Backoff) == 0 {
		return 0
	}
	return time.Duration(cp.Backoff[min(spent, len(cp.Backoff)-1)]) * time.Second
}

// began returns when work on b began.
func (b *Build) began() time.Time {
	if b.StartTime != nil {
		return *b.StartTime
	}
	return b.CreatedAt
}
