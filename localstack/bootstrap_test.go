package localstack_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"bldst/localstack/lambdaruntime"
	"bldst/shared/table"

	"github.com/google/go-cmp/cmp"
)

// bootstraps are the functions whose real binaries are tried: an ordinary one,
// one without credentials and one without a table.
var bootstraps = []string{"platforms", "health", "docs"}

// otherwise are the samples whose answers depend on the clock, or which write.
var otherwise = []string{"liveness", "report-state"}

// TestBootstrapsAnswerAsInProcess builds functions as they are deployed, runs
// them behind the Lambda Runtime API and sends them the sample events.
func TestBootstrapsAnswerAsInProcess(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds binaries")
	}
	p := seeded(t)
	dynamo := httptest.NewServer(readOnly{p.Table})
	t.Cleanup(dynamo.Close)
	env := []string{"TABLE_NAME=bldst", "AWS_ENDPOINT_URL_DYNAMODB=" + dynamo.URL, "JWT_KEYS=test:kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", "LOG_LEVEL=error"}
	for _, name := range bootstraps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bootstrap(t, name)
			e, err := lambdaruntime.Start(lambdaruntime.Options{Bootstrap: b, Name: name, Env: env, Output: t.Output()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(e.Stop)
			replay(t, e, name)
		})
	}
}

// replay sends e the samples of the function whose answers depend on no clock.
func replay(t *testing.T, e *lambdaruntime.Env, function string) {
	t.Helper()
	sent := 0
	for _, s := range readSamples(t) {
		if s.function != function || slices.Contains(otherwise, s.name) {
			continue
		}
		sent++
		got, err := e.Invoke(t.Context(), s.event)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		want, err := os.ReadFile(s.answer)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(written(t, got))); d != "" {
			t.Errorf("%s: -in process +bootstrap:\n%s", s.name, d)
		}
	}
	if sent == 0 {
		t.Errorf("no sample event is for function %s", function)
	}
}

// bootstrap builds the function with the tags of the Makefile; its other flags
// make it smaller, and compile everything anew.
func bootstrap(t *testing.T, name string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bootstrap")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", tags(t), "-o", out, "../functions/"+name)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, b)
	}
	return out
}

// tags returns the build tags in the Makefile.
func tags(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^TAGS *= *(.*)$`).FindSubmatch(b)
	if m == nil {
		t.Fatal("the Makefile does not set TAGS")
	}
	return string(m[1])
}

// readOnly is as much of DynamoDB as the samples of a bootstrap need: reads by
// key, from the table given.
type readOnly struct{ table table.Table }

// A row is an item as DynamoDB writes it: {"pk": {"S": "..."}}.
type row map[string]map[string]any

type getIn struct {
	Key          map[string]map[string]string
	RequestItems map[string]struct {
		Keys []map[string]map[string]string
	}
}

func (d readOnly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in getIn
	target := r.Header.Get("X-Amz-Target")
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !slices.Contains([]string{"DynamoDB_20120810.GetItem", "DynamoDB_20120810.BatchGetItem"}, target) {
		http.Error(w, `{"__type":"com.amazon.coral.validate#ValidationException","message":"only GetItem and BatchGetItem"}`, http.StatusBadRequest)
		return
	}
	out := map[string]any{}
	for name, request := range in.RequestItems {
		rows := []row{}
		for _, k := range request.Keys {
			if it := d.get(r, k); it != nil {
				rows = append(rows, it)
			}
		}
		out["Responses"] = map[string][]row{name: rows}
	}
	if in.Key != nil {
		if it := d.get(r, in.Key); it != nil {
			out["Item"] = it
		}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_ = json.NewEncoder(w).Encode(out)
}

func (d readOnly) get(r *http.Request, key map[string]map[string]string) row {
	items, err := d.table.Get(r.Context(), table.Key{PK: key[table.AttrPK]["S"], SK: key[table.AttrSK]["S"]})
	if err != nil || items[0] == nil {
		return nil
	}
	out := row{}
	for _, a := range items[0].Attributes() {
		out[a.Name] = map[string]any{a.Kind: a.Value}
		if a.Kind == "BOOL" {
			out[a.Name] = map[string]any{a.Kind: a.Value == "true"}
		}
	}
	return out
}
