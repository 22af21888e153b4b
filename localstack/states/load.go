package states

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Refusal is one thing in a definition that this interpreter does not do.
// Loading a definition returns all of them joined.
type Refusal struct {
	File  string // file or name of the definition
	State string // empty for the top level
	Field string // as in Parameters.Payload.token.$
	Why   string
	Code  string // as ValidateStateMachineDefinition names its kind
}

// Error reads like "build.asl.json: state AwaitReport: HeartbeatSecond: unknown field".
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString(r.File)
	if r.State != "" {
		fmt.Fprintf(&b, ": state %s", r.State)
	}
	if r.Field != "" {
		fmt.Fprintf(&b, ": %s", r.Field)
	}
	fmt.Fprintf(&b, ": %s", r.Why)
	return b.String()
}

// Check reads a definition as Open does and returns every Refusal, joined, or nil.
func Check(file string, definition []byte) error {
	_, err := load(file, definition)
	return err
}

// load reads a definition. The error joins one *Refusal for each fault.
func load(file string, raw []byte) (*definition, error) {
	l := &loader{file: file}
	top, err := l.object(raw)
	if err != nil {
		return nil, err
	}
	d := l.definition(&node{l: l, o: top, read: map[string]bool{}})
	if err := l.refused(); err != nil {
		return nil, err
	}
	return d, nil
}

// loadState reads one state by itself; where it leads is not looked at.
func loadState(name string, raw []byte) (*state, error) {
	l := &loader{file: name}
	o, err := l.object(raw)
	if err != nil {
		return nil, err
	}
	s := l.state(&node{l: l, o: o, read: map[string]bool{}})
	s.name = name
	return s, l.refused()
}

// object reads raw, which must be one JSON object without a key that is there twice.
func (l *loader) object(raw []byte) (object, error) {
	v, err := decodeStrict(raw)
	top, isObject := v.(object)
	code := codeJSON
	switch twice := duplicate(""); {
	case len(bytes.TrimSpace(raw)) == 0:
		code = codeNothing
	case errors.As(err, &twice) && twice.ofState():
		code = codeTwice
	case err == nil && !isObject:
		code, err = codeSchema, errors.New("a definition is a JSON object")
	}
	if err != nil {
		return nil, &Refusal{File: l.file, Why: err.Error(), Code: code}
	}
	return top, nil
}

// refused joins the refusals, in order; nil when there are none.
func (l *loader) refused() error {
	if len(l.refusals) == 0 {
		return nil
	}
	slices.SortFunc(l.refusals, func(a, b *Refusal) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.Field, b.Field))
	})
	all := make([]error, len(l.refusals))
	for i, r := range l.refusals {
		all[i] = r
	}
	return errors.Join(all...)
}

// A loader collects what is refused.
type loader struct {
	file     string
	refusals []*Refusal
}

func (l *loader) refuse(state, field, why string, args ...any) {
	l.refuseAs(codeSchema, state, field, why, args...)
}

func (l *loader) refuseAs(code, state, field, why string, args ...any) {
	l.refusals = append(l.refusals, &Refusal{l.file, state, field, fmt.Sprintf(why, args...), code})
}

func (l *loader) definition(top *node) *definition {
	top.comment()
	d := &definition{startAt: top.text("StartAt", true), states: map[string]*state{}}
	d.timeout = top.integer("TimeoutSeconds", 1, longestSeconds)
	if version := top.text("Version", false); version != "" && version != "1.0" {
		top.refuse("Version", "only 1.0 is supported")
	}
	if language := top.text("QueryLanguage", false); language != "" && language != "JSONPath" {
		top.refuse("QueryLanguage", "only JSONPath is supported")
	}
	states, ok := top.get("States").(object)
	if !ok || len(states) == 0 {
		top.refuse("States", "an object with at least one state is needed")
	}
	top.unknown()
	for name, v := range states {
		o, ok := v.(object)
		if !ok {
			l.refuse(name, "", "a state is a JSON object")
			continue
		}
		if longerThan(name, 80) {
			l.refuseAs(codeStateName, name, "", "a name has at most 80 characters")
		}
		d.states[name] = l.state(&node{l: l, state: name, o: o, read: map[string]bool{}})
	}
	l.links(d)
	return d
}

