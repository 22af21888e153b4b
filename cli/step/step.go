// Package step makes one command a state of a build: it is skipped when it is
// done already, what it needs is restored first, and what becomes of it is
// reported, whatever happens to it, to this process or to the API.
//
// What must be run, skipped and restored is decided in one place, by the plan of
// the API; this package obeys it. What the API cannot know it is told: the
// fingerprint of the command, and the attempt whose results are still on this
// machine (see record).
package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"bldst/cli/step/ci"
	"bldst/cli/step/proc"
	"bldst/cli/step/spool"
	"bldst/shared/client"
	"bldst/shared/id"
)

// Options say what to run and how. Client, API, Root, Build, Worker, Args, and
// the streams are required.
type Options struct {
	Client *client.Client
	API    string // its address, which with Build names the spool
	Root   string // folder of the spools

	Build  string         // id or number
	Create map[string]any // the build to make, or attach to; nil when it must exist
	Worker string
	Job    ci.Job // this process runs in, if any

	State int
	Name  string
	Args  []string

	Inputs, EnvNames []string
	Produces         []string
	Save             []Save
	Restore          []string // NAME or NAME=PATH of checkpoints, besides those of the plan
	WhenMissing      string
	Always           bool
	Force            bool
	TakeOver         bool
	NoRestore        bool
	Strict           bool

	Timeout   time.Duration
	Heartbeat time.Duration
	Grace     time.Duration
	Retries   int
	RetryWait time.Duration

	Stdin, Stdout, Stderr *os.File
	Terminal              bool      // somebody reads the output
	Interactive           bool      // and may be asked
	Log                   io.Writer // gets a copy of all output; nil for none
	Environ               []string
	Secrets               []string // never told, besides those of the environment
	Files                 Files

	Say  func(format string, args ...any) // to the person
	Warn func(format string, args ...any)
	Now  func() time.Time
	Done func(Result) // called at the end, when it was not refused; may be nil
}

// Files moves checkpoints that are files between this machine and the
// deployment.
type Files interface {
	// Push stores the file or folder as an artifact of the build, which says
	// where it is restored to.
	Push(ctx context.Context, build string, sv Save, state, attempt int) error
	// Pull writes the artifact to path: beside it first, and in its place only
	// when the checksum fits. The error of one that is damaged, and was reported
	// so, is a Damaged: the plan does not name it any more.
	Pull(ctx context.Context, build, artifact, path string, attempt int) error
}

// A Damaged checkpoint cannot be restored.
type Damaged struct{ Err error }

func (e *Damaged) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Damaged) Unwrap() error { return e.Err }

// Exit codes of a step that are not those of its command.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitAway    = 5
	exitTimeout = 124 // as of timeout(1)
)

// An Exit is why a step ends with a code of its own.
type Exit struct {
	Code int
	Err  error
	Hint string
}

func (e *Exit) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Exit) Unwrap() error { return e.Err }

// refuse returns the error of a step that is not run.
func refuse(hint, format string, args ...any) error {
	return &Exit{Code: exitFailed, Err: fmt.Errorf(format, args...), Hint: hint}
}

// A step is one that is being carried out.
type step struct {
	Options
	run   string // names this run of it
	spool *spool.Spool
	print string // the fingerprint
	sigs  *signals

	id       string   // of the build, "" while the API was not reached
	attempt  int      // 0 while it is not known
	begun    bool     // in_progress was told, or is in the spool
	silent   bool     // the state is done and stays so: nothing is told of this run
	restored []string // paths

	interruptKey string // of the report of an interruption that lies in the spool

	mu     sync.Mutex
	away   error // why the API cannot be told anything, nil when it can
	stale  error // why this worker has nothing more to tell
	tail   *tail
	masked []string
}

// Run carries out a step and returns the exit code: that of the command, 0 when
// it is skipped.
func Run(ctx context.Context, o Options) (int, error) {
	s := &step{Options: o, run: id.New(), spool: spool.Open(o.Root, o.API, o.Build), tail: &tail{}}
	s.masked = append(secretsOf(o.Environ), o.Secrets...)
	var err error
	if s.print, err = Fingerprint(o.Args, o.Inputs, o.EnvNames, lookup(o.Environ)); err != nil {
		return exitUsage, &Exit{Code: exitUsage, Err: err}
	}
	s.sigs = listen()
	defer s.sigs.stop()
	ctx = s.sigs.context(context.WithoutCancel(ctx))
	unlock, err := s.alone(ctx)
	if err != nil {
		return exitFailed, err
	}
	defer unlock()
	code, err := s.carryOut(ctx)
	if o.Done != nil && (err == nil || s.begun) {
		o.Done(Result{BuildID: s.id, Attempt: s.attempt, Skipped: !s.begun})
	}
	if sig := s.sigs.first(); sig != 0 && !s.begun && err != nil {
		return 128 + int(sig), &Exit{Code: 128 + int(sig), Err: fmt.Errorf("interrupted before the command was started")}
	}
	var e *Exit
	if errors.As(err, &e) {
		code = e.Code
	}
	return code, err
}

// alone waits until no other process of this machine does the same state of
// the build. Without a spool nothing keeps them apart.
func (s *step) alone(ctx context.Context) (unlock func(), err error) {
	name := "state-" + strconv.Itoa(s.State)
	unlock, ok, err := s.spool.TryLock(name)
	if err != nil {
		s.Warn("%v: what the API cannot be told would be lost, and what is here is not known to the next step.", err)
		return func() {}, nil
	}
	if ok {
		return unlock, nil
	}
	s.Say("State %d of this build is being done by another process here; waiting for it.", s.State)
	for !ok {
		select {
		case <-ctx.Done():
			return nil, refuse("", "interrupted")
		case <-time.After(100 * time.Millisecond):
		}
		if unlock, ok, err = s.spool.TryLock(name); err != nil {
			return nil, refuse("", "%w", err)
		}
	}
	return unlock, nil
}

func (s *step) carryOut(ctx context.Context) (int, error) {
	s.endLeftovers()
	s.flush(ctx)
	if err := s.attach(ctx); err != nil {
		return exitFailed, err
	}
	p, run, err := s.prepare(ctx)
	if err != nil {
		return exitFailed, err
	}
	if !run {
		return 0, nil
	}
	if err := s.begin(ctx, p); err != nil {
		return exitFailed, err
	}
	return s.work(ctx, p)
}

// prepare asks what is to be done, and brings back what the command needs. The
// plan is nil when the API is away. A checkpoint that is damaged is not in the
// next plan.
func (s *step) prepare(ctx context.Context) (p *plan, run bool, err error) {
	for {
		if p, err = s.plan(ctx); err != nil || p == nil {
			return nil, err == nil, err
		}
		if run, err = s.decide(p); err != nil || !run {
			return p, false, err
		}
		err = s.restore(ctx, p)
		var damaged *Damaged
		if !errors.As(err, &damaged) {
			return p, err == nil, err
		}
		s.Warn("%v", damaged)
	}
}

// endLeftovers ends what a step that was killed has left behind on this
// machine: it would go on changing what this one works on.
func (s *step) endLeftovers() {
	for run, r := range load(s.spool).dead() {
		for _, p := range proc.EndMarked(run, s.Grace) {
			s.Say("Ended %s (process %d), left behind by state %d that was killed.", p.Name, p.PID, r.State)
		}
	}
}

// lookup returns the values of an environment.
func lookup(environ []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, e := range environ {
			if value, ok := strings.CutPrefix(e, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}
