package table

import (
	"errors"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"

	"bldst/shared/problem"
)

// A job is one thing to do in a transaction of the file. What run returns
// reaches the one who submitted it once the transaction is on disk; when run
// returns an error it must have changed nothing.
type job struct {
	run  func(*txn) error
	done chan error
}

// maxBatch bounds how many jobs share a transaction, and so how long the first
// of them waits.
const maxBatch = 1024

// gatherFor is how long a commit is put off for the writers that came together
// the last time: they have been answered together, and come again together.
// One commit for all of them costs little more than one for the first.
const gatherFor = time.Millisecond

// submit hands run to the committer and returns where its outcome arrives. The
// outcome always arrives: once taken, a job is finished even if the table is
// being closed.
func (t *Table) submit(run func(*txn) error) <-chan error {
	j := &job{run: run, done: make(chan error, 1)}
	select {
	case t.jobs <- j:
	case <-t.closing:
		j.done <- errClosed()
	}
	return j.done
}

func (t *Table) commitLoop() {
	last := 1 // jobs
	for {
		select {
		case j := <-t.jobs:
			batch := t.gather(j, last)
			last = len(batch)
			t.commit(batch)
		case <-t.closing:
			return
		}
	}
}

// gather returns first and every other job that waits; fewer than last are
// waited for.
func (t *Table) gather(first *job, last int) []*job {
	batch := []*job{first}
	var late <-chan time.Time
	for len(batch) < maxBatch {
		select {
		case j := <-t.jobs:
			batch = append(batch, j)
			continue
		default:
		}
		if len(batch) >= last {
			return batch
		}
		if late == nil {
			late = time.After(gatherFor)
		}
		select {
		case j := <-t.jobs:
			batch = append(batch, j)
		case <-late:
			return batch
		}
	}
	return batch
}

// commit runs batch in one transaction and answers every job in it. When the
// transaction cannot be stored, all of them fail: a refusal too may rest on a
// write before it that is now void.
func (t *Table) commit(batch []*job) {
	outcome := make([]error, len(batch))
	if err := t.transact(batch, outcome); err != nil {
		for i := range outcome {
			outcome[i] = errNotWritten(err)
		}
	}
	for i, j := range batch {
		j.done <- outcome[i]
	}
}

// transact runs batch and commits. It sets outcome to what the jobs returned;
// its own error means that nothing was stored.
func (t *Table) transact(batch []*job, outcome []error) error {
	tx, err := t.db.Begin(true)
	if err != nil {
		return err
	}
	x := t.begin(tx)
	for i, j := range batch {
		outcome[i] = j.run(x)
	}
	if x.err != nil || !x.dirty {
		return errors.Join(x.err, tx.Rollback())
	}
	err = t.store(x)
	t.broken.Store(err != nil)
	if err != nil {
		t.readers.again()
		return errors.Join(err, ignoreClosed(tx.Rollback()))
	}
	t.committed(x)
	return nil
}

// store commits x, and with it what could wait for the next commit.
func (t *Table) store(x *txn) error {
	x.keep(t.readers.save(x.tx))
	x.trimLog(t.readers.acknowledged())
	if x.err != nil {
		return x.err
	}
	if t.opt.BeforeCommit != nil {
		if err := t.opt.BeforeCommit(); err != nil {
			return err
		}
	}
	return x.tx.Commit()
}

// committed tells the others what x has changed.
func (t *Table) committed(x *txn) {
	if x.logged > 0 {
		t.readers.arrive(x.logged, t.opt.Now())
		t.feed.ring()
	}
	if t.lag != nil {
		t.lag.add(x.deferred)
	}
}

func errNotWritten(cause error) error {
	return &problem.Problem{
		Kind: problem.Unavailable, Detail: "The data file cannot be written; nothing was changed",
		RetryAfter: time.Second, Err: cause,
	}
}

// ignoreClosed drops the error of rolling back what a failed commit has rolled
// back already.
func ignoreClosed(err error) error {
	if errors.Is(err, bolterrors.ErrTxClosed) {
		return nil
	}
	return err
}
