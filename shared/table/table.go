// Package table is the port to the one key-value table that holds everything:
// strongly consistent reads by key, ordered queries of a partition or of one
// of two indexes, one atomic conditional write, and a change feed. The two
// adapters, shared/table/dynamo (Amazon DynamoDB) and localstack/table (one
// embedded file), satisfy the same conformance suite (tabletest) and refuse
// the same writes (Check).
package table

import (
	"context"
	"errors"
	"fmt"
)

// A Key names one item: its partition and its place in it.
type Key struct{ PK, SK string }

// An IndexKey is an item's place in one of the two indexes. The zero value
// keeps the item out of the index. Both parts are set, or neither is. The sort
// key and the item's own key share the MaxSK bytes a sort key can have.
type IndexKey struct{ PK, SK string }

// An Item is one row. Doc is the caller's document, valid JSON in UTF-8, kept
// byte for byte. Rev is the caller's revision counter, which conditions
// compare; adapters store it and never change it.
type Item struct {
	Key
	Rev     int64
	Index   [2]IndexKey // the places in index 1 and index 2
	Deleted bool        // soft-deleted; the condition NotDeleted looks at it
	Expires int64       // Unix seconds after which the item may vanish; 0 is never
	Doc     []byte
}

// A CondKind is what a write requires of the item that is there.
type CondKind uint8

// The conditions.
const (
	Always     CondKind = iota
	Absent              // no such item
	Present             // an item, deleted or not
	NotDeleted          // an item that is not soft-deleted
	RevIs               // an item with revision Cond.Rev
)

// A Cond is a condition on the item an Op names.
type Cond struct {
	Kind CondKind
	Rev  int64 // of RevIs
}

// IfRev returns the condition that the item has revision rev.
func IfRev(rev int64) Cond { return Cond{Kind: RevIs, Rev: rev} }

// Holds reports whether c holds for cur, the item there is (nil when absent).
func (c Cond) Holds(cur *Item) bool {
	switch c.Kind {
	case Absent:
		return cur == nil
	case Present:
		return cur != nil
	case NotDeleted:
		return cur != nil && !cur.Deleted
	case RevIs:
		return cur != nil && cur.Rev == c.Rev
	default:
		return true
	}
}

// A Verb is what an Op does when its condition holds.
type Verb uint8

// The verbs.
const (
	Put    Verb = iota // write Op.Item whole
	Delete             // remove the item Op.Item.Key names
	Verify             // change nothing, only require the condition
)

// An Op is one part of a Write.
type Op struct {
	Verb Verb
	Item Item // of Delete and Verify only the Key counts
	Cond Cond
}

// PutOp returns the Op that writes it under cond.
func PutOp(it Item, cond Cond) Op { return Op{Verb: Put, Item: it, Cond: cond} }

// DeleteOp returns the Op that removes the item at k under cond.
func DeleteOp(k Key, cond Cond) Op { return Op{Verb: Delete, Item: Item{Key: k}, Cond: cond} }

// VerifyOp returns the Op that only requires cond of the item at k.
func VerifyOp(k Key, cond Cond) Op { return Op{Verb: Verify, Item: Item{Key: k}, Cond: cond} }

// A Query asks for the items of one partition of the table (Index 0) or of an
// index (1 or 2), in the order of their sort keys (bytewise), ties in an index
// by the item's own key. The table is read strongly consistent; an index may
// lag behind it and its items may be older copies.
type Query struct {
	Index   int
	PK      string
	Prefix  string // only sort keys that begin with it
	From    string // only sort keys >= From; "" is no bound. Not together with Prefix
	Reverse bool   // descending
	Skip    int    // pass over that many items first; counts only on the first page, without a Cursor
	Limit   int    // at most that many items, 1 to MaxLimit; fewer when MaxPage bytes are full
	Cursor  string // Page.Next of the page before this one; the rest of the Query must be the same
}

// MaxLimit is the largest Query.Limit.
const MaxLimit = 1000

// MaxPage bounds a page in bytes (see Size), so that an answer made of it fits
// into what AWS Lambda may answer. DynamoDB has the same bound.
const MaxPage = 1 << 20

// A Page is the answer to a Query: as many items as Limit and MaxPage allow,
// always one if there is any. Next is empty at the end, else the opaque cursor
// of the page that follows. It may be set although nothing follows.
type Page struct {
	Items []Item
	Next  string
}

// Add appends it to the page, unless that would make it larger than MaxPage.
// size is what the page has so far.
func (p *Page) Add(it Item, size *int) bool {
	n := Size(&it)
	if len(p.Items) > 0 && *size+n > MaxPage {
		return false
	}
	*size += n
	p.Items = append(p.Items, it)
	return true
}

// A Table is the port.
//
// Get returns the items at keys, in their order, nil where there is none; it
// sees every write acknowledged before it. At most MaxKeys keys; a key that no
// item can have (see Key.Storable) is one of an absent item.
//
// Write applies all ops or none. When a condition does not hold it returns a
// *ConditionError. No key may appear twice. It returns a problem of kind
// TooLarge for what the table cannot hold (see Check), before anything is
// written, and Unavailable when the table is throttled: then too nothing was
// written, and the caller may try again.
//
// An expired item may still be returned by Get and Query until it is purged.
type Table interface {
	Get(ctx context.Context, keys ...Key) ([]*Item, error)
	Query(ctx context.Context, q Query) (Page, error)
	Write(ctx context.Context, ops ...Op) error
}

// A Change is one write of one item, as the feed reports it. Old is nil for an
// insert, New for a removal. Changes of one item come in the order of its
// writes; a change may come more than once. Putting an item that is equal to
// the one there is no change.
type Change struct {
	Seq      string // position in the feed, opaque
	Key      Key
	Old, New *Item
}

// A Feed hands out the changes after a position ("" is the oldest kept), at
// most limit of them, waiting until there is one or ctx ends (then it returns
// none and no error).
type Feed interface {
	Changes(ctx context.Context, after string, limit int) ([]Change, error)
}

// A ConditionError says which op of a Write was refused and what is there.
type ConditionError struct {
	Op      int   // index of the first op whose condition does not hold
	Key     Key   // of that op
	Current *Item // the item there, nil when absent
}

func (e *ConditionError) Error() string {
	return fmt.Sprintf("condition of op %d on %s/%s does not hold", e.Op, e.Key.PK, e.Key.SK)
}

// Refused returns the ConditionError in err's chain, or nil.
func Refused(err error) *ConditionError {
	var c *ConditionError
	if errors.As(err, &c) {
		return c
	}
	return nil
}
