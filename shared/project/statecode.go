package project

import (
	"slices"
	"strings"
	"time"

	"bldst/shared/problem"
)

// A StateCode names a number of the project's builds, the union of three
// generations. Codes that stand for no progress, errors and cancellations,
// have no number.
type StateCode struct {
	ID            string     `json:"id"`
	ProjectID     string     `json:"project_id"`
	StateCode     *int       `json:"state_code" minimum:"0" maximum:"100"`
	Code          *int       `json:"code" doc:"Same as state_code."`
	Name          string     `json:"name"`
	DisplayName   *string    `json:"display_name"`
	Description   *string    `json:"description"`
	Color         *string    `json:"color"`
	IsBlocking    bool       `json:"is_blocking"`
	IsInitial     bool       `json:"is_initial"`
	IsFinal       bool       `json:"is_final"`
	IsTerminal    bool       `json:"is_terminal" doc:"Same as is_final."`
	IsError       bool       `json:"is_error" doc:"Reporting it fails the build where it is."`
	Cancels       bool       `json:"cancels" doc:"Reporting it cancels the build."`
	SortOrder     int        `json:"sort_order"`
	Heartbeat     *int       `json:"heartbeat_seconds" doc:"How long a worker may be silent in this state; null: the default."`
	Timeout       *int       `json:"timeout_seconds" doc:"How long this state may take; null: the default."`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	DeactivatedAt *time.Time `json:"deactivated_at"`
	StartDate     time.Time  `json:"start_date" doc:"Same as created_at."`
	EndDate       *time.Time `json:"end_date" doc:"Same as deactivated_at."`
	Revision      int64      `json:"revision" doc:"Counts its changes; also the ETag."`
}

// A StateCodeIn is the body of a new state code in every generation, and of a
// change: any subset.
type StateCodeIn struct {
	ProjectID   string  `json:"project_id,omitempty" maxLength:"200" doc:"Id or name; only at /state-codes."`
	StateCode   *int    `json:"state_code,omitempty" minimum:"0" maximum:"100"`
	Code        *int    `json:"code,omitempty" minimum:"0" maximum:"100" doc:"Alias of state_code."`
	Name        *string `json:"name,omitempty" minLength:"1" maxLength:"50" pattern:"\\S" patternDescription:"more than blanks" doc:"Default: made of the number."`
	DisplayName *string `json:"display_name,omitempty" maxLength:"100"`
	Description *string `json:"description,omitempty" maxLength:"500"`
	Color       *string `json:"color,omitempty" pattern:"^#[0-9A-Fa-f]{6}$" example:"#FFA500"`
	IsBlocking  *bool   `json:"is_blocking,omitempty"`
	IsInitial   *bool   `json:"is_initial,omitempty"`
	IsFinal     *bool   `json:"is_final,omitempty"`
	IsTerminal  *bool   `json:"is_terminal,omitempty" doc:"Alias of is_final."`
	IsError     *bool   `json:"is_error,omitempty"`
	Cancels     *bool   `json:"cancels,omitempty"`
	SortOrder   *int    `json:"sort_order,omitempty"`
	Heartbeat   *int    `json:"heartbeat_seconds,omitempty" minimum:"10" maximum:"86400"`
	Timeout     *int    `json:"timeout_seconds,omitempty" minimum:"10" maximum:"2592000"`
}

// Cleared reports whether a body asks for a field to become null. Of new rows
// it is nil: there null is "not supplied".
type Cleared func(field string) bool

