// Package proc runs one command and is answerable for everything that comes of
// it. The command gets a process group of its own; signals go to the whole
// group. When it has ended, whatever it has left behind is ended too, also what
// has a group or a session of its own (on Linux, where this process adopts
// orphans). Nothing else is ever signalled.
//
// A process can run one command at a time, since the orphans of two could not be
// told apart: who wants several starts a process for each.
package proc

import (
	"io"
	"os"
	"syscall"
	"time"
)

// A Command is what to run.
type Command struct {
	Args []string
	Env  []string
	Dir  string // "" is where this process is

	// The streams of the command. A file is handed over as it is, so a terminal
	// stays a terminal; Out and Err, when they are set, are written to through a
	// pipe instead, which is one pipe for both when they are the same.
	Stdin, Stdout, Stderr *os.File
	Out, Err              io.Writer

	// Grace is how long what is asked to end may take before it is killed.
	Grace time.Duration
	// Terminal: the command gets the terminal of this process as its own, so
	// that it can read from it. Only when Stdin is a terminal.
	Terminal bool
}

// A Result is how a command has ended.
type Result struct {
	Code   int            // its exit code; 128 + n for signal n
	Signal syscall.Signal // that ended it, 0 for none
	Left   []Process      // what it had left behind, ended since
}

// A Process is one of those that were left behind.
type Process struct {
	PID  int
	Name string
}

// Marker is the variable in the environment of a command and everything it
// starts by which they are found again when the process that answered for them
// was killed.
const Marker = "BLDST_STEP_RUN"
