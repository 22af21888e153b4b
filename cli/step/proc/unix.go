//go:build unix

package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Running is a command that was started.
type Running struct {
	c    Command
	pid  int
	done chan struct{} // closed when the command has ended, and all that it left
	ask  chan request
	out  *outputs
	res  Result
}

// A request ends the command before its time.
type request struct {
	sig   syscall.Signal
	grace time.Duration
}

// Start starts c. An error says that nothing was started.
func Start(c Command) (*Running, error) {
	path, err := exec.LookPath(c.Args[0])
	if err != nil {
		return nil, err
	}
	out, err := c.pipes()
	if err != nil {
		return nil, err
	}
	r := &Running{c: c, done: make(chan struct{}), ask: make(chan request, 8), out: out}
	started := make(chan error)
	go r.supervise(path, started)
	if err := <-started; err != nil {
		out.abandon()
		return nil, err
	}
	return r, nil
}

// PID returns the process id of the command, which is also that of its group.
func (r *Running) PID() int { return r.pid }

// Signal sends sig to the group of the command.
func (r *Running) Signal(sig syscall.Signal) { r.send(request{sig: sig}) }

// End sends sig to everything of the command, and kills what is still there
// after the grace.
func (r *Running) End(sig syscall.Signal) {
	r.send(request{sig: sig, grace: max(r.c.Grace, time.Millisecond)})
}

func (r *Running) send(q request) {
	select {
	case r.ask <- q:
	case <-r.done:
	}
}

// Done is closed when the command and all it left behind have ended.
func (r *Running) Done() <-chan struct{} { return r.done }

// Wait waits for Done and returns how the command has ended.
func (r *Running) Wait() Result {
	<-r.done
	return r.res
}

// supervise starts the command and waits for it on one thread: the signal that
// the command gets when this process dies is bound to the thread.
func (r *Running) supervise(path string, started chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	child := make(chan os.Signal, 1)
	signal.Notify(child, unix.SIGCHLD)
	defer signal.Stop(child)
	adopt()
	terminal := r.takeTerminal()
	attr := &os.ProcAttr{Dir: r.c.Dir, Env: r.c.Env, Files: r.out.files, Sys: r.attributes(terminal)}
	p, err := os.StartProcess(path, r.c.Args, attr)
	if errors.Is(err, unix.ENOEXEC) { // a script without its first line, which shells run, and so does execvp(3)
		p, err = os.StartProcess("/bin/sh", append([]string{"sh", path}, r.c.Args[1:]...), attr)
	}
	r.out.started()
	if err != nil {
		terminal.back()
		started <- &os.PathError{Op: "run", Path: path, Err: cause(err)}
		return
	}
	r.pid = p.Pid
	_ = p.Release() // it is waited for here, with whatever is adopted
	started <- nil
	r.wait(child, terminal)
	terminal.back()
	r.out.finish()
	close(r.done)
}

func cause(err error) error {
	if pe, ok := err.(*os.PathError); ok {
		return pe.Err
	}
	return err
}

// wait reaps until nothing of the command is left.
func (r *Running) wait(child <-chan os.Signal, terminal *terminal) {
	w := &waiting{r: r, terminal: terminal}
	for !w.reap() {
		select {
		case <-child:
		case q := <-r.ask:
			w.request(q)
		case <-w.kill:
			w.hard = true
			w.all(unix.SIGKILL)
		case <-w.again:
			w.look()
		}
	}
	if w.timer != nil {
		w.timer.Stop()
	}
}

// waiting is what is known while a command is waited for.
type waiting struct {
	r        *Running
	terminal *terminal
	ended    bool             // the command itself
	hard     bool             // the grace is over
	kill     <-chan time.Time // when it is
	again    <-chan time.Time // when to look for what was started meanwhile
	timer    *time.Timer
}

// reap takes note of every process that has ended and reports whether none is
// left.
func (w *waiting) reap() (nothing bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err != nil: // ECHILD
			w.finish(0, false)
			return true
		case pid == 0:
			return w.rest()
		case pid == w.r.pid && status.Stopped():
			w.terminal.stopped(w.r.pid)
		case pid == w.r.pid && !status.Stopped():
			w.finish(status, true)
		}
	}
}

