package table

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	bolt "go.etcd.io/bbolt"

	port "bldst/shared/table"
)

// Changes returns the changes behind after, waiting for one. Without
// Options.Feed it only waits. When the table is closed it returns none.
func (t *Table) Changes(ctx context.Context, after string, limit int) ([]port.Change, error) {
	seq, err := parseSeq(after)
	if err != nil {
		return nil, err
	}
	for {
		rung := t.feed.wait()
		out, err := t.readLog(seq, limit)
		if len(out) > 0 || err != nil {
			return out, err
		}
		select {
		case <-rung:
		case <-t.closing:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
}

func (t *Table) readLog(after uint64, limit int) ([]port.Change, error) {
	var out []port.Change
	err := t.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(logBucket).Cursor()
		for k, v := c.Seek(seqKey(after + 1)); k != nil && len(out) < limit; k, v = c.Next() {
			ch, err := loggedChange(k, v)
			if err != nil {
				return err
			}
			out = append(out, ch)
		}
		return nil
	})
	return out, err
}

func loggedChange(k, v []byte) (port.Change, error) {
	c, err := decodeChange(v)
	if err != nil {
		return port.Change{}, err
	}
	out := port.Change{Seq: formatSeq(parseSeqKey(k)), Key: parseItemKey(c.key)}
	if len(c.old) > 0 {
		if out.Old, err = decodeItem(out.Key, c.old); err != nil {
			return port.Change{}, err
		}
	}
	if len(c.new) > 0 {
		out.New, err = decodeItem(out.Key, c.new)
	}
	return out, err
}

func formatSeq(seq uint64) string { return fmt.Sprintf("%016x", seq) }

// parseSeq undoes formatSeq; "" is 0, before every change.
func parseSeq(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	seq, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("no position in the change feed: %q", s)
	}
	return seq, nil
}

// A Consumer is a reader of the feed that the table remembers: changes are
// kept until every consumer has acknowledged them.
type Consumer struct {
	all   *consumers
	name  string
	acked uint64 // guarded by all.mu
}

// Consumer returns the consumer called name, registering it when it is new;
// it then begins at the oldest change kept.
func (t *Table) Consumer(name string) (*Consumer, error) {
	c := t.readers.get(name)
	err := <-t.submit(func(x *txn) error {
		x.dirty = true // the commit saves the cursors
		return nil
	})
	return c, err
}

// Cursor returns the last position acknowledged, for Changes; "" at first.
func (c *Consumer) Cursor() string {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.acked == 0 {
		return ""
	}
	return formatSeq(c.acked)
}

// Ack records that the changes up to seq are dealt with. It is stored with the
// next write, or by Close: after a crash a few changes come again.
func (c *Consumer) Ack(seq string) error {
	n, err := parseSeq(seq)
	if err != nil {
		return err
	}
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if n > c.acked {
		c.acked, c.all.unsaved = n, true
	}
	return nil
}

// consumers holds the consumers of a table.
type consumers struct {
	mu      sync.Mutex
	byName  map[string]*Consumer
	unsaved bool
}

// get returns the consumer called name, adding it when it is new.
func (cs *consumers) get(name string) *Consumer {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.byName[name]
	if c == nil {
		c = &Consumer{all: cs, name: name}
		cs.byName[name] = c
		cs.unsaved = true
	}
	return c
}

// load reads what save has written.
func (cs *consumers) load(b *bolt.Bucket) {
	cs.byName = map[string]*Consumer{}
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		cs.byName[string(k)] = &Consumer{all: cs, name: string(k), acked: parseSeqKey(v)}
	}
}

// again makes the next save write although the last one did, because its
// transaction has failed.
func (cs *consumers) again() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.unsaved = true
}

// save writes the cursors when one has moved.
func (cs *consumers) save(tx *bolt.Tx) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if !cs.unsaved {
		return nil
	}
	b := tx.Bucket(consumersBucket)
	for name, c := range cs.byName {
		if err := b.Put([]byte(name), seqKey(c.acked)); err != nil {
			return err
		}
	}
	cs.unsaved = false
	return nil
}

// acknowledged returns the position up to which all consumers have
// acknowledged, 0 when there is none.
func (cs *consumers) acknowledged() uint64 {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var low uint64
	first := true
	for _, c := range cs.byName {
		if first || c.acked < low {
			low, first = c.acked, false
		}
	}
	return low
}

// maxTrim bounds how many records a commit removes: more than it can add under
// load, few enough not to be felt.
const maxTrim = 4096

// trimLog removes the records up to seq.
func (x *txn) trimLog(seq uint64) {
	var old [][]byte
	c := x.log.Cursor()
	for k, _ := c.First(); k != nil && len(old) < maxTrim && parseSeqKey(k) <= seq; k, _ = c.Next() {
		old = append(old, k)
	}
	for _, k := range old {
		x.keep(x.log.Delete(k))
	}
}

// A bell wakes everybody who waits for it.
type bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

// wait returns a channel that the next ring closes.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
