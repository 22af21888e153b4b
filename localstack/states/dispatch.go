package states

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// An invocation is a Lambda to invoke for an attempt of a task.
type invocation struct {
	execution uint64
	attempt   int64
	function  string
	payload   []byte
}

// A dispatcher hands invocations to a fixed number of workers, in order. Its
// queue has no bound: what is in it is an open execution anyway.
type dispatcher struct {
	e      *Engine
	mu     sync.Mutex
	more   *sync.Cond
	queue  []invocation
	closed bool
}

func newDispatcher(e *Engine) *dispatcher {
	d := &dispatcher{e: e}
	d.more = sync.NewCond(&d.mu)
	return d
}

func (d *dispatcher) add(i invocation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, i)
	d.more.Signal()
}

func (d *dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.more.Broadcast()
}

// take waits for the next invocation; false when the engine is being closed.
func (d *dispatcher) take() (invocation, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.queue) == 0 && !d.closed {
		d.more.Wait()
	}
	if d.closed {
		return invocation{}, false
	}
	i := d.queue[0]
	d.queue[0] = invocation{}
	d.queue = d.queue[1:]
	return i, true
}

// work invokes until the engine is closed. What the engine cannot write down
// it tries again: the invocation has been made and must not be lost.
func (d *dispatcher) work() {
	for {
		i, ok := d.take()
		if !ok {
			return
		}
		h := invoked{attempt: i.attempt}
		h.payload, h.err = d.invoke(d.e.ctx, i.function, i.payload)
		for d.e.ctx.Err() == nil {
			err := d.e.submit(func(x *txn) error {
				_, err := d.e.happen(x, i.execution, h)
				return err
			})
			if err == nil || errors.As(err, new(*Problem)) || errors.Is(err, ErrClosed) {
				break
			}
			d.e.opt.Log.Error("state machines: the end of an invocation is not written yet", "function", i.function, "error", err)
			time.Sleep(pause)
		}
		d.e.done(1)
	}
}

// invoke calls the Invoker; one that panics is an error of the function.
func (d *dispatcher) invoke(ctx context.Context, function string, payload []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &FunctionError{Message: fmt.Sprintf("panic: %v", p)}
		}
	}()
	return d.e.opt.Invoker.Invoke(ctx, function, payload)
}
