package tabletest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bldst/shared/problem"
	"bldst/shared/table"
)

// conditions tries every verb under every condition on every state of an item,
// as the only op and as the second of a transaction.
func conditions(t *testing.T, h Harness) {
	live := table.Item{Rev: 4, Doc: []byte(`{"n":4}`), Index: [2]table.IndexKey{{PK: "live", SK: "x"}}}
	gone := live
	gone.Deleted, gone.Index[0].PK = true, "deleted"
	n := 0
	for state, there := range map[string]*table.Item{"absent": nil, "live": &live, "deleted": &gone} {
		for _, cond := range []table.Cond{{}, {Kind: table.Absent}, {Kind: table.Present}, {Kind: table.NotDeleted}, table.IfRev(4), table.IfRev(5), table.IfRev(0)} {
			for _, verb := range []table.Verb{table.Put, table.Delete, table.Verify} {
				for _, alone := range []bool{true, false} {
					if verb == table.Verify && cond.Kind == table.Always {
						continue // says nothing; see mistakes
					}
					n++
					name := fmt.Sprintf("%s, verb %d, condition %v, alone %t", state, verb, cond, alone)
					t.Run(name, func(t *testing.T) {
						tryCondition(t, h.Table, key("cond", fmt.Sprintf("%03d", n)), there, verb, cond, alone)
					})
				}
			}
		}
	}
}

func tryCondition(t *testing.T, tbl table.Table, k table.Key, there *table.Item, verb table.Verb, cond table.Cond, alone bool) {
	if there != nil {
		c := *there
		there, c.Key = &c, k
		put(t, tbl, c)
	}
	next := item(k.PK, k.SK)
	next.Rev = 9
	ops := []table.Op{{Verb: verb, Item: next, Cond: cond}}
	if !alone {
		ops = append([]table.Op{absent(item("other", k.SK))}, ops...)
	}
	err := tbl.Write(t.Context(), ops...)
	if !cond.Holds(there) {
		wantRefused(t, err, table.ConditionError{Op: len(ops) - 1, Key: k, Current: there})
		wantItem(t, tbl, k, there)
		return
	}
	if err != nil {
		t.Fatalf("write: %v", err)
	}
	wantItem(t, tbl, k, map[table.Verb]*table.Item{table.Put: &next, table.Delete: nil, table.Verify: there}[verb])
}

func refusedTransaction(t *testing.T, h Harness) {
	a, b, c := item("p", "a"), item("p", "b"), item("p", "c")
	put(t, h.Table, a)
	changed := a
	changed.Rev = 2
	err := h.Table.Write(t.Context(), table.PutOp(changed, table.IfRev(1)), absent(b),
		table.VerifyOp(c.Key, table.Cond{Kind: table.Present}), table.DeleteOp(a2(), table.Cond{Kind: table.Present}))
	wantRefused(t, err, table.ConditionError{Op: 2, Key: c.Key})
	wantList(t, h.Table, table.Query{PK: "p", Limit: 9}, []table.Item{a})

	write(t, h.Table, table.PutOp(changed, table.IfRev(1)), absent(b), table.VerifyOp(c.Key, table.Cond{Kind: table.Absent}))
	wantList(t, h.Table, table.Query{PK: "p", Limit: 9}, []table.Item{changed, b})
}

func a2() table.Key { return key("p", "a2") }

func hundredOps(t *testing.T, h Harness) {
	var ops []table.Op
	var want []table.Item
	for i := range table.MaxOps {
		it := item("hundred", fmt.Sprintf("%03d", i))
		it.Index[1] = table.IndexKey{PK: "all", SK: it.SK}
		want = append(want, it)
		ops = append(ops, absent(it))
	}
	put(t, h.Table, want[99])
	err := h.Table.Write(t.Context(), ops...)
	wantRefused(t, err, table.ConditionError{Op: 99, Key: want[99].Key, Current: &want[99]})
	wantList(t, h.Table, table.Query{PK: "hundred", Limit: 200}, want[99:])

	ops[99].Cond = table.Cond{Kind: table.Present}
	if err := h.Table.Write(t.Context(), append(ops, absent(item("hundred", "one more")))...); err == nil {
		t.Fatal("101 ops were accepted")
	}
	write(t, h.Table, ops...)
	wantList(t, h.Table, table.Query{PK: "hundred", Limit: 200}, want)
	wantList(t, h.Table, table.Query{Index: 2, PK: "all", Limit: 33}, want)
}

