// Package store keeps the domain's rows in the one table: the design of keys
// and indexes, soft delete, uniqueness of names, paging, revisions, the audit
// trail and idempotency. No other package spells a key.
//
// Keys are made here only:
//
//	KIND#ID      a           a named row: platform, project, build, user ...
//	KIND#=NAME   a           who holds a name: {"ids": [...]}
//	build#ID     s#000007    and so on: rows of a build, see builds.go
//	audit#...                the audit trail, see audit.go
//	once#HASH    a           the first answer to an Idempotency-Key, see once.go
//
// Index 1 lists the rows of a kind (partition KIND, or deleted#KIND for
// soft-deleted ones), index 2 those of a parent.
package store

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"

	"bldst/shared/id"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// A Store keeps rows in a table. Its fields are set once, before use.
type Store struct {
	Table table.Table
	Now   func() time.Time
	NewID id.Source

	Patience time.Duration // how long a list reads on to fill a page; default 5 seconds

	rules   rulesCache
	typical typicalCache
}

// New returns a store on t with the real clock and ids.
func New(t table.Table) *Store { return &Store{Table: t, Now: time.Now, NewID: id.New} }

// now returns the time rows are stamped with: UTC, to the microsecond.
func (s *Store) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// stamp formats t so that text order is time order.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// own is the sort key of the row a partition is named after.
const own = "a"

func rowKey(kind, id string) table.Key    { return table.Key{PK: kind + "#" + id, SK: own} }
func nameKey(kind, name string) table.Key { return table.Key{PK: kind + "#=" + name, SK: own} }

// refKey is rowKey for what a caller says is an id. The row of a name is not to
// be had that way: no id begins with =.
func refKey(kind, ref string) table.Key {
	if strings.HasPrefix(ref, "=") {
		ref = "?" + ref
	}
	return rowKey(kind, ref)
}

// decode reads the document of it into v.
func decode(it *table.Item, v any) error {
	if err := json.Unmarshal(it.Doc, v); err != nil {
		return fmt.Errorf("row %s/%s: %w", it.PK, it.SK, err)
	}
	return nil
}

// encode returns the document of v.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: %T cannot be a document: %v", v, err)) // a programming error
	}
	return b
}

// retryFor bounds how long a change is tried again after somebody else's, for
// callers without a deadline of their own.
const retryFor = 10 * time.Second

// tries yields the numbers of tries of a change, which reads rows and writes
// them under the condition that they are as they were read, until the loop ends
// because nobody else was faster, or the time of the caller is nearly up. It
// waits a little in between, longer each time and never as long as the others,
// so that many who change one row get through one after the other.
func tries(ctx context.Context) iter.Seq[int] {
	return func(yield func(int) bool) {
		if !yield(0) {
			return
		}
		d := retryFor
		if end, ok := ctx.Deadline(); ok {
			d = min(d, time.Until(end)*9/10)
		}
		enough, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		for try := 1; pause(enough, try) == nil && yield(try); try++ {
		}
	}
}

// longest is the most that pause waits. The more there are, and the slower the
// table, the more they must keep out of each other's way.
const longest = time.Second

// pause waits a random time, longer for later tries. It returns an error when
// ctx has ended.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(rand.N(min(time.Millisecond<<min(try, 20), longest)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func busy() error {
	return &problem.Problem{Kind: problem.Unavailable, Detail: "Too many changes to the same row at once; try again."}
}

// write applies ops, or holds them back when ctx belongs to a request with an
// Idempotency-Key (see Once). Every change of the table goes through here.
func (s *Store) write(ctx context.Context, ops ...table.Op) error {
	if u, ok := ctx.Value(unitKey{}).(*unit); ok {
		return u.write(ops)
	}
	return s.Table.Write(ctx, ops...)
}
