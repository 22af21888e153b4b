package build_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bldst/shared/build"
	"bldst/shared/problem"
)

// on reports how targets of a state go: "90 us completed", or with the
// fingerprint of its inputs "90 us completed p1".
func (w *walk) on(reports ...string) *walk {
	w.t.Helper()
	for _, r := range reports {
		f := append(strings.Fields(r), "", "")
		if _, err := w.try(build.ReportIn{StateCode: word(f[0]), Target: f[1], Status: f[2], Fingerprint: f[3]}); err != nil {
			w.t.Fatalf("report %q: %v", r, err)
		}
	}
	return w
}

// published is a walk of which two of five regions have failed, while others
// were still going on.
func published(t *testing.T) *walk {
	return newWalk(t).to("80 completed", "90").on("90 a in_progress", "90 b in_progress", "90 c in_progress", "90 d in_progress", "90 e in_progress",
		"90 a completed", "90 b failed", "90 c completed", "90 d failed", "90 e completed")
}

func TestATargetSaysNothingOfTheOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		walk    *walk
		status  build.Status
		attempt int
		mark    build.Status // of state 90
		last    int
		tail    string
	}{
		"one that is done does not complete the state":       {newWalk(t).to("80 completed").on("90 a completed"), build.InProgress, 1, build.InProgress, 80, "[]"},
		"all that are known are not all":                     {newWalk(t).to("80 completed").on("90 a completed", "90 b completed"), build.InProgress, 1, build.InProgress, 80, "[]"},
		"the state is completed by itself":                   {newWalk(t).to("80 completed").on("90 a completed").to("90 completed"), build.InProgress, 1, build.Completed, 90, "all"},
		"one at the end does not end the build":              {newWalk(t).to("80 completed", "90 completed").on("100 a completed"), build.InProgress, 1, build.Completed, 90, "all"},
		"without any that is done all are to be done":        {newWalk(t).to("80 completed").on("90 a", "90 b failed"), build.Failed, 1, build.Failed, 80, "all"},
		"others go on beside a failure":                      {published(t), build.Failed, 1, build.Failed, 80, "[b d]"},
		"a failed one that is tried again begins an attempt": {published(t).on("90 b"), build.InProgress, 2, build.InProgress, 80, "[b d]"},
		"the next attempt does the rest":                     {published(t).on("90 b", "90 b completed", "90 d failed"), build.Failed, 2, build.Failed, 80, "[d]"},
		"a state before it that is run again undoes them":    {published(t).to("80", "80 completed").on("90 b completed", "90 d failed"), build.Failed, 2, build.Failed, 80, "[d]"},
		"so it is as long as that has not got there":         {published(t).to("80", "80 completed").fails("boom"), build.Failed, 2, build.Failed, 80, "[b d]"},
		"other inputs undo them": {newWalk(t).to("80 completed").on("90 a completed p1", "90 b completed p1", "90 c failed", "90 c completed p2", "90 d failed"),
			build.Failed, 2, build.Failed, 80, "[d]"},
		"the same inputs do not": {newWalk(t).to("80 completed").on("90 a completed p1", "90 b failed", "90 b completed P1", "90 c failed"), build.Failed, 2, build.Failed, 80, "[c]"},
		"a whole state that is run again is run for all": {published(t).on("90 b completed").to("90 completed", "95").fails("boom").to("90").on("90 a failed"),
			build.Failed, 3, build.Failed, 90, "all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := c.walk.b
			tail := "all"
			if rest := b.Tail(90); rest != nil {
				tail = fmt.Sprint(rest)
			}
			if b.Status != c.status || b.Attempt != c.attempt || b.Marks[90].Status != c.mark || *b.LastCompleted != c.last || tail != c.tail {
				t.Errorf("got %s in attempt %d, state 90 %s, last %d, tail %s\n%+v", b.Status, b.Attempt, b.Marks[90].Status, *b.LastCompleted, tail, b.Marks[90])
			}
		})
	}
}

