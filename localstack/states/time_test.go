package states_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"bldst/localstack/states"
)

func machineOf(name, definition string) states.Machine {
	return states.Machine{Name: name, ARN: arnOf(name), Definition: []byte(definition)}
}

// awaiting is a machine that waits for one answer. extra are more fields of
// the wait; an error that Catch of extra does not name ends the execution.
func awaiting(extra string) states.Machine {
	return machineOf("m", `{"StartAt": "Await", "States": {
		"Await": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
			"Parameters": {"FunctionName": "park", "Payload": {"token.$": "$$.Task.Token"}}`+extra+`, "End": true}}}`)
}

// calling is a machine that calls the function "f".
func calling(extra string) states.Machine {
	return machineOf("m", `{"StartAt": "Call", "States": {
		"Call": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
			"Parameters": {"FunctionName": "f", "Payload": {}}`+extra+`, "End": true}}}`)
}

func (h *harness) player(arn string) *player {
	return &player{t: h.t.(*testing.T), client: h.client, arn: arn, settle: h.engine.Settle}
}

// when returns the events of a kind as time since the start.
func (h *harness) when(arn string, kind types.HistoryEventType) []time.Duration {
	h.t.Helper()
	var all []time.Duration
	for _, e := range h.player(arn).history() {
		if e.Type == kind {
			all = append(all, e.Timestamp.Sub(noon))
		}
	}
	return all
}

func (h *harness) kinds(arn string) []string {
	h.t.Helper()
	return h.player(arn).outcome().Events
}

func equal[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func TestHeartbeatsKeepAWaitAliveAndTheFirstMissedOneEndsIt(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(`, "HeartbeatSeconds": 60, "TimeoutSeconds": 86400`))
	arn := h.start("m", "a", "{}")
	for range 300 {
		h.clock.Advance(59 * time.Second)
		h.player(arn).do(action{Do: "heartbeat"})
	}
	equal(t, "status after five hours", "RUNNING", h.status(arn))
	h.clock.Advance(24 * time.Hour)
	d := h.describe(arn)
	equal(t, "error", "States.HeartbeatTimeout", aws.ToString(d.Error))
	equal(t, "stopped", 300*59*time.Second+time.Minute, d.StopDate.Sub(noon))
	equal(t, "no event for a heartbeat", 7, len(h.kinds(arn)))
}

func TestATimeoutComesInSpiteOfHeartbeats(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(`, "HeartbeatSeconds": 60, "TimeoutSeconds": 600`))
	arn := h.start("m", "a", "{}")
	for h.status(arn) == "RUNNING" {
		h.player(arn).do(action{Do: "heartbeat"})
		h.clock.Advance(50 * time.Second)
	}
	d := h.describe(arn)
	equal(t, "status", "FAILED", string(d.Status))
	equal(t, "error", "States.Timeout", aws.ToString(d.Error))
	equal(t, "stopped", 10*time.Minute, d.StopDate.Sub(noon))
}

