package store

import "context"

// Ping reads one item of the table, which need not exist, and reports why it
// cannot.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Table.Get(ctx, rowKey("health", "ping"))
	return err
}