// apply sets the fields of c that the body has.
func (in StateCodeIn) apply(c *StateCode, null Cleared) error {
	code := c.StateCode
	if code == nil {
		code = new(int)
	}
	n, fits := either(*code, in.StateCode, in.Code)
	if !fits {
		return problem.BadField("code", "value_error", "code is an alias of state_code; give one of them, or the same number for both")
	}
	if n != nil {
		c.StateCode = n
	}
	final, _ := either(c.IsFinal, in.IsFinal, in.IsTerminal)
	set(&c.Name, in.Name)
	set(&c.IsFinal, final)
	set(&c.IsBlocking, in.IsBlocking)
	set(&c.IsInitial, in.IsInitial)
	set(&c.IsError, in.IsError)
	set(&c.Cancels, in.Cancels)
	set(&c.SortOrder, in.SortOrder)
	assign(&c.DisplayName, in.DisplayName, null, "display_name")
	assign(&c.Description, in.Description, null, "description")
	assign(&c.Color, in.Color, null, "color")
	assign(&c.Heartbeat, in.Heartbeat, null, "heartbeat_seconds")
	assign(&c.Timeout, in.Timeout, null, "timeout_seconds")
	return nil
}

// either returns the value of a field that has two names: of two values the
// one that is not what is stored, since callers send back what they have read.
// It is nil when there is none; ok is false when both are new and differ.
func either[T comparable](stored T, a, b *T) (v *T, ok bool) {
	switch {
	case a == nil:
		return b, true
	case b == nil || *a == *b || *b == stored:
		return a, true
	default:
		return b, *a == stored
	}
}

// set changes a field that cannot be null.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// assign changes the field called name, which can be null.
func assign[T any](to **T, from *T, null Cleared, name string) {
	switch {
	case from != nil:
		*to = from
	case null != nil && null(name):
		*to = nil
	}
}

// fill sets the fields that follow from others.
func (c *StateCode) fill() {
	c.Code, c.IsTerminal, c.StartDate, c.EndDate = c.StateCode, c.IsFinal, c.CreatedAt, c.DeactivatedAt
}

// maxCodes bounds the state codes of a project, deleted ones included.
const maxCodes = 400

// AddCode adds a state code to r. Invalid when it has neither name nor number
// and when no number is free, Conflict when name or number is taken, Refused
// for a second initial one.
func (r *Rules) AddCode(in StateCodeIn, id, project string, now time.Time) (*StateCode, error) {
	if len(r.Codes) >= maxCodes {
		return nil, problem.New(problem.Refused, "A project has at most %d state codes, deleted ones included.", maxCodes)
	}
	c := StateCode{ID: id, ProjectID: project, CreatedAt: now, UpdatedAt: now, Revision: 1}
	if err := in.apply(&c, nil); err != nil {
		return nil, err
	}
	if c.Name == "" {
		if c.StateCode == nil {
			return nil, problem.Missing("state_code")
		}
		c.Name = number(*c.StateCode)
	}
	if err := r.place(&c); err != nil {
		return nil, err
	}
	c.fill()
	r.Codes = append(r.Codes, c)
	return &r.Codes[len(r.Codes)-1], nil
}

// place gives c its number and reports why it cannot stand among the active
// codes of r; what is wrong with the name goes before what is with the number.
func (r *Rules) place(c *StateCode) error {
	if err := r.fits(c); c.StateCode == nil && err != nil {
		return err
	}
	if err := r.numberOf(c); err != nil {
		return err
	}
	return r.fits(c)
}

// numberOf gives a code that has only a name its number.
func (r *Rules) numberOf(c *StateCode) error {
	switch {
	case c.IsError || c.Cancels:
		c.StateCode = nil
	case c.StateCode != nil:
	case c.IsInitial:
		c.StateCode = ptr(0)
	case c.IsFinal && r.byNumber(100) != nil:
		return problem.BadField("state_code", "missing", "Code 100 is taken by '%s'; give this final code a number", r.byNumber(100).Name)
	case c.IsFinal:
		c.StateCode = ptr(100)
	default:
		return r.nextFree(c)
	}
	return nil
}

// nextFree gives c the next multiple of 5 that is free.
func (r *Rules) nextFree(c *StateCode) error {
	highest := 0
	for i := range r.Codes {
		if o := &r.Codes[i]; o.active() && o.StateCode != nil && *o.StateCode < 100 {
			highest = max(highest, *o.StateCode)
		}
	}
	for n := highest/5*5 + 5; n < 100; n += 5 {
		if r.byNumber(n) == nil {
			c.StateCode = ptr(n)
			return nil
		}
	}
	for n := 5; n < 100; n += 5 {
		if r.byNumber(n) == nil {
			c.StateCode = ptr(n)
			return nil
		}
	}
	return problem.BadField("state_code", "missing", "No multiple of 5 is free; give this code a number")
}

