//go:build !unix

package proc

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A Running is a command that was started.
type Running struct {
	cmd  *exec.Cmd
	done chan struct{}
	res  Result
}

// Start starts c. What it leaves behind is not known here.
func Start(c Command) (*Running, error) {
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, c.Stdin, c.Stdout, c.Stderr
	if c.Out != nil {
		cmd.Stdout = c.Out
	}
	if c.Err != nil {
		cmd.Stderr = c.Err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &Running{cmd: cmd, done: make(chan struct{})}
	go func() {
		err := cmd.Wait()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			r.res.Code = exit.ExitCode()
		case err != nil:
			r.res.Code = 1
		}
		close(r.done)
	}()
	return r, nil
}

// PID returns the process id of the command.
func (r *Running) PID() int { return r.cmd.Process.Pid }

// Signal ends the command: there are no signals here.
func (r *Running) Signal(syscall.Signal) { _ = r.cmd.Process.Kill() }

// End ends the command.
func (r *Running) End(syscall.Signal) { _ = r.cmd.Process.Kill() }

// Done is closed when the command has ended.
func (r *Running) Done() <-chan struct{} { return r.done }

// Wait waits for Done and returns how the command has ended.
func (r *Running) Wait() Result {
	<-r.done
	return r.res
}

// Born reports whether there is such a process.
func Born(pid int) string {
	if _, err := os.FindProcess(pid); err != nil {
		return ""
	}
	return "alive"
}

// Marked cannot be told here.
func Marked(string) []Process { return nil }

// EndMarked ends nothing here.
func EndMarked(string, time.Duration) []Process { return nil }
