package tabletest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bldst/shared/table"
)

// feedOrder writes three items in turns and compares the changes of each.
func feedOrder(t *testing.T, h Harness) {
	if h.Feed == nil {
		return // the adapter hands out its changes elsewhere
	}
	want := map[table.Key][]table.Change{}
	current := map[table.Key]*table.Item{}
	count := 0
	record := func(k table.Key, next *table.Item) {
		want[k] = append(want[k], table.Change{Key: k, Old: current[k], New: next})
		current[k] = next
		count++
	}
	for rev := int64(1); rev <= 10; rev++ {
		a, b, c := item("f", "a"), item("f", "b"), item("f#2", "c")
		for _, it := range []*table.Item{&a, &b, &c} {
			it.Rev = rev
			it.Index[0] = table.IndexKey{PK: "feed", SK: it.SK}
		}
		write(t, h.Table, table.PutOp(a, table.Cond{}), table.PutOp(b, table.Cond{}), table.VerifyOp(key("f", "none"), table.Cond{Kind: table.Absent}))
		record(a.Key, &a)
		record(b.Key, &b)
		if rev%3 == 0 {
			write(t, h.Table, table.DeleteOp(c.Key, table.Cond{}))
			record(c.Key, nil)
		} else {
			put(t, h.Table, c)
			record(c.Key, &c)
		}
		put(t, h.Table, a) // writes what is there: no change
		if err := h.Table.Write(t.Context(), absent(a)); table.Refused(err) == nil {
			t.Fatalf("error is %v, want a refusal", err) // and no change either
		}
	}
	got := map[table.Key][]table.Change{}
	for _, c := range read(t, h.Feed, "", count) {
		c.Seq = ""
		got[c.Key] = append(got[c.Key], c)
	}
	if d := diff(want, got); d != "" {
		t.Fatalf("changes (-want +got):\n%s", d)
	}
}

// read returns the n changes after a position.
func read(t *testing.T, f table.Feed, after string, n int) []table.Change {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []table.Change
	for len(all) < n && ctx.Err() == nil {
		changes, err := f.Changes(ctx, after, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) > 7 {
			t.Fatalf("%d changes at once, want at most 7", len(changes))
		}
		if len(changes) > 0 {
			after = changes[len(changes)-1].Seq
		}
		all = append(all, changes...)
	}
	if len(all) != n {
		t.Fatalf("the feed has %d changes, want %d", len(all), n)
	}
	return all
}

func feedPosition(t *testing.T, h Harness) {
	if h.Feed == nil {
		return // as above
	}
	rows := []table.Item{item("f", "a"), item("f", "b"), item("f", "c")}
	for _, it := range rows {
		put(t, h.Table, it)
	}
	first := read(t, h.Feed, "", 3)
	rest := read(t, h.Feed, first[0].Seq, 2)
	if d := diff(first[1:], rest); d != "" {
		t.Fatalf("changes after the first (-want +got):\n%s", d)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if none, err := h.Feed.Changes(ctx, first[2].Seq, 7); len(none) != 0 || err != nil {
		t.Fatalf("at the end of the feed: %v, error %v; want nothing", none, err)
	}

	later := item("f", "later")
	got := make(chan []table.Change)
	go func() {
		waiting, end := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer end()
		changes, _ := h.Feed.Changes(waiting, first[2].Seq, 7)
		got <- changes
	}()
	put(t, h.Table, later)
	changes := <-got
	if d := cmp.Diff([]table.Change{{Key: later.Key, New: &later}}, changes, cmpopts.IgnoreFields(table.Change{}, "Seq")); d != "" {
		t.Fatalf("the change waited for (-want +got):\n%s", d)
	}
}
