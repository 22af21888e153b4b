package build_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bldst/shared/build"
	"bldst/shared/problem"
)

// A scene is a build that failed at 35, with what a plan goes by.
type scene struct {
	*walk
	m      *build.Materials
	from   *int
	prints map[int]string
}

func newScene(t testing.TB) *scene {
	w := newWalk(t).to("10", "10 completed", "20", "20 completed", "30", "30 completed", "35").fails("boom")
	return sceneOf(w)
}

func sceneOf(w *walk) *scene {
	s := &scene{walk: w}
	s.m = &build.Materials{Build: w.b, Rules: w.rules, Now: w.now}
	return s
}

// checkpoint adds an artifact of a state; change may be nil.
func (s *scene) checkpoint(name string, state int, change func(a *build.Artifact)) *scene {
	sum := strings.Repeat("a", 64)
	a := &build.Artifact{ID: "id-" + name, BuildID: "b1", Name: name, Type: "vm_snapshot", StateCode: state, Path: "s3://" + name, Checksum: &sum, Algorithm: "sha256",
		Resumable: true, Attempt: 1, CreatedAt: noon.Add(time.Duration(len(s.m.Artifacts)) * time.Second)}
	if change != nil {
		change(a)
	}
	s.m.Artifacts = append(s.m.Artifacts, a)
	return s
}

func (s *scene) variable(key string, required bool) *scene {
	s.m.Variables = append(s.m.Variables, &build.Variable{Key: key, Required: required})
	return s
}

// configured gives states a configuration.
func (s *scene) configured(configs map[int]build.ResumeConfig) *scene {
	s.m.Rules = ruled{configs: configs}
	return s
}

func (s *scene) at(from int) *scene { s.from = &from; return s }

func (s *scene) plan() *build.Plan { return build.NewPlan(s.m, s.from, s.prints) }

func resumable(strategy build.Strategy) build.ResumeConfig {
	c := build.ResumeConfig{IsResumable: true}
	if strategy != "" {
		c.Strategy = ptr(string(strategy))
	}
	return c
}

func expired(a *build.Artifact)                 { a.ExpiresAt = &noon }
func revoked(a *build.Artifact)                 { a.RevokedAt = &noon }
func onTarget(t string) func(a *build.Artifact) { return func(a *build.Artifact) { a.Target = &t } }

