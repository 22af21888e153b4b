package states

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// testLimit is how long a state under test may take, as AWS documents it.
const testLimit = 5 * time.Minute

// testedARN is the machine of a state under test; no such machine is loaded.
const testedARN = "arn:aws:states:us-east-1:000000000000:stateMachine:TestState"

type testIn struct {
	Definition      string  `json:"definition"`
	StateName       string  `json:"stateName"`
	Input           *string `json:"input"`
	InspectionLevel string  `json:"inspectionLevel"`
	Mock            *mocked `json:"mock"`

	// Not supported.
	Context            json.RawMessage `json:"context"`
	StateConfiguration json.RawMessage `json:"stateConfiguration"`
	Variables          json.RawMessage `json:"variables"`
}

func (in testIn) check() error {
	if err := needed("definition", in.Definition, maxDefinition); err != nil {
		return err
	}
	if err := oneOf("inspectionLevel", in.InspectionLevel, "INFO", "DEBUG", "TRACE"); err != nil {
		return err
	}
	if in.InspectionLevel != "" && in.InspectionLevel != "INFO" {
		return problem("ValidationException", "inspectionLevel %s is not supported here; only INFO is", in.InspectionLevel)
	}
	for member, given := range map[string]json.RawMessage{
		"context": in.Context, "stateConfiguration": in.StateConfiguration, "variables": in.Variables,
	} {
		if given != nil {
			return problem("ValidationException", "%s is not supported here; leave it out", member)
		}
	}
	return in.Mock.check()
}

// load reads the state under test into a definition of its own.
func (in testIn) load() (*definition, error) {
	name, read := in.StateName, func() (*state, error) {
		d, err := load("definition", []byte(in.Definition))
		if err != nil {
			return nil, err
		}
		return d.states[in.StateName], nil
	}
	if name == "" {
		name, read = "TestState", func() (*state, error) { return loadState("TestState", []byte(in.Definition)) }
	}
	s, err := read()
	if err != nil {
		return nil, invalidDefinition(err)
	}
	if s == nil {
		return nil, problem("ValidationException", "stateName: there is no state %s in the definition", name)
	}
	switch {
	case s.callback && in.Mock == nil:
		return nil, problem("ValidationException", "A .waitForTaskToken task can be tested with a mock only")
	case s.kind != kindTask && in.Mock != nil:
		return nil, problem("ValidationException", "A mock can be specified for a Task state only, this one is a %s", s.kind)
	}
	return &definition{startAt: name, alone: true, states: map[string]*state{name: s}}, nil
}

// A mocked is what a Task under test gives in place of its function: a result
// or an error.
type mocked struct {
	Result              *string `json:"result"`
	FieldValidationMode string  `json:"fieldValidationMode"`
	ErrorOutput         *struct {
		Error string `json:"error"`
		Cause string `json:"cause"`
	} `json:"errorOutput"`
}

func (m *mocked) check() error {
	switch {
	case m == nil:
		return nil
	case (m.Result == nil) == (m.ErrorOutput == nil):
		return problem("ValidationException", "A mock has either result or errorOutput")
	case m.ErrorOutput != nil:
		return checkError(m.ErrorOutput.Error, m.ErrorOutput.Cause)
	case len(*m.Result) > maxPayload:
		return tooLong("mock.result", maxPayload)
	}
	if _, err := decode([]byte(*m.Result)); err != nil {
		return problem("ValidationException", "mock.result is not a JSON document: %v", err)
	}
	return oneOf("mock.fieldValidationMode", m.FieldValidationMode, "STRICT", "PRESENT", "NONE")
}

func (m *mocked) happen(t *turn) error {
	if m.ErrorOutput != nil {
		t.taskFailed(&failure{m.ErrorOutput.Error, m.ErrorOutput.Cause})
		return nil
	}
	result, err := decode([]byte(*m.Result))
	if err == nil {
		t.taskSucceeded(result, []byte(*m.Result))
	}
	return err
}

// testState runs one state and stores nothing. A Task invokes its function,
// unless there is a mock, whose result is not held against the API's model; a
// Wait of up to 5 minutes is over at once, a longer one is States.Timeout.
func (e *Engine) testState(in testIn) (object, error) {
	if e.closed() {
		return nil, ErrClosed
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	d, err := in.load()
	if err != nil {
		return nil, err
	}
	r, err := e.newRecord(&machine{Machine: Machine{ARN: testedARN}}, startIn{Input: in.Input})
	if err != nil {
		return nil, err
	}
	env := e.environment(e.opt.Clock.Now(), testedARN)
	t, err := play(d, r, start{}, env)
	if err != nil {
		return nil, err
	}
	if next, until := e.afterStart(t, in.Mock); next != nil {
		env.now = until
		if t, err = play(d, t.r, next, env); err != nil {
			return nil, err
		}
	}
	return t.tested(), nil
}

// afterStart returns what ends the state under test, and when; nil when it has
// ended.
func (e *Engine) afterStart(t *turn, mock *mocked) (happening, time.Time) {
	switch t.r.Phase {
	case phaseInvoke, phaseDispatch:
		if mock != nil {
			return mock, t.env.now
		}
		h := e.invokeTested(t)
		return h, e.opt.Clock.Now()
	case phaseWait:
		if t.r.WakeAt.Sub(t.env.now) > testLimit {
			return overdue{}, t.env.now
		}
		return tick{}, t.r.WakeAt
	}
	return nil, time.Time{}
}

// invokeTested invokes the function of a Task, for as long as Task and test
// may take.
func (e *Engine) invokeTested(t *turn) happening {
	limit := testLimit
	if !t.r.TimeoutAt.IsZero() {
		limit = min(limit, t.r.TimeoutAt.Sub(t.env.now))
	}
	ctx, cancel := context.WithCancelCause(e.ctx)
	defer cancel(nil)
	timer := e.opt.Clock.At(t.env.now.Add(limit))
	defer timer.Stop()
	go func() {
		select {
		case <-timer.C():
			cancel(errOverdue)
		case <-ctx.Done():
		}
	}()
	payload, err := e.dispatch.invoke(ctx, t.r.Function, t.r.Payload)
	if err != nil && errors.Is(context.Cause(ctx), errOverdue) {
		return overdue{}
	}
	return invoked{t.r.Attempt, payload, err}
}

var errOverdue = errors.New("the state under test takes too long")

// overdue is a state under test that takes too long.
type overdue struct{}

func (overdue) happen(t *turn) error {
	if !t.r.invoking() && t.r.Phase != phaseWait {
		return nil // its own limit was over first
	}
	t.rest()
	t.failed(&failure{name: errorTimeout})
	return nil
}

// tested is what TestState answers.
func (t *turn) tested() object {
	name, cause := optional(""), optional("")
	o := object{"status": "SUCCEEDED"}
	switch {
	case t.r.Status == Failed:
		o["status"], name, cause = "FAILED", t.r.Error, t.r.Cause
	case t.fault != nil:
		o["status"], name, cause = "CAUGHT_ERROR", optional(t.fault.name), optional(t.fault.cause)
		if t.r.Phase == phaseRetry {
			o["status"] = "RETRIABLE"
		}
	}
	if name != nil {
		o["error"] = *name
	}
	if cause != nil {
		o["cause"] = *cause
	}
	if t.next != "" {
		o["nextState"], o["output"] = t.next, string(t.r.StateInput)
	} else if t.r.Status == Succeeded {
		o["output"] = string(t.r.Output)
	}
	return o
}
