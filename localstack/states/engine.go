package states

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"bldst/localstack/clock"
)

// A job is one thing to do in a transaction of the file. What run returns
// reaches who submitted it once the transaction is on disk; when run returns
// an error it must have changed nothing.
type job struct {
	run  func(*txn) error
	done chan error
}

// maxBatch bounds how many jobs share a transaction, and so how long the first
// of them waits.
const maxBatch = 512

// maxDue bounds how many of them are deadlines, so that ten thousand that come
// at once leave room for those who ask.
const maxDue = 256

// pause is how long the engine rests when the file cannot be written.
const pause = 250 * time.Millisecond

// submit does run in the next transaction and returns its error once it is on
// disk, or ErrClosed.
func (e *Engine) submit(run func(*txn) error) error {
	e.begun(1)
	defer e.done(1)
	j := &job{run: run, done: make(chan error, 1)}
	select {
	case e.jobs <- j:
		return <-j.done
	case <-e.closing:
		return ErrClosed
	}
}

// loop does all that happens, one transaction after the other.
func (e *Engine) loop() {
	for !e.closed() {
		timer := e.park()
		var batch []*job
		select {
		case j := <-e.jobs:
			batch = append(batch, j)
		case <-timer.C():
		case <-e.closing:
		}
		timer.Stop()
		e.unpark()
		if !e.closed() || len(batch) > 0 {
			e.commit(e.gather(batch))
		}
	}
}

// never is further away than any deadline.
const never = 1000 * time.Hour

// park sets the one timer and says that the loop waits.
func (e *Engine) park() clock.Timer {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.timers.next()
	if next.IsZero() {
		next = e.opt.Clock.Now().Add(never)
	}
	timer := e.opt.Clock.At(next)
	e.parked = true
	e.quiet.Broadcast()
	return timer
}

func (e *Engine) unpark() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.parked = false
}