// finish takes note of how the command itself has ended, once.
func (w *waiting) finish(status unix.WaitStatus, known bool) {
	if w.ended {
		return
	}
	w.ended = true
	w.terminal.back()
	switch {
	case known && status.Signaled():
		w.r.res.Signal = status.Signal()
		w.r.res.Code = 128 + int(status.Signal())
	case known:
		w.r.res.Code = status.ExitStatus()
	default:
		w.r.res.Code = 1
	}
}

// rest ends what the command has left behind, and reports whether there is
// nothing of it.
func (w *waiting) rest() bool {
	if !w.ended {
		return false
	}
	if w.r.res.Left == nil {
		w.r.res.Left = descendants(w.r.pid)
		if len(w.r.res.Left) == 0 {
			return !adopts // without adoption only the group is known
		}
		w.all(unix.SIGTERM)
		w.limit(w.r.c.Grace)
	}
	if !adopts {
		return len(descendants(w.r.pid)) == 0
	}
	return false
}

func (w *waiting) request(q request) {
	if q.grace == 0 {
		_ = unix.Kill(-w.r.pid, q.sig)
		return
	}
	w.all(q.sig)
	if q.sig == unix.SIGKILL {
		w.hard = true
	}
	w.limit(q.grace)
}

// limit sets until when everything must have ended.
func (w *waiting) limit(grace time.Duration) {
	if w.kill != nil {
		return
	}
	w.timer = time.NewTimer(grace)
	w.kill = w.timer.C
	w.again = time.After(20 * time.Millisecond)
}

// look kills what was started after the grace was over.
func (w *waiting) look() {
	if w.hard {
		w.all(unix.SIGKILL)
	}
	w.again = time.After(20 * time.Millisecond)
}

// all sends sig to the group and to every descendant outside it.
func (w *waiting) all(sig syscall.Signal) {
	if !w.ended || sig == unix.SIGKILL {
		_ = unix.Kill(-w.r.pid, sig)
	}
	for _, p := range descendants(w.r.pid) {
		if group, err := unix.Getpgid(p.PID); w.ended || err != nil || group != w.r.pid {
			_ = unix.Kill(p.PID, sig)
			_ = unix.Kill(p.PID, unix.SIGCONT)
		}
	}
	_ = unix.Kill(-w.r.pid, unix.SIGCONT) // who is stopped cannot end
}

// outputs are the files of the command and what copies from its pipes.
type outputs struct {
	files  []*os.File
	inner  []*os.File // to be closed once the command has them
	copied sync.WaitGroup
	read   []*os.File
}

// pipes returns the files the command is started with.
func (c *Command) pipes() (*outputs, error) {
	o := &outputs{files: []*os.File{c.Stdin, c.Stdout, c.Stderr}}
	for i, w := range []io.Writer{c.Out, c.Err} {
		if w == nil {
			continue
		}
		if i == 1 && c.Out == c.Err {
			o.files[2] = o.files[1]
			continue
		}
		r, pipe, err := os.Pipe()
		if err != nil {
			o.abandon()
			return nil, fmt.Errorf("make a pipe: %w", err)
		}
		o.files[i+1] = pipe
		o.inner = append(o.inner, pipe)
		o.read = append(o.read, r)
		o.copied.Add(1)
		go func() {
			defer o.copied.Done()
			_, _ = io.Copy(w, r)
		}()
	}
	return o, nil
}

func (o *outputs) started() {
	for _, f := range o.inner {
		_ = f.Close()
	}
}

func (o *outputs) abandon() {
	o.started()
	o.finish()
}

// finish waits for the last of the output. Nobody of the command is left to
// hold a pipe open; a process that was handed one over a socket is not waited
// for.
func (o *outputs) finish() {
	all := make(chan struct{})
	go func() { o.copied.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(2 * time.Second):
	}
	for _, f := range o.read {
		_ = f.Close()
	}
	<-all
}

// EndMarked ends the processes that have run in their environment, which a
// process that was killed has left behind, and returns them.
func EndMarked(run string, grace time.Duration) []Process {
	found := Marked(run)
	for _, p := range found {
		_ = unix.Kill(p.PID, unix.SIGTERM)
	}
	for left, until := found, time.Now().Add(grace); len(left) > 0; {
		time.Sleep(10 * time.Millisecond)
		if left = Marked(run); time.Now().After(until) {
			for _, p := range left {
				_ = unix.Kill(p.PID, unix.SIGKILL)
			}
		}
	}
	return found
}
