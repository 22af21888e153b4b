// Package events holds what happens outside of a request as data: the
// EventBridge rules that lead events to functions. The deployment makes them,
// and localstack runs by them.
package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"bldst/shared/build"
)

// A Rule leads the events that match its pattern, or a tick of its schedule, to
// a function. It has one or the other.
type Rule struct {
	Name     string // unique; a name in EventBridge
	About    string // what it is for, in a sentence
	Pattern  *Pattern
	Schedule string // "rate(1 minute)"
	Target   string // a folder of functions/
}

// A Pattern matches an event when each of its fields matches: one of the words
// is what the event has there. An empty field matches everything.
type Pattern struct {
	Source     []string            `json:"source,omitempty"`
	DetailType []string            `json:"detail-type,omitempty"`
	Detail     map[string][]string `json:"detail,omitempty"` // of the detail's own fields
}

// What Step Functions says when an execution ends, and which ends mean that
// nobody drives the build any more.
const (
	StatesSource = "aws.states"
	StatesChange = "Step Functions Execution Status Change"
)

// What EC2 Image Builder says when an image gets another status. Source: EC2
// Image Builder User Guide, "EventBridge integration"; delivery is best effort.
const (
	ImageBuilderSource = "aws.imagebuilder"
	ImageBuilderChange = "EC2 Image Builder Image State Change"
)

// What a scheduled rule sends.
const (
	ScheduleSource = "aws.events"
	ScheduleTick   = "Scheduled Event"
)

// Machine stands in a pattern for the ARN of the state machine, see Bind.
const Machine = "${BuildMachine}"

// Rules is every rule.
var Rules = []Rule{
	{Name: "bldst-notify", About: "Tell the subscribers of a project what has become of its builds.", Target: "notify",
		Pattern: domain(build.EventFailed, build.EventStalled, build.EventWaiting, build.EventRecovered, build.EventCompleted)},
	{Name: "bldst-dispatch", About: "Start the CI job that goes on with a build.", Target: "dispatch",
		Pattern: domain(build.EventResumeRequested)},
	{Name: "bldst-reconcile", About: "Repair the build whose execution has ended before it did.", Target: "reconcile",
		Pattern: &Pattern{Source: []string{StatesSource}, DetailType: []string{StatesChange},
			Detail: map[string][]string{"status": {"FAILED", "TIMED_OUT", "ABORTED"}, "stateMachineArn": {Machine}}}},
	{Name: "bldst-image-builder", About: "Fail the build whose image EC2 Image Builder could not make.", Target: "reconcile",
		Pattern: &Pattern{Source: []string{ImageBuilderSource}, DetailType: []string{ImageBuilderChange}}},
	{Name: "bldst-sweep", About: "Find the builds whose time is over without anybody having noticed.", Target: "sweep",
		Schedule: "rate(1 minute)"},
}

// Unmatched are the domain events that no rule matches, and why.
var Unmatched = map[build.EventType]string{
	build.EventCreated:      "nobody waits for it; it is there for rules of other systems",
	build.EventStateChanged: "too many to send on; it is there for rules of other systems",
	build.EventCancelled:    "who cancels knows it",
}

func domain(types ...build.EventType) *Pattern {
	p := &Pattern{Source: []string{build.EventSource}}
	for _, t := range types {
		p.DetailType = append(p.DetailType, string(t))
	}
	return p
}

// Bind returns rules with the ARN of the state machine in place of Machine.
func Bind(rules []Rule, machine string) []Rule {
	out := slices.Clone(rules)
	for i, r := range out {
		if r.Pattern == nil || r.Pattern.Detail == nil {
			continue
		}
		p := *r.Pattern
		p.Detail = map[string][]string{}
		for k, words := range r.Pattern.Detail {
			p.Detail[k] = slices.Clone(words)
			for j, w := range words {
				p.Detail[k][j] = strings.ReplaceAll(w, Machine, machine)
			}
		}
		out[i].Pattern = &p
	}
	return out
}

// file is where a person mends a rule.
const file = "events/rules.go"

var ruleName = regexp.MustCompile(`^[.\-_A-Za-z0-9]{1,64}$`)

