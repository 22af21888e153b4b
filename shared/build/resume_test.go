package build_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bldst/shared/build"
	"bldst/shared/problem"
)

// asks asks for a resume of the scene's build.
func (s *scene) asks(in build.ResumeIn) (*build.Request, error) { return in.Request(s.m, "r1") }

func TestAskingForAResume(t *testing.T) {
	t.Parallel()
	running := func(t *testing.T) *scene { return sceneOf(newWalk(t).to("10", "20")) }
	open := func(t *testing.T) *scene {
		s := newScene(t)
		s.b.Resume = &build.ResumeState{ID: "r0", Status: build.RequestPending}
		return s
	}
	cancelled := func(t *testing.T) *scene {
		return sceneOf(newWalk(t).to("10 completed", "20").cancel()).checkpoint("vm", 10, nil)
	}
	needyRunning := func(t *testing.T) *scene { s := needy(t); s.to("35"); return s }
	for name, c := range map[string]struct {
		scene func(t *testing.T) *scene
		in    build.ResumeIn
		want  string // refusal
		says  string
	}{
		"of a failed build":                  {newScene0, build.ResumeIn{From: ptr(35)}, "", ""},
		"up to a state":                      {newScene0, build.ResumeIn{From: ptr(35), To: ptr(80)}, "", ""},
		"from state 0":                       {newScene0, build.ResumeIn{From: ptr(0)}, "", ""},
		"from where the plan begins":         {newScene0, build.ResumeIn{}, "", ""},
		"up to where the plan begins":        {newScene0, build.ResumeIn{To: ptr(35)}, "refused", "which is 35"},
		"from below 0":                       {newScene0, build.ResumeIn{From: ptr(-1)}, "refused", "resume_from_state must be >= 0"},
		"from above 100":                     {newScene0, build.ResumeIn{From: ptr(101)}, "refused", "resume_from_state must be <= 100"},
		"up to where it begins":              {newScene0, build.ResumeIn{From: ptr(35), To: ptr(35)}, "refused", "resume_to_state must be greater than resume_from_state"},
		"up to above 100":                    {newScene0, build.ResumeIn{From: ptr(35), To: ptr(101)}, "refused", "resume_to_state must be <= 100"},
		"with a fingerprint of no state":     {newScene0, build.ResumeIn{From: ptr(35), Fingerprints: map[string]string{"x": "y"}}, "invalid fingerprints", ""},
		"with metadata that is no object":    {newScene0, build.ResumeIn{From: ptr(35), Metadata: json.RawMessage(`[1]`)}, "invalid metadata", ""},
		"with a config that is no object":    {newScene0, build.ResumeIn{From: ptr(35), Config: json.RawMessage(`"x"`)}, "invalid orchestration_config", ""},
		"of a running build":                 {running, build.ResumeIn{From: ptr(20)}, "build_running", ""},
		"of a running build, by force":       {running, build.ResumeIn{From: ptr(20), Force: true}, "", ""},
		"of one that has reported nothing":   {func(t *testing.T) *scene { return sceneOf(newWalk(t)) }, build.ResumeIn{From: ptr(0)}, "nothing_done", ""},
		"of one with nothing, by force":      {func(t *testing.T) *scene { return sceneOf(newWalk(t)) }, build.ResumeIn{From: ptr(0), Force: true}, "", ""},
		"of a completed build, by force":     {func(t *testing.T) *scene { return sceneOf(newWalk(t).to("100")) }, build.ResumeIn{From: ptr(0), Force: true}, "build_completed", ""},
		"of a cancelled build, by force":     {func(t *testing.T) *scene { return sceneOf(newWalk(t).to("10").cancel()) }, build.ResumeIn{From: ptr(0), Force: true}, "build_cancelled", ""},
		"of a cancelled one with checkpoint": {cancelled, build.ResumeIn{From: ptr(20)}, "build_cancelled", "--force"},
		"of a cancelled one, with force":     {cancelled, build.ResumeIn{From: ptr(20), Force: true}, "", ""},
		"of a running build, by taking over": {running, build.ResumeIn{From: ptr(20), TakeOver: true}, "", ""},
		"of one that is resumed, taken over": {open, build.ResumeIn{From: ptr(35), TakeOver: true}, "", ""},
		"of one that lacks something":        {needyRunning, build.ResumeIn{From: ptr(35), TakeOver: true}, "artifact_missing", "'vm'"},
		"of one that is resumed, by force":   {open, build.ResumeIn{From: ptr(35), Force: true}, "resume_in_progress", "r0"},
		"past a missing artifact":            {needy, build.ResumeIn{From: ptr(35)}, "artifact_missing", "'vm'"},
		"past a missing artifact, by force":  {needy, build.ResumeIn{From: ptr(35), Force: true}, "", ""},
		"past an open breaker":               {broken, build.ResumeIn{From: ptr(35)}, "breaker_open", ""},
		"past an open breaker, by force":     {broken, build.ResumeIn{From: ptr(35), Force: true}, "", ""},
		"from a state that is not resumable": {func(t *testing.T) *scene { return newScene(t).configured(map[int]build.ResumeConfig{35: {}}) }, build.ResumeIn{From: ptr(35)}, "state_not_resumable", ""},
		"from another state than that":       {func(t *testing.T) *scene { return newScene(t).configured(map[int]build.ResumeConfig{35: {}}) }, build.ResumeIn{From: ptr(30)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.scene(t)
			before := s.b.Copy()
			r, err := s.asks(c.in)
			if refusal(err) != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("want %q saying %q, got %v", c.want, c.says, err)
			}
			if err != nil {
				if s.b.Attempt != before.Attempt || s.b.Status != before.Status {
					t.Errorf("a refused resume changed the build: %+v", s.b)
				}
				return
			}
			if s.b.Attempt != before.Attempt+1 || s.b.Status != build.InProgress || s.b.Deadline == nil || s.b.FailedState != nil || s.b.Resume.ID != "r1" || !s.b.Resume.Open() {
				t.Errorf("the build: %+v", s.b)
			}
			if r.ID != "r1" || r.RequestID != "r1" || r.Attempt != s.b.Attempt || r.Status != build.RequestPending || r.Forced != c.in.Force || r.Source != "api" {
				t.Errorf("the request: %+v", r)
			}
		})
	}
}

