package tabletest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bldst/shared/problem"
	"bldst/shared/table"
)

// sorts are sort keys in an order that bytes decide, not letters.
var sorts = []string{"", "A", "Z", "a", "a#", "a#0", "a#1", "a#1#", "a#10", "a#2", "a\u00e4", "aa", "b", "b\u007f", "b\u0080", "é", "日", "\uffee", "🚀"}

func queryTable(t *testing.T, h Harness) {
	var rows []table.Item
	for _, s := range sorts {
		rows = append(rows, item("part", "k"+s))
	}
	put(t, h.Table, rows...)
	put(t, h.Table, item("par", "tk"), item("part#", "k"), item("parta", "k"), item("part\u0001", "k"))
	tryQueries(t, h.Table, table.Query{PK: "part"}, rows, func(it table.Item) string { return it.SK })
}

func queryIndex(t *testing.T, h Harness) {
	var rows []table.Item
	for i, s := range sorts {
		it := item(fmt.Sprintf("own#%02d", (i*7)%len(sorts)), "a")
		it.Index[1] = table.IndexKey{PK: "part", SK: "k" + s}
		rows = append(rows, it)
	}
	put(t, h.Table, rows...)
	other := item("other", "a")
	other.Index = [2]table.IndexKey{{PK: "part", SK: "k"}, {PK: "parta", SK: "k"}}
	put(t, h.Table, other)
	tryQueries(t, h.Table, table.Query{Index: 2, PK: "part"}, rows, func(it table.Item) string { return it.Index[1].SK })
	wantList(t, h.Table, table.Query{Index: 1, PK: "part", Limit: 5}, []table.Item{other})
}

// tryQueries compares queries of a partition that holds rows, sorted by sort.
func tryQueries(t *testing.T, tbl table.Table, base table.Query, rows []table.Item, sort func(table.Item) string) {
	slices.SortFunc(rows, func(a, b table.Item) int { return cmp.Compare(sort(a), sort(b)) })
	for _, bound := range []table.Query{{}, {Prefix: "k"}, {Prefix: "ka#1"}, {Prefix: "kz"}, {From: "ka#1"}, {From: "ka#11"}, {From: "k🚀🚀"}, {From: "\u0001"}} {
		for _, reverse := range []bool{false, true} {
			for _, page := range [][2]int{{0, 100}, {0, 1}, {0, 7}, {3, 4}, {18, 5}, {19, 5}, {500, 1}} {
				q := base
				q.Prefix, q.From, q.Reverse, q.Skip, q.Limit = bound.Prefix, bound.From, reverse, page[0], page[1]
				wantList(t, tbl, q, expected(q, rows, sort))
			}
		}
	}
}

// expected answers q, all pages of it, from sorted rows.
func expected(q table.Query, rows []table.Item, sort func(table.Item) string) []table.Item {
	var out []table.Item
	for _, it := range rows {
		if s := sort(it); strings.HasPrefix(s, q.Prefix) && s >= q.From {
			out = append(out, it)
		}
	}
	if q.Reverse {
		slices.Reverse(out)
	}
	return out[min(q.Skip, len(out)):]
}

func tieOrder(t *testing.T, h Harness) {
	var rows []table.Item
	for _, k := range []table.Key{key("a", "b"), key("a", "ba"), key("a", "c"), key("a#", "a"), key("aa", "a"), key("b", "a")} {
		it := item(k.PK, k.SK)
		it.Index[0] = table.IndexKey{PK: "tied", SK: "same"}
		rows = append(rows, it)
	}
	last := item("a", "a")
	last.Index[0] = table.IndexKey{PK: "tied", SK: "same#"}
	for i := range rows {
		put(t, h.Table, rows[(i*5+3)%len(rows)])
	}
	put(t, h.Table, last)
	rows = append(rows, last)
	wantList(t, h.Table, table.Query{Index: 1, PK: "tied", Limit: 2}, rows)
	slices.Reverse(rows)
	wantList(t, h.Table, table.Query{Index: 1, PK: "tied", Limit: 3, Reverse: true}, rows)
}

