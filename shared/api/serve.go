package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"bldst/shared/auth"
	"bldst/shared/problem"
)

// Limits of a request.
const (
	MaxBody  = 1 << 20 // bytes of a body
	MaxDepth = 64      // nesting of a JSON body
)

// A state is what one request carries beside its input.
type state struct {
	path  string // as it was routed
	query string
	auth.Request
	op        string
	idemKey   string
	body      []byte
	form      bool
	strict    bool  // what is unknown is refused
	malformed error // what is wrong with the text of the body
	cause     error
	header    http.Header // of the answer
}

type stateKey struct{}

func stateOf(ctx context.Context) *state {
	if st, ok := ctx.Value(stateKey{}).(*state); ok {
		return st
	}
	return &state{}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := a.o.Now()
	st := &state{Request: auth.Request{ID: a.requestID(r), Address: address(r)}, idemKey: r.Header.Get("Idempotency-Key"), strict: prefersStrict(r.Header), header: w.Header()}
	r = r.WithContext(auth.WithRequest(context.WithValue(r.Context(), stateKey{}, st), &st.Request))
	rec := &recorder{ResponseWriter: w}
	h := w.Header()
	h.Set("X-Request-Id", st.ID)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store") // answers hold keys, secrets and what changes all the time
	a.cors(h, r)
	defer func() {
		if v := recover(); v != nil {
			st.cause = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			if rec.status == 0 {
				write(rec, fail(r.Context(), &problem.Problem{Kind: problem.Internal, Detail: "Internal Server Error", Err: st.cause}))
			}
		}
		a.log(r, st, rec.status, a.o.Now().Sub(start))
	}()
	a.route(rec, r, st)
}

// route answers what is not an endpoint itself and hands everything else to
// the framework. It never redirects.
func (a *API) route(w http.ResponseWriter, r *http.Request, st *state) {
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	r.URL.Path, r.URL.RawPath = canonical(r.URL.Path), canonical(r.URL.RawPath)
	if err := cleanPath(r.URL); err != nil {
		write(w, fail(r.Context(), err))
		return
	}
	if a.root && !a.routed(r) { // the framework takes the endpoint / for all paths below it
		a.stray(w, r)
		return
	}
	st.path, st.query = r.URL.Path, r.URL.RawQuery
	a.mux.ServeHTTP(w, r)
}

// canonical maps the spellings of a path to the one endpoints are added
// under: no trailing slash, hyphens in the names of collections. Segments that
// are not names of collections (ids, variable keys) are left alone.
func canonical(p string) string {
	if len(p) > 1 && p[len(p)-1] == '/' {
		p = p[:len(p)-1]
	}
	if strings.IndexByte(p, '_') < 0 {
		return p
	}
	segments := strings.Split(p, "/")
	for i, s := range segments {
		// Collections stand at odd places: /projects/{id}/state_codes/{id}.
		if i%2 == 1 && strings.IndexByte(s, '_') >= 0 {
			segments[i] = strings.ReplaceAll(s, "_", "-")
		}
	}
	return strings.Join(segments, "/")
}

// cleanPath refuses what the router would redirect or cannot route: empty and
// dot segments, control characters.
func cleanPath(u *url.URL) error {
	notFound := problem.New(problem.NotFound, "No such path. See /docs for the list of paths.")
	if u.Path == "" || u.Path[0] != '/' || !utf8.ValidString(u.Path) {
		return notFound
	}
	for _, r := range u.Path {
		if r < 0x20 || r == 0x7f {
			return notFound
		}
	}
	if raw := u.EscapedPath(); path.Clean(raw) != raw {
		return notFound
	}
	return nil
}

// routed reports whether an endpoint serves r. To the router the path / is
// everything below it; here it is itself.
func (a *API) routed(r *http.Request) bool {
	_, pattern := a.mux.Handler(r)
	return pattern != "" && pattern != "/" && (r.URL.Path == "/" || !strings.HasSuffix(pattern, " /"))
}

// stray answers a request that matches no endpoint.
func (a *API) stray(w http.ResponseWriter, r *http.Request) {
	write(w, fail(r.Context(), a.unrouted(r)))
}