// links refuses ways to nowhere and states no way leads to.
func (l *loader) links(d *definition) {
	if d.startAt != "" && d.states[d.startAt] == nil && len(d.states) > 0 {
		l.refuseAs(codeTarget, "", "StartAt", "there is no state %s", d.startAt)
		return
	}
	reached, queue := map[string]bool{d.startAt: true}, []string{d.startAt}
	for ; len(queue) > 0; queue = queue[1:] {
		s := d.states[queue[0]]
		if s == nil {
			continue
		}
		for field, to := range s.targets() {
			if d.states[to] == nil {
				l.refuseAs(codeTarget, s.name, field, "there is no state %s", to)
			}
			if !reached[to] {
				reached[to] = true
				queue = append(queue, to)
			}
		}
	}
	for name := range d.states {
		if !reached[name] {
			l.refuseAs(codeTarget, name, "", "unreachable: no way leads here from %s", d.startAt)
		}
	}
}

func (l *loader) state(n *node) *state {
	n.comment()
	s := &state{name: n.state, kind: n.text("Type", true)}
	if language := n.text("QueryLanguage", false); language != "" && language != "JSONPath" {
		n.refuse("QueryLanguage", "only JSONPath is supported")
	}
	read := map[string]func(*node, *state){
		kindTask: (*node).task, kindPass: (*node).pass, kindChoice: (*node).choice,
		kindWait: (*node).wait, kindSucceed: (*node).succeed, kindFail: (*node).fail,
	}[s.kind]
	if read == nil {
		if s.kind != "" {
			n.refuse("Type", "%s is not supported; use Task, Pass, Choice, Wait, Succeed or Fail", s.kind)
		}
		return s
	}
	read(n, s)
	n.unknown()
	return s
}

// A node is an object of the definition being read. What was never asked for
// is unknown; so the fields a state may have are those its reader reads.
type node struct {
	l     *loader
	state string
	at    string // where the object is in its state
	o     object
	read  map[string]bool
}

func (n *node) refuse(field, why string, args ...any) {
	n.l.refuse(n.state, strings.TrimPrefix(n.at+"."+field, "."), why, args...)
}

func (n *node) refused(field string, err error) { n.l.refuse(n.state, field, "%s", err) }

func (n *node) has(field string) bool { _, ok := n.o[field]; return ok }

func (n *node) get(field string) value { n.read[field] = true; return n.o[field] }

// unsupported are the fields of the language that this interpreter leaves out.
var unsupported = []string{
	"Assign", "Arguments", "Output", "Credentials", "Branches", "Iterator", "ItemProcessor", "ItemReader",
	"ItemSelector", "ItemBatcher", "ItemsPath", "MaxConcurrency", "ResultWriter", "ProcessorConfig", "Condition",
}

func (n *node) unknown() {
	for field := range n.o {
		switch {
		case n.read[field]:
		case slices.Contains(unsupported, field):
			n.refuse(field, "not supported by this interpreter")
		default:
			n.refuse(field, "unknown field")
		}
	}
}

func (n *node) comment() { n.text("Comment", false) }

func (n *node) text(field string, needed bool) string {
	v := n.get(field)
	s, ok := v.(string)
	switch {
	case !ok && n.has(field):
		n.refuse(field, "must be a string")
	case needed && s == "":
		n.refuse(field, "is missing")
	}
	return s
}

// integer reads a whole number; 0 when it is absent.
func (n *node) integer(field string, least, most int64) int64 {
	v := n.get(field)
	if !n.has(field) {
		return 0
	}
	i, ok := whole(v)
	if !ok || i < least || i > most {
		n.refuse(field, "must be a whole number from %d to %d", least, most)
	}
	return i
}

func (n *node) path(field string) path {
	p, err := parsePath(n.text(field, true))
	if err != nil {
		n.refuse(field, "%s", err)
	}
	n.uses(field)(p)
	return p
}

// uses refuses context fields that do not exist, and the task token.
func (n *node) uses(field string) func(path) {
	return func(p path) {
		if why := unknownContext(p); why != "" {
			n.refuse(field, "%s", why)
		} else if isToken(p) {
			n.refuse(field, "$$.Task.Token exists only in Parameters of a .waitForTaskToken task")
		}
	}
}

func (n *node) selection(field string) selection {
	if !n.has(field) {
		n.get(field)
		return selection{path: path{text: "$"}}
	}
	if n.get(field) == nil {
		return selection{null: true}
	}
	return selection{path: n.path(field)}
}

func (n *node) inOut(s *state) {
	s.input, s.output = n.selection("InputPath"), n.selection("OutputPath")
}