// gather adds what is due and every other job that waits.
func (e *Engine) gather(batch []*job) []*job {
	e.mu.Lock()
	due := e.timers.take(e.opt.Clock.Now(), maxDue)
	e.mu.Unlock()
	for _, n := range due {
		batch = append(batch, e.tickJob(n))
	}
	for len(batch) < maxBatch {
		select {
		case j := <-e.jobs:
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// tickJob lets time pass for an execution.
func (e *Engine) tickJob(n uint64) *job {
	return &job{run: func(x *txn) error {
		_, err := e.happen(x, n, tick{})
		return err
	}}
}

// commit runs batch in one transaction and answers every job in it. When the
// transaction cannot be stored, all of them fail and nothing has changed.
func (e *Engine) commit(batch []*job) {
	if len(batch) == 0 {
		return
	}
	outcome := make([]error, len(batch))
	err := e.transact(batch, outcome)
	e.broken.Store(err != nil)
	if err != nil {
		e.opt.Log.Error("state machines: the file cannot be written", "error", err)
		for i := range outcome {
			outcome[i] = fmt.Errorf("the file cannot be written: %w", err)
		}
		e.again()
		time.Sleep(pause)
	}
	for i, j := range batch {
		if j.done != nil {
			j.done <- outcome[i]
		} else if outcome[i] != nil {
			e.opt.Log.Error("state machines: an execution cannot go on", "error", outcome[i])
		}
	}
}

// transact runs batch and commits. It sets outcome to what the jobs returned;
// its own error means that nothing was stored.
func (e *Engine) transact(batch []*job, outcome []error) error {
	tx, err := e.disk.db.Begin(true)
	if err != nil {
		return err
	}
	x := e.disk.txn(tx)
	for i, j := range batch {
		outcome[i] = j.run(x)
	}
	if x.err == nil && e.opt.BeforeCommit != nil {
		x.err = e.opt.BeforeCommit()
	}
	if x.err != nil {
		return errors.Join(x.err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return errors.Join(err, ignoreClosed(tx.Rollback()))
	}
	for _, do := range x.then {
		do()
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, bolterrors.ErrTxClosed) {
		return nil
	}
	return err
}

// happen applies h to execution n in x. It returns the record after; a
// *Problem when h is refused.
func (e *Engine) happen(x *txn, n uint64, h happening) (*record, error) {
	r, err := x.record(n)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, problem("TaskDoesNotExist", "Task Does Not Exist: 'Provided task does not exist'")
	}
	return e.apply(x, r, h, r.Status)
}

// apply plays h on r and writes what comes of it; before is empty when r is new.
func (e *Engine) apply(x *txn, r *record, h happening, before string) (*record, error) {
	env := e.environment(e.opt.Clock.Now(), r.Machine)
	var t *turn
	if d, err := x.definition(r.Definition); err != nil {
		t = giveUp(*r, env, err)
	} else if t, err = play(d, *r, h, env); err != nil {
		return nil, err
	}
	x.save(t, before)
	told := 0
	if t.changed && e.opt.OnStatus != nil {
		x.tell(t)
		told = 1
	}
	x.then = append(x.then, func() { e.applied(t, told) })
	return &t.r, nil
}

// applied does what follows from a turn that is on disk.
func (e *Engine) applied(t *turn, told int) {
	e.mu.Lock()
	e.timers.set(t.r.key, t.r.next())
	e.busy += told
	if t.dispatch {
		e.busy++
	}
	e.mu.Unlock()
	if t.dispatch {
		e.dispatch.add(invocation{t.r.key, t.r.Attempt, t.r.Function, t.r.Payload})
	}
	if told > 0 {
		e.ring()
	}
}

// revive registers the machines, finds what was open when the file was last
// closed or its process killed, and goes on with it.
func (e *Engine) revive() error {
	if err := e.disk.db.Update(func(tx *bolt.Tx) error { return e.register(e.disk.txn(tx)) }); err != nil {
		return fmt.Errorf("register the state machines: %w", err)
	}
	return e.disk.view(func(x *txn) error {
		e.secret = append([]byte(nil), x.in("meta").Get([]byte("secret"))...)
		if left := x.in("outbox").Stats().KeyN; e.opt.OnStatus != nil && left > 0 {
			e.busy += left
			e.ring()
		}
		return e.resume(x)
	})
}

// register writes the machines' definitions and when they were changed.
func (e *Engine) register(x *txn) error {
	now := e.opt.Clock.Now()
	for arn, m := range e.machines {
		row, known := machineRow{Created: now}, false
		if raw := x.in("machines").Get([]byte(arn)); raw != nil {
			known = true
			if err := unmarshal(raw, &row); err != nil {
				return err
			}
		}
		if row.Hash != m.hash {
			row.Hash, row.Updated = m.hash, now
			if known {
				row.Revision = e.opt.NewID().String()
			}
			x.putJSON("machines", []byte(arn), row)
			x.put("definitions", []byte(m.hash), m.Definition)
		}
		m.about = row
		e.disk.parsed[m.hash] = m.definition
	}
	return x.err
}

// resume sets the timers of all open executions and repeats the invocations
// that had not returned.
func (e *Engine) resume(x *txn) error {
	return x.in("open").ForEach(func(key, entry []byte) error {
		n := binary.BigEndian.Uint64(key)
		if at := binary.BigEndian.Uint64(entry); at != 0 {
			e.timers.set(n, time.Unix(0, int64(at)).UTC())
		}
		if entry[8] == 0 {
			return nil
		}
		r, err := x.record(n)
		if err != nil || r == nil {
			return err
		}
		e.busy++
		e.dispatch.add(invocation{n, r.Attempt, r.Function, r.Payload})
		return nil
	})
}

// again sets all timers anew from the file, after a transaction that took them
// was lost.
func (e *Engine) again() {
	err := e.disk.view(func(x *txn) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		return x.in("open").ForEach(func(key, entry []byte) error {
			if at := binary.BigEndian.Uint64(entry); at != 0 {
				e.timers.set(binary.BigEndian.Uint64(key), time.Unix(0, int64(at)).UTC())
			}
			return nil
		})
	})
	if err != nil {
		e.opt.Log.Error("state machines: the file cannot be read", "error", err)
	}
}
