package states

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// operations are the actions of AWSStepFunctions this engine answers.
var operations = map[string]func(*Engine, []byte) (any, error){
	"StartExecution":                   operation((*Engine).startExecution),
	"StopExecution":                    operation((*Engine).stopExecution),
	"RedriveExecution":                 operation((*Engine).redriveExecution),
	"DescribeExecution":                operation((*Engine).describeExecution),
	"ListExecutions":                   operation((*Engine).listExecutions),
	"GetExecutionHistory":              operation((*Engine).getExecutionHistory),
	"SendTaskSuccess":                  operation((*Engine).sendTaskSuccess),
	"SendTaskFailure":                  operation((*Engine).sendTaskFailure),
	"SendTaskHeartbeat":                operation((*Engine).sendTaskHeartbeat),
	"DescribeStateMachine":             operation((*Engine).describeStateMachine),
	"DescribeStateMachineForExecution": operation((*Engine).describeStateMachineForExecution),
	"ListStateMachines":                operation((*Engine).listStateMachines),
	"ValidateStateMachineDefinition":   operation((*Engine).validateStateMachineDefinition),
	"TestState":                        operation((*Engine).testState),
}

func operation[In, Out any](run func(*Engine, In) (Out, error)) func(*Engine, []byte) (any, error) {
	return func(e *Engine, body []byte) (any, error) {
		var in In
		if len(body) > 0 {
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, notSerializable(body, err)
			}
		}
		return run(e, in)
	}
}

// invalid is a member that breaks a constraint, in AWS's words.
func invalid(member string, v any, constraint string) *Problem {
	shown := "null"
	if v != nil {
		shown = fmt.Sprintf("'%v'", v)
	}
	return problem("ValidationException", "1 validation error detected: Value %s at '%s' failed to satisfy constraint: %s", shown, member, constraint)
}

// needed refuses a member that is missing, empty or too long.
func needed(member, v string, most int) error {
	switch {
	case v == "":
		return invalid(member, nil, "Member must not be null")
	case longerThan(v, most):
		return tooLong(member, most)
	}
	return nil
}

func tooLong(member string, most int) error {
	return problem("ValidationException",
		"1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", member, most)
}

// checkARN refuses what is not an ARN of a kind (stateMachine, execution).
func checkARN(member, arn, kind string) error {
	if err := needed(member, arn, 256); err != nil {
		return err
	}
	parts := strings.SplitN(arn, ":", 7)
	switch {
	case parts[0] != "arn":
		return problem("InvalidArn", "Invalid Arn: 'Invalid ARN prefix: %s'", arn)
	case len(parts) < 7 || parts[2] != "states":
		return problem("InvalidArn", "Invalid Arn: '%s'", arn)
	case parts[5] != kind:
		return problem("InvalidArn", "Invalid Arn: 'Resource type not valid in this context: %s'", parts[5])
	}
	return nil
}

// machineOf returns the machine with this ARN.
func (e *Engine) machineOf(arn string) (*machine, error) {
	if err := checkARN("stateMachineArn", arn, "stateMachine"); err != nil {
		return nil, err
	}
	m := e.machines[arn]
	if m == nil {
		return nil, problem("StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'", arn)
	}
	return m, nil
}

// executionOf returns the record of the execution with this ARN.
func (e *Engine) executionOf(arn string) (r *record, err error) {
	if err := checkARN("executionArn", arn, "execution"); err != nil {
		return nil, err
	}
	err = e.disk.view(func(x *txn) error {
		r, err = x.record(x.numberOf(arn))
		return err
	})
	if err == nil && r == nil {
		err = noExecution(arn)
	}
	return r, err
}

func noExecution(arn string) *Problem {
	return problem("ExecutionDoesNotExist", "Execution Does Not Exist: '%s'", arn)
}

// validName reports whether an execution may have this name: 1 to 80
// characters, without space, brackets, wildcards, control characters and the
// special ones.
func validName(name string) bool {
	return utf8.ValidString(name) && name != "" && utf8.RuneCountInString(name) <= 80 &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF || r == 0x10FFFF ||
				strings.ContainsRune("<>{}[]?*\"#%\\^|~`$&,;:/", r)
		})
}