func (n *node) resultPath(field string) selection {
	r := n.selection(field)
	if r.path.context {
		n.refuse(field, "must begin with $., the context object cannot be written")
	}
	return r
}

func (n *node) nextOrEnd(s *state) {
	s.next = n.text("Next", false)
	end, isBool := n.get("End").(bool)
	switch {
	case n.has("End") && !isBool:
		n.refuse("End", "must be true or false")
	case s.next == "" && !end:
		n.refuse("Next", "is missing, and End is not true")
	case s.next != "" && end:
		n.refuse("Next", "is there although End is true")
	}
}

func (n *node) template(field string, use func(path)) *template {
	v := n.get(field)
	if !n.has(field) {
		return nil
	}
	if _, ok := v.(object); !ok {
		n.refuse(field, "must be an object")
	}
	t := parseTemplate(v, strings.TrimPrefix(n.at+"."+field, "."), n.refused, use)
	return &t
}

func (n *node) pass(s *state) {
	n.inOut(s)
	n.nextOrEnd(s)
	s.result = n.resultPath("ResultPath")
	s.parameters = n.template("Parameters", n.uses("Parameters"))
	s.fixed, s.hasFixed = n.get("Result"), n.has("Result")
}

func (n *node) succeed(s *state) { n.inOut(s) }

func (n *node) fail(s *state) {
	s.failure = n.textOrPath("Error")
	s.cause = n.textOrPath("Cause")
}

func (n *node) textOrPath(field string) *expression {
	fixed, dynamic := n.text(field, false), n.text(field+"Path", false)
	switch {
	case n.has(field) && n.has(field+"Path"):
		n.refuse(field, "is there together with %sPath", field)
	case n.has(field):
		return &expression{literal: fixed}
	case n.has(field + "Path"):
		x, err := parseExpression(dynamic)
		if err != nil {
			n.refuse(field+"Path", "%s", err)
		}
		x.paths(n.uses(field + "Path"))
		return &x
	}
	return nil
}

func (n *node) wait(s *state) {
	n.inOut(s)
	n.nextOrEnd(s)
	s.wait = n.duration("Seconds", 0)
	if n.has("TimestampPath") {
		p := n.path("TimestampPath")
		s.at = &p
	}
	if n.has("Timestamp") {
		t, err := time.Parse(time.RFC3339, n.text("Timestamp", true))
		if err != nil {
			n.refuse("Timestamp", "must be a time like 2026-03-04T12:00:00Z")
		}
		s.until = &t
	}
	count := 0
	for _, field := range []string{"Seconds", "SecondsPath", "Timestamp", "TimestampPath"} {
		if n.has(field) {
			count++
		}
	}
	if count != 1 {
		n.refuse("Seconds", "exactly one of Seconds, SecondsPath, Timestamp and TimestampPath is needed")
	}
}

// duration reads field or field+"Path"; nil when neither is there.
func (n *node) duration(field string, least int64) *duration {
	if n.has(field + "Path") {
		if n.has(field) {
			n.get(field)
			n.refuse(field, "is there together with %sPath", field)
		}
		p := n.path(field + "Path")
		return &duration{path: &p}
	}
	if !n.has(field) {
		return nil
	}
	return &duration{seconds: n.integer(field, least, longestSeconds)}
}

const (
	resourceInvoke   = "arn:aws:states:::lambda:invoke"
	resourceCallback = resourceInvoke + ".waitForTaskToken"
)

func (n *node) task(s *state) {
	n.inOut(s)
	n.nextOrEnd(s)
	s.resource = n.text("Resource", true)
	s.callback = s.resource == resourceCallback
	if s.resource != "" && s.resource != resourceInvoke && !s.callback {
		n.l.refuseAs(codeResource, n.state, "Resource", "%s is not supported; use %s or %s", s.resource, resourceInvoke, resourceCallback)
	}
	n.invocation(s)
	s.selector = n.template("ResultSelector", n.uses("ResultSelector"))
	s.result = n.resultPath("ResultPath")
	n.limits(s)
	s.retry, s.catch = n.retriers(), n.catchers()
}

