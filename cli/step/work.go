package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"bldst/cli/step/proc"
	"bldst/shared/client"
	"bldst/shared/failure"
	"bldst/shared/id"
	"bldst/shared/problem"
)

// An end is how the command has ended, and why.
type end struct {
	proc.Result
	why  string // "", or what ended it before its time
	sig  syscall.Signal
	text string // of a failure that the command did not see
}

// What ends a command before its time.
const (
	whySignal    = "signal"
	whyCancelled = "cancelled"
	whyTimeout   = "timeout"
	whyStale     = "stale"
	whyStart     = "start"   // it could not be started
	whyNothing   = "nothing" // it ended well and left nothing
)

// work runs the command, again when that may help, and tells how it went.
func (s *step) work(ctx context.Context, p *plan) (int, error) {
	environ, err := s.environ(ctx, p)
	if err != nil {
		return exitFailed, err
	}
	ctx = context.WithoutCancel(ctx)
	for try := 1; ; try++ {
		e := s.once(ctx, environ)
		class := s.class(e)
		if e.why == "" && e.Code == 0 {
			return s.succeed(ctx)
		}
		if try > s.Retries || class != string(failure.Transient) || e.why != "" {
			return s.fail(ctx, e, class)
		}
		wait := s.RetryWait << min(try-1, 5)
		s.Say("State %d failed (%s, %s); try %d of %d in %s.", s.State, s.says(e), class, try+1, s.Retries+1, wait)
		if !s.pause(wait) {
			return s.fail(ctx, end{Result: e.Result, why: whySignal, sig: s.sigs.first()}, string(failure.Transient))
		}
	}
}

// pause waits, and reports whether it was not interrupted.
func (s *step) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.sigs.c:
		return false
	}
}

// once runs the command and sees to it until it has ended.
func (s *step) once(ctx context.Context, environ []string) end {
	before := s.look()
	r, err := proc.Start(s.command(environ))
	if err != nil {
		code := 126
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			code = 127
		}
		fmt.Fprintf(s.Stderr, "bldst: %v\n", err)
		return end{Result: proc.Result{Code: code}, why: whyStart, text: err.Error()}
	}
	beats, stop := s.beat(ctx)
	e := s.attend(ctx, r, beats)
	stop()
	if s.Interactive && e.why == "" && (e.Signal == syscall.SIGINT || e.Code == 128+int(syscall.SIGINT)) {
		e.why, e.sig = whySignal, syscall.SIGINT // typed at the terminal, which was lent to the command
		defer interruptGroup()
	}
	if len(e.Left) > 0 && e.why == "" {
		s.Warn("state %d left processes behind, which were ended: %s", s.State, list(e.Left))
	}
	if e.why == "" && e.Code == 0 {
		if text := s.missing(before); text != "" {
			e.why, e.text = whyNothing, text
		}
	}
	return e
}

// command returns the command. Where nobody sits at a terminal its output goes
// through this process, which keeps its end for the report of a failure; a
// terminal is handed over as it is.
func (s *step) command(environ []string) proc.Command {
	c := proc.Command{Args: s.Args, Env: environ, Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Grace: s.Grace, Terminal: s.Interactive}
	if s.Log == nil && s.Terminal {
		return c
	}
	out := &copier{to: s.Stdout, tail: s.tail, also: s.Log}
	c.Out, c.Err = out, out
	if !sameFile(s.Stdout, s.Stderr) {
		c.Err = &copier{to: s.Stderr, tail: s.tail, also: s.Log}
	}
	return c
}

// attend waits for the command, and ends it when it must end.
func (s *step) attend(ctx context.Context, r *proc.Running, beats <-chan string) end {
	var e end
	var timeout <-chan time.Time
	if s.Timeout > 0 {
		t := time.NewTimer(s.Timeout)
		defer t.Stop()
		timeout = t.C
	}
	for {
		select {
		case <-r.Done():
			e.Result = r.Wait()
			return e
		case sig := <-s.sigs.c:
			if e.why != "" {
				r.End(syscall.SIGKILL)
				continue
			}
			e.why, e.sig = whySignal, sig
			s.spoolInterrupt(e)
			r.End(sig)
		case <-timeout:
			if e.why == "" {
				e.why, e.text = whyTimeout, fmt.Sprintf("it took longer than %s", s.Timeout)
				s.Warn("state %d takes longer than %s; it is ended", s.State, s.Timeout)
				r.End(syscall.SIGTERM)
			}
		case why := <-beats:
			if e.why == "" {
				e.why = why
				r.End(syscall.SIGTERM)
			}
		}
	}
}

