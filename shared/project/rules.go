package project

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
)

// Rules are what a project says of its builds: one document, read and changed
// as a whole, so that a report sees all of it or the version before.
type Rules struct {
	Codes     []StateCode      `json:"codes,omitempty"`
	Resumable []ResumableState `json:"resumable,omitempty"`
	Rev       int64            `json:"-"`
}

var _ build.Rules = (*Rules)(nil)

// Code implements build.Rules: the names of the project go before the built-in
// ones, in any case.
func (r *Rules) Code(name string) (build.Code, error) {
	known := make([]string, 0, len(r.Codes))
	for i := range r.Codes {
		c := &r.Codes[i]
		if !c.active() {
			continue
		}
		known = append(known, c.Name)
	}
	if c := r.called(name); c != nil {
		code := build.Code{Error: c.IsError, Cancels: c.Cancels, Final: c.IsFinal && !c.IsError}
		if c.StateCode != nil {
			code.Number = *c.StateCode
		}
		return code, nil
	}
	if code, ok := build.BuiltinCode(name); ok {
		return code, nil
	}
	return build.Code{}, build.UnknownState(name, known)
}

// Final implements build.Rules.
func (r *Rules) Final(code int) bool {
	if code == build.LastState {
		return true
	}
	c := r.byNumber(code)
	return c != nil && c.IsFinal && !c.IsError
}

// Windows implements build.Rules.
func (r *Rules) Windows(code int) (heartbeat, limit time.Duration) {
	heartbeat, limit = build.DefaultHeartbeat, build.DefaultLimit(code)
	if c := r.byNumber(code); c != nil {
		if c.Heartbeat != nil {
			heartbeat = time.Duration(*c.Heartbeat) * time.Second
		}
		if c.Timeout != nil {
			limit = time.Duration(*c.Timeout) * time.Second
		}
	}
	return heartbeat, limit
}

// Name implements build.Rules.
func (r *Rules) Name(code int) string {
	if c := r.byNumber(code); c != nil {
		return c.Name
	}
	return ""
}

// called returns the active code with that name, or else with that display
// name; nil when there is none.
func (r *Rules) called(name string) *StateCode {
	var shown *StateCode
	for i := range r.Codes {
		c := &r.Codes[i]
		switch {
		case !c.active():
		case strings.EqualFold(c.Name, name):
			return c
		case shown == nil && c.DisplayName != nil && strings.EqualFold(*c.DisplayName, name):
			shown = c
		}
	}
	return shown
}

// A ResumableState says whether and how a build can be resumed from a state.
// It is what the rules of builds read, and what callers do.
type ResumableState = build.ResumeConfig

// A ResumableIn is the body of a new resumable state and of a change: any
// subset.
type ResumableIn struct {
	StateCode         *int      `json:"state_code,omitempty" minimum:"0" maximum:"100"`
	IsResumable       *bool     `json:"is_resumable,omitempty" doc:"Default: true."`
	Strategy          *string   `json:"resume_strategy,omitempty" maxLength:"50" doc:"from_artifact, rerun_state, skip_to_next or a word of your own."`
	RequiredArtifacts *[]string `json:"required_artifacts,omitempty" maxItems:"50" doc:"Names or types."`
	RequiredVariables *[]string `json:"required_variables,omitempty" maxItems:"50"`
	Command           *string   `json:"resume_command,omitempty" maxLength:"2000"`
	Timeout           *int      `json:"resume_timeout_seconds,omitempty" minimum:"1" maximum:"2592000" doc:"Default: 3600."`
	Description       *string   `json:"description,omitempty" maxLength:"500"`
	Notes             *string   `json:"notes,omitempty" maxLength:"2000"`
}