type startIn struct {
	StateMachineARN string  `json:"stateMachineArn"`
	Name            *string `json:"name"`
	Input           *string `json:"input"`
}

type startOut struct {
	ExecutionARN string      `json:"executionArn"`
	StartDate    json.Number `json:"startDate"`
}

// startExecution starts an execution. The same name with the same input is the
// same execution while that runs, and ExecutionAlreadyExists for ever after.
func (e *Engine) startExecution(in startIn) (startOut, error) {
	m, err := e.machineOf(in.StateMachineARN)
	if err != nil {
		return startOut{}, err
	}
	fresh, err := e.newRecord(m, in)
	if err != nil {
		return startOut{}, err
	}
	var r *record
	err = e.submit(func(x *txn) error {
		r, err = e.startIn(x, fresh)
		return err
	})
	if err != nil {
		return startOut{}, err
	}
	return startOut{r.ARN, wireTime(r.Started)}, nil
}

func (e *Engine) newRecord(m *machine, in startIn) (record, error) {
	name, input := "", "{}"
	if in.Name == nil {
		name = e.opt.NewID().String()
	} else if name = *in.Name; !validName(name) {
		return record{}, problem("InvalidName", "Invalid Name: '%s'", name)
	}
	if in.Input != nil {
		input = *in.Input
	}
	if len(input) > maxPayload {
		return record{}, tooLong("input", maxPayload)
	}
	if _, err := decode([]byte(input)); err != nil {
		return record{}, problem("InvalidExecutionInput", "Invalid State Machine Execution Input: '%v'", err)
	}
	return record{
		ARN:     strings.Replace(m.ARN, ":stateMachine:", ":execution:", 1) + ":" + name,
		Name:    name,
		Machine: m.ARN, Definition: m.hash, Input: input,
	}, nil
}

// startIn starts fresh in x, or finds the execution that is it.
func (e *Engine) startIn(x *txn, fresh record) (*record, error) {
	if n := x.numberOf(fresh.ARN); n != 0 {
		r, err := x.record(n)
		if err == nil && (r.Status != Running || r.Input != fresh.Input) {
			err = problem("ExecutionAlreadyExists", "Execution Already Exists: '%s'", fresh.ARN)
		}
		return r, err
	}
	n, err := x.in("executions").NextSequence()
	if err != nil {
		return nil, err
	}
	fresh.key = n
	return e.apply(x, &fresh, start{}, "")
}

// onExecution lets h happen to the execution with this ARN.
func (e *Engine) onExecution(arn string, h happening) (r *record, err error) {
	if err := checkARN("executionArn", arn, "execution"); err != nil {
		return nil, err
	}
	err = e.submit(func(x *txn) error {
		n := x.numberOf(arn)
		if n == 0 {
			return noExecution(arn)
		}
		r, err = e.happen(x, n, h)
		return err
	})
	return r, err
}

type stopIn struct {
	ExecutionARN string `json:"executionArn"`
	Error        string `json:"error"`
	Cause        string `json:"cause"`
}

type stopOut struct {
	StopDate json.Number `json:"stopDate"`
}

// The longest error and cause of a call, in characters.
const (
	longestError = 256
	longestCause = 32768
)

func checkError(name, cause string) error {
	switch {
	case longerThan(name, longestError):
		return tooLong("error", longestError)
	case longerThan(cause, longestCause):
		return tooLong("cause", longestCause)
	}
	return nil
}

// stopExecution aborts an execution, whatever it waits for. One that has ended
// stays as it is.
func (e *Engine) stopExecution(in stopIn) (stopOut, error) {
	if err := checkError(in.Error, in.Cause); err != nil {
		return stopOut{}, err
	}
	r, err := e.onExecution(in.ExecutionARN, stop{in.Error, in.Cause})
	if err != nil {
		return stopOut{}, err
	}
	return stopOut{wireTime(r.Stopped)}, nil
}

type redriveIn struct {
	ExecutionARN string  `json:"executionArn"`
	ClientToken  *string `json:"clientToken"`
}