func TestThePlan(t *testing.T) {
	t.Parallel()
	type want struct {
		reason   build.Reason
		strategy build.Strategy
		from     int
		restore  string // "target:name@state ..."
		states   string // "10 skip 20 restore ..."
	}
	const walked = "10 skip 20 skip 30 "
	for name, c := range map[string]struct {
		scene func(t *testing.T) *scene
		want  want
	}{
		"without a checkpoint the state is run again": {newScene0, want{build.OK, build.RerunState, 35, "", walked + "skip 35 run"}},
		"the checkpoint of the last completed state is restored": {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 30, nil) },
			want{build.OK, build.FromArtifact, 35, "vm@30", walked + "restore 35 run"}},
		"of two of one state the newer one": {func(t *testing.T) *scene { return newScene(t).checkpoint("old", 30, nil).checkpoint("new", 30, nil) },
			want{build.OK, build.FromArtifact, 35, "new@30", walked + "restore 35 run"}},
		"of two states the later one, though it is older": {func(t *testing.T) *scene { return newScene(t).checkpoint("late", 30, nil).checkpoint("early", 20, nil) },
			want{build.OK, build.FromArtifact, 35, "late@30", walked + "restore 35 run"}},
		"one for each target": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("us", 30, onTarget("us")).checkpoint("eu", 30, onTarget("eu")).checkpoint("eu-2", 30, onTarget("eu"))
		}, want{build.OK, build.FromArtifact, 35, "eu:eu-2@30 us:us@30", walked + "restore 35 run"}},
		"a target that lags makes all begin where it must": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("us", 30, onTarget("us")).checkpoint("eu", 20, onTarget("eu"))
		}, want{build.OK, build.FromArtifact, 30, "eu:eu@20 us:us@30", "10 skip 20 restore 30 run 35 run"}},
		"an expired one is not restored": {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 30, expired) }, want{build.OK, build.RerunState, 35, "", walked + "skip 35 run"}},
		"a revoked one is not restored":  {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 30, revoked) }, want{build.OK, build.RerunState, 35, "", walked + "skip 35 run"}},
		"one that is not for resuming": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("log", 30, func(a *build.Artifact) { a.Resumable = false })
		}, want{build.OK, build.RerunState, 35, "", walked + "skip 35 run"}},
		"one of the failed state is not":            {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 35, nil) }, want{build.OK, build.RerunState, 35, "", walked + "skip 35 run"}},
		"one of a state that was never reported is": {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 33, nil) }, want{build.OK, build.FromArtifact, 35, "vm@33", walked + "skip 35 run"}},
		"an older one is only advised": {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 20, nil) },
			want{build.OK, build.RerunState, 35, "", walked + "skip 35 run"}},
		"an older one is restored where that was asked for": {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 20, nil).at(30) },
			want{build.OK, build.FromArtifact, 30, "vm@20", "10 skip 20 restore 30 run 35 run"}},
		"an older one is restored where it is configured, and what came after is run again": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 20, nil).configured(map[int]build.ResumeConfig{35: resumable(build.FromArtifact)})
		}, want{build.OK, build.FromArtifact, 30, "vm@20", "10 skip 20 restore 30 run 35 run"}},
		"the state is run again where that is configured": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, nil).configured(map[int]build.ResumeConfig{35: resumable(build.RerunState)})
		}, want{build.OK, build.RerunState, 35, "", walked + "skip 35 run"}},
		"the state is left out where that is configured": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, nil).configured(map[int]build.ResumeConfig{35: resumable(build.SkipToNext), 40: resumable("")})
		}, want{build.OK, build.SkipToNext, 40, "vm@30", walked + "restore 35 skip 40 run"}},
		"but not when just that state was asked for": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, nil).configured(map[int]build.ResumeConfig{35: resumable(build.SkipToNext), 40: resumable("")}).at(35)
		}, want{build.OK, build.FromArtifact, 35, "vm@30", walked + "restore 35 run 40 run"}},
		"a strategy nobody knows is none": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, nil).configured(map[int]build.ResumeConfig{35: resumable("magic")})
		}, want{build.OK, build.FromArtifact, 35, "vm@30", walked + "restore 35 run"}},
		"a configuration without a strategy is one that chooses": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, nil).configured(map[int]build.ResumeConfig{35: resumable("")})
		}, want{build.OK, build.FromArtifact, 35, "vm@30", walked + "restore 35 run"}},
		"a later state can be asked for": {func(t *testing.T) *scene { return newScene(t).at(40) },
			want{build.OK, build.RerunState, 40, "", walked + "skip 35 skip 40 run"}},
		"the first state can be asked for": {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 30, nil).at(0) },
			want{build.OK, build.RerunState, 0, "", "0 run 10 run 20 run 30 run 35 run"}},
		"a failure at state 0 is a failure": {func(t *testing.T) *scene { return sceneOf(newWalk(t).to("0").fails("boom")) },
			want{build.OK, build.RerunState, 0, "", "0 run"}},
		"states that were passed count as done": {func(t *testing.T) *scene {
			return sceneOf(newWalk(t).to("10", "25", "50").fails("boom")).checkpoint("vm", 25, nil)
		},
			want{build.OK, build.FromArtifact, 50, "vm@25", "10 skip 25 restore 50 run"}},
		"a changed input goes before what was asked for": {func(t *testing.T) *scene {
			s := printed(t)
			s.prints = map[int]string{10: "p10", 20: "other", 30: "other"}
			return s.at(35)
		}, want{build.OK, build.RerunState, 20, "", "10 skip 20 run 30 run 35 run"}},
		"unchanged inputs change nothing": {func(t *testing.T) *scene {
			s := printed(t).checkpoint("vm", 30, nil)
			s.prints = map[int]string{10: "sha256:P10", 20: " p20 ", 30: "p30", 35: "whatever", 80: "whatever"}
			return s
		}, want{build.OK, build.FromArtifact, 35, "vm@30", walked + "restore 35 run"}},
		"a change after the state asked for changes nothing": {func(t *testing.T) *scene {
			s := printed(t)
			s.prints = map[int]string{30: "other"}
			return s.at(20)
		}, want{build.OK, build.RerunState, 20, "", "10 skip 20 run 30 run 35 run"}},
		"a change moves the restore to before it": {func(t *testing.T) *scene {
			s := printed(t).checkpoint("early", 20, nil).checkpoint("late", 30, nil)
			s.prints = map[int]string{30: "other"}
			return s
		}, want{build.OK, build.FromArtifact, 30, "early@20", "10 skip 20 restore 30 run 35 run"}},

		"a completed build":       {func(t *testing.T) *scene { return sceneOf(newWalk(t).to("10", "100")) }, want{"build_completed", build.RerunState, 100, "", "10 skip 100 run"}},
		"a cancelled build":       {func(t *testing.T) *scene { return sceneOf(newWalk(t).to("10").cancel()) }, want{"build_cancelled", build.RerunState, 10, "", "10 run"}},
		"a running build":         {func(t *testing.T) *scene { return sceneOf(newWalk(t).to("10")) }, want{"build_running", build.RerunState, 10, "", "10 run"}},
		"a build without reports": {func(t *testing.T) *scene { return sceneOf(newWalk(t)) }, want{"nothing_done", build.RerunState, 0, "", "0 run"}},
		"a build that is being resumed": {func(t *testing.T) *scene {
			s := newScene(t)
			s.b.Resume = &build.ResumeState{ID: "r1", Status: build.RequestTriggered}
			return s
		}, want{"resume_in_progress", build.RerunState, 35, "", walked + "skip 35 run"}},
		"a build that was resumed before": {func(t *testing.T) *scene {
			s := newScene(t)
			s.b.Resume = &build.ResumeState{ID: "r1", Status: build.RequestFailed}
			return s
		}, want{build.OK, build.RerunState, 35, "", walked + "skip 35 run"}},
		"an open breaker": {func(t *testing.T) *scene {
			s := newScene(t)
			s.m.Breaker = &build.Breaker{Open: true, Reason: "5 builds failed."}
			return s
		}, want{"breaker_open", build.RerunState, 35, "", walked + "skip 35 run"}},
		"a closed breaker": {func(t *testing.T) *scene {
			s := newScene(t)
			s.m.Breaker = &build.Breaker{}
			return s
		}, want{build.OK, build.RerunState, 35, "", walked + "skip 35 run"}},
		"a state that is not resumable": {func(t *testing.T) *scene {
			return newScene(t).configured(map[int]build.ResumeConfig{35: {}})
		}, want{"state_not_resumable", build.RerunState, 35, "", walked + "skip 35 run"}},
		"no checkpoint where one is needed": {func(t *testing.T) *scene {
			return newScene(t).configured(map[int]build.ResumeConfig{35: resumable(build.FromArtifact)})
		}, want{"artifact_missing", build.FromArtifact, 35, "", walked + "skip 35 run"}},
		"an expired checkpoint where one is needed": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, expired).configured(map[int]build.ResumeConfig{35: resumable(build.FromArtifact)})
		}, want{"artifact_expired", build.FromArtifact, 35, "", walked + "skip 35 run"}},
		"a revoked checkpoint where one is needed": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, revoked).checkpoint("old", 20, expired).configured(map[int]build.ResumeConfig{35: resumable(build.FromArtifact)})
		}, want{"artifact_revoked", build.FromArtifact, 35, "", walked + "skip 35 run"}},
		"nothing was done before, so no checkpoint is needed": {func(t *testing.T) *scene {
			return sceneOf(newWalk(t).to("20").fails("boom")).configured(map[int]build.ResumeConfig{20: resumable(build.FromArtifact)})
		}, want{build.OK, build.RerunState, 20, "", "20 run"}},
		"a required artifact, by name": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, nil).configured(map[int]build.ResumeConfig{35: {IsResumable: true, RequiredArtifacts: []string{"vm"}}})
		}, want{build.OK, build.FromArtifact, 35, "vm@30", walked + "restore 35 run"}},
		"a required artifact, by type": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, nil).configured(map[int]build.ResumeConfig{35: {IsResumable: true, RequiredArtifacts: []string{"vm_snapshot"}}})
		}, want{build.OK, build.FromArtifact, 35, "vm@30", walked + "restore 35 run"}},
		"a required artifact is missing": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, nil).configured(map[int]build.ResumeConfig{35: {IsResumable: true, RequiredArtifacts: []string{"vm", "disk"}}})
		}, want{"artifact_missing", build.FromArtifact, 35, "vm@30", walked + "restore 35 run"}},
		"a required artifact has expired": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, expired).configured(map[int]build.ResumeConfig{35: {IsResumable: true, RequiredArtifacts: []string{"vm"}}})
		}, want{"artifact_expired", build.RerunState, 35, "", walked + "skip 35 run"}},
		"a required artifact was revoked": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, revoked).configured(map[int]build.ResumeConfig{35: {IsResumable: true, RequiredArtifacts: []string{"vm"}}})
		}, want{"artifact_revoked", build.RerunState, 35, "", walked + "skip 35 run"}},
		"a required variable is missing": {func(t *testing.T) *scene {
			return newScene(t).variable("vm_id", true).configured(map[int]build.ResumeConfig{35: {IsResumable: true, RequiredVariables: []string{"vm_id", "region"}}})
		}, want{"variable_missing", build.RerunState, 35, "", walked + "skip 35 run"}},
		"a required variable is there": {func(t *testing.T) *scene {
			return newScene(t).variable("vm_id", false).configured(map[int]build.ResumeConfig{35: {IsResumable: true, RequiredVariables: []string{"vm_id"}}})
		}, want{build.OK, build.RerunState, 35, "", walked + "skip 35 run"}},
		"a missing artifact goes before a missing variable": {func(t *testing.T) *scene {
			return newScene(t).configured(map[int]build.ResumeConfig{35: {IsResumable: true, RequiredArtifacts: []string{"a"}, RequiredVariables: []string{"v"}}})
		}, want{"artifact_missing", build.RerunState, 35, "", walked + "skip 35 run"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := c.scene(t).plan()
			got := want{p.Reason, p.Strategy, p.From, restores(p), states(p)}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\n%+v", diff, p)
			}
			checkPlan(t, p)
		})
	}
}

