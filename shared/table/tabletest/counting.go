package tabletest

import (
	"context"
	"fmt"
	"sync/atomic"

	"bldst/shared/table"
)

// Counting is a table that passes everything on and counts what it is asked.
type Counting struct {
	table.Table
	Reads, Queries, Writes atomic.Int64
}

// Get implements table.Table.
func (c *Counting) Get(ctx context.Context, keys ...table.Key) ([]*table.Item, error) {
	c.Reads.Add(1)
	return c.Table.Get(ctx, keys...)
}

// Query implements table.Table.
func (c *Counting) Query(ctx context.Context, q table.Query) (table.Page, error) {
	c.Queries.Add(1)
	return c.Table.Query(ctx, q)
}

// Write implements table.Table.
func (c *Counting) Write(ctx context.Context, ops ...table.Op) error {
	c.Writes.Add(1)
	return c.Table.Write(ctx, ops...)
}

// A Cost is what a call asks of the table.
type Cost struct{ Reads, Queries, Writes int64 }

func (c Cost) String() string {
	return fmt.Sprintf("%d reads, %d queries, %d writes", c.Reads, c.Queries, c.Writes)
}

// Cost returns what f asks.
func (c *Counting) Cost(f func()) Cost {
	before := Cost{c.Reads.Load(), c.Queries.Load(), c.Writes.Load()}
	f()
	return Cost{c.Reads.Load() - before.Reads, c.Queries.Load() - before.Queries, c.Writes.Load() - before.Writes}
}
