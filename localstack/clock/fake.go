package clock

import (
	"slices"
	"sync"
	"time"
)

// Fake is a clock that moves only when it is told to. Advance stops at every
// timer on its way and lets those who react finish (OnStep), so that what they
// do happens at its exact time and in its order.
type Fake struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*fakeTimer]struct{}
	settle []func()
}

// NewFake returns a clock that stands at now.
func NewFake(now time.Time) *Fake {
	return &Fake{now: now.UTC(), timers: map[*fakeTimer]struct{}{}}
}

// Now returns the time the clock stands at.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// At returns a timer that fires when Advance reaches t.
func (f *Fake) At(t time.Time) Timer {
	f.mu.Lock()
	defer f.mu.Unlock()
	timer := &fakeTimer{clock: f, at: t, c: make(chan struct{})}
	if t.After(f.now) {
		f.timers[timer] = struct{}{}
	} else {
		close(timer.c)
	}
	return timer
}

// OnStep adds a function that Advance calls after each step; it returns when
// those who were woken are done.
func (f *Fake) OnStep(settle func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle = append(f.settle, settle)
}

// Advance moves the clock by d, stopping at every timer on the way. Only one
// goroutine may call it at a time.
func (f *Fake) Advance(d time.Duration) {
	f.settled()
	end := f.Now().Add(d)
	for f.step(end) {
		f.settled()
	}
}

// step moves to the next timer at or before end and fires all that are due; it
// reports whether there was one. Without one it moves to end.
func (f *Fake) step(end time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := end
	for t := range f.timers {
		if t.at.Before(next) {
			next = t.at
		}
	}
	f.now = next
	fired := false
	for t := range f.timers {
		if !t.at.After(next) {
			delete(f.timers, t)
			close(t.c)
			fired = true
		}
	}
	return fired || next.Before(end)
}

func (f *Fake) settled() {
	f.mu.Lock()
	waits := slices.Clone(f.settle)
	f.mu.Unlock()
	for _, wait := range waits {
		wait()
	}
}

type fakeTimer struct {
	clock *Fake
	at    time.Time
	c     chan struct{}
}

func (t *fakeTimer) C() <-chan struct{} { return t.c }

func (t *fakeTimer) Stop() {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	delete(t.clock.timers, t)
}
