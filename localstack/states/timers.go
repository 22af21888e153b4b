package states

import (
	"container/heap"
	"time"
)

// timers are the next deadlines of all open executions, earliest first: one
// small entry for each, and no goroutine.
type timers struct {
	heap  deadlines
	where map[uint64]*deadline
}

type deadline struct {
	at        time.Time
	execution uint64
	index     int
}

func newTimers() timers { return timers{where: map[uint64]*deadline{}} }

// set replaces the deadline of an execution; a zero time removes it.
func (t *timers) set(execution uint64, at time.Time) {
	d, known := t.where[execution]
	switch {
	case known && at.IsZero():
		heap.Remove(&t.heap, d.index)
		delete(t.where, execution)
	case known:
		d.at = at
		heap.Fix(&t.heap, d.index)
	case !at.IsZero():
		d = &deadline{at: at, execution: execution}
		t.where[execution] = d
		heap.Push(&t.heap, d)
	}
}

// next returns the earliest deadline; zero when there is none.
func (t *timers) next() time.Time {
	if len(t.heap) == 0 {
		return time.Time{}
	}
	return t.heap[0].at
}

func (t *timers) due(now time.Time) bool {
	return len(t.heap) > 0 && !t.heap[0].at.After(now)
}

// take removes up to most executions that are due.
func (t *timers) take(now time.Time, most int) []uint64 {
	var found []uint64
	for len(found) < most && t.due(now) {
		d := heap.Pop(&t.heap).(*deadline)
		delete(t.where, d.execution)
		found = append(found, d.execution)
	}
	return found
}

type deadlines []*deadline

func (h deadlines) Len() int           { return len(h) }
func (h deadlines) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h deadlines) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *deadlines) Push(x any) {
	d := x.(*deadline)
	d.index = len(*h)
	*h = append(*h, d)
}

func (h *deadlines) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return d
}
