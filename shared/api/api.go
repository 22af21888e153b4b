// Package api turns typed functions into HTTP endpoints: it decodes and
// validates input, checks the caller's scope, answers errors in one shape,
// recovers from panics and writes one log line per request. It is the only
// package that knows the HTTP framework (huma); a handler is a function from
// input to output and never sees a ResponseWriter.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"bldst/shared/auth"
	"bldst/shared/id"
	"bldst/shared/problem"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// An Authenticator turns the credentials of a request into its caller. Either
// may be empty. It returns a problem of kind Unauthorized when none is valid.
type Authenticator interface {
	Authenticate(ctx context.Context, apiKey, bearer string) (*auth.Caller, error)
}

// An Idempotency runs a POST at most once per key. It calls run, which returns
// the JSON of the answer, with a context under which every write of the table
// is held back and committed together with that answer. When the key was used
// before it returns the first answer instead, and replayed is true; when it
// was used with another fingerprint it returns a Conflict.
type Idempotency interface {
	Once(ctx context.Context, scope, key, fingerprint string, run func(context.Context) ([]byte, error)) (answer []byte, replayed bool, err error)
}

// Options are what an API needs from its host. Auth is required when any
// endpoint asks for a scope.
type Options struct {
	Auth        Authenticator
	Idempotency Idempotency      // nil: Idempotency-Key is ignored
	Log         *slog.Logger     // default: slog.Default()
	NewID       id.Source        // request ids; default id.New
	Now         func() time.Time // default time.Now
	Origins     []string         // CORS: allowed origins, "*" for all; none: no CORS headers
}

// An API is a set of endpoints served by one http.Handler.
type API struct {
	o    Options
	huma huma.API
	mux  *http.ServeMux
	ops  []Op
	docs []func() // what is still to be written into the document, see Spec

	root bool // there is an endpoint /
}

// New returns an API without endpoints.
func New(o Options) *API {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.NewID == nil {
		o.NewID = id.New
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	mux := http.NewServeMux()
	a := &API{o: o, huma: humago.New(mux, framework()), mux: mux}
	mux.HandleFunc("/", a.stray)
	return a
}

// framework returns huma's settings: JSON only, bodies left to package api,
// fields optional unless marked required, no documents and no schema links.
func framework() huma.Config {
	c := huma.DefaultConfig(Title, Version)
	c.CreateHooks = nil
	c.DocsPath, c.OpenAPIPath, c.SchemasPath = "", "", ""
	written := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: func([]byte, any) error { return nil }} // bodies are read by endpoint.decode
	c.Formats = map[string]huma.Format{"application/json": written, "json": written}
	c.AllowAdditionalPropertiesByDefault = true
	c.FieldsOptionalByDefault = true
	return c
}

// An Op describes an endpoint: everything the router, the OpenAPI document,
// the authorization test and the manifest need to know of it.
type Op struct {
	ID          string // stable, unique, e.g. "create-platform"
	Method      string
	Path        string   // canonical: hyphens, no trailing slash
	Aliases     []string // further paths with the same parameters; spelling variants (underscore, trailing slash) need no entry
	Scope       auth.Scope
	Tag         string
	Summary     string
	Description string
	Status      int            // of success; 0 is 200
	Form        bool           // the body may also be an HTML form, urlencoded or multipart
	Also        int            // a second status of success that it may answer with
	Raw         bool           // the input has RawBody alone: nothing looks at the body before the handler, which checks its signature
	Problems    []problem.Kind // it answers with, beside those every endpoint has
	Request     any            // example of the body, a value of its Go type
	Answer      any            // example of the answer, a value of its Go type
}

// Ops returns the endpoints in the order they were added, aliases included as
// Ops of their own.
func (a *API) Ops() []Op { return a.ops }

// Handle adds the endpoint op served by fn. fn returns a problem for every
// error the caller may see; any other error is answered as 500 and logged.
func Handle[In, Out any](a *API, op Op, fn func(context.Context, *In) (*Out, error)) {
	handler := once(a, op, fn)
	body := bodyField[In]()
	for i, path := range append([]string{op.Path}, op.Aliases...) {
		o := op
		o.Path, o.Aliases = path, nil
		if i > 0 {
			o.ID += "-alias-" + strings.Repeat("i", i)
			o.Summary += " (alias of " + op.Path + ")"
		}
		a.ops = append(a.ops, o)
		a.root = a.root || o.Path == "/"
		ep := &endpoint{op: o}
		huma.Register(a.huma, a.operation(ep), func(ctx context.Context, in *In) (*Out, error) {
			if err := ep.decode(ctx, in, body); err != nil {
				return nil, fail(ctx, err)
			}
			out, err := handler(ctx, in)
			if err != nil {
				return nil, fail(ctx, err)
			}
			return out, nil
		})
		ep.describe(a.huma.OpenAPI())
		a.docs = append(a.docs, func() { a.document(o) })
	}
}

func (a *API) operation(ep *endpoint) huma.Operation {
	op := ep.op
	o := huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: op.Path, Tags: []string{op.Tag},
		Summary: op.Summary, Description: op.Description, DefaultStatus: op.Status,
		MaxBodyBytes: MaxBody + 1, SkipValidateBody: true, Deprecated: strings.Contains(op.ID, "-alias-"),
		Middlewares: huma.Middlewares{a.guard(ep)},
	}
	if op.Claims() {
		o.Parameters = []*huma.Param{attemptParam()}
	}
	return o
}

// guard is the middleware of one endpoint: it finds the caller and checks the
// scope before anything of the input is looked at, and reads the body only then.
func (a *API) guard(ep *endpoint) func(huma.Context, func(huma.Context)) {
	op, claims := ep.op, ep.op.Claims()
	return func(hc huma.Context, next func(huma.Context)) {
		st := stateOf(hc.Context())
		st.op = op.ID
		err := a.admit(hc.Context(), st, op, hc.Header("X-API-Key"), hc.Header("Authorization"))
		if err == nil {
			r, _ := humago.Unwrap(hc)
			err = st.prepare(r)
		}
		if err == nil && !op.Raw {
			err = st.malformed
		}
		if err == nil && claims {
			err = st.claim(hc.Header(AttemptHeader))
		}
		if err == nil && st.form && !op.Form {
			err = problem.New(problem.UnsupportedMediaType, "Send the body as application/json.")
		}
		if err == nil {
			err = ep.query(hc)
		}
		if err != nil {
			e := fail(hc.Context(), err)
			for k, vs := range e.GetHeaders() {
				hc.SetHeader(k, vs[0])
			}
			hc.SetHeader("Content-Type", "application/json")
			hc.SetStatus(e.GetStatus())
			_, _ = hc.BodyWriter().Write(e.body())
			return
		}
		next(hc)
	}
}

func (a *API) admit(ctx context.Context, st *state, op Op, key, authorization string) error {
	if op.Scope == auth.Public {
		return nil
	}
	bearer, _ := cutBearer(authorization)
	if key == "" && bearer == "" {
		return problem.New(problem.Unauthorized, "Authentication required. Use Bearer token or X-API-Key.")
	}
	caller, err := a.o.Auth.Authenticate(ctx, key, bearer)
	if err != nil {
		return err
	}
	st.Caller = caller
	if !caller.Allows(op.Scope) {
		return problem.New(problem.Forbidden, "%s permission required", strings.ToUpper(string(op.Scope[:1]))+string(op.Scope[1:]))
	}
	return nil
}

func cutBearer(h string) (string, bool) {
	if len(h) > 7 && strings.EqualFold(h[:7], "bearer ") {
		return strings.TrimSpace(h[7:]), true
	}
	return "", false
}
