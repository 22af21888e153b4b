package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A source is the text of a pipeline, for messages that say where.
type source struct {
	name string
	text []byte
	tree *ast.File
}

// An Error is a mistake in the file.
type Error struct {
	File         string
	Line, Column int
	Text         string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// Parse reads a pipeline from text; name is for messages.
func Parse(name string, text []byte) (*Pipeline, error) {
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, place(name, err)
	}
	p := &Pipeline{file: &source{name, text, tree}}
	switch err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(p); {
	case errors.Is(err, io.EOF):
		return nil, &Error{name, 1, 1, "the file is empty; 'bldst init' writes one to begin with"}
	case err != nil:
		return nil, place(name, err)
	}
	return p, p.check()
}

// located is the beginning of a message of the YAML library.
var located = regexp.MustCompile(`(?s)^\[(\d+):(\d+)\] (.*)$`)

// place makes a mistake that the YAML library found one of ours.
func place(name string, err error) error {
	m := located.FindStringSubmatch(yaml.FormatError(err, false, false))
	if m == nil {
		return &Error{name, 1, 1, err.Error()}
	}
	e := &Error{File: name, Text: m[3]}
	_, _ = fmt.Sscan(m[1], &e.Line)
	_, _ = fmt.Sscan(m[2], &e.Column)
	if field, ok := strings.CutPrefix(e.Text, "unknown field "); ok {
		e.Text = fmt.Sprintf("unknown field %s; see 'bldst run --schema' for those there are", field)
	}
	switch {
	case strings.HasPrefix(e.Text, "found character '\t'"):
		e.Text = "a tab cannot indent YAML; use spaces"
	case strings.HasPrefix(e.Text, "mapping value is not allowed"):
		e.Text += "; a text with ': ' in it needs quotes, or 'run: |' and the text on lines of its own"
	}
	return e
}

// at returns the mistake at a path of the file, such as $.states[2].code.
func (s *source) at(path, format string, args ...any) error {
	e := &Error{File: s.name, Line: 1, Column: 1, Text: fmt.Sprintf(format, args...)}
	for path != "$" { // a member that is missing is told at what it is missing in
		if p, err := yaml.PathString(path); err == nil {
			if node, err := p.FilterFile(s.tree); err == nil && node != nil {
				at := node.GetToken().Position
				e.Line, e.Column = at.Line, at.Column
				break
			}
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 1)]
	}
	return e
}

var (
	aTarget   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	aVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	aWhen     = regexp.MustCompile(`^(always|missing \S+|if .+)$`)
)

// check finds what the types of the fields do not say.
func (p *Pipeline) check() error {
	if p.Version != 1 {
		return p.file.at("$.version", "version must be 1, the only one there is")
	}
	if len(p.States) == 0 {
		return p.file.at("$.states", "there are no states; give at least one with code and run")
	}
	targets, err := p.checkTargets()
	if err != nil {
		return err
	}
	seen, saved := map[int][]string{}, map[string][]string{} // targets by code, and by what is saved
	for i, s := range p.States {
		path := fmt.Sprintf("$.states[%d]", i)
		if err := p.checkState(path, s, targets); err != nil {
			return err
		}
		mine := s.Targets
		if len(mine) == 0 {
			mine = append(slices.Clone(targets), "")
		}
		for _, t := range mine {
			if slices.Contains(seen[s.Code], t) {
				return p.file.at(path+".code", "state %d is there twice; give it another code from 0 to 100", s.Code)
			}
		}
		seen[s.Code] = append(seen[s.Code], mine...)
		for name := range s.Save {
			if slices.ContainsFunc(mine, func(t string) bool { return slices.Contains(saved[name], t) }) {
				return p.file.at(path+".save", "%s is saved by another state already; give each checkpoint a name of its own, such as %s-%d", name, name, s.Code)
			}
			saved[name] = append(saved[name], mine...)
		}
	}
	return nil
}

func (p *Pipeline) checkTargets() (names []string, err error) {
	for i, t := range p.Targets {
		path := fmt.Sprintf("$.targets[%d]", i)
		switch {
		case !aTarget.MatchString(t.Name):
			return nil, p.file.at(path+".name", "a target needs a name of letters, digits, '.', '_' and '-', not %q", t.Name)
		case slices.Contains(names, t.Name):
			return nil, p.file.at(path+".name", "target %s is there twice", t.Name)
		}
		names = append(names, t.Name)
	}
	return names, nil
}

func (p *Pipeline) checkState(path string, s State, targets []string) error {
	switch {
	case s.Code < 0 || s.Code > 100:
		return p.file.at(path+".code", "code must be from 0 to 100, not %d", s.Code)
	case !p.file.has(path + ".code"):
		return p.file.at(path, "the state has no code; give it a number from 0 to 100")
	case len(s.Run) == 0 || len(s.Run) == 1 && strings.TrimSpace(s.Run[0]) == "":
		return p.file.at(path+".run", "state %d has nothing to run", s.Code)
	case s.Retries < 0:
		return p.file.at(path+".retries", "retries must be 0 or more")
	case s.When != "" && !aWhen.MatchString(s.When):
		return p.file.at(path+".when", "when must be 'always', 'missing ARTIFACT' or 'if COMMAND', not %q", s.When)
	}
	for i, in := range s.Inputs {
		if name, ok := strings.CutPrefix(in, "$"); in == "" || ok && !aVariable.MatchString(name) {
			return p.file.at(fmt.Sprintf("%s.inputs[%d]", path, i), "an input is a path, or $NAME for a variable, not %q", in)
		}
	}
	for i, t := range s.Targets {
		if !slices.Contains(targets, t) {
			return p.file.at(fmt.Sprintf("%s.targets[%d]", path, i), "there is no target %s; there are: %s", t, strings.Join(targets, ", "))
		}
	}
	for name, value := range s.Save {
		if name == "" || value == "" {
			return p.file.at(path+".save", "what is saved has a name and a path")
		}
	}
	return nil
}

func (s *source) has(path string) bool {
	p, err := yaml.PathString(path)
	if err != nil {
		return false
	}
	_, err = p.FilterFile(s.tree)
	return err == nil
}
