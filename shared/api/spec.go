package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"bldst/shared/auth"
	"bldst/shared/problem"
	"bldst/shared/version"

	"github.com/danielgtaylor/huma/v2"
)

// What the OpenAPI document says of the API as a whole.
const (
	Title   = "Build State API"
	Version = version.Number
)

// Description is the introduction of the document, in Markdown.
//
//go:embed introduction.md
var Description string

// Tags are the sections of the document, in their order:
// first what a pipeline calls, then what a person looks at and sets up.
var Tags = []string{"Builds", "Resume", "Artifacts", "Variables", "Jobs", "Dashboard", "Metrics", "Projects", "State Codes",
	"Platforms", "OS Versions", "Image Types", "Cloud Providers", "OS Distributions", "Image Variants", "Notifications", "Webhooks",
	"Authentication", "Users", "Audit", "Health", "default"}

// always are the problems every endpoint may answer with.
var always = []problem.Kind{problem.Internal, problem.Unavailable}

// document completes what the framework derived from the Go types of op:
// scope, examples and error answers.
func (a *API) document(op Op) {
	spec := a.huma.OpenAPI()
	o := operationOf(spec.Paths[op.Path], op.Method)
	scopeDoc(o, op)
	example(o.RequestBody, op.Request)
	for code, r := range o.Responses {
		if code == strconv.Itoa(max(op.Status, http.StatusOK)) && op.Answer != nil && r.Content["application/json"] != nil {
			r.Content["application/json"].Example = plain(op.Answer)
		}
	}
	delete(o.Responses, "default")
	if op.Also != 0 {
		also := *o.Responses[strconv.Itoa(max(op.Status, http.StatusOK))]
		also.Description = http.StatusText(op.Also)
		o.Responses[strconv.Itoa(op.Also)] = &also
	}
	for _, k := range op.answers() {
		errorDoc(spec, o, k)
	}
	shareErrors(spec, o)
	if op.Form && o.RequestBody != nil {
		json := o.RequestBody.Content["application/json"]
		for _, ct := range []string{"application/x-www-form-urlencoded", "multipart/form-data"} {
			o.RequestBody.Content[ct] = &huma.MediaType{Schema: json.Schema}
		}
	}
}

// answers are the kinds op may answer with.
func (op Op) answers() []problem.Kind {
	ks := slices.Concat(op.Problems, always)
	if op.Scope != auth.Public {
		ks = append(ks, problem.Unauthorized, problem.Forbidden)
	}
	if op.Method == http.MethodPost || op.Method == http.MethodPut || op.Method == http.MethodPatch {
		ks = append(ks, problem.Invalid, problem.TooLarge, problem.UnsupportedMediaType)
	}
	if op.Method == http.MethodPost {
		ks = append(ks, problem.Conflict)
	}
	if op.Method == http.MethodGet || op.Method == http.MethodDelete {
		ks = append(ks, problem.Invalid)
	}
	return ks
}

func operationOf(p *huma.PathItem, method string) *huma.Operation {
	switch method {
	case http.MethodGet:
		return p.Get
	case http.MethodPost:
		return p.Post
	case http.MethodPut:
		return p.Put
	case http.MethodPatch:
		return p.Patch
	default:
		return p.Delete
	}
}

// allowNull lets callers send null for every field that is not required: older
// clients send null for "not supplied".
func allowNull(s *huma.Schema) {
	for name, prop := range s.Properties {
		if !slices.Contains(s.Required, name) && prop.Ref == "" && prop.Type != "" {
			prop.Nullable = true
		}
	}
}

func scopeDoc(o *huma.Operation, op Op) {
	if o.Description != "" {
		o.Description += "\n\n"
	}
	switch op.Scope {
	case auth.Public:
		o.Description += "No credential needed."
		o.Security = []map[string][]string{}
		return
	case auth.Any:
		o.Description += "Any valid credential."
	default:
		o.Description += fmt.Sprintf("Scope: %s.", op.Scope)
	}
	o.Security = []map[string][]string{{"apiKey": {}}, {"bearer": {}}}
	if o.Extensions == nil {
		o.Extensions = map[string]any{}
	}
	o.Extensions["x-scope"] = string(op.Scope)
}

func example(b *huma.RequestBody, v any) {
	if b != nil && v != nil && b.Content["application/json"] != nil {
		b.Content["application/json"].Example = plain(v)
	}
}

func errorDoc(spec *huma.OpenAPI, o *huma.Operation, k problem.Kind) {
	code := strconv.Itoa(k.Status())
	if r := o.Responses[code]; r != nil && r.Content["application/json"] != nil {
		r.Content["application/json"].Examples[string(k)] = exampleOf(spec, k)
		return
	}
	schema := spec.Components.Schemas.Schema(errorType, true, "Error")
	o.Responses[code] = &huma.Response{Description: http.StatusText(k.Status()), Content: map[string]*huma.MediaType{
		"application/json": {Schema: schema, Examples: map[string]*huma.Example{string(k): exampleOf(spec, k)}}}}
}

