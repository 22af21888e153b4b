package table_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	bolt "go.etcd.io/bbolt"

	embedded "bldst/localstack/table"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// row returns a small item.
func row(pk, sk string) table.Item {
	return table.Item{Key: table.Key{PK: pk, SK: sk}, Rev: 1, Doc: []byte(`{}`)}
}

func create(it table.Item) table.Op { return table.PutOp(it, table.Cond{Kind: table.Absent}) }

func mustWrite(t testing.TB, tbl *embedded.Table, ops ...table.Op) {
	t.Helper()
	if err := tbl.Write(context.Background(), ops...); err != nil {
		t.Fatal(err)
	}
}

// present says which of the items of partition pk are there.
func present(t testing.TB, tbl *embedded.Table, index int, pk string) []string {
	t.Helper()
	page, err := tbl.Query(context.Background(), table.Query{Index: index, PK: pk, Limit: table.MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	var sks []string
	for _, it := range page.Items {
		sks = append(sks, it.SK)
	}
	return sks
}

func want(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// until polls until ok.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestOpenSaysWhyItCannotAndWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	used := filepath.Join(dir, "used.db")
	open(t, used, embedded.Options{})
	foreign := filepath.Join(dir, "foreign.db")
	if err := os.WriteFile(foreign, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"in use":                {used, embedded.ErrInUse},
		"a folder that is none": {filepath.Join(foreign, "table.db"), embedded.ErrUnwritable},
		"a folder as the file":  {dir, embedded.ErrUnwritable},
		"another kind of file":  {foreign, embedded.ErrForeign},
	} {
		tbl, err := embedded.Open(c.path, embedded.Options{})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: error is %v, want %v", name, err, c.want)
		}
		if tbl != nil {
			tbl.Close()
		}
	}
}

func TestAClosedTableIsUnavailable(t *testing.T) {
	t.Parallel()
	tbl := open(t, filepath.Join(t.TempDir(), "table.db"), embedded.Options{Feed: true})
	waiting := make(chan error)
	go func() {
		changes, err := tbl.Changes(context.Background(), "", 1)
		waiting <- errors.Join(err, map[bool]error{true: errors.New("it has changes")}[len(changes) > 0])
	}()
	if err := errors.Join(tbl.Close(), tbl.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil && !problem.Is(err, problem.Unavailable) {
		t.Errorf("a reader of the feed got %v", err)
	}
	_, getErr := tbl.Get(t.Context(), row("p", "a").Key)
	_, queryErr := tbl.Query(t.Context(), table.Query{PK: "p", Limit: 1})
	_, consumerErr := tbl.Consumer("x")
	for what, err := range map[string]error{"write": tbl.Write(t.Context(), create(row("p", "a"))), "get": getErr, "query": queryErr, "consumer": consumerErr} {
		if !problem.Is(err, problem.Unavailable) {
			t.Errorf("%s: error is %v, want %s", what, err, problem.Unavailable)
		}
	}
}

func TestWhenTheDiskFailsNothingIsAcknowledgedOrApplied(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	path := filepath.Join(t.TempDir(), "table.db")
	tbl := open(t, path, embedded.Options{Feed: true, BeforeCommit: func() error {
		if broken.Load() {
			return errors.New("input/output error")
		}
		return nil
	}})
	mustWrite(t, tbl, create(row("p", "before")))
	broken.Store(true)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := tbl.Write(t.Context(), create(row("p", fmt.Sprint(i))), create(row("q", fmt.Sprint(i))))
			if !problem.Is(err, problem.Unavailable) {
				t.Errorf("error is %v, want %s", err, problem.Unavailable)
			}
		})
	}
	wg.Wait()
	broken.Store(false)
	mustWrite(t, tbl, create(row("p", "after")))
	want(t, "items", []string{"after", "before"}, present(t, tbl, 0, "p"))
	want(t, "the other items", []string(nil), present(t, tbl, 0, "q"))
	changes, err := tbl.Changes(t.Context(), "", 100)
	if err != nil || len(changes) != 2 {
		t.Errorf("the feed has %d changes, error %v; want 2", len(changes), err)
	}
}

