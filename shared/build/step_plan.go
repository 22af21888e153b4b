package build

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// A NextStep is a worker that is about to do one state of a build and asks what
// has to be done before.
type NextStep struct {
	State int
	// Kept is the attempt of which everything that its states have left is still
	// where the worker is, 0 for none: then it is gone, or half changed.
	Kept int
}

// NewStepPlan returns the plan for a worker at step. It differs from NewPlan in
// what it takes for granted. A build that runs goes on after the state it has
// completed. A state that was never completed is run, and so is every state
// that was completed before one below it was run again. Whatever a failure or a
// lost machine left half done is replaced by the newest checkpoints, and what
// was done after them is done again. It is a pure function.
func NewStepPlan(m *Materials, step NextStep, prints map[int]string) *Plan {
	return plan(m, nil, &step, prints, false)
}

// beginStep sets where the worker has to begin.
func (p *planner) beginStep() {
	b, out, next := p.Build, p.out, p.step.State
	switch failed := b.FailedState; {
	case b.Status == Failed && failed != nil:
		out.From, out.Why = *failed, fmt.Sprintf("State %d failed.", *failed)
	case b.Status == Completed:
		out.From, out.Why = LastState+1, "The build is completed."
	case b.Marks[b.Current].Status == Completed:
		out.From, out.Why = max(next, b.Current+1), fmt.Sprintf("State %d is completed.", b.Current)
	default:
		out.From, out.Why = b.Current, fmt.Sprintf("The build is at state %d.", b.Current)
	}
	if next < out.From && b.Marks[next].Status != Completed {
		out.From, out.Why = next, fmt.Sprintf("State %d is not done.", next)
	}
	p.rerun()
}

// rerun moves the begin to the first state that was completed before a state
// below it was run again: it stands on what is not there any more.
func (p *planner) rerun() {
	attempt, at := 0, 0
	for _, code := range slices.Sorted(maps.Keys(p.Build.Marks)) {
		m := p.Build.Marks[code]
		if code >= p.out.From {
			return
		}
		if p.done(code) && m.Attempt < attempt {
			p.out.From = code
			p.out.Why = fmt.Sprintf("State %d was run again in attempt %d; what was done after it must be done again.", at, attempt)
			return
		}
		if m.Attempt > attempt {
			attempt, at = m.Attempt, code
		}
	}
}

// chooseStep sets the strategy and what the worker restores. What is kept stays
// as it is, unless a failure has left it half changed.
func (p *planner) chooseStep() {
	p.out.Strategy = RerunState
	if p.step.Kept == p.Build.Attempt && p.Build.Status != Failed || p.wanted() == RerunState {
		return
	}
	from := p.out.From
	best := p.newest(from)
	if len(best) == 0 {
		p.beginAnew()
		return
	}
	p.out.Strategy = FromArtifact
	if p.goBack(best); p.out.From < from {
		best = p.newest(p.out.From)
	}
	for _, a := range best {
		p.restore(a)
	}
}

// beginAnew moves the begin to the first state of a build whose checkpoints
// cannot be restored any more: what they held is nowhere else. A build that
// never had one keeps elsewhere what its states have done.
func (p *planner) beginAnew() {
	for _, a := range p.Artifacts {
		if p.restorable(a, p.out.From) && !p.overtaken(a) {
			codes := slices.Sorted(maps.Keys(p.Build.Marks))
			if len(codes) > 0 && codes[0] < p.out.From {
				p.out.From = codes[0]
				p.out.Why = fmt.Sprintf("Checkpoint '%s' of state %d cannot be restored any more, and there is none before it.", a.Name, a.StateCode)
			}
			return
		}
	}
}

// newest returns the checkpoints that together are the newest place below code
// to begin from: of each target and place, the newest one.
func (p *planner) newest(code int) []*Artifact {
	best := map[string]*Artifact{}
	for _, a := range p.Artifacts {
		if !p.restorable(a, code) || !a.Usable(p.Now) || p.overtaken(a) {
			continue
		}
		place := target(a) + "\x00" + cmp.Or(a.RestoreTo(), a.Name)
		if have := best[place]; have == nil || newer(a, have) > 0 {
			best[place] = a
		}
	}
	out := make([]*Artifact, 0, len(best))
	for _, place := range slices.Sorted(maps.Keys(best)) {
		out = append(out, best[place])
	}
	return out
}

// overtaken reports whether a state that a holds was run again after a was
// made.
func (p *planner) overtaken(a *Artifact) bool {
	for code, m := range p.Build.Marks {
		if code <= a.StateCode && m.Attempt > a.Attempt {
			return true
		}
	}
	return false
}

// RestoreTo returns the path the worker saved a from, which is where it is
// restored to; "" when it did not say.
func (a *Artifact) RestoreTo() string {
	var m struct {
		Path string `json:"restore_to"`
	}
	if len(a.Metadata) == 0 || json.Unmarshal(a.Metadata, &m) != nil {
		return ""
	}
	return m.Path
}