// exampleOf returns a reference to the one example of an answer of kind k.
func exampleOf(spec *huma.OpenAPI, k problem.Kind) *huma.Example {
	if spec.Components.Examples == nil {
		spec.Components.Examples = map[string]*huma.Example{}
	}
	spec.Components.Examples[string(k)] = &huma.Example{Value: map[string]any{
		"detail": exampleDetail(k), "code": string(k), "request_id": "0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3d"}}
	return &huma.Example{Ref: "#/components/examples/" + string(k)}
}

func exampleDetail(k problem.Kind) any {
	switch k {
	case problem.Invalid:
		return []map[string]any{{"loc": []any{"body", "name"}, "msg": "Field required", "type": "missing"}}
	case problem.Unauthorized:
		return "Authentication required. Use Bearer token or X-API-Key."
	case problem.Forbidden:
		return "Write permission required"
	case problem.Internal:
		return "Internal Server Error"
	default:
		if detail := exampleDetails[k]; detail != "" {
			return detail
		}
		return http.StatusText(k.Status())
	}
}

// exampleDetails are what the answers of these kinds say.
var exampleDetails = map[problem.Kind]string{
	problem.Refused:            "The body could not be read; send it again.",
	problem.NotFound:           "Build with id '2024.02.007' not found",
	problem.Conflict:           "A platform called 'azure' exists already; choose another name.",
	problem.Ambiguous:          "Several projects are called 'images'; use the id of one.",
	problem.StaleAttempt:       "This worker belongs to attempt 1; attempt 2 has taken over. Stop working.",
	problem.PreconditionFailed: "It was changed meanwhile; read it again and use the new ETag.",
	problem.Unavailable:        "The table is busy; try again.",
	problem.BuildCompleted:     "The build is completed; nothing is left to resume.",
	problem.BuildCancelled:     "The build was cancelled; resume it with force.",
	problem.BuildRunning:       "The build is being worked on; wait, or take it over.",
	problem.NothingDone:        "No state of the build is completed; start it from the beginning.",
	problem.StateNotResumable:  "State 45 cannot be resumed from; choose an earlier one.",
	problem.ArtifactMissing:    "The checkpoint 'root' of state 40 is not registered.",
	problem.ArtifactExpired:    "The checkpoint 'root' of state 40 has expired.",
	problem.ArtifactRevoked:    "The checkpoint 'root' of state 40 was revoked.",
	problem.VariableMissing:    "The variable 'ami_id' that the resume needs is not set.",
	problem.ResumeInProgress:   "A resume of this build is under way already.",
	problem.BreakerOpen:        "The breaker of this image line is open after repeated failures; close it to resume.",
}

// plain turns an example of any Go type into the JSON a caller sees.
func plain(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("example %T: %v", v, err))
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}

// shareErrors moves the error answers of o to where other endpoints with the
// same ones find them, as long as their kinds make a name.
func shareErrors(spec *huma.OpenAPI, o *huma.Operation) {
	for code, r := range o.Responses {
		m := r.Content["application/json"]
		if m == nil || code < "400" || len(m.Examples) == 0 || len(m.Examples) > 3 {
			continue
		}
		name := strings.Join(slices.Sorted(maps.Keys(m.Examples)), ".")
		if spec.Components.Responses == nil {
			spec.Components.Responses = map[string]*huma.Response{}
		}
		spec.Components.Responses[name] = r
		o.Responses[code] = &huma.Response{Ref: "#/components/responses/" + name}
	}
}

// showNulls lets every field be null whose Go value is then written as null.
// (The framework knows that of numbers and words only.)
func showNulls(r huma.Registry) {
	for name, s := range r.Map() {
		t := r.TypeFromRef("#/components/schemas/" + name)
		if t == nil || t.Kind() != reflect.Struct {
			continue
		}
		for _, f := range reflect.VisibleFields(t) {
			tag := strings.Split(f.Tag.Get("json"), ",")
			if p := s.Properties[tag[0]]; p != nil && nilable(f.Type) && !slices.Contains(tag, "omitempty") && !slices.Contains(tag, "omitzero") {
				s.Properties[tag[0]] = orNull(p)
			}
		}
	}
}

func nilable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return true
	default:
		return false
	}
}

func orNull(s *huma.Schema) *huma.Schema {
	switch {
	case s.Ref != "":
		return &huma.Schema{AnyOf: []*huma.Schema{s, {Type: "null"}}, Description: s.Description}
	case s.Type != "":
		s.Nullable = true
	}
	return s
}

// Spec returns the OpenAPI 3.1 document of every endpoint, indented. It is
// written only when it is asked for: a function does not start slower for it.
func (a *API) Spec() ([]byte, error) {
	spec := a.huma.OpenAPI()
	for _, write := range a.docs {
		write()
	}
	a.docs = nil
	showNulls(spec.Components.Schemas)
	spec.Info.Description = Description // here, so that no function carries it
	spec.Servers = []*huma.Server{{URL: ".", Description: "Where this document is."}}
	spec.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"apiKey": {Type: "apiKey", In: "header", Name: "X-API-Key", Description: "Looked at first."},
		"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "From POST /token."},
	}
	spec.Tags = nil
	for _, t := range Tags {
		spec.Tags = append(spec.Tags, &huma.Tag{Name: t})
	}
	b, err := json.MarshalIndent(spec, "", " ")
	return append(b, '\n'), err
}
