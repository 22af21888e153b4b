package meter_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	engine "bldst/localstack/table"

	"bldst/localstack/meter"
	"bldst/shared/table"
)

type handler struct{}

func (handler) Invoke(context.Context, []byte) ([]byte, error) { return nil, nil }

func TestWhatIsBilledIsCounted(t *testing.T) {
	t.Parallel()
	e, err := engine.Open(filepath.Join(t.TempDir(), "t.db"), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	var m meter.Meter
	tbl, ctx := m.Table(e), t.Context()
	item := func(sk string, size int) table.Item {
		return table.Item{Key: table.Key{PK: "p", SK: sk}, Rev: 1, Doc: []byte(`"` + strings.Repeat(" ", size-2) + `"`)}
	}
	put := func(it table.Item) table.Op { return table.PutOp(it, table.Cond{Kind: table.Absent}) }
	indexed := item("c", 100)
	indexed.Index[0] = table.IndexKey{PK: "i", SK: "j"}
	for name, step := range map[string]struct {
		do   func() error
		want map[string]float64
	}{
		"one small item is one unit":                            {func() error { return tbl.Write(ctx, put(item("a", 100))) }, map[string]float64{meter.WriteUnits: 1}},
		"a transaction is twice its items, and each index once": {func() error { return tbl.Write(ctx, put(item("b", 1500)), put(indexed)) }, map[string]float64{meter.WriteUnits: 2*2 + 2 + 1}},
		"what is missing is read too":                           {func() error { _, err := tbl.Get(ctx, table.Key{PK: "x", SK: "y"}); return err }, map[string]float64{meter.ReadUnits: 1}},
		"a query of an index is half":                           {func() error { _, err := tbl.Query(ctx, table.Query{Index: 1, PK: "i", Limit: 10}); return err }, map[string]float64{meter.ReadUnits: 0.5}},
		"a call is a request":                                   {func() error { _, err := m.Function("f", handler{}).Invoke(ctx, nil); return err }, map[string]float64{meter.Calls: 1}},
	} {
		m.Reset()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, _ := m.Counts()
		if d := cmp.Diff(step.want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}

func TestNoMeterCountsNothing(t *testing.T) {
	t.Parallel()
	var none *meter.Meter
	none.Add(meter.Events, 1)
	if h := none.Function("f", handler{}); h != (handler{}) {
		t.Errorf("want the handler as it is, got %v", h)
	}
	if tbl := none.Table(nil); tbl != nil {
		t.Errorf("want the table as it is, got %v", tbl)
	}
}
