package build

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// A ResumeService serves what resumes builds: context, plan, requests,
// heartbeats and cancellation.
type ResumeService struct{ Store ResumeStore }

// Mount adds the endpoints of resuming.
func (s *ResumeService) Mount(a *api.API) {
	const tag = "Resume"
	gone := []problem.Kind{problem.NotFound}
	changed := []problem.Kind{problem.NotFound, problem.Refused, problem.Conflict, problem.StaleAttempt, problem.PreconditionFailed}
	api.Handle(a, api.Op{ID: "resume-context", Method: http.MethodGet, Path: "/builds/{id}/resume-context", Scope: auth.Read, Tag: tag,
		Summary: "Get what a worker needs to go on with a build", Description: revealDoc, Problems: gone, Answer: exampleContext}, s.context)
	api.Handle(a, api.Op{ID: "resume-plan", Method: http.MethodGet, Path: "/builds/{id}/resume-plan", Scope: auth.Read, Tag: tag,
		Summary: "Get what a resume of a build would do", Description: "Changes nothing.", Problems: gone, Answer: examplePlan}, s.plan)
	api.Handle(a, api.Op{ID: "resume-plan-with", Method: http.MethodPost, Path: "/builds/{id}/resume-plan", Scope: auth.Read, Tag: tag,
		Summary: "Get what a resume of a build would do with these inputs", Description: "Changes nothing. A state that was completed with another fingerprint must be run again, and all after it.",
		Problems: gone, Request: map[string]any{"from_state": 45, "fingerprints": map[string]string{"25": "sha256:9f86d081"}}, Answer: examplePlan}, s.planWith)
	api.Handle(a, api.Op{ID: "resume-build", Method: http.MethodPost, Path: "/builds/{id}/resume", Scope: auth.Write, Tag: tag, Status: http.StatusCreated,
		Summary: "Resume a build", Description: resumeDoc, Problems: append(changed, resumeReasons...), Request: exampleResumeIn, Answer: exampleRequest}, s.resume)
	api.Handle(a, api.Op{ID: "list-resume-requests", Method: http.MethodGet, Path: "/builds/{id}/resume-requests", Aliases: []string{"/builds/{id}/resume"}, Scope: auth.Read, Tag: tag,
		Summary: "List the resume requests of a build, newest first", Problems: gone, Answer: []Request{exampleRequest}}, s.list)
	api.Handle(a, api.Op{ID: "get-resume-request", Method: http.MethodGet, Path: "/resume-requests/{rid}", Scope: auth.Read, Tag: tag,
		Summary: "Get a resume request", Problems: gone, Answer: exampleRequest}, s.get)
	api.Handle(a, api.Op{ID: "update-resume-request", Method: http.MethodPatch, Path: "/resume-requests/{rid}", Scope: auth.Write, Tag: tag,
		Summary: "Say how the job of a resume request is doing", Problems: changed, Request: map[string]any{"orchestration_status": "triggered"}, Answer: exampleRequest}, s.update)
	api.Handle(a, api.Op{ID: "get-build-resume-request", Method: http.MethodGet, Path: "/builds/{id}/resume/{rid}", Scope: auth.Read, Tag: tag,
		Summary: "Get a resume request of a build", Problems: gone, Answer: exampleRequest}, s.getOf)
	api.Handle(a, api.Op{ID: "update-build-resume-request", Method: http.MethodPatch, Path: "/builds/{id}/resume/{rid}", Scope: auth.Write, Tag: tag,
		Summary: "Say how the job of a resume request of a build is doing", Problems: changed, Request: map[string]any{"orchestration_status": "triggered"}, Answer: exampleRequest}, s.updateOf)
	s.mountWorker(a)
}

const resumeDoc = "Opens the next attempt: from then on reports of the attempt before are refused. It is refused with the reason of the plan, " +
	"unless `force` is true. A build is resumed by one request at a time; a request ends with its attempt, or when somebody says so."

// resumeReasons are the reason codes POST /resume answers with.
var resumeReasons = slices.Sorted(maps.Keys(reasons))

type contextIn struct {
	Ref
	Reveal
}

func (s *ResumeService) context(ctx context.Context, in *contextIn) (*api.Object[Context], error) {
	if err := in.check(ctx); err != nil {
		return nil, err
	}
	m, err := s.Store.Materials(ctx, in.ID, in.Reveal.Reveal)
	if err != nil {
		return nil, err
	}
	return api.Rev(m.Build.Rev, NewContext(m)), nil
}

type planIn struct {
	Ref
	From api.Optional[int] `query:"from" minimum:"0" maximum:"100" doc:"The first state to run. Default: where the build failed, else where it is."`
}

func (s *ResumeService) plan(ctx context.Context, in *planIn) (*api.Object[*Plan], error) {
	return s.planOf(ctx, in.ID, in.From.Get(), nil)
}

