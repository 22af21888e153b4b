package build_test

import (
	"encoding/json"
	"strings"
	"testing"

	"bldst/shared/api"
	"bldst/shared/build"
)

func TestAnUpdateMovesABuild(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in      build.UpdateIn
		current int
		status  build.Status
	}{
		"to a state":                            {build.UpdateIn{CurrentState: code(60)}, 60, build.InProgress},
		"to a state by name":                    {build.UpdateIn{CurrentState: word("testing")}, 80, build.InProgress},
		"to the last state":                     {build.UpdateIn{CurrentState: code(100)}, 100, build.Completed},
		"completed with its last state":         {build.UpdateIn{CurrentState: code(100), Status: "success"}, 100, build.Completed},
		"failed where it is":                    {build.UpdateIn{Status: "failed", Message: "m"}, 45, build.Failed},
		"cancelled where it is":                 {build.UpdateIn{Status: "cancelled"}, 45, build.Cancelled},
		"an older word":                         {build.UpdateIn{Status: "running"}, 45, build.InProgress},
		"what it produced does not move it":     {build.UpdateIn{AMIID: ptr("ami-1")}, 45, build.InProgress},
		"nothing does not either":               {build.UpdateIn{}, 45, build.InProgress},
		"its attempt alone does not":            {build.UpdateIn{Attempt: ptr(9)}, 45, build.InProgress},
		"the end of one that goes on is no end": {build.UpdateIn{EndTime: &api.Time{Time: noon}}, 45, build.InProgress},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWalk(t).to("45")
			e, err := w.b.Update(c.in, w.rules, w.tick())
			if err != nil || e.Kind != build.Updated {
				t.Fatal(e.Kind, err)
			}
			if w.b.Current != c.current || w.b.Status != c.status || (w.b.EndTime != nil) == w.b.Status.Active() {
				t.Errorf("want %d %s, got %d %s, end %v", c.current, c.status, w.b.Current, w.b.Status, w.b.EndTime)
			}
		})
	}
}

func TestWhatABuildProducedCanAlwaysBeNoted(t *testing.T) {
	t.Parallel()
	w := newWalk(t).to("100")
	in := build.UpdateIn{AMIID: ptr("ami-1"), ImageID: ptr("img"), Manifest: json.RawMessage(`{"builds":[]}`), BuildMetadata: json.RawMessage(`{"a":1}`),
		Description: ptr("d"), CommitHash: ptr("c"), PipelineURL: ptr("u"), EndTime: &api.Time{Time: noon}}
	if _, err := w.b.Update(in, w.rules, w.tick()); err != nil {
		t.Fatal(err)
	}
	b := w.b
	if b.AMIID != "ami-1" || b.ImageID != "img" || string(b.Manifest) != `{"builds":[]}` || string(b.Metadata) != `{"a":1}` || b.Description != "d" || b.CommitHash != "c" || b.PipelineURL != "u" || !b.EndTime.Equal(noon) {
		t.Errorf("%+v", b)
	}
	if _, err := b.Update(build.UpdateIn{BuildMetadata: json.RawMessage("null"), Manifest: json.RawMessage("null")}, w.rules, w.tick()); err != nil || b.Metadata == nil || b.Manifest == nil {
		t.Errorf("null took away what there was: %v", err)
	}
	for name, c := range map[string]struct {
		in   build.UpdateIn
		want string
	}{
		"moving it":                       {build.UpdateIn{CurrentState: code(5)}, "refused"},
		"reopening it":                    {build.UpdateIn{Status: "in_progress"}, "refused"},
		"a manifest that is a text":       {build.UpdateIn{Manifest: json.RawMessage(`"x"`)}, "invalid packer_manifest"},
		"a status that is none":           {build.UpdateIn{Status: "splendid"}, "invalid status"},
		"a manifest that is too large":    {build.UpdateIn{Manifest: json.RawMessage(`["` + strings.Repeat("x", build.MaxMetadata) + `"]`)}, "too_large"},
		"a state that is none, by name":   {build.UpdateIn{CurrentState: word("nowhere")}, "invalid state_name"},
		"a state that is none, by number": {build.UpdateIn{CurrentState: code(101)}, "invalid state_code"},
	} {
		if _, err := b.Update(c.in, w.rules, w.tick()); refusal(err) != c.want {
			t.Errorf("%s: want %s, got %v", name, c.want, err)
		}
	}
}

func TestOnlyABuildNobodyWorksOnIsDeleted(t *testing.T) {
	t.Parallel()
	for _, s := range build.Statuses {
		b := &build.Build{ID: "b", Status: s}
		e, err := b.Delete(noon)
		if s.Active() {
			if refusal(err) != "conflict" || b.DeactivatedAt != nil {
				t.Errorf("%s: %v", s, err)
			}
		} else if err != nil || e.Kind != build.Deleted || b.DeactivatedAt == nil {
			t.Errorf("%s: %v, %+v", s, err, e)
		}
	}
}

func TestSayingCompletedCompletesNoBuildThatIsNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reports []string
		in      build.UpdateIn
		want    string
	}{
		"below 100":                 {[]string{"45"}, build.UpdateIn{Status: "completed"}, "conflict"},
		"where it is done":          {[]string{"45 completed"}, build.UpdateIn{Status: "success"}, "conflict"},
		"with a state below 100":    {[]string{"45"}, build.UpdateIn{CurrentState: code(60), Status: "completed"}, "conflict"},
		"after a failure":           {[]string{"20 failed"}, build.UpdateIn{Status: "completed"}, "conflict"},
		"after a failure, with 100": {[]string{"20 failed"}, build.UpdateIn{CurrentState: code(100), Status: "completed"}, "conflict"},
		"with what is left out":     {[]string{"95"}, build.UpdateIn{CurrentState: code(100), Status: "skipped"}, "conflict"},
		"at 100":                    {[]string{"100 in_progress"}, build.UpdateIn{Status: "completed"}, ""},
		"at one that is final":      {[]string{"90"}, build.UpdateIn{Status: "completed"}, ""},
	} {
		w := newWalk(t)
		w.rules = project
		w.to(c.reports...)
		before := w.b.Status
		_, err := w.b.Update(c.in, w.rules, w.tick())
		if got := refusal(err); got != c.want || (w.b.Status == build.Completed) != (c.want == "") || c.want != "" && w.b.Status != before {
			t.Errorf("%s: want %q, got %v; the build is %s", name, c.want, err, w.b.Status)
		}
		if err != nil && !strings.Contains(err.Error(), "bldst ") {
			t.Errorf("%s: %v does not say how to go on", name, err)
		}
	}
}
