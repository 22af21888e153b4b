package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"bldst/shared/problem"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// A Keeper is a body that must not be lost for a field that is only kept, such
// as the report of a failure. Its pointer implements it.
type Keeper interface {
	// Ornaments are the fields that nothing depends on.
	Ornaments() []string
	// Keep takes the ornaments that could not be read, as they were sent. It
	// returns false when the body is to be refused for them after all.
	Keep(unread map[string]string) bool
}

// Decode reads a body that did not come through an endpoint, exactly as an
// endpoint reads it: the same form, limits and spellings. It returns what a
// caller should be warned of, and an Invalid problem that names every field
// that is wrong.
func Decode[T any](body []byte) (T, []string, error) {
	var v T
	if len(body) > MaxBody {
		return v, nil, tooLarge()
	}
	if err := checkJSON(body); err != nil {
		return v, nil, err
	}
	f := formOf(reflect.TypeFor[T]())
	notes, err := f.decode(body, &v)
	return v, notes.sentences(), err
}

// A form is what is known of the bodies of one type.
type form struct {
	registry huma.Registry
	schema   *huma.Schema
	fixed    map[string]bool // fields of the answer that a change cannot have
}

// shared holds the schemas of types that no endpoint takes.
var shared = sync.OnceValue(func() huma.Registry {
	return humago.New(http.NewServeMux(), framework()).OpenAPI().Components.Schemas
})

var (
	forms   sync.Map   // reflect.Type -> *form
	formsMu sync.Mutex // of shared
)

// formOf returns the form of a type that no endpoint takes.
func formOf(t reflect.Type) *form {
	if f, ok := forms.Load(t); ok {
		return f.(*form)
	}
	formsMu.Lock()
	defer formsMu.Unlock()
	f := &form{registry: shared()}
	f.schema = f.deref(f.registry.Schema(t, true, t.Name()))
	allowNull(f.schema)
	forms.Store(t, f)
	return f
}

func (f *form) deref(s *huma.Schema) *huma.Schema {
	for s != nil && s.Ref != "" {
		s = f.registry.SchemaFromRef(s.Ref)
	}
	return s
}

// notes are what was not used of an input.
type notes struct {
	unknown []unknown
	unread  map[string]string
	whole   bool // the body is an object as it was read before
}

// An unknown is a field or parameter nobody knows.
type unknown struct {
	loc  []any
	near string // what was probably meant
}

func (u unknown) field() problem.Field {
	msg := "There is no such field here"
	if u.loc[0] == "query" {
		msg = "There is no such parameter here"
	}
	if u.near != "" {
		msg += "; did you mean '" + u.near + "'?"
	}
	return problem.Field{Loc: u.loc, Msg: msg, Type: "unknown_field"}
}

func (u unknown) sentence() string {
	what := "field"
	if u.loc[0] == "query" {
		what = "query parameter"
	}
	parts := make([]string, len(u.loc)-1)
	for i, p := range u.loc[1:] {
		parts[i] = fmt.Sprint(p)
	}
	text := fmt.Sprintf("The %s '%s' is unknown here and was ignored", what, clip(strings.Join(parts, "."), 100))
	if u.near != "" {
		text += "; did you mean '" + u.near + "'?"
	}
	return text
}

func (n notes) sentences() []string {
	var out []string
	for _, u := range n.unknown {
		out = append(out, u.sentence())
	}
	for _, name := range slices.Sorted(maps.Keys(n.unread)) {
		out = append(out, fmt.Sprintf("The field '%s' could not be read and was kept as it is: %s", name, clip(n.unread[name], 100)))
	}
	return out
}

// decode checks body against f and decodes it into v, a pointer.
func (f *form) decode(body []byte, v any) (notes, error) {
	var n notes
	var parsed any
	if err := json.Unmarshal(body, &parsed); err != nil {
		return n, invalid(undecoded(err))
	}
	fields, _ := parsed.(map[string]any)
	keeper, _ := v.(Keeper)
	var edits map[string]string
	if keeper != nil {
		edits = f.loosen(fields, body, keeper.Ornaments())
	}
	_, id := fields["id"]
	_, created := fields["created_at"]
	n.whole = id && created
	bad := f.check(parsed, &n)
	var odd []problem.Field
	if keeper != nil {
		if bad, odd = split(bad, keeper.Ornaments()); len(odd) > 0 {
			n.unread = takeOut(odd, body, edits)
		}
	}
	if len(bad) > 0 {
		return n, invalid(append(bad, odd...)...)
	}
	body, err := edited(body, edits)
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		return n, invalid(undecoded(err))
	}
	if len(n.unread) > 0 && !keeper.Keep(n.unread) {
		return n, invalid(odd...)
	}
	return n, nil
}

func invalid(fields ...problem.Field) *problem.Problem {
	return &problem.Problem{Kind: problem.Invalid, Fields: fields}
}

// undecoded turns what the decoder says into a Field.
func undecoded(err error) problem.Field {
	if f, ok := undecodable(err.Error()); ok {
		return f
	}
	return problem.Field{Loc: []any{"body"}, Msg: "Not valid JSON: " + err.Error(), Type: "json_invalid"}
}

// check returns what is wrong with the parsed body, and notes what is unknown
// of it.
func (f *form) check(parsed any, n *notes) []problem.Field {
	var out []problem.Field
	f.walk(f.schema, parsed, []any{"body"}, n, &out)
	res := &huma.ValidateResult{}
	path := huma.NewPathBuffer([]byte{}, 0)
	path.Push("body")
	huma.Validate(f.registry, f.schema, path, huma.ModeWriteToServer, parsed, res)
	for _, err := range res.Errors {
		out = append(out, field(err))
	}
	return out
}

