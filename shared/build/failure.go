package build

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"bldst/shared/api"
	"bldst/shared/problem"
)

// A FailureIn is the body of POST /builds/{id}/failure and /failures.
type FailureIn struct {
	StateCode    api.IntOrString `json:"state_code,omitzero" doc:"Where it failed; default: where the build is."`
	State        api.IntOrString `json:"state,omitzero" doc:"Alias of state_code."`
	StateName    string          `json:"state_name,omitempty" maxLength:"100"`
	ErrorMessage string          `json:"error_message" required:"true" minLength:"1" doc:"The middle of one longer than 8000 characters is left out."`
	ErrorDetails json.RawMessage `json:"error_details,omitempty"`
	Details      json.RawMessage `json:"details,omitempty" doc:"Alias of error_details."`
	Metadata     json.RawMessage `json:"metadata,omitempty" doc:"Alias of error_details."`
	ErrorCode    string          `json:"error_code,omitempty" maxLength:"200"`
	Component    string          `json:"component,omitempty" maxLength:"200" doc:"packer, ansible, concourse ..."`
	FailureType  string          `json:"failure_type,omitempty" maxLength:"200"`
	IsRetryable  *bool           `json:"is_retryable,omitempty"`
	FailureClass string          `json:"failure_class,omitempty" enum:"transient,persistent,quota,stalled,timed_out,aborted,nothing_done,unknown" doc:"Default: derived from the rest."`
	RetryAttempt *int            `json:"retry_attempt,omitempty" minimum:"0" maximum:"1000000"`
	ExitCode     *int            `json:"exit_code,omitempty"`
	Attempt      *int            `json:"attempt,omitempty" minimum:"1" maximum:"1000000"`
	Worker       string          `json:"worker,omitempty" maxLength:"200"`
	Target       string          `json:"target,omitempty" maxLength:"200" doc:"The part of the state that failed."`

	BuildID string   `json:"build_id,omitempty" doc:"Older callers say it once more; the path counts."`
	Unread  []string `json:"-"` // fields that could not be read
}

// Ornaments implements api.Keeper.
func (in *FailureIn) Ornaments() []string {
	return []string{"build_id", "error_code", "component", "failure_type", "exit_code"}
}

// Keep implements api.Keeper.
func (in *FailureIn) Keep(unread map[string]string) bool {
	in.Unread = unreadLines(unread)
	return true
}

// A FailureRow is one failure as the history keeps it: without what was not
// said.
type FailureRow struct {
	ID           string          `json:"id,omitempty"`
	BuildID      string          `json:"build_id,omitempty"`
	StateCode    int             `json:"state_code"`
	State        int             `json:"state" doc:"Same as state_code."`
	FailureType  string          `json:"failure_type,omitempty"`
	FailureClass Class           `json:"failure_class"`
	ClassReason  string          `json:"class_reason,omitempty"`
	ErrorMessage string          `json:"error_message"`
	ErrorCode    string          `json:"error_code,omitempty"`
	ErrorDetails json.RawMessage `json:"error_details,omitempty"`
	Component    string          `json:"component,omitempty"`
	IsRetryable  *bool           `json:"is_retryable,omitempty"`
	RetryAttempt int             `json:"retry_attempt"`
	ExitCode     *int            `json:"exit_code,omitempty"`
	Attempt      int             `json:"attempt"`
	Worker       string          `json:"worker,omitempty"`
	Target       string          `json:"target,omitempty"`
	Status       Status          `json:"status" doc:"Of the build."`
	Unread       []string        `json:"unread,omitempty"`
	CreatedAt    time.Time       `json:"created_at,omitzero"`
}

