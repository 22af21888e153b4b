// Package shared holds no code; its test keeps the directions of imports.
package shared

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A fence forbids imports. Paths are those of this module's folders, or whole
// import paths; each stands for everything below it.
type fence struct {
	in     []string // folders it is around; empty is the whole repository
	allow  []string // folders, files or patterns of file names inside it that may
	of     []string // what may not be imported
	except []string // what is below of and may be
	why    string
	mend   string
}

var (
	domain = []string{"shared/catalogue", "shared/project", "shared/build", "shared/identity", "shared/health"}
	sdk    = []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go"}
)

var fences = []fence{
	{of: []string{"github.com/danielgtaylor/huma"}, allow: []string{"shared/api"},
		why: "one package knows the HTTP framework", mend: "use package api"},
	{of: []string{"github.com/golang-jwt"}, allow: []string{"shared/auth"},
		why: "one package knows tokens", mend: "use package auth"},
	{of: []string{"github.com/awslabs/aws-lambda-go-api-proxy"}, allow: []string{"shared/gateway"},
		why: "one package adapts HTTP to events", mend: "use package shared/gateway"},
	{of: []string{sdk[0] + "/service/dynamodb", sdk[0] + "/feature"}, allow: []string{"shared/table/dynamo", "infra/deploy"},
		why: "one package knows DynamoDB", mend: "use the port shared/table"},
	{of: []string{sdk[0] + "/service/sfn"}, allow: []string{"shared/workflow"},
		why: "one package knows Step Functions", mend: "use package workflow"},
	{of: []string{sdk[0] + "/service/eventbridge"}, allow: []string{"shared/bus"},
		why: "one package knows EventBridge", mend: "use package bus"},
	{of: []string{"go.etcd.io/bbolt"}, allow: []string{"localstack"},
		why: "the file is the business of one machine", mend: "use the port shared/table"},
	{in: domain, of: append([]string{"shared/table", "shared/store", "shared/workflow", "shared/bus", "shared/drive"}, sdk...),
		why: "rules do not know where rows are kept", mend: "declare a small interface here and implement it in shared/store"},
	{in: domain, allow: []string{"routes*.go"}, of: []string{"net/http"},
		why: "rules do not know HTTP", mend: "move the endpoint to routes.go or routes_NOUN.go, or return a problem"},
	{in: []string{"shared/dispatch", "shared/notify", "shared/webhook", "shared/metrics", "shared/outbound", "shared/secret"}, of: append([]string{"shared/table", "shared/store", "shared/workflow"}, sdk...),
		why: "what leads outside does not know where rows are kept", mend: "declare a small interface there and implement it in shared/store"},
	{in: []string{"shared/table"}, of: append([]string{"shared/store"}, domain...),
		why: "the table does not know what is in it", mend: "put it into shared/store"},
	{in: []string{"shared/store"}, of: append([]string{"net/http", "shared/table/dynamo"}, sdk...),
		why: "the store knows the port only", mend: "extend the port shared/table, or move the endpoint to the domain package"},
	{in: []string{"shared/manifest"}, of: []string{"bldst"},
		why: "the manifest is data, read by everybody", mend: "describe it with words and numbers"},
	{in: []string{"shared/failure"}, of: []string{"bldst"},
		why: "the command line and every function link it", mend: "keep the rules to the standard library"},
	{in: []string{"shared", "functions", "events"}, of: []string{"localstack", "cli", "infra"},
		why: "what is deployed does not know the hosts it runs on", mend: "pass it in as a port or a configuration value"},
	{in: []string{"functions"}, of: []string{"bldst"}, except: []string{"shared/config", "shared/gateway", "shared/wire", "shared/table/dynamo", "shared/openapi", "shared/workflow", "shared/bus", "shared/bucket", "shared/awslite"},
		why: "a main wires and starts, nothing else", mend: "write a constructor in shared/wire"},
	{of: []string{"shared/wire"}, allow: []string{"functions", "localstack", "shared/openapi/gen"},
		why: "handlers are made by hosts", mend: "pass in what is needed"},
	{in: []string{"infra"}, of: []string{"bldst"}, except: []string{"shared/manifest", "shared/config", "shared/outbound", "shared/secret", "shared/partition", "shared/table", "shared/build", "shared/emf", "events", "infra"},
		why: "the deployment is described by data", mend: "put it into the manifest or into events"},
	{in: []string{"cli"}, allow: []string{"cli/main.go", "cli/bootstrap"}, of: append([]string{"localstack", "shared/store", "shared/table", "shared/wire"}, sdk...),
		why: "the command line talks to the API", mend: "use package client"},
}

