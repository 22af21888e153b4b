package build

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// An ArtifactService serves the artifacts of builds.
type ArtifactService struct{ Store ArtifactStore }

// Mount adds the endpoints of artifacts.
func (s *ArtifactService) Mount(a *api.API) {
	const tag = "Artifacts"
	gone := []problem.Kind{problem.NotFound}
	made := []problem.Kind{problem.NotFound, problem.Conflict, problem.StaleAttempt}
	changed := append(made, problem.PreconditionFailed)
	api.Handle(a, api.Op{ID: "create-artifact", Method: http.MethodPost, Path: "/builds/{id}/artifacts", Scope: auth.Write, Tag: tag, Status: http.StatusCreated,
		Summary: "Register an artifact of a build", Description: "Also after the build has ended.", Problems: made, Request: exampleArtifactIn, Answer: exampleArtifact}, s.create)
	api.Handle(a, api.Op{ID: "list-artifacts", Method: http.MethodGet, Path: "/builds/{id}/artifacts", Scope: auth.Read, Tag: tag,
		Summary: "List the artifacts of a build, by state and age", Problems: gone, Answer: []Artifact{exampleArtifact}}, s.list)
	api.Handle(a, api.Op{ID: "get-artifact", Method: http.MethodGet, Path: "/builds/{id}/artifacts/{aid}", Scope: auth.Read, Tag: tag,
		Summary: "Get an artifact", Problems: gone, Answer: exampleArtifact}, s.get)
	api.Handle(a, api.Op{ID: "update-artifact", Method: http.MethodPatch, Path: "/builds/{id}/artifacts/{aid}", Scope: auth.Write, Tag: tag,
		Summary: "Change an artifact", Problems: changed, Request: map[string]any{"is_final": true}, Answer: exampleArtifact}, s.update)
	api.Handle(a, api.Op{ID: "delete-artifact", Method: http.MethodDelete, Path: "/builds/{id}/artifacts/{aid}", Scope: auth.Admin, Tag: tag, Status: http.StatusNoContent,
		Summary: "Delete an artifact", Description: "Soft: it can be restored. The thing itself is not touched.", Problems: changed}, s.delete)
	api.Handle(a, api.Op{ID: "restore-artifact", Method: http.MethodPost, Path: "/builds/{id}/artifacts/{aid}/restore", Scope: auth.Admin, Tag: tag,
		Summary: "Bring a deleted artifact back", Problems: changed, Answer: exampleArtifact}, s.restore)
	api.Handle(a, api.Op{ID: "revoke-artifact", Method: http.MethodPost, Path: "/builds/{id}/artifacts/{aid}/revoke", Scope: auth.Write, Tag: tag,
		Summary: "Forbid to resume from an artifact, for ever", Problems: changed, Request: map[string]any{"reason": "built on a compromised runner"}, Answer: exampleArtifact}, s.revoke)
}

type createArtifactIn struct {
	Ref
	Body ArtifactIn
}

func (s *ArtifactService) create(ctx context.Context, in *createArtifactIn) (*api.Object[*Artifact], error) {
	return artifactAnswer(s.Store.AddArtifact(ctx, in.ID, in.Body.ArtifactName, in.Body.Artifact))
}

func artifactAnswer(a *Artifact, err error) (*api.Object[*Artifact], error) {
	if err != nil {
		return nil, err
	}
	return api.Rev(a.Rev, a), nil
}

type listArtifactsIn struct {
	Ref
	api.Page
	StateCode   api.Optional[int] `query:"state_code" minimum:"0" maximum:"100" doc:"Only those of that state."`
	State       api.Optional[int] `query:"state" minimum:"0" maximum:"100" doc:"Alias of state_code."`
	Type        string            `query:"artifact_type" maxLength:"100" doc:"Only those of that type."`
	IsResumable string            `query:"is_resumable" maxLength:"10" doc:"true or false."`
	Resumable   string            `query:"resumable" maxLength:"10" doc:"Alias of is_resumable."`
	IsFinal     string            `query:"is_final" maxLength:"10" doc:"true or false."`
	Deleted     bool              `query:"include_deactivated" doc:"Deleted ones too."`
}

