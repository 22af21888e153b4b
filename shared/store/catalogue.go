package store

import (
	"context"

	"bldst/shared/api"
	"bldst/shared/catalogue"
	"bldst/shared/problem"
	"bldst/shared/resource"
)

// Catalogue returns every noun of the catalogue, in the order of the
// documentation. A new noun is declared in a file of package catalogue and
// named here. It is a function, not a variable, so that a program that serves
// one noun does not link them all.
func Catalogue() []Noun {
	return []Noun{
		NounOf(catalogue.Platforms),
		NounOf(catalogue.OSVersions),
		NounOf(catalogue.ImageTypes),
		NounOf(catalogue.CloudProviders),
		NounOf(catalogue.OSDistributions),
		NounOf(catalogue.ImageVariants),
	}
}

// A Noun is a kind of the catalogue whose row type has been forgotten.
type Noun struct {
	Plural string // "os-versions": the path of its collection
	Mount  func(a *api.API, s *Store)
	seed   func(ctx context.Context, s *Store, dev bool) error
}

// NounOf forgets the row type of k.
func NounOf[T any, P resource.Item[T]](k catalogue.Kind[T, P]) Noun {
	return Noun{
		Plural: k.Plural,
		Mount:  func(a *api.API, s *Store) { k.Mount(a, keep(s, k)) },
		seed: func(ctx context.Context, s *Store, dev bool) error {
			rows := k.Base
			if dev {
				rows = append(rows[:len(rows):len(rows)], k.Dev...)
			}
			return seedRows(ctx, keep(s, k), rows)
		},
	}
}

// keep returns the keeper of the rows of k.
func keep[T any, P resource.Item[T]](s *Store, k catalogue.Kind[T, P]) *Named[T, P] {
	return NewNamed(s, Kind[T, P]{Name: k.Name, Label: k.Label, SlugID: k.SlugID, Slug: k.Slug, Unique: k.Unique, Shared: k.Shared, Sort: k.Sort})
}

// seedRows stores the rows whose ids are free. A row whose name is taken by
// another one is left out.
func seedRows[T any, P resource.Item[T]](ctx context.Context, n *Named[T, P], rows []T) error {
	for _, row := range rows {
		_, err := n.Get(ctx, P(&row).Base().ID, true)
		if problem.Is(err, problem.NotFound) {
			err = n.Create(ctx, P(&row))
		}
		if err != nil && !problem.Is(err, problem.Conflict, problem.Ambiguous) {
			return err
		}
	}
	return nil
}

// SeedReference stores the rows every stage begins with, and with dev those of
// the development stage. Rows that exist, deleted ones too, are left alone.
func (s *Store) SeedReference(ctx context.Context, dev bool) error {
	for _, n := range Catalogue() {
		if err := n.seed(ctx, s, dev); err != nil {
			return err
		}
	}
	return s.seedProjects(ctx, dev)
}
