package pipeline_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"bldst/cli/pipeline"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const good = `version: 1
build: {number: nightly-$RELEASE, platform: aws-commercial}
env: {LC_ALL: C.UTF-8}
targets:
  - name: aws
    env: {REGION: us-east-1}
  - {name: gcp, platform: gcp}
states:
  - code: 40
    name: Configure
    run: [ansible-playbook, site.yml]
    timeout: 1h30m
    when: if test -f site.yml
    targets: [aws]
  - code: 20
    run: |
      ./install.sh
      ./check.sh
    inputs: [packages.txt, $RELEASE]
    save: {rootfs: rootfs.tar}
    retries: 2
`

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(pipeline.Schema)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("pipeline.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("pipeline.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fits reports whether an editor with the schema has nothing to say.
func fits(t *testing.T, s *jsonschema.Schema, text string) bool {
	t.Helper()
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc) == nil
}

func TestAPipelineIsRead(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Parse("p.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	aws, gcp := p.Of("aws"), p.Of("gcp")
	if len(aws) != 2 || aws[0].Code != 20 || aws[1].Code != 40 || len(gcp) != 1 {
		t.Errorf("states of aws %v, of gcp %v", aws, gcp)
	}
	if got, want := p.Args(aws[1].Run), []string{"ansible-playbook", "site.yml"}; !slices.Equal(got, want) {
		t.Errorf("words: %q", got)
	}
	if got, want := p.Args(aws[0].Run), []string{"sh", "-e", "-c", "./install.sh\n./check.sh\n"}; !slices.Equal(got, want) {
		t.Errorf("text: %q", got)
	}
	files, variables := aws[0].Depends()
	if !slices.Equal(files, []string{"packages.txt"}) || !slices.Equal(variables, []string{"RELEASE"}) {
		t.Errorf("inputs: %q %q", files, variables)
	}
	if !fits(t, schema(t), good) {
		t.Error("the schema refuses it")
	}
}

func TestMistakesSayWhereAndWhatWasExpected(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for name, c := range map[string]struct {
		text, want string
		unseen     bool // the schema cannot see it
	}{
		"no YAML":                      {"version: 1\nstates: [", "p.yaml:2:9: ", true},
		"a tab":                        {"version: 1\nstates:\n\t- code: 1\n", "p.yaml:3:1: a tab cannot indent YAML; use spaces", true},
		"a colon in a text":            {"version: 1\nstates:\n  - code: 1\n    run: echo a: b\n", "needs quotes, or 'run: |'", true},
		"an empty file":                {"", "p.yaml:1:1: the file is empty; 'bldst init' writes one", true},
		"a field that is none":         {"version: 1\nstates:\n  - code: 10\n    rum: x\n", `p.yaml:4:5: unknown field "rum"; see 'bldst run --schema'`, false},
		"a field twice":                {"version: 1\nstates:\n  - code: 10\n    run: a\n    run: b\n", `p.yaml:5:5: `, true},
		"another version":              {"version: 2\nstates: [{code: 1, run: x}]\n", "p.yaml:1:10: version must be 1", false},
		"no version":                   {"states: [{code: 1, run: x}]\n", "version must be 1", false},
		"no states":                    {"version: 1\n", "there are no states", false},
		"a code out of range":          {"version: 1\nstates:\n  - {code: 101, run: x}\n", "p.yaml:3:12: code must be from 0 to 100, not 101", false},
		"a code that is a word":        {"version: 1\nstates:\n  - {code: ten, run: x}\n", "p.yaml:3:12: cannot unmarshal string into Go struct field", false},
		"no code":                      {"version: 1\nstates:\n  - run: x\n", "the state has no code", false},
		"a code twice":                 {"version: 1\nstates:\n  - {code: 10, run: x}\n  - {code: 10, run: y}\n", "p.yaml:4:12: state 10 is there twice", true},
		"nothing to run":               {"version: 1\nstates:\n  - code: 10\n", "state 10 has nothing to run", false},
		"a duration without its unit":  {"version: 1\nstates:\n  - {code: 10, run: x, timeout: 90}\n", `"90" is no duration; write it as 90s, 15m or 2h`, false},
		"a when that is none":          {"version: 1\nstates:\n  - {code: 10, run: x, when: never}\n", "when must be 'always', 'missing ARTIFACT' or 'if COMMAND'", false},
		"a target that does not exist": {"version: 1\ntargets: [{name: a}]\nstates:\n  - {code: 10, run: x, targets: [b]}\n", "there is no target b; there are: a", true},
		"a checkpoint twice":           {"version: 1\nstates:\n  - {code: 10, run: x, save: {tree: a}}\n  - {code: 20, run: y, save: {tree: a}}\n", "tree is saved by another state already; give each checkpoint a name of its own, such as tree-20", true},
		"a target twice":               {"version: 1\ntargets: [{name: a}, {name: a}]\nstates:\n  - {code: 10, run: x}\n", "p.yaml:2:29: target a is there twice", true},
		"a target with a bad name":     {"version: 1\ntargets: [{name: a b}]\nstates:\n  - {code: 10, run: x}\n", "a target needs a name of letters", false},
		"an input that is none":        {"version: 1\nstates:\n  - {code: 10, run: x, inputs: [$a-b]}\n", "an input is a path, or $NAME", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pipeline.Parse("p.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "p.yaml:") {
				t.Errorf("want %q, got %v", c.want, err)
			}
			if !c.unseen && fits(t, s, c.text) {
				t.Error("the schema takes it")
			}
		})
	}
}

func TestTheSchemaNamesTheFieldsOfTheTypes(t *testing.T) {
	t.Parallel()
	var doc struct {
		Properties map[string]json.RawMessage
	}
	type object struct {
		Properties map[string]json.RawMessage
		Items      *struct{ Properties map[string]json.RawMessage }
	}
	if err := json.Unmarshal(pipeline.Schema, &doc); err != nil {
		t.Fatal(err)
	}
	member := func(name string) map[string]json.RawMessage {
		var o object
		if err := json.Unmarshal(doc.Properties[name], &o); err != nil {
			t.Fatal(err)
		}
		if o.Items != nil {
			return o.Items.Properties
		}
		return o.Properties
	}
	for _, c := range []struct {
		of     any
		schema map[string]json.RawMessage
	}{{pipeline.Pipeline{}, doc.Properties}, {pipeline.References{}, member("build")}, {pipeline.Target{}, member("targets")}, {pipeline.State{}, member("states")}} {
		var want []string
		typ := reflect.TypeOf(c.of)
		for i := range typ.NumField() {
			if tag := typ.Field(i).Tag.Get("yaml"); tag != "" {
				want = append(want, tag)
			}
		}
		slices.Sort(want)
		if d := cmp.Diff(want, slices.Sorted(maps.Keys(c.schema))); d != "" {
			t.Errorf("%T: -type +schema.json\n%s", c.of, d)
		}
	}
}

func TestAnEmptyVariableMakesNoNumber(t *testing.T) {
	t.Parallel()
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "1", "EMPTY": " "}[name]
		return v, ok
	}
	if got, err := pipeline.Expand("n-$A-${A}", env); got != "n-1-1" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	for _, text := range []string{"n-$EMPTY", "n-${NOT_SET}"} {
		if got, err := pipeline.Expand(text, env); err == nil || !strings.Contains(err.Error(), "is empty or not set") {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
}
