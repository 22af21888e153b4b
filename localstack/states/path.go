package states

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// A path is a JSONPath of the kind this interpreter supports: a reference
// path, which names exactly one place ($, $.a.b, $['a b'], $.list[0]), in the
// input ($) or in the context object ($$).
type path struct {
	text    string
	context bool
	steps   []step
}

// A step goes to a field, or to an element when field is false.
type step struct {
	name  string
	index int
	field bool
}

// errNoSuchPlace says that a path leads nowhere in this document.
var errNoSuchPlace = errors.New("not there")

// parsePath reads text, or says why it is not supported.
func parsePath(text string) (path, error) {
	p := path{text: text}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return p, fmt.Errorf("%q is not a JSONPath: it must begin with $", text)
	}
	if inner, ok := strings.CutPrefix(rest, "$"); ok {
		p.context, rest = true, inner
	}
	for rest != "" {
		s, more, err := parseStep(rest)
		if err != nil {
			return p, fmt.Errorf("JSONPath %q is not supported: %w", text, err)
		}
		p.steps, rest = append(p.steps, s), more
	}
	return p, nil
}

func parseStep(rest string) (step, string, error) {
	switch {
	case strings.HasPrefix(rest, ".."), strings.HasPrefix(rest, ".*"), strings.HasPrefix(rest, "[*"),
		strings.HasPrefix(rest, "[?"), strings.HasPrefix(rest, "[("):
		return step{}, "", errors.New("it may name more than one place; only .name, ['name'] and [number] are supported")
	case rest[0] == '.':
		return dotStep(rest[1:])
	case strings.HasPrefix(rest, "['"), strings.HasPrefix(rest, `["`):
		return quotedStep(rest)
	case rest[0] == '[':
		return indexStep(rest[1:])
	}
	return step{}, "", fmt.Errorf("unexpected %q", rest)
}

func dotStep(rest string) (step, string, error) {
	end := strings.IndexFunc(rest, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-'
	})
	if end < 0 {
		end = len(rest)
	}
	if end == 0 {
		return step{}, "", fmt.Errorf("a name is missing before %q", rest)
	}
	return step{name: rest[:end], field: true}, rest[end:], nil
}

func quotedStep(rest string) (step, string, error) {
	quote := rest[1:2]
	name, more, ok := strings.Cut(rest[2:], quote+"]")
	if !ok || name == "" || strings.Contains(name, quote) {
		return step{}, "", fmt.Errorf("%q does not end in one name and %s]", rest, quote)
	}
	return step{name: name, field: true}, more, nil
}

func indexStep(rest string) (step, string, error) {
	digits, more, ok := strings.Cut(rest, "]")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil {
		return step{}, "", fmt.Errorf("[%s is not one element", rest)
	}
	return step{index: int(n)}, more, nil
}

// read returns what p names in doc, or errNoSuchPlace.
func (p path) read(doc value) (value, error) {
	for _, s := range p.steps {
		next, ok := s.of(doc)
		if !ok {
			return nil, errNoSuchPlace
		}
		doc = next
	}
	return doc, nil
}

func (s step) of(doc value) (value, bool) {
	if s.field {
		o, _ := doc.(object)
		v, ok := o[s.name]
		return v, ok
	}
	list, _ := doc.([]any)
	if s.index >= len(list) {
		return nil, false
	}
	return list[s.index], true
}

// write returns doc with v at p; objects on the way are made as needed. It
// fails where something else than an object is in the way.
func (p path) write(doc, v value) (value, error) {
	return writeSteps(p.steps, doc, v)
}

func writeSteps(steps []step, doc, v value) (value, error) {
	if len(steps) == 0 {
		return v, nil
	}
	if !steps[0].field {
		return writeElement(steps, doc, v)
	}
	old, ok := doc.(object)
	if !ok && doc != nil {
		return nil, fmt.Errorf("%q is a field of something that is not an object", steps[0].name)
	}
	inner, err := writeSteps(steps[1:], old[steps[0].name], v)
	if err != nil {
		return nil, err
	}
	made := make(object, len(old)+1)
	for k, x := range old {
		made[k] = x
	}
	made[steps[0].name] = inner
	return made, nil
}

func writeElement(steps []step, doc, v value) (value, error) {
	list, _ := doc.([]any)
	if steps[0].index >= len(list) {
		return nil, fmt.Errorf("there is no element %d", steps[0].index)
	}
	inner, err := writeSteps(steps[1:], list[steps[0].index], v)
	if err != nil {
		return nil, err
	}
	made := append([]any(nil), list...)
	made[steps[0].index] = inner
	return made, nil
}
