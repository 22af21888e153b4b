package build

import (
	"regexp"
	"strings"
)

// A Class says what kind of failure it is, which decides what happens next.
type Class string

// The classes. Transient failures go away by themselves, quota ones later,
// persistent ones only when a person changes something.
const (
	Transient  Class = "transient"
	Persistent Class = "persistent"
	Quota      Class = "quota"
	Stalled    Class = "stalled"   // the worker went silent
	TimedOut   Class = "timed_out" // the state took longer than its limit
	Aborted    Class = "aborted"   // what drove the build was stopped or died
	// NothingDone: the command ended well and left nothing of what it is there
	// for.
	NothingDone Class = "nothing_done"
	Unknown     Class = "unknown"
)

// Classes lists every class.
var Classes = []Class{Transient, Persistent, Quota, Stalled, TimedOut, Aborted, NothingDone, Unknown}

// Signs are what a failure says of itself.
type Signs struct {
	Class     Class // given by the caller
	Retryable *bool // given by the caller
	Code      string
	Type      string
	Message   string
	ExitCode  *int
}

// patterns is the documented table that derives a class from what a failure
// says: the first line that matches the code, the type or the message decides.
// Sources: the error codes of the EC2, Azure Resource Manager and Compute
// Engine APIs and the messages of Packer, Ansible, apt, dnf and ssh.
var patterns = []struct {
	class Class
	what  string
	match *regexp.Regexp
}{
	{Transient, "throttling", words_(`throttl\w*`, `rate ?(limit ?)?exceeded`, `requestlimitexceeded`, `too many requests`, `slow ?down`, `\b429\b`, `toomanyrequests`)},
	{Quota, "quota or limit of the account", words_(`quota`, `limit ?exceeded`, `vcpulimitexceeded`, `instancelimitexceeded`, `addresslimitexceeded`, `maximum number of`, `skunotavailable`, `overconstrained`)},
	{Transient, "capacity", words_(`insufficient\w*capacity`, `insufficient capacity`, `zone_resource_pool_exhausted`, `allocationfailed`, `zonalallocationfailed`, `stockout`, `out of capacity`)},
	{Transient, "spot or preemption", words_(`spot (instance )?(interruption|termination)`, `spotinstance\w*`, `preempt\w*`, `evicted`, `server\.spotinstancetermination`)},
	{Transient, "runner lost", words_(`runner (has )?(lost|received a shutdown)`, `agent (was )?lost`, `lost communication`, `node (was )?lost`, `worker (disappeared|lost)`)},
	{Persistent, "authorization", words_(`access ?denied`, `unauthorized\w*`, `forbidden`, `permission denied`, `invalid ?credentials`, `authfailure`, `expiredtoken`, `authorizationfailed`, `\b401\b`, `\b403\b`)},
	{Persistent, "disk full", words_(`no space left`, `disk full`, `enospc`, `not enough (disk )?space`)},
	{Persistent, "tests", words_(`tests? failed`, `failing tests?`, `assertion`, `test_failure`, `validation_error`, `inspec`, `goss`)},
	{Persistent, "dependency or configuration", words_(`no such file`, `not found`, `missing`, `unable to locate package`, `no match for argument`, `syntax error`, `invalid (parameter|argument|configuration|template)`, `undefined variable`, `needs? \d+ ?gb`)},
	{Transient, "network", words_(`network\w*`, `connection (refused|reset|timed out|closed)`, `timed? ?out`, `timeout`, `econnreset`, `etimedout`, `temporary failure`, `could not resolve`, `name resolution`, `unreachable`, `tls handshake`, `broken pipe`, `\b50[234]\b`, `service unavailable`, `eof`)},
}

func words_(alternatives ...string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(` + strings.Join(alternatives, "|") + `)`)
}

// exitCodes are the exit codes whose meaning is agreed.
var exitCodes = map[int]Class{
	124: Transient,  // timeout(1)
	126: Persistent, // cannot be executed
	127: Persistent, // command not found
	137: Transient,  // SIGKILL: out of memory or the runner taken away
	143: Transient,  // SIGTERM
	255: Transient,  // ssh: connection lost
}

// ClassOf returns the class of a failure: what the caller says, else whether
// it calls it retryable, else what the table makes of code, type and message,
// else what the exit code means.
func ClassOf(s Signs) Class {
	switch {
	case s.Class != "":
		return s.Class
	case s.Retryable != nil && *s.Retryable:
		return Transient
	case s.Retryable != nil:
		return Persistent
	}
	for _, text := range []string{s.Code, s.Type, s.Message} {
		for _, p := range patterns {
			if text != "" && p.match.MatchString(text) {
				return p.class
			}
		}
	}
	if s.ExitCode != nil {
		if c, ok := exitCodes[*s.ExitCode]; ok {
			return c
		}
	}
	return Unknown
}
