package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"bldst/shared/problem"
)

// What a table can hold: the limits of Amazon DynamoDB, which the embedded
// engine enforces alike so that nothing works on a laptop and fails deployed.
const (
	MaxOps         = 100       // ops of one Write
	MaxKeys        = 100       // keys of one Get
	MaxPK          = 2048      // bytes of a partition key
	MaxSK          = 1024      // bytes of a sort key
	MaxItem        = 400 << 10 // bytes of an item, see Size
	MaxTransaction = 4 << 20   // bytes of one Write, see WriteSize
)

// numberSize is what a 64-bit integer takes at most: a byte for two of its 19
// digits, one for the sign and one of overhead.
const numberSize = 12

// Size returns what it counts against MaxItem: names and values of the
// attributes it is stored as. It is never less than what DynamoDB counts.
func Size(it *Item) int {
	n := keySize(it.Key) + len(AttrRev) + numberSize + len(AttrDoc) + len(it.Doc)
	for i, k := range it.Index {
		if k != (IndexKey{}) {
			n += len(AttrIndex[i].PK) + len(k.PK) + len(AttrIndex[i].SK) + indexSortSize(it, i)
		}
	}
	if it.Deleted {
		n += len(AttrDeleted) + 1
	}
	if it.Expires != 0 {
		n += len(AttrTTL) + numberSize
	}
	return n
}

// conditionSize is what a condition counts for in a transaction: the text of
// its expression and the names in it, at most.
const conditionSize = 80

// WriteSize returns what ops count against MaxTransaction: the items put, the
// keys of the others, and the conditions.
func WriteSize(ops []Op) int {
	n := 0
	for i := range ops {
		if ops[i].Verb == Put {
			n += Size(&ops[i].Item)
		} else {
			n += keySize(ops[i].Item.Key)
		}
		if ops[i].Cond.Kind != Always {
			n += conditionSize
		}
	}
	return n
}

func keySize(k Key) int { return len(AttrPK) + len(k.PK) + len(AttrSK) + len(k.SK) }

func indexSortSize(it *Item, i int) int {
	return len(it.Index[i].SK) + len(separator) + len(it.PK) + len(separator) + len(it.SK)
}

// Check reports why ops cannot be written, nil when they can. Both adapters
// call it first. What a caller's data made too big is a problem of kind
// TooLarge, a key with a NUL byte or broken UTF-8 one of kind Invalid; the
// rest (no ops or too many, a key twice or empty, half an index key, a Doc
// that is not JSON) are mistakes of the program and plain errors.
func Check(ops []Op) error {
	if len(ops) == 0 || len(ops) > MaxOps {
		return fmt.Errorf("table: a write has 1 to %d ops, this one has %d", MaxOps, len(ops))
	}
	if err := checkDistinct(ops); err != nil {
		return err
	}
	for i := range ops {
		if err := checkOp(&ops[i]); err != nil {
			return err
		}
	}
	if n := WriteSize(ops); n > MaxTransaction {
		return problem.New(problem.TooLarge, "one change of %d bytes is larger than the %d bytes that can be written at once", n, MaxTransaction)
	}
	return nil
}

func checkDistinct(ops []Op) error {
	if len(ops) == 1 {
		return nil
	}
	seen := make(map[Key]struct{}, len(ops))
	for i := range ops {
		k := ops[i].Item.Key
		if _, ok := seen[k]; ok {
			return fmt.Errorf("table: key %q / %q appears twice in one write", k.PK, k.SK)
		}
		seen[k] = struct{}{}
	}
	return nil
}

func checkOp(op *Op) error {
	if op.Verb > Verify || op.Cond.Kind > RevIs {
		return fmt.Errorf("table: unknown verb %d or condition %d", op.Verb, op.Cond.Kind)
	}
	if op.Verb == Verify && op.Cond.Kind == Always {
		return errors.New("table: a Verify without a condition")
	}
	if err := checkKey("key", op.Item.Key); err != nil || op.Verb != Put {
		return err
	}
	return checkItem(&op.Item)
}

func checkItem(it *Item) error {
	for i := range it.Index {
		if err := checkIndex(it, i); err != nil {
			return err
		}
	}
	if it.Expires < 0 {
		return fmt.Errorf("table: item %q / %q expires before 1970", it.PK, it.SK)
	}
	if !utf8.Valid(it.Doc) || !json.Valid(it.Doc) {
		return fmt.Errorf("table: the document of %q / %q is not JSON in UTF-8", it.PK, it.SK)
	}
	n := Size(it)
	if n > MaxItem {
		return problem.New(problem.TooLarge, "an item of %d bytes is larger than the %d bytes that can be stored", n, MaxItem)
	}
	return nil
}

func checkIndex(it *Item, i int) error {
	k := it.Index[i]
	if k == (IndexKey{}) {
		return nil
	}
	if err := checkKey("index key", Key(k)); err != nil {
		return err
	}
	if n := indexSortSize(it, i); n > MaxSK {
		return tooLong("sort part of the index key (with the item's own key)", n, MaxSK)
	}
	return nil
}

// checkKey reports what is wrong with k, which is called what.
func checkKey(what string, k Key) error {
	if k.PK == "" || k.SK == "" {
		return fmt.Errorf("table: %s %q / %q has an empty part", what, k.PK, k.SK)
	}
	if len(k.PK) > MaxPK {
		return tooLong(what, len(k.PK), MaxPK)
	}
	if len(k.SK) > MaxSK {
		return tooLong("sort part of the "+what, len(k.SK), MaxSK)
	}
	if !cleanText(k.PK) || !cleanText(k.SK) {
		return problem.New(problem.Invalid, "a name or id contains a NUL character or is not valid UTF-8")
	}
	return nil
}

func tooLong(what string, n, limit int) error {
	return problem.New(problem.TooLarge, "a name or id is too long: the %s is %d bytes, the limit is %d", what, n, limit)
}

// cleanText reports whether s can be part of a key: UTF-8 without NUL.
func cleanText(s string) bool {
	return utf8.ValidString(s) && !strings.Contains(s, separator)
}

// Storable reports whether an item can have the key k. Get answers nil for a
// key that is not, whoever made it up.
func (k Key) Storable() bool { return checkKey("key", k) == nil }

// CheckKeys reports why keys cannot be read: there are more than MaxKeys.
func CheckKeys(keys []Key) error {
	if len(keys) > MaxKeys {
		return fmt.Errorf("table: a read has at most %d keys, this one has %d", MaxKeys, len(keys))
	}
	return nil
}
