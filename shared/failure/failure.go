// Package failure says what kind of failure it was, from what the failed tool
// left behind: its name, its exit code and its output. The kind decides whether
// a build is resumed by itself. The package imports nothing but the standard
// library and does no work when a program starts, so that the command line and
// every function can link it.
package failure

import "strings"

// A Class says what kind of failure it is, which decides what happens next.
type Class string

// The classes. Transient failures go away by themselves, quota ones later,
// persistent ones only when a person changes something.
const (
	Transient  Class = "transient"
	Persistent Class = "persistent"
	Quota      Class = "quota"
	Stalled    Class = "stalled"   // the worker went silent
	TimedOut   Class = "timed_out" // it took longer than its limit
	Aborted    Class = "aborted"   // what drove the build was stopped or died
	// NothingDone: the command ended well and left nothing of what it is there
	// for.
	NothingDone Class = "nothing_done"
	Unknown     Class = "unknown"
)

// Classes lists every class.
var Classes = []Class{Transient, Persistent, Quota, Stalled, TimedOut, Aborted, NothingDone, Unknown}

// Interrupted is the reason of a Transient failure whose work was cut off from
// outside: by a signal, or because its machine was taken away.
const Interrupted = "interrupted"

// Signs are what a failure says of itself. None is needed.
type Signs struct {
	Class     Class  // given by the caller: counts before everything else
	Retryable *bool  // given by the caller: counts before what is derived
	Tool      string // the program that failed: packer, ansible-playbook, /usr/bin/ssh; "" when unknown
	Code      string // an error code, such as InsufficientInstanceCapacity
	Type      string // a kind the caller gave it, such as network_error
	ExitCode  *int   // of the tool
	Message   string // what it said: a sentence, or the output of hours
}

// Classify returns the class of a failure and the reason in a few words. What
// the caller says counts first, then an error code, then what the tool says by
// its exit code and its summary, then words in its output. Among words the end
// of the output, its beginning and the first line that is an error count more
// than the rest. A text nobody knows is Unknown. It never fails, and takes a few
// milliseconds for 64 KiB.
func Classify(s Signs) (Class, string) {
	switch {
	case s.Class != "":
		return s.Class, "given by the caller"
	case s.Retryable != nil && *s.Retryable:
		return Transient, "called retryable by the caller"
	case s.Retryable != nil:
		return Persistent, "called not retryable by the caller"
	}
	for _, code := range []string{s.Code, s.Type} {
		if v := ofCode(code); v.Class != "" {
			return v.Class, v.Reason
		}
	}
	t := read(s.Message)
	if v := ofTool(s, t); v.Class != "" {
		return v.Class, v.Reason
	}
	if v := t.verdict(ofExit(s.Tool, s.ExitCode)); v.Class != "" {
		return v.Class, v.Reason
	}
	return Unknown, "nothing in it is known"
}

// A verdict is a class with its reason. The zero verdict says nothing.
type verdict struct {
	Class  Class
	Reason string
	weight int
}

// ofCode returns what an error code or a kind says.
func ofCode(code string) verdict {
	if code == "" {
		return verdict{}
	}
	line := strings.ToLower(code)
	if v := strongest(line, codes()); v.Class != "" {
		return v
	}
	return strongest(line, rules())
}
