// Package meter counts what AWS would bill for what the system on one machine
// does. It is for `make cost`.
package meter

import (
	"context"
	"maps"
	"sync"

	"github.com/aws/aws-lambda-go/lambda"

	"bldst/shared/table"
)

// What is counted. Request units are those of DynamoDB: a read unit is 4 KiB
// read consistently, a write unit 1 KiB written, a transaction takes two.
const (
	ReadUnits  = "dynamodb_read_units"
	WriteUnits = "dynamodb_write_units"
	Events     = "eventbridge_events"
	Calls      = "lambda_requests"
)

// A Meter is safe for concurrent use. A nil Meter counts nothing.
type Meter struct {
	mu    sync.Mutex
	n     map[string]float64
	calls map[string]float64 // of each function
}

// Add counts n of something.
func (m *Meter) Add(what string, n float64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.n == nil {
		m.n = map[string]float64{}
	}
	m.n[what] += n
}

// Counts returns what was counted, and the calls of each function.
func (m *Meter) Counts() (counts, calls map[string]float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.n), maps.Clone(m.calls)
}

// Reset forgets what was counted.
func (m *Meter) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n, m.calls = nil, nil
}

// Function returns h with its calls counted.
func (m *Meter) Function(name string, h lambda.Handler) lambda.Handler {
	if m == nil {
		return h
	}
	return function{m, name, h}
}

type function struct {
	m    *Meter
	name string
	next lambda.Handler
}

func (f function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	f.m.Add(Calls, 1)
	f.m.mu.Lock()
	if f.m.calls == nil {
		f.m.calls = map[string]float64{}
	}
	f.m.calls[f.name]++
	f.m.mu.Unlock()
	return f.next.Invoke(ctx, payload)
}

// Table returns t with its request units counted.
func (m *Meter) Table(t table.Table) table.Table {
	if m == nil {
		return t
	}
	return metered{m, t}
}

type metered struct {
	m    *Meter
	next table.Table
}

func (t metered) Get(ctx context.Context, keys ...table.Key) ([]*table.Item, error) {
	items, err := t.next.Get(ctx, keys...)
	for _, it := range items {
		if it != nil {
			t.m.Add(ReadUnits, units(size(it), 4096))
		}
	}
	t.m.Add(ReadUnits, float64(len(keys)-present(items))) // what is missing is billed as the least
	return items, err
}

func (t metered) Query(ctx context.Context, q table.Query) (table.Page, error) {
	page, err := t.next.Query(ctx, q)
	bytes := 1
	for i := range page.Items {
		bytes += size(&page.Items[i])
	}
	n := units(bytes, 4096)
	if q.Index != 0 {
		n /= 2 // an index is read without consistency
	}
	t.m.Add(ReadUnits, n)
	return page, err
}

func (t metered) Write(ctx context.Context, ops ...table.Op) error {
	each := 2.0
	if len(ops) == 1 && ops[0].Verb != table.Verify {
		each = 1
	}
	for i := range ops {
		t.m.Add(WriteUnits, each*units(size(&ops[i].Item), 1024))
		for _, k := range ops[i].Item.Index {
			if k.PK != "" {
				t.m.Add(WriteUnits, units(size(&ops[i].Item), 1024))
			}
		}
	}
	return t.next.Write(ctx, ops...)
}

func present(items []*table.Item) int {
	n := 0
	for _, it := range items {
		if it != nil {
			n++
		}
	}
	return n
}

// overhead is what the names of the attributes and the smaller ones take.
const overhead = 60

func size(it *table.Item) int {
	n := overhead + len(it.PK) + len(it.SK) + len(it.Doc)
	for _, k := range it.Index {
		n += len(k.PK) + len(k.SK)
	}
	return n
}

func units(bytes, unit int) float64 { return float64((max(bytes, 1) + unit - 1) / unit) }
