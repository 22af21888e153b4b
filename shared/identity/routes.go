package identity

import (
	"context"
	"net/http"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
	"bldst/shared/resource"
)

const usersTag = "Users"

// MountUsers adds the endpoints of users and their keys.
func (s *Service) MountUsers(a *api.API) {
	api.Handle(a, api.Op{ID: "create-user", Method: http.MethodPost, Path: "/users", Scope: auth.Admin, Tag: usersTag, Status: http.StatusCreated,
		Summary: "Create a user", Description: "User name and e-mail address are unique.", Request: exampleNewUser, Answer: exampleUser,
		Problems: []problem.Kind{problem.TooMany}}, s.createUser)
	api.Handle(a, api.Op{ID: "list-users", Method: http.MethodGet, Path: "/users", Scope: auth.Admin, Tag: usersTag,
		Summary: "List the users", Answer: []User{exampleUser}}, s.listUsers)
	api.Handle(a, api.Op{ID: "get-me", Method: http.MethodGet, Path: "/users/me", Scope: auth.Any, Tag: usersTag,
		Summary: "Who am I", Description: "The owner of the credential.", Answer: exampleUser}, s.getMe)
	api.Handle(a, api.Op{ID: "get-my-profile", Method: http.MethodGet, Path: "/users/me/profile", Scope: auth.Any, Tag: usersTag,
		Summary: "My profile", Description: "The owner of the credential, and its keys.", Answer: exampleProfile}, s.getMyProfile)
	api.Handle(a, api.Op{ID: "get-user", Method: http.MethodGet, Path: "/users/{id}", Scope: auth.Admin, Tag: usersTag,
		Summary: "Get a user", Description: "By id, user name or e-mail address.", Answer: exampleUser, Problems: []problem.Kind{problem.NotFound}}, s.getUser)
	api.Handle(a, api.Op{ID: "update-user", Method: http.MethodPut, Path: "/users/{id}", Scope: auth.Admin, Tag: usersTag,
		Summary:     "Change a user",
		Description: "What is absent or null stays. is_active false deactivates the user, who can still be read: its JWTs and keys end within 10 seconds. Keys come back with the user, JWTs do not; a new password ends them too.",
		Request:     exampleChange, Answer: exampleUser,
		Problems: []problem.Kind{problem.NotFound, problem.Refused, problem.Conflict, problem.PreconditionFailed, problem.TooMany}}, s.updateUser)
	api.Handle(a, api.Op{ID: "delete-user", Method: http.MethodDelete, Path: "/users/{id}", Scope: auth.Admin, Tag: usersTag, Status: http.StatusNoContent,
		Summary: "Delete a user", Description: "Soft: the user can be restored. All its keys are revoked for good.",
		Problems: []problem.Kind{problem.NotFound, problem.Refused, problem.PreconditionFailed}}, s.deleteUser)
	api.Handle(a, api.Op{ID: "restore-user", Method: http.MethodPost, Path: "/users/{id}/restore", Scope: auth.Admin, Tag: usersTag,
		Summary: "Restore a deleted user", Description: "By id. 409 when its name or e-mail address was taken meanwhile. Its keys stay revoked.",
		Answer: exampleUser, Problems: []problem.Kind{problem.NotFound}}, s.restoreUser)
	api.Handle(a, api.Op{ID: "get-user-profile", Method: http.MethodGet, Path: "/users/{id}/profile", Scope: auth.Any, Tag: usersTag,
		Summary: "Get a user with its keys", Description: "Your own, or anybody's with scope admin.", Answer: exampleProfile,
		Problems: []problem.Kind{problem.NotFound}}, s.getProfile)
	s.mountTokens(a)
}