// A ShownFailure is one failure as callers read it: every field is there.
type ShownFailure struct {
	ID           string          `json:"id"`
	BuildID      string          `json:"build_id"`
	StateCode    int             `json:"state_code"`
	State        int             `json:"state" doc:"Same as state_code."`
	FailureType  *string         `json:"failure_type"`
	FailureClass Class           `json:"failure_class"`
	ClassReason  *string         `json:"class_reason" doc:"Why it is of this class."`
	ErrorMessage string          `json:"error_message"`
	ErrorCode    *string         `json:"error_code"`
	ErrorDetails json.RawMessage `json:"error_details"`
	Component    *string         `json:"component"`
	IsRetryable  *bool           `json:"is_retryable"`
	RetryAttempt int             `json:"retry_attempt"`
	ExitCode     *int            `json:"exit_code"`
	Attempt      int             `json:"attempt"`
	Worker       *string         `json:"worker"`
	Target       *string         `json:"target"`
	Resolved     bool            `json:"resolved" doc:"The state was completed since."`
	Resolution   *string         `json:"resolution_notes"`
	Status       Status          `json:"status" doc:"Of the build."`
	Unread       []string        `json:"unread" doc:"Fields that could not be read, as they were sent."`
	CreatedAt    time.Time       `json:"created_at"`
	ResolvedAt   *time.Time      `json:"resolved_at"`
}

func (r FailureRow) show() ShownFailure {
	return ShownFailure{
		ID: r.ID, BuildID: r.BuildID, StateCode: r.StateCode, State: r.State, FailureType: text(r.FailureType), FailureClass: r.FailureClass, ClassReason: text(r.ClassReason), ErrorMessage: r.ErrorMessage,
		ErrorCode: text(r.ErrorCode), ErrorDetails: raw(r.ErrorDetails), Component: text(r.Component), IsRetryable: r.IsRetryable, RetryAttempt: r.RetryAttempt,
		ExitCode: r.ExitCode, Attempt: r.Attempt, Worker: text(r.Worker), Target: text(r.Target), Status: r.Status, Unread: r.Unread, CreatedAt: r.CreatedAt,
	}
}

// Interrupted is the type of a failure that was reported as cancelled although
// nobody had asked for that.
const Interrupted = "interrupted"

// Fail applies the failure in, which has passed the Fence, to b: the build stays where it failed, its
// status becomes failed, or cancelled when that was asked for. A failed build may fail again, in the same attempt.
func (b *Build) Fail(in FailureIn, rules Rules, now time.Time) (Entry, error) {
	if err := b.open(); err != nil {
		return Entry{}, err
	}
	code := Code{Number: b.Current}
	where := ReportIn{StateCode: in.StateCode, State: in.State, StateName: in.StateName}
	if where.StateCode.IsSet() || where.State.IsSet() || where.StateName != "" {
		var err error
		if code, err = where.code(b.Current, rules); err != nil {
			return Entry{}, err
		}
	}
	details := in.ErrorDetails
	for _, alias := range []json.RawMessage{in.Details, in.Metadata} {
		if isNull(details) {
			details = alias
		}
	}
	if isNull(details) {
		details = nil
	}
	if len(details) > MaxMetadata {
		return Entry{}, problem.New(problem.TooLarge, "error_details is larger than %d bytes; store it elsewhere and send its address.", MaxMetadata)
	}
	class, why := Classify(Signs{Class: Class(in.FailureClass), Retryable: in.IsRetryable, Tool: in.Component, Code: in.ErrorCode, Type: in.FailureType,
		Message: in.ErrorMessage, ExitCode: in.ExitCode})
	if class == Unknown {
		why = ""
	}
	retry := b.Attempt
	if in.RetryAttempt != nil {
		retry = *in.RetryAttempt
	}
	if err := b.checkTarget(code.Number, in.Target); err != nil {
		return Entry{}, err
	}
	b.mark(Report{ReportIn: ReportIn{Target: in.Target}, At: code.Number, How: Failed}, now)
	b.Current, b.Message = code.Number, cut(in.ErrorMessage, MaxFailureText)
	b.fail(code.Number, class, now)
	b.Deadline = nil
	b.followResume(code.Number, Failed)
	return NewEntry(FailureReported, FailureRow{
		StateCode: code.Number, State: code.Number, FailureType: in.FailureType, FailureClass: class, ClassReason: why, ErrorMessage: b.Message,
		ErrorCode: in.ErrorCode, ErrorDetails: details, Component: in.Component, IsRetryable: in.IsRetryable, RetryAttempt: retry,
		ExitCode: in.ExitCode, Attempt: b.Attempt, Worker: in.Worker, Target: in.Target, Status: b.Status, Unread: in.Unread,
	})
}