func (in ResumableIn) apply(s *ResumableState, null Cleared) {
	set(&s.IsResumable, in.IsResumable)
	set(&s.Timeout, in.Timeout)
	assign(&s.Strategy, in.Strategy, null, "resume_strategy")
	assign(&s.Command, in.Command, null, "resume_command")
	assign(&s.Description, in.Description, null, "description")
	assign(&s.Notes, in.Notes, null, "notes")
	s.RequiredArtifacts = list(s.RequiredArtifacts, in.RequiredArtifacts, null, "required_artifacts")
	s.RequiredVariables = list(s.RequiredVariables, in.RequiredVariables, null, "required_variables")
}

// list returns the list called name after a change.
func list(have []string, want *[]string, null Cleared, name string) []string {
	to := &have
	if assign(&to, want, null, name); to == nil {
		return nil
	}
	return *to
}

// AddResumable adds the configuration of a state; Conflict when it has one.
func (r *Rules) AddResumable(in ResumableIn, id, project string, now time.Time) (*ResumableState, error) {
	if in.StateCode == nil {
		return nil, problem.Missing("state_code")
	}
	if s := r.ResumableState(*in.StateCode); s != nil {
		return nil, problem.New(problem.Conflict, "Resumable state %d already configured for this project. Its id is '%s'.", *in.StateCode, s.ID)
	}
	s := ResumableState{ID: id, ProjectID: project, StateCode: *in.StateCode, IsResumable: true, Timeout: 3600, CreatedAt: now, UpdatedAt: now, Revision: 1}
	in.apply(&s, nil)
	r.Resumable = append(r.Resumable, s)
	slices.SortFunc(r.Resumable, func(a, b ResumableState) int { return a.StateCode - b.StateCode })
	return r.ResumableState(*in.StateCode), nil
}

// ChangeResumable changes the configuration of a state; its number stays.
func (r *Rules) ChangeResumable(project string, code int, in ResumableIn, null Cleared, now time.Time) (*ResumableState, error) {
	s := r.ResumableState(code)
	if s == nil {
		return nil, notResumable(project, code)
	}
	if in.StateCode != nil && *in.StateCode != code {
		return nil, problem.New(problem.Refused, "The number of a resumable state stays %d; configure state %d on its own.", code, *in.StateCode)
	}
	in.apply(s, null)
	s.UpdatedAt = now
	s.Revision++
	return s, nil
}

// ResumableState returns the configuration of a state, nil when it has none.
func (r *Rules) ResumableState(code int) *ResumableState {
	for i := range r.Resumable {
		if r.Resumable[i].StateCode == code {
			return &r.Resumable[i]
		}
	}
	return nil
}

// ResumeConfig implements build.Rules.
func (r *Rules) ResumeConfig(code int) *build.ResumeConfig {
	s := r.ResumableState(code)
	if s == nil {
		return nil
	}
	c := *s
	return &c
}

func notResumable(project string, code int) error {
	return problem.New(problem.NotFound, "Resumable state %d not found: it is not configured for project %s", code, project)
}

func number(n int) string { return strconv.Itoa(n) }

func ptr[T any](v T) *T { return &v }

// DefaultRules returns the rules the default project begins with.
func DefaultRules(newID func() string, now time.Time) (*Rules, error) {
	r := &Rules{}
	for _, c := range []struct {
		name, color                      string
		initial, final, isError, cancels bool
	}{
		{"pending", "#FFA500", true, false, false, false},
		{"building", "#0000FF", false, false, false, false},
		{"completed", "#00FF00", false, true, false, false},
		{"failed", "#FF0000", false, true, true, false},
		{"cancelled", "#808080", false, true, false, true},
	} {
		in := StateCodeIn{Name: &c.name, Color: &c.color, IsInitial: &c.initial, IsFinal: &c.final, IsError: &c.isError, Cancels: &c.cancels}
		if c.name == "building" {
			in.StateCode = ptr(20)
		}
		if _, err := r.AddCode(in, newID(), DefaultID, now); err != nil {
			return nil, err
		}
	}
	_, err := r.AddResumable(ResumableIn{StateCode: ptr(20), Strategy: ptr("from_artifact")}, newID(), DefaultID, now)
	return r, err
}
