package table

import (
	"bytes"
	"context"

	bolt "go.etcd.io/bbolt"

	port "bldst/shared/table"
)

// Query returns a page of q. Next is set only when something follows.
func (t *Table) Query(ctx context.Context, q port.Query) (port.Page, error) {
	pos, err := port.CheckQuery(q)
	if err != nil {
		return port.Page{}, err
	}
	if q.Futile() {
		return port.Page{}, nil
	}
	s := newScan(q)
	var page port.Page
	err = t.view(func(tx *bolt.Tx) error {
		page, err = s.page(ctx, tx, pos, t.opt.IndexLag != nil)
		return err
	})
	return page, err
}

// A scan is a Query as a range of keys of one bucket.
type scan struct {
	q      port.Query
	part   int    // length of what all keys of the partition begin with
	prefix []byte // what all keys of the range begin with
	from   []byte // its lowest key
}

func newScan(q port.Query) scan {
	part := itemKey(port.Key{PK: q.PK})
	return scan{
		q: q, part: len(part),
		prefix: append(bytes.Clone(part), q.Prefix...),
		from:   append(bytes.Clone(part), max(q.Prefix, q.From)...),
	}
}

var scanBuckets = [3][]byte{itemsBucket, index1Bucket, index2Bucket}

// page reads one page, beginning after pos (nil: at the beginning).
func (s scan) page(ctx context.Context, tx *bolt.Tx, pos *port.Position, copies bool) (port.Page, error) {
	var page port.Page
	var last port.Position
	c, items := tx.Bucket(scanBuckets[s.q.Index]).Cursor(), tx.Bucket(itemsBucket)
	size, skip := 0, s.q.Skip
	if pos != nil {
		skip = 0
	}
	for k, v := s.first(c, pos); s.holds(k); k, v = s.next(c) {
		if skip > 0 {
			if skip--; skip%1024 == 0 && ctx.Err() != nil {
				break
			}
			continue
		}
		if len(page.Items) == s.q.Limit {
			page.Next = s.q.CursorAt(last)
			break
		}
		at := s.position(k)
		it, err := s.item(items, at.Key, v, copies)
		if err != nil {
			return port.Page{}, err
		}
		if !page.Add(*it, &size) {
			page.Next = s.q.CursorAt(last)
			break
		}
		last = at
	}
	return page, ctx.Err()
}

// first moves c to the first key of the page.
func (s scan) first(c *bolt.Cursor, pos *port.Position) (k, v []byte) {
	switch {
	case pos != nil && s.q.Reverse:
		return before(c, s.key(pos))
	case pos != nil:
		return after(c, s.key(pos))
	case s.q.Reverse:
		return before(c, successor(s.prefix))
	default:
		return c.Seek(s.from)
	}
}

func (s scan) next(c *bolt.Cursor) (k, v []byte) {
	if s.q.Reverse {
		return c.Prev()
	}
	return c.Next()
}

func (s scan) holds(k []byte) bool {
	return k != nil && bytes.HasPrefix(k, s.prefix) && bytes.Compare(k, s.from) >= 0
}

// key returns where in the bucket p is.
func (s scan) key(p *port.Position) []byte {
	if s.q.Index == 0 {
		return itemKey(p.Key)
	}
	return indexKey(place{pk: []byte(s.q.PK), sk: []byte(p.Sort)}, itemKey(p.Key))
}

// position undoes key.
func (s scan) position(k []byte) port.Position {
	if s.q.Index == 0 {
		return port.Position{Key: port.Key{PK: s.q.PK, SK: string(k[s.part:])}}
	}
	sort, key, _ := bytes.Cut(k[s.part:], []byte{0})
	return port.Position{Key: parseItemKey(key), Sort: string(sort)}
}

// item returns the item that the entry v at k stands for: the entry itself in
// the table, the copy in an index that has copies, else what it points to.
func (s scan) item(items *bolt.Bucket, k port.Key, v []byte, copies bool) (*port.Item, error) {
	if s.q.Index != 0 && (!copies || len(v) == 0) {
		v = items.Get(itemKey(k))
	}
	return decodeItem(k, v)
}

// after moves c to the first key behind k.
func after(c *bolt.Cursor, k []byte) (key, val []byte) {
	key, val = c.Seek(k)
	if bytes.Equal(key, k) {
		return c.Next()
	}
	return key, val
}

// before moves c to the last key in front of k.
func before(c *bolt.Cursor, k []byte) (key, val []byte) {
	if key, _ = c.Seek(k); key == nil {
		return c.Last()
	}
	return c.Prev()
}

// successor returns the first key behind all that begin with prefix. A prefix
// is UTF-8 and NUL, so there is a byte to count up.
func successor(prefix []byte) []byte {
	out := bytes.Clone(prefix)
	out[len(out)-1]++
	return out
}
