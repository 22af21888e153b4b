package manifest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bldst/shared/manifest"
	"bldst/shared/wire"

	"github.com/google/go-cmp/cmp"
)

func names() []string {
	var out []string
	for _, f := range manifest.All {
		out = append(out, f.Name)
	}
	slices.Sort(out)
	return out
}

func TestEveryFunctionHasItsFolder(t *testing.T) {
	t.Parallel()
	mains, err := filepath.Glob("../../functions/*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, m := range mains {
		folders = append(folders, filepath.Base(filepath.Dir(m)))
	}
	if d := cmp.Diff(names(), folders); d != "" {
		t.Errorf("-manifest +folders of functions/:\n%s\nAdd the folder with its main.go, or the entry in manifest.All.", d)
	}
}

func TestFunctionsEndBeforeAPIGatewayGivesUp(t *testing.T) {
	t.Parallel()
	const integration = 29 // seconds; "Amazon API Gateway quotas": integration timeout of a REST API
	for _, f := range manifest.All {
		if len(f.Routes) > 0 && f.Timeout >= integration {
			t.Errorf("%s may run for %d s, but API Gateway answers its caller after %d s; give it less", f.Name, f.Timeout, integration)
		}
	}
}

func TestMainsWireAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, name := range names() {
		b, err := os.ReadFile(filepath.Join("../../functions", name, "main.go"))
		if err != nil {
			continue // TestEveryFunctionHasItsFolder says so
		}
		if n := strings.Count(string(b), "\n"); n > 25 {
			t.Errorf("functions/%s/main.go has %d lines; move what it does into a constructor in wire", name, n)
		}
	}
}

// served returns the paths each function has endpoints for, with everything
// in braces called {}.
func served(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{"docs": {"/docs", "/redoc", "/openapi.json"}}
	for _, f := range wire.Functions() {
		for _, op := range f.API().Ops() {
			out[f.Name] = append(out[f.Name], op.Path)
		}
	}
	return out
}

func TestEveryPathLeadsToTheFunctionThatServesIt(t *testing.T) {
	t.Parallel()
	router := manifest.NewRouter(manifest.All)
	for function, paths := range served(t) {
		for _, path := range paths {
			for _, spelled := range []string{path, path + "/", underscored(path)} {
				target, _ := router.Find(strings.NewReplacer("{", "", "}", "").Replace(spelled))
				if target == nil || target.Function != function {
					t.Errorf("%s is served by function %s, but the manifest leads it to %+v; mend the Routes of one of them", spelled, function, target)
				}
			}
		}
	}
}

// underscored returns the other spelling of the collections in path.
func underscored(path string) string {
	parts := strings.Split(path, "/")
	for i := 1; i < len(parts); i += 2 {
		parts[i] = strings.ReplaceAll(parts[i], "-", "_")
	}
	return strings.Join(parts, "/")
}

func TestEveryFunctionWithRoutesIsWired(t *testing.T) {
	t.Parallel()
	have := served(t)
	for _, f := range manifest.All {
		if len(f.Routes) > 0 && have[f.Name] == nil {
			t.Errorf("function %s has routes but no endpoints; add it to wire.Functions", f.Name)
		}
	}
}

// An API Gateway refuses two parameters of different names at one place.
func TestRoutesAreThoseAnAPIGatewayTakes(t *testing.T) {
	t.Parallel()
	owner := map[string]string{}
	variable := map[string]string{}
	for _, f := range manifest.All {
		for _, route := range f.Routes {
			if other, taken := owner[route]; taken {
				t.Errorf("%s is a route of both %s and %s", route, other, f.Name)
			}
			owner[route] = f.Name
			if route != "/" && strings.HasSuffix(route, "/") || !strings.HasPrefix(route, "/") {
				t.Errorf("%s of %s does not begin with a slash or ends with one", route, f.Name)
			}
			parts := strings.Split(route, "/")
			for i, p := range parts {
				if !strings.HasPrefix(p, "{") {
					continue
				}
				parent := strings.Join(parts[:i], "/")
				if before, ok := variable[parent]; ok && before != p {
					t.Errorf("below %q there are both %s and %s (of %s); an API Gateway takes one", parent, before, p, f.Name)
				}
				variable[parent] = p
				if p == "{proxy+}" && i != len(parts)-1 {
					t.Errorf("%s of %s: {proxy+} must be the last part", route, f.Name)
				}
			}
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	router := manifest.NewRouter(manifest.All)
	for path, want := range map[string]struct {
		function, resource string
		values             []string
	}{
		"/":                            {"health", "/", nil},
		"/health/liveness":             {"health", "/health/{proxy+}", []string{"liveness"}},
		"/nowhere/at/all":              {"health", "/{proxy+}", []string{"nowhere/at/all"}},
		"/platforms":                   {"platforms", "/platforms", nil},
		"/platforms/":                  {"platforms", "/platforms", nil},
		"/platforms/aws%20x":           {"platforms", "/platforms/{proxy+}", []string{"aws%20x"}},
		"/os_versions/rhel-9.3":        {"os-versions", "/os_versions/{proxy+}", []string{"rhel-9.3"}},
		"/builds":                      {"builds", "/builds", nil},
		"/builds/1":                    {"builds", "/builds/{id}", []string{"1"}},
		"/builds/1/state":              {"builds", "/builds/{id}/{proxy+}", []string{"1", "state"}},
		"/builds/1/artifacts":          {"artifacts", "/builds/{id}/artifacts", []string{"1"}},
		"/builds/1/artifacts/2/revoke": {"artifacts", "/builds/{id}/artifacts/{proxy+}", []string{"1", "2/revoke"}},
		"/builds/1/resume_plan":        {"resume", "/builds/{id}/resume_plan", []string{"1"}},
		"/builds//state":               {"health", "/{proxy+}", []string{"builds//state"}},
		"/projects/p/state-codes/c":    {"state-codes", "/projects/{id}/state-codes/{proxy+}", []string{"p", "c"}},
		"/projects/p/restore":          {"projects", "/projects/{id}/{proxy+}", []string{"p", "restore"}},
		"/docs/swagger-ui.css":         {"docs", "/docs/{proxy+}", []string{"swagger-ui.css"}},
	} {
		target, values := router.Find(path)
		if target == nil || target.Function != want.function || target.Resource != want.resource || !slices.Equal(values, want.values) {
			t.Errorf("%s leads to %+v %q, want %+v", path, target, values, want)
			continue
		}
		if len(target.Names()) != len(values) {
			t.Errorf("%s: %d values for the parameters %q", path, len(values), target.Names())
		}
	}
}
