package table

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

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

// Behind returns how many changes the consumer has not acknowledged, and since
// when the oldest of them is there; 0 and no time when there is none. Changes
// that were there when the file was opened count from then on.
func (c *Consumer) Behind() (changes int, since time.Time) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	return c.all.arrived.behind(c.acked)
}

// consumers holds the consumers of a table.
type consumers struct {
	mu      sync.Mutex
	byName  map[string]*Consumer
	unsaved bool
	arrived arrivals
}

// arrive records that the feed reaches up to seq at the time now.
func (cs *consumers) arrive(seq uint64, now time.Time) {
	low := cs.acknowledged()
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.arrived.forget(low)
	cs.arrived.add(seq, now)
}

// Arrivals are when the changes of the feed came.
type arrivals struct {
	list  []arrival
	apart time.Duration // changes that come within it are one arrival
}

// An arrival is some changes that came together: the position of the last, and
// the time of the first.
type arrival struct {
	seq uint64
	at  time.Time
}

// The list is never longer than mostArrivals: a reader that is very far behind
// is told since when less finely.
const (
	together     = 100 * time.Millisecond // at first
	mostArrivals = 2048
)

func (as *arrivals) add(seq uint64, now time.Time) {
	if n := len(as.list); n > 0 && now.Sub(as.list[n-1].at) < as.apart {
		as.list[n-1].seq = seq
		return
	}
	as.apart = max(as.apart, together)
	if as.list = append(as.list, arrival{seq, now}); len(as.list) == mostArrivals {
		as.coarsen()
	}
}

// coarsen makes one of every two neighbours.
func (as *arrivals) coarsen() {
	span := as.list[len(as.list)-1].at.Sub(as.list[0].at)
	as.apart = max(2*as.apart, 2*span/mostArrivals)
	half := as.list[:0]
	for i := 0; i+1 < len(as.list); i += 2 {
		half = append(half, arrival{as.list[i+1].seq, as.list[i].at})
	}
	as.list = half
}

// forget drops what came up to the position acked.
func (as *arrivals) forget(acked uint64) {
	n := 0
	for n < len(as.list) && as.list[n].seq <= acked {
		n++
	}
	if as.list = as.list[n:]; len(as.list) == 0 {
		as.apart = together
	}
}

// behind returns how many changes came after the position acked, and when the
// first of them did.
func (as *arrivals) behind(acked uint64) (int, time.Time) {
	for _, a := range as.list {
		if a.seq > acked {
			return int(as.list[len(as.list)-1].seq - acked), a.at
		}
	}
	return 0, time.Time{}
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
