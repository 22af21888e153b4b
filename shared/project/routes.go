package project

import (
	"context"
	"net/http"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
	"bldst/shared/resource"
)

// A Change is one act on the rules of a project, for the audit trail.
type Change struct {
	Action, Resource, ID string // "state-code.create", "state-code", its id
	Before, After        any
	Code                 *StateCode // the state code it is about, if any
}

// A Store keeps the rules of projects. Where it takes a project it accepts its
// id or name and returns NotFound when there is none.
type Store interface {
	// RulesOf returns the rules of a project and its id.
	RulesOf(ctx context.Context, project string) (*Rules, string, error)
	// ChangeRules lets f change the rules of a project and stores them with
	// what f says of the change. It returns them as they were stored.
	ChangeRules(ctx context.Context, project string, f func(r *Rules, id string, newID string, now time.Time) (Change, error)) (*Rules, error)
	// ProjectOfCode returns the id of the project a state code belongs to.
	ProjectOfCode(ctx context.Context, id string) (string, error)
	// StateCodes returns a page of the state codes of all projects.
	StateCodes(ctx context.Context, q resource.ListQuery) ([]StateCode, string, error)
	// BuildsAt returns how many builds of the project are being worked on at
	// the state, at most 1000.
	BuildsAt(ctx context.Context, project string, code int) (int, error)
}

// A Service serves the rules of projects.
type Service struct{ Store Store }

// A Ref is the project in a path.
type Ref struct {
	Project string `path:"project" maxLength:"200" doc:"Id or name of the project."`
}

// A CodeRef is a state code in a path below its project.
type CodeRef struct {
	Ref
	ID string `path:"id" maxLength:"200" doc:"Id, name or number of the state code."`
}

// A TopCodeRef is a state code in a path of its own.
type TopCodeRef struct {
	ID string `path:"id" maxLength:"200"`
}

const codesTag = "State Codes"

// MountCodes adds the endpoints of state codes, below their project and at the
// top.
func (s *Service) MountCodes(a *api.API) {
	gone := []problem.Kind{problem.NotFound}
	changed := []problem.Kind{problem.NotFound, problem.Refused, problem.Conflict, problem.PreconditionFailed}
	add := func(id, method, path string, scope auth.Scope, status int, summary string, request, answer any, problems []problem.Kind) api.Op {
		return api.Op{ID: id, Method: method, Path: path, Scope: scope, Tag: codesTag, Status: status, Summary: summary, Request: request, Answer: answer, Problems: problems}
	}
	const coll, item = "/projects/{project}/state-codes", "/projects/{project}/state-codes/{id}"
	api.Handle(a, add("create-project-state-code", http.MethodPost, coll, auth.Write, 201, "Name a state of a project", exampleCodeIn, exampleCode, changed), s.createCode)
	api.Handle(a, add("list-project-state-codes", http.MethodGet, coll, auth.Read, 0, "List the state codes of a project by name", nil, []StateCode{exampleCode}, gone), s.listCodes)
	api.Handle(a, add("get-project-state-code", http.MethodGet, item, auth.Read, 0, "Get a state code", nil, exampleCode, gone), s.getCode)
	api.Handle(a, add("update-project-state-code", http.MethodPut, item, auth.Write, 0, "Change any fields of a state code", exampleCodeIn, exampleCode, changed), s.updateCode)
	api.Handle(a, add("delete-project-state-code", http.MethodDelete, item, auth.Admin, 204, "Delete a state code that no active build is at", nil, nil, changed), s.deleteCode)
	api.Handle(a, add("restore-project-state-code", http.MethodPost, item+"/restore", auth.Admin, 0, "Bring a deleted state code back", nil, exampleCode, changed), s.restoreCode)
	api.Handle(a, add("create-state-code", http.MethodPost, "/state-codes", auth.Write, 201, "Name a state of the project in the body", exampleTopCodeIn, exampleCode, changed), s.createTopCode)
	api.Handle(a, add("list-state-codes", http.MethodGet, "/state-codes", auth.Read, 0, "List the state codes of all projects", nil, []StateCode{exampleCode}, nil), s.listTopCodes)
	api.Handle(a, add("get-state-code", http.MethodGet, "/state-codes/{id}", auth.Read, 0, "Get a state code by its id", nil, exampleCode, gone), s.getTopCode)
	api.Handle(a, add("update-state-code", http.MethodPut, "/state-codes/{id}", auth.Write, 0, "Change any fields of a state code by its id", exampleCodeIn, exampleCode, changed), s.updateTopCode)
	api.Handle(a, add("delete-state-code", http.MethodDelete, "/state-codes/{id}", auth.Admin, 204, "Delete a state code by its id", nil, nil, changed), s.deleteTopCode)
	api.Handle(a, add("restore-state-code", http.MethodPost, "/state-codes/{id}/restore", auth.Admin, 0, "Bring a deleted state code back by its id", nil, exampleCode, changed), s.restoreTopCode)
}