func TestRetriesComeExactlyWhenTheyShould(t *testing.T) {
	t.Parallel()
	s := time.Second
	for _, c := range []struct {
		name, retry string
		fails       []string
		want        []time.Duration // of every attempt
	}{
		{"the defaults are three attempts after 1, 2 and 4 seconds", `[{"ErrorEquals": ["States.ALL"]}]`, nil, []time.Duration{0, s, 3 * s, 7 * s}},
		{"the example AWS documents", `[{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 3, "MaxAttempts": 2, "BackoffRate": 1.5}]`, nil, []time.Duration{0, 3 * s, 7500 * time.Millisecond}},
		{"MaxDelaySeconds bounds the interval", `[{"ErrorEquals": ["E"], "IntervalSeconds": 3, "MaxAttempts": 4, "BackoffRate": 2, "MaxDelaySeconds": 5}]`, nil, []time.Duration{0, 3 * s, 8 * s, 13 * s, 18 * s}},
		{"jitter draws from the whole interval", `[{"ErrorEquals": ["E"], "IntervalSeconds": 4, "MaxAttempts": 2, "JitterStrategy": "FULL"}]`, nil, []time.Duration{0, 2 * s, 6 * s}},
		{"no attempts are none", `[{"ErrorEquals": ["E"], "MaxAttempts": 0}]`, nil, []time.Duration{0}},
		{"no retrier matches", `[{"ErrorEquals": ["F", "States.Timeout"]}]`, nil, []time.Duration{0}},
		{
			"every retrier counts for itself, as in the example AWS documents",
			`[{"ErrorEquals": ["A", "B"], "IntervalSeconds": 1, "BackoffRate": 2, "MaxAttempts": 2}, {"ErrorEquals": ["C"], "IntervalSeconds": 5}]`,
			[]string{"A", "C", "B", "B"}, []time.Duration{0, s, 6 * s, 8 * s},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fails := c.fails
			h := newHarness(t, lambdas{"f": func(context.Context, []byte) ([]byte, error) {
				name := "E"
				if len(fails) > 0 {
					name, fails = fails[0], fails[1:]
				}
				return nil, &states.FunctionError{Type: name, Message: "no"}
			}}, calling(`, "Retry": `+c.retry))
			arn := h.start("m", "a", "{}")
			h.clock.Advance(time.Hour)
			equal(t, "attempts", c.want, h.when(arn, types.HistoryEventTypeTaskScheduled))
			stats, err := h.engine.Stats(arn)
			want := states.Stats{Status: "FAILED", State: "Call", Transitions: int64(len(c.want)), Retries: int64(len(c.want) - 1), Events: stats.Events}
			equal(t, "stats", want, stats)
			equal(t, "error of stats", nil, err)
		})
	}
}

func TestARetryStartsTheLimitsOfATaskAnew(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(`, "HeartbeatSeconds": 10, "TimeoutSeconds": 60,
		"Retry": [{"ErrorEquals": ["States.HeartbeatTimeout"], "IntervalSeconds": 5, "MaxAttempts": 2, "BackoffRate": 1}]`))
	arn := h.start("m", "a", "{}")
	first := *h.player(arn).token()
	h.clock.Advance(time.Minute)
	equal(t, "attempts", []time.Duration{0, 15 * time.Second, 30 * time.Second}, h.when(arn, types.HistoryEventTypeTaskScheduled))
	equal(t, "stopped", 40*time.Second, h.describe(arn).StopDate.Sub(noon))
	if second := *h.player(arn).token(); first == second {
		t.Error("two attempts have the same token")
	}
}

func TestWhatIsCaughtAndHandedOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, catch string
		fail        error
		want        string // output, or the error
	}{
		{"by name", `{"ErrorEquals": ["E"], "Next": "Caught"}`, &states.FunctionError{Type: "E", Message: "m"}, `{"Cause":"{\"errorMessage\":\"m\",\"errorType\":\"E\"}","Error":"E"}`},
		{"into the input", `{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "Caught"}`, &states.FunctionError{Type: "E", Payload: []byte(`{"x":1}`)}, `{"e":{"Cause":"{\"x\":1}","Error":"E"},"in":1}`},
		{"and dropped", `{"ErrorEquals": ["States.TaskFailed"], "ResultPath": null, "Next": "Caught"}`, &states.FunctionError{Type: "E"}, `{"in":1}`},
		{"not what is not named", `{"ErrorEquals": ["F"], "Next": "Caught"}`, &states.FunctionError{Type: "E"}, "E"},
		{"a function that died is Lambda.Unknown", `{"ErrorEquals": ["Lambda.Unknown"], "ResultPath": null, "Next": "Caught"}`, &states.FunctionError{Message: "exit status 1"}, `{"in":1}`},
		{"a refusal of Lambda has its name", `{"ErrorEquals": ["Lambda.TooManyRequestsException"], "ResultPath": null, "Next": "Caught"}`, &states.ServiceError{Code: "TooManyRequestsException"}, `{"in":1}`},
		{"anything else is a client's error", `{"ErrorEquals": ["Lambda.SdkClientException"], "ResultPath": null, "Next": "Caught"}`, errors.New("broken pipe"), `{"in":1}`},
		{"a ResultPath that does not fit ends the execution", `{"ErrorEquals": ["E"], "ResultPath": "$.in.deeper", "Next": "Caught"}`, &states.FunctionError{Type: "E"}, "States.ResultPathMatchFailure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, lambdas{"f": func(context.Context, []byte) ([]byte, error) { return nil, c.fail }},
				machineOf("m", `{"StartAt": "Call", "States": {
					"Call": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "Catch": [`+c.catch+`], "End": true},
					"Caught": {"Type": "Succeed"}}}`))
			d := h.describe(h.start("m", "a", `{"in": 1}`))
			got := aws.ToString(d.Output)
			if d.Output == nil {
				got = aws.ToString(d.Error)
			}
			equal(t, "output or error", c.want, got)
		})
	}
}

