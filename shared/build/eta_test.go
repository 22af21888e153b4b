package build_test

import (
	"testing"
	"time"

	"bldst/shared/build"
)

func TestETA(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	typical := build.Typical{10: {Count: 4, Seconds: 400}, 25: {Count: 4, Seconds: 2400}, 40: {Count: 1, Seconds: 400}, 50: {Count: 4, Seconds: 1200}}
	at := func(code int, ago time.Duration) *build.Build {
		return &build.Build{Status: build.InProgress, Current: code, UpdatedAt: now, Marks: build.Marks{code: {Begin: now.Add(-ago).Unix()}}}
	}
	for name, c := range map[string]struct {
		b    *build.Build
		want time.Duration // from now; negative is none
	}{
		"what is left of the state, and those after it by how often they are visited": {at(25, 100*time.Second), 500*time.Second + 100*time.Second + 300*time.Second},
		"a state that takes longer than it should costs nothing more":                 {at(25, time.Hour), 400 * time.Second},
		"a state nothing is known of":                                                 {at(30, time.Hour), 400 * time.Second},
		"after all that is known":                                                     {at(95, 0), -1},
		"a build that waits to begin":                                                 {&build.Build{Status: build.Pending}, -1},
		"a build that has failed":                                                     {&build.Build{Status: build.Failed, Current: 25}, -1},
	} {
		got := typical.ETA(c.b, now)
		if c.want < 0 && got != nil || c.want >= 0 && (got == nil || !got.Equal(now.Add(c.want))) {
			t.Errorf("%s: %v, want %s from now", name, got, c.want)
		}
	}
}

func TestWhatAResumeSpared(t *testing.T) {
	t.Parallel()
	b := &build.Build{Attempt: 3, Marks: build.Marks{
		10: {Begin: 1000, Attempt: 1, Status: build.InProgress},           // until 25 began
		25: {Begin: 1600, End: 1900, Attempt: 1, Status: build.Completed}, // 300
		40: {Begin: 2000, Attempt: 1, Status: build.InProgress},           // until 50 began in the next attempt: not known
		50: {Begin: 5000, End: 5060, Attempt: 2, Status: build.Failed},    // nothing
		60: {Begin: 9000, End: 9100, Attempt: 3, Status: build.Completed}, // done in this attempt
	}}
	if got := b.Spared(); got != 900*time.Second {
		t.Errorf("%s, want 15m", got)
	}
}
