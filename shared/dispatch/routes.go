package dispatch

import (
	"context"
	"net/http"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/outbound"
	"bldst/shared/problem"
)

// A Service serves which CI a project has.
type Service struct {
	Store Store
	Allow outbound.Allow
}

// A ProjectRef is the project in a path.
type ProjectRef struct {
	Project string `path:"project" maxLength:"200" doc:"Id or name of the project."`
}

type putIn struct {
	ProjectRef
	api.Match
	Body CI
}

type deleteIn struct {
	ProjectRef
	api.Match
}

var (
	exampleCI  = CI{Kind: Jenkins, URL: "https://jenkins.example.com", Job: "images/rhel-9", Credential: "ssm:/bldst/ci/jenkins"}
	exampleRow = ProjectCI{CI: exampleCI, ProjectID: "018d64e2-0000-7000-8000-000000000002", UpdatedBy: "alice"}
)

// Mount adds the endpoints of a project's CI. Changing it needs admin: who
// names the address and the credential decides where the credential is sent.
func (s *Service) Mount(a *api.API) {
	const path, tag = "/projects/{project}/ci", "Projects"
	gone := []problem.Kind{problem.NotFound}
	changed := append(gone, problem.Refused, problem.PreconditionFailed)
	api.Handle(a, api.Op{ID: "get-project-ci", Method: http.MethodGet, Path: path, Scope: auth.Read, Tag: tag,
		Summary: "Get the CI that goes on with the builds of a project", Problems: gone, Answer: exampleRow}, s.get)
	api.Handle(a, api.Op{ID: "put-project-ci", Method: http.MethodPut, Path: path, Scope: auth.Admin, Tag: tag,
		Summary: "Set the CI that goes on with the builds of a project", Description: putDoc, Problems: changed, Request: exampleCI, Answer: exampleRow}, s.put)
	api.Handle(a, api.Op{ID: "delete-project-ci", Method: http.MethodDelete, Path: path, Scope: auth.Admin, Tag: tag, Status: http.StatusNoContent,
		Summary: "Remove the CI of a project", Problems: changed}, s.delete)
}

const putDoc = "For every resume the job is started with the parameters build_id, resume_mode, resume_from_state and attempt " +
	"(jenkins and gitlab-ci: BUILD_ID, RESUME_MODE, RESUME_FROM_STATE, ATTEMPT), and with resume_targets (RESUME_TARGETS), separated by commas, " +
	"when some targets of that state are done. Whole: what is not given is not kept."

func (s *Service) get(ctx context.Context, in *ProjectRef) (*api.Object[ProjectCI], error) {
	r, err := s.Store.CI(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	return api.Rev(r.Rev, *r), nil
}

func (s *Service) put(ctx context.Context, in *putIn) (*api.Object[ProjectCI], error) {
	ci := in.Body
	if err := ci.Check(s.Allow); err != nil {
		return nil, err
	}
	r, err := s.Store.ChangeCI(ctx, in.Project, func(r *ProjectCI) error {
		if err := in.Check(r.Rev); err != nil {
			return err
		}
		r.CI = ci
		r.UpdatedBy, _ = auth.Actor(ctx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.Rev(r.Rev, *r), nil
}

func (s *Service) delete(ctx context.Context, in *deleteIn) (*api.Empty, error) {
	return nil, s.Store.DeleteCI(ctx, in.Project, func(r *ProjectCI) error { return in.Check(r.Rev) })
}