func TestPayloadsOverTheLimitAreDataLimitExceeded(t *testing.T) {
	t.Parallel()
	large := []byte(`"` + strings.Repeat("x", 262144) + `"`)
	for _, c := range []struct {
		name, catch, status string
	}{
		{"named in Catch", `["States.DataLimitExceeded"]`, "SUCCEEDED"},
		{"not by States.ALL, as documented", `["States.ALL"]`, "FAILED"},
		{"not by States.TaskFailed", `["States.TaskFailed"]`, "FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, lambdas{"f": func(context.Context, []byte) ([]byte, error) { return large, nil }},
				machineOf("m", `{"StartAt": "Call", "States": {
					"Call": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "Catch": [{"ErrorEquals": `+c.catch+`, "Next": "Caught"}], "End": true},
					"Caught": {"Type": "Succeed"}}}`))
			arn := h.start("m", "a", "{}")
			equal(t, "status", c.status, h.status(arn))
			if !slices.Contains(h.kinds(arn), "TaskFailed") {
				t.Error("no TaskFailed in the history")
			}
		})
	}
}

func TestAPassThatGrowsOverTheLimitEndsTheExecution(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", `{"StartAt": "P", "States": {"P": {"Type": "Pass", "Parameters": {"a.$": "$", "b.$": "$"}, "End": true}}}`))
	d := h.describe(h.start("m", "a", `"`+strings.Repeat("x", 140000)+`"`))
	equal(t, "error", "States.DataLimitExceeded", aws.ToString(d.Error))
}

func TestAMachineThatNeverWaitsEndsWithItsHistory(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", `{"StartAt": "P", "States": {"P": {"Type": "Pass", "Next": "P"}}}`))
	arn := h.start("m", "a", "{}")
	d := h.describe(arn)
	equal(t, "error", "States.Runtime", aws.ToString(d.Error))
	equal(t, "cause", "The execution reached the maximum number of history events (25000).", aws.ToString(d.Cause))
	stats, _ := h.engine.Stats(arn)
	equal(t, "events", int64(25000), stats.Events)
}

func TestARestartKeepsTheTimeThatIsLeft(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(`, "HeartbeatSeconds": 600, "TimeoutSeconds": 3600`),
		machineOf("w", `{"StartAt": "W", "TimeoutSeconds": 7200, "States": {"W": {"Type": "Wait", "SecondsPath": "$.s", "End": true}}}`))
	waits, sleeps, limited := h.start("m", "a", "{}"), h.start("w", "b", `{"s": 1800}`), h.start("w", "c", `{"s": 90000}`)
	h.clock.Advance(5 * time.Minute)
	h.restart()
	h.clock.Advance(4 * time.Minute)
	h.player(waits).do(action{Do: "heartbeat"})
	h.restart()
	h.clock.Advance(12 * time.Hour)
	equal(t, "silent", 19*time.Minute, h.describe(waits).StopDate.Sub(noon))
	equal(t, "slept", 30*time.Minute, h.describe(sleeps).StopDate.Sub(noon))
	equal(t, "limited", 2*time.Hour, h.describe(limited).StopDate.Sub(noon))
	equal(t, "status of limited", "TIMED_OUT", h.status(limited))
}

