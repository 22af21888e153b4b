package dynamo_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bldst/shared/manifest"
	"bldst/shared/table/dynamo"

	"github.com/google/go-cmp/cmp"
)

// Alarms range over Operations, and roles over the actions of the manifest; what
// the adapter calls must be in both, and nothing else.
func TestOperationsAreWhatTheAdapterCalls(t *testing.T) {
	t.Parallel()
	calls := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`t\.client\.(\w+)\(`).FindAllStringSubmatch(string(b), -1) {
			calls[m[1]] = true
		}
	}
	for _, op := range dynamo.Operations {
		if !calls[op] {
			t.Errorf("%s is in Operations and never called", op)
		}
		delete(calls, op)
	}
	for op := range calls {
		t.Errorf("%s is called and not in Operations", op)
	}
}

func TestTheManifestGrantsWhatTheAdapterCalls(t *testing.T) {
	t.Parallel()
	var want []string
	for _, op := range dynamo.Operations {
		if op == "TransactWriteItems" {
			op = "ConditionCheckItem" // a transaction needs the permissions of its parts
		}
		want = append(want, "dynamodb:"+op)
	}
	got := manifest.Write.Actions()
	slices.SortFunc(want, strings.Compare)
	slices.SortFunc(got, strings.Compare)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-adapter +manifest\n%s", d)
	}
}
