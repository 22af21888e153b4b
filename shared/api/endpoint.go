package api

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// An endpoint is an Op at one of its paths, and what it understands.
type endpoint struct {
	op     Op
	form   *form
	params []string // of its query
}

// describe takes over what the framework knows of the endpoint's input, once
// it is registered.
func (ep *endpoint) describe(spec *huma.OpenAPI) {
	o := operationOf(spec.Paths[ep.op.Path], ep.op.Method)
	for _, p := range o.Parameters {
		if p.In == "query" {
			ep.params = append(ep.params, p.Name)
		}
	}
	if o.RequestBody == nil || o.RequestBody.Content["application/json"] == nil {
		return
	}
	ep.form = &form{registry: spec.Components.Schemas}
	ep.form.schema = ep.form.deref(o.RequestBody.Content["application/json"].Schema)
	allowNull(ep.form.schema)
	if ep.op.Method == http.MethodPut || ep.op.Method == http.MethodPatch {
		ep.form.fixed = ep.answered(spec, o)
	}
}

// answered returns the fields of the endpoint's answer.
func (ep *endpoint) answered(spec *huma.OpenAPI, o *huma.Operation) map[string]bool {
	out := map[string]bool{}
	for _, r := range o.Responses {
		if c := r.Content["application/json"]; c != nil && c.Schema != nil {
			for name := range (&form{registry: spec.Components.Schemas}).deref(c.Schema).Properties {
				out[name] = true
			}
		}
	}
	return out
}

// bodyField returns the index of the field Body of In, nil when there is none.
func bodyField[In any]() []int {
	f, ok := reflect.TypeFor[In]().FieldByName("Body")
	if !ok {
		return nil
	}
	return f.Index
}

// decode decodes the body of the request in ctx into the field of in, a pointer
// to a struct. The caller is told what was not understood, or refused when it
// asked for that.
func (ep *endpoint) decode(ctx context.Context, in any, field []int) error {
	st := stateOf(ctx)
	if field == nil || len(st.body) == 0 || ep.form == nil {
		return nil
	}
	body := reflect.ValueOf(in).Elem().FieldByIndex(field)
	if body.Kind() == reflect.Pointer && string(st.body) != "null" {
		body.Set(reflect.New(body.Type().Elem()))
		body = body.Elem()
	}
	n, err := ep.form.decode(st.body, body.Addr().Interface())
	if err == nil {
		err = st.tell(ctx, n)
	}
	return err
}

// tell warns the caller of what was not understood, or refuses it.
func (st *state) tell(ctx context.Context, n notes) error {
	if st.strict && len(n.unknown) > 0 {
		p := invalid()
		for _, u := range n.unknown {
			p.Fields = append(p.Fields, u.field())
		}
		return p
	}
	for _, text := range n.sentences() {
		Warn(ctx, text)
	}
	return nil
}

// query looks for parameters that the endpoint does not know, and for known
// ones that are there twice.
func (ep *endpoint) query(hc huma.Context) error {
	u := hc.URL()
	if u.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		Warn(hc.Context(), "A part of the query is not escaped as it must be and was ignored")
	}
	var n notes
	for _, name := range sortedNames(values) {
		switch known := slices.Contains(ep.params, name); {
		case known && len(values[name]) > 1:
			return invalid(twice([]any{"query", name}))
		case !known:
			n.unknown = append(n.unknown, unknown{loc: []any{"query", name}, near: Nearest(name, ep.params)})
		}
	}
	return stateOf(hc.Context()).tell(hc.Context(), n)
}

func sortedNames(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// prefersStrict reports whether the caller wants what is unknown refused
// (RFC 7240, 4.4).
func prefersStrict(h http.Header) bool {
	for _, line := range h.Values("Prefer") {
		for _, p := range strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ';' }) {
			name, value, _ := strings.Cut(strings.ToLower(p), "=")
			if strings.TrimSpace(name) == "handling" {
				return strings.Trim(strings.TrimSpace(value), `"`) == "strict"
			}
		}
	}
	return false
}