func TestADeadlineThatPassedWhileTheEngineWasDownIsMetAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(`, "HeartbeatSeconds": 600, "TimeoutSeconds": 3600`))
	arn := h.start("m", "a", "{}")
	h.close()
	h.clock.Advance(time.Hour) // nobody looks at it
	h.open()
	h.engine.Settle()
	d := h.describe(arn)
	equal(t, "error", "States.HeartbeatTimeout", aws.ToString(d.Error))
	equal(t, "stopped", time.Hour, d.StopDate.Sub(noon))
}

func TestARestartRepeatsAnInvocationWithTheSameToken(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var payloads []string
	down := true
	called := make(chan struct{}, 2)
	h := newHarness(t, lambdas{"park": func(ctx context.Context, payload []byte) ([]byte, error) {
		mu.Lock()
		payloads = append(payloads, string(payload))
		hang := down
		mu.Unlock()
		called <- struct{}{}
		if hang {
			<-ctx.Done() // killed with the engine
			return nil, ctx.Err()
		}
		return nil, nil
	}}, awaiting(""))
	arn, err := h.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(arnOf("m"))})
	if err != nil {
		t.Fatal(err)
	}
	<-called
	mu.Lock()
	down = false
	mu.Unlock()
	h.restart()
	<-called
	h.engine.Settle()
	if len(payloads) != 2 || payloads[0] != payloads[1] {
		t.Errorf("want the same invocation twice, got %q", payloads)
	}
	equal(t, "events", []string{"ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted"}, h.kinds(*arn.ExecutionArn))
}

func TestAnAnswerIsAcceptedWhileTheDispatchingFunctionStillRuns(t *testing.T) {
	t.Parallel()
	var h *harness
	h = newHarness(t, lambdas{"park": func(ctx context.Context, payload []byte) ([]byte, error) {
		var request struct{ Token string }
		if err := json.Unmarshal(payload, &request); err != nil {
			return nil, err
		}
		if _, err := h.client.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: &request.Token}); err != nil {
			return nil, err
		}
		_, err := h.client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &request.Token, Output: aws.String(`"early"`)})
		return nil, errors.Join(err, errors.New("a failure after the answer is too late"))
	}}, awaiting(`, "HeartbeatSeconds": 60`))
	d := h.describe(h.start("m", "a", "{}"))
	equal(t, "output", `"early"`, aws.ToString(d.Output))
}

func TestAFunctionThatHangsTimesOutAndItsLateResultIsDropped(t *testing.T) {
	t.Parallel()
	release, called := make(chan struct{}), make(chan struct{}, 1)
	h := newHarness(t, lambdas{"f": func(context.Context, []byte) ([]byte, error) {
		called <- struct{}{}
		<-release
		return []byte(`"late"`), nil
	}}, calling(`, "TimeoutSeconds": 30`))
	h.impatient.Store(true) // nothing settles while the function hangs
	if _, err := h.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(arnOf("m")), Name: aws.String("a")}); err != nil {
		t.Fatal(err)
	}
	<-called
	h.clock.Advance(30 * time.Second)
	close(release)
	h.engine.Settle()
	arn := executionOf("m", "a")
	d := h.describe(arn)
	equal(t, "error and output", []*string{aws.String("States.Timeout"), nil}, []*string{d.Error, d.Output})
	equal(t, "events", []string{"ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskTimedOut", "ExecutionFailed"}, h.kinds(arn))
}

func TestAnswersToAWaitThatIsOverAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(`, "HeartbeatSeconds": 60`))
	answered, silent, stopped := h.start("m", "a", "{}"), h.start("m", "b", "{}"), h.start("m", "c", "{}")
	h.player(answered).do(action{Do: "success", Output: []byte("1")})
	h.player(stopped).do(action{Do: "stop"})
	h.clock.Advance(time.Hour)
	for _, arn := range []string{answered, silent, stopped} {
		token := h.player(arn).token()
		_, success := h.client.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: token, Output: aws.String("1")})
		_, failure := h.client.SendTaskFailure(t.Context(), &sfn.SendTaskFailureInput{TaskToken: token})
		_, beat := h.client.SendTaskHeartbeat(t.Context(), &sfn.SendTaskHeartbeatInput{TaskToken: token})
		for _, err := range []error{success, failure, beat} {
			var gone *types.TaskTimedOut
			if !errors.As(err, &gone) || gone.ErrorMessage() != "Task Timed Out: 'Provided task does not exist anymore'" {
				t.Errorf("%s: want TaskTimedOut, got %v", arn, err)
			}
		}
	}
}

