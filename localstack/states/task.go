package states

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// schedule begins an attempt of a task: its limits run, its Lambda is invoked.
func (t *turn) schedule(s *state, input value) *failure {
	t.r.Attempt++
	v, err := s.parameters.fill(t.scope(input))
	if err != nil {
		return runtimeFailure("%v", err)
	}
	parameters := encode(v)
	if len(parameters) > maxPayload {
		return &failure{errorDataLimit, fmt.Sprintf("The state/task '%s' was given an input with a size exceeding the maximum number of bytes service limit.", s.name)}
	}
	request, _ := v.(object)
	name, ok := request["FunctionName"].(string)
	if !ok || name == "" {
		return runtimeFailure("The value for the field 'FunctionName' must be a STRING that is not empty")
	}
	details := object{"parameters": string(parameters), "region": region(t.r.Machine)}
	if f := t.startLimits(s, input, details); f != nil {
		return f
	}
	if !t.log("TaskScheduled", "taskScheduled", t.ofTask(details)) || !t.log("TaskStarted", "taskStarted", t.ofTask(object{})) {
		return nil
	}
	t.r.Phase, t.r.Function, t.dispatch = phaseInvoke, name, true
	if s.callback {
		t.r.Phase = phaseDispatch
	}
	t.r.Payload = json.RawMessage("{}")
	if payload, given := request["Payload"]; given {
		t.r.Payload = encode(payload)
	}
	return nil
}

// startLimits starts the clocks of an attempt and names them in its event.
func (t *turn) startLimits(s *state, input value, details object) *failure {
	if s.timeout != nil {
		n, f := t.secondsOf(s.timeout, input, "TimeoutSecondsPath", 1)
		if f != nil {
			return f
		}
		details["timeoutInSeconds"] = n
		t.r.TimeoutAt = t.env.now.Add(seconds(n))
	}
	if s.heartbeat != nil {
		n, f := t.secondsOf(s.heartbeat, input, "HeartbeatSecondsPath", 1)
		if f != nil {
			return f
		}
		details["heartbeatInSeconds"] = n
		t.r.Heartbeat, t.r.SilentAt = n, t.env.now.Add(seconds(n))
	}
	return nil
}

// region returns the region an ARN names.
func region(arn string) string {
	parts := strings.Split(arn, ":")
	if len(parts) < 4 {
		return ""
	}
	return parts[3]
}

// ofTask adds which integration an event is about.
func (t *turn) ofTask(d object) object {
	d["resourceType"], d["resource"] = "lambda", "invoke"
	if t.state().callback {
		d["resource"] = "invoke.waitForTaskToken"
	}
	return d
}

// invoked is the end of the Lambda invocation of an attempt. One that comes
// when its attempt is over (answered, timed out, stopped) changes nothing.
type invoked struct {
	attempt int64
	payload []byte
	err     error
}

func (i invoked) happen(t *turn) error {
	if !t.r.invoking() || t.r.Attempt != i.attempt {
		return nil
	}
	if i.err != nil {
		t.taskFailed(invocationFailure(i.err))
		return nil
	}
	result := invocationResult(i.payload)
	raw := encode(result)
	if len(raw) > maxPayload {
		t.taskFailed(tooLarge("lambda"))
		return nil
	}
	if t.r.Phase == phaseInvoke {
		t.taskSucceeded(result, raw)
		return nil
	}
	t.r.Phase, t.r.Function, t.r.Payload = phaseCallback, "", nil
	t.log("TaskSubmitted", "taskSubmitted", t.ofTask(object{"output": string(raw), "outputDetails": whollyThere}))
	return nil
}

// invocationResult is what lambda:invoke gives: AWS adds HTTP headers, which
// nobody should build upon.
func invocationResult(payload []byte) object {
	made := object{"ExecutedVersion": "$LATEST", "StatusCode": json.Number("200"), "Payload": nil}
	if len(payload) > 0 {
		v, err := decode(payload)
		if err != nil {
			v = string(payload)
		}
		made["Payload"] = v
	}
	return made
}

