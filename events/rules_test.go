package events_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bldst/events"
	"bldst/shared/build"

	"github.com/google/go-cmp/cmp"
)

// functions returns the folders of functions/, the ones the rules lead to
// included: that they are there is said by TestEveryRuleLeadsToAFunction.
func functions(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("../functions")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestEveryRuleLeadsToAFunction(t *testing.T) {
	t.Parallel()
	if err := events.Check(events.Rules, functions(t)); err != nil {
		t.Errorf("%v; add the folder to functions/ or mend the target", err)
	}
}

func TestEveryDomainEventIsMatchedOrListedAsUnmatched(t *testing.T) {
	t.Parallel()
	for _, typ := range build.EventTypes {
		var by []string
		for _, r := range events.Rules {
			if r.Pattern != nil && r.Pattern.Matches(build.EventSource, string(typ), []byte(`{}`)) {
				by = append(by, r.Name)
			}
		}
		switch why := events.Unmatched[typ]; {
		case len(by) == 0 && why == "":
			t.Errorf("no rule matches %s; add one to events.Rules or give the reason in events.Unmatched", typ)
		case len(by) > 0 && why != "":
			t.Errorf("%s is matched by %v although events.Unmatched says %q; remove one of them", typ, by, why)
		}
	}
	for typ := range events.Unmatched {
		if !slices.Contains(build.EventTypes, typ) {
			t.Errorf("events.Unmatched names %s, which is no event; remove it", typ)
		}
	}
}

func TestAMalformedRuleIsRefusedWithFileAndName(t *testing.T) {
	t.Parallel()
	fine := events.Pattern{Source: []string{"bldst"}}
	for name, c := range map[string]struct {
		rule events.Rule
		want string
	}{
		"a target that is no function":  {events.Rule{Name: "r", Target: "nobody", Pattern: &fine}, "not a function"},
		"a pattern and a schedule":      {events.Rule{Name: "r", Target: "notify", Pattern: &fine, Schedule: "rate(1 minute)"}, "not both"},
		"neither":                       {events.Rule{Name: "r", Target: "notify"}, "not both"},
		"a pattern without a source":    {events.Rule{Name: "r", Target: "notify", Pattern: &events.Pattern{}}, "source"},
		"a field that matches nothing":  {events.Rule{Name: "r", Target: "notify", Pattern: &events.Pattern{Source: []string{"a"}, Detail: map[string][]string{"status": {}}}}, "detail.status"},
		"an unknown placeholder":        {events.Rule{Name: "r", Target: "notify", Pattern: &events.Pattern{Source: []string{"${Other}"}}}, "${Other}"},
		"a plural of one":               {events.Rule{Name: "r", Target: "notify", Schedule: "rate(1 minutes)"}, "rate(1 minute)"},
		"a singular of two":             {events.Rule{Name: "r", Target: "notify", Schedule: "rate(2 minute)"}, "rate(1 minute)"},
		"never":                         {events.Rule{Name: "r", Target: "notify", Schedule: "rate(0 minutes)"}, "rate(1 minute)"},
		"cron":                          {events.Rule{Name: "r", Target: "notify", Schedule: "cron(0 12 * * ? *)"}, "rate(1 minute)"},
		"a name EventBridge would take": {events.Rule{Name: "r with spaces", Target: "notify", Pattern: &fine}, "a name has"},
	} {
		err := events.Check([]events.Rule{c.rule}, []string{"notify"})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), `events/rules.go: rule "`+c.rule.Name) {
			t.Errorf("%s: want an error with the file, the rule and %q, got %v", name, c.want, err)
		}
	}
	twice := []events.Rule{{Name: "r", Target: "notify", Pattern: &fine}, {Name: "r", Target: "notify", Pattern: &fine}}
	if err := events.Check(twice, []string{"notify"}); err == nil {
		t.Error("two rules of one name were accepted")
	}
}

