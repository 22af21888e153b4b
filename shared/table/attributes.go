package table

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The attributes of an item in the DynamoDB table, and its key. They are
// spelled here because three places must agree on them: the adapter, the
// decoder of the change stream and the size rule of Check.
const (
	AttrPK      = "pk"
	AttrSK      = "sk"
	AttrRev     = "rev"
	AttrDoc     = "doc"     // the document as a string, byte for byte
	AttrDeleted = "deleted" // absent when false
	AttrTTL     = "ttl"     // Item.Expires; absent when 0
)

// AttrIndex holds the names of the two key attributes of index 1 and 2; both
// are absent from an item that is not in the index.
var AttrIndex = [2]struct{ PK, SK string }{{"gsi1pk", "gsi1sk"}, {"gsi2pk", "gsi2sk"}}

// separator ends a part of a composed key. Keys cannot contain it (see Check)
// and no byte is smaller, so composed keys sort as their parts do.
const separator = "\x00"

// IndexSort returns the sort key under which it stands in index i (0 or 1).
func (it *Item) IndexSort(i int) string { return ComposeSort(it.Index[i].SK, it.Key) }

// ComposeSort returns the stored index sort key of the item at k: k is
// appended, because DynamoDB leaves the order of items with equal sort keys
// open and the port does not.
func ComposeSort(sort string, k Key) string {
	return sort + separator + k.PK + separator + k.SK
}

// An Attribute is one attribute of a stored item. Kind is its DynamoDB type:
// "S", "N" or "BOOL", whose value is "true" or "false".
type Attribute struct{ Name, Kind, Value string }

// Attributes returns what it is stored as in DynamoDB.
func (it *Item) Attributes() []Attribute {
	out := append(make([]Attribute, 0, 10), it.Key.Attributes()...)
	out = append(out, Attribute{AttrRev, "N", strconv.FormatInt(it.Rev, 10)}, Attribute{AttrDoc, "S", string(it.Doc)})
	for i, k := range it.Index {
		if k != (IndexKey{}) {
			out = append(out, Attribute{AttrIndex[i].PK, "S", k.PK}, Attribute{AttrIndex[i].SK, "S", it.IndexSort(i)})
		}
	}
	if it.Deleted {
		out = append(out, Attribute{AttrDeleted, "BOOL", "true"})
	}
	if it.Expires != 0 {
		out = append(out, Attribute{AttrTTL, "N", strconv.FormatInt(it.Expires, 10)})
	}
	return out
}

// Attributes returns the key attributes of the item at k.
func (k Key) Attributes() []Attribute {
	return []Attribute{{AttrPK, "S", k.PK}, {AttrSK, "S", k.SK}}
}

// FromAttributes undoes Item.Attributes. value returns the value of the named
// attribute, "" when there is none. It fails on an item without the attributes
// every item has, or with a number that is none.
func FromAttributes(value func(name string) string) (*Item, error) {
	it := &Item{Key: Key{PK: value(AttrPK), SK: value(AttrSK)}, Doc: []byte(value(AttrDoc)), Deleted: value(AttrDeleted) == "true"}
	if it.PK == "" || it.SK == "" || len(it.Doc) == 0 {
		return nil, fmt.Errorf("table: item %q / %q lacks a key or its document", it.PK, it.SK)
	}
	var err, ttlErr error
	it.Rev, err = strconv.ParseInt(value(AttrRev), 10, 64)
	if ttl := value(AttrTTL); ttl != "" {
		it.Expires, ttlErr = strconv.ParseInt(ttl, 10, 64)
	}
	for i, names := range AttrIndex {
		sort, _, _ := strings.Cut(value(names.SK), separator)
		it.Index[i] = IndexKey{PK: value(names.PK), SK: sort}
	}
	if err := errors.Join(err, ttlErr); err != nil {
		return nil, fmt.Errorf("table: item %q / %q: %w", it.PK, it.SK, err)
	}
	return it, nil
}
