package states

import (
	"testing"
	"time"
)

func TestWhichErrorsANameMatches(t *testing.T) {
	t.Parallel()
	all, taskFailed, timeout := "States.ALL", "States.TaskFailed", "States.Timeout"
	heartbeat, limit, runtime := "States.HeartbeatTimeout", "States.DataLimitExceeded", "States.Runtime"
	for _, c := range []struct {
		name, failed string
		want         bool
	}{
		{"Mine", "Mine", true}, {"Mine", "mine", false}, {all, "Mine", true}, {taskFailed, "Mine", true}, {timeout, "Mine", false},
		{all, timeout, true}, {taskFailed, timeout, false}, {timeout, timeout, true}, {heartbeat, timeout, false},
		{all, heartbeat, true}, {taskFailed, heartbeat, false}, {timeout, heartbeat, true}, {heartbeat, heartbeat, true},
		{all, limit, false}, {taskFailed, limit, false}, {limit, limit, true},
		{all, runtime, false}, {taskFailed, runtime, false}, {runtime, runtime, false},
		{all, taskFailed, true}, {taskFailed, taskFailed, true}, {"Lambda.Unknown", "Lambda.Unknown", true}, {taskFailed, "Lambda.Unknown", true},
	} {
		if got := matches([]string{"Other", c.name}, c.failed); got != c.want {
			t.Errorf("%s matches %s: want %v, got %v", c.name, c.failed, c.want, got)
		}
	}
}

func TestADelayNeverOverflows(t *testing.T) {
	t.Parallel()
	r := retrier{interval: longestSeconds, rate: 10}
	if want, got := longestSeconds*time.Second, r.delay(1000, nil); got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}

func TestPatternsOfStringMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"", "", true}, {"", "a", false}, {"a*", "a", true}, {"*.log", "x.log", true}, {"*.log", "x.logs", false},
		{"a*b*c", "a--b--c", true}, {"a*b*c", "a--c--b", false}, {`a\*`, "a*", true}, {`a\*`, "ab", false}, {`a\\*`, `a\b`, true},
		{"ä*", "äh", true},
	} {
		if got := glob(c.pattern, c.s); got != c.want {
			t.Errorf("%q matches %q: want %v, got %v", c.pattern, c.s, c.want, got)
		}
	}
}

func TestExpressionsThatOtherInterpretersGetWrong(t *testing.T) {
	t.Parallel()
	s := scope{input: object{"n": number(7), "s": "x", "a": []any{object{"b": "deep"}}}, uuid: func() string { return "id" }, context: func() value { return object{} }}
	for _, c := range []struct{ expression, want string }{
		{`States.Format('it\'s {}', $.n)`, `"it's 7"`},
		{`States.Format('\{\} {}', $.s)`, `"{} x"`},
		{`States.Format('back\\slash')`, `"back\\slash"`},
		{`States.Array(null, true, -1.5, 'a, b', $.a[0].b)`, `[null,true,-1.5,"a, b","deep"]`},
		{`States.Array()`, `[]`},
		{`States.Format('{}{}', States.Array(1), 2)`, "error"},
		{`States.Format('{}')`, "error"},
		{`States.Format('', 1)`, "error"},
		{`States.UUID()`, `"id"`},
		{`States.StringToJson('')`, `null`},
		{`States.ArrayRange(0, 5000, 1)`, "error"},
		{`States.ArrayGetItem($.a, 1)`, "error"},
		{`States.MathAdd(1, 1.5)`, "error"},
		{`States.MathRandom(5, 6)`, `5`},
		{`States.JsonMerge($.a, $.a, false)`, "error"},
		{`States.Hash($.a, 'CRC')`, "error"},
		{`States.Base64Decode('?')`, "error"},
		{`$.missing`, "error"},
	} {
		x, err := parseExpression(c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		got := "error"
		if v, err := x.eval(s); err == nil {
			got = string(encode(v))
		}
		if got != c.want {
			t.Errorf("%s: want %s, got %s", c.expression, c.want, got)
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	doc := object{"a": object{"b c": []any{number(1), object{"d": true}}}, "n": nil}
	for _, c := range []struct{ path, want string }{
		{"$", `{"a":{"b c":[1,{"d":true}]},"n":null}`}, {"$.a['b c'][1].d", "true"}, {`$["n"]`, "null"}, {"$.a.b", "missing"},
		{"$.a['b c'][2]", "missing"}, {"$.n.x", "missing"}, {"$.a[0]", "missing"},
		{"$.a.", "refused"}, {"$.a[-1]", "refused"}, {"$.a['x", "refused"}, {"$x", "refused"}, {"$.a[0:2]", "refused"}, {"$.a[?(@.x)]", "refused"}, {"$.a[]", "refused"},
	} {
		p, err := parsePath(c.path)
		got := "refused"
		if err == nil {
			got = "missing"
			if v, err := p.read(doc); err == nil {
				got = string(encode(v))
			}
		}
		if got != c.want {
			t.Errorf("%s: want %s, got %s", c.path, c.want, got)
		}
	}
}

func TestWritingAtAPathLeavesTheOldDocumentAlone(t *testing.T) {
	t.Parallel()
	doc := object{"a": object{"l": []any{number(1), number(2)}}}
	before := string(encode(doc))
	for _, c := range []struct{ path, want string }{
		{"$", "9"}, {"$.x.y", `{"a":{"l":[1,2]},"x":{"y":9}}`}, {"$.a.l[1]", `{"a":{"l":[1,9]}}`}, {"$.a.l.x", "error"}, {"$.a.l[2]", "error"},
	} {
		p, err := parsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		got := "error"
		if v, err := p.write(doc, number(9)); err == nil {
			got = string(encode(v))
		}
		if got != c.want || string(encode(doc)) != before {
			t.Errorf("%s: want %s, got %s; the document is %s", c.path, c.want, got, encode(doc))
		}
	}
}
