package build_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bldst/shared/build"
)

func TestMarksAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		mark := rapid.Custom(func(t *rapid.T) build.Mark {
			return build.Mark{
				Status: rapid.SampledFrom(build.Statuses).Draw(t, "status"),
				Begin:  rapid.Int64().Draw(t, "begin"), End: rapid.Int64Range(0, 1<<40).Draw(t, "end"),
				Tries: rapid.IntRange(0, 9).Draw(t, "tries"), Attempt: rapid.IntRange(0, 9).Draw(t, "attempt"),
				Fingerprint: rapid.String().Draw(t, "fingerprint"), By: rapid.String().Draw(t, "by"),
				Targets: rapid.OneOf(rapid.Just(map[string]build.Status(nil)), rapid.MapOfN(rapid.String(), rapid.SampledFrom(build.Statuses), 1, 5)).Draw(t, "targets"),
			}
		})
		want := build.Marks(rapid.MapOf(rapid.IntRange(build.FirstState, build.LastState), mark).Draw(t, "marks"))
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got build.Marks
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", b, d)
		}
	})
}

func TestMarksThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`"5"`, `"5 i"`, `"x i 1 2 3 4"`, `"5 i 1 2 3 4 %zz"`, `"5 i 1 2 3 4  @%zz"`, `"5 \" 1 2 3 4"`, `"5 i 1 2 3 4  %zz=c"`, `7`, `{}`} {
		var m build.Marks
		if err := json.Unmarshal([]byte(text), &m); err == nil {
			t.Errorf("%s was read as %v", text, m)
		}
	}
}

func TestMarksOfOtherVersions(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]build.Mark{
		`"5 c 1 2 3 4"`:                {Status: build.Completed, Begin: 1, End: 2, Tries: 3, Attempt: 4},
		`"5 c 1 2 3 4 sha256%3Aab"`:    {Status: build.Completed, Begin: 1, End: 2, Tries: 3, Attempt: 4, Fingerprint: "sha256:ab"},
		`"5 i 1 0 1 1  us=c"`:          {Status: build.InProgress, Begin: 1, Tries: 1, Attempt: 1, Targets: map[string]build.Status{"us": build.Completed}},
		`"5 q 1 2 3 4"`:                {Status: "q", Begin: 1, End: 2, Tries: 3, Attempt: 4},
		`"5 i 1 0 1 1  us=q"`:          {Status: build.InProgress, Begin: 1, Tries: 1, Attempt: 1, Targets: map[string]build.Status{"us": "q"}},
		`"5 c 1 2 3 4 f @runner+7 !x"`: {Status: build.Completed, Begin: 1, End: 2, Tries: 3, Attempt: 4, Fingerprint: "f", By: "runner 7"},
	} {
		var m build.Marks
		if err := json.Unmarshal([]byte(written), &m); err != nil {
			t.Errorf("%s: %v", written, err)
			continue
		}
		if d := cmp.Diff(build.Marks{5: want}, m); d != "" {
			t.Errorf("%s: %s", written, d)
		}
		again, err := json.Marshal(m)
		var back build.Marks
		if err != nil || json.Unmarshal(again, &back) != nil || !cmp.Equal(m, back) {
			t.Errorf("%s was written as %s, %v", written, again, err)
		}
	}
}