// invocation reads Parameters, the request to Lambda.
func (n *node) invocation(s *state) {
	tokens := 0
	s.parameters = n.template("Parameters", func(p path) {
		if s.callback && isToken(p) {
			tokens++
			return
		}
		n.uses("Parameters")(p)
	})
	given, _ := n.get("Parameters").(object)
	if !hasEither(given, "FunctionName") {
		n.refuse("Parameters.FunctionName", "is missing")
	}
	for name := range given {
		if plain := strings.TrimSuffix(name, ".$"); plain != "FunctionName" && plain != "Payload" {
			n.refuse("Parameters."+name, "not supported; only FunctionName and Payload are")
		}
	}
	if s.callback && tokens == 0 {
		n.refuse("Parameters", "$$.Task.Token is handed to nobody, so nobody could answer")
	}
}

func hasEither(o object, name string) bool {
	_, fixed := o[name]
	_, dynamic := o[name+".$"]
	return fixed || dynamic
}

// limits reads how long a task may take and be silent.
func (n *node) limits(s *state) {
	s.timeout, s.heartbeat = n.duration("TimeoutSeconds", 1), n.duration("HeartbeatSeconds", 1)
	switch t, h := s.timeout, s.heartbeat; {
	case h == nil:
	case !s.callback:
		n.refuse("HeartbeatSeconds", "only a .waitForTaskToken task can send heartbeats")
	case t != nil && t.path == nil && h.path == nil && h.seconds >= t.seconds:
		n.refuse("HeartbeatSeconds", "must be smaller than TimeoutSeconds")
	}
}

// objects reads an array of objects, each as a node.
func (n *node) objects(field string) []*node {
	v := n.get(field)
	list, ok := v.([]any)
	if n.has(field) && !ok {
		n.refuse(field, "must be an array")
	}
	var nodes []*node
	for i, v := range list {
		at := strings.TrimPrefix(fmt.Sprintf("%s.%s[%d]", n.at, field, i), ".")
		o, ok := v.(object)
		if !ok {
			n.l.refuse(n.state, at, "must be an object")
			continue
		}
		nodes = append(nodes, &node{l: n.l, state: n.state, at: at, o: o, read: map[string]bool{}})
	}
	return nodes
}

func (n *node) retriers() []retrier {
	var made []retrier
	nodes := n.objects("Retry")
	for i, r := range nodes {
		r.comment()
		x := retrier{errors: r.errorNames(i == len(nodes)-1), interval: 1, attempts: 3, rate: 2}
		if r.has("IntervalSeconds") {
			x.interval = r.integer("IntervalSeconds", 1, longestSeconds)
		}
		if r.has("MaxAttempts") {
			x.attempts = int(r.integer("MaxAttempts", 0, longestSeconds))
		}
		if r.has("BackoffRate") {
			x.rate = r.rate()
		}
		x.longest = r.integer("MaxDelaySeconds", 1, 31622399)
		jitter := r.text("JitterStrategy", false)
		if x.jitter = jitter == "FULL"; !x.jitter && jitter != "" && jitter != "NONE" {
			r.refuse("JitterStrategy", "must be FULL or NONE")
		}
		r.unknown()
		made = append(made, x)
	}
	return made
}

func (n *node) rate() float64 {
	number, _ := n.get("BackoffRate").(json.Number)
	f, err := number.Float64()
	if err != nil || f < 1 {
		n.refuse("BackoffRate", "must be a number of at least 1.0")
	}
	return f
}

func (n *node) catchers() []catcher {
	var made []catcher
	nodes := n.objects("Catch")
	for i, c := range nodes {
		c.comment()
		made = append(made, catcher{
			errors: c.errorNames(i == len(nodes)-1),
			next:   c.text("Next", true),
			result: c.resultPath("ResultPath"),
		})
		c.unknown()
	}
	return made
}

// errorNames reads ErrorEquals of a retrier or catcher; last says that it is
// the last one of its state.
func (n *node) errorNames(last bool) []string {
	given, _ := n.get("ErrorEquals").([]any)
	var names []string
	for _, v := range given {
		name, ok := v.(string)
		_, predefined := predefinedErrors[name]
		switch {
		case !ok || name == "":
			n.refuse("ErrorEquals", "must hold strings")
		case strings.HasPrefix(name, "States.") && !predefined:
			n.refuse("ErrorEquals", "there is no error %s; known are %s", name,
				strings.Join(slices.Sorted(maps.Keys(predefinedErrors)), ", "))
		case predefinedErrors[name] != "":
			n.refuse("ErrorEquals", "%s %s", name, predefinedErrors[name])
		case name == errorAll && (len(given) > 1 || !last):
			n.refuse("ErrorEquals", "States.ALL must stand alone, in the last one")
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		n.refuse("ErrorEquals", "must name at least one error")
	}
	return names
}