func (s *Service) mountTokens(a *api.API) {
	api.Handle(a, api.Op{ID: "create-token", Method: http.MethodPost, Path: "/users/{id}/tokens", Scope: auth.Any, Tag: usersTag, Status: http.StatusCreated,
		Summary:     "Make an API key",
		Description: "For yourself, or for anybody with scope admin. A key cannot exceed its owner nor the credential it is made with, in scopes, projects or time.",
		Request:     exampleNewToken, Answer: CreatedToken{Secret: exampleKey, Token: exampleToken},
		Problems: []problem.Kind{problem.NotFound, problem.Refused}}, s.createToken)
	api.Handle(a, api.Op{ID: "list-tokens", Method: http.MethodGet, Path: "/users/{id}/tokens", Scope: auth.Any, Tag: usersTag,
		Summary: "List API keys", Description: "Your own, or anybody's with scope admin. Revoked keys are gone; the keys themselves are never shown.",
		Answer: []Token{exampleToken}, Problems: []problem.Kind{problem.NotFound}}, s.listTokens)
	api.Handle(a, api.Op{ID: "revoke-token", Method: http.MethodDelete, Path: "/users/{id}/tokens/{tid}", Scope: auth.Any, Tag: usersTag, Status: http.StatusNoContent,
		Summary: "Revoke an API key", Description: "Your own, or anybody's with scope admin. The key ends within 10 seconds, for good. A key may end itself, and keys it could have made.",
		Problems: []problem.Kind{problem.NotFound}}, s.revokeToken)
}

// A Ref is the user in a path.
type Ref struct {
	ID string `path:"id" maxLength:"320" doc:"Id, user name or e-mail address; me is the caller."`
}

type createUserIn struct{ Body NewUser }

func (s *Service) createUser(ctx context.Context, in *createUserIn) (*api.Object[User], error) {
	if err := mayManage(ctx); err != nil {
		return nil, err
	}
	leave, err := hashing.enter(ctx)
	if err != nil {
		return nil, err
	}
	a, err := in.Body.Account(s.now())
	leave()
	if err != nil {
		return nil, err
	}
	if err := s.Users.CreateUser(ctx, a); err != nil {
		return nil, err
	}
	return api.Rev(a.Rev, a.Show()), nil
}

type listUsersIn struct {
	api.Page
	Deleted bool `query:"include_deactivated" doc:"Deleted users too, after the others."`
}

func (s *Service) listUsers(ctx context.Context, in *listUsersIn) (*api.List[User], error) {
	if err := mayManage(ctx); err != nil {
		return nil, err
	}
	accounts, next, err := s.Users.ListUsers(ctx, in.Skip, in.Limit, in.Cursor, in.Deleted)
	if err != nil {
		return nil, err
	}
	out := &api.List[User]{Link: in.Next(next), Body: make([]User, len(accounts))}
	for i := range accounts {
		out.Body[i] = accounts[i].Show()
	}
	return out, nil
}

type noInput struct{}

func (s *Service) getMe(ctx context.Context, _ *noInput) (*api.Object[User], error) {
	a, err := s.Users.User(ctx, auth.CallerOf(ctx).UserID, false)
	if err != nil {
		return nil, err
	}
	return api.Rev(a.Rev, a.Show()), nil
}

func (s *Service) getMyProfile(ctx context.Context, _ *noInput) (*api.Object[Profile], error) {
	return s.profile(ctx, me)
}

type getUserIn struct {
	Ref
	Deleted bool `query:"include_deactivated" doc:"A deleted user too; by id only."`
}

