package table_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bldst/shared/problem"
	"bldst/shared/table"
)

func TestAConditionHoldsForWhatItSays(t *testing.T) {
	t.Parallel()
	live, gone := &table.Item{Rev: 3}, &table.Item{Rev: 3, Deleted: true}
	for _, c := range []struct {
		cond               table.Cond
		absent, live, gone bool
	}{
		{table.Cond{}, true, true, true},
		{table.Cond{Kind: table.Absent}, true, false, false},
		{table.Cond{Kind: table.Present}, false, true, true},
		{table.Cond{Kind: table.NotDeleted}, false, true, false},
		{table.IfRev(3), false, true, true},
		{table.IfRev(0), false, false, false},
	} {
		got := [3]bool{c.cond.Holds(nil), c.cond.Holds(live), c.cond.Holds(gone)}
		if want := [3]bool{c.absent, c.live, c.gone}; got != want {
			t.Errorf("condition %v holds for absent, live, deleted: %v, want %v", c.cond, got, want)
		}
	}
}

func TestARefusalIsFoundInWrappedErrors(t *testing.T) {
	t.Parallel()
	c := &table.ConditionError{Op: 2, Key: table.Key{PK: "p", SK: "s"}}
	if got := table.Refused(fmt.Errorf("write: %w", c)); got != c {
		t.Errorf("Refused returned %v", got)
	}
	if got := table.Refused(errors.New("other")); got != nil {
		t.Errorf("Refused of another error returned %v", got)
	}
}

// attributesSize counts the attributes an item is stored as by DynamoDB's rule
// with numbers at their longest.
func attributesSize(it *table.Item) int {
	n := 0
	for _, a := range it.Attributes() {
		n += len(a.Name) + map[string]int{"S": len(a.Value), "N": 12, "BOOL": 1}[a.Kind]
	}
	return n
}

func TestTheSizeOfAnItemIsThatOfItsAttributes(t *testing.T) {
	t.Parallel()
	for name, it := range map[string]table.Item{
		"plain":   {},
		"deleted": {Deleted: true},
		"expires": {Expires: 1},
		"index 1": {Index: [2]table.IndexKey{{PK: "a", SK: "bc"}}},
		"both":    {Index: [2]table.IndexKey{{PK: "a", SK: "bc"}, {PK: "é", SK: "日"}}, Deleted: true, Expires: 9},
	} {
		it.Key, it.Doc = table.Key{PK: "pä", SK: "sort"}, []byte(`{"doc":1}`)
		if want, got := attributesSize(&it), table.Size(&it); got != want {
			t.Errorf("%s: size is %d, its attributes take %d", name, got, want)
		}
	}
}

func TestItemsSurviveTheirAttributes(t *testing.T) {
	t.Parallel()
	it := table.Item{
		Key: table.Key{PK: "p", SK: "s"}, Rev: -1 << 63, Deleted: true, Expires: 5, Doc: []byte("1 "),
		Index: [2]table.IndexKey{{}, {PK: "i", SK: "j"}},
	}
	values := map[string]string{}
	for _, a := range it.Attributes() {
		values[a.Name] = a.Value
	}
	got, err := table.FromAttributes(func(name string) string { return values[name] })
	if err != nil || fmt.Sprint(*got) != fmt.Sprint(it) {
		t.Errorf("item is %v, error %v; want %v", got, err, it)
	}
	for _, broken := range []string{table.AttrPK, table.AttrSK, table.AttrDoc, table.AttrRev} {
		if _, err := table.FromAttributes(func(name string) string {
			if name == broken {
				return ""
			}
			return values[name]
		}); err == nil {
			t.Errorf("an item without %s was accepted", broken)
		}
	}
}

func TestWhatIsTooLargeIsNamedWithItsLimit(t *testing.T) {
	t.Parallel()
	long := table.Item{Key: table.Key{PK: strings.Repeat("n", 3000), SK: "a"}, Doc: []byte(`1`)}
	large := table.Item{Key: table.Key{PK: "p", SK: "a"}, Doc: []byte(`"` + strings.Repeat("x", table.MaxItem) + `"`)}
	for want, it := range map[string]table.Item{
		"a name or id is too long: the key is 3000 bytes, the limit is 2048":         long,
		"an item of 409626 bytes is larger than the 409600 bytes that can be stored": large,
	} {
		err := table.Check([]table.Op{table.PutOp(it, table.Cond{})})
		if p := problem.From(err); p == nil || p.Kind != problem.TooLarge || p.Detail != want {
			t.Errorf("error is %v, want too_large: %s", err, want)
		}
	}
}

// FuzzCursor feeds cursors and queries from anywhere to CheckQuery: it accepts
// exactly those that CursorAt makes, and only positions within the query.
func FuzzCursor(f *testing.F) {
	for _, q := range []table.Query{{PK: "p"}, {Index: 1, PK: "p", Prefix: "s"}, {Index: 2, PK: "p", From: "r", Reverse: true}} {
		f.Add(q.Index, q.PK, q.Prefix, q.From, q.Reverse, q.CursorAt(table.Position{Key: table.Key{PK: "p", SK: "s1"}, Sort: "s"}))
	}
	f.Add(0, "p", "", "", false, "AQ")
	f.Fuzz(func(t *testing.T, index int, pk, prefix, from string, reverse bool, cursor string) {
		q := table.Query{Index: index, PK: pk, Prefix: prefix, From: from, Reverse: reverse, Limit: 1, Cursor: cursor}
		pos, err := table.CheckQuery(q)
		if err != nil {
			return
		}
		if cursor == "" {
			if pos != nil {
				t.Fatalf("no cursor, but position %v", pos)
			}
			return
		}
		if again := q.CursorAt(*pos); again != cursor {
			t.Fatalf("cursor %q and %q both are position %v", cursor, again, pos)
		}
		sort := pos.SK
		if index != 0 {
			sort = pos.Sort
		}
		if !pos.Storable() || !strings.HasPrefix(sort, prefix) || sort < from {
			t.Fatalf("position %v is outside the query %+v", pos, q)
		}
	})
}

func TestACursorLeadsBackToItsPosition(t *testing.T) {
	t.Parallel()
	want := table.Position{Key: table.Key{PK: "build#1", SK: "a"}, Sort: "2024é"}
	q := table.Query{Index: 2, PK: "project#1", Prefix: "2024", Reverse: true, Limit: 3}
	q.Cursor = q.CursorAt(want)
	got, err := table.CheckQuery(q)
	if err != nil || *got != want {
		t.Errorf("position is %v, error %v; want %v", got, err, want)
	}
}
