package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"bldst/cli/pipeline"
	"bldst/cli/step"
	"bldst/cli/step/ci"
)

// A runner carries out the states of a pipeline, each in a process of its own:
// a 'bldst step', so that a file and a script are carried out alike.
type runner struct {
	f       *Factory
	p       *pipeline.Pipeline
	o       *runOptions
	program string
	board   board
	alone   bool // one target, whose commands have the streams of this process
	logs    string

	mu       sync.Mutex
	events   io.Writer
	children map[*os.Process]bool
	signal   syscall.Signal // that ends the run, 0 for none
}

// carryOut carries out all targets and ends with the exit code of what failed.
func (f *Factory) carryOut(ctx context.Context, p *pipeline.Pipeline, targets []runTarget, o *runOptions) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	events, err := openEvents(o.Events)
	if err != nil {
		return err
	}
	r := &runner{f: f, p: p, o: o, program: program, alone: len(targets) == 1, children: map[*os.Process]bool{}}
	if events != nil {
		r.events = events
		defer func() { _ = events.Close() }()
	}
	live := f.Streams.OutTTY && !ci.Inside(f.Env) && !r.alone
	if live {
		if r.logs, err = os.MkdirTemp("", "bldst-run-"); err != nil {
			return err
		}
		f.say("What the targets write is in %s.", r.logs)
	}
	r.board = newBoard(f, targets, live)
	stop := r.passSignals()
	defer stop()
	return r.all(ctx, targets)
}

// all carries out the targets, so many at once as the options say.
func (r *runner) all(ctx context.Context, targets []runTarget) error {
	codes := make([]int, len(targets))
	errs := make([]error, len(targets))
	slots := make(chan struct{}, r.o.Jobs)
	var wg sync.WaitGroup
	for i := range targets {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			codes[i], errs[i] = r.target(ctx, &targets[i])
		}()
	}
	wg.Wait()
	r.board.close()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if sig := r.ended(); sig != 0 {
		return exitStatus(128 + int(sig))
	}
	failed := slices.DeleteFunc(slices.Clone(codes), func(c int) bool { return c == 0 })
	switch {
	case len(failed) == 0:
		return nil
	case r.alone:
		return exitStatus(failed[0])
	default:
		return fmt.Errorf("%d of %d targets failed; run it again to go on with them", len(failed), len(targets))
	}
}

// target carries out the states of one target until one fails, and then tells
// that the build is completed.
func (r *runner) target(ctx context.Context, t *runTarget) (code int, err error) {
	states := t.states
	if r.o.To == 100 && !slices.ContainsFunc(states, func(s pipeline.State) bool { return s.Code == 100 }) {
		states = append(slices.Clone(states), pipeline.State{Code: 100, Name: "completed", Run: pipeline.Command{"", "sh", "-c", ":"}})
	}
	for _, s := range states {
		if s.Code < r.o.From || s.Code > r.o.To {
			continue
		}
		if r.ended() != 0 {
			return 0, nil
		}
		if code, err = r.state(ctx, t, s); err != nil || code != 0 {
			return code, err
		}
	}
	r.tell(t, runEvent{Event: "ended"})
	return 0, nil
}

// state carries out one state and returns the exit code of its step.
func (r *runner) state(ctx context.Context, t *runTarget, s pipeline.State) (int, error) {
	environ := r.environ(t, s)
	if test, ok := strings.CutPrefix(s.When, "if "); ok && !r.holds(ctx, test, environ) {
		r.tell(t, runEvent{Event: "left_out", State: &s.Code, Name: s.Name})
		return 0, nil
	}
	file, err := os.CreateTemp("", "bldst-result-*")
	if err != nil {
		return 0, err
	}
	_ = file.Close()
	defer func() { _ = os.Remove(file.Name()) }()
	r.tell(t, runEvent{Event: "started", State: &s.Code, Name: s.Name})
	began := time.Now()
	code, err := r.step(t, s, environ, file.Name())
	if err != nil {
		return 0, err
	}
	e := runEvent{Event: "completed", State: &s.Code, Name: s.Name, Exit: &code, Seconds: time.Since(began).Seconds()}
	var result step.Result
	if b, err := os.ReadFile(file.Name()); err == nil && json.Unmarshal(b, &result) == nil {
		e.Attempt, e.Build = result.Attempt, result.BuildID
	}
	switch {
	case code != 0:
		e.Event = "failed"
	case result.Skipped:
		e.Event, e.Exit = "skipped", nil
	}
	r.tell(t, e)
	return code, nil
}

// environ is that of the commands of a state.
func (r *runner) environ(t *runTarget, s pipeline.State) []string {
	out := os.Environ()
	for _, m := range []map[string]string{t.env, s.Env} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			out = append(out, name+"="+m[name])
		}
	}
	return out
}