func needy(t *testing.T) *scene {
	return newScene(t).configured(map[int]build.ResumeConfig{35: {IsResumable: true, RequiredArtifacts: []string{"vm"}}})
}

func broken(t *testing.T) *scene {
	s := newScene(t)
	s.m.Breaker = &build.Breaker{Open: true}
	return s
}

func TestAResumeBeginsEarlierWhereThePlanSaysSo(t *testing.T) {
	t.Parallel()
	s := printed(t)
	r, err := s.asks(build.ResumeIn{From: ptr(35), Fingerprints: map[string]string{"20": "changed"}})
	if err != nil || r.From != 20 || r.Asked != 35 || s.b.Resume.From != 20 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAResumeReplacesTheWorker(t *testing.T) {
	t.Parallel()
	s := sceneOf(newWalk(t).to("10", "20"))
	s.b.Lease, s.b.Cancelling = &build.Lease{Attempt: 1, Worker: "w", Until: s.now.Add(time.Hour)}, true
	if _, err := s.asks(build.ResumeIn{From: ptr(20), Force: true}); err != nil {
		t.Fatal(err)
	}
	if s.b.Cancelling || s.b.View().LeaseUntil != nil {
		t.Errorf("of the old worker there is left: %+v", s.b)
	}
	if _, err := s.try(build.ReportIn{StateCode: code(25), Attempt: ptr(1)}); refusal(err) != "stale_attempt" {
		t.Errorf("its report: %v", err)
	}
	if _, err := s.try(build.ReportIn{StateCode: code(20), Attempt: ptr(2)}); err != nil || s.b.Attempt != 2 {
		t.Errorf("the new one's: %v, attempt %d", err, s.b.Attempt)
	}
}

func TestHowAResumeGoes(t *testing.T) {
	t.Parallel()
	type want struct {
		resume  build.RequestStatus
		err     string
		build   build.Status
		attempt int
	}
	patch := func(p build.RequestPatch) func(s *scene, r *build.Request) error {
		return func(s *scene, r *build.Request) error { return p.Apply(r, s.b, s.rules, s.tick()) }
	}
	report := func(text string) func(s *scene, r *build.Request) error {
		return func(s *scene, _ *build.Request) error { s.to(text); return nil }
	}
	fail := func(s *scene, _ *build.Request) error { s.fails("late"); return nil }
	cancel := func(s *scene, _ *build.Request) error { _, err := s.b.Cancel("", s.tick()); return err }
	put := func(s *scene, _ *build.Request) error {
		_, err := s.b.Update(build.UpdateIn{CurrentState: code(100), Status: "completed"}, s.rules, s.tick())
		return err
	}
	triggered := patch(build.RequestPatch{Status: "triggered"})
	type steps = []func(s *scene, r *build.Request) error
	for name, c := range map[string]struct {
		to    *int
		steps steps
		want  want
	}{
		"nothing yet":                            {nil, steps{}, want{build.RequestPending, "", build.InProgress, 2}},
		"a job was started":                      {nil, steps{triggered}, want{build.RequestTriggered, "", build.InProgress, 2}},
		"the first report":                       {nil, steps{triggered, report("35")}, want{build.RequestRunning, "", build.InProgress, 2}},
		"further reports":                        {nil, steps{report("35"), report("35 completed"), report("40")}, want{build.RequestRunning, "", build.InProgress, 2}},
		"a report by a worker nobody registered": {nil, steps{report("40 completed")}, want{build.RequestRunning, "", build.InProgress, 2}},
		"the end of the build":                   {nil, steps{report("35"), report("100")}, want{build.RequestCompleted, "", build.Completed, 2}},
		"the end of the build at once":           {nil, steps{report("100")}, want{build.RequestCompleted, "", build.Completed, 2}},
		"the end of the build by PUT":            {nil, steps{report("35"), put}, want{build.RequestCompleted, "", build.Completed, 2}},
		"its last state is completed":            {ptr(50), steps{report("35"), report("50 completed")}, want{build.RequestCompleted, "", build.InProgress, 2}},
		"its last state is passed":               {ptr(50), steps{report("35"), report("55 completed")}, want{build.RequestCompleted, "", build.InProgress, 2}},
		"its last state is begun":                {ptr(50), steps{report("50")}, want{build.RequestRunning, "", build.InProgress, 2}},
		"a failed report":                        {nil, steps{report("35"), report("35 failed")}, want{build.RequestFailed, "", build.Failed, 2}},
		"a failure":                              {nil, steps{report("35"), fail}, want{build.RequestFailed, "late", build.Failed, 2}},
		"a failure at once":                      {nil, steps{fail}, want{build.RequestFailed, "late", build.Failed, 2}},
		"a report after the failure":             {nil, steps{fail, report("35")}, want{build.RequestFailed, "late", build.InProgress, 3}},
		"cancelling":                             {nil, steps{cancel}, want{build.RequestFailed, "The build was cancelled.", build.Cancelled, 2}},
		"a cancelled report nobody asked for":    {nil, steps{report("35"), report("35 cancelled")}, want{build.RequestFailed, "", build.Failed, 2}},
		"the job could not be started":           {nil, steps{patch(build.RequestPatch{Status: "failed", ErrorMessage: ptr("no runner")})}, want{build.RequestFailed, "", build.Failed, 2}},
		"the job ended badly after a report":     {nil, steps{report("35"), patch(build.RequestPatch{Status: "failed"})}, want{build.RequestFailed, "", build.InProgress, 2}},
		"the job ended well":                     {nil, steps{report("35"), patch(build.RequestPatch{Status: "completed"})}, want{build.RequestCompleted, "", build.InProgress, 2}},
		"reports after it was closed":            {nil, steps{report("35"), patch(build.RequestPatch{Status: "completed"}), report("40")}, want{build.RequestCompleted, "", build.InProgress, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			r, err := s.asks(build.ResumeIn{From: ptr(35), To: c.to})
			if err != nil {
				t.Fatal(err)
			}
			for i, step := range c.steps {
				if err := step(s, r); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
			}
			got := want{s.b.Resume.Status, s.b.Resume.Error, s.b.Status, s.b.Attempt}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Error(diff)
			}
			r.Follow(*s.b.Resume, s.now)
			if r.Status != s.b.Resume.Status || r.Status.Closed() != (r.CompletedAt != nil) || (r.Status != build.RequestPending) != (r.TriggeredAt != nil) {
				t.Errorf("the request does not follow: %+v", r)
			}
		})
	}
}

