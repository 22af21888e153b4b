package workflow_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"bldst/shared/problem"
	"bldst/shared/workflow"
)

const machineARN = "arn:aws:states:us-east-1:000000000000:stateMachine:bldst-build"

// serve returns a machine behind a real little server that speaks the protocol
// of Step Functions: it answers every call with status and body, and says what
// it was asked.
func serve(t *testing.T, status int, body string) (*workflow.Machine, func() (string, map[string]string)) {
	t.Helper()
	var target string
	var in map[string]string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target = r.Header.Get("X-Amz-Target")
		b, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(b, &in)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	m := workflow.Open(workflow.Access{Region: "us-east-1", Endpoint: s.URL, KeyID: "k", Secret: "s"}, machineARN)
	return m, func() (string, map[string]string) { return target, in }
}

func TestStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		body    string
		arn     string
		started bool
		kind    problem.Kind
	}{
		"an execution that starts has an ARN":          {200, `{"executionArn":"arn:x","startDate":1}`, "arn:x", true, ""},
		"a name that is taken is an answer":            {400, `{"__type":"ExecutionAlreadyExists","message":"m"}`, "", false, ""},
		"a limit of the account is to be tried again":  {400, `{"__type":"ExecutionLimitExceeded","message":"m"}`, "", false, problem.Unavailable},
		"a machine that does not exist is an internal": {400, `{"__type":"StateMachineDoesNotExist","message":"m"}`, "", false, problem.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, asked := serve(t, c.status, c.body)
			arn, started, err := m.Start(t.Context(), "b-a1", map[string]int{"attempt": 1})
			if arn != c.arn || started != c.started || kindOf(err) != c.kind {
				t.Errorf("want %q %v %q, got %q %v %v", c.arn, c.started, c.kind, arn, started, err)
			}
			target, in := asked()
			if target != "AWSStepFunctions.StartExecution" || in["name"] != "b-a1" || in["input"] != `{"attempt":1}` || in["stateMachineArn"] != machineARN {
				t.Errorf("asked %s %v", target, in)
			}
		})
	}
}

func TestAnswering(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		body    string
		waiting bool
		kind    problem.Kind
	}{
		"a wait that is there is answered":         {200, `{}`, true, ""},
		"a wait that timed out is gone":            {400, `{"__type":"TaskTimedOut","message":"m"}`, false, ""},
		"a task that does not exist is gone":       {400, `{"__type":"com.amazonaws.swf.service.v2.model#TaskDoesNotExist","message":"m"}`, false, ""},
		"a token of nobody is gone":                {400, `{"__type":"InvalidToken","message":"m"}`, false, ""},
		"throttling is to be tried again":          {400, `{"__type":"KmsThrottlingException","message":"m"}`, false, problem.Unavailable},
		"an output that is refused is an internal": {400, `{"__type":"InvalidOutput","message":"m"}`, false, problem.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, asked := serve(t, c.status, c.body)
			waiting, err := m.Succeed(t.Context(), "token", map[string]string{"next": "done"})
			if waiting != c.waiting || kindOf(err) != c.kind {
				t.Errorf("want %v %q, got %v %v", c.waiting, c.kind, waiting, err)
			}
			if target, in := asked(); target != "AWSStepFunctions.SendTaskSuccess" || in["output"] != `{"next":"done"}` || in["taskToken"] != "token" {
				t.Errorf("asked %s %v", target, in)
			}
			if waiting, err = m.Fail(t.Context(), "token", "Answer", "why"); waiting != c.waiting || kindOf(err) != c.kind {
				t.Errorf("fail: want %v %q, got %v %v", c.waiting, c.kind, waiting, err)
			}
			if target, in := asked(); target != "AWSStepFunctions.SendTaskFailure" || in["error"] != "Answer" || in["cause"] != "why" || in["taskToken"] != "token" {
				t.Errorf("asked %s %v", target, in)
			}
			if waiting, err = m.Beat(t.Context(), "token"); waiting != c.waiting || kindOf(err) != c.kind {
				t.Errorf("beat: want %v %q, got %v %v", c.waiting, c.kind, waiting, err)
			}
		})
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		kind   problem.Kind
	}{
		"one that runs":       {200, `{"stopDate":1}`, ""},
		"one that is not":     {400, `{"__type":"ExecutionDoesNotExist","message":"m"}`, ""},
		"what is not allowed": {400, `{"__type":"AccessDeniedException","message":"m"}`, problem.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, asked := serve(t, c.status, c.body)
			if err := m.Stop(t.Context(), "arn:e", "why"); kindOf(err) != c.kind {
				t.Errorf("want %q, got %v", c.kind, err)
			}
			if target, in := asked(); target != "AWSStepFunctions.StopExecution" || in["executionArn"] != "arn:e" || in["cause"] != "why" {
				t.Errorf("asked %s %v", target, in)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"one that runs":   {200, `{"status":"RUNNING","executionArn":"a","stateMachineArn":"m","startDate":1}`, "RUNNING"},
		"one that is not": {400, `{"__type":"ExecutionDoesNotExist","message":"m"}`, ""},
		"no ARN at all":   {400, `{"__type":"InvalidArn","message":"m"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := serve(t, c.status, c.body)
			if got, err := m.Status(t.Context(), "arn:x"); got != c.want || err != nil {
				t.Errorf("want %q, got %q %v", c.want, got, err)
			}
		})
	}
}

// kindOf returns the kind of the problem err is, "" for none.
func kindOf(err error) problem.Kind {
	if err == nil {
		return ""
	}
	return problem.From(err).Kind
}
