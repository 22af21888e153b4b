// Package streams holds what a command reads from and writes to, as one value,
// so that a test can replace all of it. No command touches os.Stdout.
package streams

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Streams are the standard streams of a command.
type Streams struct {
	In  io.Reader
	Out io.Writer // the result, nothing else
	Err io.Writer // everything said to a person

	InTTY  bool // a person can be asked
	OutTTY bool // a person reads: align tables

	Width func() int // of the terminal Out is, 0 if it is none; nil: not known

	// Hidden reads a line from the terminal without showing it; Restore makes
	// the terminal show what is typed again when that was broken off.
	Hidden  func() (string, error)
	Restore func()

	in *bufio.Reader
}

// System returns the streams of this process.
func System() *Streams {
	stdin := int(os.Stdin.Fd())
	state, err := term.GetState(stdin)
	return &Streams{
		In:     os.Stdin,
		Out:    os.Stdout,
		Err:    os.Stderr,
		InTTY:  term.IsTerminal(stdin),
		OutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		Width: func() int {
			w, _, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				return 0
			}
			return w
		},
		Hidden: func() (string, error) {
			b, err := term.ReadPassword(stdin)
			return string(b), err
		},
		Restore: func() {
			if err == nil {
				_ = term.Restore(stdin, state)
			}
		},
	}
}

// Test returns streams for a test: in is what can be read; no terminal.
func Test(in string) (s *Streams, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	s = &Streams{In: strings.NewReader(in), Out: out, Err: err, Restore: func() {}}
	s.Hidden = s.Line
	return s, out, err
}

// Line reads one line from In, without its end.
func (s *Streams) Line() (string, error) {
	if s.in == nil {
		s.in = bufio.NewReader(s.In)
	}
	line, err := s.in.ReadString('\n')
	if errors.Is(err, io.EOF) && line != "" {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}

// Ask prompts for a line on Err and reads it, until ctx ends.
func (s *Streams) Ask(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(s.Err, prompt)
	return s.await(ctx, s.Line)
}

// AskHidden prompts for a line on Err and reads it without showing it, until
// ctx ends.
func (s *Streams) AskHidden(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(s.Err, prompt)
	line, err := s.await(ctx, s.Hidden)
	fmt.Fprintln(s.Err)
	return line, err
}

// await reads, but does not keep the user from interrupting.
func (s *Streams) await(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		line string
		err  error
	}
	done := make(chan result, 1) // buffered: nobody may be there to receive
	go func() {
		line, err := read()
		done <- result{line, err}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-ctx.Done():
		s.Restore()
		return "", ctx.Err()
	}
}