func (s *Service) getUser(ctx context.Context, in *getUserIn) (*api.Object[User], error) {
	ref, err := subject(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.Users.User(ctx, ref, in.Deleted)
	if err != nil {
		return nil, err
	}
	return api.Rev(a.Rev, a.Show()), nil
}

type updateUserIn struct {
	Ref
	api.Match
	Body UserChange
}

func (s *Service) updateUser(ctx context.Context, in *updateUserIn) (*api.Object[User], error) {
	ref, err := manage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	leave, err := hashing.enter(ctx)
	if err != nil {
		return nil, err
	}
	hash, err := in.Body.Check()
	leave()
	if err != nil {
		return nil, err
	}
	a, err := s.Users.ChangeUser(ctx, ref, func(a *Account) error {
		if err := in.Match.Check(a.Rev); err != nil {
			return err
		}
		was := *a
		in.Body.Apply(a, hash, s.now())
		return guardSelf(ctx, &was, a)
	})
	if err != nil {
		return nil, err
	}
	return api.Rev(a.Rev, a.Show()), nil
}

type deleteUserIn struct {
	Ref
	api.Match
}

func (s *Service) deleteUser(ctx context.Context, in *deleteUserIn) (*api.Empty, error) {
	ref, err := manage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &api.Empty{}, s.Users.DeleteUser(ctx, ref, func(a *Account) error {
		if err := in.Match.Check(a.Rev); err != nil {
			return err
		}
		return guardSelf(ctx, a, nil)
	})
}

type restoreUserIn struct{ Ref }

func (s *Service) restoreUser(ctx context.Context, in *restoreUserIn) (*api.Object[User], error) {
	ref, err := manage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.Users.RestoreUser(ctx, ref)
	if err != nil {
		return nil, err
	}
	return api.Rev(a.Rev, a.Show()), nil
}

type profileIn struct{ Ref }

func (s *Service) getProfile(ctx context.Context, in *profileIn) (*api.Object[Profile], error) {
	return s.profile(ctx, in.ID)
}

func (s *Service) profile(ctx context.Context, ref string) (*api.Object[Profile], error) {
	ref, err := subject(ctx, ref)
	if err != nil {
		return nil, err
	}
	a, err := s.Users.User(ctx, ref, false)
	if err != nil {
		return nil, err
	}
	tokens, err := s.Tokens.ListTokens(ctx, a)
	if err != nil {
		return nil, err
	}
	u := a.Show()
	return api.Rev(a.Rev, Profile{User: u, UserID: u.ID, StartDate: u.CreatedAt, EndDate: u.DeactivatedAt, Tokens: tokens}), nil
}

type createTokenIn struct {
	Ref
	Body NewToken
}

func (s *Service) createToken(ctx context.Context, in *createTokenIn) (*api.Object[CreatedToken], error) {
	ref, err := subject(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	key := s.NewKey()
	t, err := s.Tokens.CreateToken(ctx, ref, auth.HashKey(key), func(owner *Account) (*Token, error) {
		return s.describe(ctx, in.Body, owner)
	})
	if err != nil {
		return nil, err
	}
	return &api.Object[CreatedToken]{Body: CreatedToken{Secret: key, Token: *t}}, nil
}

// describe returns the key that the caller asks for with n.
func (s *Service) describe(ctx context.Context, n NewToken, owner *Account) (*Token, error) {
	caller := auth.CallerOf(ctx)
	t, err := n.Token(caller, owner, s.now())
	if err != nil {
		return nil, err
	}
	if t.Projects, err = s.Tokens.Projects(ctx, n.Projects); err != nil {
		return nil, err
	}
	return t, t.bind(caller)
}

type listTokensIn struct {
	Ref
	api.Page
}

func (s *Service) listTokens(ctx context.Context, in *listTokensIn) (*api.List[Token], error) {
	ref, err := subject(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.Users.User(ctx, ref, false)
	if err != nil {
		return nil, err
	}
	tokens, err := s.Tokens.ListTokens(ctx, a)
	if err != nil {
		return nil, err
	}
	return api.Window(in.Page, tokens)
}

type revokeTokenIn struct {
	Ref
	TokenID string `path:"tid" maxLength:"100"`
}

func (s *Service) revokeToken(ctx context.Context, in *revokeTokenIn) (*api.Empty, error) {
	ref, err := subject(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &api.Empty{}, s.Tokens.RevokeToken(ctx, ref, in.TokenID, func(owner *Account, t *Token) error {
		return mayRevoke(auth.CallerOf(ctx), owner, t)
	})
}

// manage is subject for changes of the user itself.
func manage(ctx context.Context, ref string) (string, error) {
	if err := mayManage(ctx); err != nil {
		return "", err
	}
	return subject(ctx, ref)
}

// The examples in the OpenAPI document.
var (
	exampleTime = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	exampleName = "Alice Ito"
	exampleUser = User{
		Meta:     resource.Meta{ID: "0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3d", CreatedAt: exampleTime, UpdatedAt: exampleTime},
		Username: "alice", Email: "alice@company.com", FullName: &exampleName, Scopes: defaultScopes(false), IsActive: true,
	}
	exampleNewUser  = NewUser{Names: Names{FullName: &exampleName}, Username: "alice", Email: "alice@company.com", Password: "correct horse", Scopes: defaultScopes(false)}
	exampleChange   = UserChange{Names: Names{FullName: &exampleName}}
	exampleKey      = "bldst_0pT0Tq4l3uTj2VYyqk0T1V8cY0C2m2b1y6d0a9X8w7E"
	exampleKeyName  = "ci"
	exampleNewToken = NewToken{Name: &exampleKeyName, Scopes: defaultScopes(false)}
	exampleToken    = Token{ID: "0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3e", Name: exampleKeyName, Scopes: defaultScopes(false), Projects: []string{}, IsActive: true, CreatedAt: exampleTime}
	exampleProfile  = Profile{User: exampleUser, UserID: exampleUser.ID, StartDate: exampleTime, Tokens: []Token{exampleToken}}
)
