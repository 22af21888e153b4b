package cmd

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestWatchGoesOnOverReconnects lets the service fail between two changes. The
// pauses are where it changes, so nothing here depends on time.
func TestWatchGoesOnOverReconnects(t *testing.T) {
	t.Parallel()
	const call = "GET /builds/b1"
	at := func(revision, state, more string) reply {
		return reply{body: `{"id":"b1","revision":` + revision + `,"current_state":` + state + `,"attempt":1` + more + `}`}
	}
	steps := []reply{
		at("1", "25", `,"status":"in_progress","message":"packages","eta":"2026-01-01T00:10:00Z"`),
		{status: 503, body: `{"detail":"later","code":"unavailable"}`},
		{status: 503, body: `{"detail":"later","code":"unavailable"}`},
		at("2", "40", `,"status":"in_progress","cancel_requested":true`),
		at("2", "40", `,"status":"in_progress","cancel_requested":true`),
		at("3", "100", `,"status":"completed"`),
	}
	srv := serve(t, map[string]reply{call: steps[0]})
	f, out, errs := newSession(t, srv.URL).factory()
	f.Now = func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	f.Retry.Tries = 1
	var pauses []time.Duration
	f.Sleep = func(_ context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		srv.set(call, steps[len(pauses)])
		return nil
	}
	check(t, 0, Run(t.Context(), f, argv("build watch b1")))
	want := strings.Join([]string{
		"00:00:00   25  in_progress  attempt 1  ends 2026-01-01T00:10:00Z  packages",
		"00:00:00   40  in_progress  attempt 1  asked to stop",
		"00:00:00  100  completed  attempt 1", "",
	}, "\n")
	check(t, strings.ReplaceAll(want, "2026-01-01T00:10:00Z", "in 10m"), out.String())
	if n := strings.Count(errs.String(), "The connection is lost"); n != 1 {
		t.Errorf("the loss was told %d times, want once:\n%s", n, errs)
	}
	check(t, []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 2 * time.Second, 2 * time.Second}, pauses)
}

func TestWatchEndsWithTheBuild(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"GET /builds/b1": {body: `{"id":"b1","revision":9,"status":"failed","current_state":40,"attempt":2}`}})
	got := newSession(t, srv.URL).run(argv("build watch b1 -o json")...)
	check(t, result{1, `{"id":"b1","revision":9,"status":"failed","current_state":40,"attempt":2}` + "\n", ""}, got)
	check(t, 1, newSession(t, srv.URL).run(argv("build watch nobody")...).Code)
}

func TestAnInterruptExitsWith130(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"GET /builds/b1": {body: `{"id":"b1","revision":1,"status":"in_progress"}`}})
	f, _, _ := newSession(t, srv.URL).factory()
	ctx, interrupt := context.WithCancel(t.Context())
	f.Sleep = func(ctx context.Context, _ time.Duration) error { interrupt(); return ctx.Err() }
	check(t, 130, Run(ctx, f, argv("build watch b1")))
}

func TestLogsPrintTheTailsOfFailures(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"GET /builds/b1/failures": {body: `[
		{"attempt":1,"state_code":25,"failure_class":"transient","exit_code":100,"created_at":"2026-01-01T00:00:00Z","error_message":"apt failed\nE: again","error_details":{"tail":"E: lock\u001b[31m is held\nE: again\n"}},
		{"attempt":2,"state_code":40,"failure_class":"unknown","created_at":"2026-01-02T00:00:00Z","error_message":"gone","error_details":{"output":["one","two"]}}]`}})
	s := newSession(t, srv.URL)
	check(t, result{Out: "== attempt 1, state 25, transient, exit code 100, 2026-01-01T00:00:00Z\napt failed\nE: lock[31m is held\nE: again\n" +
		"== attempt 2, state 40, unknown, 2026-01-02T00:00:00Z\ngone\none\ntwo\n"}, s.run(argv("build logs b1")...))
	check(t, result{Out: "== attempt 2, state 40, unknown, 2026-01-02T00:00:00Z\ngone\none\ntwo\n"}, s.run(argv("build logs b1 --attempt 2")...))
}