func newScene0(t *testing.T) *scene { return newScene(t) }

// printed is a scene whose states were completed with fingerprints.
func printed(t *testing.T) *scene {
	s := newScene(t)
	for _, c := range []int{10, 20, 30} {
		m := s.b.Marks[c]
		m.Fingerprint = fmt.Sprintf("p%d", c)
		s.b.Marks[c] = m
	}
	return s
}

func restores(p *build.Plan) string {
	var out []string
	for _, r := range p.Restore {
		out = append(out, strings.TrimPrefix(fmt.Sprintf("%s:%s@%d", r.Target, r.ArtifactName, r.StateCode), ":"))
	}
	return strings.Join(out, " ")
}

func states(p *build.Plan) string {
	var out []string
	for _, s := range p.States {
		out = append(out, fmt.Sprintf("%d %s", s.StateCode, s.Action))
	}
	return strings.Join(out, " ")
}

// checkPlan requires of a plan what every plan promises.
func checkPlan(t *testing.T, p *build.Plan) {
	t.Helper()
	if p.Resumable != (p.Reason == build.OK) || p.Detail == "" || p.Why == "" || p.BuildID != "b1" {
		t.Errorf("not said: %+v", p)
	}
	if p.Reason != build.OK && problem.Kind(p.Reason).Status() != 409 {
		t.Errorf("%s is not a conflict", p.Reason)
	}
	for _, s := range p.States {
		if (s.StateCode >= p.From) != (s.Action == build.ActionRun) || s.Why == "" {
			t.Errorf("resuming from %d: %+v", p.From, s)
		}
	}
}