// holds reports whether a condition is met: its command exits 0.
func (r *runner) holds(ctx context.Context, test string, environ []string) bool {
	args := r.p.Args(pipeline.Command{test})
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Env, c.Stderr = environ, r.f.Streams.Err
	return c.Run() == nil
}

// step runs 'bldst step' and returns its exit code.
func (r *runner) step(t *runTarget, s pipeline.State, environ []string, result string) (int, error) {
	args := append(r.f.rootArgs(), "step", strconv.Itoa(s.Code), "--result="+result)
	args = append(append(args, t.flags...), r.o.flagsOf(s)...)
	args = append(append(args, "--"), r.p.Args(s.Run)...)
	c := exec.Command(r.program, args...) // ends by the signals that are passed on, so that it can report
	c.Env = environ
	done, err := r.streams(c, t)
	if err != nil {
		return 0, err
	}
	defer done()
	if err := r.start(c); err != nil {
		return 0, err
	}
	err = c.Wait()
	r.mu.Lock()
	delete(r.children, c.Process)
	r.mu.Unlock()
	var e *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &e):
		return 0, err
	case e.ExitCode() < 0:
		return 137, nil // killed: the next run says what is left of it
	default:
		return e.ExitCode(), nil
	}
}

// start starts a step, unless the run is to end.
func (r *runner) start(c *exec.Cmd) error {
	own(c, !r.alone)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.signal != 0 {
		return errors.New("interrupted")
	}
	if err := c.Start(); err != nil {
		return err
	}
	r.children[c.Process] = true
	return nil
}

// streams gives a step its streams: those of this process, a file, or lines that
// begin with the name of the target.
func (r *runner) streams(c *exec.Cmd, t *runTarget) (done func(), err error) {
	if r.alone {
		c.Stdin, c.Stdout, c.Stderr = r.f.Streams.In, r.f.Streams.Out, r.f.Streams.Err
		return func() {}, nil
	}
	if r.logs != "" {
		log, err := os.OpenFile(filepath.Join(r.logs, t.name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		c.Stdout, c.Stderr = log, log
		return func() { _ = log.Close() }, nil
	}
	out, endOut, err := r.prefixed(r.f.Streams.Out, t.name)
	if err != nil {
		return nil, err
	}
	errs, endErrs, err := r.prefixed(r.f.Streams.Err, t.name)
	if err != nil {
		endOut()
		return nil, err
	}
	c.Stdout, c.Stderr = out, errs
	return func() { endOut(); endErrs() }, nil
}

// prefixed returns a pipe whose lines are written to w after the name. A line
// longer than the buffer is written in parts.
func (r *runner) prefixed(w io.Writer, name string) (in *os.File, end func(), err error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		b := bufio.NewReaderSize(out, 1<<16)
		for {
			line, err := b.ReadSlice('\n')
			if len(line) > 0 {
				r.mu.Lock()
				_, _ = fmt.Fprintf(w, "%s | %s\n", name, strings.TrimSuffix(string(line), "\n"))
				r.mu.Unlock()
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				_ = out.Close()
				return
			}
		}
	}()
	return in, func() { _ = in.Close(); <-finished }, nil
}

// tell tells the board and --events what happened.
func (r *runner) tell(t *runTarget, e runEvent) {
	e.Time, e.Target = time.Now().UTC(), t.name
	if e.Build == "" {
		e.Build = t.build
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.board.show(e)
	if r.events != nil {
		if _, err := r.events.Write(e.line()); err != nil {
			r.f.warn("--events: %v", err)
			r.events = nil
		}
	}
}

func (r *runner) ended() syscall.Signal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.signal
}

// passSignals passes what would end this process on to the steps, which end
// their commands and report it. What a terminal sends, a lone step has got too.
func (r *runner) passSignals() (stop func()) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range c {
			sig, _ := s.(syscall.Signal)
			r.mu.Lock()
			r.signal = sig
			for child := range r.children {
				if !(r.alone && sig == syscall.SIGINT && r.f.Streams.InTTY) {
					_ = child.Signal(sig)
				}
			}
			r.mu.Unlock()
		}
	}()
	return func() { signal.Stop(c); close(c) }
}

// rootArgs are the flags of every command, for a step.
func (f *Factory) rootArgs() []string {
	var out []string
	for flag, v := range map[string]string{"config": f.flags.config, "profile": f.flags.profile, "api-url": f.flags.apiURL} {
		if v != "" {
			out = append(out, "--"+flag+"="+v)
		}
	}
	if f.flags.quiet {
		out = append(out, "--quiet")
	}
	if f.flags.verbose {
		out = append(out, "--verbose")
	}
	return out
}
