package bus

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"bldst/events"
)

// A message is an event on its way to one function.
type message struct {
	Seq    uint64          `json:"-"`
	Key    string          `json:"key"` // rule and event
	Rule   string          `json:"rule"`
	Target string          `json:"target"`
	Event  json.RawMessage `json:"event"`
	Tries  int             `json:"tries"`
	Next   time.Time       `json:"next"`

	running bool
}

// A tick is a schedule. It begins one period after the start, when what was
// under way goes on. Ticks are not kept: one that was missed is made up by the
// next.
type tick struct {
	rule    events.Rule
	every   time.Duration
	next    time.Time
	running bool
}

// waits are the times between the tries of one message.
var waits = []time.Duration{time.Minute, 2 * time.Minute}

// run starts what is due until the bus is closed, and then waits for what is
// under way.
func (b *Bus) run() {
	defer b.drain()
	for {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return
		}
		next, any := b.start()
		b.parked = b.idle()
		b.quiet.Broadcast()
		b.mu.Unlock()
		b.rest(next, any)
	}
}

// rest waits until next, or until something happens.
func (b *Bus) rest(next time.Time, any bool) {
	if !any {
		<-b.bell
		return
	}
	t := b.o.Clock.At(next)
	defer t.Stop()
	select {
	case <-b.bell:
	case <-t.C():
	}
}

func (b *Bus) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.idle() {
		b.quiet.Wait()
	}
	b.parked = true
	b.quiet.Broadcast()
}

func (b *Bus) idle() bool {
	for _, n := range b.running {
		if n > 0 {
			return false
		}
	}
	return true
}

// due reports whether something could be started now.
func (b *Bus) due() bool {
	now := b.o.Clock.Now()
	return slices.ContainsFunc(b.waiting, func(m *message) bool { return b.may(m, now) }) ||
		slices.ContainsFunc(b.ticks, func(t *tick) bool { return !t.running && !t.next.After(now) })
}

func (b *Bus) may(m *message, now time.Time) bool {
	return !m.running && !m.Next.After(now) && b.running[m.Target] < atOnce
}

// start starts what is due and returns when the next thing is.
func (b *Bus) start() (next time.Time, any bool) {
	now := b.o.Clock.Now()
	later := func(t time.Time) {
		if !any || t.Before(next) {
			next, any = t, true
		}
	}
	for _, m := range b.waiting {
		switch {
		case b.may(m, now):
			m.running = true
			b.running[m.Target]++
			go b.deliver(m)
		case !m.running && m.Next.After(now):
			later(m.Next)
		}
	}
	for _, t := range b.ticks {
		switch {
		case t.running:
		case !t.next.After(now):
			t.running, t.next = true, t.next.Add((now.Sub(t.next)/t.every+1)*t.every)
			b.running[t.rule.Target]++
			go b.fire(t, now)
		default:
			later(t.next)
		}
	}
	return next, any
}

// deliver tries m once.
func (b *Bus) deliver(m *message) {
	_, err := b.o.Invoker.Invoke(b.ctx, m.Target, m.Event)
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.done(m.Target)
	m.running = false
	if err != nil && b.ctx.Err() != nil {
		return // closed: it was not tried
	}
	if err := b.settle(m, err); err != nil {
		// The disk does not take it. The message stays and is delivered again.
		b.o.Log.Error("event kept", "rule", m.Rule, "cause", err.Error())
		m.Next = b.o.Clock.Now().Add(waits[0])
	}
}

// settle puts down what became of a try.
func (b *Bus) settle(m *message, failed error) error {
	after := *m
	after.Tries++
	switch {
	case failed == nil:
		if err := b.disk.remove(m); err != nil {
			return err
		}
	case after.Tries > len(waits):
		b.o.Log.Error("event not delivered", "rule", m.Rule, "target", m.Target, "tries", after.Tries, "cause", failed.Error())
		if err := b.disk.bury(m, DeadLetter{Key: m.Key, Rule: m.Rule, Target: m.Target, Event: m.Event, Tries: after.Tries, Error: failed.Error(), At: b.o.Clock.Now()}); err != nil {
			return err
		}
	default:
		b.o.Log.Warn("event to be delivered again", "rule", m.Rule, "target", m.Target, "tries", after.Tries, "cause", failed.Error())
		after.Next = b.o.Clock.Now().Add(waits[after.Tries-1])
		if err := b.disk.put(&after); err != nil {
			return err
		}
		m.Tries, m.Next = after.Tries, after.Next
		return nil
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(w *message) bool { return w == m })
	return nil
}

func (b *Bus) done(target string) {
	b.running[target]--
	b.wake()
	b.quiet.Broadcast()
}

// fire invokes the function of a schedule.
func (b *Bus) fire(t *tick, now time.Time) {
	e := Event{ID: b.o.NewID(), DetailType: events.ScheduleTick, Source: events.ScheduleSource, Time: now,
		Resources: []string{fmt.Sprintf("arn:aws:events:%s:%s:rule/%s", Region, Account, t.rule.Name)}}
	e.complete(b.o)
	payload, err := json.Marshal(e)
	if err == nil {
		_, err = b.o.Invoker.Invoke(b.ctx, t.rule.Target, payload)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t.running = false
	b.done(t.rule.Target)
	if err != nil && b.ctx.Err() == nil {
		b.o.Log.Error("scheduled function failed; it runs again at its next time", "rule", t.rule.Name, "cause", err.Error())
	}
}