// token returns the client token, which is 1 to 64 printable characters of
// ASCII without space; empty when there is none.
func (in redriveIn) token() (string, error) {
	switch t := in.ClientToken; {
	case t == nil:
		return "", nil
	case *t == "":
		return "", invalid("clientToken", "", "Member must have length greater than or equal to 1")
	case longerThan(*t, 64):
		return "", tooLong("clientToken", 64)
	case strings.ContainsFunc(*t, func(r rune) bool { return r < '!' || r > '~' }):
		return "", invalid("clientToken", *t, "Member must satisfy regular expression pattern: [!-~]+")
	default:
		return *t, nil
	}
}

type redriveOut struct {
	RedriveDate json.Number `json:"redriveDate"`
}

// redriveExecution runs an execution on from the state that failed. The same
// client token redrives once: see redrive.
func (e *Engine) redriveExecution(in redriveIn) (redriveOut, error) {
	token, err := in.token()
	if err != nil {
		return redriveOut{}, err
	}
	r, err := e.onExecution(in.ExecutionARN, redrive{token})
	if err != nil {
		return redriveOut{}, err
	}
	if at, known := r.redrivenBy(token, e.opt.Clock.Now()); known {
		return redriveOut{wireTime(at)}, nil
	}
	return redriveOut{wireTime(r.Redriven)}, nil
}

type answerIn struct {
	TaskToken string  `json:"taskToken"`
	Output    *string `json:"output"`
	Error     string  `json:"error"`
	Cause     string  `json:"cause"`
}

// answer lets what h returns happen to the wait that the token names.
func (e *Engine) answer(in answerIn, h func(attempt int64) happening) (struct{}, error) {
	if err := needed("taskToken", in.TaskToken, 2048); err != nil {
		return struct{}{}, err
	}
	n, attempt, err := e.readToken(in.TaskToken)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, e.submit(func(x *txn) error {
		_, err := e.happen(x, n, h(attempt))
		return err
	})
}

// sendTaskSuccess ends a wait with a result. A wait ends once: a second answer
// is TaskTimedOut, as is one to a wait that timed out or was stopped.
func (e *Engine) sendTaskSuccess(in answerIn) (struct{}, error) {
	if in.Output == nil {
		return struct{}{}, invalid("output", nil, "Member must not be null")
	}
	if len(*in.Output) > maxPayload {
		return struct{}{}, tooLong("output", maxPayload)
	}
	return e.answer(in, func(attempt int64) happening { return successSent{attempt, []byte(*in.Output)} })
}

func (e *Engine) sendTaskFailure(in answerIn) (struct{}, error) {
	if err := checkError(in.Error, in.Cause); err != nil {
		return struct{}{}, err
	}
	return e.answer(in, func(attempt int64) happening { return failureSent{attempt, in.Error, in.Cause} })
}

func (e *Engine) sendTaskHeartbeat(in answerIn) (struct{}, error) {
	return e.answer(in, func(attempt int64) happening { return heartbeatSent{attempt} })
}

// Stats counts what an execution has cost. On AWS a transition is what is
// charged: each state entered, each retry, each redrive.
type Stats struct {
	Status      string
	State       string // it is in, or ended in
	Transitions int64
	Retries     int64
	Redrives    int
	Events      int64 // in its history; 25,000 is the most
}

// Stats returns the counts of an execution; a *Problem ExecutionDoesNotExist
// or InvalidArn when there is none.
func (e *Engine) Stats(executionARN string) (Stats, error) {
	r, err := e.executionOf(executionARN)
	if err != nil {
		return Stats{}, err
	}
	return Stats{r.Status, r.State, r.Transitions, r.RetryTotal, r.Redrives, r.Events}, nil
}

// An included is the member includedData of the calls that describe.
type included struct {
	IncludedData string `json:"includedData"`
}

// metadataOnly reports whether what may be encrypted is to be left out.
func (in included) metadataOnly() bool { return in.IncludedData == "METADATA_ONLY" }

func (in included) check() error {
	return oneOf("includedData", in.IncludedData, "ALL_DATA", "METADATA_ONLY")
}

type executionIn struct {
	included
	ExecutionARN string `json:"executionArn"`
}