// Check refuses rules that could not be deployed: it says which rule of which
// file is wrong, and what about it. functions are the names there are.
func Check(rules []Rule, functions []string) error {
	seen := map[string]bool{}
	for _, r := range rules {
		if err := r.check(functions); err != nil {
			return fmt.Errorf("%s: rule %q: %w", file, r.Name, err)
		}
		if seen[r.Name] {
			return fmt.Errorf("%s: rule %q: there are two of that name", file, r.Name)
		}
		seen[r.Name] = true
	}
	return nil
}

func (r Rule) check(functions []string) error {
	switch {
	case !ruleName.MatchString(r.Name):
		return fmt.Errorf("a name has 1 to 64 letters, digits, dots, hyphens and underscores")
	case !slices.Contains(functions, r.Target):
		return fmt.Errorf("its target %q is not a function; the functions are %s", r.Target, strings.Join(functions, ", "))
	case (r.Pattern == nil) == (r.Schedule == ""):
		return fmt.Errorf("it must have a pattern or a schedule, and not both")
	case r.Schedule != "":
		_, err := r.Every()
		return err
	default:
		return r.Pattern.check()
	}
}

func (p *Pattern) check() error {
	if len(p.Source) == 0 {
		return fmt.Errorf("its pattern must name a source, else it matches the events of the whole account")
	}
	fields := map[string][]string{"source": p.Source, "detail-type": p.DetailType}
	for k, words := range p.Detail {
		if k == "" || len(words) == 0 {
			return fmt.Errorf("the field %q of its pattern matches nothing; name the words it may have", "detail."+k)
		}
		fields["detail."+k] = words
	}
	for k, words := range fields {
		if slices.Contains(words, "") {
			return fmt.Errorf("the field %q of its pattern has an empty word", k)
		}
		if i := slices.IndexFunc(words, func(w string) bool { return strings.Contains(w, "${") && w != Machine }); i >= 0 {
			return fmt.Errorf("the field %q of its pattern has the unknown placeholder %s; the known one is %s", k, words[i], Machine)
		}
	}
	return nil
}

var rate = regexp.MustCompile(`^rate\((\d{1,4}) (minute|minutes|hour|hours|day|days)\)$`)

var units = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

// Every returns the time between two ticks of the rule's schedule, which must
// have the form rate(N minutes): EventBridge wants the singular for one only.
func (r Rule) Every() (time.Duration, error) {
	m := rate.FindStringSubmatch(r.Schedule)
	if m == nil || (m[1] == "1") == strings.HasSuffix(m[2], "s") || strings.Trim(m[1], "0") == "" {
		return 0, fmt.Errorf("its schedule %q is not of the form rate(1 minute) or rate(5 minutes)", r.Schedule)
	}
	var n time.Duration
	for _, digit := range m[1] {
		n = n*10 + time.Duration(digit-'0')
	}
	return n * units[strings.TrimSuffix(m[2], "s")], nil
}

// ParsePattern reads a pattern of EventBridge. It refuses whatever a Pattern
// cannot say, such as prefixes and numeric ranges.
func ParsePattern(doc []byte) (*Pattern, error) {
	var p Pattern
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("%s: a pattern has source, detail-type and detail with lists of words, nothing else: %w", file, err)
	}
	return &p, p.check()
}

// Matches reports whether an event with this source, type and detail matches.
func (p *Pattern) Matches(source, detailType string, detail []byte) bool {
	if !has(p.Source, source) || !has(p.DetailType, detailType) {
		return false
	}
	if len(p.Detail) == 0 {
		return true
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(detail, &fields) != nil {
		return false
	}
	for k, words := range p.Detail {
		if !anyOf(words, fields[k]) {
			return false
		}
	}
	return true
}

func has(words []string, w string) bool { return len(words) == 0 || slices.Contains(words, w) }

// anyOf reports whether v is one of words, or a list that has one of them.
func anyOf(words []string, v json.RawMessage) bool {
	var one string
	if len(v) > 0 && json.Unmarshal(v, &one) == nil {
		return slices.Contains(words, one)
	}
	var list []json.RawMessage
	if json.Unmarshal(v, &list) != nil {
		return false
	}
	return slices.ContainsFunc(list, func(v json.RawMessage) bool { return anyOf(words, v) })
}
