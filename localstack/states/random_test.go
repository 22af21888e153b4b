package states_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"bldst/localstack/states"
)

// randomMachine waits for an answer; silence is retried once, then it naps and
// waits again; an hour is all it has.
const randomMachine = `{"StartAt": "Await", "TimeoutSeconds": 3600, "States": {
	"Await": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Parameters": {"FunctionName": "park", "Payload": {"token.$": "$$.Task.Token"}},
		"HeartbeatSeconds": 60, "TimeoutSeconds": 600,
		"Retry": [{"ErrorEquals": ["States.HeartbeatTimeout"], "IntervalSeconds": 5, "MaxAttempts": 1}],
		"Catch": [{"ErrorEquals": ["States.Timeout"], "ResultPath": null, "Next": "Nap"}], "End": true},
	"Nap": {"Type": "Wait", "Seconds": 30, "Next": "Await"}}}`

// A model says in a few lines what an execution of randomMachine must do.
type model struct {
	status                        string
	deadline, silent, limit, wake time.Time
	retried, napping              bool
	attempts                      int
	transitions                   int64
	token                         string
}

func (m *model) begin(now time.Time) {
	m.status, m.deadline = "RUNNING", now.Add(time.Hour)
	m.await(now)
}

// await enters the state Await.
func (m *model) await(now time.Time) {
	m.retried = false
	m.transitions++
	m.attempt(now)
}

func (m *model) attempt(now time.Time) {
	m.attempts++
	m.napping, m.wake, m.token = false, time.Time{}, ""
	m.silent, m.limit = now.Add(time.Minute), now.Add(10*time.Minute)
}

func (m *model) rest(wake time.Time) {
	m.silent, m.limit, m.wake = time.Time{}, time.Time{}, wake
}

func (m *model) nap(now time.Time) {
	m.transitions++
	m.napping = true
	m.rest(now.Add(30 * time.Second))
}

func (m *model) end(status string) {
	m.status = status
	m.rest(time.Time{})
}

func (m *model) waiting() bool { return m.status == "RUNNING" && m.wake.IsZero() }

// advance lets everything happen that is due until then.
func (m *model) advance(until time.Time) {
	for m.status == "RUNNING" {
		next := m.deadline
		for _, at := range []time.Time{m.silent, m.limit, m.wake} {
			if !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		switch {
		case next.After(until):
			return
		case next.Equal(m.deadline):
			m.end("TIMED_OUT")
		case next.Equal(m.wake) && m.napping:
			m.await(next)
		case next.Equal(m.wake):
			m.transitions++ // a retry
			m.attempt(next)
		case next.Equal(m.limit) || m.retried:
			m.nap(next)
		default:
			m.retried = true
			m.rest(next.Add(5 * time.Second))
		}
	}
}

// A world is an engine, what the model says of it, and stale tokens.
type world struct {
	t     *rapid.T
	h     *harness
	all   map[string]*model
	arns  []string
	stale []string
	seen  map[string]int64 // how many events of a history were checked
}

func (w *world) pick() (string, *model) {
	if len(w.arns) == 0 {
		w.t.Skip("no executions yet")
	}
	arn := rapid.SampledFrom(w.arns).Draw(w.t, "execution")
	return arn, w.all[arn]
}

func (w *world) start(t *rapid.T) {
	arn := w.h.start("m", fmt.Sprintf("e%d", len(w.arns)), "{}")
	m := &model{}
	m.begin(w.h.clock.Now())
	w.all[arn], w.arns = m, append(w.arns, arn)
}

// open picks an execution that waits and returns its token.
func (w *world) open() (*model, string) {
	arn, m := w.pick()
	if !m.waiting() {
		w.t.Skip("it does not wait")
	}
	if m.token == "" {
		out, err := w.h.client.GetExecutionHistory(w.h.t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		m.token = tokenIn(out.Events)
	}
	return m, m.token
}

func (w *world) beat(t *rapid.T) {
	m, token := w.open()
	_, err := w.h.client.SendTaskHeartbeat(w.h.t.Context(), &sfn.SendTaskHeartbeatInput{TaskToken: &token})
	w.must(err)
	m.silent = w.h.clock.Now().Add(time.Minute)
}

func (w *world) succeed(t *rapid.T) {
	m, token := w.open()
	_, err := w.h.client.SendTaskSuccess(w.h.t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String("1")})
	w.must(err)
	m.end("SUCCEEDED")
	w.stale = append(w.stale, token)
}

func (w *world) fail(t *rapid.T) {
	m, token := w.open()
	_, err := w.h.client.SendTaskFailure(w.h.t.Context(), &sfn.SendTaskFailureInput{TaskToken: &token, Error: aws.String("E")})
	w.must(err)
	m.end("FAILED")
	w.stale = append(w.stale, token)
}

func (w *world) answerTooLate(t *rapid.T) {
	if len(w.stale) == 0 {
		t.Skip("no stale tokens yet")
	}
	token := rapid.SampledFrom(w.stale).Draw(t, "stale token")
	_, err := w.h.client.SendTaskSuccess(w.h.t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String("2")})
	if !errors.As(err, new(*types.TaskTimedOut)) {
		t.Fatalf("a stale answer: want TaskTimedOut, got %v", err)
	}
}