// fits reports why c cannot stand among the active codes of r: its name is
// taken, or there is an initial one, or its number is taken, in this order.
func (r *Rules) fits(c *StateCode) error {
	var initial, numbered error
	for i := range r.Codes {
		o := &r.Codes[i]
		if o.ID == c.ID || !o.active() {
			continue
		}
		if strings.EqualFold(o.Name, c.Name) {
			return problem.New(problem.Conflict, "An active state code with name '%s' already exists for this project. Its id is '%s'.", o.Name, o.ID)
		}
		if o.IsInitial && c.IsInitial {
			initial = problem.New(problem.Refused, "An active initial state already exists for this project. Deactivate it before creating a new one.")
		}
		if o.StateCode != nil && c.StateCode != nil && *o.StateCode == *c.StateCode {
			numbered = problem.New(problem.Conflict, "An active state code with number %d already exists for this project. Its id is '%s'.", *c.StateCode, o.ID)
		}
	}
	if initial != nil {
		return initial
	}
	return numbered
}

// ChangeCode changes the active state code id.
func (r *Rules) ChangeCode(id string, in StateCodeIn, null Cleared, now time.Time) (*StateCode, error) {
	c, err := r.CodeByID(id, false)
	if err != nil {
		return nil, err
	}
	next := *c
	if err := in.apply(&next, null); err != nil {
		return nil, err
	}
	if err := r.place(&next); err != nil {
		return nil, err
	}
	next.touch(now)
	next.fill()
	*c = next
	return c, nil
}

// DeleteCode soft-deletes the active state code id.
func (r *Rules) DeleteCode(id string, now time.Time) (*StateCode, error) {
	c, err := r.CodeByID(id, false)
	if err != nil {
		return nil, err
	}
	c.DeactivatedAt = &now
	c.touch(now)
	c.fill()
	return c, nil
}

func (c *StateCode) touch(now time.Time) {
	c.UpdatedAt = now
	c.Revision++
}

// RestoreCode brings a deleted state code back.
func (r *Rules) RestoreCode(id string, now time.Time) (*StateCode, error) {
	c, err := r.CodeByID(id, true)
	if err != nil || c.active() {
		return c, err
	}
	next := *c
	next.DeactivatedAt = nil
	next.touch(now)
	if err := r.fits(&next); err != nil {
		return nil, err
	}
	next.fill()
	*c = next
	return c, nil
}

// CodeByID returns the state code with that id, or that name or number among
// the active ones; a deleted one only when deleted is true.
func (r *Rules) CodeByID(ref string, deleted bool) (*StateCode, error) {
	for i := range r.Codes {
		if c := &r.Codes[i]; c.ID == ref && (deleted || c.active()) {
			return c, nil
		}
	}
	for i := range r.Codes {
		c := &r.Codes[i]
		if c.active() && (strings.EqualFold(c.Name, ref) || c.StateCode != nil && number(*c.StateCode) == ref) {
			return c, nil
		}
	}
	return nil, problem.New(problem.NotFound, "Active state code not found")
}

func (c *StateCode) active() bool { return c.DeactivatedAt == nil }

func (r *Rules) byNumber(n int) *StateCode {
	i := slices.IndexFunc(r.Codes, func(c StateCode) bool { return c.active() && c.StateCode != nil && *c.StateCode == n })
	if i < 0 {
		return nil
	}
	return &r.Codes[i]
}

// ListCodes returns the state codes by name, deleted ones last and only if
// deleted is true.
func (r *Rules) ListCodes(deleted bool) []StateCode {
	out := make([]StateCode, 0, len(r.Codes))
	for _, c := range r.Codes {
		if deleted || c.active() {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b StateCode) int {
		if a.active() != b.active() {
			if a.active() {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}
