// Package table is the embedded adapter of the port shared/table: one file of
// go.etcd.io/bbolt, durable and ordered, with nothing kept in memory per item.
//
// All writes go through one goroutine, the committer. It takes every write
// that waits, runs them one after the other in a single transaction of the
// file, and answers them all after one sync to disk. An acknowledged write is
// on disk; a refused one has changed nothing.
//
// The file holds these buckets, all keys ordered bytewise:
//
//	items      pk 0 sk                  -> item
//	index1, 2  index pk 0 index sk 0 pk 0 sk -> nothing (see Options.IndexLag)
//	expiry     seconds, pk 0 sk         -> nothing; only items that expire
//	log        sequence number          -> change; only with Options.Feed
//	consumers  name                     -> sequence number it has acknowledged
//	pending    sequence number          -> change not yet in the indexes
package table

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"bldst/localstack/datafile"
	"bldst/shared/problem"
	port "bldst/shared/table"
)

// Why Open can fail; the error's text says what to do.
var (
	ErrInUse      = errors.New("data folder in use by another process")
	ErrUnwritable = errors.New("data folder cannot be written")
	ErrForeign    = errors.New("not a data file of this program")
	ErrDamaged    = datafile.ErrDamaged
)

// Options of Open. The zero value is good for production without a feed.
type Options struct {
	Feed bool             // keep a change feed until its Consumers have read it, for ever without one
	Now  func() time.Time // the clock that expires items; time.Now when nil

	// For tests.
	IndexLag     func() time.Duration // apply each index update that much later, see lag.go
	BeforeCommit func() error         // an error makes the commit fail as a broken disk does
}

// A Table is the open file. It is safe for concurrent use.
type Table struct {
	db      *bolt.DB
	opt     Options
	jobs    chan *job
	closing chan struct{}
	stop    sync.Once
	running sync.WaitGroup
	feed    bell
	readers consumers
	lag     *lagging    // nil unless Options.IndexLag
	broken  atomic.Bool // the last commit was not stored
}

var (
	_ port.Table = (*Table)(nil)
	_ port.Feed  = (*Table)(nil)
)

// Open opens the file at path, creating it and its folder as needed. It
// returns ErrInUse when another process has it open, ErrUnwritable when the
// folder cannot be written, ErrForeign when the file is something else, and
// ErrDamaged when it was cut off or is not as it was written.
// Opening takes milliseconds whatever the file holds, unless the last process
// was killed; expired items are purged before the first write.
func Open(path string, o Options) (*Table, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	db, err := datafile.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	t := &Table{db: db, opt: o, jobs: make(chan *job), closing: make(chan struct{})}
	if err := db.Update(t.prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), datafile.Close(db))
	}
	t.start()
	return t, nil
}

// start starts the goroutines that Close waits for.
func (t *Table) start() {
	t.running.Go(t.commitLoop)
	if t.opt.IndexLag != nil {
		t.lag = newLagging(t.opt.IndexLag)
		t.running.Go(t.lagLoop)
	}
	first := t.submit(t.purgeSome)
	t.running.Go(func() { t.purgeLoop(first) })
}

// Close answers the writes that are in the file's hands, refuses the others
// with Unavailable, and releases the file. A second call does nothing.
func (t *Table) Close() error {
	var err error
	t.stop.Do(func() {
		close(t.closing)
		t.running.Wait()
		err = errors.Join(t.db.Update(t.readers.save), datafile.Close(t.db))
	})
	return err
}

func openError(path string, err error) error {
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, ErrDamaged):
		return err
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: %s; stop that process or choose another folder", ErrInUse, path)
	case errors.As(err, &pathErr):
		return fmt.Errorf("%w: %w; choose another folder or mend its permissions", ErrUnwritable, err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return fmt.Errorf("%w: %s (%w); move it away or choose another folder", ErrForeign, path, err)
	default:
		return fmt.Errorf("open %s: %w", path, err)
	}
}

// prepare creates the buckets and catches up with what the last process left.
func (t *Table) prepare(tx *bolt.Tx) error {
	for _, name := range bucketNames {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	x := t.begin(tx)
	x.applyPending()
	t.readers.load(x.consumers)
	t.readers.arrive(x.log.Sequence(), t.opt.Now())
	return x.err
}

// Get returns the items at keys.
func (t *Table) Get(ctx context.Context, keys ...port.Key) ([]*port.Item, error) {
	if err := errors.Join(ctx.Err(), port.CheckKeys(keys)); err != nil {
		return nil, err
	}
	out := make([]*port.Item, len(keys))
	err := t.view(func(tx *bolt.Tx) error {
		items := tx.Bucket(itemsBucket)
		for i, k := range keys {
			it, err := load(items, k)
			if err != nil {
				return err
			}
			out[i] = it
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// load returns the item at k, nil when there is none.
func load(items *bolt.Bucket, k port.Key) (*port.Item, error) {
	if !k.Storable() {
		return nil, nil
	}
	v := items.Get(itemKey(k))
	if v == nil {
		return nil, nil
	}
	return decodeItem(k, v)
}

// Writable reports why nothing can be stored: after a commit that failed it
// tries another one, as large as any, so it says so as long as that is true and
// no longer. It costs nothing while commits succeed.
func (t *Table) Writable(ctx context.Context) error {
	if !t.broken.Load() {
		return nil
	}
	for _, try := range []func(*bolt.Bucket) error{
		func(b *bolt.Bucket) error { return b.Put([]byte("room"), make([]byte, port.MaxTransaction)) },
		func(b *bolt.Bucket) error { return b.Delete([]byte("room")) },
	} {
		done := t.submit(func(x *txn) error {
			b, err := x.tx.CreateBucketIfNotExists([]byte("probe"))
			x.dirty = true
			x.keep(err)
			if err == nil {
				x.keep(try(b))
			}
			return nil
		})
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// view runs f in a read transaction.
func (t *Table) view(f func(tx *bolt.Tx) error) error {
	err := t.db.View(f)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return errClosed()
	}
	return err
}

func errClosed() error { return problem.New(problem.Unavailable, "the table is closed") }