func TestWhatThePlanNeedsAndFinds(t *testing.T) {
	t.Parallel()
	s := newScene(t).checkpoint("vm", 30, nil).checkpoint("vm-old", 20, expired).checkpoint("bad", 20, revoked).
		checkpoint("log", 30, func(a *build.Artifact) { a.Resumable, a.Type = false, "log" }).
		checkpoint("conf", 10, func(a *build.Artifact) { a.Resumable, a.Type, a.Checksum = false, "config_file", nil }).
		variable("vm_id", true).variable("note", false).
		configured(map[int]build.ResumeConfig{35: {IsResumable: true, RequiredArtifacts: []string{"vm_snapshot", "config_file", "bad", "disk"}, RequiredVariables: []string{"region", "vm_id"}}})
	p := s.plan()
	if diff := cmp.Diff([]build.PlanArtifact{
		{Name: "vm_snapshot", Required: true, Found: true, ChecksumKnown: true},
		{Name: "config_file", Required: true, Found: true},
		{Name: "bad", Required: true, Found: true, Revoked: true, ChecksumKnown: true},
		{Name: "disk", Required: true},
	}, p.Artifacts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]build.PlanVariable{{Key: "region", Required: true}, {Key: "vm_id", Required: true, Found: true}, {Key: "note", Found: true}}, p.Variables); diff != "" {
		t.Error(diff)
	}
	if p.Reason != "artifact_revoked" || !strings.Contains(p.Detail, "'bad'") {
		t.Errorf("%s: %s", p.Reason, p.Detail)
	}
	s.m.Rules = build.Builtin{}
	if diff := cmp.Diff([]build.PlanArtifact{{Name: "vm", Found: true, ChecksumKnown: true}, {Name: "vm-old", Found: true, Expired: true, ChecksumKnown: true}, {Name: "bad", Found: true, Revoked: true, ChecksumKnown: true}}, s.plan().Artifacts); diff != "" {
		t.Error(diff)
	}
}

