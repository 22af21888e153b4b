// Package print writes results: as a table for a person, tab-separated when
// the output is piped, or as the JSON the API sent (or the same as YAML). Only
// results go through it; messages go to the error stream.
package print

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// A Format is how a result is written.
type Format string

// The formats.
const (
	Table Format = "table"
	JSON  Format = "json"
	Yaml  Format = "yaml"
	Env   Format = "env" // lines for a shell to source
)

// ParseFormat returns the format called s; "" means Table.
func ParseFormat(s string) (Format, error) {
	switch f := Format(strings.ToLower(s)); f {
	case "":
		return Table, nil
	case Table, JSON, Yaml, Env:
		return f, nil
	default:
		return "", fmt.Errorf("unknown output format %q: use table, json, yaml or env", s)
	}
}

// A Printer writes results to one stream.
type Printer struct {
	Out    io.Writer
	TTY    bool // a person reads: fit the width, say times as people do
	Width  int  // of the terminal, 0 if it is not known
	Colour bool
	Format Format
	Header bool             // write tables with headers even if nobody reads
	Fields []string         // of JSON: only these members
	JQ     string           // what this jq expression makes of the result
	Now    func() time.Time // default time.Now
	Quiet  bool             // of a table: ids only
	Key    string           // the member that Quiet prints; default "id"

	// Nested are the columns of lists inside objects, by the list's name, on a
	// terminal. No columns leave the member out, be it a list or not; a list
	// that is not named has all.
	Nested map[string][]string
}

// people reports whether tables are written for people.
func (p *Printer) people() bool { return p.TTY || p.Header }

// Object writes one object: a row per member. Columns, if any, are the members
// that come first.
func (p *Printer) Object(raw json.RawMessage, columns ...string) error {
	if p.Format != Table {
		return p.raw(raw)
	}
	v, err := parse(raw)
	if err != nil {
		return err
	}
	obj, ok := v.([]member)
	switch {
	case !ok:
		return p.line(cell(v))
	case p.Quiet:
		return p.id(v)
	default:
		return p.members(obj, columns)
	}
}

// List writes a list of objects: a row each, with a cell per column.
func (p *Printer) List(items []json.RawMessage, columns ...string) error {
	if p.Format != Table {
		return p.raw(join(items))
	}
	rows := [][]string{}
	for _, raw := range items {
		v, err := parse(raw)
		if err != nil {
			return err
		}
		if p.Quiet {
			if err := p.id(v); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, p.row(v, columns))
	}
	if p.Quiet {
		return nil
	}
	return p.table(titles(columns), rows)
}

// Union returns one object with the members of both; of those in both, the
// ones of first.
func Union(first, second json.RawMessage) (json.RawMessage, error) {
	a, err := parse(first)
	if err != nil {
		return nil, err
	}
	b, err := parse(second)
	if err != nil {
		return nil, err
	}
	out, _ := a.([]member)
	more, _ := b.([]member)
	for _, m := range more {
		if _, both := find(out, m.name); !both {
			out = append(out, m)
		}
	}
	return json.RawMessage(compact(out)), nil
}

// ID returns the member "id" of an object, "" when there is none.
func ID(raw json.RawMessage) string {
	v, _ := parse(raw)
	obj, _ := v.([]member)
	id, _ := find(obj, "id")
	return cell(id)
}

func (p *Printer) id(v any) error {
	obj, _ := v.([]member)
	key := p.Key
	if key == "" {
		key = "id"
	}
	if id, ok := find(obj, key); ok {
		return p.line(cell(id))
	}
	return nil
}

func (p *Printer) line(s string) error {
	_, err := fmt.Fprintln(p.Out, s)
	return err
}

