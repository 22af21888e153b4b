package project

import (
	"context"
	"net/http"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// A ResumableRef is a resumable state in a path.
type ResumableRef struct {
	Ref
	Code int `path:"code" minimum:"0" maximum:"100"`
}

// MountResumable adds the endpoints of resumable states.
func (s *Service) MountResumable(a *api.API) {
	const tag = "Resume"
	const coll, item = "/projects/{project}/resumable-states", "/projects/{project}/resumable-states/{code}"
	gone := []problem.Kind{problem.NotFound}
	changed := []problem.Kind{problem.NotFound, problem.Refused, problem.Conflict, problem.PreconditionFailed}
	example := ResumableState{ID: "018d64e2-2000-7000-8000-000000000001", ProjectID: RHEL9ID, StateCode: 40, IsResumable: true, Strategy: ptr("from_artifact"),
		RequiredArtifacts: []string{"vm_snapshot"}, RequiredVariables: []string{"vm_id"}, Timeout: 3600}
	request := map[string]any{"state_code": 40, "resume_strategy": "from_artifact", "required_artifacts": []string{"vm_snapshot"}, "required_variables": []string{"vm_id"}}
	api.Handle(a, api.Op{ID: "create-resumable-state", Method: http.MethodPost, Path: coll, Scope: auth.Write, Tag: tag, Status: http.StatusCreated,
		Summary: "Say how builds are resumed from a state", Request: request, Answer: example, Problems: changed}, s.createResumable)
	api.Handle(a, api.Op{ID: "list-resumable-states", Method: http.MethodGet, Path: coll, Scope: auth.Read, Tag: tag,
		Summary: "List the states builds can be resumed from, by number", Answer: []ResumableState{example}, Problems: gone}, s.listResumable)
	api.Handle(a, api.Op{ID: "get-resumable-state", Method: http.MethodGet, Path: item, Scope: auth.Read, Tag: tag,
		Summary: "Get how builds are resumed from a state", Answer: example, Problems: gone}, s.getResumable)
	api.Handle(a, api.Op{ID: "update-resumable-state", Method: http.MethodPut, Path: item, Scope: auth.Write, Tag: tag,
		Summary: "Change how builds are resumed from a state", Request: request, Answer: example, Problems: changed}, s.updateResumable)
}

type createResumableIn struct {
	Ref
	Body ResumableIn
}

func (s *Service) createResumable(ctx context.Context, in *createResumableIn) (*api.Object[ResumableState], error) {
	out, err := s.actResumable(ctx, ResumableRef{Ref: in.Ref, Code: none}, "create", api.Match{}, func(r *Rules, project, newID string, now time.Time) (*ResumableState, error) {
		return r.AddResumable(in.Body, newID, project, now)
	})
	if problem.Is(err, problem.NotFound) {
		return nil, problem.New(problem.NotFound, "Project %s not found", in.Project)
	}
	return out, err
}

// none is the number of no state.
const none = -1

// actResumable changes the configuration of the state at.Code, or adds one,
// with f, and answers what f returns.
func (s *Service) actResumable(ctx context.Context, at ResumableRef, action string, match api.Match, f func(r *Rules, project, newID string, now time.Time) (*ResumableState, error)) (*api.Object[ResumableState], error) {
	var st ResumableState
	_, err := s.Store.ChangeRules(ctx, at.Project, func(r *Rules, project, newID string, now time.Time) (Change, error) {
		c := Change{Action: "resumable-state." + action, Resource: "resumable-state"}
		if old := r.ResumableState(at.Code); old != nil {
			if err := match.Check(old.Revision); err != nil {
				return Change{}, err
			}
			c.Before = *old
		}
		after, err := f(r, project, newID, now)
		if err != nil {
			return Change{}, err
		}
		st = *after
		c.ID, c.After = st.ID, st
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return api.Rev(st.Revision, st), nil
}

type listResumableIn struct {
	Ref
	api.Page
	IsResumable string `query:"is_resumable" enum:"true,false"`
}

func (s *Service) listResumable(ctx context.Context, in *listResumableIn) (*api.List[ResumableState], error) {
	r, _, err := s.Store.RulesOf(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	rows := []ResumableState{}
	for _, st := range r.Resumable {
		if in.IsResumable == "" || (in.IsResumable == "true") == st.IsResumable {
			rows = append(rows, st)
		}
	}
	return api.Window(in.Page, rows)
}

func (s *Service) getResumable(ctx context.Context, in *ResumableRef) (*api.Object[ResumableState], error) {
	r, _, err := s.Store.RulesOf(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	st := r.ResumableState(in.Code)
	if st == nil {
		return nil, notResumable(in.Project, in.Code)
	}
	return api.Rev(st.Revision, *st), nil
}

type updateResumableIn struct {
	ResumableRef
	api.Match
	Body api.Partial[ResumableIn]
}

func (s *Service) updateResumable(ctx context.Context, in *updateResumableIn) (*api.Object[ResumableState], error) {
	var body ResumableIn
	if err := in.Body.Apply(&body); err != nil {
		return nil, err
	}
	return s.actResumable(ctx, in.ResumableRef, "update", in.Match, func(r *Rules, _, _ string, now time.Time) (*ResumableState, error) {
		return r.ChangeResumable(in.Project, in.Code, body, in.Body.Null, now)
	})
}
