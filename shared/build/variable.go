package build

import (
	"context"
	"encoding/json"
	"time"

	"bldst/shared/api"
	"bldst/shared/problem"
)

// A Variable is a value a build wants to find again when it is resumed. The
// row in the table is its JSON, with the value in clear.
type Variable struct {
	ID         string    `json:"id"`
	BuildID    string    `json:"build_id"`
	Key        string    `json:"variable_key"`
	Value      string    `json:"variable_value" doc:"****** when it is sensitive, unless revealed."`
	Type       string    `json:"variable_type"`
	SetAtState *int      `json:"set_at_state"`
	Sensitive  bool      `json:"is_sensitive"`
	Required   bool      `json:"is_required_for_resume"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	Rev        int64     `json:"-"`
}

// Mask stands for the value of a sensitive variable.
const Mask = "******"

// Masked returns v as anybody may see it.
func (v *Variable) Masked() *Variable {
	m := *v
	if m.Sensitive {
		m.Value = Mask
	}
	return &m
}

// dictName is what no variable can be called: its address is that of all. One
// that is called so from before is found by its id.
const dictName = "dict"

// Limits of a variable.
const (
	MaxValue      = 64 << 10 // bytes
	maxShownValue = 256      // bytes of a value that goes into the history
)

// A VariableRecord is a variable as it goes into the history: the value only
// when it is short and neither it nor the one before is sensitive.
type VariableRecord struct {
	Key        string  `json:"variable_key"`
	Value      *string `json:"variable_value,omitempty"`
	Type       string  `json:"variable_type"`
	SetAtState *int    `json:"set_at_state,omitempty"`
	Sensitive  bool    `json:"is_sensitive"`
	Required   bool    `json:"is_required_for_resume"`
}

// Record is v as it goes into the history, having been old (nil when new).
func (v *Variable) Record(old *Variable) VariableRecord {
	r := VariableRecord{Key: v.Key, Type: v.Type, SetAtState: v.SetAtState, Sensitive: v.Sensitive, Required: v.Required}
	if !v.Sensitive && (old == nil || !old.Sensitive) && len(v.Value) <= maxShownValue {
		r.Value = &v.Value
	}
	return r
}

// A Revealed says in the history which sensitive values were shown.
type Revealed struct {
	Keys []string `json:"variable_keys"`
}

// A VariableStore keeps the variables of builds. ref is the id or number of
// the build, which must exist (NotFound "Build REF not found"); a variable is
// named by its key, else by its id (NotFound "Variable 'K' not found for build
// REF"). Sensitive values are masked in what it returns, unless reveal is
// true: then the history names their keys before they are returned.
type VariableStore interface {
	// SetVariable stores what f makes of the variable key, nil when there is
	// none yet.
	SetVariable(ctx context.Context, ref, key string, f func(old *Variable, b *Build, rules Rules, now time.Time) (*Variable, error)) (*Variable, error)
	// Variable returns one variable.
	Variable(ctx context.Context, ref, key string, reveal bool) (*Variable, error)
	// Variables returns a page, ordered by key.
	Variables(ctx context.Context, ref string, q VariableQuery) ([]*Variable, string, error)
	// ChangeVariable lets f change a variable and stores it.
	ChangeVariable(ctx context.Context, ref, key string, f func(v *Variable, now time.Time) error) (*Variable, error)
	// DeleteVariable removes a variable, unless check refuses.
	DeleteVariable(ctx context.Context, ref, key string, check func(v *Variable) error) error
}

// A VariableQuery selects variables of a build.
type VariableQuery struct {
	Required *bool
	Reveal   bool
	PageQuery
}

// A VariableIn is the body of POST /builds/{id}/variables. When the key exists
// its value is replaced, and what is left out stays as it was.
type VariableIn struct {
	VariableKey   string          `json:"variable_key" required:"true" minLength:"1" maxLength:"200"`
	VariableValue string          `json:"variable_value" required:"true"`
	VariableType  string          `json:"variable_type,omitempty" maxLength:"50" doc:"string (the default), json, encrypted ... An encrypted value is sensitive."`
	SetAtState    api.IntOrString `json:"set_at_state,omitzero" doc:"0-100, or the name of a state."`
	IsSensitive   *bool           `json:"is_sensitive,omitempty" doc:"Default false."`
	IsRequired    *bool           `json:"is_required_for_resume,omitempty" doc:"Default false."`
	Claimed
}

// Set returns the variable of b that in describes, having been old.
func (in VariableIn) Set(old *Variable, b *Build, rules Rules, now time.Time) (*Variable, error) {
	if in.VariableKey == dictName && old == nil {
		return nil, problem.BadField("variable_key", "value_error", "%q is where all variables are read; use another key", dictName)
	}
	v := &Variable{BuildID: b.ID, Key: in.VariableKey, Type: "string", CreatedAt: now}
	if old != nil {
		*v = *old
	}
	patch := VariablePatch{VariableValue: &in.VariableValue, IsSensitive: in.IsSensitive, IsRequired: in.IsRequired}
	if in.VariableType != "" {
		patch.VariableType = &in.VariableType
	}
	if in.SetAtState.IsSet() {
		code, err := ReportIn{StateCode: in.SetAtState}.code(b.Current, rules)
		if err != nil {
			return nil, relocate(err, "set_at_state")
		}
		v.SetAtState = &code.Number
	}
	if err := plainText("variable_key", in.VariableKey); err != nil {
		return nil, err
	}
	return v, patch.Apply(v, now)
}

// relocate says of the field called name what err says of a state code.
func relocate(err error, name string) error {
	p := *problem.From(err)
	if len(p.Fields) == 0 {
		return err
	}
	f := p.Fields[0]
	f.Loc = []any{"body", name}
	p.Fields = []problem.Field{f}
	return &p
}

// A VariablePatch is the body of PATCH /builds/{id}/variables/{key}: any
// subset.
type VariablePatch struct {
	VariableValue *string `json:"variable_value,omitempty"`
	VariableType  *string `json:"variable_type,omitempty" minLength:"1" maxLength:"50"`
	IsSensitive   *bool   `json:"is_sensitive,omitempty"`
	IsRequired    *bool   `json:"is_required_for_resume,omitempty"`
	Claimed
}

// Apply changes v.
func (p VariablePatch) Apply(v *Variable, now time.Time) error {
	if p.VariableValue != nil {
		v.Value = *p.VariableValue
	}
	if p.VariableType != nil {
		v.Type = *p.VariableType
	}
	if p.IsSensitive != nil {
		v.Sensitive = *p.IsSensitive
	}
	if p.IsRequired != nil {
		v.Required = *p.IsRequired
	}
	v.UpdatedAt = now
	v.Sensitive = v.Sensitive || v.Type == "encrypted"
	if len(v.Value) > MaxValue {
		return problem.New(problem.TooLarge, "variable_value is larger than %d bytes; store it elsewhere and set its address.", MaxValue)
	}
	if v.Type == "json" && !json.Valid([]byte(v.Value)) {
		return problem.BadField("variable_value", "json_invalid", "Not valid JSON, which variable_type says it is")
	}
	return nil
}
