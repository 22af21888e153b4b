package files_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bldst/cli/files"
	"bldst/shared/build"
	"bldst/shared/problem"
)

// list returns everything in a folder: name, mode, time, content or where it
// leads.
func list(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, at)
		line := fmt.Sprintf("%s %v", rel, info.Mode())
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(at)
			line += " -> " + to
		case info.Mode().IsRegular():
			b, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %q", info.ModTime().Unix(), b)
		default:
			line += fmt.Sprint(" ", info.ModTime().Unix())
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rootfs makes a folder with what folders have.
func (p *place) rootfs(name string) string {
	p.Helper()
	at := p.path(name)
	must := func(err error) {
		p.Helper()
		if err != nil {
			p.Fatal(err)
		}
	}
	for _, d := range []string{"etc/empty", "usr/bin", "usr/lib", "usr-merged", "locked"} {
		must(os.MkdirAll(filepath.Join(at, d), 0o755))
	}
	for f, mode := range map[string]fs.FileMode{"etc/passwd": 0o644, "usr/bin/tool": 0o755, "usr/bin/su": 0o755 | fs.ModeSetuid, "etc/shadow": 0o600, "locked/x": 0o400, "usr/lib/ä b\nc": 0o644} {
		must(os.WriteFile(filepath.Join(at, f), []byte("the file "+f), 0o600))
		must(os.Chmod(filepath.Join(at, f), mode))
		must(os.Chtimes(filepath.Join(at, f), time.Time{}, time.Unix(1700000000, 5)))
	}
	must(os.Symlink("/usr/bin/tool", filepath.Join(at, "etc/absolute")))
	must(os.Symlink("../../nowhere", filepath.Join(at, "etc/dangling")))
	must(os.Symlink("usr/lib", filepath.Join(at, "lib")))
	must(os.Link(filepath.Join(at, "usr/bin/tool"), filepath.Join(at, "usr/bin/tool2")))
	must(os.Chmod(filepath.Join(at, "locked"), 0o500))
	p.Cleanup(func() { _ = os.Chmod(filepath.Join(at, "locked"), 0o700) })
	for _, d := range []string{"locked", "etc/empty", "etc", ""} {
		must(os.Chtimes(filepath.Join(at, d), time.Time{}, time.Unix(1600000000, 0)))
	}
	return at
}

func TestAFolderComesBackAsItWas(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	want := list(t, p.rootfs("rootfs"))
	a := p.push("rootfs", "rootfs", "25")
	if a.Type != "archive" {
		t.Errorf("type %s", a.Type)
	}
	back := p.path("deep/er/back")
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(back, "locked"), 0o700) })
	if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: "rootfs", Path: back}); err != nil {
		t.Fatal(err)
	}
	if got := list(t, back); !slices.Equal(got, want) {
		t.Errorf("came back as\n%s\nwas\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	one, err1 := os.Stat(filepath.Join(back, "usr/bin/tool"))
	two, err2 := os.Stat(filepath.Join(back, "usr/bin/tool2"))
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(one, two) {
		t.Errorf("two names of one file are two files: %v", err)
	}
	p.alone("rootfs", "deep")

	if err := os.WriteFile(filepath.Join(back, "more"), []byte("what the killed command left"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: "rootfs", Path: back, Replace: true}); err != nil {
		t.Fatal(err)
	}
	if got := list(t, back); !slices.Equal(got, want) {
		t.Errorf("replaced, it is\n%s", strings.Join(got, "\n"))
	}
}

func TestTwoPacksOfOneFolderAreEqual(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.rootfs("one")
	first := p.push("first", "one", "25")
	if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: "first", Path: p.path("two")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(p.path("two/locked"), 0o700) })
	if second := p.push("second", "two", "30"); *second.Checksum != *first.Checksum {
		t.Errorf("a folder that was saved, restored and saved again is %s, was %s", *second.Checksum, *first.Checksum)
	}
}

func TestASparseImageMovesItsDataAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const size, data = 3 << 30, 1 << 20
	f, err := os.Create(p.path("disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	chunk := bytes.Repeat([]byte("bldst 01"), data/8)
	for _, at := range []int64{0, 1 << 30, size - data} {
		if _, err := f.WriteAt(chunk, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	a := p.push("disk", "disk.img", "40")
	if *a.Size > 4*data || a.Type != "disk_image" {
		t.Errorf("%d bytes of a %s were moved, want about %d", *a.Size, a.Type, 3*data)
	}
	if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: "disk", Path: p.path("back.img")}); err != nil {
		t.Fatal(err)
	}
	g, err := os.Open(p.path("back.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if st, err := g.Stat(); err != nil || st.Size() != size {
		t.Fatalf("size %d, %v", st.Size(), err)
	}
	for at, want := range map[int64][]byte{0: chunk, 1 << 30: chunk, size - data: chunk, data: make([]byte, data), 2 << 30: make([]byte, data)} {
		got := make([]byte, data)
		if _, err := g.ReadAt(got, at); err != nil || !bytes.Equal(got, want) {
			t.Errorf("at %d: other bytes, %v", at, err)
		}
	}
	if used := allocated(t, p.path("back.img")); used > 16*data {
		t.Errorf("the restored image takes %d bytes of the disk", used)
	}
	p.alone("disk.img", "back.img")
}

func TestAnImageThatEndsWithAHoleKeepsItsSize(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for name, at := range map[string]int64{"end": 64 << 20, "all": 0} {
		f, err := os.Create(p.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if at > 0 {
			_, err = f.WriteAt([]byte("data"), 0)
		}
		if err := errors.Join(err, f.Truncate(100<<20+5), f.Close()); err != nil {
			t.Fatal(err)
		}
		if a := p.push(name, name, "40"); *a.Size > 1<<20 {
			t.Errorf("%s: %d bytes were moved", name, *a.Size)
		}
		if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: name, Path: p.path(name + "-back")}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p.read(name), p.read(name+"-back")) {
			t.Errorf("%s came back changed", name)
		}
	}
}

func TestAStreamIsSavedOnlyWhenItsProducerSucceeded(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	push := files.Push{Build: p.build, Name: "dump", State: "25", From: strings.NewReader("half"), Ended: func() error { return errors.New("exit status 1") }}
	if _, err := p.Push(t.Context(), push); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("error %v", err)
	}
	if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: "dump", Path: p.path("x")}); !problem.Is(err, problem.NotFound) {
		t.Errorf("half a stream is an artifact: %v", err)
	}
	push.From, push.Ended = io.LimitReader(strings.NewReader(strings.Repeat("0123456789abcdef", 2<<20)), 30<<20), nil
	if _, err := p.Push(t.Context(), push); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: "dump", Path: p.path("x")}); err != nil || len(p.read("x")) != 30<<20 {
		t.Errorf("%v", err)
	}
}

// A wire passes requests on until it is cut.
type wire struct {
	puts atomic.Int64
	left atomic.Int64 // parts that go through
	full atomic.Bool
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut {
		if w.full.Load() {
			return &http.Response{StatusCode: http.StatusInsufficientStorage, Body: io.NopCloser(strings.NewReader("full")), Request: r}, nil
		}
		if w.left.Add(-1) < 0 {
			return nil, errors.New("connection reset by peer")
		}
		w.puts.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestAnInterruptedUploadGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	w := &wire{}
	p.HTTP = &http.Client{Transport: w}
	want := p.write("big", 45<<20)
	push := files.Push{Build: p.build, Name: "big", State: "25", Path: p.path("big")}
	w.left.Store(4)
	if _, err := p.Push(t.Context(), push); err == nil {
		t.Fatal("pushed through a cut wire")
	}
	sent := w.puts.Load()
	w.left.Store(100)
	if _, err := p.Push(t.Context(), push); err != nil {
		t.Fatal(err)
	}
	if again := w.puts.Load() - sent; sent < 1 || again != 6-sent {
		t.Errorf("%d parts were sent before and %d after the cut, want 6 together", sent, again)
	}
	if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: "big", Path: p.path("back")}); err != nil || !bytes.Equal(p.read("back"), want) {
		t.Errorf("came back changed: %v", err)
	}
}

func TestPartsOfAnotherContentAreSentAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	w := &wire{}
	p.HTTP = &http.Client{Transport: w}
	p.write("big", 20<<20)
	push := files.Push{Build: p.build, Name: "big", State: "25", Path: p.path("big")}
	w.left.Store(2)
	if _, err := p.Push(t.Context(), push); err == nil {
		t.Fatal("pushed through a cut wire")
	}
	want := p.write("big", 20<<20) // made again by the next run
	w.left.Store(100)
	if _, err := p.Push(t.Context(), push); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: "big", Path: p.path("back")}); err != nil || !bytes.Equal(p.read("back"), want) {
		t.Errorf("a mixture came back: %v", err)
	}
}

func TestAFullStoreIsSaidAndRegistersNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	w := &wire{}
	w.full.Store(true)
	p.HTTP = &http.Client{Transport: w}
	p.write("x", 10)
	_, err := p.Push(t.Context(), files.Push{Build: p.build, Name: "x", State: "25", Path: p.path("x")})
	if err == nil || !strings.Contains(err.Error(), "store of the deployment is full") {
		t.Errorf("error %v", err)
	}
	if _, err := p.Verify(t.Context(), files.Pull{Build: p.build, Artifact: "x"}); !problem.Is(err, problem.NotFound) {
		t.Errorf("error %v", err)
	}
}

// stored returns the file of an artifact in the data of the stack.
func stored(a *build.Artifact) string { return a.Path }

func TestADamagedCheckpointIsRevokedAndThePlanFallsBack(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"altered":   func(path string) error { return flip(path, 9<<20) },
		"truncated": func(path string) error { return os.Truncate(path, 5<<20) },
		"longer":    func(path string) error { return appendTo(path) },
		"gone":      os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			for _, state := range []string{"20", "30"} {
				p.write("f"+state, 10<<20)
				p.call("POST", "/builds/"+p.build+"/state", map[string]any{"state_code": state}, nil)
				p.push("after-"+state, "f"+state, state)
				p.call("POST", "/builds/"+p.build+"/state", map[string]any{"state_code": state, "status": "completed"}, nil)
			}
			p.call("POST", "/builds/"+p.build+"/failure", map[string]any{"state_code": 40, "error_message": "connection reset by peer"}, nil)
			if got := p.planned(); got != "40 after-20 after-30" {
				t.Fatalf("the plan is %q", got)
			}
			var a build.Artifact
			p.call("GET", "/builds/"+p.build+"/artifacts/after-30", nil, &a)
			if err := damage(stored(&a)); err != nil {
				t.Fatal(err)
			}
			_, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: "after-30", Path: p.path("back")})
			bad := (*files.Corrupt)(nil)
			if !errors.As(err, &bad) || !bad.Reported || !strings.Contains(err.Error(), "after-30") {
				t.Fatalf("error %v", err)
			}
			p.alone("f20", "f30")
			p.call("GET", "/builds/"+p.build+"/artifacts/"+a.ID, nil, &a)
			if a.RevokedAt == nil || !strings.Contains(*a.RevokeReason, "damaged") {
				t.Errorf("not revoked: %+v", a)
			}
			if got := p.planned(); got != "30 after-20" {
				t.Errorf("the plan is %q, want the checkpoint before, and state 30 again", got)
			}
		})
	}
}

// planned returns what the plan has a worker do that is about to do state 40:
// where it begins, and what it restores before.
func (p *place) planned() string {
	p.Helper()
	var plan build.Plan
	p.call("POST", "/builds/"+p.build+"/resume-plan", map[string]any{"next_state": 40}, &plan)
	out := fmt.Sprint(plan.From)
	for _, r := range plan.Restore {
		out += " " + r.ArtifactName
	}
	return out
}

func flip(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	b[0] ^= 1
	_, werr := f.WriteAt(b[:], at)
	return errors.Join(err, werr, f.Close())
}

func appendTo(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("more")
	return errors.Join(err, f.Close())
}

func TestRestoreRefusesPathsThatAreSomethingElse(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("file", 10)
	if err := errors.Join(os.Mkdir(p.path("folder"), 0o700), os.WriteFile(p.path("folder/x"), []byte("x"), 0o600), os.Symlink("/etc", p.path("link"))); err != nil {
		t.Fatal(err)
	}
	p.push("file", "file", "5")
	p.push("folder", "folder", "10")
	before := list(t, p.dir)
	for _, c := range []struct {
		artifact, path string
		replace        bool
		says           string
	}{
		{"file", "folder", true, "it is a folder"}, {"folder", "file", true, "it is no folder"}, {"file", "link", true, "symbolic link"}, {"folder", "link", true, "symbolic link"},
		{"file", "file", false, "--force"}, {"folder", "folder", false, "--force"}, {"file", "file/below", true, "not a directory"},
	} {
		_, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: c.artifact, Path: p.path(c.path), Replace: c.replace})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s to %s: %v, want %q", c.artifact, c.path, err, c.says)
		}
	}
	for _, path := range []string{".", "..", "/"} {
		if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: "folder", Path: path, Replace: true}); err == nil || !strings.Contains(err.Error(), "current folder") {
			t.Errorf("to %s: %v", path, err)
		}
	}
	if got := list(t, p.dir); !slices.Equal(got, before) {
		t.Errorf("something was changed:\n%s", strings.Join(got, "\n"))
	}
}