func TestForgedTokensAreInvalid(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(""))
	token := *h.player(h.start("m", "a", "{}")).token()
	last := "A"
	if strings.HasPrefix(token, "A") {
		last = "B"
	}
	for _, forged := range []string{"x", last + token[1:], token[:len(token)-4], token + "AAAA", strings.ToLower(token)} {
		_, err := h.client.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &forged, Output: aws.String("1")})
		if !errors.As(err, new(*types.InvalidToken)) {
			t.Errorf("%q: want InvalidToken, got %v", forged, err)
		}
	}
}

func TestAnInvalidOutputIsRefusedAndTheWaitGoesOn(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(""))
	arn := h.start("m", "a", "{}")
	_, err := h.client.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: h.player(arn).token(), Output: aws.String("{not JSON")})
	if !errors.As(err, new(*types.InvalidOutput)) {
		t.Errorf("want InvalidOutput, got %v", err)
	}
	equal(t, "status", "RUNNING", h.status(arn))
}

func TestStatusChangesAreToldInOrderAndAgainAfterARestart(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(`, "TimeoutSeconds": 60`))
	arn := h.start("m", "a", `{"a": 1}`)
	h.clock.Advance(time.Hour)
	if _, err := h.client.RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn}); err != nil {
		t.Fatal(err)
	}
	h.engine.Settle()
	h.player(arn).do(action{Do: "success", Output: []byte(`{}`)})
	h.engine.Settle()
	equal(t, "statuses", []string{"RUNNING", "FAILED", "RUNNING", "SUCCEEDED"}, h.told.statuses())
	failed := h.told.all[1]
	equal(t, "event", map[string]any{
		"version": "0", "id": failed.ID, "detail-type": "Step Functions Execution Status Change", "source": "aws.states",
		"account": "000000000000", "time": "2026-03-04T12:01:00Z", "region": "us-east-1", "resources": []any{arn},
		"detail": map[string]any{
			"executionArn": arn, "stateMachineArn": arnOf("m"), "name": "a", "status": "FAILED",
			"startDate": float64(noon.UnixMilli()), "stopDate": float64(noon.Add(time.Minute).UnixMilli()),
			"input": `{"a": 1}`, "inputDetails": map[string]any{"included": true}, "output": nil, "outputDetails": map[string]any{"included": true},
			"error": "States.Timeout", "cause": nil, "redriveCount": float64(0), "redriveDate": nil, "redriveStatus": "REDRIVABLE", "redriveStatusReason": nil,
		},
	}, asJSON(t, failed))
}

func asJSON(t *testing.T, v any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAStatusChangeThatWasNotToldIsToldAfterARestart(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", `{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}`))
	told := h.opt.OnStatus
	block := make(chan struct{})
	entered := make(chan struct{})
	var once sync.Once
	h.close()
	h.opt.OnStatus = func(states.Event) { once.Do(func() { close(entered) }); <-block }
	h.open()
	if _, err := h.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(arnOf("m"))}); err != nil {
		t.Fatal(err)
	}
	<-entered
	closed := make(chan struct{})
	go func() { defer close(closed); h.close() }()
	h.engine.Settle() // only the close lets it return
	close(block)
	<-closed
	h.opt.OnStatus = told
	h.open()
	h.engine.Settle()
	got := h.told.statuses()
	if !slices.Contains(got, "SUCCEEDED") {
		t.Errorf("the end was not told after the restart: %v", got)
	}
}