// MountWindows adds the endpoint of the limits of states. It is not below
// state-codes, where it would take the place of a code of that name.
func (s *Service) MountWindows(a *api.API) {
	api.Handle(a, api.Op{ID: "list-windows", Method: http.MethodGet, Path: "/projects/{project}/windows", Scope: auth.Read, Tag: codesTag,
		Summary:  "List how long a worker may be silent in each state, and how long the state may take",
		Problems: []problem.Kind{problem.NotFound}, Answer: []Window{{StateCode: 20, Name: ptr("building"), Heartbeat: 600, Timeout: 7200}}}, s.windows)
}

var (
	exampleCode   = StateCode{ID: "018d64e2-1000-7000-8000-000000000001", ProjectID: RHEL9ID, StateCode: ptr(20), Code: ptr(20), Name: "building", Color: ptr("#0000FF")}
	exampleCodeIn = map[string]any{"state_code": 20, "name": "building", "description": "Packer build started", "color": "#0000FF"}

	exampleTopCodeIn = map[string]any{"project_id": "rhel-9", "code": 20, "name": "building", "display_name": "Building", "color": "#0000FF"}
)

// act changes the state code at.ID, or adds one, with f, and answers what f
// returns.
func (s *Service) act(ctx context.Context, at CodeRef, action string, match api.Match, f func(r *Rules, project, newID string, now time.Time) (*StateCode, error)) (*api.Object[StateCode], error) {
	var code StateCode
	_, err := s.Store.ChangeRules(ctx, at.Project, func(r *Rules, project, newID string, now time.Time) (Change, error) {
		c := Change{Action: "state-code." + action, Resource: "state-code", Code: &code}
		before, rev := r.before(at.ID)
		after, err := f(r, project, newID, now)
		if err != nil {
			return Change{}, err
		}
		if before != nil {
			c.Before = before
			if err := match.Check(rev); err != nil {
				return Change{}, err
			}
		}
		code = *after
		c.ID, c.After = code.ID, code
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return api.Rev(code.Revision, code), nil
}

// before returns a copy of the code ref and its revision, nil when there is
// none.
func (r *Rules) before(ref string) (*StateCode, int64) {
	c, err := r.CodeByID(ref, true)
	if ref == "" || err != nil {
		return nil, 0
	}
	b := *c
	return &b, b.Revision
}

type createCodeIn struct {
	Ref
	Body StateCodeIn
}

func (s *Service) createCode(ctx context.Context, in *createCodeIn) (*api.Object[StateCode], error) {
	out, err := s.act(ctx, CodeRef{Ref: in.Ref}, "create", api.Match{}, func(r *Rules, project, newID string, now time.Time) (*StateCode, error) {
		return r.AddCode(in.Body, newID, project, now)
	})
	if problem.Is(err, problem.NotFound) {
		return nil, problem.New(problem.NotFound, "Active project with id %s not found", in.Project)
	}
	return out, err
}

type listCodesIn struct {
	Ref
	api.Page
	Deleted bool `query:"include_deactivated" doc:"Deleted ones too, after the others."`
}

func (s *Service) listCodes(ctx context.Context, in *listCodesIn) (*api.List[StateCode], error) {
	r, _, err := s.Store.RulesOf(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	return api.Window(in.Page, r.ListCodes(in.Deleted))
}

type getCodeIn struct {
	CodeRef
	Deleted bool `query:"include_deactivated" doc:"Also when it is deleted."`
}

func (s *Service) getCode(ctx context.Context, in *getCodeIn) (*api.Object[StateCode], error) {
	r, _, err := s.Store.RulesOf(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	c, err := r.CodeByID(in.ID, in.Deleted)
	if err != nil {
		return nil, err
	}
	return api.Rev(c.Revision, *c), nil
}

type updateCodeIn struct {
	CodeRef
	api.Match
	Body api.Partial[StateCodeIn]
}

func (s *Service) updateCode(ctx context.Context, in *updateCodeIn) (*api.Object[StateCode], error) {
	var body StateCodeIn
	if err := in.Body.Apply(&body); err != nil {
		return nil, err
	}
	return s.act(ctx, in.CodeRef, "update", in.Match, func(r *Rules, _, _ string, now time.Time) (*StateCode, error) {
		return r.ChangeCode(in.ID, body, in.Body.Null, now)
	})
}

type changeCodeIn struct {
	CodeRef
	api.Match
}

func (s *Service) deleteCode(ctx context.Context, in *changeCodeIn) (*api.Empty, error) {
	_, err := s.act(ctx, in.CodeRef, "delete", in.Match, func(r *Rules, project, _ string, now time.Time) (*StateCode, error) {
		c, err := r.DeleteCode(in.ID, now)
		if err != nil || c.StateCode == nil {
			return c, err
		}
		n, err := s.Store.BuildsAt(ctx, project, *c.StateCode)
		if err == nil && n > 0 {
			err = problem.New(problem.Refused, "Cannot deactivate state code. It is currently used by %d active builds.", n)
		}
		return c, err
	})
	return nil, err
}

func (s *Service) restoreCode(ctx context.Context, in *CodeRef) (*api.Object[StateCode], error) {
	return s.act(ctx, *in, "restore", api.Match{}, func(r *Rules, _, _ string, now time.Time) (*StateCode, error) {
		return r.RestoreCode(in.ID, now)
	})
}

type createTopCodeIn struct{ Body StateCodeIn }

func (s *Service) createTopCode(ctx context.Context, in *createTopCodeIn) (*api.Object[StateCode], error) {
	if in.Body.ProjectID == "" {
		return nil, problem.Missing("project_id")
	}
	return s.createCode(ctx, &createCodeIn{Ref{in.Body.ProjectID}, in.Body})
}

type listTopCodesIn struct {
	api.Page
	ProjectID string `query:"project_id" maxLength:"200" doc:"Only those of this project."`
	Deleted   bool   `query:"include_deactivated" doc:"Deleted ones too, after the others."`
}

func (s *Service) listTopCodes(ctx context.Context, in *listTopCodesIn) (*api.List[StateCode], error) {
	if in.ProjectID != "" {
		return s.listCodes(ctx, &listCodesIn{Ref{in.ProjectID}, in.Page, in.Deleted})
	}
	rows, next, err := s.Store.StateCodes(ctx, resource.ListQuery{Skip: in.Skip, Limit: in.Limit, Cursor: in.Cursor, Deleted: in.Deleted})
	if err != nil {
		return nil, err
	}
	return &api.List[StateCode]{Link: in.Next(next), Body: rows}, nil
}

// within names a state code of the top level below its project.
func (s *Service) within(ctx context.Context, id string) (CodeRef, error) {
	p, err := s.Store.ProjectOfCode(ctx, id)
	return CodeRef{Ref{p}, id}, err
}

type getTopCodeIn struct {
	TopCodeRef
	Deleted bool `query:"include_deactivated" doc:"Also when it is deleted."`
}

func (s *Service) getTopCode(ctx context.Context, in *getTopCodeIn) (*api.Object[StateCode], error) {
	at, err := s.within(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.getCode(ctx, &getCodeIn{at, in.Deleted})
}

type updateTopCodeIn struct {
	TopCodeRef
	api.Match
	Body api.Partial[StateCodeIn]
}

func (s *Service) updateTopCode(ctx context.Context, in *updateTopCodeIn) (*api.Object[StateCode], error) {
	at, err := s.within(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.updateCode(ctx, &updateCodeIn{at, in.Match, in.Body})
}

type changeTopCodeIn struct {
	TopCodeRef
	api.Match
}

func (s *Service) deleteTopCode(ctx context.Context, in *changeTopCodeIn) (*api.Empty, error) {
	at, err := s.within(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.deleteCode(ctx, &changeCodeIn{at, in.Match})
}

func (s *Service) restoreTopCode(ctx context.Context, in *TopCodeRef) (*api.Object[StateCode], error) {
	at, err := s.within(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.restoreCode(ctx, &at)
}

// A Window says what is expected of a worker in a state.
type Window struct {
	StateCode int     `json:"state_code"`
	Name      *string `json:"name"`
	Heartbeat int     `json:"heartbeat_seconds"`
	Timeout   int     `json:"timeout_seconds"`
}

type rulesIn struct {
	Ref
	api.Page
}

func (s *Service) windows(ctx context.Context, in *rulesIn) (*api.List[Window], error) {
	r, _, err := s.Store.RulesOf(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	var rows []Window
	for code := 0; code <= 100; code++ {
		if code%5 != 0 && r.byNumber(code) == nil {
			continue
		}
		heartbeat, limit := r.Windows(code)
		w := Window{StateCode: code, Heartbeat: int(heartbeat.Seconds()), Timeout: int(limit.Seconds())}
		if name := r.Name(code); name != "" {
			w.Name = &name
		}
		rows = append(rows, w)
	}
	return api.Window(in.Page, rows)
}
