// Package catalogue holds the nouns a build refers to: where it is built, from
// what, and what for. Each is declared in a file of its own; the list of them
// is in package store, which keeps their rows, and the API and the seeds range
// over it.
package catalogue

import "bldst/shared/resource"

// A Kind declares one noun: its endpoints, how its rows are kept, and the rows
// there are from the start.
type Kind[T any, P resource.Item[T]] struct {
	resource.Resource[T, P]
	SlugID bool             // ids are slugs, while free; else time-ordered UUIDs
	Slug   func(P) string   // what the slug is made of; default: the name
	Unique func(P) []string // names that no other row has
	Shared func(P) []string // names that others may have, too
	Sort   func(P) string   // place in lists
	Base   []T              // rows of every stage
	Dev    []T              // further rows of the development stage
}

func ptr[T any](v T) *T { return &v }

// named returns the Meta of a seed row with a fixed id.
func named(id string) resource.Meta { return resource.Meta{ID: id} }
