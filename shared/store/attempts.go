package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"bldst/shared/identity"
	"bldst/shared/table"
)

// Wrong passwords are counted in the table, not in memory: on AWS every
// instance of a function has its own memory, and guesses are spread over all.
//
//	signin#HASH   a   how many of one counter, and until when the next must wait
//
// A sign-in costs one read more, a wrong one a transaction of three rows. Rows
// vanish an hour after the last wrong password, and who must wait writes none,
// so a flood of guesses does not grow the table. A name is kept as its hash:
// people type passwords where the name belongs.

const attemptKind = "signin"

// attemptLife is how long wrong passwords are remembered after the last one.
const attemptLife = time.Hour

// maxWait is the longest that an attempt must wait: long enough to make guessing
// hopeless, and short enough for the owner who is kept out by it.
const maxWait = time.Minute

// counters say of whom wrong passwords are counted, and how many are free.
var attemptCounters = []struct {
	name string
	of   func(identity.Attempt) string
	free int
}{
	{"user and address", func(a identity.Attempt) string { return a.Username + "\x00" + a.Address }, 5},
	{"user", func(a identity.Attempt) string { return a.Username }, 50},
	{"address", func(a identity.Attempt) string { return a.Address }, 100},
}

// An attemptRow is one counter.
type attemptRow struct {
	Wrong int       `json:"wrong"`
	At    time.Time `json:"at"`    // of the last one
	Until time.Time `json:"until"` // when the next may come
}

var _ identity.Attempts = (*Users)(nil)

func attemptKeys(a identity.Attempt) []table.Key {
	keys := make([]table.Key, len(attemptCounters))
	a.Username = strings.ToLower(a.Username)
	for i, c := range attemptCounters {
		sum := sha256.Sum256([]byte(c.name + "\x00" + c.of(a)))
		keys[i] = rowKey(attemptKind, hex.EncodeToString(sum[:]))
	}
	return keys
}

// attempts returns the counters of a as they are now.
func (u *Users) attempts(ctx context.Context, a identity.Attempt) ([]attemptRow, []*table.Item, error) {
	items, err := u.s.Table.Get(ctx, attemptKeys(a)...)
	if err != nil {
		return nil, nil, err
	}
	rows, now := make([]attemptRow, len(items)), u.s.now()
	for i, it := range items {
		if it == nil {
			continue
		}
		if err := decode(it, &rows[i]); err != nil {
			return nil, nil, err
		}
		if now.Sub(rows[i].At) >= attemptLife {
			rows[i] = attemptRow{}
		}
	}
	return rows, items, nil
}

// Wait implements identity.Attempts with one read.
func (u *Users) Wait(ctx context.Context, a identity.Attempt) (wait time.Duration, counted bool, err error) {
	rows, items, err := u.attempts(ctx, a)
	if err != nil {
		return 0, false, err
	}
	for _, r := range rows {
		wait = max(wait, r.Until.Sub(u.s.now()))
	}
	return wait, items[0] != nil || items[1] != nil, nil
}

// Wrong implements identity.Attempts.
func (u *Users) Wrong(ctx context.Context, a identity.Attempt) error {
	for range tries(ctx) {
		rows, items, err := u.attempts(ctx, a)
		if err != nil {
			return err
		}
		now := u.s.now()
		var ops []table.Op
		var waits []attemptWait
		for i, k := range attemptKeys(a) {
			r := &rows[i]
			r.Wrong, r.At = r.Wrong+1, now
			if wait := attemptDelay(r.Wrong - attemptCounters[i].free); wait > 0 {
				r.Until = now.Add(wait)
				waits = append(waits, attemptWait{attemptCounters[i].name, r.Wrong, int(wait.Seconds())})
			}
			cond, rev := replacing(items[i])
			ops = append(ops, table.PutOp(table.Item{Key: k, Rev: rev, Doc: encode(r), Expires: now.Add(attemptLife + time.Minute).Unix()}, cond))
		}
		if waits != nil {
			ops = append(ops, u.attemptAudit(ctx, a, waits))
		}
		if err = u.s.write(ctx, ops...); table.Refused(err) == nil {
			return err
		}
	}
	return busy()
}

// attemptDelay returns how long the next attempt waits after so many wrong ones
// beyond the free ones.
func attemptDelay(over int) time.Duration {
	if over < 0 {
		return 0
	}
	return min(maxWait, time.Second<<min(over, 10))
}

// An attemptWait is what the audit trail says of a counter.
type attemptWait struct {
	Of    string `json:"of"`
	Wrong int    `json:"wrong_passwords"`
	Wait  int    `json:"wait_seconds"`
}

func (u *Users) attemptAudit(ctx context.Context, a identity.Attempt, waits []attemptWait) table.Op {
	id := a.UserID
	if id == "" {
		id = "unknown" // what was typed is nobody's name, and may be a secret
	}
	return u.s.auditOp(ctx, "user.sign-in-delayed", userKind, id, nil, encode(map[string]any{"address": a.Address, "delays": waits}))
}

// Right implements identity.Attempts. What an address did to other users stays.
func (u *Users) Right(ctx context.Context, a identity.Attempt) error {
	keys := attemptKeys(a)
	return u.s.write(ctx, table.DeleteOp(keys[0], table.Cond{}), table.DeleteOp(keys[1], table.Cond{}))
}
