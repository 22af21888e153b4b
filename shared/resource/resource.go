// Package resource is the generic noun: what every resource row has in common,
// how it is kept, and its endpoints.
package resource

import (
	"context"
	"time"
)

// Meta is what every resource has. Embed it first. What a caller sends for
// these fields is ignored.
type Meta struct {
	ID            string     `json:"id" doc:"Opaque. Name and slug resolve wherever an id is accepted."`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	DeactivatedAt *time.Time `json:"deactivated_at" doc:"When it was deleted; it can be restored."`
	Rev           int64      `json:"-"`
}

// Base gives generic code the Meta of a row.
func (m *Meta) Base() *Meta { return m }

// An Item is a pointer to a row.
type Item[T any] interface {
	*T
	Base() *Meta
}

// A Filler is a row with fields that follow from others; Fill is called before
// it is stored.
type Filler interface{ Fill() }

// A ListQuery asks for a page of a list.
type ListQuery struct {
	Skip    int
	Limit   int    // 1 to 1000
	Cursor  string // from the page before
	Deleted bool   // soft-deleted rows too, after the others
}

// A Store keeps the rows of one noun. Where a method takes a ref, it is an id
// or a name, and the row is NotFound when there is none.
type Store[T any, P Item[T]] interface {
	// Get returns a row; a deleted one only when deleted is true.
	Get(ctx context.Context, ref string, deleted bool) (P, error)
	// List returns a page of rows and the cursor of the next.
	List(ctx context.Context, q ListQuery) ([]T, string, error)
	// Create stores a new row under a new id; Conflict when a name is taken.
	Create(ctx context.Context, v P) error
	// Change lets f change a row and stores it under action in the audit
	// trail; a problem f returns is returned and nothing is stored.
	Change(ctx context.Context, ref, action string, deleted bool, f func(P) error) (P, error)
	// Delete soft-deletes a row, unless check refuses.
	Delete(ctx context.Context, ref string, check func(P) error) (P, error)
	// Restore brings a deleted row back; Conflict when its name was taken.
	Restore(ctx context.Context, ref string) (P, error)
}
