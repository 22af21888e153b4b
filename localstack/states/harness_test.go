package states_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"bldst/localstack/clock"
	"bldst/localstack/states"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func arnOf(name string) string {
	return "arn:aws:states:us-east-1:000000000000:stateMachine:" + name
}

func executionOf(machine, name string) string {
	return "arn:aws:states:us-east-1:000000000000:execution:" + machine + ":" + name
}

type lambda func(ctx context.Context, payload []byte) ([]byte, error)

// lambdas is an Invoker of functions of this process.
type lambdas map[string]lambda

func (l lambdas) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	f, known := l[function]
	if !known {
		return nil, &states.ServiceError{Code: "ResourceNotFoundException", Message: "Function not found: " + function}
	}
	return f(ctx, payload)
}

// nothing is a function that returns null.
func nothing(context.Context, []byte) ([]byte, error) { return []byte("null"), nil }

// A harness is an engine on a file, a clock that is moved by hand, and the real
// SDK client in front of it.
type harness struct {
	t      testing.TB
	opt    states.Options
	clock  *clock.Fake
	engine *states.Engine
	client *sfn.Client
	told   *toldEvents

	impatient atomic.Bool // the clock does not wait for the engine

	server   *httptest.Server
	finished sync.Once
}

type toldEvents struct {
	mu  sync.Mutex
	all []states.Event
}

func (e *toldEvents) add(event states.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

func (e *toldEvents) statuses() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for _, event := range e.all {
		all = append(all, event.Detail.Status)
	}
	return all
}

func newHarness(t testing.TB, functions lambdas, machines ...states.Machine) *harness {
	t.Helper()
	h := &harness{t: t, clock: clock.NewFake(noon), told: &toldEvents{}}
	h.opt = states.Options{
		Path: filepath.Join(t.TempDir(), "states.db"), Invoker: functions, Machines: machines,
		Clock: h.clock, OnStatus: h.told.add, Random: func() float64 { return 0.5 }, Workers: 4,
	}
	h.clock.OnStep(func() {
		if !h.impatient.Load() {
			h.engine.Settle()
		}
	})
	h.open()
	h.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.engine.ServeHTTP(w, r) // whichever engine there is, across restarts
	}))
	t.Cleanup(h.finish)
	h.client = clientOf(h.server.URL)
	return h
}

// finish ends server and engine; a second call does nothing.
func (h *harness) finish() {
	h.finished.Do(func() {
		h.server.Close()
		h.close()
	})
}

// clientOf returns the SDK's client.
func clientOf(url string) *sfn.Client {
	return sfn.New(sfn.Options{
		BaseEndpoint: aws.String(url), Region: "us-east-1", RetryMaxAttempts: 1,
		HTTPClient: &steady{client: &http.Client{Transport: &http.Transport{DialContext: dialPlain}}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
		}),
	})
}

// dialPlain reaches the server under the name that the SDK makes for TestState,
// which begins with sync-.
func dialPlain(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(address, "sync-"))
}

// A steady client hides the WriteTo of the bodies of smithy-go 1.28.8. When the
// server has answered already, that says EOF where it should say nothing, and
// the connection is closed under a long answer.
type steady struct{ client *http.Client }

func (s *steady) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return s.client.Do(r)
}

func (h *harness) open() {
	h.t.Helper()
	e, err := states.Open(h.opt)
	if err != nil {
		h.t.Fatal(err)
	}
	h.engine = e
}

func (h *harness) close() {
	h.t.Helper()
	if err := h.engine.Close(); err != nil {
		h.t.Error(err)
	}
}

// restart closes the engine and opens its file again.
func (h *harness) restart() {
	h.t.Helper()
	h.close()
	h.open()
}

// start starts an execution and lets it run as far as it gets.
func (h *harness) start(machine, name, input string) string {
	h.t.Helper()
	out, err := h.client.StartExecution(h.t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: aws.String(arnOf(machine)), Name: aws.String(name), Input: aws.String(input),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.engine.Settle()
	return *out.ExecutionArn
}

func (h *harness) describe(arn string) *sfn.DescribeExecutionOutput {
	h.t.Helper()
	d, err := h.client.DescribeExecution(h.t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *harness) status(arn string) string { return string(h.describe(arn).Status) }
