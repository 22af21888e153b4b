package localstack

import (
	"context"
	"fmt"

	"bldst/shared/store"
)

// seeds returns the steps that store the development data, in their order.
func seeds(s *store.Store) []func(context.Context) error {
	return []func(context.Context) error{
		func(ctx context.Context) error { return s.SeedReference(ctx, true) },
		s.SeedIdentity,
		s.SeedBuilds,
	}
}

// Seed stores the development data with s. It may run again: what is there
// stays as it is.
func Seed(ctx context.Context, s *store.Store) error {
	for _, step := range seeds(s) {
		if err := step(ctx); err != nil {
			return fmt.Errorf("seed the development data: %w", err)
		}
	}
	return nil
}
