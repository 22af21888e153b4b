package states

import (
	"fmt"
	"maps"
	"time"
)

// A definition is a state machine that has been read and checked; it is never
// changed afterwards.
type definition struct {
	startAt string
	timeout int64 // seconds an execution may take, 0 for no limit
	states  map[string]*state
	alone   bool // one state under test; the next one is not entered
}

// A state is one state; which fields are set follows from kind.
type state struct {
	name, kind string
	next       string // empty at the end
	input      selection
	output     selection
	result     selection // ResultPath
	parameters *template
	selector   *template // ResultSelector

	fixed    value // Result of a Pass
	hasFixed bool

	resource  string // Task
	callback  bool
	timeout   *duration
	heartbeat *duration
	retry     []retrier
	catch     []catcher

	wait  *duration // Wait, one of the three
	until *time.Time
	at    *path

	rules     []rule // Choice
	otherwise string

	failure, cause *expression // Fail
}

// A selection is a path that may also be null.
type selection struct {
	path path
	null bool
}

// A duration is a number of seconds, or where to find it.
type duration struct {
	seconds int64
	path    *path
}

// kinds of states, and the word their history events begin with.
const (
	kindTask    = "Task"
	kindPass    = "Pass"
	kindChoice  = "Choice"
	kindWait    = "Wait"
	kindSucceed = "Succeed"
	kindFail    = "Fail"
)

// targets returns the states s can go to, by the field that says so.
func (s *state) targets() map[string]string {
	found := map[string]string{"Next": s.next, "Default": s.otherwise}
	for i, c := range s.catch {
		found[fmt.Sprintf("Catch[%d].Next", i)] = c.next
	}
	for i, r := range s.rules {
		found[fmt.Sprintf("Choices[%d].Next", i)] = r.next
	}
	maps.DeleteFunc(found, func(_, to string) bool { return to == "" })
	return found
}

// longestSeconds is the longest time a definition can name.
const longestSeconds = 99999999
