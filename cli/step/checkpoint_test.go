package step_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// damage changes what the store holds of a content, and reports how often.
func (b *bench) damage(content string) (n int) {
	b.t.Helper()
	err := filepath.WalkDir(b.file("stack"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, []byte(content)) {
			return err
		}
		n++
		return os.WriteFile(path, bytes.ToUpper(data), 0o600)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bench) content(name string) string {
	b.t.Helper()
	data, err := os.ReadFile(b.file(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(data)
}

func TestACheckpointIsRestoredElsewhere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.step("10", "--save", "tree=work/tree", "--", "sh", "-c", "mkdir -p work; echo ten >work/tree").want(t, 0)
	b.step("20", "--", "sh", "-c", "echo twenty >>work/tree").want(t, 0)
	b.step("30", "--", "sh", "-c", "echo half >>work/tree; exit 1").want(t, 1)
	// Another runner has nothing.
	if err := os.RemoveAll(b.file("work")); err != nil {
		t.Fatal(err)
	}
	b.set("BLDST_SPOOL", b.file("other"))
	b.step("30", "--", "true").want(t, 1, "state 20 must be run again before state 30")
	b.step("10", "--save", "tree=work/tree", "--", "sh", "-c", "mkdir -p work; echo ten >work/tree").want(t, 0, "is skipped")
	b.step("20", "--", "sh", "-c", "echo twenty >>work/tree").want(t, 0, "Restoring 'tree' to work/tree")
	b.step("30", "--", "sh", "-c", "echo thirty >>work/tree").want(t, 0)
	if got := b.content("work/tree"); got != "ten\ntwenty\nthirty\n" {
		t.Errorf("the tree holds %q", got)
	}
}

func TestADamagedCheckpointFallsBackToTheOneBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	steps := func() done {
		b.step("10", "--save", "one=tree", "--", "sh", "-c", "echo ten >tree").want(t, 0)
		b.step("20", "--save", "two=tree", "--", "sh", "-c", "echo twenty >>tree").want(t, 0)
		return b.step("30", "--env", "FIXED", "--", "sh", "-c", `echo thirty >>tree; test -n "$FIXED"`)
	}
	steps().want(t, 1)
	if n := b.damage("ten\ntwenty\n"); n != 1 {
		t.Fatalf("the store keeps the file %d times as it is, want once", n)
	}
	b.set("FIXED", "yes")
	steps().want(t, 1, "artifact 'two'", "damaged", "state 20 must be run again")
	steps().want(t, 0)
	if got := b.content("tree"); got != "ten\ntwenty\nthirty\n" {
		t.Errorf("the tree holds %q", got)
	}
}

func TestNothingIsWrittenOutsideOfTheFolder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, b.file("link")); err != nil {
		t.Fatal(err)
	}
	b.step("10", "--save", "tree=link/tree", "--", "sh", "-c", "echo ten >link/tree").want(t, 0)
	b.step("20", "--", "false").want(t, 1)
	b.step("20", "--", "true").want(t, 1, "a link on its way leads out", "--restore tree=link/tree")
	b.step("20", "--restore", "tree=link/tree", "--", "true").want(t, 0, "Restoring 'tree'")
}
