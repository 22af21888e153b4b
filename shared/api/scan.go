package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"bldst/shared/problem"
)

// checkJSON refuses what the decoder would silently mend or choke on: what is
// no UTF-8, nested too deep, has a field twice, or halves of characters. That
// the text is JSON is seen when it is decoded.
func checkJSON(b []byte) error {
	if !utf8.Valid(b) {
		return invalid(problem.Field{Loc: []any{"body"}, Msg: "Not valid UTF-8", Type: "utf8_invalid"})
	}
	s := scanner{text: b}
	if f := s.scan(); f != nil {
		return invalid(*f)
	}
	return nil
}

func twice(loc []any) problem.Field {
	return problem.Field{Loc: loc, Msg: "It is there twice; send it once", Type: "duplicate_field"}
}

// A scanner goes over a JSON text once.
type scanner struct {
	text []byte
	open []level
}

// A level is an object or an array that is open where the scanner is.
type level struct {
	object bool
	naming bool     // the next string is the name of a field
	names  [][]byte // so far, as they stand in the text
	many   map[string]bool
	index  int // of an array
}

// scan returns the first thing that is wrong, nil for nothing.
func (s *scanner) scan() *problem.Field {
	for i := 0; i < len(s.text); i++ {
		top := s.top()
		switch c := s.text[i]; c {
		case '{', '[':
			if len(s.open) == MaxDepth {
				return &problem.Field{Loc: []any{"body"}, Msg: fmt.Sprintf("Nested deeper than %d levels", MaxDepth), Type: "too_deep"}
			}
			s.open = append(s.open, level{object: c == '{', naming: c == '{'})
		case '}', ']':
			s.open = s.open[:max(0, len(s.open)-1)]
		case ',':
			if top != nil {
				top.naming, top.index = top.object, top.index+1
			}
		case ':':
			if top != nil {
				top.naming = false
			}
		case '"':
			end := stringEnd(s.text, i+1)
			if f := s.str(top, s.text[i+1:min(end, len(s.text))]); f != nil {
				return f
			}
			i = end
		}
	}
	return nil
}

func (s *scanner) top() *level {
	if len(s.open) == 0 {
		return nil
	}
	return &s.open[len(s.open)-1]
}

// stringEnd returns where the string that begins at i ends.
func stringEnd(b []byte, i int) int {
	for ; i < len(b) && b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i
}

// str looks at a string: the name of a field, or a value.
func (s *scanner) str(top *level, raw []byte) *problem.Field {
	escaped := bytes.IndexByte(raw, '\\') >= 0
	if top != nil && top.naming {
		name := raw
		if escaped {
			name = unescaped(raw)
		}
		if top.has(name, len(s.open) == 1) {
			f := twice(append(s.path(), string(name)))
			return &f
		}
	}
	if escaped && halfCharacter(raw) {
		return &problem.Field{Loc: s.path(), Msg: "It holds half of a character (a lone surrogate)", Type: "unicode_invalid"}
	}
	return nil
}

func unescaped(raw []byte) []byte {
	var text string
	if json.Unmarshal(bytes.Join([][]byte{{'"'}, raw, {'"'}}, nil), &text) != nil {
		return raw
	}
	return []byte(text)
}

// fewNames is up to how many names of an object are compared one by one.
const fewNames = 32

// has notes name and reports whether the object has it already; in any case
// when fold is true.
func (l *level) has(name []byte, fold bool) bool {
	if len(l.names) < fewNames {
		for _, n := range l.names {
			if bytes.Equal(n, name) || fold && bytes.EqualFold(n, name) {
				return true
			}
		}
		l.names = append(l.names, name)
		return false
	}
	key := func(b []byte) string {
		if fold {
			return strings.ToLower(strings.ToUpper(string(b)))
		}
		return string(b)
	}
	if l.many == nil {
		l.many = map[string]bool{}
		for _, n := range l.names {
			l.many[key(n)] = true
		}
	}
	there := l.many[key(name)]
	l.many[key(name)] = true
	l.names[0] = name // the one that path names
	return there
}

// path returns where the scanner is.
func (s *scanner) path() []any {
	loc := []any{"body"}
	for _, l := range s.open {
		switch {
		case !l.object:
			loc = append(loc, l.index)
		case len(l.names) > 0 && !l.naming:
			loc = append(loc, string(l.last()))
		}
	}
	return loc
}

// last returns the name of the field that the level is in.
func (l *level) last() []byte {
	if l.many != nil {
		return l.names[0]
	}
	return l.names[len(l.names)-1]
}

// halfCharacter reports whether the string raw escapes half of a character:
// the decoder would put another one there.
func halfCharacter(raw []byte) bool {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		r, ok := escape(raw[i:])
		if !ok {
			i++
			continue
		}
		if i += 5; !utf16.IsSurrogate(r) {
			continue
		}
		low, ok := escape(raw[i+1:])
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// escape returns the code that b begins with as \uXXXX.
func escape(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}