func TestWritesOfOneCommitSeeEachOther(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	tbl := open(t, filepath.Join(t.TempDir(), "table.db"), embedded.Options{BeforeCommit: func() error { <-gate; return nil }})
	counter := row("p", "counter")
	counter.Rev = 0
	results := make(chan error)
	write := func(op table.Op) { results <- tbl.Write(context.Background(), op) }
	go write(create(counter)) // held in its commit while the others line up
	for range 10 {
		next := counter
		next.Rev = 1
		go write(table.PutOp(next, table.IfRev(0)))
	}
	close(gate)
	refused := 0
	for range 11 {
		if err := <-results; table.Refused(err) != nil {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	got, err := tbl.Get(t.Context(), counter.Key)
	if err != nil {
		t.Fatal(err)
	}
	if refused < 9 || got[0].Rev != int64(10-refused) {
		t.Errorf("%d writes were refused and the revision is %d; one raise from 0 to 1 can win", refused, got[0].Rev)
	}
}

func TestExpiredItemsArePurgedWhenOpenedAndOnDemand(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(1000)
	o := embedded.Options{Feed: true, Now: func() time.Time { return time.Unix(now.Load(), 0) }}
	path := filepath.Join(t.TempDir(), "table.db")
	tbl := open(t, path, o)
	for sk, expires := range map[string]int64{"never": 0, "1500": 1500, "1999": 1999, "2000": 2000, "late": math.MaxInt64} {
		it := row("p", sk)
		it.Expires, it.Index[0] = expires, table.IndexKey{PK: "i", SK: sk}
		mustWrite(t, tbl, create(it))
	}
	moved := row("p", "1500")
	moved.Expires, moved.Index[0] = 2500, table.IndexKey{PK: "i", SK: "1500"}
	mustWrite(t, tbl, table.PutOp(moved, table.Cond{Kind: table.Present}))
	if err := tbl.Close(); err != nil {
		t.Fatal(err)
	}

	now.Store(2000)
	tbl = open(t, path, o)
	mustWrite(t, tbl, create(row("other", "a"))) // waits its turn behind the purge
	want(t, "items at 2000", []string{"1500", "2000", "late", "never"}, present(t, tbl, 0, "p"))

	now.Store(3000)
	if err := tbl.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, "items at 3000", []string{"late", "never"}, present(t, tbl, 0, "p"))
	want(t, "index at 3000", []string{"late", "never"}, present(t, tbl, 1, "i"))
	changes, err := tbl.Changes(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	for _, c := range changes {
		if c.New == nil {
			removed++
		}
	}
	if removed != 3 {
		t.Errorf("the feed has %d removals, want 3", removed)
	}
}

func TestPurgeRemovesMoreThanATransactionHolds(t *testing.T) {
	t.Parallel()
	tbl := open(t, filepath.Join(t.TempDir(), "table.db"), embedded.Options{})
	for i := range 25 {
		var ops []table.Op
		for j := range table.MaxOps {
			it := row("p", fmt.Sprintf("%d-%d", i, j))
			it.Expires = 1
			ops = append(ops, create(it))
		}
		mustWrite(t, tbl, ops...)
	}
	if err := tbl.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, "items", []string(nil), present(t, tbl, 0, "p"))
}

func TestTheLogIsKeptUntilEveryConsumerHasAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "table.db")
	o := embedded.Options{Feed: true}
	tbl := open(t, path, o)
	relay, err1 := tbl.Consumer("relay")
	audit, err2 := tbl.Consumer("audit")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		mustWrite(t, tbl, create(row("p", fmt.Sprint(i))))
	}
	changes, err := tbl.Changes(t.Context(), relay.Cursor(), 100)
	if err != nil || len(changes) != 6 {
		t.Fatalf("%d changes, error %v; want 6", len(changes), err)
	}
	ack := func(c *embedded.Consumer, i int) {
		t.Helper()
		if err := c.Ack(changes[i].Seq); err != nil {
			t.Fatal(err)
		}
	}
	ack(relay, 4)
	mustWrite(t, tbl, create(row("p", "6")))
	want(t, "records while one has acknowledged nothing", 7, logged(t, tbl))
	ack(audit, 2)
	ack(audit, 1) // going back is ignored
	mustWrite(t, tbl, create(row("p", "7")))
	want(t, "records behind the slower consumer", 5, logged(t, tbl))
	if err := audit.Ack("no position"); err == nil {
		t.Error("a position that is none was acknowledged")
	}

	ack(audit, 3)
	if err := tbl.Close(); err != nil {
		t.Fatal(err)
	}
	tbl = open(t, path, o)
	if relay, err = tbl.Consumer("relay"); err != nil {
		t.Fatal(err)
	}
	want(t, "cursor after reopening", changes[4].Seq, relay.Cursor())
	want(t, "records after reopening", 4, logged(t, tbl))
}

