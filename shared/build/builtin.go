package build

import (
	"slices"
	"strings"
	"time"

	"bldst/shared/problem"
)

// builtin are the names of states that every project knows.
var builtin = []struct {
	name string
	code int
}{
	{"pending", 0}, {"preparation", 5}, {"validation", 10}, {"provisioning", 20}, {"building", 25},
	{"installing", 30}, {"configuring", 50}, {"testing", 80}, {"finalizing", 95}, {"completed", 100},
}

// BuiltinCode returns the state with that name, in any case; false when it is
// none of the built-in ones.
func BuiltinCode(name string) (Code, bool) {
	for _, b := range builtin {
		if strings.EqualFold(b.name, name) {
			return Code{Number: b.code, Final: b.code == LastState}, true
		}
	}
	return Code{}, false
}

// UnknownState returns the problem of a name that is neither among known, the
// names the project defines, nor built in.
func UnknownState(name string, known []string) error {
	all := slices.Clone(known)
	for _, b := range builtin {
		if !slices.ContainsFunc(all, func(k string) bool { return strings.EqualFold(k, b.name) }) {
			all = append(all, b.name)
		}
	}
	return problem.BadField("state_name", "unknown_state", "No state is called '%s'; known ones are %s", name, strings.Join(all, ", "))
}

// DefaultHeartbeat is how long a worker may be silent when its project says
// nothing else.
const DefaultHeartbeat = 10 * time.Minute

// limits are how long states may take when the project says nothing else: four
// times the longest time the documentation calls typical, at least two hours.
// A pending build may wait a day for a runner.
var limits = map[int]time.Duration{0: 24 * time.Hour, 60: 3 * time.Hour}

// DefaultLimit returns how long the state may take when its project says
// nothing else.
func DefaultLimit(code int) time.Duration {
	if d, ok := limits[code]; ok {
		return d
	}
	return 2 * time.Hour
}

// Builtin are the rules of a project that defines nothing.
type Builtin struct{}

var _ Rules = Builtin{}

// Code implements Rules.
func (Builtin) Code(name string) (Code, error) {
	if c, ok := BuiltinCode(name); ok {
		return c, nil
	}
	return Code{}, UnknownState(name, nil)
}

// Final implements Rules.
func (Builtin) Final(code int) bool { return code == LastState }

// Windows implements Rules.
func (Builtin) Windows(code int) (heartbeat, limit time.Duration) {
	return DefaultHeartbeat, DefaultLimit(code)
}

// Name implements Rules.
func (Builtin) Name(int) string { return "" }

// ResumeConfig implements Rules.
func (Builtin) ResumeConfig(int) *ResumeConfig { return nil }
