package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"bldst/shared/problem"

	"github.com/danielgtaylor/huma/v2"
)

// An Error is the body of every failed answer. Detail is a sentence, or for
// input of the wrong form the list of problem.Field.
type Error struct {
	Detail    Detail       `json:"detail" required:"true"`
	Code      problem.Kind `json:"code" required:"true" doc:"Stable, machine-readable class of the error."`
	RequestID string       `json:"request_id" required:"true" doc:"Also in the header X-Request-Id and in the log."`

	p *problem.Problem
}

// Detail is a string or a list of problem.Field.
type Detail struct{ v any }

// MarshalJSON writes the string or the list.
func (d Detail) MarshalJSON() ([]byte, error) { return json.Marshal(d.v) }

// Schema implements huma.SchemaProvider.
func (Detail) Schema(huma.Registry) *huma.Schema {
	field := &huma.Schema{Type: huma.TypeObject, Required: []string{"loc", "msg", "type"}, Properties: map[string]*huma.Schema{
		"loc":  {Type: huma.TypeArray, Items: &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeInteger}}}},
		"msg":  {Type: huma.TypeString},
		"type": {Type: huma.TypeString},
	}}
	return &huma.Schema{
		Description: "What is wrong and what to do: a sentence, or for status 422 the list of invalid inputs.",
		OneOf:       []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeArray, Items: field}},
	}
}

func (e *Error) Error() string             { return e.p.Error() }
func (e *Error) GetStatus() int            { return e.p.Kind.Status() }
func (e *Error) ContentType(string) string { return "application/json" }

// GetHeaders returns the headers that belong to the error.
func (e *Error) GetHeaders() http.Header {
	h := http.Header{}
	switch e.p.Kind {
	case problem.Unauthorized:
		h.Set("WWW-Authenticate", "Bearer, X-API-Key")
	case problem.MethodNotAllowed:
		h.Set("Allow", e.p.Allow)
	case problem.Unavailable:
		h.Set("Retry-After", strconv.Itoa(max(1, int(e.p.RetryAfter.Seconds()))))
	default:
		if e.p.RetryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(max(1, int(e.p.RetryAfter.Seconds()))))
		}
	}
	return h
}

func (e *Error) body() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(e)
	return b.Bytes()
}

// fail turns err into the answer of the request in ctx. The cause of an
// internal error goes to the log line only.
func fail(ctx context.Context, err error) *Error {
	p := problem.From(err)
	st := stateOf(ctx)
	if p.Err != nil {
		st.cause = p.Err
	}
	e := &Error{Code: p.Kind, RequestID: st.ID, p: p, Detail: Detail{p.Detail}}
	if len(p.Fields) > 0 {
		e.Detail.v = p.Fields
	}
	return e
}

var errorType = reflect.TypeFor[Error]()

func init() {
	huma.NewErrorWithContext = func(hc huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return fail(hc.Context(), frameworkProblem(status, msg, errs))
	}
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return fail(context.Background(), frameworkProblem(status, msg, errs))
	}
}

// frameworkProblem translates what huma says of bad input into our words.
// Huma answers unreadable JSON with 400; here that is 422 like every input of
// the wrong form, since 400 means "against a rule".
func frameworkProblem(status int, msg string, errs []error) *problem.Problem {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return tooLarge()
	case status == http.StatusUnsupportedMediaType:
		return problem.New(problem.UnsupportedMediaType, "Send the body as application/json.")
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		p := &problem.Problem{Kind: problem.Invalid}
		for _, err := range errs {
			p.Fields = append(p.Fields, field(err))
		}
		if len(p.Fields) == 0 {
			p.Fields = []problem.Field{{Loc: []any{"body"}, Msg: sentence(msg), Type: "value_error"}}
		}
		return p
	default:
		p := &problem.Problem{Kind: problem.Internal, Detail: "Internal Server Error", Err: fmt.Errorf("framework: %d %s: %v", status, msg, errs)}
		return p
	}
}

// field turns one validation error of huma into a Field.
func field(err error) problem.Field {
	d, ok := err.(huma.ErrorDetailer)
	if !ok {
		return problem.Field{Loc: []any{"body"}, Msg: sentence(err.Error()), Type: "value_error"}
	}
	det := d.ErrorDetail()
	if f, ok := undecodable(det.Message); ok {
		return f
	}
	loc := location(det.Location)
	if name, ok := strings.CutPrefix(det.Message, "expected required property "); ok {
		name = strings.TrimSuffix(name, " to be present")
		return problem.Field{Loc: append(loc, name), Msg: "Field required", Type: "missing"}
	}
	if det.Location == "body" && strings.Contains(det.Message, "character") || strings.Contains(det.Message, "unexpected end of JSON") {
		return problem.Field{Loc: []any{"body"}, Msg: "Not valid JSON: " + det.Message, Type: "json_invalid"}
	}
	if det.Message == "expected length >= 1" {
		return problem.Field{Loc: loc, Msg: "It is empty; look whether a variable is not set", Type: "value_error"}
	}
	if strings.HasPrefix(det.Message, "expected value to match exactly one schema") { // the only choice we offer: see IntOrString
		return problem.Field{Loc: loc, Msg: "Expected a whole number or a name", Type: "type_error"}
	}
	return problem.Field{Loc: loc, Msg: sentence(det.Message), Type: kindOfMessage(det.Message)}
}

// undecodable turns what the decoder says of a value of the right form that
// does not fit, such as a number that is too large, into a Field; false for any
// other message.
func undecodable(msg string) (problem.Field, bool) {
	value, ok := strings.CutPrefix(msg, "json: cannot unmarshal ")
	if !ok {
		return problem.Field{}, false
	}
	value, where, _ := strings.Cut(value, " into Go ")
	loc := []any{"body"}
	if name, ok := strings.CutPrefix(where, "struct field "); ok {
		name, _, _ = strings.Cut(name, " of type ")
		_, name, _ = strings.Cut(name, ".")
		loc = append(loc, location(name)...)
	}
	return problem.Field{Loc: loc, Msg: fmt.Sprintf("Out of range or of another type: %s", clip(value, 100)), Type: "type_error"}, true
}

// location splits "body.items[3].tags" into its parts.
func location(s string) []any {
	var out []any
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		if n, err := strconv.Atoi(part); err == nil && len(out) > 0 {
			out = append(out, n)
			continue
		}
		out = append(out, part)
	}
	if out == nil {
		out = []any{"body"}
	}
	return out
}

// typeMessages are what the framework says of a value of another type. More
// words, as in "expected number <= 100", are about a value of the right type.
var typeMessages = []string{"expected number", "expected integer", "expected string", "expected boolean", "expected array", "expected object"}

func kindOfMessage(msg string) string {
	switch {
	case strings.HasPrefix(msg, "request body is required"), strings.Contains(msg, "parameter is missing"):
		return "missing"
	case slices.Contains(typeMessages, msg),
		strings.HasPrefix(msg, "invalid integer"), strings.HasPrefix(msg, "invalid value"), strings.HasPrefix(msg, "invalid boolean"):
		return "type_error"
	default:
		return "value_error"
	}
}

func sentence(s string) string {
	if s == "" {
		return "invalid"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func tooLarge() *problem.Problem {
	return problem.New(problem.TooLarge, "The body is larger than %d bytes; store large data elsewhere and send its address.", MaxBody)
}