func TestARedriveGoesOnFromTheStateThatFailed(t *testing.T) {
	t.Parallel()
	replies := []error{nil, &states.FunctionError{Type: "E"}, &states.FunctionError{Type: "E"}, nil, nil}
	var calls []string
	h := newHarness(t, lambdas{"f": func(_ context.Context, payload []byte) ([]byte, error) {
		calls = append(calls, string(payload))
		err := replies[0]
		replies = replies[1:]
		return []byte(fmt.Sprintf("%d", len(calls))), err
	}}, machineOf("m", `{"StartAt": "One", "States": {
		"One": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f", "Payload": "one"}, "ResultSelector": {"n.$": "$.Payload"}, "ResultPath": "$.one", "Next": "Two"},
		"Two": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f", "Payload.$": "$.one"}, "ResultSelector": {"n.$": "$.Payload"}, "ResultPath": "$.two",
			"Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "End": true}}}`))
	arn := h.start("m", "a", `{"in": true}`)
	h.clock.Advance(13 * 24 * time.Hour)
	equal(t, "status", "FAILED", h.status(arn))
	redriven, err := h.client.RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn, ClientToken: aws.String("t")})
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.client.RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn, ClientToken: aws.String("t")})
	if err != nil || !again.RedriveDate.Equal(*redriven.RedriveDate) {
		t.Errorf("the same client token redrives once: %v, %v", again, err)
	}
	h.engine.Settle()
	d := h.describe(arn)
	equal(t, "output", `{"in":true,"one":{"n":1},"two":{"n":4}}`, aws.ToString(d.Output))
	equal(t, "calls", []string{`"one"`, `{"n":1}`, `{"n":1}`, `{"n":1}`}, calls)
	equal(t, "redrives", int32(1), aws.ToInt32(d.RedriveCount))
	equal(t, "redriven at", 13*24*time.Hour, d.RedriveDate.Sub(noon))
	_, err = h.client.RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn})
	var not *types.ExecutionNotRedrivable
	if !errors.As(err, &not) || not.ErrorMessage() != "Execution is SUCCEEDED and cannot be redriven" {
		t.Errorf("want ExecutionNotRedrivable, got %v", err)
	}
}

func TestAnExecutionThatEndedLongAgoIsNotRedriven(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", `{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}}`))
	arn := h.start("m", "a", "{}")
	equal(t, "status", types.ExecutionRedriveStatusRedrivable, h.describe(arn).RedriveStatus)
	h.clock.Advance(14*24*time.Hour + time.Second)
	equal(t, "reason", "Execution redrivable period exceeded", aws.ToString(h.describe(arn).RedriveStatusReason))
	_, err := h.client.RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn})
	if !errors.As(err, new(*types.ExecutionNotRedrivable)) {
		t.Errorf("want ExecutionNotRedrivable, got %v", err)
	}
}

func TestARedriveRestartsTheLimitOfTheExecution(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", `{"StartAt": "W", "TimeoutSeconds": 60, "States": {"W": {"Type": "Wait", "Seconds": 50, "Next": "V"}, "V": {"Type": "Wait", "Seconds": 50, "End": true}}}`))
	arn := h.start("m", "a", "{}")
	h.clock.Advance(time.Hour)
	equal(t, "status", "TIMED_OUT", h.status(arn))
	if _, err := h.client.RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn}); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(time.Hour)
	d := h.describe(arn)
	equal(t, "status", "SUCCEEDED", string(d.Status))
	equal(t, "stopped", time.Hour+50*time.Second, d.StopDate.Sub(noon))
}

func TestAnOpenExecutionKeepsTheDefinitionItWasStartedWith(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "Next": "Old"}, "Old": {"Type": "Pass", "Result": "old", "End": true}}}`))
	arn := h.start("m", "a", "{}")
	h.opt.Machines = []states.Machine{machineOf("m", `{"StartAt": "New", "States": {"New": {"Type": "Pass", "Result": "new", "End": true}}}`)}
	h.restart()
	h.clock.Advance(time.Minute)
	equal(t, "output of the old one", `"old"`, aws.ToString(h.describe(arn).Output))
	equal(t, "output of a new one", `"new"`, aws.ToString(h.describe(h.start("m", "b", "{}")).Output))
	d, err := h.client.DescribeStateMachineForExecution(t.Context(), &sfn.DescribeStateMachineForExecutionInput{ExecutionArn: &arn})
	if err != nil || !strings.Contains(*d.Definition, `"Old"`) {
		t.Errorf("the definition of the old one is not shown: %v", err)
	}
}
