package localstack

import (
	"context"

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