// walk looks for fields that are not in the schema, and for times that are
// none. A field in another case is given the name that the schema has for it:
// the decoder takes it too.
func (f *form) walk(s *huma.Schema, v any, at []any, n *notes, bad *[]problem.Field) {
	if s = f.deref(s); isTime(s) {
		if _, err := timeOf(v); err != nil && v != nil {
			*bad = append(*bad, problem.Field{Loc: at, Msg: sentence(err.Error()), Type: "value_error"})
		}
		return
	}
	switch v := v.(type) {
	case map[string]any:
		if len(s.Properties) == 0 {
			if each, ok := s.AdditionalProperties.(*huma.Schema); ok {
				for name, inner := range v {
					f.walk(each, inner, append(slices.Clip(at), name), n, bad)
				}
			}
			return
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			known := f.known(s, name)
			if known == "" {
				f.unknown(s, name, v[name], at, n, bad)
				continue
			}
			if known != name {
				v[known] = v[name]
				delete(v, name)
			}
			if p := s.Properties[known]; p.Ref != "" || p.Type == "" || p.Type == huma.TypeObject || p.Type == huma.TypeArray {
				f.walk(p, v[known], append(slices.Clip(at), known), n, bad)
			}
		}
	case []any:
		if s.Items != nil {
			for i, inner := range v {
				f.walk(s.Items, inner, append(slices.Clip(at), i), n, bad)
			}
		}
	}
}

// known returns the property of s that a field called name is, "" for none.
func (f *form) known(s *huma.Schema, name string) string {
	if s.Properties[name] != nil {
		return name
	}
	for p := range s.Properties {
		if strings.EqualFold(p, name) {
			return p
		}
	}
	return ""
}

// unknown notes a field that is not in s. One that the answer has is refused:
// the caller expects to have changed it.
func (f *form) unknown(s *huma.Schema, name string, v any, at []any, n *notes, bad *[]problem.Field) {
	loc := append(slices.Clip(at), name)
	switch {
	case len(at) == 1 && f.fixed[name] && (v == nil || n.whole): // not supplied, or sent back as it was read
	case len(at) == 1 && f.fixed[name]:
		*bad = append(*bad, problem.Field{Loc: loc, Msg: "This cannot be changed here; leave it out", Type: "read_only"})
	default:
		n.unknown = append(n.unknown, unknown{loc: loc, near: Nearest(name, slices.Sorted(maps.Keys(s.Properties)))})
	}
}

// split parts what is wrong with ornaments from what is wrong with the rest.
func split(fields []problem.Field, ornaments []string) (bad, odd []problem.Field) {
	for _, f := range fields {
		if name, ok := topField(f); ok && slices.Contains(ornaments, name) {
			odd = append(odd, f)
		} else {
			bad = append(bad, f)
		}
	}
	return bad, odd
}

func topField(f problem.Field) (string, bool) {
	if len(f.Loc) < 2 {
		return "", false
	}
	name, ok := f.Loc[1].(string)
	return name, ok
}

// maxUnread bounds what is kept of a value that could not be read.
const maxUnread = 1000

// takeOut returns the ornaments that are wrong as they were sent, and notes
// in edits that they go.
func takeOut(odd []problem.Field, body []byte, edits map[string]string) map[string]string {
	var raw map[string]json.RawMessage
	_ = json.Unmarshal(body, &raw)
	out := map[string]string{}
	for _, f := range odd {
		name, _ := topField(f)
		for sent, v := range raw {
			if !strings.EqualFold(sent, name) {
				continue
			}
			var text string
			if json.Unmarshal(v, &text) != nil {
				text = string(v)
			}
			out[name], edits[sent] = strings.ToValidUTF8(clip(text, maxUnread), ""), ""
		}
	}
	return out
}

// loosen reads a number in quotes where a number belongs, and a number where an
// ornament is a text. It returns the fields with the JSON they are to have.
func (f *form) loosen(fields map[string]any, body []byte, ornaments []string) map[string]string {
	edits := map[string]string{}
	var raw map[string]json.RawMessage
	for name, v := range fields {
		p := f.schema.Properties[name]
		if p == nil {
			continue
		}
		switch text, isText := v.(string); {
		case isText && (p.Type == huma.TypeInteger || p.Type == huma.TypeNumber):
			if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
				fields[name], edits[name] = float64(n), strconv.FormatInt(n, 10)
			}
		case !isText && v != nil && p.Type == huma.TypeString && len(p.Enum) == 0 && slices.Contains(ornaments, name):
			if _, number := v.(float64); number {
				if raw == nil {
					_ = json.Unmarshal(body, &raw)
				}
				fields[name], edits[name] = string(raw[name]), strconv.Quote(string(raw[name]))
			}
		}
	}
	return edits
}

// edited returns the object body with the fields of edits as they are there;
// those that are "" there are left out.
func edited(body []byte, edits map[string]string) ([]byte, error) {
	if len(edits) == 0 {
		return body, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, err
	}
	for name, v := range edits {
		if raw[name] = json.RawMessage(v); v == "" {
			delete(raw, name)
		}
	}
	return json.Marshal(raw)
}

// Nearest returns the one of known that word is probably a typing mistake of,
// "" when it looks like none.
func Nearest(word string, known []string) string {
	best, least := "", 3 // more than two typing mistakes are another word
	for _, k := range known {
		if len(word) < 4 || len(word) > 40 || len(k) < 4 || len(word)-len(k) > 2 || len(k)-len(word) > 2 {
			continue
		}
		if n := typos(strings.ToLower(word), k); n < least {
			best, least = k, n
		}
	}
	return best
}

// typos returns how many letters must be added, left out, changed or swapped
// with their neighbour to make b of a.
func typos(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
