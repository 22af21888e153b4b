package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bldst/localstack"
	"bldst/localstack/clock"
	"bldst/localstack/states"
	"bldst/shared/build"
	"bldst/shared/store"
)

// open is how many executions wait at once.
const open = 10_000

// benchMachine measures how soon the state machine follows the table, with few
// executions and with many, in one process and across its end.
func benchMachine(ctx context.Context, r *report, runs int, bin string) error {
	if err := benchReaction(ctx, r, runs); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bldst-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, step := range []func() error{
		func() error { return benchOpen(ctx, r, runs, dir) },
		func() error { return benchRestart(ctx, r, runs, dir) },
		func() error { return benchOpenMemory(r, bin, dir) },
		func() error { return benchOverdue(r, runs) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// perRun is how many reactions one run measures.
const perRun = 300

// benchReaction measures the time from the answer to a report until the machine
// waits for the next one.
func benchReaction(ctx context.Context, r *report, runs int) error {
	return withStack(ctx, func(s *localstack.Stack) error {
		id, err := newBuild(s.URL)
		if err != nil {
			return err
		}
		p50, p99, _, err := reactions(ctx, s, runs, func(int) string { return id })
		if err != nil {
			return err
		}
		r.add("report answered to machine moved on, p50", atMost(10, "ms"), "", p50...)
		r.add("report answered to machine moved on, p99", atMost(50, "ms"), "", p99...)
		return nil
	})
}

// reactions measures the reactions to reports on the builds ref(0), ref(1) ...
// The first run warms up.
func reactions(ctx context.Context, s *localstack.Stack, runs int, ref func(i int) string) (p50, p99, most []float64, err error) {
	st := store.New(s.Table)
	c, err := dial(s.URL)
	if err != nil {
		return nil, nil, nil, err
	}
	defer c.c.Close()
	for run := range runs + 1 {
		var took []float64
		for i := range perRun {
			n := run*perRun + i
			d, err := reaction(ctx, st, c, ref(n), 5+n%90)
			if err != nil {
				return nil, nil, nil, err
			}
			took = append(took, float64(d)/float64(time.Millisecond))
		}
		if run > 0 {
			slices.Sort(took)
			p50, p99, most = append(p50, took[perRun/2]), append(p99, took[perRun*99/100]), append(most, took[perRun-1])
		}
	}
	return p50, p99, most, nil
}

// reaction reports that the build is in the state code, and returns how long
// after the answer its execution waits for what comes after that.
func reaction(ctx context.Context, st *store.Store, c *conn, ref string, code int) (time.Duration, error) {
	if err := waits(ctx, st, ref, nil); err != nil {
		return 0, err
	}
	status, err := c.do(request("POST", "/builds/"+ref+"/state", fmt.Sprintf(`{"state_code":%d,"status":"in_progress"}`, code)))
	begin := time.Now()
	if err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("report on %s: %d %w", ref, status, err)
	}
	err = waits(ctx, st, ref, &code)
	return time.Since(begin), err
}

// waits returns when the execution of the build has parked a token, in the
// state code if that is given.
func waits(ctx context.Context, st *store.Store, ref string, code *int) error {
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(200 * time.Microsecond) {
		d, err := st.Driven(ctx, ref)
		if err != nil {
			return err
		}
		if d.Driver.Token != "" && (code == nil || d.Driver.Seen == build.Stand{State: *code, Status: build.InProgress, Attempt: 1}) {
			return nil
		}
	}
	return fmt.Errorf("the machine does not wait for build %s", ref)
}

// number is the build number fill gives build i.
func number(i int) string { return fmt.Sprintf("bench-%d", i%open) }

// spread goes through the open builds in steps, so that those that are measured
// lie far apart.
func spread(i int) string { return number(i * 617) }

// benchOpen fills the folder dir with builds whose executions wait, and
// measures how soon one of them reacts.
func benchOpen(ctx context.Context, r *report, runs int, dir string) error {
	s, err := localstack.Start(ctx, localstack.Options{Data: dir})
	if err != nil {
		return err
	}
	defer s.Stop(ctx)
	if err := fill(ctx, s, 0, open); err != nil {
		return err
	}
	st := store.New(s.Table)
	for i := range open {
		if err := waits(ctx, st, number(i), nil); err != nil {
			return err
		}
	}
	p50, p99, most, err := reactions(ctx, s, runs, spread)
	if err != nil {
		return err
	}
	r.add("  the same with 10,000 open executions, p50", shown("ms"), "", p50...)
	r.add("  the same with 10,000 open executions, p99", atMost(50, "ms"), "", p99...)
	r.add("  the same with 10,000 open executions, slowest", shown("ms"), "", most...)
	return nil
}

// sampled is how many of the open executions are made to react after a restart.
const sampled = 64

// benchRestart measures the time from the start of a system with 10,000 open
// executions until some of them, far apart, have all reacted to reports.
func benchRestart(ctx context.Context, r *report, runs int, dir string) error {
	var took []float64
	for run := range runs {
		begin := time.Now()
		s, err := localstack.Start(ctx, localstack.Options{Data: dir})
		if err != nil {
			return err
		}
		st := store.New(s.Table)
		var wg sync.WaitGroup
		errs := make([]error, sampled)
		for i := range sampled {
			wg.Go(func() { errs[i] = reactOnce(ctx, s, st, number(i*open/sampled+7), 95-run%90) })
		}
		wg.Wait()
		took = append(took, float64(time.Since(begin))/float64(time.Millisecond))
		_ = s.Stop(ctx)
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
	}
	r.add(fmt.Sprintf("restart with 10,000 open executions to %d reactions", sampled), atMost(2000, "ms"), "", took...)
	return nil
}

func reactOnce(ctx context.Context, s *localstack.Stack, st *store.Store, ref string, code int) error {
	c, err := dial(s.URL)
	if err != nil {
		return err
	}
	defer c.c.Close()
	_, err = reaction(ctx, st, c, ref, code)
	return err
}

// benchOpenMemory measures the memory of the built program with 10,000 open
// executions: as it has started, and when each of them has reacted once.
func benchOpenMemory(r *report, bin, dir string) error {
	p, err := start(bin, dir)
	if err != nil {
		return err
	}
	defer p.stop()
	idle, err := p.anonymous()
	if err != nil {
		return err
	}
	const each = open / clients
	next := func(c, i int) []byte {
		return request("POST", "/builds/"+number(c*each+i)+"/state", `{"state_code":96,"status":"in_progress"}`)
	}
	if _, err := drive(p.url, clients, each, http.StatusOK, next); err != nil {
		return err
	}
	busy := idle
	for range 20 { // what follows from the reports takes a while
		time.Sleep(250 * time.Millisecond)
		mib, err := p.anonymous()
		if err != nil {
			return err
		}
		busy = max(busy, mib)
	}
	r.add("memory with 10,000 open executions, after the start", shown("MiB"), "", idle)
	r.add("memory with 10,000 open executions, a report on each", atMost(200, "MiB"), "", busy)
	return nil
}

// twoWaits waits twice; its second wait is where an execution has gone on to.
const twoWaits = `{"StartAt": "First", "States": {"First": {"Type": "Wait", "Seconds": 60, "Next": "Second"}, "Second": {"Type": "Wait", "Seconds": 3600, "End": true}}}`

// benchOverdue measures the worst restart: the waits of all 10,000 executions
// have ended while nothing ran, and all of them go on at once.
func benchOverdue(r *report, runs int) error {
	dir, err := os.MkdirTemp("", "bldst-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var took []float64
	for run := range runs {
		d, err := overdue(filepath.Join(dir, fmt.Sprintf("states-%d.db", run)))
		if err != nil {
			return err
		}
		took = append(took, float64(d)/float64(time.Millisecond))
	}
	r.add("restart with 10,000 waits that have ended, all gone on", atMost(2000, "ms"), "", took...)
	return nil
}

func overdue(path string) (time.Duration, error) {
	arn := localstack.MachineARN
	hands := clock.NewFake(time.Now())
	o := states.Options{Path: path, Clock: hands, Machines: []states.Machine{{Name: arn[strings.LastIndex(arn, ":")+1:], ARN: arn, Definition: []byte(twoWaits), File: "bench"}}}
	e, err := states.Open(o)
	if err != nil {
		return 0, err
	}
	if err := startAll(e, arn); err != nil {
		return 0, err
	}
	if err := e.Close(); err != nil {
		return 0, err
	}
	hands.Advance(time.Minute)
	begin := time.Now()
	if e, err = states.Open(o); err != nil {
		return 0, err
	}
	defer e.Close()
	e.Settle()
	took := time.Since(begin)
	for i := range open {
		if st, err := e.Stats(strings.Replace(arn, ":stateMachine:", ":execution:", 1) + ":" + number(i)); err != nil || st.State != "Second" {
			return 0, fmt.Errorf("execution %s is in %q, %v", number(i), st.State, err)
		}
	}
	return took, nil
}

// startAll starts the executions, from many callers at a time.
func startAll(e *states.Engine, arn string) error {
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := c; i < open && errs[c] == nil; i += clients {
				errs[c] = startOne(e, arn, number(i))
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func startOne(e *states.Engine, arn, name string) error {
	body, err := json.Marshal(map[string]string{"stateMachineArn": arn, "name": name, "input": `{"build_id":"` + name + `","message":"` + strings.Repeat("x", 500) + `"}`})
	if err != nil {
		return err
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
	r.Header.Set("X-Amz-Target", states.Target+"StartExecution")
	w := httptest.NewRecorder()
	if e.ServeHTTP(w, r); w.Code != http.StatusOK {
		return fmt.Errorf("start %s: %s", name, w.Body)
	}
	return nil
}
