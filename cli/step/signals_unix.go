//go:build unix

package step

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"bldst/cli/step/proc"
)

// signals are those that end a step. One that is ignored, as by nohup, stays so.
type signals struct {
	c    chan syscall.Signal
	raw  chan os.Signal
	seen atomic.Int32
	end  func()
}

func listen() *signals {
	s := &signals{c: make(chan syscall.Signal, 4), raw: make(chan os.Signal, 4)}
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		if !signal.Ignored(sig) {
			signal.Notify(s.raw, sig)
		}
	}
	// Without somebody who listens, a broken pipe would end this process. It
	// must not be ignored: the command would inherit that.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	return s
}

// context returns ctx, which ends with the first signal.
func (s *signals) context(ctx context.Context) context.Context {
	ctx, s.end = context.WithCancel(ctx)
	go func() {
		for sig := range s.raw {
			n, _ := sig.(syscall.Signal)
			s.seen.CompareAndSwap(0, int32(n))
			s.end()
			select {
			case s.c <- n:
			default:
			}
		}
	}()
	return ctx
}

// first returns the first signal, 0 for none.
func (s *signals) first() syscall.Signal { return syscall.Signal(s.seen.Load()) }

func (s *signals) stop() {
	signal.Stop(s.raw)
	close(s.raw)
	s.end()
}

// name returns the name of a signal.
func name(sig syscall.Signal) string { return unix.SignalName(sig) }

// self names this process for good.
func self(state int) running {
	pid := os.Getpid()
	return running{State: state, PID: pid, Born: proc.Born(pid)}
}

// interruptGroup does what Ctrl-C would have done if the terminal had not been
// lent to the command: the script this step is a line of ends too.
func interruptGroup() { _ = unix.Kill(0, unix.SIGINT) }