func (w *world) advance(t *rapid.T) {
	d := time.Duration(rapid.IntRange(1, 900).Draw(t, "seconds")) * time.Second
	for _, m := range w.all {
		before := m.attempts
		token := m.token
		m.advance(w.h.clock.Now().Add(d))
		if token != "" && (m.attempts != before || !m.waiting()) {
			w.stale, m.token = append(w.stale, token), ""
		}
	}
	w.h.clock.Advance(d)
}

func (w *world) stop(t *rapid.T) {
	arn, m := w.pick()
	_, err := w.h.client.StopExecution(w.h.t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn})
	w.must(err)
	if m.status == "RUNNING" {
		m.end("ABORTED")
	}
}

func (w *world) redrive(t *rapid.T) {
	arn, m := w.pick()
	_, err := w.h.client.RedriveExecution(w.h.t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn})
	if m.status == "RUNNING" || m.status == "SUCCEEDED" {
		if !errors.As(err, new(*types.ExecutionNotRedrivable)) {
			t.Fatalf("a redrive of one that is %s: %v", m.status, err)
		}
		return
	}
	w.must(err)
	napping := m.napping
	m.transitions--
	m.begin(w.h.clock.Now())
	if m.transitions++; napping {
		m.attempts--
		m.napping = true
		m.rest(w.h.clock.Now().Add(30 * time.Second))
	}
}

func (w *world) restart(*rapid.T) { w.h.restart() }

func (w *world) must(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

// check compares every execution with its model and its history with itself.
func (w *world) check(t *rapid.T) {
	w.h.engine.Settle()
	listed, err := w.h.client.ListExecutions(w.h.t.Context(), &sfn.ListExecutionsInput{StateMachineArn: aws.String(arnOf("m")), MaxResults: 1000})
	w.must(err)
	if len(listed.Executions) != len(w.arns) {
		t.Fatalf("%d executions were started, %d are listed", len(w.arns), len(listed.Executions))
	}
	for _, e := range listed.Executions {
		m := w.all[*e.ExecutionArn]
		stats, err := w.h.engine.Stats(*e.ExecutionArn)
		w.must(err)
		if string(e.Status) != m.status || stats.Transitions != m.transitions {
			t.Fatalf("%s: want %s after %d transitions, got %s after %d", *e.ExecutionArn, m.status, m.transitions, e.Status, stats.Transitions)
		}
		if w.seen[*e.ExecutionArn] != stats.Events {
			w.seen[*e.ExecutionArn] = stats.Events
			w.checkHistory(t, *e.ExecutionArn, m)
		}
	}
}

func (w *world) checkHistory(t *rapid.T, arn string, m *model) {
	out, err := w.h.client.GetExecutionHistory(w.h.t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 1000})
	w.must(err)
	scheduled := 0
	for i, e := range out.Events {
		if e.Id != int64(i+1) || e.PreviousEventId >= e.Id {
			t.Fatalf("%s: event %d has id %d after %d", arn, i+1, e.Id, e.PreviousEventId)
		}
		if i > 0 && e.Timestamp.Before(*out.Events[i-1].Timestamp) {
			t.Fatalf("%s: event %d is older than the one before", arn, e.Id)
		}
		if e.Type == types.HistoryEventTypeTaskScheduled {
			scheduled++
		}
	}
	last := map[string]types.HistoryEventType{
		"SUCCEEDED": types.HistoryEventTypeExecutionSucceeded, "FAILED": types.HistoryEventTypeExecutionFailed,
		"TIMED_OUT": types.HistoryEventTypeExecutionTimedOut, "ABORTED": types.HistoryEventTypeExecutionAborted,
	}[m.status]
	if got := out.Events[len(out.Events)-1].Type; last != "" && got != last || scheduled != m.attempts {
		t.Fatalf("%s is %s after %d attempts; its history ends with %s after %d", arn, m.status, m.attempts, got, scheduled)
	}
}

// fastDisk is a database that is not synchronised: nobody cuts the power here.
func fastDisk(t *testing.T) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "fast.db"), 0o600, &bolt.Options{NoSync: true, NoGrowSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestAnythingThatHappensLeavesEveryExecutionAsTheModelSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := newHarness(t, nil)
		h.close()
		h.opt.Path, h.opt.DB = "", fastDisk(t)
		h.opt.Machines, h.opt.Invoker = []states.Machine{machineOf("m", randomMachine)}, lambdas{"park": nothing}
		h.open()
		defer h.finish()
		w := &world{t: rt, h: h, all: map[string]*model{}, seen: map[string]int64{}}
		rt.Repeat(map[string]func(*rapid.T){
			"start": w.start, "beat": w.beat, "succeed": w.succeed, "fail": w.fail, "too late": w.answerTooLate,
			"advance": w.advance, "stop": w.stop, "redrive": w.redrive, "restart": w.restart, "": w.check,
		})
	})
}
