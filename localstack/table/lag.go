package table

import (
	"container/heap"
	"sync"
	"time"
)

// With Options.IndexLag the indexes behave as DynamoDB's do at their worst:
// each update is applied some time after the write that caused it, updates of
// different items overtake each other, and an entry holds the copy of the item
// that the update brought. Updates of one item stay in order. Until applied
// they are in the pending bucket; those a process leaves there are applied
// when the file is opened the next time, with or without the option.

// A lateUpdate is one record of the pending bucket.
type lateUpdate struct {
	item string
	seq  uint64
	due  time.Time
}

// deferIndex leaves the index updates of c for later.
func (x *txn) deferIndex(c change) {
	seq := x.appendTo(x.pending, encodeChange(c))
	x.deferred = append(x.deferred, lateUpdate{item: string(c.key), seq: seq})
}

// applyPending applies all deferred updates.
func (x *txn) applyPending() {
	var seqs []uint64
	c := x.pending.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		seqs = append(seqs, parseSeqKey(k))
	}
	x.applyIndex(seqs)
}

// applyIndex applies the deferred updates seqs.
func (x *txn) applyIndex(seqs []uint64) {
	for _, seq := range seqs {
		c, err := decodeChange(x.pending.Get(seqKey(seq)))
		x.keep(err)
		before, _ := x.row(c.old)
		after, _ := x.row(c.new)
		x.copyIndex(c, &before, &after)
		x.keep(x.pending.Delete(seqKey(seq)))
		x.dirty = true
	}
}

// copyIndex is moveIndex with entries that hold the item.
func (x *txn) copyIndex(c change, before, after *row) {
	for i, b := range x.index {
		if from := before.index[i]; len(from.pk) > 0 {
			x.keep(b.Delete(indexKey(from, c.key)))
		}
		if to := after.index[i]; len(to.pk) > 0 {
			x.keep(b.Put(indexKey(to, c.key), c.new))
		}
	}
}

// lagging holds the deferred updates in the order in which they fall due.
type lagging struct {
	delay func() time.Duration
	wake  chan struct{}

	mu    sync.Mutex
	queue dueQueue
	last  map[string]time.Time // when the latest update of an item is due
}

func newLagging(delay func() time.Duration) *lagging {
	return &lagging{delay: delay, wake: make(chan struct{}, 1), last: map[string]time.Time{}}
}

// add takes in updates that were committed, in the order of their writes.
func (l *lagging) add(ds []lateUpdate) {
	if len(ds) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		d.due = time.Now().Add(l.delay())
		if last := l.last[d.item]; last.After(d.due) {
			d.due = last
		}
		l.last[d.item] = d.due
		heap.Push(&l.queue, d)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take removes and returns the updates due at now, and says how long it is to
// the next one.
func (l *lagging) take(now time.Time) (seqs []uint64, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 && !l.queue[0].due.After(now) {
		d := heap.Pop(&l.queue).(lateUpdate)
		seqs = append(seqs, d.seq)
		if l.last[d.item].Equal(d.due) {
			delete(l.last, d.item)
		}
	}
	if len(l.queue) == 0 {
		return seqs, time.Hour
	}
	return seqs, l.queue[0].due.Sub(now)
}

// lagLoop applies updates when they fall due.
func (t *Table) lagLoop() {
	for {
		seqs, wait := t.lag.take(time.Now())
		if len(seqs) > 0 {
			t.applyLate(seqs)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-t.lag.wake:
		case <-t.closing:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// applyLate applies seqs, again and again while the file cannot be written.
func (t *Table) applyLate(seqs []uint64) {
	for {
		err := <-t.submit(func(x *txn) error {
			x.applyIndex(seqs)
			return nil
		})
		if err == nil {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.closing:
			return
		}
	}
}

// A dueQueue is a heap of updates, the next due first; those of one item that
// are due together in the order of their writes.
type dueQueue []lateUpdate

func (q dueQueue) Len() int { return len(q) }
func (q dueQueue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].seq < q[j].seq
}
func (q dueQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *dueQueue) Push(d any)   { *q = append(*q, d.(lateUpdate)) }
func (q *dueQueue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	*q = (*q)[:last]
	return d
}
