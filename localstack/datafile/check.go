package datafile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrDamaged is returned by Open for a file that was cut off or whose pages are
// not what they should be. bbolt maps the file into memory and trusts it: what
// it does not find there ends the process with a fault that nobody can catch.
var ErrDamaged = errors.New("data file is damaged")

// checkedAlways is the size up to which a file is read through at every start.
// A larger one is only when it was not closed, when bbolt reads it through as
// well to find its free pages.
const checkedAlways = 64 << 20

// check returns ErrDamaged when the file at path cannot be used safely. It
// looks at the file alone, never through a map of memory.
func check(path string) error {
	// bbolt holds the lock meanwhile. Opened to read, it looks at the first two
	// pages only.
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: lockWait})
	if err != nil {
		return err
	}
	defer db.Close()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	c := &checker{file: f}
	if err := c.run(); err != nil {
		return damaged(path, err)
	}
	if err := c.shrunk(db); err != nil {
		return damaged(path, err)
	}
	return nil
}

// shrunk returns an error when the file is smaller than it was when it was
// closed. A file grows ahead of its need, so that one may be cut off where
// nothing is in use yet; the copy it came from was interrupted all the same.
// A file that Close has not signed passes. To be called after run, whose pages
// are those that are read here.
func (c *checker) shrunk(db *bolt.DB) error {
	info, err := c.file.Stat()
	if err != nil || info.Size() > checkedAlways {
		return err
	}
	return db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(signature)
		if b == nil || len(b.Get(sizeKey)) != 8 {
			return nil
		}
		if closed := binary.BigEndian.Uint64(b.Get(sizeKey)); uint64(info.Size()) < closed {
			return fmt.Errorf("it was cut off at %d of %d bytes", info.Size(), closed)
		}
		return nil
	})
}

func damaged(path string, why error) error {
	return fmt.Errorf("%w: %s (%w); restore the folder from a copy, or move it away to begin anew", ErrDamaged, path, why)
}

// A checker reads a file of bbolt, format 2, as its documentation and package
// internal/common describe it: numbers in the order of the machine, pages with
// a header of 16 bytes, elements of 16 bytes that say where their key is.
type checker struct {
	file *os.File
	size int64 // of a page
	meta meta
	seen []uint64 // a bit for every page that was found
	last []byte   // the key before, in the same bucket
}

// A meta is what one of the first two pages says.
type meta struct {
	root, freelist, pages, tx uint64
}

const (
	header  = 16
	element = 16
	noList  = ^uint64(0) // instead of a list of free pages: the file was not closed

	branchPage = 0x01
	leafPage   = 0x02
	listPage   = 0x10

	bucketElement = 0x01
)

var order = binary.NativeEndian

func (c *checker) run() error {
	info, err := c.file.Stat()
	if err != nil {
		return err
	}
	if err := c.readMeta(); err != nil {
		return err
	}
	if need := int64(c.meta.pages) * c.size; c.meta.pages > uint64(info.Size()) || need > info.Size() {
		return fmt.Errorf("it was cut off at %d of %d bytes", info.Size(), need)
	}
	if info.Size()%c.size != 0 { // it grows by whole pages
		return fmt.Errorf("its size, %d bytes, is not what it should be", info.Size())
	}
	c.seen = make([]uint64, c.meta.pages/64+1)
	if c.meta.freelist != noList {
		if err := c.freelist(); err != nil || info.Size() > checkedAlways {
			return err
		}
	}
	return c.tree(c.meta.root)
}

// readMeta takes the newer of the two valid descriptions of the file. The
// second begins where the second page does, so its place is tried.
func (c *checker) readMeta() error {
	for page := int64(512); page <= 64<<10; page *= 2 {
		for _, at := range []int64{0, page} {
			if m, of := c.metaAt(at); of == page && (c.size == 0 || m.tx > c.meta.tx) {
				c.meta, c.size = m, page
			}
		}
	}
	if c.size == 0 {
		return bolterrors.ErrInvalid
	}
	return nil
}

// metaAt returns the description at at, and the size of a page; 0 when there is
// none.
func (c *checker) metaAt(at int64) (meta, int64) {
	b := make([]byte, header+64)
	if _, err := c.file.ReadAt(b, at); err != nil {
		return meta{}, 0
	}
	b = b[header:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56])
	if order.Uint32(b) != 0xED0CDAED || order.Uint32(b[4:]) != 2 || sum.Sum64() != order.Uint64(b[56:]) {
		return meta{}, 0
	}
	return meta{order.Uint64(b[16:]), order.Uint64(b[32:]), order.Uint64(b[40:]), order.Uint64(b[48:])}, int64(order.Uint32(b[8:]))
}