func TestAReportBesideAFailureLeavesTheFailure(t *testing.T) {
	t.Parallel()
	w := newWalk(t).to("80 completed").on("90 a", "90 b").on("90 b failed")
	before := *w.b
	e, err := w.try(build.ReportIn{StateCode: word("90"), Target: "a", Status: "completed", Message: "published"})
	if err != nil {
		t.Fatal(err)
	}
	after := *w.b
	if before.Marks, after.Marks, before.Rev = nil, nil, after.Rev; cmp.Diff(before, after) != "" {
		t.Error(cmp.Diff(before, after))
	}
	if !strings.Contains(string(e.Data), `"target":"a"`) || !strings.Contains(string(e.Data), `"end_time"`) {
		t.Errorf("the history says %s", e.Data)
	}
}

func TestTargetsThatCannotBeRemembered(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	if _, err := w.try(build.ReportIn{StateCode: word("90"), Target: "a,b"}); !problem.Is(err, problem.Invalid) {
		t.Errorf("a comma: %v", err)
	}
	for i := range 100 {
		w.on(fmt.Sprintf("90 t%d completed", i))
	}
	if _, err := w.try(build.ReportIn{StateCode: word("90"), Target: "one more"}); !problem.Is(err, problem.Refused) {
		t.Errorf("too many: %v", err)
	}
	if _, err := w.b.Fail(build.FailureIn{ErrorMessage: "x", Target: "one more"}, w.rules, w.tick()); !problem.Is(err, problem.Refused) {
		t.Errorf("too many: %v", err)
	}
	w.on("90 t7 failed", "95 one")
}

func TestThePlanOfATail(t *testing.T) {
	t.Parallel()
	targets := func(p *build.Plan) string {
		var out []string
		for _, s := range p.States {
			for _, x := range s.Targets {
				out = append(out, fmt.Sprintf("%d%s:%s", s.StateCode, x.Target, x.Action))
			}
		}
		return strings.Join(out, " ")
	}
	tail := func(t *testing.T) *scene {
		return sceneOf(published(t)).checkpoint("image-a", 80, onTarget("a")).checkpoint("image-b", 80, onTarget("b")).checkpoint("image", 80, nil)
	}
	for name, c := range map[string]struct {
		scene   *scene
		targets string
		tail    []string
		restore string
		says    string
	}{
		"where it failed": {tail(t), "90a:skip 90b:run 90c:skip 90d:run 90e:skip", []string{"b", "d"}, "image@80 b:image-b@80", "there only for b, d."},
		"from before it":  {tail(t).at(80), "90a:run 90b:run 90c:run 90d:run 90e:run", nil, "", "Run from state 80 on."},
		"from after it":   {tail(t).at(95), "90a:skip 90b:skip 90c:skip 90d:skip 90e:skip", nil, "image@80 a:image-a@80 b:image-b@80", "from state 95 on."},
		"a checkpoint that is too old for one that is done does not matter": {sceneOf(published(t)).checkpoint("old", 50, onTarget("a")).checkpoint("image-b", 80, onTarget("b")),
			"90a:skip 90b:run 90c:skip 90d:run 90e:skip", []string{"b", "d"}, "b:image-b@80", "there only for b, d."},
		"a checkpoint that is too old for the rest undoes all": {sceneOf(published(t)).checkpoint("image-a", 80, onTarget("a")).checkpoint("image-b", 80, onTarget("b")).checkpoint("old-d", 50, onTarget("d")),
			"90a:run 90b:run 90c:run 90d:run 90e:run", nil, "a:image-a@80 b:image-b@80 d:old-d@50", "from state 80 on."},
		"when all are done": {sceneOf(newWalk(t).to("80 completed").on("90 a completed").fails("boom")), "90a:skip", []string{}, "", "all of its targets are done."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := c.scene.plan()
			if d := cmp.Diff([]any{c.targets, c.tail, c.restore}, []any{targets(p), p.Targets, restores(p)}); d != "" || !strings.HasSuffix(p.Detail, c.says) {
				t.Errorf("%s\n%s", p.Detail, d)
			}
			checkPlan(t, p)
		})
	}
	s := sceneOf(newWalk(t).to("80 completed").on("90 a completed p1", "90 b failed"))
	s.prints = map[int]string{90: "sha256:p1"}
	if p := s.plan(); len(p.Targets) != 1 {
		t.Errorf("the same inputs: %+v", p)
	}
	s.prints = map[int]string{90: "p2"}
	if p := s.plan(); p.Targets != nil || targets(p) != "90a:run 90b:run" {
		t.Errorf("other inputs: %+v", p)
	}
}
