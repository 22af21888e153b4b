package table

import (
	"bytes"
	"context"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	port "bldst/shared/table"
)

var (
	itemsBucket     = []byte("items")
	index1Bucket    = []byte("index1")
	index2Bucket    = []byte("index2")
	expiryBucket    = []byte("expiry")
	logBucket       = []byte("log")
	consumersBucket = []byte("consumers")
	pendingBucket   = []byte("pending")
)

var bucketNames = [][]byte{itemsBucket, index1Bucket, index2Bucket, expiryBucket, logBucket, consumersBucket, pendingBucket}

// Write applies ops. Once the committer has taken them, the end of ctx no
// longer matters: the answer tells what happened.
func (t *Table) Write(ctx context.Context, ops ...port.Op) error {
	if err := port.Check(ops); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	writes := encodeOps(ops)
	return <-t.submit(func(x *txn) error { return x.write(writes) })
}

// A write is an Op with its key and item as they are stored.
type write struct {
	*port.Op
	key, val []byte
}

// encodeOps does the part of a write that needs no transaction.
func encodeOps(ops []port.Op) []write {
	out := make([]write, len(ops))
	for i := range ops {
		out[i] = write{Op: &ops[i], key: itemKey(ops[i].Item.Key)}
		if ops[i].Verb == port.Put {
			out[i].val = encodeItem(&ops[i].Item)
		}
	}
	return out
}

// A txn is a transaction of the file with its buckets. The first error of the
// file itself stays in err; it makes the whole transaction void.
type txn struct {
	tx                                     *bolt.Tx
	items, expiry, log, consumers, pending *bolt.Bucket
	index                                  [2]*bolt.Bucket
	feed, lag                              bool

	err      error
	dirty    bool         // something changed
	logged   uint64       // position of the last change in the log; 0 when it has not grown
	deferred []lateUpdate // index updates to apply later
}

func (t *Table) begin(tx *bolt.Tx) *txn {
	x := &txn{
		tx: tx, feed: t.opt.Feed, lag: t.opt.IndexLag != nil,
		items:     tx.Bucket(itemsBucket),
		index:     [2]*bolt.Bucket{tx.Bucket(index1Bucket), tx.Bucket(index2Bucket)},
		expiry:    tx.Bucket(expiryBucket),
		log:       tx.Bucket(logBucket),
		consumers: tx.Bucket(consumersBucket),
		pending:   tx.Bucket(pendingBucket),
	}
	x.log.FillPercent = 1 // only ever grows at its end
	for _, b := range []*bolt.Bucket{x.items, x.index[0], x.index[1]} {
		b.FillPercent = 0.9 // ids and times mostly grow, so half a page left free would stay free
	}
	return x
}

// keep remembers the first error.
func (x *txn) keep(err error) {
	if x.err == nil {
		x.err = err
	}
}

// write applies ws, or nothing when a condition does not hold.
func (x *txn) write(ws []write) error {
	for i := range ws {
		if err := x.require(i, &ws[i]); err != nil {
			return err
		}
	}
	for i := range ws {
		if ws[i].Verb != port.Verify {
			x.replace(ws[i].key, ws[i].val)
		}
	}
	return nil
}

// require returns a ConditionError when w's condition does not hold.
func (x *txn) require(i int, w *write) error {
	if w.Cond.Kind == port.Always {
		return nil
	}
	r, found := x.row(x.items.Get(w.key))
	var cur *port.Item
	if found {
		cur = &port.Item{Rev: r.rev, Deleted: r.deleted}
	}
	if w.Cond.Holds(cur) {
		return nil
	}
	if found {
		cur = r.item(w.Item.Key)
	}
	return &port.ConditionError{Op: i, Key: w.Item.Key, Current: cur}
}

// row decodes a stored item; found is false when val is empty.
func (x *txn) row(val []byte) (r row, found bool) {
	if len(val) == 0 {
		return row{}, false
	}
	r, err := decodeRow(val)
	x.keep(err)
	return r, err == nil
}

// replace puts val in the place of the item at key, nil to remove it, and
// brings expiry, indexes and log up to date. Putting what is there is no
// change and not in the log, as in DynamoDB.
func (x *txn) replace(key, val []byte) {
	c := change{key: key, old: x.items.Get(key), new: val}
	if bytes.Equal(c.old, c.new) { // an encoded item is never empty
		return
	}
	x.dirty = true
	if val == nil {
		x.keep(x.items.Delete(key))
	} else {
		x.keep(x.items.Put(key, val))
	}
	before, _ := x.row(c.old)
	after, _ := x.row(c.new)
	x.moveExpiry(key, before.expires, after.expires)
	if x.lag {
		x.deferIndex(c)
	} else {
		x.moveIndex(key, &before, &after)
	}
	if x.feed {
		x.logged = x.appendTo(x.log, encodeChange(c))
	}
}

// moveIndex moves the index entries of the item at key from where before has
// them to where after has them.
func (x *txn) moveIndex(key []byte, before, after *row) {
	for i, b := range x.index {
		from, to := before.index[i], after.index[i]
		if bytes.Equal(from.pk, to.pk) && bytes.Equal(from.sk, to.sk) {
			continue
		}
		if len(from.pk) > 0 {
			x.keep(b.Delete(indexKey(from, key)))
		}
		if len(to.pk) > 0 {
			x.keep(b.Put(indexKey(to, key), nil))
		}
	}
}

// appendTo puts val at the end of b and returns its sequence number.
func (x *txn) appendTo(b *bolt.Bucket, val []byte) uint64 {
	seq, err := b.NextSequence()
	x.keep(err)
	x.keep(b.Put(seqKey(seq), val))
	return seq
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func parseSeqKey(b []byte) uint64 { return binary.BigEndian.Uint64(b) }
