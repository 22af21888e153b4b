package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"bldst/shared/problem"

	"github.com/danielgtaylor/huma/v2"
)

// A Partial is a body that changes some fields of a T: those it has. null
// clears a field that may be null (a pointer in T), and stands for "not
// supplied" in any other, as older clients send it.
type Partial[T any] struct{ fields map[string]json.RawMessage }

// UnmarshalJSON keeps the fields for Apply.
func (p *Partial[T]) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &p.fields) }

// MarshalJSON writes the fields that are to be changed.
func (p Partial[T]) MarshalJSON() ([]byte, error) { return json.Marshal(p.fields) }

// Has reports whether the body has the field.
func (p Partial[T]) Has(field string) bool { _, ok := p.fields[field]; return ok }

// Null reports whether the body has the field and it is null.
func (p Partial[T]) Null(field string) bool { return string(p.fields[field]) == "null" }

// Apply changes v. Invalid when a field has the wrong type.
func (p Partial[T]) Apply(v *T) error {
	give := make(map[string]json.RawMessage, len(p.fields))
	for name, raw := range p.fields {
		if bytes.Equal(raw, []byte("null")) && !clearable(reflect.TypeFor[T](), name) {
			continue
		}
		give[name] = raw
	}
	b, err := json.Marshal(give)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		f, ok := undecodable(err.Error())
		if !ok {
			f = problem.Field{Loc: []any{"body"}, Msg: sentence(err.Error()), Type: "type_error"}
		}
		return &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{f}}
	}
	return nil
}

// clearable reports whether the field of t that JSON calls name is a pointer.
func clearable(t reflect.Type, name string) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			if clearable(f.Type, name) {
				return true
			}
			continue
		}
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == name {
			return f.Type.Kind() == reflect.Pointer
		}
	}
	return false
}

// Schema implements huma.SchemaProvider: that of T with nothing required and
// null allowed everywhere.
func (Partial[T]) Schema(r huma.Registry) *huma.Schema {
	full := r.Schema(reflect.TypeFor[T](), true, "")
	if full.Ref != "" {
		full = r.SchemaFromRef(full.Ref)
	}
	s := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Properties: map[string]*huma.Schema{}}
	for name, prop := range full.Properties {
		if prop.Ref == "" {
			c := *prop
			c.Nullable = c.Type != "" // a schema without a type allows null as it is
			prop = &c
		}
		s.Properties[name] = prop
	}
	return s
}
