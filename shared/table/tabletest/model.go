package tabletest

import (
	stdcmp "cmp"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"bldst/shared/table"
)

// Model compares a table with a map under random writes and queries. A failure
// prints the seed and the shortest sequence that fails.
func Model(t *testing.T, open func(t *testing.T) Harness) {
	h := open(t)
	var runs atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{tbl: h.Table, items: map[table.Key]table.Item{}, space: fmt.Sprintf("m%d#", runs.Add(1))}
		rt.Repeat(map[string]func(*rapid.T){
			"write": m.write,
			"query": m.query,
			"":      m.compare,
		})
	})
}

// A model is what the table should hold. All its keys begin with space, which
// keeps the runs apart in one table.
type model struct {
	tbl   table.Table
	items map[table.Key]table.Item
	space string
}

var (
	modelPart  = rapid.SampledFrom([]string{"a", "a#", "b"})
	modelSort  = rapid.SampledFrom([]string{"a", "a#1", "a#2", "aé", "b", "b🚀"})
	modelBound = rapid.SampledFrom([]string{"", "", "a", "a#", "a#2", "b", "c"})
	modelKind  = rapid.SampledFrom([]table.CondKind{table.Always, table.Always, table.Absent, table.Present, table.NotDeleted, table.RevIs})
)

func (m *model) key(t *rapid.T) table.Key {
	return key(m.space+modelPart.Draw(t, "pk"), modelSort.Draw(t, "sk"))
}

func (m *model) item(t *rapid.T) table.Item {
	it := table.Item{
		Key: m.key(t), Rev: rapid.Int64Range(0, 3).Draw(t, "rev"), Deleted: rapid.Bool().Draw(t, "deleted"),
		Expires: rapid.SampledFrom([]int64{0, 0, 4102444800}).Draw(t, "expires"),
		Doc:     fmt.Appendf(nil, "%d ", rapid.Int().Draw(t, "doc")),
	}
	for i := range it.Index {
		if rapid.Bool().Draw(t, "indexed") {
			it.Index[i] = table.IndexKey{PK: m.space + modelPart.Draw(t, "index pk"), SK: modelSort.Draw(t, "index sk")}
		}
	}
	return it
}

func (m *model) op(t *rapid.T) table.Op {
	op := table.Op{
		Verb: rapid.SampledFrom([]table.Verb{table.Put, table.Put, table.Delete, table.Verify}).Draw(t, "verb"),
		Cond: table.Cond{Kind: modelKind.Draw(t, "kind")},
		Item: m.item(t),
	}
	if op.Cond.Kind == table.RevIs {
		op.Cond.Rev = rapid.Int64Range(0, 3).Draw(t, "rev")
	}
	if op.Verb == table.Verify && op.Cond.Kind == table.Always {
		op.Cond.Kind = table.Present
	}
	return op
}

func (m *model) write(t *rapid.T) {
	ops := rapid.SliceOfNDistinct(rapid.Custom(m.op), 1, 4, func(op table.Op) table.Key { return op.Item.Key }).Draw(t, "ops")
	err := m.tbl.Write(t.Context(), ops...)
	for i, op := range ops {
		if cur := m.at(op.Item.Key); !op.Cond.Holds(cur) {
			wantRefused(t, err, table.ConditionError{Op: i, Key: op.Item.Key, Current: cur})
			return
		}
	}
	if err != nil {
		t.Fatalf("write %+v: %v", ops, err)
	}
	for _, op := range ops {
		switch op.Verb {
		case table.Put:
			m.items[op.Item.Key] = op.Item
		case table.Delete:
			delete(m.items, op.Item.Key)
		}
	}
}

// at returns the item at k, nil when there is none.
func (m *model) at(k table.Key) *table.Item {
	if it, ok := m.items[k]; ok {
		return &it
	}
	return nil
}

func (m *model) query(t *rapid.T) {
	q := table.Query{
		Index: rapid.IntRange(0, 2).Draw(t, "index"), PK: m.space + modelPart.Draw(t, "pk"),
		Reverse: rapid.Bool().Draw(t, "reverse"), Skip: rapid.IntRange(0, 3).Draw(t, "skip"), Limit: rapid.IntRange(1, 4).Draw(t, "limit"),
	}
	if rapid.Bool().Draw(t, "by prefix") {
		q.Prefix = modelBound.Draw(t, "prefix")
	} else {
		q.From = modelBound.Draw(t, "from")
	}
	wantList(t, m.tbl, q, m.answer(q))
}

// answer returns all pages of q.
func (m *model) answer(q table.Query) []table.Item {
	place := func(it table.Item) table.IndexKey {
		if q.Index == 0 {
			return table.IndexKey(it.Key)
		}
		return it.Index[q.Index-1]
	}
	var rows []table.Item
	for _, it := range m.items {
		if place(it).PK == q.PK {
			rows = append(rows, it)
		}
	}
	slices.SortFunc(rows, func(a, b table.Item) int {
		return stdcmp.Or(strings.Compare(place(a).SK, place(b).SK), strings.Compare(a.PK, b.PK), strings.Compare(a.SK, b.SK))
	})
	return expected(q, rows, func(it table.Item) string { return place(it).SK })
}

// compare compares a few items, and all of them through the partitions.
func (m *model) compare(t *rapid.T) {
	k := m.key(t)
	wantItem(t, m.tbl, k, m.at(k))
	wantList(t, m.tbl, table.Query{PK: k.PK, Limit: 100}, m.answer(table.Query{PK: k.PK}))
}