// pagesDuringInserts puts rows in front of and behind the cursor between
// pages: what was there at the start comes once and in order.
func pagesDuringInserts(t *testing.T, h Harness) {
	for _, reverse := range []bool{false, true} {
		pk := fmt.Sprintf("list#%t", reverse)
		var want []table.Item
		for i := range 20 {
			want = append(want, item(pk, fmt.Sprintf("%02d", i)))
		}
		put(t, h.Table, want...)
		if reverse {
			slices.Reverse(want)
		}
		q := table.Query{PK: pk, Reverse: reverse, Limit: 3}
		var got []string
		for n := 0; ; n++ {
			page, err := h.Table.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range page.Items {
				if !strings.HasSuffix(it.SK, "new") {
					got = append(got, it.SK)
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
			put(t, h.Table, item(pk, fmt.Sprintf("%02d.%d.new", n, n)), item(pk, fmt.Sprintf("%02d.%d.new", 19-n, n)))
			write(t, h.Table, table.DeleteOp(page.Items[len(page.Items)-1].Key, table.Cond{})) // the row the cursor stands on
		}
		var sks []string
		for _, it := range want {
			sks = append(sks, it.SK)
		}
		if !slices.Equal(got, sks) {
			t.Fatalf("reverse %t: pages hold %v, want %v", reverse, got, sks)
		}
	}
}

func badCursors(t *testing.T, h Harness) {
	var rows []table.Item
	for i := range 5 {
		it := item("p", fmt.Sprintf("k%d", i))
		it.Index[0] = table.IndexKey{PK: "p", SK: it.SK}
		rows = append(rows, it)
	}
	put(t, h.Table, rows...)
	q := table.Query{PK: "p", Limit: 2}
	page, err := h.Table.Query(t.Context(), q)
	if err != nil || page.Next == "" {
		t.Fatalf("first page: %v, cursor %q", err, page.Next)
	}
	bad := map[string]table.Query{}
	for _, c := range []string{"x", "!!", "AQ", page.Next + "A", page.Next[1:], page.Next[:len(page.Next)-1], page.Next + "=", strings.ToLower(page.Next), "eyJwayI6InAifQ"} {
		bad["damaged: "+c] = table.Query{PK: "p", Limit: 2, Cursor: c}
	}
	bad["other partition"] = table.Query{PK: "q", Limit: 2, Cursor: page.Next}
	bad["other direction"] = table.Query{PK: "p", Limit: 2, Reverse: true, Cursor: page.Next}
	bad["other prefix"] = table.Query{PK: "p", Limit: 2, Prefix: "k", Cursor: page.Next}
	bad["other bound"] = table.Query{PK: "p", Limit: 2, From: "k", Cursor: page.Next}
	bad["an index"] = table.Query{PK: "p", Limit: 2, Index: 1, Cursor: page.Next}
	for name, q := range bad {
		_, err := h.Table.Query(t.Context(), q)
		p := problem.From(err)
		if p == nil || p.Kind != problem.Invalid || len(p.Fields) != 1 || fmt.Sprint(p.Fields[0].Loc) != "[query cursor]" {
			t.Errorf("%s: error is %v, want an invalid query parameter cursor", name, err)
		}
	}
	q.Cursor, q.Limit, q.Skip = page.Next, 100, 1 // another limit is fine, skip counts once
	wantList(t, h.Table, q, rows[2:])
}

func queryImpossible(t *testing.T, h Harness) {
	put(t, h.Table, item("p", "a"))
	long := strings.Repeat("x", 3000)
	for _, q := range []table.Query{
		{PK: "p", Prefix: long}, {PK: long}, {PK: "p\x00"}, {PK: "p", Prefix: "\x00"}, {PK: "\xff"}, {PK: "p", Prefix: "\xff"}, {PK: "nobody"},
	} {
		for q.Index = range 3 {
			q.Limit = 10
			wantList(t, h.Table, q, nil)
		}
	}
	for _, from := range []string{long, "\x00", "\xff"} {
		if _, err := h.Table.Query(t.Context(), table.Query{PK: "p", From: from, Limit: 1}); !problem.Is(err, problem.Invalid) {
			t.Errorf("bound %.10q: error is %v, want %s", from, err, problem.Invalid)
		}
	}
}

func softDelete(t *testing.T, h Harness) {
	it := item("thing#1", "a")
	it.Index = [2]table.IndexKey{{PK: "thing", SK: "name"}, {PK: "project#1", SK: "thing#name"}}
	lock := item("thing#=name", "a")
	write(t, h.Table, absent(it), absent(lock))
	wantList(t, h.Table, table.Query{Index: 1, PK: "thing", Limit: 5}, []table.Item{it})
	wantList(t, h.Table, table.Query{Index: 2, PK: "project#1", Limit: 5}, []table.Item{it})

	gone := it
	gone.Rev, gone.Deleted = 2, true
	gone.Index = [2]table.IndexKey{{PK: "deleted#thing", SK: "2024-02-03T04:05:06Z"}}
	write(t, h.Table, table.PutOp(gone, table.IfRev(1)), table.DeleteOp(lock.Key, table.Cond{}))
	wantList(t, h.Table, table.Query{Index: 1, PK: "deleted#thing", Limit: 5}, []table.Item{gone})
	wantList(t, h.Table, table.Query{Index: 1, PK: "thing", Limit: 5}, nil)
	wantList(t, h.Table, table.Query{Index: 2, PK: "project#1", Limit: 5}, nil)
	wantItem(t, h.Table, it.Key, &gone)

	again := item("thing#2", "a")
	again.Index = it.Index
	write(t, h.Table, absent(again), absent(lock)) // the name is free
	wantList(t, h.Table, table.Query{Index: 1, PK: "thing", Limit: 5}, []table.Item{again})
}

func replacesItem(t *testing.T, h Harness) {
	it := item("p", "a")
	it.Expires, it.Deleted = 4102444800, true
	for i := range 12 { // through every combination of being in an index or not, twice
		it.Index = [2]table.IndexKey{}
		if i%2 == 0 {
			it.Index[0] = table.IndexKey{PK: "one", SK: fmt.Sprint(i)}
		}
		if i%3 == 0 {
			it.Index[1] = table.IndexKey{PK: "two", SK: "same"}
		}
		it.Rev = int64(i)
		put(t, h.Table, it)
	}
	bare := item("p", "a")
	put(t, h.Table, bare)
	wantItem(t, h.Table, bare.Key, &bare)
	wantList(t, h.Table, table.Query{Index: 1, PK: "one", Limit: 5}, nil)
	wantList(t, h.Table, table.Query{Index: 2, PK: "two", Limit: 5}, nil)
}

// largePages reads a list of items that are too large for one page: no page is
// larger than MaxPage, unless it has one item, and none is lost.
func largePages(t *testing.T, h Harness) {
	var rows []table.Item
	for i, n := range []int{10, 300 << 10, 300 << 10, 300 << 10, 10, 390 << 10, 390 << 10, 390 << 10, 10} {
		it := item("large", fmt.Sprintf("%02d", i))
		it.Doc = fmt.Appendf(nil, "%q", strings.Repeat("x", n))
		it.Index[0] = table.IndexKey{PK: "large", SK: fmt.Sprintf("%02d", i)}
		rows = append(rows, it)
	}
	put(t, h.Table, rows...)
	for _, q := range []table.Query{{PK: "large", Limit: 100}, {Index: 1, PK: "large", Limit: 100}, {PK: "large", Limit: 100, Reverse: true}, {PK: "large", Limit: 100, Skip: 1}} {
		want := expected(q, rows, func(it table.Item) string { return it.SK })
		wantList(t, h.Table, q, want)
		for {
			page, err := h.Table.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			size := 0
			for i := range page.Items {
				size += table.Size(&page.Items[i])
			}
			if size > table.MaxPage && len(page.Items) > 1 {
				t.Errorf("a page of %d items has %d bytes, at most are %d", len(page.Items), size, table.MaxPage)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
	}
}
