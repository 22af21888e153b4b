package localstack_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"bldst/events"
	"bldst/events/asl"
	"bldst/localstack/bus"
	"bldst/localstack/clock"
	"bldst/localstack/states"
	embedded "bldst/localstack/table"
	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/drive"
	"bldst/shared/store"
	"bldst/shared/table"
	"bldst/shared/table/stream"
	"bldst/shared/wire"
	"bldst/shared/workflow"
)

// The scenarios run what is deployed, hours of it in milliseconds: the API, the
// table, the change feed, the state machine as it is deployed, its tasks as
// Lambda handlers, the rules and their schedule. Only the clock is moved by
// hand, and everything that is to happen at a time has happened before the
// clock goes on.

const machineARN = "arn:aws:states:us-east-1:000000000000:stateMachine:bldst-build"

func executionARN(name string) string {
	return strings.Replace(machineARN, ":stateMachine:", ":execution:", 1) + ":" + name
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// A tester is a test, or one run of a property.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
	Cleanup(f func())
}

type scenario struct {
	t       tester
	dir     string
	clock   *clock.Fake
	table   *embedded.Table
	store   *store.Store
	engine  *states.Engine
	machine *workflow.Machine
	sfn     *sfn.Client
	bus     *bus.Bus
	api     http.Handler
	resume  http.Handler // the function of heartbeats, cancels and resumes
	lambdas map[string]lambda.Handler
	guards  guards
	at      string // how far the feed was read

	mu     sync.Mutex
	before map[string]func()                     // is called once before a function
	lost   map[string]int                        // how many answers of a function are lost
	shape  func([]table.Change) [][]table.Change // of the batches of the feed
	told   []string                              // events that went to notify and dispatch
	stuck  bool                                  // the feed stands still
	broken atomic.Bool                           // nothing can be written to the table
}

func newScenario(t *testing.T) *scenario {
	t.Helper()
	return openScenario(t, t.TempDir(), noon)
}

// openScenario opens the scenario in the folder dir, which may hold what
// another one has left, at now.
func openScenario(t tester, dir string, now time.Time) *scenario {
	t.Helper()
	s := &scenario{t: t, clock: clock.NewFake(now), before: map[string]func(){}, lost: map[string]int{}}
	s.must(func() (err error) {
		s.table, err = embedded.Open(filepath.Join(dir, "table.db"), embedded.Options{Feed: true, Now: s.clock.Now, BeforeCommit: s.commits})
		return err
	})
	s.store = store.New(s.table)
	s.store.Now = s.clock.Now
	s.must(func() error { return s.store.SeedReference(t.Context(), true) })
	s.must(func() error { return s.store.SeedIdentity(t.Context()) })

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }))
	s.sfn = sfn.New(sfn.Options{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: workflow.Access{KeyID: "any", Secret: "any"}})
	s.machine = workflow.New(s.sfn, machineARN)
	s.wire()
	s.open(dir)
	t.Cleanup(func() {
		server.Close()
		s.close()
		_ = s.table.Close()
		s.guards.check(t)
	})
	s.dir = dir
	s.clock.OnStep(s.settle)
	s.settle()
	return s
}

// open opens the engine and the bus, which go on with what they were at.
func (s *scenario) open(dir string) {
	s.t.Helper()
	definition, err := asl.Render("aws", func(function string) string { return function })
	if err != nil {
		s.t.Fatal(err)
	}
	s.must(func() (err error) {
		s.bus, err = bus.Open(bus.Options{Path: filepath.Join(dir, "bus.db"), Rules: events.Bind(events.Rules, machineARN), Invoker: s, Clock: s.clock})
		return err
	})
	s.must(func() (err error) {
		s.engine, err = states.Open(states.Options{Path: filepath.Join(dir, "states.db"), Invoker: s, Clock: s.clock, Random: func() float64 { return 0.5 },
			Machines: []states.Machine{{Name: "bldst-build", ARN: machineARN, Definition: []byte(definition), File: "build.asl.json"}},
			OnStatus: func(e states.Event) { _ = s.bus.Take(context.Background(), e) }})
		return err
	})
}

func (s *scenario) close() {
	_ = s.bus.Close()
	_ = s.engine.Close()
}

// restart ends the engine and the bus and begins them again.
func (s *scenario) restart() {
	s.t.Helper()
	s.close()
	s.open(s.dir)
	s.settle()
}

