package states

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Errors that the language defines and this interpreter raises or matches.
const (
	errorAll        = "States.ALL"
	errorTimeout    = "States.Timeout"
	errorHeartbeat  = "States.HeartbeatTimeout"
	errorTaskFailed = "States.TaskFailed"
	errorRuntime    = "States.Runtime"
	errorNoChoice   = "States.NoChoiceMatched"
	errorDataLimit  = "States.DataLimitExceeded"
	errorResultPath = "States.ResultPathMatchFailure"
)

// predefinedErrors are the names in States. that ErrorEquals may hold; a text
// says why it may not after all.
var predefinedErrors = map[string]string{
	errorAll: "", errorTimeout: "", errorHeartbeat: "", errorTaskFailed: "", errorDataLimit: "", errorResultPath: "",
	"States.Permissions":          "",
	"States.ParameterPathFailure": "",
	"States.IntrinsicFailure":     "",
	errorNoChoice:                 "ends the execution; a Choice state catches nothing, give it a Default",
	errorRuntime:                  "ends the execution; it can be neither retried nor caught",
}

// A failure is an error of a state.
type failure struct {
	name, cause string
}

func runtimeFailure(format string, args ...any) *failure {
	return &failure{errorRuntime, fmt.Sprintf(format, args...)}
}

// output is what a catcher hands on.
func (f *failure) output() value { return object{"Error": f.name, "Cause": f.cause} }

// matches reports whether ErrorEquals with these names means an error. As AWS
// documents: States.Timeout includes a missed heartbeat; States.TaskFailed is
// any error but a timeout; neither it nor States.ALL includes the terminal
// ones, States.Runtime and States.DataLimitExceeded; only the latter can be
// named.
func matches(names []string, failed string) bool {
	if failed == errorRuntime {
		return false
	}
	if slices.Contains(names, failed) {
		return true
	}
	terminal, heartbeat := failed == errorDataLimit, failed == errorHeartbeat
	return slices.Contains(names, errorAll) && !terminal ||
		slices.Contains(names, errorTimeout) && heartbeat ||
		slices.Contains(names, errorTaskFailed) && !terminal && !heartbeat && failed != errorTimeout
}

// A wording is an error in the very words of AWS.
type wording string

func (w wording) Error() string { return string(w) }

func words(format string, args ...any) error { return wording(fmt.Sprintf(format, args...)) }

// A retrier is one entry of Retry.
type retrier struct {
	errors   []string
	interval int64 // seconds before the first retry
	attempts int
	rate     float64
	longest  int64 // most seconds, 0 for no limit
	jitter   bool
}

// delay returns how long to wait before retry n, from 1. With jitter it is
// anything up to that, as random (0 to 1) says.
func (r retrier) delay(n int, random func() float64) time.Duration {
	seconds := float64(r.interval) * math.Pow(r.rate, float64(n-1))
	if r.longest > 0 {
		seconds = min(seconds, float64(r.longest))
	}
	seconds = min(seconds, longestSeconds)
	if r.jitter {
		seconds *= random()
	}
	return time.Duration(seconds * float64(time.Second))
}

// A catcher is one entry of Catch.
type catcher struct {
	errors []string
	next   string
	result selection
}
