// Package bus is EventBridge in the one-process stack: it leads events to
// functions by the rules of package events, and runs what is scheduled. An
// event that was taken is on disk until every function it goes to has dealt
// with it or it has become a dead letter; who sends events never waits for
// those who get them.
//
// Functions are invoked as Lambda invokes them asynchronously: three times in
// all, a minute and two minutes apart, in no promised order.
package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"bldst/events"
	"bldst/localstack/clock"
	"bldst/shared/build"
	"bldst/shared/id"

	"github.com/google/uuid"
)

// An Invoker runs functions. It bounds how long one may run and returns when
// ctx ends.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) ([]byte, error)
}

// Options of Open.
type Options struct {
	// Required.
	Path    string // a file of its own, made when absent
	Rules   []events.Rule
	Invoker Invoker

	// Optional.
	Functions []string    // the names rules may have as targets; nil is any
	Clock     clock.Clock // clock.Real when nil
	Log       *slog.Logger
	NewID     id.Source // of scheduled events; id.New when nil
}

// What the events of this machine say of where they come from.
const (
	Account = "000000000000"
	Region  = "us-east-1"
)

// An Event is the envelope functions get.
type Event struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       time.Time       `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// A Bus is open until it is closed. It is safe for concurrent use.
type Bus struct {
	o      Options
	disk   *disk
	ctx    context.Context // of invocations
	cancel context.CancelFunc
	bell   chan struct{}
	loop   sync.WaitGroup

	mu      sync.Mutex
	quiet   *sync.Cond
	waiting []*message // in the order they came
	ticks   []*tick
	running map[string]int // invocations by target
	parked  bool           // the loop has nothing to do now
	closed  bool
}

// atOnce is how many invocations of one function run at a time, so that one
// that hangs takes nothing from the others.
const atOnce = 16

// ErrClosed is returned by a bus that was closed.
var ErrClosed = errors.New("the bus is closed")

// Open checks the rules and goes on with what was not delivered when it was
// closed last.
func Open(o Options) (*Bus, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	d, waiting, err := openDisk(o.Path)
	if err != nil {
		return nil, err
	}
	b := &Bus{o: o, disk: d, waiting: waiting, bell: make(chan struct{}, 1), running: map[string]int{}}
	b.quiet = sync.NewCond(&b.mu)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	for _, r := range o.Rules {
		if r.Schedule != "" {
			every, _ := r.Every() // checked
			b.ticks = append(b.ticks, &tick{rule: r, every: every, next: o.Clock.Now().Add(every)})
		}
	}
	b.loop.Go(b.run)
	return b, nil
}

func (o *Options) defaults() error {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.NewID == nil {
		o.NewID = id.New
	}
	functions := o.Functions
	if functions == nil {
		for _, r := range o.Rules {
			functions = append(functions, r.Target)
		}
	}
	return events.Check(o.Rules, functions)
}

// Close stops the deliveries under way; they begin again when the bus is
// opened. A second call does nothing.
func (b *Bus) Close() error {
	b.mu.Lock()
	was := b.closed
	b.closed = true
	b.mu.Unlock()
	if was {
		return nil
	}
	b.cancel()
	b.ring()
	b.loop.Wait()
	return b.disk.close()
}

// Publish takes domain events. An event that is published again while it waits
// is one.
func (b *Bus) Publish(ctx context.Context, es []build.Event) error {
	out := make([]Event, len(es))
	for i, e := range es {
		detail, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		out[i] = Event{ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte(e.ID)).String(), DetailType: string(e.Type), Source: build.EventSource, Time: e.Time, Detail: detail}
	}
	return b.Put(ctx, out...)
}

// Take takes one event that has its envelope already, as the state machine
// sends it.
func (b *Bus) Take(ctx context.Context, envelope any) error {
	doc, err := json.Marshal(envelope)
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	var e Event
	if err := json.Unmarshal(doc, &e); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	return b.Put(ctx, e)
}

// Put takes events, all or none: when it returns nil those that match a rule
// are on disk. It waits for no function.
func (b *Bus) Put(_ context.Context, es ...Event) error {
	var ms []*message
	for _, e := range es {
		matched, err := b.match(e)
		if err != nil {
			return err
		}
		ms = append(ms, matched...)
	}
	if len(ms) == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	fresh := ms[:0]
	for _, m := range ms {
		if !b.waits(m.Key) {
			fresh = append(fresh, m)
		}
	}
	if err := b.disk.add(fresh); err != nil {
		return err
	}
	b.waiting = append(b.waiting, fresh...)
	b.wake()
	return nil
}

// match returns a message for every rule e matches.
func (b *Bus) match(e Event) ([]*message, error) {
	e.complete(b.o)
	var payload []byte
	var out []*message
	for _, r := range b.o.Rules {
		if r.Pattern == nil || !r.Pattern.Matches(e.Source, e.DetailType, e.Detail) {
			continue
		}
		if payload == nil {
			var err error
			if payload, err = json.Marshal(e); err != nil {
				return nil, fmt.Errorf("event %s: %w", e.ID, err)
			}
		}
		out = append(out, &message{Key: r.Name + " " + e.ID, Rule: r.Name, Target: r.Target, Event: payload, Next: b.o.Clock.Now()})
	}
	return out, nil
}

func (e *Event) complete(o Options) {
	if e.Version == "" {
		e.Version = "0"
	}
	if e.ID == "" {
		e.ID = o.NewID()
	}
	if e.Account == "" {
		e.Account, e.Region = Account, Region
	}
	if e.Time.IsZero() {
		e.Time = o.Clock.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Second)
	if e.Resources == nil {
		e.Resources = []string{}
	}
	if e.Detail == nil {
		e.Detail = json.RawMessage("{}")
	}
}

func (b *Bus) waits(key string) bool {
	for _, m := range b.waiting {
		if m.Key == key {
			return true
		}
	}
	return false
}

// DeadLetters returns what could not be delivered, oldest first.
func (b *Bus) DeadLetters() ([]DeadLetter, error) { return b.disk.dead() }

// Redrive delivers the dead letter with that key once more, three times.
func (b *Bus) Redrive(key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	m, err := b.disk.revive(key, b.o.Clock.Now())
	if err != nil {
		return err
	}
	b.waiting = append(b.waiting, m)
	b.wake()
	return nil
}

// Settle returns when nothing is under way and nothing is due: for a clock
// that is moved by hand.
func (b *Bus) Settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && (!b.parked || b.due()) {
		b.quiet.Wait()
	}
}

func (b *Bus) ring() {
	select {
	case b.bell <- struct{}{}:
	default:
	}
}

// wake makes the loop look again; b.mu is held.
func (b *Bus) wake() {
	b.parked = false
	b.ring()
}
