package files_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bldst/cli/files"
	"bldst/localstack"
	"bldst/shared/build"
	"bldst/shared/client"
)

// A place is a running stack with a build, and a folder to work in.
type place struct {
	*testing.T
	*files.Mover
	data  string // of the stack
	dir   string
	build string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{T: t, data: t.TempDir(), dir: t.TempDir()}
	s, err := localstack.Start(t.Context(), localstack.Options{Data: p.data})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	c, err := client.New(client.Options{BaseURL: s.URL, APIKey: "dev-key-12345"})
	if err != nil {
		t.Fatal(err)
	}
	p.Mover = &files.Mover{API: c, Sleep: func(context.Context, time.Duration) error { return nil }}
	p.build = p.newBuild()
	return p
}

func (p *place) newBuild() string {
	p.Helper()
	var b build.View
	p.call("POST", "/builds", map[string]any{}, &b)
	return b.ID
}

// call makes a request that must succeed.
func (p *place) call(method, path string, in, out any) {
	p.Helper()
	if err := p.API.Do(p.Context(), method, path, nil, in, out); err != nil {
		p.Fatal(err)
	}
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

// write writes a file of n bytes that no compression makes smaller.
func (p *place) write(name string, n int) []byte {
	p.Helper()
	b := make([]byte, n)
	_, _ = rand.Read(b)
	if err := os.WriteFile(p.path(name), b, 0o640); err != nil {
		p.Fatal(err)
	}
	return b
}

func (p *place) push(name, path string, state string) *build.Artifact {
	p.Helper()
	a, err := p.Push(p.Context(), files.Push{Build: p.build, Name: name, State: state, Path: p.path(path)})
	if err != nil {
		p.Fatal(err)
	}
	return a
}

func (p *place) read(name string) []byte {
	p.Helper()
	b, err := os.ReadFile(p.path(name))
	if err != nil {
		p.Fatal(err)
	}
	return b
}

// alone fails the test when there is something in the folder but names.
func (p *place) alone(names ...string) {
	p.Helper()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		p.Fatal(err)
	}
	for _, e := range entries {
		if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+e.Name()+" ") {
			p.Errorf("%s was left behind", e.Name())
		}
	}
}

func TestAFileComesBackAsItWas(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for name, size := range map[string]int{"empty": 0, "one": 1, "part": 8 << 20, "more": 8<<20 + 1, "several": 35<<20 + 12345} {
		want := p.write(name, size)
		a := p.push(name, name, "25")
		if *a.Size != int64(size) || a.StateCode != 25 || a.Type != "file" || !a.Resumable {
			t.Errorf("%s: %+v", name, a)
		}
		if _, err := p.Pull(t.Context(), files.Pull{Build: p.build, Artifact: name, Path: p.path("back")}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p.read("back"), want) {
			t.Errorf("%s came back changed", name)
		}
		if st, err := os.Stat(p.path("back")); err != nil || st.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v %v", name, st, err)
		}
		p.alone("back", "empty", "one", "part", "more", "several")
		_ = os.Remove(p.path("back"))
	}
}