// commits fails while the table is broken.
func (s *scenario) commits() error {
	if s.broken.Load() {
		return errors.New("the disk is full")
	}
	return nil
}

// wire makes the functions.
func (s *scenario) wire() {
	p := wire.Ports{Table: s.table, Now: s.clock.Now, Log: slog.New(slog.DiscardHandler), Development: true,
		Signer: &auth.Signer{Current: "k", Keys: map[string][]byte{"k": []byte(strings.Repeat("k", 32))}}}
	ports := func(function string) wire.Ports {
		p := p
		p.Table = s.guards.of(function, s.table)
		return p
	}
	s.api, s.resume = wire.Builds(ports("builds")), wire.Resume(ports("resume"))
	s.lambdas = map[string]lambda.Handler{
		"open-build": wire.OpenBuild(ports("open-build"), s.machine), "await-report": wire.AwaitReport(ports("await-report"), s.machine), "record-stall": wire.RecordStall(ports("record-stall")),
		"decide-failure": wire.DecideFailure(ports("decide-failure")), "resume-build": wire.ResumeBuild(ports("resume-build")), "relay": wire.Relay(ports("relay"), s.machine, toBus{s}),
		"sweep": wire.Sweep(ports("sweep"), s.machine), "reconcile": wire.Reconcile(ports("reconcile"), s.machine),
	}
}

// toBus publishes to the bus of the scenario, which is opened last.
type toBus struct{ s *scenario }

func (p toBus) Publish(ctx context.Context, es []build.Event) error { return p.s.bus.Publish(ctx, es) }

func (s *scenario) must(f func() error) {
	s.t.Helper()
	if err := f(); err != nil {
		s.t.Fatal(err)
	}
}

// Invoke implements the Invoker of the engine and of the bus.
func (s *scenario) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	s.mu.Lock()
	before := s.before[function]
	delete(s.before, function)
	s.mu.Unlock()
	if before != nil {
		before()
	}
	h := s.lambdas[function]
	if h == nil { // notify, dispatch
		var e struct {
			DetailType string `json:"detail-type"`
		}
		_ = json.Unmarshal(payload, &e)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, strings.TrimPrefix(e.DetailType, "build."))
		return []byte("null"), nil
	}
	out, err := h.Invoke(ctx, payload)
	s.mu.Lock()
	lost := s.lost[function] > 0
	s.lost[function]--
	s.mu.Unlock()
	if err == nil && lost {
		return nil, &states.FunctionError{Message: "the process was killed after it had done its work"}
	}
	if err == nil {
		return out, nil
	}
	kind := reflect.TypeOf(err) // as the runtime of Lambda names it
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	return nil, &states.FunctionError{Type: kind.Name(), Message: err.Error()}
}

// settle returns when nothing is under way any more.
func (s *scenario) settle() {
	for {
		s.engine.Settle()
		s.bus.Settle()
		if !s.pump() {
			return
		}
	}
}

// pump gives relay what has changed; false when nothing has.
func (s *scenario) pump() bool {
	over, cancel := context.WithCancel(context.Background())
	cancel() // do not wait for changes
	cs, err := s.table.Changes(over, s.at, 100)
	if err != nil || len(cs) == 0 || s.stuck {
		return false
	}
	s.at = cs[len(cs)-1].Seq
	batches := [][]table.Change{cs}
	if s.shape != nil {
		batches = s.shape(cs)
	}
	for _, batch := range batches {
		payload, err := json.Marshal(stream.Event(batch))
		if err != nil {
			panic(err)
		}
		out, err := s.Invoke(context.Background(), "relay", payload)
		if err != nil || !strings.Contains(string(out), `"batchItemFailures":[]`) {
			s.t.Errorf("relay: %s, %v", out, err)
		}
	}
	return true
}

// call asks the API as a development key may.
func (s *scenario) call(method, path string, body any) (int, map[string]any) {
	var payload []byte
	if body != nil {
		payload, _ = json.Marshal(body)
	}
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(string(payload)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-API-Key", "dev-key-12345")
	w := httptest.NewRecorder()
	h := s.api
	if strings.HasSuffix(path, "/heartbeat") || strings.HasSuffix(path, "/cancel") || strings.HasSuffix(path, "/resume") {
		h = s.resume
	}
	h.ServeHTTP(w, r)
	var out map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &out)
	return w.Code, out
}

