// Package states runs state machines in the Amazon States Language the way AWS
// Step Functions does, inside one process and on one file.
//
// It is exact in what it supports and refuses the rest when a definition is
// loaded (see Check): JSONPath machines of Task (lambda:invoke, with or without
// .waitForTaskToken), Pass, Choice, Wait, Succeed and Fail states, with Retry,
// Catch, timeouts, heartbeats, payload templates, reference paths, the context
// object and the intrinsic functions. It speaks the Step Functions protocol
// (Engine.ServeHTTP), so the SDK and the aws command work with it.
//
// The core is a function, play: a record and something that happens give the
// next record, history events and at most one Lambda to invoke. Around it the
// engine does what happens in one goroutine, many happenings in a transaction
// of the file, and answers callers after it is on disk. Deadlines lie there as
// absolute times, so after a restart every wait has the time left that it had.
//
// What a restart repeats: a Lambda invocation that had not returned is made
// again, with the same token if it has one, and a status change is told again
// if it is not certain that it was told. Both are therefore at least once.
//
// Where this differs from AWS, knowingly:
//   - A missed heartbeat is States.HeartbeatTimeout, as the language defines
//     it, in Catch, Retry, history and result. Recorded histories of AWS show
//     States.Timeout in the latter two. Catch both names.
//   - A Choice that matches nothing without a Default is States.NoChoiceMatched,
//     as the language defines it; AWS writes States.Runtime.
//   - The result of lambda:invoke has ExecutedVersion, Payload and StatusCode,
//     without the HTTP headers.
//   - TestState does not wait in a Wait state, does not hold a mock against the
//     model of the API, and knows inspectionLevel INFO only; context, variables
//     and stateConfiguration are refused.
//   - ValidateStateMachineDefinition tells what the loader refuses, all of it
//     as errors; it has no warnings.
//   - Names of executions and histories are kept for ever, not for 90 days.
package states

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"bldst/localstack/clock"
)

// A Machine is a state machine the engine runs.
type Machine struct {
	Name       string
	ARN        string // arn:aws:states:REGION:ACCOUNT:stateMachine:NAME
	Definition []byte
	File       string // named in refusals; Name when empty
}

// An Invoker runs Lambda functions. It returns what the function returned, or
// a *FunctionError, a *ServiceError, or any error when it could not tell. It
// bounds how long a function may run, as Lambda does, and returns when ctx
// ends. It may call the engine.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) ([]byte, error)
}

// Options of Open.
type Options struct {
	// Required: one of Path and DB, and Invoker when a machine has a Task.
	Path    string   // a file of its own, made when absent
	DB      *bolt.DB // or an open database, in which the engine uses the bucket "states"
	Invoker Invoker

	// Optional.
	Machines []Machine
	Clock    clock.Clock      // clock.Real when nil
	OnStatus func(Event)      // told of every change of status, in order, at least once
	Log      *slog.Logger     // discarded when nil
	Workers  int              // Lambda invocations at a time, 64 when 0
	Random   func() float64   // for jitter, from 0 to 1
	NewID    func() uuid.UUID // for executions without a name and States.UUID

	// For tests.
	BeforeCommit func() error // an error makes a transaction fail as a broken disk does
}

// An Engine runs executions until it is closed. It is safe for concurrent use.
type Engine struct {
	opt      Options
	disk     *disk
	secret   []byte
	machines map[string]*machine
	jobs     chan *job
	closing  chan struct{}
	stopped  sync.Once
	running  sync.WaitGroup
	ctx      context.Context // of invocations
	cancel   context.CancelFunc
	dispatch *dispatcher
	bell     chan struct{} // rings when there is something to tell
	broken   atomic.Bool   // the last transaction was not stored

	mu     sync.Mutex
	timers timers
	busy   int  // things under way that are not waits
	parked bool // the loop waits for something to happen
	quiet  *sync.Cond
}

// ErrClosed is returned by calls on a closed engine.
var ErrClosed = errors.New("the engine is closed")