func (s *ArtifactService) list(ctx context.Context, in *listArtifactsIn) (*api.List[*Artifact], error) {
	q := ArtifactQuery{Type: in.Type, Deleted: in.Deleted, PageQuery: PageQuery{in.Skip, in.Limit, in.Cursor}}
	if q.State = in.StateCode.Get(); q.State == nil {
		q.State = in.State.Get()
	}
	var err error
	if q.Resumable, err = queryFlag("is_resumable", either(in.IsResumable, in.Resumable)); err != nil {
		return nil, err
	}
	if q.Final, err = queryFlag("is_final", in.IsFinal); err != nil {
		return nil, err
	}
	as, next, err := s.Store.Artifacts(ctx, in.ID, q)
	if err != nil {
		return nil, err
	}
	return &api.List[*Artifact]{Link: in.Next(next), Body: as}, nil
}

// queryFlag reads a query parameter that is true, false or absent, in the
// spellings older callers use.
func queryFlag(name, s string) (*bool, error) {
	if s == "" {
		return nil, nil
	}
	v, err := strconv.ParseBool(strings.ToLower(s))
	switch strings.ToLower(s) {
	case "yes", "on", "y":
		v, err = true, nil
	case "no", "off", "n":
		v, err = false, nil
	}
	if err != nil {
		return nil, &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"query", name}, Msg: "Expected true or false", Type: "type_error"}}}
	}
	return &v, nil
}

// An ArtifactRef is the artifact in a path.
type ArtifactRef struct {
	Ref
	Artifact string `path:"aid" maxLength:"200" doc:"Id or name of the artifact."`
}

type getArtifactIn struct {
	ArtifactRef
	Deleted bool `query:"include_deactivated" doc:"Also when it is deleted."`
}

func (s *ArtifactService) get(ctx context.Context, in *getArtifactIn) (*api.Object[*Artifact], error) {
	return artifactAnswer(s.Store.Artifact(ctx, in.ID, in.Artifact, in.Deleted))
}

type updateArtifactIn struct {
	ArtifactRef
	api.Match
	Body api.Partial[ArtifactPatch]
}

func (s *ArtifactService) update(ctx context.Context, in *updateArtifactIn) (*api.Object[*Artifact], error) {
	var p ArtifactPatch
	if err := in.Body.Apply(&p); err != nil {
		return nil, err
	}
	return artifactAnswer(s.Store.ChangeArtifact(ctx, in.ID, in.Artifact, false, func(a *Artifact, _ time.Time) (Kind, error) {
		if err := in.Check(a.Rev); err != nil {
			return "", err
		}
		return ArtifactChanged, p.Apply(a, in.Body.Null)
	}))
}

type deleteArtifactIn struct {
	ArtifactRef
	api.Match
}

func (s *ArtifactService) delete(ctx context.Context, in *deleteArtifactIn) (*api.Empty, error) {
	_, err := s.Store.ChangeArtifact(ctx, in.ID, in.Artifact, false, func(a *Artifact, now time.Time) (Kind, error) {
		a.DeletedAt = &now
		return ArtifactDeleted, in.Check(a.Rev)
	})
	return nil, err
}

func (s *ArtifactService) restore(ctx context.Context, in *deleteArtifactIn) (*api.Object[*Artifact], error) {
	a, err := s.Store.Artifact(ctx, in.ID, in.Artifact, true)
	if err != nil || a.DeletedAt == nil {
		return artifactAnswer(a, err)
	}
	return artifactAnswer(s.Store.ChangeArtifact(ctx, in.ID, a.ID, true, func(a *Artifact, _ time.Time) (Kind, error) {
		a.DeletedAt = nil
		return ArtifactRestored, in.Check(a.Rev)
	}))
}

type revokeArtifactIn struct {
	ArtifactRef
	api.Match
	Body struct {
		Reason string `json:"reason" required:"true" minLength:"1" maxLength:"2000" doc:"Why it must not be used any more."`
		Claimed
	}
}

func (s *ArtifactService) revoke(ctx context.Context, in *revokeArtifactIn) (*api.Object[*Artifact], error) {
	user, _ := auth.Actor(ctx)
	return artifactAnswer(s.Store.ChangeArtifact(ctx, in.ID, in.Artifact, false, func(a *Artifact, now time.Time) (Kind, error) {
		if a.RevokedAt == nil { // the first reason stands
			a.RevokedAt, a.RevokedBy, a.RevokeReason = &now, &user, &in.Body.Reason
		}
		return ArtifactRevoked, in.Check(a.Rev)
	}))
}
