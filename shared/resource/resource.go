// Package resource is the generic noun: what every resource row has in common,
// how it is kept, and its five endpoints.
package resource

import "time"

// Meta is what every resource has. Embed it first.
type Meta struct {
	ID            string     `json:"id" readOnly:"true" doc:"Opaque. Name and slug resolve wherever an id is accepted."`
	CreatedAt     time.Time  `json:"created_at" readOnly:"true"`
	UpdatedAt     time.Time  `json:"updated_at" readOnly:"true"`
	DeactivatedAt *time.Time `json:"deactivated_at" readOnly:"true" doc:"When it was deleted; it can be restored."`
	Rev           int64      `json:"-"`
}

// Base gives generic code the Meta of a row.
func (m *Meta) Base() *Meta { return m }

// An Item is a pointer to a row.
type Item[T any] interface {
	*T
	Base() *Meta
}
