//go:build cdk

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// explained are the rules of AwsSolutions that this stack does not follow, and
// why. Each is about where the finding is: the rule and a part of the path.
var explained = []struct{ rule, path, why string }{
	{"AwsSolutions-IAM5", "", "TestRolesNameTheirActionsAndResources allows the resource * to actions that know no resources only; other stars end a name that begins with ours"},
	{"AwsSolutions-IAM4", "ApiLogRole", "the policy AWS keeps for exactly this purpose"},
	{"AwsSolutions-APIG2", "Api", "the functions validate requests, with the answers that clients know"},
	{"AwsSolutions-APIG3", "Stage", "the firewall is a setting (-c firewall=true); without it API Gateway throttles and functions bound what they read"},
	{"AwsSolutions-SF1", "Machine", "the log has errors only: the table keeps the history, and ALL would copy what only the table may show"},
	{"AwsSolutions-SMG4", "SigningKeys", "rotation adds a key and then changes which signs, so that nobody is logged out; docs/operations.md says when"},
	{"AwsSolutions-S1", "Artifacts", "access logs of the bucket are the account's business (CloudTrail data events), and cost more than the bucket"},
	{"AwsSolutions-SQS3", "DeadLetters", "it is a dead-letter queue itself"},
}

func TestNothingUnexplainedForTheAwsSolutionsPack(t *testing.T) {
	app, dir, name := newApp(t, map[string]any{"stage": "prod", "own-key": "true"})
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Verbose: no}), nil)
	app.Synth(nil)
	used := map[string]bool{}
	for path, messages := range findings(t, dir, name) {
		for _, m := range messages {
			if why := reasonFor(m, path, used); why == "" {
				t.Errorf("%s: %s\nMend it, or say in explained why not.", path, m)
			}
		}
	}
	for _, e := range explained {
		if !used[e.rule+e.path] {
			t.Errorf("%s is explained for %q and not found any more; remove the explanation", e.rule, e.path)
		}
	}
}

func reasonFor(message, path string, used map[string]bool) string {
	for _, e := range explained {
		if strings.Contains(message, e.rule) && strings.Contains(path, e.path) {
			used[e.rule+e.path] = true
			return e.why
		}
	}
	return ""
}

// findings returns the errors and warnings of the assembly, by the path of the
// construct.
func findings(t *testing.T, dir, name string) map[string][]string {
	t.Helper()
	var metadata map[string][]struct {
		Type string
		Data any
	}
	b, err := os.ReadFile(filepath.Join(dir, name+".metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &metadata); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for path, entries := range metadata {
		for _, e := range entries {
			if e.Type == "aws:cdk:error" || e.Type == "aws:cdk:warning" {
				out[path] = append(out[path], text(e.Data))
			}
		}
	}
	if len(out) == 0 {
		t.Fatal("no finding at all, not even an explained one; was the pack run?")
	}
	return out
}
