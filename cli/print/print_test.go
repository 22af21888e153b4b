package print

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func raws(items ...string) []json.RawMessage {
	out := []json.RawMessage{}
	for _, s := range items {
		out = append(out, json.RawMessage(s))
	}
	return out
}

func TestList(t *testing.T) {
	t.Parallel()
	items := raws(`{"id":"b1","status":"in_progress","current_state":25,"note":null}`, `{"id":"b-two","status":"évil\u001b[2J\ttab","current_state":100}`)
	for name, test := range map[string]struct {
		p    Printer
		want string
	}{
		"aligned on a terminal": {Printer{TTY: true, Format: Table}, "ID     STATUS       CURRENT STATE\nb1     in_progress  25\nb-two  évil[2J tab  100\n"},
		"tab-separated, piped":  {Printer{Format: Table}, "b1\tin_progress\t25\nb-two\tévil[2J tab\t100\n"},
		"ids when quiet":        {Printer{TTY: true, Format: Table, Quiet: true}, "b1\nb-two\n"},
		"json as it was sent":   {Printer{Format: JSON, Quiet: true}, "[\n  {\n    \"id\": \"b1\",\n    \"status\": \"in_progress\",\n    \"current_state\": 25,\n    \"note\": null\n  },\n  {\n    \"id\": \"b-two\",\n    \"status\": \"évil\\u001b[2J\\ttab\",\n    \"current_state\": 100\n  }\n]\n"},
		"yaml":                  {Printer{Format: Yaml}, "- id: b1\n  status: in_progress\n  current_state: 25\n  note: null\n- id: b-two\n  status: \"évil\\x1b[2J\\ttab\"\n  current_state: 100\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p := test.p
			p.Out = &out
			if err := p.List(items, "id", "status", "current_state"); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, out.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestEmptyListIsAnArray(t *testing.T) {
	t.Parallel()
	for format, want := range map[Format]string{JSON: "[]\n", Yaml: "[]\n", Table: "ID\n"} {
		var out bytes.Buffer
		p := Printer{Out: &out, TTY: true, Format: format}
		if err := p.List(nil, "id"); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%s: %q, want %q", format, out.String(), want)
		}
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	raw := json.RawMessage(`{"status":"failed","id":"b1","ami":null,"meta":{"n":1.10},"history":[{"state_code":5,"message":null},{"state_code":10}]}`)
	for name, test := range map[string]struct {
		p    Printer
		want string
	}{
		"on a terminal":      {Printer{TTY: true, Format: Table}, "id      b1\nstatus  failed\nmeta    {\"n\":1.10}\n\nhistory:\nSTATE CODE\n5\n10\n"},
		"chosen columns":     {Printer{TTY: true, Format: Table, Nested: map[string][]string{"history": {"message", "state_code"}}}, "id      b1\nstatus  failed\nmeta    {\"n\":1.10}\n\nhistory:\nMESSAGE  STATE CODE\n         5\n         10\n"},
		"an object left out": {Printer{TTY: true, Format: Table, Nested: map[string][]string{"history": {}, "meta": {}}}, "id      b1\nstatus  failed\n"},
		"a list left out":    {Printer{TTY: true, Format: Table, Nested: map[string][]string{"history": {}}}, "id      b1\nstatus  failed\nmeta    {\"n\":1.10}\n"},
		"piped":              {Printer{Format: Table}, "id\tb1\nstatus\tfailed\nami\t\nmeta\t{\"n\":1.10}\nhistory\t[{\"state_code\":5,\"message\":null},{\"state_code\":10}]\n"},
		"quiet":              {Printer{Format: Table, Quiet: true}, "b1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p := test.p
			p.Out = &out
			if err := p.Object(raw, "id"); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, out.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestYAMLIsReadBackTheSame(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`{"a":[{"b":[1,2.5,{"c":"d"}],"e":{}},[],[[1],[2]]],"f":"x: y","yes":"no","n":null,"t":true}`,
		`{"s":"1e3","d":"2024-01-02T03:04:05Z","v":"2024.10","m":"a\nb","e":"","q":"\"'","u":"ünï","esc":"\u001b","h":"# x","dash":"- x"}`,
		`"plain text"`, `[]`, `{"deep":{"er":{"est":["x",{"y":1,"z":[]}]}}}`,
	} {
		s, err := YAML([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := yaml.Unmarshal([]byte(s), &got); err != nil {
			t.Fatalf("%v in\n%s", err, s)
		}
		if err := json.Unmarshal([]byte(in), &want); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); d != "" {
			t.Errorf("%s\n%s", d, s)
		}
	}
}

func TestYAMLKeepsNumbersAndOrder(t *testing.T) {
	t.Parallel()
	got, err := YAML([]byte(`{"z":12345678901234567890123,"a":1.10}`))
	if want := "z: 12345678901234567890123\na: 1.10\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestParseFormat(t *testing.T) {
	t.Parallel()
	if f, err := ParseFormat("JSON"); f != JSON || err != nil {
		t.Errorf("JSON: %s, %v", f, err)
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("xml is accepted")
	}
}