func TestTheOrchestratorsWord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status string // of the request
		p      build.RequestPatch
		want   string
	}{
		"a status that is none":                {"pending", build.RequestPatch{Status: "splendid"}, "invalid orchestration_status"},
		"a closed request stays closed":        {"failed", build.RequestPatch{Status: "running"}, "refused"},
		"what it was":                          {"failed", build.RequestPatch{Status: "failed"}, ""},
		"the job of a closed one can be noted": {"completed", build.RequestPatch{JobURL: ptr("https://ci")}, ""},
		"an older word":                        {"pending", build.RequestPatch{Status: "in_progress"}, ""},
		"times are kept":                       {"pending", build.RequestPatch{Status: "completed", TriggeredAt: at("2024-01-01T00:00:00Z"), CompletedAt: at("2024-01-02")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			r, err := s.asks(build.ResumeIn{From: ptr(35)})
			if err != nil {
				t.Fatal(err)
			}
			r.Status = build.RequestStatus(c.status)
			if err := c.p.Apply(r, s.b, s.rules, s.tick()); refusal(err) != c.want {
				t.Fatalf("want %q, got %v", c.want, err)
			}
			if c.p.CompletedAt != nil && (!r.TriggeredAt.Equal(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)) || r.CompletedAt.Day() != 2) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestThereIsAReasonForEveryRefusal(t *testing.T) {
	t.Parallel()
	of := []problem.Kind{problem.BuildCompleted, problem.BuildCancelled, problem.BuildRunning, problem.NothingDone, problem.StateNotResumable, problem.ArtifactMissing,
		problem.ArtifactExpired, problem.ArtifactRevoked, problem.VariableMissing, problem.ResumeInProgress, problem.BreakerOpen}
	for _, k := range of {
		if !slices.Contains(problem.Kinds(), k) || k.Status() != 409 {
			t.Errorf("%s is answered with %d", k, k.Status())
		}
	}
}

func TestTheResumeContext(t *testing.T) {
	t.Parallel()
	config := map[int]build.ResumeConfig{35: {Notes: ptr("of 35")}, 40: {Notes: ptr("of 40")}}
	type want struct {
		current, from   int
		last, failed    *int
		config, request string
		artifacts       string
	}
	for name, c := range map[string]struct {
		scene func(t *testing.T) *scene
		want  want
	}{
		"of a failed build":  {func(t *testing.T) *scene { return newScene(t).configured(config) }, want{35, 35, ptr(30), ptr(35), "of 35", "", ""}},
		"of a running build": {func(t *testing.T) *scene { return sceneOf(newWalk(t).to("20 completed", "40")).configured(config) }, want{40, 40, ptr(20), nil, "of 40", "", ""}},
		"of a new build":     {func(t *testing.T) *scene { return sceneOf(newWalk(t)).configured(config) }, want{0, 0, nil, nil, "", "", ""}},
		"failed at state 0":  {func(t *testing.T) *scene { return sceneOf(newWalk(t).to("0").fails("x")).configured(config) }, want{0, 0, nil, ptr(0), "", "", ""}},
		"while it is resumed": {func(t *testing.T) *scene {
			s := newScene(t).configured(config)
			if _, err := s.asks(build.ResumeIn{From: ptr(30), Force: true}); err != nil {
				t.Fatal(err)
			}
			s.to("30")
			return s
		}, want{30, 35, ptr(30), ptr(35), "of 35", "r1", ""}},
		"once it got past the failure": {func(t *testing.T) *scene { s := newScene(t).configured(config); s.to("35 completed", "40"); return s },
			want{40, 40, ptr(35), nil, "of 40", "", ""}},
		"only what a resume may restore": {func(t *testing.T) *scene {
			return newScene(t).checkpoint("good", 20, nil).checkpoint("later", 60, nil).checkpoint("expired", 20, expired).checkpoint("revoked", 20, revoked).
				checkpoint("log", 20, func(a *build.Artifact) { a.Resumable = false })
		}, want{35, 35, ptr(30), ptr(35), "", "", "good later"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.scene(t)
			x := build.NewContext(s.m)
			got := want{current: x.CurrentState, from: x.ResumeFrom, last: x.LastSuccessful, failed: x.FailedState}
			if x.Config != nil {
				got.config = *x.Config.Notes
			}
			if x.RequestID != nil {
				got.request = *x.RequestID
			}
			var names []string
			for _, a := range x.Artifacts {
				names = append(names, a.Name)
			}
			got.artifacts = strings.Join(names, " ")
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Error(diff)
			}
			if x.Attempt != s.b.Attempt || x.Artifacts == nil || x.Variables == nil {
				t.Errorf("%+v", x)
			}
		})
	}
}