func mistakes(t *testing.T, h Harness) {
	with := func(change func(*table.Item)) table.Op {
		it := item("p", "a")
		change(&it)
		return absent(it)
	}
	for name, ops := range map[string][]table.Op{
		"no ops":               {},
		"a key twice":          {absent(item("p", "a")), table.VerifyOp(key("p", "a"), table.Cond{Kind: table.Absent})},
		"no partition":         {absent(item("", "a"))},
		"no sort key":          {absent(item("p", ""))},
		"half an index key":    {with(func(it *table.Item) { it.Index[0].PK = "x" })},
		"the other half":       {with(func(it *table.Item) { it.Index[1].SK = "x" })},
		"no document":          {with(func(it *table.Item) { it.Doc = nil })},
		"a document not JSON":  {with(func(it *table.Item) { it.Doc = []byte(`{"a":}`) })},
		"a document not UTF-8": {with(func(it *table.Item) { it.Doc = []byte("\"\xff\"") })},
		"an expiry before all": {with(func(it *table.Item) { it.Expires = -1 })},
		"verify nothing":       {table.VerifyOp(key("p", "a"), table.Cond{})},
	} {
		t.Run(name, func(t *testing.T) {
			err := h.Table.Write(t.Context(), ops...)
			if err == nil || problem.From(err).Kind != problem.Internal {
				t.Fatalf("error is %v, want a plain one", err)
			}
		})
	}
	wantItem(t, h.Table, key("p", "a"), nil)
	wrongQueries(t, h.Table)
	cancelled(t, h.Table)
}

func wrongQueries(t *testing.T, tbl table.Table) {
	for name, q := range map[string]table.Query{
		"no partition":       {Limit: 1},
		"no limit":           {PK: "p"},
		"too large a limit":  {PK: "p", Limit: table.MaxLimit + 1},
		"an index too many":  {PK: "p", Limit: 1, Index: 3},
		"prefix and bound":   {PK: "p", Limit: 1, Prefix: "a", From: "b"},
		"skip less than all": {PK: "p", Limit: 1, Skip: -1},
	} {
		if _, err := tbl.Query(t.Context(), q); err == nil || problem.From(err).Kind != problem.Internal {
			t.Errorf("query with %s: error is %v, want a plain one", name, err)
		}
	}
}

func cancelled(t *testing.T, tbl table.Table) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tbl.Write(ctx, absent(item("p", "a"))); err == nil {
		t.Error("a write in an ended context succeeded")
	}
	if _, err := tbl.Get(ctx, key("p", "a")); err == nil {
		t.Error("a get in an ended context succeeded")
	}
	if _, err := tbl.Query(ctx, table.Query{PK: "p", Limit: 1}); err == nil {
		t.Error("a query in an ended context succeeded")
	}
	wantItem(t, tbl, key("p", "a"), nil)
}

