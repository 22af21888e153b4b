package build_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"bldst/shared/build"
)

// restoredTo makes a checkpoint one that a worker restores to a path.
func restoredTo(path string, attempt int) func(a *build.Artifact) {
	return func(a *build.Artifact) {
		a.Metadata, a.Attempt = json.RawMessage(fmt.Sprintf(`{"restore_to":%q}`, path)), attempt
	}
}

func TestThePlanOfAStep(t *testing.T) {
	t.Parallel()
	// done is a build that has completed 10, 20 and 30 and goes on.
	done := func(t *testing.T) *walk {
		return newWalk(t).to("10", "10 completed", "20", "20 completed", "30", "30 completed")
	}
	for name, c := range map[string]struct {
		scene func(t *testing.T) *scene
		next  int
		kept  int
		want  string // from; what is restored; what becomes of the states
	}{
		"a new build begins":                     {func(t *testing.T) *scene { return sceneOf(newWalk(t)) }, 10, 0, "0;; 0 run"},
		"what is completed is skipped":           {func(t *testing.T) *scene { return sceneOf(done(t)) }, 20, 1, "31;; 10 skip 20 skip 30 skip 31 run"},
		"the next state is run":                  {func(t *testing.T) *scene { return sceneOf(done(t)) }, 40, 1, "40;; 10 skip 20 skip 30 skip 40 run"},
		"one that was left out so far is run":    {func(t *testing.T) *scene { return sceneOf(done(t)) }, 15, 1, "15;; 10 skip 15 run 20 run 30 run"},
		"one that was passed but not completed":  {func(t *testing.T) *scene { return sceneOf(newWalk(t).to("10", "20", "20 completed")) }, 10, 1, "10;; 10 run 20 run"},
		"nothing is restored where all is kept":  {func(t *testing.T) *scene { return sceneOf(done(t)).checkpoint("vm", 20, nil) }, 40, 1, "40;; 10 skip 20 skip 30 skip 40 run"},
		"elsewhere the newest is":                {func(t *testing.T) *scene { return sceneOf(done(t)).checkpoint("vm", 30, nil) }, 40, 0, "40; vm; 10 skip 20 skip 30 restore 40 run"},
		"and what was done after it is run":      {func(t *testing.T) *scene { return sceneOf(done(t)).checkpoint("vm", 20, nil) }, 40, 0, "30; vm; 10 skip 20 restore 30 run"},
		"a failure leaves nothing as it was":     {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 20, nil) }, 35, 1, "30; vm; 10 skip 20 restore 30 run 35 run"},
		"without a checkpoint it is run on that": {newScene0, 35, 1, "35;; 10 skip 20 skip 30 skip 35 run"},
		"each path is restored": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("a", 20, restoredTo("a.tar", 1)).checkpoint("b", 30, restoredTo("b.tar", 1)).checkpoint("c", 10, restoredTo("b.tar", 1))
		}, 35, 1, "35; a b; 10 skip 20 restore 30 restore 35 run"},
		"a checkpoint of what was run again since is not": {func(t *testing.T) *scene {
			s := newScene(t).checkpoint("old", 30, restoredTo("x", 1))
			s.to("20", "20 completed", "30", "30 completed", "35").fails("boom")
			return s
		}, 35, 2, "35;; 10 skip 20 skip 30 skip 35 run"},
		"what stands on a state that was run again is": {func(t *testing.T) *scene {
			s := newScene(t)
			s.to("20", "20 completed")
			return s
		}, 30, 2, "30;; 10 skip 20 skip 30 run 35 run"},
		"a build that recovers goes on with what is kept": {func(t *testing.T) *scene {
			s := newScene(t).checkpoint("vm", 20, nil)
			s.to("30", "30 completed")
			return s
		}, 35, 2, "35;; 10 skip 20 skip 30 skip 35 run"},
		"a damaged one falls back to the one before": {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 20, nil).checkpoint("bad", 30, revoked) }, 35, 1, "30; vm; 10 skip 20 restore 30 run 35 run"},
		"and when there is none, to the beginning":   {func(t *testing.T) *scene { return newScene(t).checkpoint("bad", 30, revoked) }, 35, 1, "10;; 10 run 20 run 30 run 35 run"},
		"a changed input": {func(t *testing.T) *scene {
			s := printed(t)
			s.prints = map[int]string{20: "other"}
			return s
		}, 20, 0, "20;; 10 skip 20 run 30 run 35 run"},
		"a completed build has nothing to do": {func(t *testing.T) *scene { return sceneOf(done(t).to("100 completed")) }, 100, 1, "100;; 10 skip 20 skip 30 skip 100 skip"},
		"a configured rerun restores nothing": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, nil).configured(map[int]build.ResumeConfig{35: resumable(build.RerunState)})
		}, 35, 0, "35;; 10 skip 20 skip 30 skip 35 run"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.scene(t)
			p := build.NewStepPlan(s.m, build.NextStep{State: c.next, Kept: c.kept}, s.prints)
			var restored, states []string
			for _, r := range p.Restore {
				restored = append(restored, r.ArtifactName)
			}
			for _, st := range p.States {
				states = append(states, fmt.Sprintf("%d %s", st.StateCode, st.Action))
			}
			got := fmt.Sprintf("%d;%s; %s", p.From, strings.Join(append([]string{""}, restored...), " "), strings.Join(states, " "))
			if len(restored) == 0 {
				got = fmt.Sprintf("%d;; %s", p.From, strings.Join(states, " "))
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s\n%s", got, c.want, p.Why)
			}
		})
	}
}