// Open loads the machines and continues every open execution. A machine that
// is refused makes it fail, with every *Refusal joined. An execution goes on
// with the definition it was started with, whatever Machines says now.
func Open(o Options) (*Engine, error) {
	o.defaults()
	loaded, err := loadMachines(o.Machines)
	if err != nil {
		return nil, err
	}
	d, err := openDisk(o.Path, o.DB)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		opt: o, disk: d, machines: loaded, jobs: make(chan *job),
		closing: make(chan struct{}), bell: make(chan struct{}, 1), timers: newTimers(),
	}
	e.quiet = sync.NewCond(&e.mu)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.dispatch = newDispatcher(e)
	if err := e.revive(); err != nil {
		e.cancel()
		return nil, errors.Join(err, d.close())
	}
	e.begin()
	return e, nil
}

func (o *Options) defaults() {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Workers <= 0 {
		o.Workers = 64
	}
	if o.Random == nil {
		o.Random = mathrand.Float64
	}
	if o.NewID == nil {
		o.NewID = uuid.New
	}
	if o.Invoker == nil {
		o.Invoker = nobody{}
	}
}

// nobody is the Invoker of an engine that was given none.
type nobody struct{}

func (nobody) Invoke(_ context.Context, function string, _ []byte) ([]byte, error) {
	return nil, &ServiceError{"ResourceNotFoundException", "Function not found: " + function}
}

// begin starts the goroutines that Close waits for.
func (e *Engine) begin() {
	e.running.Go(e.loop)
	e.running.Go(e.tellLoop)
	for range e.opt.Workers {
		e.running.Go(e.dispatch.work)
	}
}

// Close stops the engine; what it has acknowledged is on disk. Invocations
// under way are cancelled and made again after the next Open. A second call
// does nothing.
func (e *Engine) Close() error {
	var err error
	e.stopped.Do(func() {
		close(e.closing)
		e.cancel()
		e.dispatch.close()
		e.mu.Lock()
		e.quiet.Broadcast()
		e.mu.Unlock()
		e.running.Wait()
		err = e.disk.close()
	})
	return err
}

// Writable reports why nothing can be stored: after a transaction that failed
// it tries another one. It costs nothing while they succeed.
func (e *Engine) Writable() error {
	if !e.broken.Load() {
		return nil
	}
	return e.submit(func(*txn) error { return nil })
}

func (e *Engine) closed() bool {
	select {
	case <-e.closing:
		return true
	default:
		return false
	}
}

// Settle returns when nothing is under way (no request, no due timer, no
// invocation, nothing to tell) or the engine is closed. With a fake clock it makes tests exact:
// fake.OnStep(engine.Settle).
func (e *Engine) Settle() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed() && (e.busy > 0 || !e.parked || e.timers.due(e.opt.Clock.Now())) {
		e.quiet.Wait()
	}
}

// begun and done count what is under way.
func (e *Engine) begun(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy += n
}

func (e *Engine) done(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.busy -= n; e.busy == 0 {
		e.quiet.Broadcast()
	}
}

// A machine is a loaded Machine.
type machine struct {
	Machine
	definition *definition
	hash       string
	about      machineRow
}

func loadMachines(given []Machine) (map[string]*machine, error) {
	loaded := map[string]*machine{}
	var refused []error
	for _, m := range given {
		if m.File == "" {
			m.File = m.Name
		}
		d, err := load(m.File, m.Definition)
		if err == nil && (!strings.HasPrefix(m.ARN, "arn:") || !strings.HasSuffix(m.ARN, ":stateMachine:"+m.Name)) {
			err = &Refusal{File: m.File, Why: fmt.Sprintf("%q is not the ARN of a state machine named %q", m.ARN, m.Name)}
		}
		if err == nil && loaded[m.ARN] != nil {
			err = &Refusal{File: m.File, Why: "there are two machines with the ARN " + m.ARN}
		}
		refused = append(refused, err)
		loaded[m.ARN] = &machine{Machine: m, definition: d, hash: hashDefinition(m.Definition)}
	}
	return loaded, errors.Join(refused...)
}

// environment is what a turn takes from outside, now.
func (e *Engine) environment(now time.Time, machine string) environment {
	return environment{
		now: now, random: e.opt.Random, token: e.token, role: roleOf(machine),
		uuid: func() string { return e.opt.NewID().String() },
	}
}

// roleOf is the role executions are said to run with; there are none here.
func roleOf(machine string) string {
	account := "000000000000"
	if parts := strings.Split(machine, ":"); len(parts) > 4 {
		account = parts[4]
	}
	return "arn:aws:iam::" + account + ":role/bldst-states"
}

func newSecret() []byte {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return secret
}
