package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bldst/shared/openapi/openapitest"
	"bldst/shared/problem"
)

// An obj is a JSON object.
type obj = map[string]any

var errRedirect = errors.New("the API never redirects")

// A caller sends requests with one credential.
type caller struct {
	s      *session
	key    string // X-API-Key
	bearer string // JWT
}

func (s *session) key(key string) caller    { return caller{s: s, key: s.secret(key)} }
func (s *session) bearer(jwt string) caller { return caller{s: s, bearer: s.secret(jwt)} }
func (s *session) nobody() caller           { return caller{s: s} }

// A reply is an answer that has passed the checks every answer must pass.
type reply struct {
	t      *testing.T
	call   string
	status int
	header http.Header
	body   []byte
}

// do sends a request. body is sent as it is when it is a string, else as JSON;
// nil sends none. header are names and values.
//
// Who is told that too many sign in comes again when it is told to, as every
// client does.
func (c caller) do(t *testing.T, method, path string, body any, header ...string) *reply {
	t.Helper()
	for {
		r := c.once(t, method, path, body, header...)
		after, err := strconv.Atoi(r.header.Get("Retry-After"))
		if r.status != http.StatusTooManyRequests || err != nil {
			return r
		}
		time.Sleep(time.Duration(after) * time.Second)
	}
}

// once sends a request one time.
func (c caller) once(t *testing.T, method, path string, body any, header ...string) *reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.s.URL+path, content(t, body))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		r.Header.Set("X-API-Key", c.key)
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := c.s.http.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if challenge := res.Header.Get("X-Amzn-Remapped-Www-Authenticate"); challenge != "" { // API Gateway renames it
		res.Header.Set("WWW-Authenticate", challenge)
	}
	out := &reply{t: t, call: method + " " + path[:min(len(path), 200)], status: res.StatusCode, header: res.Header, body: b}
	openapitest.Check(t, method, r.URL.RequestURI(), out.status, out.header, b)
	out.check(c.s)
	return out
}

func content(t *testing.T, body any) io.Reader {
	t.Helper()
	switch b := body.(type) {
	case nil:
		return nil
	case string:
		return strings.NewReader(b)
	default:
		j, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.NewReader(j)
	}
}

func (c caller) get(t *testing.T, path string, header ...string) *reply {
	t.Helper()
	return c.do(t, http.MethodGet, path, nil, header...)
}

func (c caller) post(t *testing.T, path string, body any, header ...string) *reply {
	t.Helper()
	return c.do(t, http.MethodPost, path, body, header...)
}

func (c caller) put(t *testing.T, path string, body any, header ...string) *reply {
	t.Helper()
	return c.do(t, http.MethodPut, path, body, header...)
}

func (c caller) patch(t *testing.T, path string, body any, header ...string) *reply {
	t.Helper()
	return c.do(t, http.MethodPatch, path, body, header...)
}

func (c caller) delete(t *testing.T, path string, header ...string) *reply {
	t.Helper()
	return c.do(t, http.MethodDelete, path, nil, header...)
}