// ok is call, settled, and fails the test unless the answer is 2xx.
func (s *scenario) ok(method, path string, body any) map[string]any {
	s.t.Helper()
	status, out := s.call(method, path, body)
	if status/100 != 2 {
		s.t.Fatalf("%s %s: %d %v", method, path, status, out)
	}
	s.settle()
	return out
}

type doc = map[string]any

// create makes a build and returns its id.
func (s *scenario) create(number string) string {
	s.t.Helper()
	return s.ok("POST", "/builds", doc{"build_number": number, "platform": "aws-commercial", "image_type": "base"})["id"].(string)
}

// report reports a state of attempt, 0 for a caller that names none, of a worker
// that beats if it is named.
func (s *scenario) report(id string, code int, status, worker string, attempt int) {
	s.t.Helper()
	body := doc{"state_code": code, "status": status, "worker": worker}
	if attempt > 0 {
		body["attempt"] = attempt
	}
	s.ok("POST", "/builds/"+id+"/state", body)
}

// fail reports a failure.
func (s *scenario) fail(id string, class build.Class) {
	s.t.Helper()
	s.ok("POST", "/builds/"+id+"/failure", doc{"error_message": "it broke", "failure_class": class})
}

// beat is a heartbeat of the worker.
func (s *scenario) beat(id, worker string) {
	s.t.Helper()
	s.must(func() error {
		_, err := s.store.Beat(s.t.Context(), id, func(b *build.Build, rules build.Rules, now time.Time) (*build.Lease, error) {
			return b.Beat(build.HeartbeatIn{Worker: worker}, "", rules, now)
		})
		return err
	})
	s.settle()
}

func (s *scenario) build(id string) *build.Build {
	s.t.Helper()
	b, err := s.store.Build(s.t.Context(), id, true)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// request returns the newest resume request of the build.
func (s *scenario) request(id string) *build.Request {
	s.t.Helper()
	all, _, err := s.store.Requests(s.t.Context(), id, build.PageQuery{Limit: 1})
	if err != nil || len(all) != 1 {
		s.t.Fatalf("resume requests of %s: %v, %v", id, all, err)
	}
	return all[0]
}

// expect fails the test unless the build is so.
func (s *scenario) expect(id string, status build.Status, class build.Class, attempt int) *build.Build {
	s.t.Helper()
	b := s.build(id)
	if b.Status != status || b.FailureClass != class || b.Attempt != attempt {
		s.t.Fatalf("at %s: want %s %q in attempt %d, got %s %q in attempt %d: %s", s.clock.Now().Sub(noon), status, class, attempt, b.Status, b.FailureClass, b.Attempt, b.Message)
	}
	return b
}

// execution fails the test unless the execution is so.
func (s *scenario) execution(name, status, state string) states.Stats {
	s.t.Helper()
	st, err := s.engine.Stats(executionARN(name))
	if err != nil || st.Status != status || state != "" && st.State != state {
		s.t.Fatalf("execution %s: want %s in %s, got %+v, %v", name, status, state, st, err)
	}
	return st
}

func (s *scenario) policy(p build.Policy) {
	s.t.Helper()
	p, err := p.Normalise()
	if err == nil {
		_, err = s.store.SetPolicy(s.t.Context(), "default", p, func(int64) error { return nil })
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// automatic is a policy that resumes.
func automatic(class build.Class, retries int, backoff ...int) build.Policy {
	return build.Policy{Automatic: true, Classes: map[build.Class]build.ClassPolicy{class: {Retries: retries, Backoff: backoff}}}
}

// news returns what the subscribers were told.
func (s *scenario) news() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.told)
	slices.Sort(out)
	return out
}

// beaten lets d pass in steps of a minute; the worker beats at each.
func (s *scenario) beaten(id, worker string, d time.Duration) {
	s.t.Helper()
	for range int(d / time.Minute) {
		s.clock.Advance(time.Minute)
		s.beat(id, worker)
	}
}

// fiveTimes delivers each change five times, in any order, in batches of any
// size.
func fiveTimes(seed uint64) func([]table.Change) [][]table.Change {
	rnd := rand.New(rand.NewPCG(seed, 7))
	return func(cs []table.Change) [][]table.Change {
		var all []table.Change
		for range 5 {
			all = append(all, cs...)
		}
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return slices.Collect(slices.Chunk(all, 1+rnd.IntN(len(all))))
	}
}

var _ drive.Workflow = (*workflow.Machine)(nil)