func (e *Engine) describeExecution(in executionIn) (object, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	r, err := e.executionOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	o := r.item()
	if !in.metadataOnly() {
		r.showData(o)
	}
	o["redriveStatus"] = "REDRIVABLE"
	if why := r.notRedrivable(e.opt.Clock.Now()); why != "" {
		o["redriveStatus"], o["redriveStatusReason"] = "NOT_REDRIVABLE", why
	}
	return o, nil
}

// showData adds what a state machine may keep encrypted to a description.
func (r *record) showData(o object) {
	o["input"], o["inputDetails"] = r.Input, Included{true}
	if r.Output != nil {
		o["output"], o["outputDetails"] = string(r.Output), Included{true}
	}
	if r.Error != nil {
		o["error"] = *r.Error
	}
	if r.Cause != nil {
		o["cause"] = *r.Cause
	}
}

// item is what lists and descriptions of an execution have in common.
func (r *record) item() object {
	o := object{
		"executionArn": r.ARN, "stateMachineArn": r.Machine, "name": r.Name, "status": r.Status,
		"startDate": wireTime(r.Started), "redriveCount": r.Redrives,
	}
	if !r.Stopped.IsZero() {
		o["stopDate"] = wireTime(r.Stopped)
	}
	if r.Redrives > 0 {
		o["redriveDate"] = wireTime(r.Redriven)
	}
	return o
}

type machineIn struct {
	included
	StateMachineARN string `json:"stateMachineArn"`
}

func (e *Engine) describeStateMachine(in machineIn) (object, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	m, err := e.machineOf(in.StateMachineARN)
	if err != nil {
		return nil, err
	}
	o := m.description(m.Definition, in.included)
	o["status"], o["type"], o["creationDate"] = "ACTIVE", "STANDARD", wireTime(m.about.Created)
	return o, nil
}

func (m *machine) description(definition []byte, in included) object {
	if in.metadataOnly() {
		definition = []byte("{}")
	}
	o := object{
		"stateMachineArn": m.ARN, "name": m.Name, "definition": string(definition), "roleArn": roleOf(m.ARN),
		"loggingConfiguration": object{"includeExecutionData": false, "level": "OFF"},
		"tracingConfiguration": object{"enabled": false},
	}
	if m.about.Revision != "" {
		o["revisionId"] = m.about.Revision
	}
	return o
}

// describeStateMachineForExecution shows the definition an execution runs,
// which may be an older one than that of its machine.
func (e *Engine) describeStateMachineForExecution(in executionIn) (object, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	r, err := e.executionOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	m := e.machines[r.Machine]
	if m == nil {
		m = &machine{Machine: Machine{ARN: r.Machine, Name: r.Machine[strings.LastIndex(r.Machine, ":")+1:]}}
	}
	var definition []byte
	err = e.disk.view(func(x *txn) error {
		definition = slices.Clone(x.in("definitions").Get([]byte(r.Definition)))
		return nil
	})
	o := m.description(definition, in.included)
	o["updateDate"] = wireTime(m.about.Updated)
	return o, err
}

type pageIn struct {
	MaxResults int    `json:"maxResults"`
	NextToken  string `json:"nextToken"`
}

// size returns how many results a page has.
func (p pageIn) size() (int, error) {
	switch {
	case p.MaxResults < 0:
		return 0, invalid("maxResults", p.MaxResults, "Member must have value greater than or equal to 0")
	case p.MaxResults > 1000:
		return 0, invalid("maxResults", p.MaxResults, "Member must have value less than or equal to 1000")
	case p.MaxResults == 0:
		return 100, nil
	}
	return p.MaxResults, nil
}

// after returns the key the page begins after, given the prefix it must have;
// nil for the first page.
func (p pageIn) after(prefix []byte) ([]byte, error) {
	if p.NextToken == "" {
		return nil, nil
	}
	key, err := base64.RawURLEncoding.DecodeString(p.NextToken)
	if err != nil || !strings.HasPrefix(string(key), string(prefix)) {
		return nil, errInvalidToken()
	}
	return key, nil
}

func pageToken(key []byte) string { return base64.RawURLEncoding.EncodeToString(key) }