// raw writes JSON as it was sent but indented, or what the printer makes of it.
func (p *Printer) raw(raw json.RawMessage) (err error) {
	if len(p.Fields) > 0 {
		if raw, err = only(raw, p.Fields); err != nil {
			return err
		}
	}
	switch {
	case p.JQ != "":
		return p.query(raw)
	case p.Format == Env:
		return p.env(raw)
	case p.Format == Yaml:
		s, err := YAML(raw)
		if err != nil {
			return err
		}
		_, err = io.WriteString(p.Out, s)
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(raw), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(p.Out)
	return err
}

// Compact writes JSON on one line, or what the jq expression makes of it.
func (p *Printer) Compact(raw json.RawMessage) (err error) {
	if len(p.Fields) > 0 {
		if raw, err = only(raw, p.Fields); err != nil {
			return err
		}
	}
	if p.JQ != "" {
		return p.query(raw)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return err
	}
	return p.line(b.String())
}

func join(items []json.RawMessage) json.RawMessage {
	parts := make([][]byte, len(items))
	for i, raw := range items {
		parts[i] = raw
	}
	return append(append([]byte{'['}, bytes.Join(parts, []byte{','})...), ']')
}

// members writes the members of obj, those named in first before the others.
// On a terminal, empty ones are left out and lists of objects follow as
// tables.
func (p *Printer) members(obj []member, first []string) error {
	rows := [][]string{}
	var lists []member
	for _, m := range inOrder(obj, first) {
		if columns, known := p.Nested[m.name]; known && len(columns) == 0 && p.people() {
			continue
		}
		if list, ok := m.value.([]any); ok && p.people() && objects(list) {
			lists = append(lists, m)
			continue
		}
		if text := p.member(m); text != "" || !p.people() {
			rows = append(rows, []string{m.name, text})
		}
	}
	if err := p.table(nil, rows); err != nil {
		return err
	}
	for _, m := range lists {
		if err := p.nested(m.name, m.value.([]any)); err != nil {
			return err
		}
	}
	return nil
}

func inOrder(obj []member, first []string) []member {
	out := []member{}
	front := map[string]bool{}
	for _, name := range first {
		if v, ok := find(obj, name); ok {
			out = append(out, member{name, v})
			front[name] = true
		}
	}
	for _, m := range obj {
		if !front[m.name] {
			out = append(out, m)
		}
	}
	return out
}

// objects reports whether list has elements and all are objects.
func objects(list []any) bool {
	for _, e := range list {
		if _, ok := e.([]member); !ok {
			return false
		}
	}
	return len(list) > 0
}

// nested writes a list of objects under a title.
func (p *Printer) nested(title string, list []any) error {
	columns, known := p.Nested[title]
	if !known {
		columns = used(list)
	}
	rows := [][]string{}
	for _, e := range list {
		rows = append(rows, p.row(e, columns))
	}
	if err := p.line("\n" + title + ":"); err != nil {
		return err
	}
	return p.table(titles(columns), rows)
}

// member returns the value of m; for a person, a time with how long that is
// ago.
func (p *Printer) member(m member) string {
	s := cell(m.value)
	if ago := p.ago(m.name, s); p.TTY && ago != s {
		return s + " (" + ago + ")"
	}
	return s
}

// used returns the members that any object of list has a value for.
func used(list []any) []string {
	var columns []string
	seen := map[string]bool{}
	for _, e := range list {
		for _, m := range e.([]member) {
			if !seen[m.name] && cell(m.value) != "" {
				seen[m.name] = true
				columns = append(columns, m.name)
			}
		}
	}
	return columns
}

func titles(columns []string) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = strings.ToUpper(strings.ReplaceAll(c, "_", " "))
	}
	return out
}

func (p *Printer) row(v any, columns []string) []string {
	obj, ok := v.([]member)
	if !ok {
		return []string{cell(v)}
	}
	out := make([]string, len(columns))
	for i, c := range columns {
		value, _ := find(obj, c)
		out[i] = cell(value)
		if p.TTY {
			out[i] = p.ago(c, out[i])
		}
	}
	return out
}

// cell returns v on one line, without anything a terminal would obey.
func cell(v any) string {
	var s string
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		s = v
	default:
		s = compact(v)
	}
	return clean(s)
}

// clean returns s on one line, without what a terminal would obey.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case unicode.IsControl(r):
			return -1
		default:
			return r
		}
	}, s)
}

// Text returns s, which may have several lines, without anything a terminal
// would obey.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
}
