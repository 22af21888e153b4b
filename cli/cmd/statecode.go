package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// A stateCode is a state as the user wrote it: a number from 0 to 100, or a
// name for the API to resolve. The Jenkins library counts to 1000, says 999
// when it is done and -1 when it failed; those are translated here, since the
// API never stores a code above 100.
type stateCode struct {
	Code      int
	Name      string // instead of Code
	Completed bool   // 999: the whole build is completed
	Failed    bool   // -1: failed at the current state
	Note      string // what was translated
}

// wholeNumber reports whether s is nothing but digits, with or without a sign.
func wholeNumber(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// parseStateCode reads s. With perMille, every number counts to 1000.
func parseStateCode(s string, perMille bool) (stateCode, error) {
	if !wholeNumber(s) {
		if _, err := strconv.ParseFloat(s, 64); err == nil || s == "" {
			return stateCode{}, fmt.Errorf("state %q must be a whole number from 0 to 100, or a name", s)
		}
		return stateCode{Name: s}, nil
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return stateCode{}, outOfRange(s)
	case n == 999:
		return stateCode{Code: 100, Completed: true, Note: "state 999 is recorded as 100, completed"}, nil
	case n == -1:
		return stateCode{Failed: true, Note: "state -1 is recorded as a failure at the current state"}, nil
	case perMille && n > 0 && n <= 1000 && n%10 == 0, n > 100 && n <= 900 && n%100 == 0:
		return stateCode{Code: n / 10, Note: fmt.Sprintf("state %d is recorded as %d", n, n/10)}, nil
	case n == 0, !perMille && n > 0 && n <= 100:
		return stateCode{Code: n}, nil
	default:
		return stateCode{}, outOfRange(s)
	}
}

func outOfRange(s string) error {
	return fmt.Errorf("state %s is out of range: use 0 to 100 (200, 300 … 900, 999 and -1 of the Jenkins library are translated)", s)
}

// stateFlags are the flags that say which state a report is about.
type stateFlags struct {
	State  string
	Strict bool
}

func (o *stateFlags) declare(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&o.State, "state", "", usage)
	cmd.Flags().StringVar(&o.State, "state-code", "", "")
	_ = cmd.Flags().MarkHidden("state-code")
	cmd.Flags().BoolVar(&o.Strict, "strict", false, "warn of a code that is not a multiple of 5")
}

// code reads the state, tells what was translated, and warns if asked to.
func (f *Factory) code(o stateFlags) (stateCode, error) {
	s, err := f.Settings()
	if err != nil {
		return stateCode{}, err
	}
	c, err := parseStateCode(o.State, s.Env("STATE_SCALE") == "1000")
	if err != nil {
		return stateCode{}, &badInput{err}
	}
	if c.Note != "" {
		f.warn("%s", c.Note)
	}
	if o.Strict && c.Code%5 != 0 {
		f.warn("state %d is not a multiple of 5", c.Code)
	}
	return c, nil
}

// put adds the state to the body of a report.
func (c stateCode) put(b body) {
	switch {
	case c.Failed:
	case c.Name != "":
		b["state_name"] = c.Name
	default:
		b["state_code"] = c.Code
	}
}

var errNoState = errors.New("missing --state")
