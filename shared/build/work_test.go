package build_test

import (
	"testing"
	"time"

	"bldst/shared/build"
)

// A build that was worked on for 30 minutes, was dead for hours and then
// finished in ten took 40 minutes.
func TestDeadTimeIsNoWork(t *testing.T) {
	t.Parallel()
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	for name, c := range map[string]struct {
		replace func(b *build.Build, now time.Time) error
		class   build.Class
	}{
		"it was taken over": {func(b *build.Build, now time.Time) error {
			_, err := b.TakeOver(build.HeartbeatIn{Worker: "b", TakeOver: true}, "", build.Builtin{}, now)
			return err
		}, ""},
		"a worker began anew": {func(b *build.Build, now time.Time) error {
			_, err := b.Advance(build.Report{ReportIn: build.ReportIn{Worker: "b"}, At: 25, How: build.InProgress}, build.Builtin{}, now)
			return err
		}, ""},
		"it was found to be dead": {func(b *build.Build, now time.Time) error {
			_, err := b.Fail(build.FailureIn{ErrorMessage: "silent", FailureClass: "stalled"}, build.Builtin{}, now)
			return err
		}, build.Stalled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWalk(t)
			old := w.b.Copy()
			step := func(minutes int, f func(b *build.Build, now time.Time) error) {
				t.Helper()
				now := at(minutes)
				if err := f(w.b, now); err != nil {
					t.Fatal(err)
				}
				w.b.Work(old, now)
				w.b.UpdatedAt = now
				old = w.b.Copy()
			}
			report := func(code int, how build.Status) func(b *build.Build, now time.Time) error {
				return func(b *build.Build, now time.Time) error {
					_, err := b.Advance(build.Report{At: code, How: how}, build.Builtin{}, now)
					return err
				}
			}
			step(0, report(25, build.InProgress))
			w.b.Lease = &build.Lease{Attempt: 1, Worker: "a", At: at(30), Until: at(40)} // the last heartbeat
			old = w.b.Copy()
			step(300, c.replace)
			if w.b.FailureClass != c.class {
				t.Errorf("class %s", w.b.FailureClass)
			}
			if c.class == "" && (w.b.Attempt != 2 || w.b.Recovering == nil || *w.b.Recovering != 25) {
				t.Errorf("attempt %d, recovering %v", w.b.Attempt, w.b.Recovering)
			}
			step(310, report(25, build.InProgress))
			want := 40
			if c.class != "" {
				want = 30
			}
			if got := w.b.WorkedMS / 60_000; got != int64(want) {
				t.Errorf("worked for %d minutes, want %d", got, want)
			}
			step(320, report(100, build.Completed))
			if d := *w.b.View().Duration; d != int64(want+10)*60 {
				t.Errorf("duration %d s, want %d minutes", d, want+10)
			}
		})
	}
}