// invocationFailure names the error of an invocation as AWS does: the error
// type of the function; Lambda.Unknown when it died without one; the error of
// the service; Lambda.SdkClientException for anything else.
func invocationFailure(err error) *failure {
	var function *FunctionError
	var service *ServiceError
	switch {
	case errors.As(err, &function) && function.Type != "":
		return &failure{function.Type, function.cause()}
	case errors.As(err, &function):
		return &failure{"Lambda.Unknown", "The cause could not be determined because Lambda did not return an error type. Returned payload: " + function.cause()}
	case errors.As(err, &service):
		return &failure{"Lambda." + strings.TrimPrefix(service.Code, "Lambda."), service.Message}
	}
	return &failure{"Lambda.SdkClientException", err.Error()}
}

// taskSucceeded takes the result of a task through ResultSelector, ResultPath
// and OutputPath.
func (t *turn) taskSucceeded(result value, raw json.RawMessage) {
	s := t.state()
	if !t.log("TaskSucceeded", "taskSucceeded", t.ofTask(object{"output": string(raw), "outputDetails": whollyThere})) {
		return
	}
	t.rest()
	if f := t.conclude(s, result); f != nil {
		t.failed(f)
	}
}

func (t *turn) conclude(s *state, result value) *failure {
	if s.selector != nil {
		v, err := s.selector.fill(t.scope(result))
		if err != nil {
			return runtimeFailure("%v", err)
		}
		result = v
	}
	merged, f := t.merge(s.result, result)
	if f != nil {
		return f
	}
	return t.leave(s, merged)
}

// taskFailed ends an attempt with an error.
func (t *turn) taskFailed(f *failure) {
	if !t.log("TaskFailed", "taskFailed", t.ofTask(errorDetails(f.name, f.cause))) {
		return
	}
	t.rest()
	t.failed(f)
}

// timedOut ends an attempt that took too long or was silent too long.
func (t *turn) timedOut(name string) {
	if !t.log("TaskTimedOut", "taskTimedOut", t.ofTask(errorDetails(name, ""))) {
		return
	}
	t.rest()
	t.failed(&failure{name: name})
}

// answerable refuses an answer to a wait that is over.
func (t *turn) answerable(attempt int64) error {
	if !t.r.waiting() || t.r.Attempt != attempt {
		return problem("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
	}
	return nil
}

// successSent answers a wait with its result.
type successSent struct {
	attempt int64
	output  []byte
}

func (a successSent) happen(t *turn) error {
	if err := t.answerable(a.attempt); err != nil {
		return err
	}
	result, err := decode(a.output)
	if err != nil {
		return problem("InvalidOutput", "Invalid Output: '%v'", err)
	}
	t.taskSucceeded(result, a.output)
	return nil
}

// failureSent answers a wait with an error.
type failureSent struct {
	attempt     int64
	name, cause string
}

func (a failureSent) happen(t *turn) error {
	if err := t.answerable(a.attempt); err != nil {
		return err
	}
	if a.name == "" {
		a.name = errorTaskFailed
	}
	t.taskFailed(&failure{a.name, a.cause})
	return nil
}

// heartbeatSent is a sign of life.
type heartbeatSent struct{ attempt int64 }

func (a heartbeatSent) happen(t *turn) error {
	if err := t.answerable(a.attempt); err != nil {
		return err
	}
	if t.r.Heartbeat > 0 {
		t.r.SilentAt = t.env.now.Add(seconds(t.r.Heartbeat))
	}
	return nil
}

// FunctionError is the error of Invoke when the function ran and failed.
type FunctionError struct {
	Type    string // errorType; empty when the function died without one
	Message string // errorMessage
	Payload []byte // what the function returned, {"errorType": ..., "errorMessage": ...}; made when nil
}

// Error returns type and message.
func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

func (e *FunctionError) cause() string {
	if e.Payload != nil {
		return string(e.Payload)
	}
	o := object{"errorMessage": e.Message}
	if e.Type != "" {
		o["errorType"] = e.Type
	}
	return string(encode(o))
}

// ServiceError is the error of Invoke when Lambda refused, such as
// ResourceNotFoundException or TooManyRequestsException.
type ServiceError struct{ Code, Message string }

// Error returns code and message.
func (e *ServiceError) Error() string { return e.Code + ": " + e.Message }
