package states

import (
	"cmp"
	"errors"
	"strings"
)

// Codes of diagnostics, as AWS documents them for
// ValidateStateMachineDefinition.
const (
	codeJSON      = "INVALID_JSON_DESCRIPTION"
	codeNothing   = "MISSING_DESCRIPTION"
	codeSchema    = "SCHEMA_VALIDATION_FAILED"
	codeResource  = "INVALID_RESOURCE"
	codeTarget    = "MISSING_TRANSITION_TARGET"
	codeTwice     = "DUPLICATE_STATE_NAME"
	codeStateName = "INVALID_STATE_NAME"
)

// maxDefinition is the longest definition of a call, in characters.
const maxDefinition = 1 << 20

type validateIn struct {
	Definition string `json:"definition"`
	Type       string `json:"type"`
	Severity   string `json:"severity"`
	MaxResults int    `json:"maxResults"`
}

func (in validateIn) check() error {
	err := cmp.Or(
		needed("definition", in.Definition, maxDefinition),
		oneOf("type", in.Type, "STANDARD", "EXPRESS"),
		oneOf("severity", in.Severity, "ERROR", "WARNING"),
	)
	switch {
	case err != nil:
		return err
	case in.Type == "EXPRESS":
		return problem("ValidationException", "type EXPRESS is not supported here; only STANDARD is")
	case in.MaxResults < 0:
		return invalid("maxResults", in.MaxResults, "Member must have value greater than or equal to 0")
	case in.MaxResults > 100:
		return invalid("maxResults", in.MaxResults, "Member must have value less than or equal to 100")
	}
	return nil
}

// validateStateMachineDefinition tells what Open would refuse. All of it are
// errors: there are no warnings here.
func (e *Engine) validateStateMachineDefinition(in validateIn) (object, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	_, err := load("definition", []byte(in.Definition))
	found := refusalsOf(err)
	result := "OK"
	if len(found) > 0 {
		result = "FAIL"
	}
	most := cmp.Or(in.MaxResults, 100)
	diagnostics := []object{}
	for _, r := range found[:min(most, len(found))] {
		diagnostics = append(diagnostics, r.diagnostic())
	}
	return object{"result": result, "diagnostics": diagnostics, "truncated": len(found) > most}, nil
}

// refusalsOf returns the refusals that an error of load joins.
func refusalsOf(err error) []*Refusal {
	var one *Refusal
	if joined, many := err.(interface{ Unwrap() []error }); many {
		var all []*Refusal
		for _, inner := range joined.Unwrap() {
			all = append(all, refusalsOf(inner)...)
		}
		return all
	}
	if errors.As(err, &one) {
		return []*Refusal{one}
	}
	return nil
}

func (r *Refusal) diagnostic() object {
	o := object{"severity": "ERROR", "code": r.Code, "message": r.Why}
	if at := r.location(); at != "" {
		o["location"] = at
	}
	return o
}

// location is where the fault is, as in /States/Await/Retry[0]/ErrorEquals;
// empty for the definition as a whole.
func (r *Refusal) location() string {
	at := ""
	if r.State != "" {
		at = "/States/" + r.State
	}
	if r.Field == "" {
		return at
	}
	plain, dynamic := strings.CutSuffix(r.Field, ".$")
	at += "/" + strings.ReplaceAll(plain, ".", "/")
	if dynamic {
		at += ".$"
	}
	return at
}

// invalidDefinition is the error of calls that take a definition.
func invalidDefinition(err error) *Problem {
	var all []string
	for _, r := range refusalsOf(err) {
		said := r.Code + ": " + r.Why
		if at := r.location(); at != "" {
			said += " at " + at
		}
		all = append(all, said)
	}
	return problem("InvalidDefinition", "Invalid State Machine Definition: '%s'", strings.Join(all, ", "))
}
