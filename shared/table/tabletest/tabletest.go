// Package tabletest is the conformance suite of the port shared/table. Every
// adapter runs it, so that what holds on the embedded engine holds on Amazon
// DynamoDB and the other way round.
package tabletest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bldst/shared/table"
)

// A Harness is an empty table to test.
type Harness struct {
	Table  table.Table
	Feed   table.Feed                     // nil when the adapter has none
	Reopen func(t *testing.T) table.Table // closes Table and opens the same data; nil when it cannot
}

// Run runs the suite, every test on a table of its own.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

var cases = []struct {
	name string
	test func(*testing.T, Harness)
}{
	{"get returns items in the order of the keys and nil for what is absent", getInOrder},
	{"get takes 100 keys and refuses 101", getManyKeys},
	{"get of a key that cannot exist returns nil", getImpossible},
	{"an item is kept whole and its document byte for byte", keepsItems},
	{"every condition looks at what is there and a refusal returns it", conditions},
	{"the first op that is refused is named and nothing is written", refusedTransaction},
	{"a hundred ops are written together or not at all", hundredOps},
	{"a write sees the writes acknowledged before it", readYourWrites},
	{"a program's mistakes are errors and write nothing", mistakes},
	{"the limits are those of DynamoDB to the byte", limits},
	{"a query returns a partition in order with prefix, bound, skip and limit", queryTable},
	{"an index returns its partition in order with prefix, bound, skip and limit", queryIndex},
	{"items with equal index keys come in the order of their own keys", tieOrder},
	{"the pages of a list fit together while rows are inserted", pagesDuringInserts},
	{"a page of large items ends early and leads on", largePages},
	{"a cursor that is damaged or of another list is invalid", badCursors},
	{"a query that nothing can match is empty", queryImpossible},
	{"a soft delete moves the item to another place of the index", softDelete},
	{"a plain write replaces the item and its index entries", replacesItem},
	{"concurrent writers lose no update", concurrentCounters},
	{"of concurrent creators one wins", concurrentCreators},
	{"the feed has every change of an item in order", feedOrder},
	{"the feed goes on after a position and waits for more", feedPosition},
	{"what was written is there after reopening", durability},
}

// patience is how long an index or the feed may take to catch up.
const patience = 20 * time.Second

// eventually polls until check returns "", and fails with its last complaint.
func eventually(t tb, check func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		complaint := check()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still not as it should be after %v: %s", patience, complaint)
		}
		time.Sleep(pause)
	}
}

// tb is what the helpers need of a *testing.T or a *rapid.T.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// diff returns how got differs from want, "" when it does not. It compares
// before it explains, because explaining large documents is slow.
func diff[T any](want, got T) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

func write(t tb, tbl table.Table, ops ...table.Op) {
	t.Helper()
	if err := tbl.Write(context.Background(), ops...); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// put writes items without conditions, in transactions as large as allowed.
func put(t tb, tbl table.Table, items ...table.Item) {
	t.Helper()
	for chunk := range slices.Chunk(items, table.MaxOps) {
		ops := make([]table.Op, len(chunk))
		for i, it := range chunk {
			ops[i] = table.PutOp(it, table.Cond{})
		}
		write(t, tbl, ops...)
	}
}

func get(t tb, tbl table.Table, keys ...table.Key) []*table.Item {
	t.Helper()
	items, err := tbl.Get(context.Background(), keys...)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	return items
}

// wantItem fails unless the item at k is want (nil: absent).
func wantItem(t tb, tbl table.Table, k table.Key, want *table.Item) {
	t.Helper()
	if d := diff(want, get(t, tbl, k)[0]); d != "" {
		t.Fatalf("item %v (-want +got):\n%s", k, d)
	}
}

// list follows the cursors of q to the end and returns all items.
func list(t tb, tbl table.Table, q table.Query) []table.Item {
	t.Helper()
	var all []table.Item
	for range 10_000 {
		page, err := tbl.Query(context.Background(), q)
		if err != nil {
			t.Fatalf("query %+v: %v", q, err)
		}
		if len(page.Items) > q.Limit {
			t.Fatalf("query %+v returned %d items", q, len(page.Items))
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		q.Cursor = page.Next
	}
	t.Fatalf("query %+v never ends", q)
	return nil
}

// wantList fails unless q lists want, of an index at some time.
func wantList(t tb, tbl table.Table, q table.Query, want []table.Item) {
	t.Helper()
	check := func() string {
		if d := diff(want, list(t, tbl, q)); d != "" {
			return fmt.Sprintf("query %+v (-want +got):\n%s", q, d)
		}
		return ""
	}
	if q.Index != 0 {
		eventually(t, check)
	} else if complaint := check(); complaint != "" {
		t.Fatalf("%s", complaint)
	}
}

// wantRefused fails unless err is a ConditionError equal to want.
func wantRefused(t tb, err error, want table.ConditionError) {
	t.Helper()
	got := table.Refused(err)
	if got == nil {
		t.Fatalf("error is %v, want a ConditionError", err)
		return
	}
	if d := diff(want, *got); d != "" {
		t.Fatalf("refusal (-want +got):\n%s", d)
	}
}

func key(pk, sk string) table.Key { return table.Key{PK: pk, SK: sk} }

// item returns a small item at pk, sk.
func item(pk, sk string) table.Item {
	doc, err := json.Marshal(map[string]string{"at": pk + "/" + sk})
	if err != nil {
		panic(err) // strings can be marshalled
	}
	return table.Item{Key: key(pk, sk), Rev: 1, Doc: doc}
}

func absent(it table.Item) table.Op { return table.PutOp(it, table.Cond{Kind: table.Absent}) }
