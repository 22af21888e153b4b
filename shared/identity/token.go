package identity

import (
	"context"
	"slices"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// MaxKeys is how many keys a user may have at a time: few enough for all of
// them to change in one transaction with their owner.
const MaxKeys = 50

// A Token is an API key as callers see it: never the key itself.
type Token struct {
	ID          string     `json:"id"`
	Name        string     `json:"name" example:"ci"`
	Description *string    `json:"description"`
	Scopes      []string   `json:"scopes"`
	Projects    []string   `json:"projects" doc:"Ids of the projects it is bound to; empty is all."`
	ExpiresAt   *time.Time `json:"expires_at" doc:"null is never."`
	IsActive    bool       `json:"is_active" doc:"It has not expired, and its owner is active."`
	CreatedAt   time.Time  `json:"created_at"`
	LastUsedAt  *time.Time `json:"last_used_at" doc:"To the hour."`
}

// A CreatedToken is the answer that shows the key, once.
type CreatedToken struct {
	Secret string `json:"token" doc:"The key. It is shown this once and cannot be read again." example:"bldst_0pT0Tq4l3uTj2VYyqk0T1V8cY0C2m2b1y6d0a9X8w7E"`
	Token
}

// NewToken is the body of POST /users/{id}/tokens.
type NewToken struct {
	Name          *string   `json:"name,omitempty" maxLength:"100" example:"ci" doc:"Required, unless there is a description. Need not be unique."`
	Description   *string   `json:"description,omitempty" maxLength:"500"`
	Scopes        []string  `json:"scopes,omitempty" maxItems:"50" doc:"Default: read and write, as far as the owner and the caller have them. Unknown scopes are kept and grant nothing."`
	Projects      []string  `json:"projects,omitempty" maxItems:"20" doc:"Ids or names of the projects it is bound to; default: all the caller's credential may see."`
	ExpiresInDays *int      `json:"expires_in_days,omitempty" minimum:"1" maximum:"36500"`
	ExpiresAt     *api.Time `json:"expires_at,omitempty" doc:"Or expires_in_days. Default: with the key it is made with, else never."`
}

// Token returns the key's description, without an id, as caller may make it
// for owner at the time now. Forbidden when it would exceed one of them.
func (n *NewToken) Token(caller *auth.Caller, owner *Account, now time.Time) (*Token, error) {
	if !owner.Active() {
		return nil, problem.New(problem.Refused, "User '%s' is deactivated; its keys would not work.", owner.Username)
	}
	t := &Token{Description: text(n.Description), Projects: n.Projects, IsActive: true}
	name := text(n.Name)
	if name == nil {
		name = t.Description
	}
	if name == nil {
		return nil, problem.Missing("name")
	}
	t.Name = *name
	var err error
	if t.Scopes, err = n.scopes(caller, owner); err != nil {
		return nil, err
	}
	t.ExpiresAt, err = n.expiry(caller, now)
	return t, err
}

func (n *NewToken) scopes(caller *auth.Caller, owner *Account) ([]string, error) {
	if n.Scopes == nil {
		return auth.Common(auth.Common(defaultScopes(false), owner.Scopes), caller.Scopes), nil
	}
	if err := checkScopes(n.Scopes); err != nil {
		return nil, err
	}
	if s := (&auth.Caller{Scopes: owner.Scopes}).Exceeds(n.Scopes); s != "" {
		return nil, problem.New(problem.Forbidden, "A key cannot exceed its owner: user '%s' does not have the scope %s.", owner.Username, s)
	}
	if s := caller.Exceeds(n.Scopes); s != "" {
		return nil, problem.New(problem.Forbidden, "A key cannot exceed the credential it is made with, which does not have the scope %s.", s)
	}
	return distinct(n.Scopes), nil
}

// expiry returns when the key ends: when it was asked for, or else with the
// credential it is made with. Forbidden when it would outlive that.
func (n *NewToken) expiry(caller *auth.Caller, now time.Time) (*time.Time, error) {
	at, err := n.wantedExpiry(now)
	if err != nil {
		return nil, err
	}
	if at == nil && !caller.ExpiresAt.IsZero() {
		end := caller.ExpiresAt
		return &end, nil
	}
	if caller.Outlives(at) {
		return nil, problem.New(problem.Forbidden, "A key cannot outlive the credential it is made with, which ends at %s.", caller.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return at, nil
}

func (n *NewToken) wantedExpiry(now time.Time) (*time.Time, error) {
	var at time.Time
	switch {
	case n.ExpiresInDays != nil && n.ExpiresAt != nil:
		return nil, problem.BadField("expires_at", "value_error", "Give expires_at or expires_in_days, not both")
	case n.ExpiresInDays != nil:
		at = now.AddDate(0, 0, *n.ExpiresInDays)
	case n.ExpiresAt != nil && n.ExpiresAt.At() == nil:
		return nil, noTime("expires_at")
	case n.ExpiresAt != nil:
		if at = *n.ExpiresAt.At(); !at.After(now) {
			return nil, problem.BadField("expires_at", "value_error", "Must be in the future")
		}
	default:
		return nil, nil
	}
	return &at, nil
}

// bind limits t, whose projects are ids, to those of caller: a credential
// bound to projects makes keys for these or fewer. Forbidden for others.
func (t *Token) bind(caller *auth.Caller) error {
	if len(t.Projects) == 0 {
		t.Projects = slices.Clone(caller.Projects)
	}
	for _, id := range t.Projects {
		if !caller.AllowsProject(id) {
			return problem.New(problem.Forbidden, "A key cannot exceed the credential it is made with, which is not for project '%s'.", id)
		}
	}
	t.Projects = distinct(t.Projects)
	return nil
}

// Tokens keeps API keys.
type Tokens interface {
	// Projects returns the ids of projects given by id or name; NotFound names
	// the first that does not exist.
	Projects(ctx context.Context, refs []string) ([]string, error)
	// CreateToken stores the key with the hash for the user ref. describe says
	// what it is, for the account it is given; it is asked again when that
	// changes meanwhile, and its problems are returned. The id and the time are
	// set here. Refused when the user has MaxKeys keys.
	CreateToken(ctx context.Context, ref, hash string, describe func(*Account) (*Token, error)) (*Token, error)
	// ListTokens returns the keys of an account, oldest first.
	ListTokens(ctx context.Context, owner *Account) ([]Token, error)
	// RevokeToken ends a key at once and for good, unless check refuses; NotFound
	// when the user ref has no such key.
	RevokeToken(ctx context.Context, ref, tokenID string, check func(*Account, *Token) error) error
}

// mayRevoke refuses caller to end the key t of owner when it could not have
// made it. Every key may end itself, and administrators may end all.
func mayRevoke(caller *auth.Caller, owner *Account, t *Token) error {
	if caller.Credential == "key:"+t.ID || caller.Allows(auth.Admin) && len(caller.Projects) == 0 {
		return nil
	}
	refusal := func(what string) error {
		return problem.New(problem.Forbidden, "A credential cannot revoke a key that is more than itself: key '%s' %s.", t.ID, what)
	}
	if s := caller.Exceeds(auth.Common(t.Scopes, owner.Scopes)); s != "" {
		return refusal("has the scope " + s)
	}
	if len(caller.Projects) > 0 && (len(t.Projects) == 0 || slices.ContainsFunc(t.Projects, func(id string) bool { return !caller.AllowsProject(id) })) {
		return refusal("is for other projects")
	}
	if caller.Outlives(t.ExpiresAt) {
		return refusal("lives longer")
	}
	return nil
}
