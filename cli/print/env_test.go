package print

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shells are those that -o env promises to be safe for; zsh also with the
// option that reads ” between quotes as one.
func shells(t testing.TB) [][]string {
	t.Helper()
	var found [][]string
	for _, sh := range [][]string{{"sh"}, {"dash"}, {"bash"}, {"zsh", "-f"}, {"zsh", "-f", "-o", "rcquotes"}, {"busybox", "sh"}} {
		if path, err := exec.LookPath(sh[0]); err == nil {
			found = append(found, append([]string{path}, sh[1:]...))
		}
	}
	if found == nil {
		t.Skip("there is no shell here")
	}
	return found
}

var nasty = []string{
	"", "plain", "it's", "''", "'", `\`, `a\'b`, "$(touch pwned)", "`touch pwned`", "; touch pwned", "' ; touch pwned ; '", "\n touch pwned\n", "a\nb\r\n",
	"$HOME ${IFS}", "!!", "#", "~", "*", "-n", "é☃\U0001F600", "\x1b[2J\a", "\x7f", "trailing ", " leading", "a=b", "\t", "\\n", `"double"`, "$'\\x41'", "=(touch pwned)",
}

// TestEnvIsSafeToSource sources all of nasty in each shell and reads them back.
func TestEnvIsSafeToSource(t *testing.T) {
	t.Parallel()
	var variables []Variable
	for i, v := range nasty {
		variables = append(variables, Variable{EnvName("BLDST_VAR_", string(rune('a'+i/26))+string(rune('a'+i%26))), v})
	}
	for _, sh := range shells(t) {
		for i, got := range source(t, sh, variables) {
			if got != nasty[i] {
				t.Errorf("%v: %q came back as %q", sh, nasty[i], got)
			}
		}
	}
}

func FuzzEnvIsSafeToSource(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "") // what JSON can hold and a variable too
		for _, sh := range shells(t) {
			if got := source(t, sh, []Variable{{"BLDST_VAR_X", s}}); got[0] != s {
				t.Errorf("%v: %q came back as %q", sh, s, got[0])
			}
		}
	})
}

// source prints variables, sources them in a shell and returns the values that
// its children see. Nothing may have been carried out on the way.
func source(t *testing.T, sh []string, variables []Variable) []string {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	if err := (&Printer{Out: &out}).Env(variables); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "env"), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	script := ". ./env; env -0"
	cmd := exec.Command(sh[0], append(sh[1:], "-c", script)...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", sh, err, out.String())
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Fatalf("%v carried something out: %v\n%s", sh, left, out.String())
	}
	values := map[string]string{}
	for _, line := range strings.Split(string(raw), "\x00") {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	got := make([]string, len(variables))
	for i, v := range variables {
		got[i] = values[v.Name]
	}
	return got
}

func TestObjectsAsVariables(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := Printer{Out: &out, Format: Env}
	if err := p.Object(json.RawMessage(`{"id":"b 1","current-state":40,"ami_id":null,"links":{"self":"/x"},"note":"it's"}`)); err != nil {
		t.Fatal(err)
	}
	want := "export BLDST_ID='b 1'\nexport BLDST_CURRENT_STATE='40'\nexport BLDST_AMI_ID=''\nexport BLDST_LINKS='{\"self\":\"/x\"}'\nexport BLDST_NOTE='it'\\''s'\n"
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
	if err := p.List(nil); err == nil {
		t.Error("a list is printed as variables")
	}
}