func limits(t *testing.T, h Harness) {
	pk, sk := strings.Repeat("p", table.MaxPK), strings.Repeat("ß", table.MaxSK/2)
	indexed := table.Item{Key: key("p", "index"), Doc: []byte(`1`)}
	indexed.Index[0] = table.IndexKey{PK: pk, SK: strings.Repeat("s", table.MaxSK-len("\x00p\x00index"))}
	full := table.Item{Key: key("p", "full"), Rev: -1 << 63, Expires: 4102444800, Deleted: true, Index: [2]table.IndexKey{{PK: "a", SK: "b"}, {PK: "c", SK: "d"}}}
	for name, c := range map[string]struct{ fits, over []table.Op }{
		"partition key": {[]table.Op{absent(item(pk, "a"))}, []table.Op{absent(item(pk+"p", "a"))}},
		"sort key":      {[]table.Op{absent(item("p", sk))}, []table.Op{absent(item("p", sk+"x"))}},
		"key removed":   {[]table.Op{table.DeleteOp(key(pk, sk), table.Cond{})}, []table.Op{table.DeleteOp(key(pk, sk+"x"), table.Cond{})}},
		"index sort key": {[]table.Op{absent(indexed)}, []table.Op{absent(altered(indexed, func(it *table.Item) {
			it.SK = "indey"
			it.Index[0].SK += "x"
		}))}},
		"index partition":          {nil, []table.Op{absent(altered(indexed, func(it *table.Item) { it.Index[0].PK += "x" }))}},
		"plain item":               {[]table.Op{absent(sized(item("p", "size"), table.MaxItem))}, []table.Op{absent(sized(item("p", "size"), table.MaxItem+1))}},
		"item with all attributes": {[]table.Op{absent(sized(full, table.MaxItem))}, []table.Op{absent(sized(full, table.MaxItem+1))}},
		"transaction":              {sizedWrite("t", table.MaxTransaction), sizedWrite("u", table.MaxTransaction+1)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := h.Table.Write(t.Context(), c.over...); !problem.Is(err, problem.TooLarge) {
				t.Errorf("a byte too many: error is %.200v, want %s", err, problem.TooLarge)
			}
			if len(c.fits) == 0 {
				return
			}
			write(t, h.Table, c.fits...)
			if it := c.fits[0].Item; c.fits[0].Verb == table.Put {
				wantItem(t, h.Table, it.Key, &it)
			}
		})
	}
	for _, k := range []table.Key{key("p\x00", "a"), key("p", "a\x00b"), key("p\xff", "a"), key("p", "\xc3\x28")} {
		if err := h.Table.Write(t.Context(), absent(item(k.PK, k.SK))); !problem.Is(err, problem.Invalid) {
			t.Errorf("key %q: error is %v, want %s", k, err, problem.Invalid)
		}
	}
}

func altered(it table.Item, change func(*table.Item)) table.Item {
	change(&it)
	return it
}

// sized returns it with a document that makes it n bytes large.
func sized(it table.Item, n int) table.Item {
	it.Doc = nil
	it.Doc = []byte(`"` + strings.Repeat("x", n-table.Size(&it)-2) + `"`)
	return it
}

// sizedWrite returns the creation of items that count for n bytes together.
func sizedWrite(pk string, n int) []table.Op {
	var ops []table.Op
	for table.WriteSize(ops) < n-table.MaxItem {
		ops = append(ops, absent(sized(item(pk, fmt.Sprintf("%02d", len(ops))), table.MaxItem-1000)))
	}
	last := absent(item(pk, "last"))
	rest := n - table.WriteSize(ops) - table.WriteSize([]table.Op{last})
	last.Item = sized(last.Item, table.Size(&last.Item)+rest)
	return append(ops, last)
}

func concurrentCounters(t *testing.T, h Harness) {
	const writers, each, counters = 8, 25, 3
	for c := range counters {
		put(t, h.Table, table.Item{Key: key("counter", fmt.Sprint(c)), Doc: []byte(`0`)})
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				increment(t, h.Table, key("counter", fmt.Sprint((w+i)%counters)))
			}
		})
	}
	wg.Wait()
	var sum int64
	for c := range counters {
		sum += get(t, h.Table, key("counter", fmt.Sprint(c)))[0].Rev
	}
	if sum != writers*each {
		t.Fatalf("%d increments were counted, want %d", sum, writers*each)
	}
}

// increment raises the revision of the item at k by one, together with a row
// that must be new, trying again when others are faster.
func increment(t *testing.T, tbl table.Table, k table.Key) {
	for {
		items, err := tbl.Get(t.Context(), k)
		if err != nil {
			t.Error(err)
			return
		}
		next := *items[0]
		next.Rev++
		err = tbl.Write(t.Context(), table.PutOp(next, table.IfRev(next.Rev-1)), absent(item("history#"+k.SK, fmt.Sprintf("%06d", next.Rev))))
		if err == nil {
			return
		}
		if table.Refused(err) == nil && !problem.Is(err, problem.Unavailable) {
			t.Error(err)
			return
		}
	}
}

func concurrentCreators(t *testing.T, h Harness) {
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			for {
				err := h.Table.Write(t.Context(), absent(item("one", "lock")))
				if problem.Is(err, problem.Unavailable) {
					continue
				}
				if err == nil {
					won.Add(1)
				} else if table.Refused(err) == nil {
					t.Error(err)
				}
				return
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d creators won", won.Load())
	}
}
