package build_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/problem"
)

// A ruled project has the built-in rules and some of its own.
type ruled struct {
	build.Builtin
	codes   map[string]build.Code
	names   map[int]string
	finals  map[int]bool
	configs map[int]build.ResumeConfig
}

func (r ruled) Code(name string) (build.Code, error) {
	if c, ok := r.codes[strings.ToLower(name)]; ok {
		return c, nil
	}
	return r.Builtin.Code(name)
}

func (r ruled) Final(code int) bool { return r.finals[code] || r.Builtin.Final(code) }

func (r ruled) Name(code int) string { return r.names[code] }

func (r ruled) ResumeConfig(code int) *build.ResumeConfig {
	c, ok := r.configs[code]
	if !ok {
		return nil
	}
	c.StateCode = code
	return &c
}

// A walk is a build on its way: every step takes a minute.
type walk struct {
	t     testing.TB
	b     *build.Build
	rules build.Rules
	now   time.Time
}

func newWalk(t testing.TB) *walk {
	return &walk{t: t, rules: build.Builtin{}, now: noon,
		b: &build.Build{ID: "b1", Number: "n1", ProjectID: "p1", Status: build.Pending, Attempt: 1, CreatedAt: noon, UpdatedAt: noon, Rev: 1}}
}

func (w *walk) tick() time.Time {
	w.now = w.now.Add(time.Minute)
	w.b.Rev++
	return w.now
}

// try reports in and returns what the history is to say.
func (w *walk) try(in build.ReportIn) (build.Entry, error) {
	now := w.tick()
	r, err := in.Normalise(w.b.Current, w.rules)
	if err != nil {
		return build.Entry{}, err
	}
	if err := w.b.Fence(auth.Claim{Attempt: r.Attempt, Worker: r.Worker, TakeOver: r.TakeOver}, now); err != nil {
		return build.Entry{}, err
	}
	return w.b.Advance(r, w.rules, now)
}

// cancel cancels the build.
func (w *walk) cancel() *walk {
	w.t.Helper()
	if _, err := w.b.Cancel("", w.tick()); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// to reports states: "25 completed", "30".
func (w *walk) to(reports ...string) *walk {
	w.t.Helper()
	for _, r := range reports {
		code, status, _ := strings.Cut(r, " ")
		if _, err := w.try(build.ReportIn{StateCode: word(code), Status: status}); err != nil {
			w.t.Fatalf("report %q: %v", r, err)
		}
	}
	return w
}

// fails reports a failure where the build is.
func (w *walk) fails(message string) *walk {
	w.t.Helper()
	if _, err := w.b.Fail(build.FailureIn{ErrorMessage: message}, w.rules, w.tick()); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// word is what a caller writes: a number, a number in quotes, or a name.
func word(s string) api.IntOrString {
	var v api.IntOrString
	b, _ := json.Marshal(s)
	_ = v.UnmarshalJSON(b)
	return v
}

func code(n int) api.IntOrString { return api.IntOrString{Int: &n} }

// refusal is the kind of err and, for invalid input, the field: "" for none.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	p := problem.From(err)
	out := string(p.Kind)
	for _, f := range p.Fields {
		out += " " + f.Loc[len(f.Loc)-1].(string)
	}
	return out
}

// data reads what an entry says.
func data[T any](t testing.TB, e build.Entry) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(e.Data, &v); err != nil {
		t.Fatalf("entry %s: %v: %s", e.Kind, err, e.Data)
	}
	return v
}
