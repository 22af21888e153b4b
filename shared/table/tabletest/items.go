package tabletest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"bldst/shared/table"
)

func getInOrder(t *testing.T, h Harness) {
	a, b := item("p", "a"), item("p", "b")
	put(t, h.Table, a, b)
	got := get(t, h.Table, b.Key, key("p", "none"), a.Key, key("none", "a"), b.Key)
	if d := diff([]*table.Item{&b, nil, &a, nil, &b}, got); d != "" {
		t.Fatalf("items (-want +got):\n%s", d)
	}
	if got := get(t, h.Table); len(got) != 0 {
		t.Fatalf("get without keys returned %v", got)
	}
}

func getManyKeys(t *testing.T, h Harness) {
	var keys []table.Key
	var want []*table.Item
	for i := range table.MaxKeys {
		it := item("many", fmt.Sprintf("%03d", i))
		it.Doc = fmt.Appendf(nil, `"%s"`, strings.Repeat("x", 170_000)) // together more than one answer of DynamoDB holds
		put(t, h.Table, it)
		keys, want = append(keys, it.Key), append(want, &it)
	}
	if d := diff(want, get(t, h.Table, keys...)); d != "" {
		t.Fatalf("items (-want +got):\n%s", d)
	}
	if _, err := h.Table.Get(t.Context(), append(keys, key("one", "more"))...); err == nil {
		t.Fatal("101 keys were accepted")
	}
}

func getImpossible(t *testing.T, h Harness) {
	it := item("p", "a")
	put(t, h.Table, it)
	long := strings.Repeat("x", 3000)
	got := get(t, h.Table, key("p\x00", "a"), key(long, "a"), key("p", long), key("p", "\xff"), key("", "a"), key("p", ""), it.Key)
	if d := diff([]*table.Item{nil, nil, nil, nil, nil, nil, &it}, got); d != "" {
		t.Fatalf("items (-want +got):\n%s", d)
	}
}

func keepsItems(t *testing.T, h Harness) {
	in := [2]table.IndexKey{{PK: "i1", SK: "ünï"}, {PK: "i2 #/%", SK: "z\u007f\u0001"}}
	for i, it := range []table.Item{
		{Doc: []byte(`{}`)},
		{Doc: []byte("{ \"b\" : 1.0e2,\n\t\"a\":\"\\u00e9é\u2028 日本 🚀 \\/ < & \", \"b\":[null,true, -0] }\n")},
		{Doc: []byte(`"a string"`), Rev: math.MaxInt64, Expires: 253402300799},
		{Doc: []byte(`12345678901234567890.123456789012345678901234567890`), Rev: math.MinInt64, Deleted: true},
		{Doc: []byte(`null`), Index: [2]table.IndexKey{in[0]}},
		{Doc: []byte(`[1, 2]`), Index: [2]table.IndexKey{{}, in[1]}},
		{Doc: []byte(`{"x":"\u0000"}`), Rev: 7, Index: in, Deleted: true, Expires: 4102444800},
	} {
		it.Key = key("päth/ #=\"'\\", fmt.Sprintf("sört#%d\n", i))
		put(t, h.Table, it)
		wantItem(t, h.Table, it.Key, &it)
		wantList(t, h.Table, table.Query{PK: it.PK, Prefix: it.SK, Limit: 10}, []table.Item{it})
		for n, k := range it.Index {
			if k.PK != "" {
				wantList(t, h.Table, table.Query{Index: n + 1, PK: k.PK, From: k.SK, Limit: 1, Skip: earlier(i, n)}, []table.Item{it})
			}
		}
		put(t, h.Table, it) // the same again changes nothing
		wantItem(t, h.Table, it.Key, &it)
	}
}

// earlier says how many of keepsItems' items are in index n before the i-th.
func earlier(i, n int) int {
	if i == 6 {
		return 1
	}
	return 0
}

func readYourWrites(t *testing.T, h Harness) {
	it := item("p", "a")
	for rev := int64(1); rev <= 20; rev++ {
		it.Rev = rev
		put(t, h.Table, it)
		wantItem(t, h.Table, it.Key, &it)
		wantList(t, h.Table, table.Query{PK: "p", Limit: 5}, []table.Item{it})
	}
	write(t, h.Table, table.DeleteOp(it.Key, table.Cond{}))
	wantItem(t, h.Table, it.Key, nil)
	wantList(t, h.Table, table.Query{PK: "p", Limit: 5}, nil)
	write(t, h.Table, table.DeleteOp(it.Key, table.Cond{})) // of nothing: no error
}

func durability(t *testing.T, h Harness) {
	if h.Reopen == nil {
		return // the data is not in this process; nothing to reopen
	}
	var want []table.Item
	for i := range 300 {
		it := item("durable", fmt.Sprintf("%04d", i))
		it.Index[0] = table.IndexKey{PK: "all", SK: fmt.Sprintf("%04d", 300-i)}
		put(t, h.Table, it)
		want = append(want, it)
	}
	write(t, h.Table, table.DeleteOp(want[0].Key, table.Cond{Kind: table.Present}))
	reopened := h.Reopen(t)
	wantList(t, reopened, table.Query{PK: "durable", Limit: 70}, want[1:])
	wantList(t, reopened, table.Query{Index: 1, PK: "all", Reverse: true, Limit: 70}, want[1:])
}