func TestAConsumerKnowsHowFarItIsBehind(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64 // seconds
	path := filepath.Join(t.TempDir(), "table.db")
	o := embedded.Options{Feed: true, Now: func() time.Time { return time.Unix(clock.Load(), 0) }}
	tbl := open(t, path, o)
	relay, err := tbl.Consumer("relay")
	if err != nil {
		t.Fatal(err)
	}
	behind := func(what string, changes int, since time.Time) {
		t.Helper()
		if n, at := relay.Behind(); n != changes || !at.Equal(since) {
			t.Errorf("%s: %d changes since %v, want %d since %v", what, n, at, changes, since)
		}
	}
	behind("at first", 0, time.Time{})
	for i := range int64(6) {
		clock.Store(100 + i)
		mustWrite(t, tbl, create(row("p", fmt.Sprint(i))))
	}
	behind("with all before it", 6, time.Unix(100, 0))
	changes, err := tbl.Changes(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	ack := func(i int) {
		t.Helper()
		if err := relay.Ack(changes[i].Seq); err != nil {
			t.Fatal(err)
		}
	}
	ack(1)
	behind("with two dealt with", 4, time.Unix(102, 0))
	ack(4)
	behind("with one before it", 1, time.Unix(105, 0))

	clock.Store(5000)
	if err := tbl.Close(); err != nil {
		t.Fatal(err)
	}
	tbl = open(t, path, o)
	if relay, err = tbl.Consumer("relay"); err != nil {
		t.Fatal(err)
	}
	behind("opened again", 1, time.Unix(5000, 0))
	ack(5)
	behind("at the end", 0, time.Time{})
	clock.Store(6000)
	mustWrite(t, tbl, create(row("p", "new")))
	behind("with a new one", 1, time.Unix(6000, 0))
}

// logged returns how many changes the feed still has.
func logged(t *testing.T, tbl *embedded.Table) int {
	t.Helper()
	changes, err := tbl.Changes(t.Context(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(changes)
}

func TestWithoutAFeedNothingIsLogged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "table.db")
	tbl := open(t, path, embedded.Options{})
	mustWrite(t, tbl, create(row("p", "a")))
	if err := tbl.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		want(t, "records in the log", 0, tx.Bucket([]byte("log")).Stats().KeyN)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestALateIndexShowsOlderCopiesUntilItHasCaughtUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "table.db")
	var lag atomic.Int64 // of the updates to come
	o := embedded.Options{IndexLag: func() time.Duration { return time.Duration(lag.Load()) }}
	tbl := open(t, path, o)
	it := row("p", "a")
	it.Index[0] = table.IndexKey{PK: "i", SK: "x"}
	mustWrite(t, tbl, create(it))
	until(t, "the first copy", func() bool { return len(present(t, tbl, 1, "i")) == 1 })

	lag.Store(int64(time.Hour))
	next := it
	next.Rev, next.Doc = 2, []byte(`{"new":true}`)
	mustWrite(t, tbl, table.PutOp(next, table.IfRev(1)))
	mustWrite(t, tbl, table.DeleteOp(it.Key, table.IfRev(2)))
	page, err := tbl.Query(t.Context(), table.Query{Index: 1, PK: "i", Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "the index before it has caught up", []table.Item{it}, page.Items)
	want(t, "the table", []string(nil), present(t, tbl, 0, "p"))

	mustWrite(t, tbl, create(next))
	if err := tbl.Close(); err != nil {
		t.Fatal(err)
	}
	tbl = open(t, path, embedded.Options{}) // applies what was pending, in order
	page, err = tbl.Query(t.Context(), table.Query{Index: 1, PK: "i", Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "the index after reopening", []table.Item{next}, page.Items)
}
