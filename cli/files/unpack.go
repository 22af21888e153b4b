package files

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// A badArchive says that an archive is none of those that pack makes.
type badArchive struct{ why string }

func (e *badArchive) Error() string { return "the archive is refused: " + e.why }

func refuse(format string, args ...any) error { return &badArchive{fmt.Sprintf(format, args...)} }

// An unpacker restores a folder. It writes below its root only, whatever the
// archive says, and takes nothing but what pack writes: every member below a
// folder that came before it, none twice, none through a link.
type unpacker struct {
	root    *os.Root
	want    Content
	have    Content
	folders map[string]*tar.Header
	files   map[string]bool
	others  map[string]bool
}

// unpack restores the tar r below root.
func unpack(r io.Reader, root *os.Root, want Content) error {
	u := &unpacker{root: root, want: want, folders: map[string]*tar.Header{}, files: map[string]bool{}, others: map[string]bool{}}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return readError(err)
		}
		if err := u.member(h, in); err != nil {
			return err
		}
	}
	if u.have != (Content{Entries: want.Entries, Bytes: want.Bytes}) {
		return refuse("it has %d entries of %d and %d bytes of %d", u.have.Entries, want.Entries, u.have.Bytes, want.Bytes)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	return u.finishFolders()
}

// readError tells an archive that makes no sense from one that cannot be read.
func readError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		return refuse("%v", err)
	}
	return err
}

func (u *unpacker) member(h *tar.Header, body io.Reader) error {
	name := strings.TrimSuffix(h.Name, "/")
	if u.have.Entries++; u.have.Entries > u.want.Entries {
		return refuse("it has more than %d entries", u.want.Entries)
	}
	if h.Size < 0 || h.Size > u.want.Bytes-u.have.Bytes {
		return refuse("its files are larger than %d bytes", u.want.Bytes)
	}
	if !fs.ValidPath(name) || strings.ContainsRune(name, '\\') && os.PathSeparator == '\\' {
		return refuse("it names %q, which is outside of the folder", h.Name)
	}
	if u.folders[name] != nil || u.files[name] || u.others[name] {
		return refuse("it has %q twice", name)
	}
	if name != "." && u.folders[path.Dir(name)] == nil {
		return refuse("%q is in no folder of the archive", name)
	}
	if err := u.write(name, h, body); err != nil {
		return err
	}
	return nil
}

func (u *unpacker) write(name string, h *tar.Header, body io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		u.folders[name] = h
		if name == "." {
			return nil
		}
		return u.root.Mkdir(name, 0o700)
	case tar.TypeReg:
		u.files[name] = true
		u.have.Bytes += h.Size
		return u.file(name, h, body)
	case tar.TypeSymlink:
		u.others[name] = true
		if err := u.root.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return u.own(name, h)
	case tar.TypeLink:
		if !u.files[h.Linkname] {
			return refuse("%q is a link to %q, which is no file of the archive before it", name, h.Linkname)
		}
		u.files[name] = true
		return u.root.Link(h.Linkname, name)
	default:
		return refuse("%q is of the type %q", name, h.Typeflag)
	}
}

func (u *unpacker) file(name string, h *tar.Header, body io.Reader) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := writeSparse(f, body, h.Size); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := u.own(name, h); err != nil {
		return err
	}
	if err := u.root.Chmod(name, h.FileInfo().Mode().Perm()|h.FileInfo().Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)); err != nil {
		return err
	}
	return u.root.Chtimes(name, time.Time{}, h.ModTime)
}

// own gives a member to its owner, who only root can be made.
func (u *unpacker) own(name string, h *tar.Header) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return u.root.Lchown(name, h.Uid, h.Gid)
}

// finishFolders gives folders what writing into them would have changed, those
// that are deepest first.
func (u *unpacker) finishFolders() error {
	names := []string{}
	for name := range u.folders {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return comparePaths(b, a) })
	for _, name := range names {
		h := u.folders[name]
		mode := h.FileInfo().Mode()
		err := errors.Join(u.own(name, h), u.root.Chmod(name, mode.Perm()|mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)), u.root.Chtimes(name, time.Time{}, h.ModTime))
		if err != nil {
			return err
		}
	}
	return nil
}

var noData = make([]byte, 64<<10)

// writeSparse writes size bytes of r to f, which is empty, and leaves out
// blocks of zeros.
func writeSparse(f *os.File, r io.Reader, size int64) error {
	b := make([]byte, len(noData))
	for at := int64(0); at < size; {
		n, err := io.ReadFull(r, b[:min(int64(len(b)), size-at)])
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return readError(err)
		}
		if !bytes.Equal(b[:n], noData[:n]) {
			if _, err := f.WriteAt(b[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
	}
	return f.Truncate(size)
}

// unpackSparse restores the one file of a sparse archive.
func unpackSparse(r io.Reader, f *os.File, want Content) error {
	in := tar.NewReader(r)
	h, err := in.Next()
	switch {
	case err == io.EOF:
		return refuse("it is empty")
	case err != nil:
		return readError(err)
	case h.Typeflag != tar.TypeReg || h.Size != want.Bytes:
		return refuse("its file has %d bytes of %d", h.Size, want.Bytes)
	}
	if err := writeSparse(f, in, h.Size); err != nil {
		return err
	}
	switch _, err := in.Next(); {
	case err == nil:
		return refuse("it has more than one entry")
	case err != io.EOF:
		return readError(err)
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

// through passes the file to f as a stream, and returns what it did not like.
// An archive that makes no sense is compared with its checksum all the same:
// that says whether it is damaged or was made so.
func (d *download) through(ctx context.Context, f func(io.Reader) error) error {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := f(r)
		_ = r.CloseWithError(err) // what f did not like ends the reading
		done <- err
	}()
	err := d.stream(ctx, nil, func(b []byte) error {
		_, err := w.Write(b)
		return err
	})
	_ = w.CloseWithError(err)
	ferr := <-done
	if bad := (*badArchive)(nil); errors.As(ferr, &bad) {
		if err := d.stream(ctx, nil, func([]byte) error { return nil }); err != nil {
			return err
		}
		return ferr
	}
	if err != nil {
		return err
	}
	return ferr
}