// unrouted returns the problem of a request that matches no endpoint.
func (a *API) unrouted(r *http.Request) error {
	var allow []string
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if a.routed(probe) {
			allow = append(allow, m)
		}
	}
	if allow == nil {
		return problem.New(problem.NotFound, "No such path. See /docs for the list of paths.")
	}
	p := problem.New(problem.MethodNotAllowed, "%s is not allowed here; use %s.", clip(r.Method, 20), strings.Join(allow, ", "))
	p.Allow = strings.Join(allow, ", ")
	return p
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// prepare reads the body and leaves JSON for the framework: size, encoding,
// nesting and content type are checked here, forms become JSON objects. What
// the headers say is wrong is refused unread.
func (st *state) prepare(r *http.Request) error {
	if r.Body == nil || r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return nil
	}
	if r.ContentLength > MaxBody {
		return tooLarge()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return problem.New(problem.Refused, "The body could not be read; send it again.")
	}
	if len(body) > MaxBody {
		return tooLarge()
	}
	if len(body) == 0 {
		return nil
	}
	kind, params, err := mediaType(r.Header)
	if err != nil {
		return err
	}
	if kind == "text/plain" && r.Header.Get("X-Amz-Sns-Message-Type") != "" {
		kind = "application/json" // Amazon SNS sends JSON under this type
	}
	body, err = st.asJSON(kind, params, body)
	if err != nil {
		return err
	}
	st.malformed = checkJSON(body)
	st.body = body
	r.Header.Set("Content-Type", "application/json")
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

// mediaType returns the type of a body and its parameters. Only UTF-8 that is
// sent as it is can be read: another encoding is refused rather than taken for
// it.
func mediaType(h http.Header) (kind string, params map[string]string, err error) {
	unsupported := func(format string, args ...any) error {
		return problem.New(problem.UnsupportedMediaType, format, args...)
	}
	if e := strings.TrimSpace(strings.Join(h.Values("Content-Encoding"), ",")); e != "" && !strings.EqualFold(e, "identity") {
		return "", nil, unsupported("Content-Encoding %q is not supported; send the body as it is, without that header.", clip(e, 100))
	}
	if kind, params, err = mime.ParseMediaType(h.Get("Content-Type")); err != nil && h.Get("Content-Type") != "" {
		return "", nil, unsupported("The Content-Type cannot be read; send application/json.")
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "utf8") && !strings.EqualFold(c, "us-ascii") {
		return "", nil, unsupported("The charset %q is not supported; send UTF-8.", clip(c, 100))
	}
	return kind, params, nil
}

func (st *state) asJSON(kind string, params map[string]string, body []byte) ([]byte, error) {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	looksJSON := len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[')
	switch {
	case kind == "" || kind == "application/json" || strings.HasSuffix(kind, "+json") || kind == "text/json",
		// curl -d without a header sends JSON under this type.
		kind == "application/x-www-form-urlencoded" && looksJSON:
		return body, nil
	case kind == "application/x-www-form-urlencoded":
		st.form = true
		v, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"body"}, Msg: "Not a valid form", Type: "form_invalid"}}}
		}
		return st.formJSON(v)
	case kind == "multipart/form-data":
		st.form = true
		f, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(MaxBody)
		if err != nil {
			return nil, &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"body"}, Msg: "Not a valid multipart form", Type: "form_invalid"}}}
		}
		return st.formJSON(f.Value)
	default:
		return nil, problem.New(problem.UnsupportedMediaType, "Content-Type %q is not supported; send application/json.", clip(kind, 100))
	}
}

func (st *state) formJSON(v url.Values) ([]byte, error) {
	m := make(map[string]string, len(v))
	for k, values := range v {
		if len(values) > 1 {
			return nil, invalid(twice([]any{"body", k}))
		}
		m[k] = v.Get(k)
	}
	return json.Marshal(m)
}

// address returns where r comes from, without a port. Headers can be made up and
// are not asked.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// requestID returns the caller's X-Request-Id when it is safe to log, else a
// new one.
func (a *API) requestID(r *http.Request) string {
	s := r.Header.Get("X-Request-Id")
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}) {
		return a.o.NewID()
	}
	return s
}

// log writes the one line of a request. It never holds a credential, a query
// or a body.
func (a *API) log(r *http.Request, st *state, status int, took time.Duration) {
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	if !a.o.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("request_id", st.ID), slog.String("method", clip(r.Method, 20)), slog.String("path", clip(r.URL.Path, 200)),
		slog.Int("status", status), slog.Int64("us", took.Microseconds()))
	if st.op != "" {
		attrs = append(attrs, slog.String("op", st.op))
	}
	if st.Caller != nil {
		attrs = append(attrs, slog.String("caller", st.Caller.Username), slog.String("credential", st.Caller.Credential))
	}
	if st.cause != nil {
		attrs = append(attrs, slog.String("cause", st.cause.Error()))
	}
	a.o.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

func write(w http.ResponseWriter, e *Error) {
	h := w.Header()
	for k, vs := range e.GetHeaders() {
		h[k] = vs
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(e.GetStatus())
	_, _ = w.Write(e.body())
}

// A recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}
