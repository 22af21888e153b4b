package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bldst/cli/print"
	"bldst/cli/settings"
	"bldst/cli/step"
	"bldst/shared/client"
	"bldst/shared/problem"

	"github.com/spf13/cobra"
)

// A usageError is a command line that cannot be carried out.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage marks err as a mistake in the command line of cmd.
func usage(cmd *cobra.Command, err error) error {
	var u *usageError
	if errors.As(err, &u) {
		return err
	}
	return &usageError{cmd, err}
}

// A badInput is a wrong value that is found only when the work has begun.
type badInput struct{ err error }

func (e *badInput) Error() string { return e.err.Error() }
func (e *badInput) Unwrap() error { return e.err }

// A hinted error carries what to do next. Its hint replaces the general one.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

func hint(err error, text string) error { return &hinted{err, text} }

// errTold ends a command with exit code 1 without another word: the result
// that was printed says what is wrong.
var errTold = errors.New("the result says what is wrong")

// An exitStatus ends a command with the exit code of the program it has run,
// without another word.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// exitCode is the one place where errors become exit codes: 0 done, 1 failed,
// 2 wrong usage or input, 4 not signed in or not allowed, 5 the API cannot be
// reached, 130 interrupted.
func exitCode(err error) int {
	var u *usageError
	var in *badInput
	var un *client.Unreachable
	var p *problem.Problem
	var unknown *print.Unknown
	var status exitStatus
	var own *step.Exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &own):
		return own.Code
	case errors.As(err, &u), errors.As(err, &in), errors.As(err, &unknown):
		return 2
	case errors.Is(err, context.Canceled): // as a shell says that it was interrupted
		return 130
	case errors.As(err, &un):
		return 5
	case errors.As(err, &p):
		return p.Kind.ExitCode()
	default:
		return 1
	}
}

// An envelope is an error as JSON, {"error": {...}}.
type envelope struct {
	Code      string   `json:"code"`
	Detail    any      `json:"detail"` // a sentence, or the invalid inputs
	Status    int      `json:"status,omitempty"`
	RequestID string   `json:"request_id,omitempty"`
	NextSteps []string `json:"next_steps,omitempty"`
}

// report tells err on the error stream: as text, or as one JSON object when
// the result was asked for as JSON.
func (f *Factory) report(err error, args []string) {
	var status exitStatus
	if err == nil || errors.Is(err, errTold) || errors.As(err, &status) {
		return
	}
	e := f.describe(err)
	if f.wantsJSON(args) {
		enc := json.NewEncoder(f.Streams.Err)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(map[string]envelope{"error": e})
		return
	}
	fmt.Fprintln(f.Streams.Err, "error: "+headline(e))
	if fields, ok := e.Detail.([]problem.Field); ok {
		for _, field := range fields {
			fmt.Fprintf(f.Streams.Err, "  %s: %s\n", location(field.Loc), field.Msg)
		}
	}
	for _, step := range e.NextSteps {
		fmt.Fprintln(f.Streams.Err, step)
	}
}

// wantsJSON reports whether the result was asked for as JSON. When the flags
// could not be parsed, the arguments tell.
func (f *Factory) wantsJSON(args []string) bool {
	if strings.EqualFold(f.flags.output, "json") {
		return true
	}
	for i, a := range args {
		if slices.Contains([]string{"-ojson", "-o=json", "--output=json", "--format=json"}, a) {
			return true
		}
		if i > 0 && a == "json" && slices.Contains([]string{"-o", "--output", "--format"}, args[i-1]) {
			return true
		}
	}
	return false
}

func headline(e envelope) string {
	text, ok := e.Detail.(string)
	if !ok {
		text = "the input was not accepted"
	}
	var where []string
	if e.Status > 0 {
		where = append(where, fmt.Sprintf("HTTP %d", e.Status))
	}
	if e.RequestID != "" {
		where = append(where, "request "+e.RequestID)
	}
	if len(where) == 0 {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, strings.Join(where, ", "))
}

func location(loc []any) string {
	parts := make([]string, len(loc))
	for i, p := range loc {
		parts[i] = fmt.Sprint(p)
	}
	return strings.Join(parts, " -> ")
}

// describe says what err is and what to do next.
func (f *Factory) describe(err error) envelope {
	e := envelope{Code: "error", Detail: err.Error()}
	var u *usageError
	var in *badInput
	var un *client.Unreachable
	var ce *client.Error
	var p *problem.Problem
	var broken *settings.Broken
	switch {
	case errors.As(err, &u):
		e.Code = "usage"
		e.NextSteps = []string{fmt.Sprintf("Run '%s --help' for usage.", u.cmd.CommandPath())}
	case errors.As(err, &in):
		e.Code = "usage"
	case errors.As(err, &un):
		e.Code, e.NextSteps = unreachable(un)
	case errors.As(err, &ce):
		e.Status, e.RequestID = ce.Status, ce.RequestID
		e.Code, e.Detail = string(ce.Problem.Kind), detail(ce.Problem)
		e.NextSteps = nextSteps(ce, f.signedBy)
	case errors.As(err, &p):
		e.Code, e.Detail = string(p.Kind), detail(p)
	case errors.As(err, &broken):
		e.NextSteps = []string{"Mend it, or remove it with 'bldst config reset'."}
	case errors.Is(err, context.Canceled):
		e.Code, e.Detail = "interrupted", "interrupted; what the API had received may have been done"
	}
	var h *hinted
	if errors.As(err, &h) {
		e.NextSteps = []string{h.hint}
	}
	return e
}

func detail(p *problem.Problem) any {
	if len(p.Fields) > 0 {
		return p.Fields
	}
	return p.Detail
}

func unreachable(un *client.Unreachable) (code string, steps []string) {
	if un.Timeout > 0 {
		return "timeout", []string{"Try again, or wait longer with BLDST_TIMEOUT=SECONDS."}
	}
	return "unreachable", []string{"Check the URL with 'bldst config get-url'; set another with 'bldst config set-url URL' or BLDST_API_URL."}
}

func nextSteps(e *client.Error, signedBy string) []string {
	switch {
	case e.Problem.Kind == problem.Forbidden && strings.Contains(e.Problem.Detail, "Missing Authentication Token"):
		return []string{"API Gateway knows no such path: check the URL and its stage with 'bldst config get-url'."}
	case e.Problem.Kind == problem.Unauthorized && signedBy == "token":
		return []string{"The sign-in has ended, or the user may not sign in any more: sign in again with 'bldst auth login'."}
	case e.Problem.Kind == problem.Unauthorized && signedBy == "key":
		return []string{"The API key is wrong or has ended: set another with 'bldst auth set-key KEY' or BLDST_API_KEY. 'bldst auth status' says where it comes from."}
	case e.Problem.Kind == problem.Unauthorized:
		return []string{"Set a key with 'bldst auth set-key KEY' or BLDST_API_KEY, or sign in with 'bldst auth login'."}
	case e.Problem.Kind == problem.Forbidden:
		return []string{"The credential does not allow this: 'bldst auth status' says what it may do; use another one ('bldst auth set-key KEY' or BLDST_API_KEY)."}
	case e.Problem.Kind == problem.Unavailable && e.Problem.RetryAfter > 0:
		return []string{fmt.Sprintf("Try again in %s.", e.Problem.RetryAfter)}
	case e.Problem.Kind == problem.Unavailable:
		return []string{"Try again later."}
	case !e.FromAPI:
		return []string{"Check with 'bldst config get-url' that the URL is that of the API."}
	default:
		return nil
	}
}
