package auth

import (
	"sync"
	"time"
)

// An entry is what is known of a credential until a time.
type entry struct {
	caller *Caller
	err    error
	until  time.Time
}

// A cache remembers credentials by their SHA-256. Good and bad ones are kept
// apart, so that a flood of guesses displaces no caller.
type cache struct{ good, bad *generations }

func newCache(size int) *cache {
	return &cache{good: newGenerations(size), bad: newGenerations(size / 4)}
}

func (c *cache) get(sum [32]byte, now time.Time) (entry, bool) {
	e, ok := c.good.get(sum)
	if !ok || !now.Before(e.until) {
		e, ok = c.bad.get(sum)
	}
	return e, ok && now.Before(e.until)
}

// accept remembers caller for CacheFor, but not beyond expires unless that is
// zero.
func (c *cache) accept(sum [32]byte, now time.Time, caller *Caller, expires time.Time) (*Caller, error) {
	until := now.Add(CacheFor)
	if !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	c.good.put(sum, entry{caller: caller, until: until})
	return caller, nil
}

func (c *cache) refuse(sum [32]byte, now time.Time, err error) (*Caller, error) {
	c.bad.put(sum, entry{err: err, until: now.Add(badFor)})
	return nil, err
}

// generations is a map of bounded size: when the young half is full it becomes
// the old one, which is forgotten. Entries live for seconds, so that is as
// good as any order of eviction, and costs nothing.
type generations struct {
	mu         sync.RWMutex
	half       int
	young, old map[[32]byte]entry
}

func newGenerations(size int) *generations {
	return &generations{half: max(1, size/2), young: map[[32]byte]entry{}}
}

func (g *generations) get(sum [32]byte) (entry, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if e, ok := g.young[sum]; ok {
		return e, true
	}
	e, ok := g.old[sum]
	return e, ok
}

func (g *generations) put(sum [32]byte, e entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.young[sum]; !ok && len(g.young) >= g.half {
		g.young, g.old = make(map[[32]byte]entry, g.half), g.young
	}
	g.young[sum] = e
}
