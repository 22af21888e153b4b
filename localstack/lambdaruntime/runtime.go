// Package lambdaruntime is the Lambda Runtime API for one process: it starts a
// bootstrap as Lambda does, hands it one invocation at a time and takes its
// answers. Tests use it to run the very files that are deployed.
package lambdaruntime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"time"

	"bldst/shared/id"
)

// MaxPayload is the most an answer may hold, in bytes, as Lambda says it when
// one is larger.
const MaxPayload = 6_291_556

// Options of Start.
type Options struct {
	// Required.
	Bootstrap string // path of the executable
	Name      string // of the function

	// Optional.
	Env     []string      // "NAME=value", beside what Lambda sets; nothing is inherited
	Memory  int           // MiB; default 128
	Timeout time.Duration // of an invocation without a deadline of its own; default 15 min
	Output  io.Writer     // of the process; default: discarded
	Init    time.Duration // how long it may take to ask for work; default 10 s, as on Lambda
}

// An Env is an execution environment: one process, which serves one invocation
// at a time. It implements lambda.Handler.
type Env struct {
	o      Options
	cmd    *exec.Cmd
	server *http.Server
	work   chan *invocation
	asked  chan struct{} // closed when the process first asks for work
	asking sync.Once
	exited chan struct{} // closed when the process has ended

	mu      sync.Mutex
	current *invocation // handed out and not answered yet
	failure []byte      // what the process reported of its initialisation
}

// An invocation is one event and where its outcome goes.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	done     chan outcome // has room for one
}

type outcome struct {
	payload []byte
	failed  bool
}

// A FunctionError is the error a function reports, or what Lambda reports in
// its place when the process ends or takes too long.
type FunctionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// Start starts the bootstrap. The environment lives until Stop, until the
// process ends by itself, or until an invocation takes too long.
func Start(o Options) (*Env, error) {
	if o.Memory == 0 {
		o.Memory = 128
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Minute
	}
	if o.Init == 0 {
		o.Init = 10 * time.Second
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("runtime API of %s: %w", o.Name, err)
	}
	e := &Env{o: o, work: make(chan *invocation), asked: make(chan struct{}), exited: make(chan struct{})}
	e.server = &http.Server{Handler: e.api(), ReadHeaderTimeout: 10 * time.Second}
	e.cmd = e.command(l.Addr().String())
	if err := e.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", o.Name, err), l.Close())
	}
	go func() { _ = e.server.Serve(l) }()
	go func() {
		_ = e.cmd.Wait()
		close(e.exited)
	}()
	return e, nil
}

// arn is what the function believes to be.
func (e *Env) arn() string { return "arn:aws:lambda:us-east-1:000000000000:function:" + e.o.Name }

func (e *Env) command(address string) *exec.Cmd {
	cmd := exec.Command(e.o.Bootstrap)
	cmd.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + address,
		"AWS_LAMBDA_FUNCTION_NAME=" + e.o.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		fmt.Sprintf("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%d", e.o.Memory),
		"AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=local",
		"AWS_SECRET_ACCESS_KEY=local",
		"_HANDLER=bootstrap",
		"TZ=:UTC",
	}, e.o.Env...)
	cmd.Stdout, cmd.Stderr = e.o.Output, e.o.Output
	cmd.WaitDelay = time.Second
	return cmd
}

// Invoke hands payload to the process and returns its answer. When ctx or
// Options.Timeout ends before the answer comes, the process is killed, as on
// Lambda. An error the function reports is a *FunctionError. Invocations wait
// for one another.
func (e *Env) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.Timeout)
	defer cancel()
	inv := &invocation{id: id.New(), payload: payload, done: make(chan outcome, 1)}
	inv.deadline, _ = ctx.Deadline()
	select {
	case e.work <- inv:
	case <-e.exited:
		return nil, e.ended(inv)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case out := <-inv.done:
		return out.result()
	case <-e.exited:
		return nil, e.ended(inv)
	case <-ctx.Done():
		e.Stop()
		return nil, &FunctionError{Type: "Sandbox.Timedout", Message: inv.id + " Task timed out"}
	}
}

func (o outcome) result() ([]byte, error) {
	if !o.failed {
		return o.payload, nil
	}
	f := &FunctionError{}
	if err := json.Unmarshal(o.payload, f); err != nil {
		return nil, fmt.Errorf("error of the function: %w", err)
	}
	return nil, f
}

// ready waits until the process has asked for work.
func (e *Env) ready(ctx context.Context) error {
	t := time.NewTimer(e.o.Init)
	defer t.Stop()
	select {
	case <-e.asked:
		return nil
	case <-e.exited:
		return e.ended(nil)
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		e.Stop()
		return &FunctionError{Type: "Sandbox.Timedout", Message: fmt.Sprintf("%s did not ask for work within %s", e.o.Name, e.o.Init)}
	}
}

// ended says how the process ended.
func (e *Env) ended(inv *invocation) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure != nil {
		_, err := outcome{payload: e.failure, failed: true}.result()
		return err
	}
	message := "Runtime exited: " + e.cmd.ProcessState.String()
	if inv != nil {
		message = inv.id + " Error: " + message
	}
	return &FunctionError{Type: "Runtime.ExitError", Message: message}
}

// Stop kills the process and waits until it is gone. It may be called more
// than once.
func (e *Env) Stop() {
	_ = e.cmd.Process.Kill()
	<-e.exited
	_ = e.server.Close()
}

// Exited is closed when the process has ended.
func (e *Env) Exited() <-chan struct{} { return e.exited }