func TestAPatternIsWhatEventBridgeReads(t *testing.T) {
	t.Parallel()
	rule := events.Bind(events.Rules, "arn:machine")[2]
	got, err := json.Marshal(rule.Pattern)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"source":["aws.states"],"detail-type":["Step Functions Execution Status Change"],` +
		`"detail":{"stateMachineArn":["arn:machine"],"status":["FAILED","TIMED_OUT","ABORTED"]}}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
	back, err := events.ParsePattern(got)
	if d := cmp.Diff(rule.Pattern, back); d != "" || err != nil {
		t.Error(d, err)
	}
	if events.Rules[2].Pattern.Detail["stateMachineArn"][0] != events.Machine {
		t.Error("Bind changed the rules themselves")
	}
	if events.Check(events.Bind(events.Rules, "arn:machine"), []string{"notify", "dispatch", "reconcile", "sweep"}) != nil {
		t.Error("bound rules are refused")
	}
}

func TestAPatternThatCannotBeMatchedHereIsRefused(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		`{"source":["a"],"detail":{"status":[{"prefix":"F"}]}}`, `{"source":["a"],"detail":{"n":[{"numeric":[">",1]}]}}`,
		`{"source":["a"],"account":["1"]}`, `{"source":["a"],"$or":[]}`, `{"source":[null]}`, `{"source":"a"}`, `{}`, `nonsense`,
	} {
		if p, err := events.ParsePattern([]byte(doc)); err == nil {
			t.Errorf("%s was read as %+v", doc, p)
		}
	}
}

func TestWhatMatches(t *testing.T) {
	t.Parallel()
	reconcile := events.Bind(events.Rules, "arn:m")[2].Pattern
	for name, c := range map[string]struct {
		source, typ, detail string
		want                bool
	}{
		"an aborted execution of the machine": {events.StatesSource, events.StatesChange, `{"status":"ABORTED","stateMachineArn":"arn:m"}`, true},
		"a list that has the word":            {events.StatesSource, events.StatesChange, `{"status":["X","FAILED"],"stateMachineArn":"arn:m"}`, true},
		"one that has succeeded":              {events.StatesSource, events.StatesChange, `{"status":"SUCCEEDED","stateMachineArn":"arn:m"}`, false},
		"one of another machine":              {events.StatesSource, events.StatesChange, `{"status":"FAILED","stateMachineArn":"arn:n"}`, false},
		"a detail without the field":          {events.StatesSource, events.StatesChange, `{"status":"FAILED"}`, false},
		"a detail that is no object":          {events.StatesSource, events.StatesChange, `7`, false},
		"a number where a word is asked for":  {events.StatesSource, events.StatesChange, `{"status":7,"stateMachineArn":"arn:m"}`, false},
		"another type":                        {events.StatesSource, "Other", `{"status":"FAILED","stateMachineArn":"arn:m"}`, false},
		"another source":                      {"bldst", events.StatesChange, `{"status":"FAILED","stateMachineArn":"arn:m"}`, false},
	} {
		if got := reconcile.Matches(c.source, c.typ, []byte(c.detail)); got != c.want {
			t.Errorf("%s: matches is %v, want %v", name, got, c.want)
		}
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	for schedule, want := range map[string]time.Duration{"rate(1 minute)": time.Minute, "rate(15 minutes)": 15 * time.Minute, "rate(1 hour)": time.Hour, "rate(10 days)": 240 * time.Hour} {
		if got, err := (events.Rule{Schedule: schedule}).Every(); got != want || err != nil {
			t.Errorf("%s: %v %v, want %v", schedule, got, err, want)
		}
	}
}

func TestTheRuleOfImageBuilderMatchesItsEvent(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("samples/bus/image-failed.json")
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Source string
		Type   string `json:"detail-type"`
		Detail json.RawMessage
	}
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	var to []string
	for _, r := range events.Rules {
		if r.Pattern != nil && r.Pattern.Matches(e.Source, e.Type, e.Detail) {
			to = append(to, r.Target)
		}
	}
	if !slices.Equal(to, []string{"reconcile"}) {
		t.Errorf("the event goes to %v", to)
	}
}
