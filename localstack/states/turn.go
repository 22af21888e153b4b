package states

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// An environment is everything a turn takes from outside, so that a turn is a
// function of its arguments.
type environment struct {
	now    time.Time
	random func() float64
	uuid   func() string
	token  func(execution uint64, attempt int64) string
	role   string
}

// A happening is what moves an execution: its start, time, the end of an
// invocation, an answer, a stop, a redrive. It changes t.r and t only, or
// returns a *Problem and has changed nothing.
type happening interface{ happen(t *turn) error }

// A turn is one happening being applied to one execution: the record before,
// then after, and what is to be done about it.
type turn struct {
	d   *definition
	r   record
	env environment

	history  []entry
	dispatch bool // invoke r.Function with r.Payload
	changed  bool // the status has changed

	fault *failure // the last error of a state
	next  string   // where a state that is alone leads
}

// play applies h to r and runs the machine until it waits or ends. What was due
// by then comes first: an answer after the deadline is too late, even when
// nobody has looked at the clock yet. r is not changed.
func play(d *definition, r record, h happening, env environment) (*turn, error) {
	r.Retries = append([]int(nil), r.Retries...)
	t := &turn{d: d, r: r, env: env}
	for due(t.r.next(), env.now) {
		t.elapse()
	}
	if err := h.happen(t); err != nil {
		return nil, err
	}
	return t, nil
}

// due reports whether a time that is set has come.
func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

// start begins a new execution.
type start struct{}

func (start) happen(t *turn) error {
	t.changed = true
	t.r.Status = Running
	t.r.Started = t.env.now
	t.limit()
	t.log("ExecutionStarted", "executionStarted", object{
		"input": t.r.Input, "inputDetails": whollyThere, "roleArn": t.env.role,
	})
	t.enter(t.d.startAt, json.RawMessage(t.r.Input))
	return nil
}