// Failing reports whether e is a failure: one that was reported as such, a state
// that was reported as failed, or another act that failed the build.
func (e Entry) Failing() bool {
	switch e.Kind {
	case FailureReported:
		return true
	case StateReported:
		var row struct{ Status Status }
		return json.Unmarshal(e.Data, &row) == nil && row.Status == Failed
	default:
		return e.Before.Status != Failed && e.After.Status == Failed
	}
}

// failureRow returns the failure e holds. An act that is no report of a failure
// says less of it; one of an earlier version says no class.
func failureRow(e Entry) (FailureRow, error) {
	row := FailureRow{StateCode: e.After.State, State: e.After.State, RetryAttempt: e.Attempt, Attempt: e.Attempt, Status: e.After.Status}
	if e.Kind != FailureReported && e.Kind != StateReported {
		var said struct {
			Message string `json:"message"`
			Error   string `json:"error_message"`
		}
		_ = json.Unmarshal(e.Data, &said) // what is not there is not said
		row.ErrorMessage = either(said.Error, said.Message, "The build was failed by an act of kind "+string(e.Kind)+".")
	} else if err := json.Unmarshal(e.Data, &row); err != nil {
		return row, fmt.Errorf("history row %d of build %s: %w", e.Seq, e.BuildID, err)
	}
	if e.Kind == StateReported {
		row.Status, row.RetryAttempt = e.After.Status, row.Attempt
		row.ErrorMessage = either(row.ErrorMessage, "State "+strconv.Itoa(row.StateCode)+" was reported as failed.")
	}
	if row.FailureClass == "" {
		row.FailureClass = ClassOf(Signs{Message: row.ErrorMessage})
	}
	row.ID, row.BuildID, row.CreatedAt = e.ID, e.BuildID, e.At
	return row, nil
}

// failureOf returns the failure the entry holds, given the build as it is: a
// failure is resolved once the build has got past its state.
func failureOf(e Entry, b *Build) (ShownFailure, error) {
	row, err := failureRow(e)
	if err != nil {
		return ShownFailure{}, err
	}
	out := row.show()
	out.Resolution, out.ResolvedAt = b.resolution(row)
	out.Resolved = out.Resolution != nil
	return out, nil
}

// resolution says how the failure was resolved and when, nil when it was not:
// its target or its state was completed, a later attempt has begun a state
// behind it, or the build is completed.
func (b *Build) resolution(row FailureRow) (*string, *time.Time) {
	m, since := b.Marks[row.StateCode], row.CreatedAt.Unix()
	if row.Target != "" && m.Targets[row.Target] == Completed {
		return text("It was done for " + row.Target + " in a later try."), nil
	}
	if m.Status == Completed && m.End >= since {
		return text(fmt.Sprintf("State %d was completed in attempt %d.", row.StateCode, m.Attempt)), unix(m.End)
	}
	past, at := -1, int64(0)
	for code, n := range b.Marks {
		begun := code > row.StateCode && n.Attempt > row.Attempt && n.Begin >= since && n.Status != Failed
		if begun && (past < 0 || n.Begin < at || n.Begin == at && code < past) {
			past, at = code, n.Begin
		}
	}
	switch {
	case past >= 0:
		return text(fmt.Sprintf("The build got past it, to state %d, in attempt %d.", past, b.Marks[past].Attempt)), unix(at)
	case b.Status == Completed:
		return text("The build is completed."), b.EndTime
	}
	return nil, nil
}

func unix(secs int64) *time.Time {
	at := time.Unix(secs, 0).UTC()
	return &at
}
