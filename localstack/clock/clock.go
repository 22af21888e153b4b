// Package clock is the time the one-process stack runs by. Code that waits
// takes a Clock, so that a test can let hours pass in milliseconds.
package clock

import "time"

// A Clock tells the time and wakes at a time.
type Clock interface {
	// Now returns the current time in UTC.
	Now() time.Time
	// At returns a timer that fires once Now is not before t, at once if that
	// is so already. It may fire early: whoever waits looks at Now again.
	At(t time.Time) Timer
}

// A Timer fires once, by closing C.
type Timer interface {
	C() <-chan struct{}
	// Stop releases the timer. A timer that has fired stays fired.
	Stop()
}

// Real is the wall clock.
type Real struct{}

// longest bounds one sleep of Real. Timers of the runtime stand still while a
// machine is suspended; deadlines are wall-clock times and do not.
const longest = 15 * time.Second

// Now returns the wall-clock time.
func (Real) Now() time.Time { return time.Now().UTC() }

// At returns a timer that fires at t or after fifteen seconds, whichever is first.
func (Real) At(t time.Time) Timer {
	c := make(chan struct{})
	wait := min(max(time.Until(t), 0), longest)
	return &realTimer{c: c, t: time.AfterFunc(wait, func() { close(c) })}
}

type realTimer struct {
	c chan struct{}
	t *time.Timer
}

func (t *realTimer) C() <-chan struct{} { return t.c }
func (t *realTimer) Stop()              { t.t.Stop() }
