package step_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"bldst/cli/step"
)

func TestFingerprint(t *testing.T) {
	// The test changes the folder of the process, so it is not parallel.
	t.Chdir(t.TempDir())
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("in/a", "1", 0o644)
	write("in/sub/b", "2", 0o644)
	write("one", "3", 0o644)
	env := map[string]string{"X": "x"}
	print := func(args ...string) string {
		t.Helper()
		p, err := step.Fingerprint(args, []string{"in", "one"}, []string{"X"}, func(n string) (string, bool) { v, ok := env[n]; return v, ok })
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	base := print("make", "all")
	same := map[string]func(){
		"another time": func() { _ = os.Chtimes("in/a", time.Unix(1, 0), time.Unix(1, 0)) },
		"another inode": func() {
			_ = os.Remove("in/a")
			write("in/a", "1", 0o644)
		},
		"a variable that is not named": func() { env["PACKER_RUN_UUID"] = "y" },
	}
	for name, do := range same {
		if do(); print("make", "all") != base {
			t.Errorf("%s changes the fingerprint", name)
		}
	}
	if print("make all") == base || print("make", "all", "") == base {
		t.Error("another command line has the same fingerprint")
	}
	changes := []struct {
		name     string
		do, undo func()
	}{
		{"content", func() { write("in/sub/b", "3", 0o644) }, func() { write("in/sub/b", "2", 0o644) }},
		{"mode", func() { _ = os.Chmod("one", 0o755) }, func() { _ = os.Chmod("one", 0o644) }},
		{"a new file", func() { write("in/c", "", 0o644) }, func() { _ = os.Remove("in/c") }},
		{"a new folder", func() { _ = os.Mkdir("in/d", 0o755) }, func() { _ = os.Remove("in/d") }},
		{"another name", func() { _ = os.Rename("in/a", "in/A") }, func() { _ = os.Rename("in/A", "in/a") }},
		{"a link in the place of a file", func() { _ = os.Remove("in/a"); _ = os.Symlink("../one", "in/a") }, func() { _ = os.Remove("in/a"); write("in/a", "1", 0o644) }},
		{"a variable", func() { env["X"] = "y" }, func() { env["X"] = "x" }},
		{"a variable that is gone", func() { delete(env, "X") }, func() { env["X"] = "x" }},
	}
	for _, c := range changes {
		c.do()
		if print("make", "all") == base {
			t.Errorf("%s does not change the fingerprint", c.name)
		}
		if c.undo(); print("make", "all") != base {
			t.Fatalf("%s, undone, is not the same", c.name)
		}
	}
}

func TestTool(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"packer":           {"packer", "build", "."},
		"ansible-playbook": {"sudo", "-E", "env", "A=b", "timeout", "-k", "5s", "2h", "/usr/bin/ansible-playbook", "site.yml"},
		"sh":               {"sh", "-c", "packer build ."},
	} {
		if got := step.Tool(args); got != want {
			t.Errorf("Tool(%q) = %s, want %s", args, got, want)
		}
	}
}