func (e *Engine) listStateMachines(in pageIn) (object, error) {
	size, err := in.size()
	if err != nil {
		return nil, err
	}
	after, err := in.after(nil)
	if err != nil {
		return nil, err
	}
	items, out := []any{}, object{}
	for _, arn := range slices.Sorted(maps.Keys(e.machines)) {
		switch m := e.machines[arn]; {
		case arn <= string(after):
		case len(items) == size:
			last := items[size-1].(object)["stateMachineArn"].(string)
			out["nextToken"] = pageToken([]byte(last))
		default:
			items = append(items, object{
				"stateMachineArn": arn, "name": m.Name, "type": "STANDARD", "creationDate": wireTime(m.about.Created),
			})
		}
	}
	out["stateMachines"] = items
	return out, nil
}

type listIn struct {
	pageIn
	StateMachineARN string `json:"stateMachineArn"`
	MapRunARN       string `json:"mapRunArn"`
	StatusFilter    string `json:"statusFilter"`
	RedriveFilter   string `json:"redriveFilter"`
}

// check refuses what only a Map Run has, its ARN, its filter and its status:
// AWS answers each of them with a validation exception when the list is that
// of a state machine, and this interpreter has no Map Runs.
func (in listIn) check() error {
	if err := cmp.Or(
		oneOf("statusFilter", in.StatusFilter, Succeeded, TimedOut, "PENDING_REDRIVE", Aborted, Failed, Running),
		oneOf("redriveFilter", in.RedriveFilter, "REDRIVEN", "NOT_REDRIVEN"),
	); err != nil {
		return err
	}
	switch {
	case in.MapRunARN != "" && in.StateMachineARN != "":
		return problem("ValidationException", "Only one of stateMachineArn and mapRunArn can be specified")
	case in.MapRunARN != "":
		return problem("ValidationException", "There are no Map Runs here: specify stateMachineArn instead of mapRunArn")
	case in.StatusFilter == "PENDING_REDRIVE":
		return problem("ValidationException", "statusFilter PENDING_REDRIVE needs mapRunArn; it cannot be used with stateMachineArn")
	case in.RedriveFilter != "":
		return problem("ValidationException", "redriveFilter needs mapRunArn; it cannot be used with stateMachineArn")
	}
	return nil
}

// listExecutions lists the executions of a machine, newest first.
func (e *Engine) listExecutions(in listIn) (object, error) {
	size, err := in.size()
	if err == nil {
		err = in.check()
	}
	if err != nil {
		return nil, err
	}
	m, err := e.machineOf(in.StateMachineARN)
	if err != nil {
		return nil, err
	}
	prefix := listPrefix(m.ARN, in.StatusFilter)
	after, err := in.after(prefix)
	if err != nil {
		return nil, err
	}
	out := object{}
	return out, e.disk.view(func(x *txn) error {
		items, next, err := x.list(prefix, after, size)
		out["executions"] = items
		if next != nil {
			out["nextToken"] = pageToken(next)
		}
		return err
	})
}

type historyIn struct {
	pageIn
	ExecutionARN         string `json:"executionArn"`
	ReverseOrder         bool   `json:"reverseOrder"`
	IncludeExecutionData *bool  `json:"includeExecutionData"`
}

func (e *Engine) getExecutionHistory(in historyIn) (object, error) {
	size, err := in.size()
	if err != nil {
		return nil, err
	}
	r, err := e.executionOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	prefix := numbered(r.key)
	after, err := in.after(prefix)
	if err != nil {
		return nil, err
	}
	out := object{}
	return out, e.disk.view(func(x *txn) error {
		events, next := x.events(prefix, after, size, in.ReverseOrder)
		if in.IncludeExecutionData != nil && !*in.IncludeExecutionData {
			withoutData(events)
		}
		out["events"] = events
		if next != nil {
			out["nextToken"] = pageToken(next)
		}
		return nil
	})
}

// withoutData takes input, output and parameters out of events.
func withoutData(events []json.RawMessage) {
	for i, raw := range events {
		v, _ := decode(raw)
		event, _ := v.(object)
		for _, details := range event {
			if d, ok := details.(object); ok {
				delete(d, "input")
				delete(d, "output")
				delete(d, "parameters")
			}
		}
		events[i] = encode(event)
	}
}