// spoolInterrupt keeps the report of an interruption on disk before the command
// is waited for: this process may be killed before that has ended.
func (s *step) spoolInterrupt(e end) {
	if s.silent || s.stale != nil {
		return
	}
	s.interruptKey = id.New()
	data, err := json.Marshal(s.failure(e, string(failure.Transient)))
	if err == nil {
		err = s.keepItem(fmt.Sprintf("state %d interrupted", s.State), s.path("failure"), s.interruptKey, data)
	}
	if err != nil {
		s.Warn("that state %d was interrupted could not be kept: %v", s.State, err)
		s.interruptKey = ""
	}
}

// beat tells the API that the worker is alive until stop is called, and says
// on the channel when the command has to end.
func (s *step) beat(ctx context.Context) (<-chan string, func()) {
	why := make(chan string, 1)
	if s.Heartbeat <= 0 {
		return why, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(s.Heartbeat)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				if w := s.beatOnce(ctx); w != "" {
					why <- w
					return
				}
			}
		}
	}()
	return why, func() { cancel(); <-done }
}

// beatOnce sends one heartbeat and returns why the command has to end, if it
// has to. An API that is away is no reason.
func (s *step) beatOnce(ctx context.Context) string {
	body := s.report("")
	var answer struct {
		Cancel bool `json:"cancel_requested"`
	}
	err := s.call(ctx, http.MethodPost, s.path("heartbeat"), "", body, &answer)
	switch {
	case err == nil && answer.Cancel:
		s.Say("The build is to be cancelled; the command is ended.")
		return whyCancelled
	case problem.Is(err, problem.StaleAttempt), problem.Is(err, "leased"), problem.Is(err, problem.Refused):
		s.stop(err)
		return whyStale
	default:
		return ""
	}
}

// stop remembers that this worker was replaced: it has nothing more to tell.
func (s *step) stop(err error) {
	s.mu.Lock()
	s.stale = err
	s.mu.Unlock()
	s.Warn("%v; the command is ended, and nothing more is reported", short(err))
}

func list(ps []proc.Process) string {
	var out []string
	for i, p := range ps {
		if i == 8 {
			out = append(out, fmt.Sprintf("and %d more", len(ps)-i))
			break
		}
		out = append(out, fmt.Sprintf("%s (%d)", p.Name, p.PID))
	}
	return strings.Join(out, ", ")
}

// class returns the class of a failure.
func (s *step) class(e end) string {
	switch e.why {
	case whySignal:
		return string(failure.Transient)
	case whyTimeout:
		return string(failure.TimedOut)
	case whyNothing:
		return string(failure.NothingDone)
	}
	return s.classify(e)
}

// classify returns the class of how the command itself has ended.
func (s *step) classify(e end) string {
	class, _ := failure.Classify(failure.Signs{Tool: Tool(s.Args), Message: s.tail.text(), ExitCode: &e.Code})
	return string(class)
}

// says describes a failure in a few words.
func (s *step) says(e end) string {
	tool := Tool(s.Args)
	switch {
	case e.why == whySignal:
		return fmt.Sprintf("interrupted by %s", name(e.sig))
	case e.why == whyTimeout, e.why == whyNothing, e.why == whyStart:
		return e.text
	case e.Signal != 0:
		return fmt.Sprintf("%s was ended by %s", tool, name(e.Signal))
	default:
		return fmt.Sprintf("%s: exit code %d", tool, e.Code)
	}
}

// failure returns the body of the report of a failure.
func (s *step) failure(e end, class string) map[string]any {
	body := s.report("")
	text := mask(s.tail.text(), s.masked)
	message := s.says(e)
	if lines := last(text, messageSize); lines != "" {
		message += "\n" + lines
	}
	details := map[string]any{"command": mask(strings.Join(s.Args, " "), s.masked), "output": last(text, detailSize), "started_by": "bldst step"}
	if first := s.tail.firstError(); first != "" {
		details["first_error"] = mask(first, s.masked)
	}
	if s.Job.URL != "" {
		details["job_url"] = s.Job.URL
	}
	if len(e.Left) > 0 {
		details["left_behind"] = list(e.Left)
	}
	body["error_message"], body["component"], body["failure_class"], body["failure_type"] = message, clip(Tool(s.Args), 200), class, "step"
	body["error_details"] = details
	switch {
	case e.why == whySignal:
		body["failure_type"] = "interrupted"
	case e.why != whyTimeout && e.why != whyNothing:
		body["exit_code"] = e.Code
	}
	return body
}