// limit sets the deadline of the whole execution.
func (t *turn) limit() {
	t.r.Deadline = time.Time{}
	if t.d.timeout > 0 {
		t.r.Deadline = t.env.now.Add(seconds(t.d.timeout))
	}
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// enter goes into a state and on from there.
func (t *turn) enter(name string, input json.RawMessage) {
	s := t.d.states[name]
	t.rest()
	if t.d.alone && t.r.State != "" {
		t.next, t.r.StateInput = name, input
		return
	}
	t.r.State, t.r.StateInput = name, input
	t.r.Entered = t.env.now
	t.r.RetryCount, t.r.Retries = 0, make([]int, len(s.retry))
	t.r.Transitions++
	if !t.log(s.kind+"StateEntered", "stateEntered", object{
		"name": name, "input": string(input), "inputDetails": whollyThere,
	}) {
		return
	}
	t.r.EnteredEvent = t.r.Events
	t.run()
}

// rest clears what the execution was waiting for.
func (t *turn) rest() {
	t.r.Phase, t.r.Function, t.r.Payload, t.r.Heartbeat = phaseNone, "", nil, 0
	t.r.WakeAt, t.r.TimeoutAt, t.r.SilentAt = time.Time{}, time.Time{}, time.Time{}
	t.dispatch = false
}

// run does what the current state does on entry.
func (t *turn) run() {
	s := t.state()
	input, f := t.take(s.input)
	if f == nil {
		switch s.kind {
		case kindTask:
			f = t.schedule(s, input)
		case kindPass:
			f = t.pass(s, input)
		case kindChoice:
			f = t.choose(s, input)
		case kindWait:
			f = t.wait(s, input)
		case kindSucceed:
			f = t.leave(s, input)
		case kindFail:
			f = t.failState(s, input)
		}
	}
	if f != nil {
		t.failed(f)
	}
}

func (t *turn) state() *state { return t.d.states[t.r.State] }

// raw returns the input of the state as it came.
func (t *turn) raw() value {
	v, err := decode(t.r.StateInput)
	if err != nil {
		panic(fmt.Sprintf("input of state %s: %v", t.r.State, err)) // checked when it was taken in
	}
	return v
}

// take applies InputPath.
func (t *turn) take(sel selection) (value, *failure) {
	return t.pick(sel, t.raw(), "InputPath")
}

// pick applies InputPath or OutputPath to doc.
func (t *turn) pick(sel selection, doc value, field string) (value, *failure) {
	if sel.null {
		return object{}, nil
	}
	v, err := t.scope(doc).read(sel.path)
	if err != nil {
		return nil, runtimeFailure("Invalid path '%s' in %s: it could not be found in '%s'", sel.path.text, field, encode(doc))
	}
	return v, nil
}

func (t *turn) scope(input value) scope {
	return scope{input: input, context: t.context, uuid: t.env.uuid}
}

// context returns the context object.
func (t *turn) context() value {
	input, _ := decode([]byte(t.r.Input)) // checked when it was taken in
	execution := object{
		"Id": t.r.ARN, "Name": t.r.Name, "Input": input, "RoleArn": t.env.role,
		"StartTime": formatTime(t.r.Started), "RedriveCount": number(int64(t.r.Redrives)),
	}
	if t.r.Redrives > 0 {
		execution["RedriveTime"] = formatTime(t.r.Redriven)
	}
	c := object{
		"Execution": execution,
		"State": object{
			"Name": t.r.State, "EnteredTime": formatTime(t.r.Entered), "RetryCount": number(int64(t.r.RetryCount)),
		},
		"StateMachine": object{"Id": t.r.Machine, "Name": t.r.Machine[strings.LastIndex(t.r.Machine, ":")+1:]},
	}
	if t.state().callback {
		c["Task"] = object{"Token": t.env.token(t.r.key, t.r.Attempt)}
	}
	return c
}

// leave applies OutputPath, and goes on to the next state or to the end.
func (t *turn) leave(s *state, result value) *failure {
	out, f := t.pick(s.output, result, "OutputPath")
	if f != nil {
		return f
	}
	raw := encode(out)
	if len(raw) > maxPayload {
		return tooLarge(s.kind)
	}
	t.goOn(s, s.next, raw)
	return nil
}

// goOn writes that the state is left and enters the next one, if any.
func (t *turn) goOn(s *state, next string, raw json.RawMessage) {
	if !t.log(s.kind+"StateExited", "stateExited", object{
		"name": s.name, "output": string(raw), "outputDetails": whollyThere,
	}) {
		return
	}
	if next != "" {
		t.enter(next, raw)
		return
	}
	t.r.Output = raw
	t.end(Succeeded, "ExecutionSucceeded", "executionSucceeded", object{"output": string(raw), "outputDetails": whollyThere})
}

// end ends the execution.
func (t *turn) end(status, kind, details string, d object) {
	t.rest()
	t.r.Deadline = time.Time{}
	t.r.Status, t.r.Stopped, t.changed = status, t.env.now, true
	t.append(kind, details, d)
}

// endWith ends the execution with an error; empty texts are left out.
func (t *turn) endWith(status, kind, details, name, cause string) {
	t.r.Error, t.r.Cause = optional(name), optional(cause)
	t.end(status, kind, details, errorDetails(name, cause))
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// tooLarge is the error of a result over the limit, in AWS's words.
func tooLarge(of string) *failure {
	return &failure{errorDataLimit, fmt.Sprintf(
		"The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit.", of)}
}

// merge puts a result where ResultPath says in the input of the state.
func (t *turn) merge(sel selection, result value) (value, *failure) {
	if sel.null {
		return t.raw(), nil
	}
	v, err := sel.path.write(t.raw(), result)
	if err != nil {
		return nil, &failure{errorResultPath, fmt.Sprintf("Unable to apply ReferencePath %s to input '%s': %v", sel.path.text, t.r.StateInput, err)}
	}
	return v, nil
}

func (t *turn) pass(s *state, input value) *failure {
	result := input
	if s.parameters != nil {
		v, err := s.parameters.fill(t.scope(input))
		if err != nil {
			return runtimeFailure("%v", err)
		}
		result = v
	}
	if s.hasFixed {
		result = s.fixed
	}
	merged, f := t.merge(s.result, result)
	if f != nil {
		return f
	}
	return t.leave(s, merged)
}

func (t *turn) choose(s *state, input value) *failure {
	next := s.otherwise
	for _, r := range s.rules {
		ok, err := r.holds(t.scope(input))
		if err != nil {
			return runtimeFailure("%v", err)
		}
		if ok {
			next = r.next
			break
		}
	}
	if next == "" {
		return &failure{errorNoChoice, t.inState("Failed to transition out of the state. The state does not point to a next state.")}
	}
	out, f := t.pick(s.output, input, "OutputPath")
	if f != nil {
		return f
	}
	t.goOn(s, next, encode(out))
	return nil
}

// wait sets when a Wait state is over; a time that has passed is over at once.
func (t *turn) wait(s *state, input value) *failure {
	until := t.env.now
	switch {
	case s.until != nil:
		until = *s.until
	case s.at != nil:
		v, err := t.scope(input).read(*s.at)
		when, ok := timestamp(v)
		if err != nil || !ok {
			return runtimeFailure("The TimestampPath parameter does not reference a valid timestamp: %s == %s", s.at.text, encode(v))
		}
		until = when
	default:
		n, f := t.secondsOf(s.wait, input, "SecondsPath", 0)
		if f != nil {
			return f
		}
		until = until.Add(seconds(n))
	}
	t.r.Phase, t.r.WakeAt = phaseWait, until.UTC()
	if !until.After(t.env.now) {
		t.wake()
	}
	return nil
}

// secondsOf returns a duration, looking it up in the input when it is a path.
func (t *turn) secondsOf(d *duration, input value, field string, least int64) (int64, *failure) {
	if d.path == nil {
		return d.seconds, nil
	}
	v, err := t.scope(input).read(*d.path)
	n, ok := whole(v)
	if err != nil || !ok || n < least || n > longestSeconds {
		return 0, runtimeFailure("The %s parameter does not reference a whole number from %d to %d: %s == %s",
			field, least, longestSeconds, d.path.text, encode(v))
	}
	return n, nil
}

func (t *turn) failState(s *state, input value) *failure {
	name, f := t.textOf(s.failure, input)
	if f != nil {
		return f
	}
	cause, f := t.textOf(s.cause, input)
	if f != nil {
		return f
	}
	t.endWith(Failed, "ExecutionFailed", "executionFailed", name, cause)
	return nil
}

func (t *turn) textOf(x *expression, input value) (string, *failure) {
	if x == nil {
		return "", nil
	}
	v, err := x.eval(t.scope(input))
	if err != nil {
		return "", runtimeFailure("%v", err)
	}
	s, ok := v.(string)
	if !ok {
		return "", runtimeFailure("'%s' is not a string: %s", x.text, encode(v))
	}
	return s, nil
}

// inState begins a cause as AWS does.
func (t *turn) inState(cause string) string {
	return fmt.Sprintf("An error occurred while executing the state '%s' (entered at the event id #%d). %s", t.r.State, t.r.EnteredEvent, cause)
}

// failed handles an error of the current state: retry, catch, or the end.
func (t *turn) failed(f *failure) {
	s := t.state()
	if f.name == errorRuntime {
		f = &failure{f.name, t.inState(f.cause)}
	}
	t.fault = f
	if s.kind == kindTask && (t.retry(s, f) || t.catch(s, f)) {
		return
	}
	t.endWith(Failed, "ExecutionFailed", "executionFailed", f.name, f.cause)
}

// retry waits for another attempt when the first retrier that matches has one left.
func (t *turn) retry(s *state, f *failure) bool {
	for i, r := range s.retry {
		if !matches(r.errors, f.name) {
			continue
		}
		if t.r.Retries[i] >= r.attempts {
			return false
		}
		t.r.Retries[i]++
		delay := r.delay(t.r.Retries[i], t.env.random)
		t.rest()
		t.r.Phase, t.r.WakeAt = phaseRetry, t.env.now.Add(delay)
		return true
	}
	return false
}

// catch goes where the first catcher that matches says.
func (t *turn) catch(s *state, f *failure) bool {
	for _, c := range s.catch {
		if !matches(c.errors, f.name) {
			continue
		}
		merged, wrong := t.merge(c.result, f.output())
		if wrong != nil {
			t.endWith(Failed, "ExecutionFailed", "executionFailed", wrong.name, wrong.cause)
			return true
		}
		t.goOn(s, c.next, encode(merged))
		return true
	}
	return false
}

// tick is the passing of time, and nothing else.
type tick struct{}

func (tick) happen(*turn) error { return nil }

// elapse does what is due next, the execution's own limit first.
func (t *turn) elapse() {
	switch next := t.r.next(); {
	case next.Equal(t.r.Deadline):
		t.endWith(TimedOut, "ExecutionTimedOut", "executionTimedOut", errorTimeout, "")
	case next.Equal(t.r.WakeAt):
		t.wake()
	case next.Equal(t.r.TimeoutAt):
		t.timedOut(errorTimeout)
	default:
		t.timedOut(errorHeartbeat)
	}
}

// wake ends a Wait state, or begins the next attempt.
func (t *turn) wake() {
	s := t.state()
	if t.r.Phase == phaseWait {
		t.rest()
		input, f := t.take(s.input)
		if f == nil {
			f = t.leave(s, input)
		}
		if f != nil {
			t.failed(f)
		}
		return
	}
	t.r.RetryCount++
	t.r.RetryTotal++
	t.r.Transitions++
	t.rest()
	t.run()
}

// stop ends the execution from outside; ended executions stay as they are.
type stop struct{ name, cause string }

func (s stop) happen(t *turn) error {
	if t.r.Status == Running {
		t.endWith(Aborted, "ExecutionAborted", "executionAborted", s.name, s.cause)
	}
	return nil
}

// giveUp ends an execution whose definition this interpreter no longer takes.
func giveUp(r record, env environment, why error) *turn {
	t := &turn{r: r, env: env}
	if t.r.Status == Running {
		t.endWith(Failed, "ExecutionFailed", "executionFailed", errorRuntime, why.Error())
	}
	return t
}

// redrivable is how long after its end an execution can be redriven.
const redrivable = 14 * 24 * time.Hour

// notRedrivable says why not, in AWS's words; empty when it can be.
func (r *record) notRedrivable(now time.Time) string {
	switch {
	case r.Status == Running, r.Status == Succeeded:
		return fmt.Sprintf("Execution is %s and cannot be redriven", r.Status)
	case r.Events >= maxEvents-1:
		return "Execution history event limit exceeded"
	case now.Sub(r.Stopped) > redrivable:
		return "Execution redrivable period exceeded"
	}
	return ""
}

// redrive runs the state that failed again, with the same input; nothing
// happens when the token has done so already.
type redrive struct{ token string }

func (d redrive) happen(t *turn) error {
	if _, done := t.r.redrivenBy(d.token, t.env.now); done {
		return nil
	}
	if why := t.r.notRedrivable(t.env.now); why != "" {
		return problem("ExecutionNotRedrivable", "%s", why)
	}
	t.changed = true
	t.r.Status, t.r.Stopped, t.r.Error, t.r.Cause = Running, time.Time{}, nil, nil
	t.r.Redrives, t.r.Redriven = t.r.Redrives+1, t.env.now
	t.r.remember(d.token)
	t.limit()
	t.log("ExecutionRedriven", "executionRedriven", object{"redriveCount": t.r.Redrives})
	t.r.RetryCount, t.r.Retries = 0, make([]int, len(t.state().retry))
	t.r.Transitions++
	t.run()
	return nil
}
