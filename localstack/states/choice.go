package states

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// A rule is a choice rule: a test of one variable, or a combination of rules.
type rule struct {
	next     string // of a rule at the top
	combine  string // And, Or, Not, or empty
	inner    []rule
	variable path
	test     test
	operand  value // what the variable is compared with
	other    *path // where the operand is, for ...Path operators
}

// A test compares the variable with the operand. present is false when there is
// no such variable.
type test struct {
	kind    string                 // of the operand: string, number, bool, time
	pathed  bool                   // an operator NamePath exists too
	absent  bool                   // the variable may be absent
	compare func(v, to value) bool // operand already of the right kind
}

// tests are the comparison operators.
var tests = makeTests()

func makeTests() map[string]test {
	all := map[string]test{
		"StringMatches": {kind: "string", compare: func(v, to value) bool {
			s, ok := v.(string)
			return ok && glob(to.(string), s)
		}},
		"BooleanEquals": {kind: "bool", pathed: true, compare: func(v, to value) bool { return v == to }},
		"IsPresent":     {kind: "bool", absent: true},
		"IsNull":        is(func(v value) bool { return v == nil }),
		"IsString":      is(func(v value) bool { _, ok := v.(string); return ok }),
		"IsNumeric":     is(func(v value) bool { _, ok := v.(json.Number); return ok }),
		"IsBoolean":     is(func(v value) bool { _, ok := v.(bool); return ok }),
		"IsTimestamp":   is(func(v value) bool { _, ok := timestamp(v); return ok }),
	}
	orders := map[string]func(int) bool{
		"Equals":            func(n int) bool { return n == 0 },
		"LessThan":          func(n int) bool { return n < 0 },
		"LessThanEquals":    func(n int) bool { return n <= 0 },
		"GreaterThan":       func(n int) bool { return n > 0 },
		"GreaterThanEquals": func(n int) bool { return n >= 0 },
	}
	for name, holds := range orders {
		all["String"+name] = ordered("string", holds)
		all["Numeric"+name] = ordered("number", holds)
		all["Timestamp"+name] = ordered("time", holds)
	}
	return all
}

func is(holds func(value) bool) test {
	return test{kind: "bool", compare: func(v, to value) bool { return holds(v) == to.(bool) }}
}

func ordered(kind string, holds func(int) bool) test {
	return test{kind: kind, pathed: true, compare: func(v, to value) bool {
		n, comparable := order(kind, v, to)
		return comparable && holds(n)
	}}
}

// order compares two values of a kind; false when one of them is not of it.
func order(kind string, a, b value) (int, bool) {
	switch kind {
	case "string":
		x, ok1 := a.(string)
		y, ok2 := b.(string)
		return cmp.Compare(x, y), ok1 && ok2
	case "number":
		x, ok1 := a.(json.Number)
		y, ok2 := b.(json.Number)
		if !ok1 || !ok2 {
			return 0, false
		}
		return compareNumbers(x, y), true
	}
	x, ok1 := timestamp(a)
	y, ok2 := timestamp(b)
	return x.Compare(y), ok1 && ok2
}

// timestamp reads a time of the language: RFC 3339 with a capital T and Z.
func timestamp(v value) (time.Time, bool) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}

// isKind reports whether an operand may be compared with an operator of kind.
func isKind(kind string, v value) bool {
	switch kind {
	case "string":
		_, ok := v.(string)
		return ok
	case "number":
		_, ok := v.(json.Number)
		return ok
	case "bool":
		_, ok := v.(bool)
		return ok
	}
	_, ok := timestamp(v)
	return ok
}

// glob reports whether s matches pattern, in which * is anything and \* and \\
// are themselves.
func glob(pattern, s string) bool {
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] == '*':
			for from := range len(s) + 1 {
				if glob(pattern[i+1:], s[from:]) {
					return true
				}
			}
			return false
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
		}
		if s == "" || s[0] != pattern[i] {
			return false
		}
		s = s[1:]
	}
	return s == ""
}

// holds evaluates r.
func (r rule) holds(s scope) (bool, error) {
	switch r.combine {
	case "Not":
		ok, err := r.inner[0].holds(s)
		return !ok, err
	case "And", "Or":
		for _, x := range r.inner {
			ok, err := x.holds(s)
			if err != nil || ok == (r.combine == "Or") {
				return ok, err
			}
		}
		return r.combine == "And", nil
	}
	v, err := s.read(r.variable)
	if r.test.absent {
		return (err == nil) == r.operand.(bool), nil
	}
	if err != nil {
		return false, invalidPath(r.variable)
	}
	to := r.operand
	if r.other != nil {
		if to, err = s.read(*r.other); err != nil {
			return false, invalidPath(*r.other)
		}
		if !isKind(r.test.kind, to) {
			return false, nil
		}
	}
	return r.test.compare(v, to), nil
}

func invalidPath(p path) error {
	return words("Invalid path '%s': The choice state's condition path references an invalid value.", p.text)
}

func (n *node) choice(s *state) {
	n.inOut(s)
	s.otherwise = n.text("Default", false)
	for _, c := range n.objects("Choices") {
		r := c.rule()
		r.next = c.text("Next", true)
		c.unknown()
		s.rules = append(s.rules, r)
	}
	if len(s.rules) == 0 {
		n.refuse("Choices", "must hold at least one rule")
	}
}

// rule reads a rule; Next is read by who knows that it is allowed.
func (n *node) rule() rule {
	n.comment()
	for _, combine := range []string{"And", "Or"} {
		if n.has(combine) {
			return n.combination(combine, n.objects(combine))
		}
	}
	if n.has("Not") {
		o, ok := n.get("Not").(object)
		if !ok {
			n.refuse("Not", "must be an object")
			return rule{}
		}
		at := strings.TrimPrefix(n.at+".Not", ".")
		return n.combination("Not", []*node{{l: n.l, state: n.state, at: at, o: o, read: map[string]bool{}}})
	}
	return n.comparison()
}

func (n *node) combination(combine string, parts []*node) rule {
	r := rule{combine: combine}
	if len(parts) == 0 {
		n.refuse(combine, "must hold at least one rule")
	}
	for _, p := range parts {
		r.inner = append(r.inner, p.rule())
		p.unknown()
	}
	return r
}

func (n *node) comparison() rule {
	r := rule{variable: n.path("Variable")}
	found := n.operators()
	if len(found) != 1 {
		n.refuse("Variable", "needs exactly one comparison, has %d (%s)", len(found), strings.Join(found, ", "))
		return r
	}
	name, pathed := strings.CutSuffix(found[0], "Path")
	r.test = tests[name]
	if pathed {
		p := n.path(found[0])
		r.other = &p
		return r
	}
	if r.operand = n.get(name); !isKind(r.test.kind, r.operand) {
		n.refused(strings.TrimPrefix(n.at+"."+name, "."), errors.New("must be a "+r.test.kind))
	}
	return r
}

// operators returns the names of the comparison operators n has.
func (n *node) operators() []string {
	var found []string
	for _, field := range slices.Sorted(maps.Keys(n.o)) {
		name, pathed := strings.CutSuffix(field, "Path")
		if t, known := tests[name]; known && (!pathed || t.pathed) {
			n.read[field] = true
			found = append(found, field)
		}
	}
	return found
}
