package print

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// only returns raw, an object or a list of objects, with nothing but the
// members called fields, in that order.
func only(raw json.RawMessage, fields []string) (json.RawMessage, error) {
	v, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if list, ok := v.([]any); ok {
		for i, e := range list {
			if list[i], err = pick(e, fields); err != nil {
				return nil, err
			}
		}
		return json.RawMessage(compact(list)), nil
	}
	v, err = pick(v, fields)
	return json.RawMessage(compact(v)), err
}

// An Unknown says that a result has no such member.
type Unknown struct {
	Field string
	Known []string
}

func (e *Unknown) Error() string {
	return fmt.Sprintf("the result has no member %q; it has %s", e.Field, strings.Join(e.Known, ", "))
}

func pick(v any, fields []string) (any, error) {
	obj, ok := v.([]member)
	if !ok {
		return nil, errors.New("the result is no object: use -o json without members")
	}
	out := []member{}
	for _, name := range fields {
		value, ok := find(obj, name)
		if !ok {
			return nil, &Unknown{name, names(obj)}
		}
		out = append(out, member{name, value})
	}
	return out, nil
}

func names(obj []member) []string {
	var out []string
	for _, m := range obj {
		out = append(out, m.name)
	}
	slices.Sort(out)
	return out
}

// CheckQuery returns what is wrong with a jq expression.
func CheckQuery(expr string) error {
	if _, err := gojq.Parse(expr); err != nil {
		return fmt.Errorf("--jq %q: %w", expr, err)
	}
	return nil
}

// query writes what the jq expression makes of raw, a result per line: texts as
// they are, everything else as JSON.
func (p *Printer) query(raw json.RawMessage) error {
	q, err := gojq.Parse(p.JQ)
	if err != nil {
		return err
	}
	code, err := gojq.Compile(q)
	if err != nil {
		return fmt.Errorf("--jq: %w", err)
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return err
	}
	for it := code.Run(v); ; {
		out, more := it.Next()
		if !more {
			return nil
		}
		if err, failed := out.(error); failed {
			return fmt.Errorf("--jq: %w", err)
		}
		if err := p.jqLine(out); err != nil {
			return err
		}
	}
}

func (p *Printer) jqLine(v any) error {
	if s, ok := v.(string); ok {
		return p.line(s)
	}
	b, err := gojq.Marshal(v)
	if err != nil {
		return err
	}
	return p.line(string(b))
}