// page returns the page id with all that belongs to it, which must be of one of
// those kinds and was not found before.
func (c *checker) page(id uint64, kinds uint16) ([]byte, error) {
	if id < 2 || id >= c.meta.pages {
		return nil, fmt.Errorf("there is no page %d", id)
	}
	b := make([]byte, c.size)
	if _, err := c.file.ReadAt(b, int64(id)*c.size); err != nil {
		return nil, err
	}
	flags, more := order.Uint16(b[8:]), uint64(order.Uint32(b[12:]))
	if order.Uint64(b) != id || flags&kinds == 0 || flags&(flags-1) != 0 || id+more >= c.meta.pages {
		return nil, fmt.Errorf("page %d is not what it should be", id)
	}
	for i := id; i <= id+more; i++ {
		if c.seen[i/64]&(1<<(i%64)) != 0 {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		c.seen[i/64] |= 1 << (i % 64)
	}
	if more > 0 {
		b = make([]byte, int64(1+more)*c.size)
		if _, err := c.file.ReadAt(b, int64(id)*c.size); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// freelist checks the list of free pages; none of them may be in use.
func (c *checker) freelist() error {
	b, err := c.page(c.meta.freelist, listPage)
	if err != nil {
		return err
	}
	count, ids := uint64(order.Uint16(b[10:])), b[header:]
	if count == 0xFFFF { // it stands in the first place instead
		count, ids = order.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return errors.New("the list of free pages is not what it should be")
	}
	for i := range count {
		id := order.Uint64(ids[8*i:])
		if id < 2 || id >= c.meta.pages || c.seen[id/64]&(1<<(id%64)) != 0 {
			return fmt.Errorf("page %d is listed as free and is not", id)
		}
		c.seen[id/64] |= 1 << (id % 64)
	}
	return nil
}

// tree checks the page id and all below it.
func (c *checker) tree(id uint64) error {
	b, err := c.page(id, branchPage|leafPage)
	if err != nil {
		return err
	}
	if order.Uint16(b[8:]) == leafPage {
		return c.leaf(id, b)
	}
	count := int(order.Uint16(b[10:]))
	if count == 0 || header+count*element > len(b) {
		return fmt.Errorf("page %d is not what it should be", id)
	}
	for i := range count {
		e := header + i*element
		if !within(b, e, order.Uint32(b[e:]), order.Uint32(b[e+4:])) {
			return fmt.Errorf("page %d has a key outside of it", id)
		}
		if err := c.tree(order.Uint64(b[e+8:])); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks the elements of a leaf and the buckets among them. b is a page,
// or what stands for one in a small bucket.
func (c *checker) leaf(id uint64, b []byte) error {
	count := int(order.Uint16(b[10:]))
	if header+count*element > len(b) {
		return fmt.Errorf("page %d is not what it should be", id)
	}
	for i := range count {
		e := header + i*element
		flags, at, key, value := order.Uint32(b[e:]), order.Uint32(b[e+4:]), order.Uint32(b[e+8:]), order.Uint32(b[e+12:])
		if flags > bucketElement || !within(b, e, at, key) || !within(b, e+int(at)+int(key), 0, value) {
			return fmt.Errorf("page %d has an entry outside of it", id)
		}
		begin := e + int(at) + int(key)
		k := b[begin-int(key) : begin]
		if c.last != nil && bytes.Compare(c.last, k) >= 0 {
			return fmt.Errorf("page %d is not in order", id)
		}
		c.last = k
		if flags != bucketElement {
			continue
		}
		if err := c.bucket(id, b[begin:begin+int(value)]); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a bucket: its root page, or its entries when they stand in it.
func (c *checker) bucket(id uint64, b []byte) error {
	if len(b) < 16 {
		return fmt.Errorf("page %d has a bucket that is none", id)
	}
	outer := c.last
	c.last = nil
	defer func() { c.last = outer }()
	if root := order.Uint64(b); root != 0 {
		return c.tree(root)
	}
	if b = b[16:]; len(b) < header || order.Uint16(b[8:]) != leafPage {
		return fmt.Errorf("page %d has a bucket that is none", id)
	}
	return c.leaf(id, b)
}

// within reports whether n bytes that begin at after from are in b.
func within(b []byte, from int, at, n uint32) bool {
	return int64(from)+int64(at)+int64(n) <= int64(len(b))
}

// Empty reports whether there is nothing in the file at path, or no such file.
func Empty(path string) bool {
	info, err := os.Stat(path)
	return err != nil || !info.Mode().IsRegular() || info.Size() == 0
}
