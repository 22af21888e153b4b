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
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A member is one entry of a folder that is packed.
type member struct {
	name string // with slashes, relative to the folder; "." is the folder itself
	head *tar.Header
	info fs.FileInfo
}

// tree is a folder as a tar. Two packs of one folder are equal: members are
// sorted, owners are numbers, times are whole seconds, and there are none of
// access or change, which reading the folder would alter.
func tree(root string) (*source, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, plain(err)
	}
	members, size, err := survey(root)
	if err != nil {
		return nil, err
	}
	c := Content{Format: Tree, Entries: len(members)}
	for _, m := range members {
		c.Bytes += m.head.Size
	}
	r, w := io.Pipe()
	s := &source{Closer: r, size: size, content: func() (Content, error) { return c, nil }}
	s.yield = func(ctx context.Context, partSize int64, yield func(chunk) error) (sum, error) {
		go func() { w.CloseWithError(pack(w, root, members)) }()
		return fromStream(r)(ctx, partSize, yield)
	}
	return s, nil
}

// survey returns the members of a folder and the size of its tar.
func survey(root string) ([]member, int64, error) {
	var members []member
	first := map[inode]string{}
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		m, err := memberAt(root, at, d, first)
		if err != nil {
			return fmt.Errorf("%s: %w", at, plain(err))
		}
		members = append(members, m)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(members, func(a, b member) int { return comparePaths(a.name, b.name) })
	size, err := tarSize(members)
	return members, size, err
}

// comparePaths orders a folder before what is in it.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(strings.TrimPrefix(a, "."), "/"), strings.Split(strings.TrimPrefix(b, "."), "/"))
}

func memberAt(root, at string, d fs.DirEntry, first map[inode]string) (member, error) {
	info, err := d.Info()
	if err != nil {
		return member{}, err
	}
	rel, err := filepath.Rel(root, at)
	if err != nil {
		return member{}, err
	}
	m := member{name: filepath.ToSlash(rel), info: info}
	link := ""
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		if link, err = os.Readlink(at); err != nil {
			return member{}, err
		}
	case !mode.IsRegular() && !mode.IsDir():
		return member{}, errors.New("only files, folders and symbolic links can be saved; remove it, or save an archive of your own")
	}
	if m.head, err = tar.FileInfoHeader(info, link); err != nil {
		return member{}, err
	}
	normalise(m.head, m.name, info)
	if id, linked := inodeOf(info); linked && info.Mode().IsRegular() {
		if other, seen := first[id]; seen {
			m.head.Typeflag, m.head.Linkname, m.head.Size = tar.TypeLink, other, 0
		} else {
			first[id] = m.name
		}
	}
	return m, nil
}

// normalise leaves in h what belongs to the folder, and nothing of the machine.
func normalise(h *tar.Header, name string, info fs.FileInfo) {
	h.Name, h.Format = name, tar.FormatPAX
	if info.IsDir() {
		h.Name += "/"
	}
	h.Uname, h.Gname, h.Devmajor, h.Devminor = "", "", 0, 0
	h.ModTime, h.AccessTime, h.ChangeTime = h.ModTime.Truncate(time.Second), time.Time{}, time.Time{}
	h.PAXRecords = nil
}

// tarSize returns the size of the tar of members.
func tarSize(members []member) (int64, error) {
	size := int64(2 * block) // that end it
	for _, m := range members {
		var head bytes.Buffer
		if err := tar.NewWriter(&head).WriteHeader(m.head); err != nil {
			return 0, fmt.Errorf("%s: %w", m.name, err)
		}
		size += int64(head.Len()) + padded(m.head.Size)
	}
	return size, nil
}

const block = 512 // bytes, of a tar

// padded returns how much of a tar n bytes take.
func padded(n int64) int64 { return (n + block - 1) / block * block }

// pack writes the tar of members. A file that is not as it was is an error:
// who saves half of a change would restore it.
func pack(to io.Writer, root string, members []member) error {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return plain(err)
	}
	defer dir.Close()
	w := tar.NewWriter(to)
	for _, m := range members {
		if err := w.WriteHeader(m.head); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if m.head.Typeflag != tar.TypeReg {
			continue
		}
		if err := packFile(w, dir, m); err != nil {
			return fmt.Errorf("%s: %w", m.name, plain(err))
		}
	}
	return w.Close()
}

func packFile(w io.Writer, dir *os.Root, m member) error {
	f, err := dir.Open(m.name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(w, f, m.head.Size); err != nil {
		if err == io.EOF {
			err = errors.New("it became shorter while it was read")
		}
		return err
	}
	return unchanged(f, m.info)
}
