package build

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bldst/shared/problem"
)

// A state may have targets: parts of it that succeed and fail alone, such as
// the regions an image is published to. A report of a target says nothing of
// the others, so it never completes the state: a report without a target does,
// or that of a later state. A target that is done stays done in the attempts
// that follow, unless what it rests on is done again.

// maxTargets is how many targets a state may have.
const maxTargets = 100

// checkTarget refuses a target that b cannot remember for the state code.
func (b *Build) checkTarget(code int, target string) error {
	if strings.Contains(target, ",") {
		return problem.BadField("target", "value_error", "A target is named without commas: the targets of a resume are a list separated by them")
	}
	known := b.Marks[code].Targets
	if _, ok := known[target]; target != "" && !ok && len(known) >= maxTargets {
		return problem.New(problem.Refused, "State %d has %d targets already, and a state may have no more.", code, maxTargets)
	}
	return nil
}

// alongside reports whether r is of a target that goes on after another one of
// the same state has failed: that is no resume.
func (b *Build) alongside(r Report) bool {
	return b.Status == Failed && b.FailedState != nil && r.At == *b.FailedState && r.Target != "" &&
		(r.How == InProgress || r.How == Completed) && b.Marks[r.At].Targets[r.Target] != Failed
}

// setTarget remembers how a target of the state m is going.
func (m *Mark) setTarget(target string, how Status) {
	if target == "" {
		return
	}
	m.Targets = maps.Clone(m.Targets)
	m.putTarget(target, how)
}

// markAlongside remembers r, which is alongside a failure.
func (b *Build) markAlongside(r Report) {
	m := b.Marks[r.At]
	m.setTarget(r.Target, r.How)
	if r.Fingerprint != "" {
		m.Fingerprint = r.Fingerprint
	}
	b.Marks[r.At] = m
}

// lateTarget remembers a target that is reported of a state that is done.
func (b *Build) lateTarget(r Report) {
	m := b.Marks[r.At]
	if r.Target != "" && m.Targets[r.Target] != Completed {
		m.setTarget(r.Target, r.How)
		b.Marks[r.At] = m
	}
}

// standing reports whether the targets of the state, marked m, hold when the
// state is reported with the fingerprint.
func (b *Build) standing(code int, m Mark, fingerprint string) bool {
	if fingerprint != "" && m.Fingerprint != "" && plainPrint(fingerprint) != plainPrint(m.Fingerprint) {
		return false
	}
	if m.Attempt == b.Attempt {
		return true
	}
	for c, n := range b.Marks {
		if c < code && n.Attempt == b.Attempt {
			return false
		}
	}
	return m.Status != Completed
}

// Tail returns the targets of the state that a resume from it still has to do,
// in order; nil for all of it: none is done, or the state has no targets.
func (b *Build) Tail(code int) []string {
	m := b.Marks[code]
	if m.Status == Completed || !slices.Contains(slices.Collect(maps.Values(m.Targets)), Completed) {
		return nil
	}
	out := []string{}
	for _, t := range slices.Sorted(maps.Keys(m.Targets)) {
		if m.Targets[t] != Completed {
			out = append(out, t)
		}
	}
	return out
}

// ofTarget returns how the state is going when a target of it goes on as how.
func ofTarget(target string, how Status) Status {
	if target != "" && how == Completed {
		return InProgress
	}
	return how
}

// ended returns when the try that row is of ended, nil while it goes on.
func (m Mark) ended(r Report, now time.Time) *time.Time {
	end := time.Unix(m.End, 0).UTC()
	switch {
	case r.EndTime.At() != nil:
		end = *r.EndTime.At()
	case r.Target != "" && (r.How == Completed || r.How == Failed):
		end = time.Unix(now.Unix(), 0).UTC()
	case m.End == 0 || r.Target != "":
		return nil
	}
	return &end
}

// An OpenTarget is a target that was begun and is not done.
type OpenTarget struct {
	StateCode int    `json:"state_code"`
	Target    string `json:"target"`
	Status    Status `json:"status"`
}

// OpenTargets returns the targets of states that are not completed, and are not
// done themselves; nil for none.
func (b *Build) OpenTargets() []OpenTarget {
	var out []OpenTarget
	for _, code := range slices.Sorted(maps.Keys(b.Marks)) {
		m := b.Marks[code]
		for _, target := range slices.Sorted(maps.Keys(m.Targets)) {
			if status := m.Targets[target]; m.Status != Completed && status != Completed {
				out = append(out, OpenTarget{code, target, status})
			}
		}
	}
	return out
}

// checkOpen refuses r when it completes b while targets are not done: nobody
// would see that they are missing.
func (b *Build) checkOpen(r Report, rules Rules) error {
	if r.How != Completed || r.Target != "" || r.AllowPartial || r.At != LastState && !rules.Final(r.At) {
		return nil
	}
	open := b.OpenTargets()
	if len(open) == 0 {
		return nil
	}
	names := make([]string, len(open))
	for i, o := range open {
		names[i] = fmt.Sprintf("%s of state %d (%s)", o.Target, o.StateCode, o.Status)
	}
	return problem.New(problem.TargetsOpen, "The build cannot be completed, these targets are not done: %s. Report each as completed with its target, or its state as completed without one; "+
		"or send allow_partial: true to complete the build without them.", clipText(strings.Join(names, ", ")))
}