// check fails the test when the answer lacks what all answers have.
func (r *reply) check(s *session) {
	r.t.Helper()
	if r.header.Get("X-Request-Id") == "" {
		r.t.Errorf("%s: no X-Request-Id", r.call)
	}
	if n := r.lambdaSize(); n > maxAnswer {
		r.t.Errorf("%s: an answer of %d bytes as Lambda counts them, at most are %d", r.call, n, maxAnswer)
	}
	if r.status < 400 {
		r.checkTimes()
		return
	}
	s.mu.Lock()
	s.errors = append(s.errors, r.call+": "+string(r.body))
	s.mu.Unlock()
	var e struct {
		Detail    any
		Code      problem.Kind
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(r.body, &e); err != nil {
		r.t.Errorf("%s: %d with a body that is no JSON: %.300s", r.call, r.status, r.body)
		return
	}
	if ct := r.header.Get("Content-Type"); ct != "application/json" {
		r.t.Errorf("%s: an error of type %s", r.call, ct)
	}
	if e.Detail == nil || e.Code.Status() != r.status || e.RequestID != r.header.Get("X-Request-Id") {
		r.t.Errorf("%s: %d with X-Request-Id %s and %.500s; want detail, the code of that status, and request_id", r.call, r.status, r.header.Get("X-Request-Id"), r.body)
	}
	r.checkDetail(e.Detail)
	r.checkHeaders()
}

// utc is how times are written: with Z, and microseconds at most.
var utc = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$`)

// checkTimes requires of every time in the body that it is written like that.
func (r *reply) checkTimes() {
	r.t.Helper()
	var body any
	if json.Unmarshal(r.body, &body) != nil || strings.HasPrefix(r.call, "GET /openapi.json") {
		return
	}
	var walk func(name string, v any)
	walk = func(name string, v any) {
		switch v := v.(type) {
		case obj:
			for k, inner := range v {
				walk(k, inner)
			}
		case []any:
			for _, inner := range v {
				walk(name, inner)
			}
		case string:
			if isTime(name) && !utc.MatchString(v) {
				r.t.Errorf("%s: %s is %q, want UTC with Z and microseconds at most", r.call, name, v)
			}
		}
	}
	walk("", body)
}

// isTime reports whether the field is a time by its name.
func isTime(name string) bool {
	return slices.ContainsFunc([]string{"_at", "_time", "_until", "_date", "timestamp", "last_updated", "last_transition"}, func(end string) bool { return strings.HasSuffix(name, end) }) || name == "at" || name == "time" || name == "eta"
}

// checkDetail requires a sentence, or for 422 the list of invalid fields.
func (r *reply) checkDetail(detail any) {
	r.t.Helper()
	fields, list := detail.([]any)
	if text, ok := detail.(string); r.status != http.StatusUnprocessableEntity && (!ok || text == "") {
		r.t.Errorf("%s: the detail of %d is %v, want a sentence", r.call, r.status, detail)
	}
	if r.status == http.StatusUnprocessableEntity && (!list || len(fields) == 0) {
		r.t.Errorf("%s: the detail of 422 is %v, want the list of fields", r.call, detail)
	}
	for _, f := range fields {
		field, _ := f.(obj)
		loc, _ := field["loc"].([]any)
		if len(loc) == 0 || field["msg"] == "" || field["type"] == "" {
			r.t.Errorf("%s: a field of 422 is %v, want loc, msg and type", r.call, f)
		}
	}
}

// checkHeaders requires the headers that belong to a status.
func (r *reply) checkHeaders() {
	r.t.Helper()
	for status, want := range map[int]string{http.StatusUnauthorized: "WWW-Authenticate", http.StatusMethodNotAllowed: "Allow", http.StatusServiceUnavailable: "Retry-After"} {
		if r.status == status && r.header.Get(want) == "" {
			r.t.Errorf("%s: %d without %s", r.call, r.status, want)
		}
	}
}

// is ends the test unless the answer has the status.
func (r *reply) is(status int) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: %d %.1000s, want %d", r.call, r.status, r.body, status)
	}
	return r
}

// refused fails the test unless the answer is an error with that status and
// code whose detail contains all of says.
func (r *reply) refused(status int, code problem.Kind, says ...string) *reply {
	r.t.Helper()
	r.is(status)
	if got := r.obj()["code"]; got != string(code) {
		r.t.Errorf("%s: code %v, want %s", r.call, got, code)
	}
	detail, err := json.Marshal(r.obj()["detail"])
	if text, ok := r.obj()["detail"].(string); ok {
		detail = []byte(text)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	for _, say := range says {
		if !strings.Contains(string(detail), say) {
			r.t.Errorf("%s: detail %s, want %q in it", r.call, detail, say)
		}
	}
	return r
}

// invalid fails the test unless the answer is a 422 about the field.
func (r *reply) invalid(field string) *reply {
	r.t.Helper()
	r.refused(http.StatusUnprocessableEntity, problem.Invalid)
	details, _ := r.obj()["detail"].([]any)
	for _, d := range details {
		loc, _ := d.(obj)["loc"].([]any)
		if slices.Contains(loc, any(field)) {
			return r
		}
	}
	r.t.Errorf("%s: 422 about %s, want it about %s", r.call, r.body, field)
	return r
}

// as decodes the body.
func (r *reply) as(v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		r.t.Fatalf("%s: %d %.500s: %v", r.call, r.status, r.body, err)
	}
}

// obj returns the object that is the body.
func (r *reply) obj() obj {
	r.t.Helper()
	var o obj
	r.as(&o)
	return o
}

// list returns the objects that are the body.
func (r *reply) list() []obj {
	r.t.Helper()
	var l []obj
	r.as(&l)
	return l
}

// str returns the field of the body, which is a string.
func (r *reply) str(field string) string {
	r.t.Helper()
	v, ok := r.obj()[field].(string)
	if !ok {
		r.t.Fatalf("%s: %s is %v in %.1000s, want a string", r.call, field, r.obj()[field], r.body)
	}
	return v
}

func (r *reply) id() string { r.t.Helper(); return r.str("id") }

func (r *reply) etag() string {
	r.t.Helper()
	tag := r.header.Get("ETag")
	if tag == "" {
		r.t.Fatalf("%s: no ETag", r.call)
	}
	return tag
}

// has fails the test unless the body has the fields of want with these values.
func (r *reply) has(want obj) *reply {
	r.t.Helper()
	if wrong := differs(want, r.obj()); wrong != "" {
		r.t.Errorf("%s: %s\nin %.2000s", r.call, wrong, r.body)
	}
	return r
}

// keys fails the test unless the body has all the names, whatever their values.
func (r *reply) keys(names string) *reply {
	r.t.Helper()
	if missing := lacks(r.obj(), names); missing != "" {
		r.t.Errorf("%s: no %s in %.2000s", r.call, missing, r.body)
	}
	return r
}

// lacks returns those of names, separated by blanks, that o does not have.
func lacks(o obj, names string) string {
	var missing []string
	for _, n := range strings.Fields(names) {
		if _, ok := o[n]; !ok {
			missing = append(missing, n)
		}
	}
	return strings.Join(missing, ", ")
}

// differs says which fields of want got does not have with these values.
func differs(want, got obj) string {
	var wrong []string
	for k, v := range want {
		if g, ok := got[k]; !ok || !reflect.DeepEqual(plain(v), g) {
			wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", k, got[k], v))
		}
	}
	slices.Sort(wrong)
	return strings.Join(wrong, "; ")
}

// plain returns v as it comes out of JSON.
func plain(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}

// next returns the path of the page after this one, "" when there is none.
func (r *reply) next(path string) string {
	r.t.Helper()
	link := r.header.Get("Link")
	if link == "" {
		return ""
	}
	ref, ok := strings.CutSuffix(link, `>; rel="next"`)
	if !ok || !strings.HasPrefix(ref, "<") {
		r.t.Fatalf("%s: Link %s, want rel=\"next\"", r.call, link)
	}
	base, err := url.Parse(path)
	if err != nil {
		r.t.Fatal(err)
	}
	u, err := base.Parse(ref[1:])
	if err != nil {
		r.t.Fatalf("%s: Link %s: %v", r.call, link, err)
	}
	return u.RequestURI()
}

// walk returns the rows of all pages, by the links.
func (c caller) walk(t *testing.T, path string) []obj {
	t.Helper()
	var out []obj
	for at, pages := path, 0; at != ""; pages++ {
		r := c.get(t, at).is(http.StatusOK)
		out = append(out, r.list()...)
		if at = r.next(at); pages > 2000 {
			t.Fatalf("%s: the links do not end", path)
		}
	}
	return out
}

// skim returns the rows of all pages of that size, by skip and limit. path may
// have a query.
func (c caller) skim(t *testing.T, path string, size int) []obj {
	t.Helper()
	var out []obj
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for {
		page := c.get(t, fmt.Sprintf("%s%sskip=%d&limit=%d", path, sep, len(out), size)).is(http.StatusOK).list()
		if out = append(out, page...); len(page) < size {
			return out
		}
	}
}

// among returns the values of the field in rows that are in want, in their
// order.
func among(rows []obj, field string, want []string) []string {
	out := []string{}
	for _, r := range rows {
		if v, _ := r[field].(string); slices.Contains(want, v) {
			out = append(out, v)
		}
	}
	return out
}

// jsonText returns v as JSON.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
