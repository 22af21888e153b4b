//go:build !unix

package step

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signals are those that end a step: here only Ctrl-C.
type signals struct {
	c   chan syscall.Signal
	raw chan os.Signal
	end func()
	got syscall.Signal
}

func listen() *signals {
	s := &signals{c: make(chan syscall.Signal, 4), raw: make(chan os.Signal, 4)}
	signal.Notify(s.raw, os.Interrupt)
	return s
}

func (s *signals) context(ctx context.Context) context.Context {
	ctx, s.end = context.WithCancel(ctx)
	go func() {
		for range s.raw {
			s.got = syscall.SIGINT
			s.end()
			s.c <- syscall.SIGINT
		}
	}()
	return ctx
}

func (s *signals) first() syscall.Signal { return s.got }

func (s *signals) stop() {
	signal.Stop(s.raw)
	close(s.raw)
	s.end()
}

func name(sig syscall.Signal) string { return sig.String() }

func self(state int) running { return running{State: state, PID: os.Getpid(), Born: "alive"} }

func interruptGroup() {}
