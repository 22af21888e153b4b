package build

import (
	"context"
	"net/http"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// A JobService serves the jobs of builds.
type JobService struct{ Store JobStore }

// Mount adds the endpoints of jobs.
func (s *JobService) Mount(a *api.API) {
	const tag = "Jobs"
	gone := []problem.Kind{problem.NotFound}
	api.Handle(a, api.Op{ID: "create-job", Method: http.MethodPost, Path: "/builds/{id}/jobs", Scope: auth.Write, Tag: tag, Status: http.StatusCreated,
		Summary: "Register the CI job that works on a build", Problems: []problem.Kind{problem.NotFound, problem.StaleAttempt}, Request: exampleJobIn, Answer: exampleJob}, s.create)
	api.Handle(a, api.Op{ID: "list-jobs", Method: http.MethodGet, Path: "/builds/{id}/jobs", Scope: auth.Read, Tag: tag,
		Summary: "List the CI jobs of a build, newest first", Problems: gone, Answer: []Job{exampleJob}}, s.list)
	api.Handle(a, api.Op{ID: "update-job", Method: http.MethodPatch, Path: "/builds/{id}/jobs/{jid}", Scope: auth.Write, Tag: tag,
		Summary: "Change how a CI job is going", Problems: []problem.Kind{problem.NotFound, problem.Conflict, problem.StaleAttempt, problem.PreconditionFailed},
		Request: map[string]any{"status": "success"}, Answer: exampleJob}, s.update)
}

type createJobIn struct {
	Ref
	Body JobIn
}

func (s *JobService) create(ctx context.Context, in *createJobIn) (*api.Object[*Job], error) {
	return jobAnswer(s.Store.AddJob(ctx, in.ID, in.Body.Job))
}

func jobAnswer(j *Job, err error) (*api.Object[*Job], error) {
	if err != nil {
		return nil, err
	}
	return api.Rev(j.Rev, j), nil
}

func (s *JobService) list(ctx context.Context, in *rowsIn) (*api.List[*Job], error) {
	js, next, err := s.Store.Jobs(ctx, in.ID, PageQuery{in.Skip, in.Limit, in.Cursor})
	if err != nil {
		return nil, err
	}
	return &api.List[*Job]{Link: in.Next(next), Body: js}, nil
}

type updateJobIn struct {
	Ref
	Job string `path:"jid" maxLength:"200" doc:"Id of the job, as the API made it."`
	api.Match
	Body JobPatch
}

func (s *JobService) update(ctx context.Context, in *updateJobIn) (*api.Object[*Job], error) {
	return jobAnswer(s.Store.ChangeJob(ctx, in.ID, in.Job, func(j *Job, now time.Time) error {
		if err := in.Check(j.Rev); err != nil {
			return err
		}
		return in.Body.Apply(j, now)
	}))
}