type planWithIn struct {
	Ref
	Body *struct {
		From         *int              `json:"from_state,omitempty" minimum:"0" maximum:"100" doc:"The first state to run. Default: where the build failed, else where it is."`
		Fingerprints map[string]string `json:"fingerprints,omitempty" doc:"Of the inputs of states, by code, as they are now."`
		Next         *int              `json:"next_state,omitempty" minimum:"0" maximum:"100" doc:"A worker that is about to do this state asks what it has to do. Not together with from_state."`
		Kept         int               `json:"kept_attempt,omitempty" minimum:"0" maximum:"1000000" doc:"The attempt of which everything its states have left is still where the worker of next_state is. Default: none; then the newest checkpoints are restored."`
	}
}

func (s *ResumeService) planWith(ctx context.Context, in *planWithIn) (*api.Object[*Plan], error) {
	if in.Body == nil {
		return s.planOf(ctx, in.ID, nil, nil)
	}
	prints, err := fingerprints(in.Body.Fingerprints)
	if err != nil {
		return nil, err
	}
	if in.Body.Next == nil {
		return s.planOf(ctx, in.ID, in.Body.From, prints)
	}
	if in.Body.From != nil {
		return nil, problem.BadField("next_state", "value_error", "Either from_state or next_state")
	}
	m, err := s.Store.Materials(ctx, in.ID, false)
	if err != nil {
		return nil, err
	}
	step := NextStep{State: *in.Body.Next, Kept: in.Body.Kept}
	return api.Rev(m.Build.Rev, NewStepPlan(m, step, prints)), nil
}

func (s *ResumeService) planOf(ctx context.Context, ref string, from *int, prints map[int]string) (*api.Object[*Plan], error) {
	m, err := s.Store.Materials(ctx, ref, false)
	if err != nil {
		return nil, err
	}
	return api.Rev(m.Build.Rev, NewPlan(m, from, prints)), nil
}

type resumeIn struct {
	Ref
	api.Match
	Body ResumeIn
}

func (s *ResumeService) resume(ctx context.Context, in *resumeIn) (*api.Object[*Request], error) {
	if c := auth.CallerOf(ctx); c != nil && in.Body.RequestedBy == "" {
		in.Body.RequestedBy = c.UserID
	}
	if err := in.Body.check(); err != nil {
		return nil, err
	}
	return requestAnswer(s.Store.AddRequest(ctx, in.ID, func(m *Materials, id string) (*Request, error) {
		if err := in.Check(m.Build.Rev); err != nil {
			return nil, err
		}
		return in.Body.Request(m, id)
	}))
}

func requestAnswer(r *Request, err error) (*api.Object[*Request], error) {
	if err != nil {
		return nil, err
	}
	return api.Rev(r.Rev, r), nil
}

func (s *ResumeService) list(ctx context.Context, in *rowsIn) (*api.List[*Request], error) {
	rs, next, err := s.Store.Requests(ctx, in.ID, PageQuery{in.Skip, in.Limit, in.Cursor})
	if err != nil {
		return nil, err
	}
	return &api.List[*Request]{Link: in.Next(next), Body: rs}, nil
}

// A RequestRef is the resume request in a path.
type RequestRef struct {
	RID string `path:"rid" maxLength:"200" doc:"Id of the resume request."`
}

func (s *ResumeService) get(ctx context.Context, in *RequestRef) (*api.Object[*Request], error) {
	return requestAnswer(s.Store.Request(ctx, "", in.RID))
}

type getOfIn struct {
	Ref
	RequestRef
}

func (s *ResumeService) getOf(ctx context.Context, in *getOfIn) (*api.Object[*Request], error) {
	return requestAnswer(s.Store.Request(ctx, in.ID, in.RID))
}

// change applies p to the request id of the build ref, "" for any.
func (s *ResumeService) change(ctx context.Context, ref, id string, match api.Match, p RequestPatch) (*api.Object[*Request], error) {
	return requestAnswer(s.Store.ChangeRequest(ctx, ref, id, func(r *Request, b *Build, rules Rules, now time.Time) error {
		if err := match.Check(r.Rev); err != nil {
			return err
		}
		return p.Apply(r, b, rules, now)
	}))
}

type updateRequestIn struct {
	RequestRef
	api.Match
	Body RequestPatch
}

func (s *ResumeService) update(ctx context.Context, in *updateRequestIn) (*api.Object[*Request], error) {
	return s.change(ctx, "", in.RID, in.Match, in.Body)
}

type updateOfIn struct {
	Ref
	RequestRef
	api.Match
	Body RequestPatch
}

func (s *ResumeService) updateOf(ctx context.Context, in *updateOfIn) (*api.Object[*Request], error) {
	return s.change(ctx, in.ID, in.RID, in.Match, in.Body)
}
