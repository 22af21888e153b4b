package files

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// An extent is a piece of a file that holds data. What is between two of them
// is a hole.
type extent struct{ at, n int64 }

// smallHoles is what all holes of a file must have together, in bytes, for it to
// be stored without them.
const smallHoles = 1 << 20

// sparse is a file with holes, as a tar of one member in the form that GNU tar
// calls "PAX format, version 1.0" (GNU tar 1.35, "Storing Sparse Files"): the
// size and name in records of the header, then a list of the extents, then
// their bytes. `tar -xf` restores it too.
func sparse(f *os.File, st fs.FileInfo, extents []extent) *source {
	head, data := sparseHead(filepath.Base(f.Name()), st, extents)
	size := int64(len(head)) + padded(data) + 2*block
	return &source{Closer: f, size: size, content: func() (Content, error) {
		return Content{Format: Sparse, Mode: uint32(st.Mode().Perm()), Entries: 1, Bytes: st.Size()}, unchanged(f, st)
	}, yield: func(ctx context.Context, partSize int64, yield func(chunk) error) (sum, error) {
		readers := []io.Reader{bytes.NewReader(head)}
		for _, e := range extents {
			readers = append(readers, &exactly{r: io.NewSectionReader(f, e.at, e.n), n: e.n})
		}
		readers = append(readers, io.LimitReader(zeros{}, padded(data)-data+2*block))
		return fromStream(io.MultiReader(readers...))(ctx, partSize, yield)
	}}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// exactly fails when r ends before n bytes.
type exactly struct {
	r io.Reader
	n int64
}

func (e *exactly) Read(b []byte) (int, error) {
	n, err := e.r.Read(b)
	e.n -= int64(n)
	if err == io.EOF && e.n > 0 {
		err = fmt.Errorf("it became shorter while it was read")
	}
	return n, err
}

// sparseHead returns everything that comes before the data, and how long that
// is.
func sparseHead(name string, st fs.FileInfo, extents []extent) (head []byte, data int64) {
	if n := len(extents); n == 0 || extents[n-1].at+extents[n-1].n < st.Size() {
		extents = append(extents[:n:n], extent{st.Size(), 0}) // else GNU tar leaves out the hole at the end
	}
	list := strconv.Itoa(len(extents)) + "\n"
	for _, e := range extents {
		list += fmt.Sprintf("%d\n%d\n", e.at, e.n)
		data += e.n
	}
	list += string(make([]byte, padded(int64(len(list)))-int64(len(list))))
	stored := int64(len(list)) + data
	records := ""
	for _, r := range [][2]string{{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.name", name}, {"GNU.sparse.realsize", fmt.Sprint(st.Size())},
		{"mtime", fmt.Sprint(st.ModTime().Unix())}, {"size", fmt.Sprint(stored)}} {
		records += record(r[0], r[1])
	}
	head = append(head, header("PaxHeaders.0/sparse", 'x', 0o644, int64(len(records)))...)
	head = append(head, records...)
	head = append(head, make([]byte, padded(int64(len(records)))-int64(len(records)))...)
	head = append(head, header("GNUSparseFile.0/sparse", '0', int64(st.Mode().Perm()), stored)...)
	return append(head, list...), data
}

// record spells a record of a PAX header: its own length stands first.
func record(key, value string) string {
	for n := len(key) + len(value) + 3; ; n++ {
		if r := fmt.Sprintf("%d %s=%s\n", n, key, value); len(r) == n {
			return r
		}
	}
}

// header returns a block of the form ustar. A size that has no room in it is in
// the PAX record.
func header(name string, kind byte, mode, size int64) []byte {
	b := make([]byte, block)
	octal := func(at, width int, n int64) {
		if n>>(3*(width-1)) != 0 {
			n = 0
		}
		copy(b[at:], fmt.Sprintf("%0*o", width-1, n))
	}
	copy(b[0:], name)
	octal(100, 8, mode)
	octal(108, 8, 0)
	octal(116, 8, 0)
	octal(124, 12, size)
	octal(136, 12, 0)
	copy(b[148:], "        ")
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	sum := int64(0)
	for _, c := range b {
		sum += int64(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}
