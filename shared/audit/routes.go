package audit

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
)

// A Service serves the audit trail.
type Service struct{ Trail Trail }

// Mount adds the endpoint of the audit trail.
func (s *Service) Mount(a *api.API) {
	api.Handle(a, api.Op{ID: "list-audit", Method: http.MethodGet, Path: "/audit", Scope: auth.Admin, Tag: "Audit",
		Summary:     "Read the audit trail",
		Description: "Newest first. A page may be short although more follow: go on while there is a Link.",
		Answer:      []Entry{example}}, s.list)
}

var example = Entry{
	ID: "0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3d", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Actor: "alice", Credential: "jwt",
	Action: "platform.update", Resource: "platform", ResourceID: "aws-commercial",
	Before:    json.RawMessage(`{"id": "aws-commercial", "region": "us-east-1"}`),
	After:     json.RawMessage(`{"id": "aws-commercial", "region": "us-west-2"}`),
	RequestID: "0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3e",
}

type listIn struct {
	api.Page
	Resource   string   `query:"resource" maxLength:"100" doc:"Only acts on things of this kind, e.g. platform, project, build."`
	ResourceID string   `query:"resource_id" maxLength:"200" doc:"Only acts on the thing with this id."`
	Actor      string   `query:"actor" maxLength:"320" doc:"Only acts of this user."`
	Since      api.Time `query:"since" doc:"Only acts at or after this time."`
}

func (s *Service) list(ctx context.Context, in *listIn) (*api.List[Entry], error) {
	rows, next, err := s.Trail.Audit(ctx, Query{Resource: in.Resource, ResourceID: in.ResourceID, Actor: in.Actor,
		Since: in.Since.Time, Skip: in.Skip, Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	return &api.List[Entry]{Link: in.Next(next), Body: rows}, nil
}