func TestImportDirections(t *testing.T) {
	t.Parallel()
	for file, imports := range repository(t) {
		for _, imported := range imports {
			for _, f := range fences {
				if f.forbids(file, imported) {
					t.Errorf("%s imports %s: %s. Mend: %s.", file, imported, f.why, f.mend)
				}
			}
		}
	}
}

func TestFencesForbidWhatTheySay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, imported string
		want           bool
	}{
		"a domain file with a status code":         {"shared/build/report.go", "net/http", true},
		"the routes of a domain package":           {"shared/build/routes.go", "net/http", false},
		"a domain file with a client of AWS":       {"shared/identity/user.go", "github.com/aws/aws-sdk-go-v2/service/sfn", true},
		"the adapter of DynamoDB":                  {"shared/table/dynamo/read.go", "github.com/aws/aws-sdk-go-v2/service/dynamodb/types", false},
		"a function with rules":                    {"functions/builds/main.go", "bldst/shared/build", true},
		"a function that wires":                    {"functions/builds/main.go", "bldst/shared/wire", false},
		"a command that reads the table":           {"cli/cmd/health.go", "bldst/shared/table", true},
		"the command that runs the system":         {"cli/main.go", "bldst/localstack", false},
		"a package that only begins like another":  {"shared/health/health.go", "bldst/shared/tables", false},
		"a deployed package that knows its host":   {"shared/wire/wire.go", "bldst/localstack/table", true},
		"a second package with the HTTP framework": {"shared/health/routes.go", "github.com/danielgtaylor/huma/v2", true},
	} {
		got := false
		for _, f := range fences {
			got = got || f.forbids(c.file, c.imported)
		}
		if got != c.want {
			t.Errorf("%s: forbidden is %v, want %v", name, got, c.want)
		}
	}
}

func TestTheREADMENamesEveryFolder(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tree, _ := strings.Cut(string(readme), "## Layout")
	tree, _, _ = strings.Cut(tree, "\n## ")
	for _, in := range []string{".", ".."} {
		folders, err := os.ReadDir(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range folders {
			if name := f.Name(); f.IsDir() && !strings.ContainsAny(name[:1], "._") && !builtHere[name] && !slices.Contains(strings.Fields(tree), name+"/") {
				t.Errorf("the Layout of README.md has no line for %s/; add one", path.Join(in, name))
			}
		}
	}
}

// builtHere are folders that make writes and git ignores.
var builtHere = map[string]bool{"bin": true, "dist": true, "data": true, "work": true, "cdk.out": true}

func (f *fence) forbids(file, imported string) bool {
	folder := strings.TrimPrefix(imported, "bldst/")
	return (below(imported, f.of) || below(folder, f.of)) && !below(folder, f.except) &&
		(len(f.in) == 0 || below(file, f.in)) && !below(file, f.allow) && !matches(path.Base(file), f.allow)
}

// matches reports whether the name of a file is one of the patterns.
func matches(name string, patterns []string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}

// below reports whether p is one of the roots or under one.
func below(p string, roots []string) bool {
	for _, r := range roots {
		if p == r || strings.HasPrefix(p, r+"/") {
			return true
		}
	}
	return false
}

// repository returns the imports of every file that is no test.
func repository(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "openapitest" || len(d.Name()) > 2 && d.Name()[0] == '.') {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		file := filepath.ToSlash(strings.TrimPrefix(name, ".."+string(filepath.Separator)))
		for _, i := range f.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			out[file] = append(out[file], p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d files found; the test must run in the folder shared", len(out))
	}
	return out
}
