package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
)

// withoutCommand are the operations of the API that no command calls, and why.
var withoutCommand = map[string]string{
	"GET /":                                             "the greeting; 'health status' says more",
	"GET /builds/{id}/resume/{rid}":                     "the older path of /resume-requests/{rid}",
	"PATCH /builds/{id}/resume/{rid}":                   "the older path of /resume-requests/{rid}",
	"POST /auth/password":                               "the older path of /token",
	"POST /builds/{id}/uploads":                         moves,
	"GET /builds/{id}/uploads/{uid}/parts":              moves,
	"POST /builds/{id}/uploads/{uid}/parts":             moves,
	"POST /builds/{id}/uploads/{uid}/complete":          moves,
	"GET /builds/{id}/downloads/{aid}":                  moves,
	"POST /webhooks/build-failure":                      "called by a CI with a signature, not by people",
	"POST /webhooks/github":                             "called by GitHub",
	"POST /webhooks/gitlab":                             "called by GitLab",
	"POST /webhooks/sns":                                "called by Amazon SNS",
	"GET /projects/{project}/state-codes":               "the same as /state-codes",
	"POST /projects/{project}/state-codes":              "the same as /state-codes",
	"GET /projects/{project}/state-codes/{id}":          "the same as /state-codes/{id}",
	"PUT /projects/{project}/state-codes/{id}":          "the same as /state-codes/{id}",
	"DELETE /projects/{project}/state-codes/{id}":       "the same as /state-codes/{id}",
	"POST /projects/{project}/state-codes/{id}/restore": "the same as /state-codes/{id}/restore",
}

// moves says which operations 'artifact push', 'pull' and 'verify' call, in a
// session of their own.
const moves = "called by artifact push, pull and verify, see files.txtar"

// notRun are the commands whose examples this test does not carry out, and why.
var notRun = map[string]string{
	"bldst local":           "runs the whole system",
	"bldst bootstrap":       "writes to a table of AWS",
	"bldst step":            "runs a command; step.txtar does",
	"bldst run":             "runs commands; run.txtar does",
	"bldst init":            "writes files; init.txtar does",
	"bldst artifact push":   moves,
	"bldst artifact pull":   moves,
	"bldst artifact verify": moves,
}

// An operation is one of the API's document.
type operation struct {
	name string // method and path
	list bool   // answers with a list
	old  bool   // another spelling of one that is preferred
}

// readDocument reads the API's document into doc.
func readDocument(t *testing.T, doc any) {
	t.Helper()
	raw, err := os.ReadFile("../../shared/openapi/openapi.json")
	if err == nil {
		err = json.Unmarshal(raw, doc)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func operations(t *testing.T) []operation {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			Deprecated bool `json:"deprecated"`
			Responses  map[string]struct {
				Content map[string]struct {
					Schema struct {
						Type any `json:"type"`
					} `json:"schema"`
				} `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
	}
	readDocument(t, &doc)
	var out []operation
	for path, methods := range doc.Paths {
		for method, op := range methods {
			is := fmt.Sprint(op.Responses["200"].Content["application/json"].Schema.Type)
			out = append(out, operation{name: strings.ToUpper(method) + " " + path, list: strings.Contains(is, "array"), old: op.Deprecated})
		}
	}
	return out
}

// An anyAPI answers every operation of the API with what fits it, and
// remembers which were called.
type anyAPI struct {
	operations []operation
	mu         sync.Mutex
	called     map[string]bool
	unknown    []string
}

// anything is an object that has what the commands look for in an answer.
const anything = `{"id":"x","build_id":"x","token":"t","access_token":"t","status":"completed","variable_value":"v","resumable":true,"valid":true,
	"resume_from_state":40,"variables":{},"artifacts":[],"scopes":["read"],"username":"ada","etag":"e","failures":[],"version":"1.2.3","job_url":"https://ci.example.org/1"}`

func (a *anyAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, op := range a.operations {
		if !op.matches(r.Method, r.URL.Path) {
			continue
		}
		a.called[op.name] = true
		switch {
		case op.list:
			_, _ = io.WriteString(w, "[]")
		case strings.HasSuffix(op.name, "/resume-plan"):
			_, _ = io.WriteString(w, `{"resumable":true,"resume_from_state":40}`)
		default:
			_, _ = io.WriteString(w, anything)
		}
		return
	}
	a.unknown = append(a.unknown, r.Method+" "+r.URL.Path)
	w.WriteHeader(http.StatusNotFound)
}

func (o operation) matches(method, path string) bool {
	want, pattern, _ := strings.Cut(o.name, " ")
	parts, given := strings.Split(pattern, "/"), strings.Split(path, "/")
	if want != method || len(parts) != len(given) {
		return false
	}
	for i, p := range parts {
		if p != given[i] && !strings.HasPrefix(p, "{") {
			return false
		}
	}
	return true
}

// TestEveryOperationHasACommand carries out the examples of all commands. All
// of them must work, and together call every operation of the API.
func TestEveryOperationHasACommand(t *testing.T) {
	t.Parallel()
	a := &anyAPI{operations: operations(t), called: map[string]bool{}}
	slices.SortFunc(a.operations, func(x, y operation) int { return strings.Count(x.name, "{") - strings.Count(y.name, "{") })
	srv := httptest.NewServer(a)
	defer srv.Close()
	eachCommand(t, func(c *cobra.Command) {
		if notRun[c.CommandPath()] == "" {
			runExamples(t, srv.URL, c)
		}
	})
	for _, u := range a.unknown {
		t.Errorf("a command calls %s, which the API does not have", u)
	}
	for _, op := range a.operations {
		switch {
		case !a.called[op.name] && !op.old && withoutCommand[op.name] == "":
			t.Errorf("no command calls %s: add one with an example (an endpoint in a file of its noun), or say in withoutCommand why there is none", op.name)
		case a.called[op.name] && withoutCommand[op.name] != "":
			t.Errorf("%s has a command: remove it from withoutCommand", op.name)
		}
	}
}

func eachCommand(t *testing.T, do func(*cobra.Command)) {
	t.Helper()
	f, _, _ := newSession(t, "").factory()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		do(c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(f))
}

func runExamples(t *testing.T, url string, c *cobra.Command) {
	t.Helper()
	for _, line := range exampleLines(c) {
		s := newSession(t, url)
		s.tty, s.in = true, "secret\n"
		if got := s.run(argv(line)...); got.Code != 0 {
			t.Errorf("the example of %s does not work: bldst %s\n%s", c.CommandPath(), line, got.Err)
		}
	}
}

// exampleLines returns the command lines of an example without what a shell
// makes of them.
func exampleLines(c *cobra.Command) []string {
	text := strings.ReplaceAll(c.Example, "\\\n", " ")
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		_, line, found := strings.Cut(line, "bldst ")
		if !found {
			continue
		}
		for _, end := range []string{" | ", " > ", " < ", " && ", ") "} {
			line, _, _ = strings.Cut(line, end)
		}
		line = strings.TrimSuffix(strings.TrimSpace(line), ")")
		lines = append(lines, strings.NewReplacer(`"$BUILD"`, "b1", `"$HOSTNAME"`, "host").Replace(line))
	}
	return lines
}