func TestWhatThePlanSaves(t *testing.T) {
	t.Parallel()
	s := newScene(t).checkpoint("vm", 30, nil)
	p := s.plan() // every state took a minute
	if p.MinutesSaved != 3 || *p.States[0].Typical != 60 {
		t.Errorf("%d minutes, %+v", p.MinutesSaved, p.States)
	}
	if s.m.Typical = (build.Typical{20: {Count: 2, Seconds: 3600}, 35: {Count: 1, Seconds: 600}}); s.plan().MinutesSaved != 32 {
		t.Errorf("with the times of the project: %d minutes", s.plan().MinutesSaved)
	}
	if got := *s.plan().States[3].Typical; got != 600 {
		t.Errorf("the failed state usually takes %d seconds", got)
	}
	only := sceneOf(newWalk(t).to("10 completed", "20 completed", "30 completed", "35").fails("x")).plan()
	if only.MinutesSaved != 2 { // nobody knows when the first began
		t.Errorf("states that were only reported when they were done: %d minutes, %+v", only.MinutesSaved, only.States)
	}
}

func TestThePlanWarns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scene func(t *testing.T) *scene
		says  string
	}{
		"of a state without a configuration": {newScene0, "State 35 has no resumable-state configuration"},
		"that there is no checkpoint":        {newScene0, "There is no checkpoint"},
		"that the checkpoint is older":       {func(t *testing.T) *scene { return newScene(t).checkpoint("vm", 20, nil) }, "the newest checkpoint is 'vm' of state 20, to be followed by state 30"},
		"of a checkpoint without a checksum": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("vm", 30, func(a *build.Artifact) { a.Checksum = nil })
		}, "'vm' has no checksum"},
		"of a state that is skipped undone": {func(t *testing.T) *scene { return newScene(t).at(40) }, "State 35 is skipped although it was never completed"},
		"of a state without a fingerprint":  {func(t *testing.T) *scene { s := newScene(t); s.prints = map[int]string{20: "x"}; return s }, "State 20 was completed without a fingerprint"},
		"of a strategy it does not know": {func(t *testing.T) *scene {
			return newScene(t).configured(map[int]build.ResumeConfig{35: resumable("magic")})
		}, "'magic'"},
		"of a checkpoint that was overtaken": {func(t *testing.T) *scene {
			return sceneOf(newWalk(t).to("10 completed", "20 completed", "30").fails("x").to("10 completed", "20 completed", "30").fails("x")).checkpoint("vm", 20, nil)
		}, "'vm' is of attempt 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if p := c.scene(t).plan(); !strings.Contains(strings.Join(p.Warnings, "\n"), c.says) {
				t.Errorf("want %q in %q", c.says, p.Warnings)
			}
		})
	}
}

func TestAPlanChangesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t).checkpoint("vm", 30, nil)
	before := s.b.Copy()
	s.plan()
	if diff := cmp.Diff(before, s.b); diff != "" {
		t.Error(diff)
	}
}
