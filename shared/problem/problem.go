// Package problem is the one error vocabulary of the project. Domain and
// storage code return problems, package api renders them as
// {"detail", "code", "request_id"}, package client turns an answer back into
// the same problem, and the CLI maps its kind to an exit code. Any other error
// is an internal one: its text goes to the log and never to a caller.
package problem

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A Kind is the machine-readable class of a problem, the "code" of an error
// answer. Callers branch on kinds, so they are append-only.
type Kind string

// The kinds, with the status each is answered with (see statuses).
const (
	Invalid              Kind = "invalid"                // 422: the input does not have the required form
	Refused              Kind = "refused"                // 400: well-formed, but against a rule
	Unauthorized         Kind = "unauthorized"           // 401: no usable credential
	Forbidden            Kind = "forbidden"              // 403: the credential does not allow it
	NotFound             Kind = "not_found"              // 404
	MethodNotAllowed     Kind = "method_not_allowed"     // 405
	Conflict             Kind = "conflict"               // 409: exists already, or was changed meanwhile
	Ambiguous            Kind = "ambiguous"              // 409: a name that several things have
	StaleAttempt         Kind = "stale_attempt"          // 409: a report of a replaced attempt
	Leased               Kind = "leased"                 // 409: another worker holds the build
	TargetsOpen          Kind = "targets_open"           // 409: a build is to be completed while targets of it are not done
	PreconditionFailed   Kind = "precondition_failed"    // 412: If-Match names another revision
	TooLarge             Kind = "too_large"              // 413
	UnsupportedMediaType Kind = "unsupported_media_type" // 415
	TooMany              Kind = "too_many_requests"      // 429: come back after Retry-After
	Unavailable          Kind = "unavailable"            // 503: throttled or not ready; try again
	Internal             Kind = "internal"               // 500: everything that is not a problem
)

// Reason codes of a resume plan; each is answered with 409.
const (
	BuildCompleted    Kind = "build_completed"
	BuildCancelled    Kind = "build_cancelled"
	BuildRunning      Kind = "build_running"
	NothingDone       Kind = "nothing_done"
	StateNotResumable Kind = "state_not_resumable"
	ArtifactMissing   Kind = "artifact_missing"
	ArtifactExpired   Kind = "artifact_expired"
	ArtifactRevoked   Kind = "artifact_revoked"
	VariableMissing   Kind = "variable_missing"
	ResumeInProgress  Kind = "resume_in_progress"
	BreakerOpen       Kind = "breaker_open"
)

// statuses is the one table of kinds and HTTP statuses. The first kind of a
// status is the one an answer without a code is read as.
var statuses = []struct {
	kind   Kind
	status int
}{
	{Invalid, http.StatusUnprocessableEntity},
	{Refused, http.StatusBadRequest},
	{Unauthorized, http.StatusUnauthorized},
	{Forbidden, http.StatusForbidden},
	{NotFound, http.StatusNotFound},
	{MethodNotAllowed, http.StatusMethodNotAllowed},
	{Conflict, http.StatusConflict},
	{Ambiguous, http.StatusConflict},
	{StaleAttempt, http.StatusConflict},
	{Leased, http.StatusConflict},
	{TargetsOpen, http.StatusConflict},
	{BuildCompleted, http.StatusConflict},
	{BuildCancelled, http.StatusConflict},
	{BuildRunning, http.StatusConflict},
	{NothingDone, http.StatusConflict},
	{StateNotResumable, http.StatusConflict},
	{ArtifactMissing, http.StatusConflict},
	{ArtifactExpired, http.StatusConflict},
	{ArtifactRevoked, http.StatusConflict},
	{VariableMissing, http.StatusConflict},
	{ResumeInProgress, http.StatusConflict},
	{BreakerOpen, http.StatusConflict},
	{PreconditionFailed, http.StatusPreconditionFailed},
	{TooLarge, http.StatusRequestEntityTooLarge},
	{UnsupportedMediaType, http.StatusUnsupportedMediaType},
	{TooMany, http.StatusTooManyRequests},
	{Unavailable, http.StatusServiceUnavailable},
	{Internal, http.StatusInternalServerError},
}

// Kinds returns every kind, in the order of the table.
func Kinds() []Kind {
	out := make([]Kind, len(statuses))
	for i, s := range statuses {
		out[i] = s.kind
	}
	return out
}

// Status returns the HTTP status k is answered with; 500 for an unknown kind.
func (k Kind) Status() int {
	for _, s := range statuses {
		if s.kind == k {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

// ExitCode returns the exit code of a command that ends with k: 2 when the
// input must be corrected, 4 when the credential must be, else 1.
func (k Kind) ExitCode() int {
	switch k {
	case Invalid:
		return 2
	case Unauthorized, Forbidden:
		return 4
	default:
		return 1
	}
}

// KindOf reads the table backwards, for answers that carry no code (those of
// API Gateway itself, of a proxy, or of the HTTP framework).
func KindOf(status int) Kind {
	for _, s := range statuses {
		if s.status == status {
			return s.kind
		}
	}
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusBadGateway || status == http.StatusGatewayTimeout:
		return Unavailable
	case status >= 400 && status < 500:
		return Refused
	default:
		return Internal
	}
}

// A Field is one invalid input. Loc is its path, beginning with "body",
// "query", "path" or "header"; Type is a stable word such as "missing".
type Field struct {
	Loc  []any  `json:"loc"`
	Msg  string `json:"msg"`
	Type string `json:"type"`
}

// A Problem is an error that is safe to show to the caller.
type Problem struct {
	Kind       Kind
	Detail     string
	Fields     []Field       // of Invalid: what is wrong where
	RetryAfter time.Duration // of Unavailable and Conflict: when to try again
	Allow      string        // of MethodNotAllowed: the methods there are
	Err        error         // the cause: logged, never shown
}

func (p *Problem) Error() string {
	if p.Detail == "" && len(p.Fields) > 0 {
		return fmt.Sprintf("%s: %v: %s", p.Kind, p.Fields[0].Loc, p.Fields[0].Msg)
	}
	return string(p.Kind) + ": " + p.Detail
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// New returns a problem of kind k.
func New(k Kind, format string, args ...any) *Problem {
	return &Problem{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

// BadField returns an Invalid problem with one field of the body.
func BadField(name, typ, format string, args ...any) *Problem {
	return &Problem{Kind: Invalid, Fields: []Field{{Loc: []any{"body", name}, Msg: fmt.Sprintf(format, args...), Type: typ}}}
}

// Missing returns the Invalid problem of an absent field of the body.
func Missing(name string) *Problem { return BadField(name, "missing", "Field required") }

// From returns the problem in err's chain, or an Internal one that hides err.
// From(nil) is nil.
func From(err error) *Problem {
	if err == nil {
		return nil
	}
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return &Problem{Kind: Internal, Detail: "Internal Server Error", Err: err}
}

// Is reports whether err is a problem of one of the kinds.
func Is(err error, kinds ...Kind) bool {
	var p *Problem
	if !errors.As(err, &p) {
		return false
	}
	for _, k := range kinds {
		if p.Kind == k {
			return true
		}
	}
	return false
}
