package table

import (
	"bytes"
	"encoding/binary"
	"errors"

	port "bldst/shared/table"
)

// rowVersion begins every encoded item. A later format takes the next number
// and keeps reading this one.
const rowVersion = 1

// Flags of an encoded item: what follows the revision.
const (
	flagDeleted = 1 << iota
	flagExpires
	flagIndex1
	flagIndex2
)

var flagIndex = [2]byte{flagIndex1, flagIndex2}

var errCorrupt = errors.New("the data file holds a damaged item")

// A row is an encoded item taken apart, without its key. The slices point into
// the encoding.
type row struct {
	rev     int64
	deleted bool
	expires int64
	index   [2]place
	doc     []byte
}

// A place is a row's key in one index; pk is empty when it is not there.
type place struct{ pk, sk []byte }

// encodeItem returns the encoding of it, without its key:
//
//	version, flags, revision, [expires], [pk, sk of index 1], [of index 2], doc
//
// Numbers are varints, strings have their length in front, doc is the rest.
func encodeItem(it *port.Item) []byte {
	b := make([]byte, 2, len(it.Doc)+128)
	b[0] = rowVersion
	b = binary.AppendVarint(b, it.Rev)
	if it.Deleted {
		b[1] |= flagDeleted
	}
	if it.Expires != 0 {
		b[1] |= flagExpires
		b = binary.AppendVarint(b, it.Expires)
	}
	for i, k := range it.Index {
		if k != (port.IndexKey{}) {
			b[1] |= flagIndex[i]
			b = appendBytes(b, k.PK)
			b = appendBytes(b, k.SK)
		}
	}
	return append(b, it.Doc...)
}

// decodeRow takes an encoded item apart.
func decodeRow(b []byte) (row, error) {
	if len(b) < 2 || b[0] != rowVersion {
		return row{}, errCorrupt
	}
	flags, r := b[1], reader{rest: b[2:]}
	out := row{deleted: flags&flagDeleted != 0, rev: r.varint()}
	if flags&flagExpires != 0 {
		out.expires = r.varint()
	}
	for i := range out.index {
		if flags&flagIndex[i] != 0 {
			out.index[i] = place{pk: r.bytes(), sk: r.bytes()}
		}
	}
	out.doc = r.rest
	if r.bad {
		return row{}, errCorrupt
	}
	return out, nil
}

// item returns the row as the item at k, which shares nothing with it.
func (r *row) item(k port.Key) *port.Item {
	it := &port.Item{Key: k, Rev: r.rev, Deleted: r.deleted, Expires: r.expires, Doc: bytes.Clone(r.doc)}
	for i, p := range r.index {
		it.Index[i] = port.IndexKey{PK: string(p.pk), SK: string(p.sk)}
	}
	return it
}

func decodeItem(k port.Key, b []byte) (*port.Item, error) {
	r, err := decodeRow(b)
	if err != nil {
		return nil, err
	}
	return r.item(k), nil
}

// A change is an encoded record of the log and of the pending index updates.
type change struct {
	key      []byte // as in the items bucket
	old, new []byte // encoded items, empty when absent
}

func encodeChange(c change) []byte {
	b := make([]byte, 0, len(c.key)+len(c.old)+len(c.new)+16)
	b = appendBytes(b, c.key)
	b = appendBytes(b, c.old)
	return append(b, c.new...)
}

func decodeChange(b []byte) (change, error) {
	r := reader{rest: b}
	c := change{key: r.bytes(), old: r.bytes()}
	c.new = r.rest
	if r.bad {
		return change{}, errCorrupt
	}
	return c, nil
}

// itemKey returns k as a key of the items bucket. Keys hold no NUL byte.
func itemKey(k port.Key) []byte {
	b := make([]byte, 0, len(k.PK)+1+len(k.SK))
	b = append(b, k.PK...)
	b = append(b, 0)
	return append(b, k.SK...)
}

func parseItemKey(b []byte) port.Key {
	pk, sk, _ := bytes.Cut(b, []byte{0})
	return port.Key{PK: string(pk), SK: string(sk)}
}

// indexKey returns the key in the bucket of an index of the item with itemKey.
func indexKey(p place, itemKey []byte) []byte {
	b := make([]byte, 0, len(p.pk)+len(p.sk)+2+len(itemKey))
	b = append(b, p.pk...)
	b = append(b, 0)
	b = append(b, p.sk...)
	b = append(b, 0)
	return append(b, itemKey...)
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// A reader takes values off the front of rest; bad is set when one is not
// there.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) varint() int64 {
	n, w := binary.Varint(r.rest)
	return int64(r.skip(uint64(n), w))
}

func (r *reader) bytes() []byte {
	n, w := binary.Uvarint(r.rest)
	n = r.skip(n, w)
	if n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	s := r.rest[:n:n]
	r.rest = r.rest[n:]
	return s
}

// skip passes over the w bytes of n and returns n, or 0 when w says it is bad.
func (r *reader) skip(n uint64, w int) uint64 {
	if w <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[w:]
	return n
}
