package states

import (
	"errors"
	"fmt"
	"strings"
)

// A template is a payload template (Parameters, ResultSelector): a document in
// which a field "name.$" takes the value of an expression and is called "name".
type template struct {
	fields   map[string]template // an object
	elements []template          // an array
	value    *expression         // a field whose name ended in .$
	literal  value               // anything else
	kind     byte                // 'o', 'a', 'x' or 0
}

// parseTemplate reads a template. report gets every fault with the name of its
// field; use gets every path in it.
func parseTemplate(v value, at string, report func(field string, err error), use func(path)) template {
	switch v := v.(type) {
	case object:
		t := template{kind: 'o', fields: make(map[string]template, len(v))}
		for name, inner := range v {
			plain, dynamic := strings.CutSuffix(name, ".$")
			field := at + "." + name
			if _, twice := v[plain]; dynamic && twice {
				report(field, fmt.Errorf("%s is there too", plain))
			}
			if dynamic {
				t.fields[plain] = parseDynamic(inner, field, report, use)
			} else {
				t.fields[name] = parseTemplate(inner, field, report, use)
			}
		}
		return t
	case []any:
		t := template{kind: 'a'}
		for i, inner := range v {
			t.elements = append(t.elements, parseTemplate(inner, fmt.Sprintf("%s[%d]", at, i), report, use))
		}
		return t
	}
	return template{literal: v}
}

func parseDynamic(v value, field string, report func(string, error), use func(path)) template {
	text, ok := v.(string)
	if !ok {
		report(field, errors.New("a field that ends in .$ must be a string"))
		return template{}
	}
	x, err := parseExpression(text)
	if err != nil {
		report(field, err)
		return template{}
	}
	x.paths(use)
	return template{kind: 'x', value: &x}
}

// paths calls use with every path in x.
func (x expression) paths(use func(path)) {
	if x.path != nil {
		use(*x.path)
	}
	for _, a := range x.args {
		a.paths(use)
	}
}

// fill returns the document with every expression replaced by its value.
func (t template) fill(s scope) (value, error) {
	switch t.kind {
	case 'o':
		made := make(object, len(t.fields))
		for name, inner := range t.fields {
			v, err := inner.fill(s)
			if err != nil {
				return nil, inField(name, inner, err)
			}
			made[name] = v
		}
		return made, nil
	case 'a':
		made := make([]any, len(t.elements))
		for i, inner := range t.elements {
			v, err := inner.fill(s)
			if err != nil {
				return nil, err
			}
			made[i] = v
		}
		return made, nil
	case 'x':
		return t.value.eval(s)
	}
	return t.literal, nil
}

// inField words an error as AWS does: "The JSONPath '$.a' specified for the
// field 'b.$' could not be found in the input '{}'".
func inField(name string, inner template, err error) error {
	var lost *missing
	if inner.kind == 'x' && errors.As(err, &lost) {
		return words("The JSONPath '%s' specified for the field '%s.$' could not be found in the input '%s'",
			lost.path, name, encode(lost.in))
	}
	return err
}
