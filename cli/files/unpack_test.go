package files

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// archive returns a tar of members; a name that ends with a slash is a folder.
func archive(t testing.TB, members ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range members {
		if h.Mode == 0 {
			h.Mode = 0o700
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("x"), int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var (
	top  = tar.Header{Name: "./", Typeflag: tar.TypeDir}
	sub  = tar.Header{Name: "sub/", Typeflag: tar.TypeDir}
	afil = tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 3}
)

func entry(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 3} }

func symlink(name, to string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
}

func TestArchivesThatReachOutAreRefused(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	for name, c := range map[string]struct {
		members []tar.Header
		says    string
	}{
		"a name with ..":                 {[]tar.Header{top, entry("../x")}, "outside"},
		"a name with .. inside":          {[]tar.Header{top, sub, entry("sub/../../x")}, "outside"},
		"an absolute name":               {[]tar.Header{top, entry(outside + "/x")}, "outside"},
		"below a link":                   {[]tar.Header{top, symlink("l", outside), entry("l/x")}, "in no folder"},
		"below a link inside":            {[]tar.Header{top, sub, symlink("l", "sub"), entry("l/x")}, "in no folder"},
		"a link replaced by a file":      {[]tar.Header{top, symlink("l", outside+"/x"), entry("l")}, "twice"},
		"a folder replaced by a link":    {[]tar.Header{top, sub, symlink("sub", outside)}, "twice"},
		"a hard link out":                {[]tar.Header{top, {Name: "h", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}}, "no file of the archive"},
		"a hard link to a link":          {[]tar.Header{top, symlink("l", "/etc/passwd"), {Name: "h", Typeflag: tar.TypeLink, Linkname: "l"}}, "no file of the archive"},
		"a device":                       {[]tar.Header{top, {Name: "d", Typeflag: tar.TypeBlock}}, "of the type"},
		"a file in a folder that is not": {[]tar.Header{top, entry("no/x")}, "in no folder"},
		"more entries than were saved":   {[]tar.Header{top, entry("a"), entry("b"), entry("c"), entry("d")}, "more than 4 entries"},
		"fewer entries":                  {[]tar.Header{top}, "1 entries of 4"},
		"more bytes":                     {[]tar.Header{top, {Name: "a", Typeflag: tar.TypeReg, Size: 100}}, "larger than 9 bytes"},
	} {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = unpack(bytes.NewReader(archive(t, c.members...)), root, Content{Format: Tree, Entries: 4, Bytes: 9})
		_ = root.Close()
		bad := (*badArchive)(nil)
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if left, _ := os.ReadDir(outside); len(left) != 0 {
			t.Fatalf("%s: wrote outside", name)
		}
	}
}

func TestArchivesThatWereCutAreRefused(t *testing.T) {
	t.Parallel()
	whole := archive(t, top, afil, entry("b"))
	for n := 0; n < len(whole)-2*block; n += block {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := unpack(bytes.NewReader(whole[:n]), root, Content{Entries: 3, Bytes: 6}); err == nil {
			t.Errorf("%d of %d bytes are taken for the whole", n, len(whole))
		}
		_ = root.Close()
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, top, sub, entry("sub/a"), symlink("l", "../x")))
	f.Add(archive(f, top, entry("../x")))
	f.Add(archive(f, top, symlink("l", "/tmp"), entry("l/x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		in := filepath.Join(dir, "in")
		if err := os.Mkdir(in, 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(in)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		_ = unpack(bytes.NewReader(b), root, Content{Entries: 10, Bytes: 1 << 16})
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Fatalf("it wrote beside its folder: %v", left)
		}
		_ = os.Chmod(in, 0o700)
		single, err := os.Create(filepath.Join(dir, "single"))
		if err != nil {
			t.Fatal(err)
		}
		defer single.Close()
		_ = unpackSparse(bytes.NewReader(b), single, Content{Bytes: 1 << 16})
	})
}