func clip(text string, n int) string { return text[:min(len(text), n)] }

// fail tells that the command failed, and returns the exit code.
func (s *step) fail(ctx context.Context, e end, class string) (int, error) {
	defer s.forget()
	code := e.Code
	switch e.why {
	case whyTimeout:
		code = exitTimeout
	case whySignal:
		if code == 0 {
			code = 128 + int(e.sig)
		}
	case whyStale, whyNothing, whyCancelled:
		code = max(code, exitFailed)
	}
	if e.why != whyStart {
		s.Warn("state %d failed: %s (%s)", s.State, s.says(e), class)
	}
	switch {
	case e.why == whyStale, s.silent:
		return code, nil
	case e.why == whyCancelled:
		return code, s.cancelled(ctx)
	case e.why == whySignal && s.interruptKey != "": // it lies in the spool
		s.flush(ctx)
		return code, nil
	}
	err := s.tell(ctx, fmt.Sprintf("state %d failed", s.State), s.path("failure"), s.failure(e, class), nil)
	return code, s.unheard(err)
}

// unheard is what becomes of a report that was refused: the command has ended,
// and its exit code stands.
func (s *step) unheard(err error) error {
	var e *Exit
	if err == nil || errors.As(err, &e) {
		return err
	}
	s.Warn("the report of state %d was refused: %v", s.State, short(err))
	return nil
}

// cancelled tells that the worker has stopped, as it was asked to.
func (s *step) cancelled(ctx context.Context) error {
	body := s.report("cancelled")
	body["message"] = "Stopped, as asked."
	return s.unheard(s.tell(ctx, fmt.Sprintf("state %d cancelled", s.State), s.path("state"), body, nil))
}

// succeed saves what the command made and tells that the state is done.
func (s *step) succeed(ctx context.Context) (int, error) {
	if s.silent {
		s.forget(s.restored...)
		return 0, nil
	}
	saved, err := s.saveAll(ctx)
	if err != nil {
		e := end{why: whyNothing, text: err.Error()}
		e.Code = exitFailed
		return s.fail(ctx, e, s.saveClass(err))
	}
	body := s.report("completed")
	body["message"], body["fingerprint"] = s.title(), s.print
	err = s.tell(ctx, fmt.Sprintf("state %d completed", s.State), s.path("state"), body, nil)
	s.forget(append(saved, s.restored...)...)
	if err != nil {
		var ce *client.Error
		if errors.As(err, &ce) {
			return exitFailed, refuse("The command has run; what it did is not recorded.", "that state %d is completed was refused: %v", s.State, short(err))
		}
		return exitFailed, err
	}
	return 0, nil
}

// A place is what is known of a path before the command is run.
type place struct {
	info fs.FileInfo
}

// look remembers the paths the command must write.
func (s *step) look() map[string]place {
	out := map[string]place{}
	for _, path := range s.Produces {
		info, err := os.Lstat(path)
		if err == nil {
			out[path] = place{info}
		}
	}
	return out
}

// missing says which path the command should have written and has not. What was
// there before and was not touched is no proof that anything was done.
func (s *step) missing(before map[string]place) string {
	for _, path := range s.Produces {
		info, err := os.Lstat(path)
		was, had := before[path]
		switch {
		case err != nil:
			return fmt.Sprintf("the command ended with 0 but did not make %s", path)
		case had && info.Mode().IsRegular() && os.SameFile(was.info, info) && was.info.Size() == info.Size() && was.info.ModTime().Equal(info.ModTime()):
			return fmt.Sprintf("the command ended with 0 but did not write %s, which was there before (remove it first)", path)
		}
	}
	for _, sv := range s.Save {
		if sv.Path != "" && !exists(sv.Path) {
			return fmt.Sprintf("the command ended with 0 but did not make %s", sv.Path)
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
