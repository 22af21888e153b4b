package build

import (
	"context"
	"net/http"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// A VariableService serves the variables of builds.
type VariableService struct{ Store VariableStore }

// Mount adds the endpoints of variables.
func (s *VariableService) Mount(a *api.API) {
	const tag = "Variables"
	gone := []problem.Kind{problem.NotFound}
	made := []problem.Kind{problem.NotFound, problem.Conflict, problem.StaleAttempt}
	changed := append(made, problem.PreconditionFailed)
	api.Handle(a, api.Op{ID: "set-variable", Method: http.MethodPost, Path: "/builds/{id}/variables", Scope: auth.Write, Tag: tag, Status: http.StatusCreated,
		Summary: "Set a variable of a build", Description: "Also when the key exists.", Problems: made, Request: exampleVariableIn, Answer: exampleVariable}, s.set)
	api.Handle(a, api.Op{ID: "list-variables", Method: http.MethodGet, Path: "/builds/{id}/variables", Scope: auth.Read, Tag: tag,
		Summary: "List the variables of a build, by key", Description: revealDoc, Problems: gone, Answer: []Variable{exampleVariable}}, s.list)
	api.Handle(a, api.Op{ID: "get-variables-dict", Method: http.MethodGet, Path: "/builds/{id}/variables/dict", Scope: auth.Read, Tag: tag,
		Summary: "Get the variables of a build as one object", Description: revealDoc, Problems: gone, Answer: map[string]string{"vm_id": "vm-123", "admin_password": Mask}}, s.dict)
	api.Handle(a, api.Op{ID: "get-variable", Method: http.MethodGet, Path: "/builds/{id}/variables/{key}", Scope: auth.Read, Tag: tag,
		Summary: "Get a variable", Description: revealDoc, Problems: gone, Answer: exampleVariable}, s.get)
	api.Handle(a, api.Op{ID: "update-variable", Method: http.MethodPatch, Path: "/builds/{id}/variables/{key}", Scope: auth.Write, Tag: tag,
		Summary: "Change a variable", Problems: changed, Request: map[string]any{"variable_value": "vm-124"}, Answer: exampleVariable}, s.update)
	api.Handle(a, api.Op{ID: "delete-variable", Method: http.MethodDelete, Path: "/builds/{id}/variables/{key}", Scope: auth.Write, Tag: tag, Status: http.StatusNoContent,
		Summary: "Delete a variable, for good", Problems: changed}, s.delete)
}

const revealDoc = "With reveal=true sensitive values are in clear. That needs the scope write, and the history of the build says who saw which."

// Reveal is the input of endpoints that can show sensitive values: embed it.
type Reveal struct {
	Reveal bool `query:"reveal" doc:"Sensitive values in clear. Needs the scope write; is recorded."`
}

// check refuses callers who may not see sensitive values.
func (r Reveal) check(ctx context.Context) error {
	if r.Reveal && !auth.CallerOf(ctx).Allows(auth.Write) {
		return problem.New(problem.Forbidden, "Write permission required")
	}
	return nil
}

type setVariableIn struct {
	Ref
	Body VariableIn
}

func (s *VariableService) set(ctx context.Context, in *setVariableIn) (*api.Object[*Variable], error) {
	return variableAnswer(s.Store.SetVariable(ctx, in.ID, in.Body.VariableKey, in.Body.Set))
}

func variableAnswer(v *Variable, err error) (*api.Object[*Variable], error) {
	if err != nil {
		return nil, err
	}
	return api.Rev(v.Rev, v), nil
}

type listVariablesIn struct {
	Ref
	Reveal
	api.Page
	Required string `query:"required_for_resume" maxLength:"10" doc:"true or false."`
}

func (s *VariableService) list(ctx context.Context, in *listVariablesIn) (*api.List[*Variable], error) {
	if err := in.check(ctx); err != nil {
		return nil, err
	}
	required, err := queryFlag("required_for_resume", in.Required)
	if err != nil {
		return nil, err
	}
	vs, next, err := s.Store.Variables(ctx, in.ID, VariableQuery{Required: required, Reveal: in.Reveal.Reveal, PageQuery: PageQuery{in.Skip, in.Limit, in.Cursor}})
	if err != nil {
		return nil, err
	}
	return &api.List[*Variable]{Link: in.Next(next), Body: vs}, nil
}

type dictIn struct {
	Ref
	Reveal
	Required string `query:"required_for_resume" maxLength:"10" doc:"true or false."`
}

type dictOut struct{ Body map[string]string }

func (s *VariableService) dict(ctx context.Context, in *dictIn) (*dictOut, error) {
	if err := in.check(ctx); err != nil {
		return nil, err
	}
	required, err := queryFlag("required_for_resume", in.Required)
	if err != nil {
		return nil, err
	}
	vs, _, err := s.Store.Variables(ctx, in.ID, VariableQuery{Required: required, Reveal: in.Reveal.Reveal})
	if err != nil {
		return nil, err
	}
	return &dictOut{dict(vs)}, nil
}

// dict returns the values by their keys.
func dict(vs []*Variable) map[string]string {
	m := make(map[string]string, len(vs))
	for _, v := range vs {
		m[v.Key] = v.Value
	}
	return m
}

// A VariableRef is the variable in a path.
type VariableRef struct {
	Ref
	Key string `path:"key" maxLength:"200" doc:"Key of the variable, or its id."`
}

type getVariableIn struct {
	VariableRef
	Reveal
}

func (s *VariableService) get(ctx context.Context, in *getVariableIn) (*api.Object[*Variable], error) {
	if err := in.check(ctx); err != nil {
		return nil, err
	}
	return variableAnswer(s.Store.Variable(ctx, in.ID, in.Key, in.Reveal.Reveal))
}

type updateVariableIn struct {
	VariableRef
	api.Match
	Body VariablePatch
}

func (s *VariableService) update(ctx context.Context, in *updateVariableIn) (*api.Object[*Variable], error) {
	return variableAnswer(s.Store.ChangeVariable(ctx, in.ID, in.Key, func(v *Variable, now time.Time) error {
		if err := in.Check(v.Rev); err != nil {
			return err
		}
		return in.Body.Apply(v, now)
	}))
}

type deleteVariableIn struct {
	VariableRef
	api.Match
}

func (s *VariableService) delete(ctx context.Context, in *deleteVariableIn) (*api.Empty, error) {
	return nil, s.Store.DeleteVariable(ctx, in.ID, in.Key, func(v *Variable) error { return in.Check(v.Rev) })
}
