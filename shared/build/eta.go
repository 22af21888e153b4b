package build

import (
	"cmp"
	"slices"
	"time"
)

// A Dwell is how long the builds of a project have been in a state: in how many
// of them, and in seconds altogether. Older builds count less.
type Dwell struct {
	Count   int64 `json:"n"`
	Seconds int64 `json:"sum"`
}

// Typical is how long the states of a project take, by code. A state takes from
// the first report of it to the first report of a later one.
type Typical map[int]Dwell

// Seconds returns how long the state typically takes; false when no build has
// been through it.
func (t Typical) Seconds(code int) (int64, bool) {
	d := t[code]
	if d.Count <= 0 {
		return 0, false
	}
	return d.Seconds / d.Count, true
}

// ETA returns when b will probably be completed, nil when it is not being
// worked on or nothing is known of its project: what is left of the state it is
// in, and the states after it, each by how often builds go through it.
func (t Typical) ETA(b *Build, now time.Time) *time.Time {
	if b.Status != InProgress || b.DeactivatedAt != nil {
		return nil
	}
	var most int64
	for code, d := range t {
		if code >= b.Current {
			most = max(most, d.Count)
		}
	}
	if most == 0 {
		return nil
	}
	left := 0.0
	for code, d := range t {
		switch mean, known := t.Seconds(code); {
		case !known || code < b.Current:
		case code == b.Current:
			left += max(0, float64(mean)-now.Sub(b.entered()).Seconds())
		default:
			left += float64(mean) * float64(d.Count) / float64(most)
		}
	}
	at := now.Add(time.Duration(left) * time.Second).UTC().Truncate(time.Second)
	return &at
}

// entered returns when b came to the state it is in.
func (b *Build) entered() time.Time {
	if m, ok := b.Marks[b.Current]; ok && m.Begin > 0 {
		return time.Unix(m.Begin, 0)
	}
	return b.UpdatedAt
}

// Left returns the state that old was in and b is not any more, and how long it
// was in it; false when b has not moved on.
func (b *Build) Left(old *Build) (code int, took time.Duration, ok bool) {
	on := b.Current > old.Current || b.Status == Completed && old.Status != Completed
	if old.Status != InProgress || b.Attempt != old.Attempt || b.Status == Failed || b.Status == Cancelled || !on {
		return 0, 0, false
	}
	took = b.UpdatedAt.Sub(old.entered()).Truncate(time.Second)
	return old.Current, took, took >= 0
}

// Spared returns how long the states took that b has behind it from an earlier
// attempt and did not run again.
func (b *Build) Spared() time.Duration {
	type span struct {
		Mark
		code int
	}
	var spans []span
	for code, m := range b.Marks {
		spans = append(spans, span{m, code})
	}
	slices.SortFunc(spans, func(x, y span) int { return cmp.Or(cmp.Compare(x.Begin, y.Begin), cmp.Compare(x.code, y.code)) })
	var secs int64
	for i, s := range spans {
		switch {
		case s.Attempt >= b.Attempt || s.Status == Failed || s.Status == Cancelled:
		case s.End != 0:
			secs += max(0, s.End-s.Begin)
		case i+1 < len(spans) && spans[i+1].Attempt == s.Attempt:
			secs += spans[i+1].Begin - s.Begin
		}
	}
	return time.Duration(secs) * time.Second
}
