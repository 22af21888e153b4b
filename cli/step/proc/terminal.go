//go:build unix

package proc

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// A terminal is lent to the command: it is the one that reads from it and gets
// what is typed, Ctrl-C too.
type terminal struct {
	fd    int
	group int // to give it back to
}

// takeTerminal returns the terminal to lend, nil when there is none or this
// process does not have it itself.
func (r *Running) takeTerminal() *terminal {
	if !r.c.Terminal || r.c.Stdin == nil {
		return nil
	}
	fd := int(r.c.Stdin.Fd())
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil || group != unix.Getpgrp() {
		return nil
	}
	return &terminal{fd: fd, group: group}
}

// back makes this process the one that has the terminal again.
func (t *terminal) back() {
	if t == nil {
		return
	}
	t.give(t.group)
}

// give hands the terminal to a group. Who is in the background is stopped for
// that, unless it ignores the signal.
func (t *terminal) give(group int) {
	signal.Ignore(unix.SIGTTOU)
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group)
	signal.Reset(unix.SIGTTOU)
}

// stopped does for this process what Ctrl-Z did to the command, and lets both
// go on when this one is continued.
func (t *terminal) stopped(group int) {
	if t == nil {
		return
	}
	t.back()
	cont := make(chan os.Signal, 1)
	signal.Notify(cont, unix.SIGCONT)
	_ = unix.Kill(0, unix.SIGTSTP) // the whole job, as the terminal does
	go func() {
		<-cont
		signal.Stop(cont)
		t.give(group)
		_ = unix.Kill(-group, unix.SIGCONT)
	}()
}
