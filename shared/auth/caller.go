// Package auth turns the credential of a request into a caller with scopes. It
// is the only importer of golang-jwt.
package auth

import (
	"context"
	"slices"
	"time"
)

// A Scope is a permission. Admin includes write, write includes read.
type Scope string

// The scopes an endpoint may ask for. Public asks for nothing, Any for any
// valid credential.
const (
	Public Scope = ""
	Any    Scope = "any"
	Read   Scope = "read"
	Write  Scope = "write"
	Admin  Scope = "admin"
)

// A Caller is who presents a credential. Scopes are those of the credential,
// never of its owner.
type Caller struct {
	UserID     string   // the owner
	Username   string   // the owner's name
	Credential string   // "key:<token id>" or "jwt": what was presented, for the audit trail
	Scopes     []string // unknown scopes are kept and grant nothing
	Projects   []string // ids of the projects the credential is bound to; empty is all

	ExpiresAt time.Time // of a key; zero is never. A JWT stands for its owner, who can sign in again, and has none
}

// Allows reports whether c may call an endpoint that asks for s.
func (c *Caller) Allows(s Scope) bool {
	switch s {
	case Public:
		return true
	case Any:
		return c != nil
	}
	return c != nil && slices.ContainsFunc(c.Scopes, func(have string) bool { return includes(Scope(have), s) })
}

// AllowsProject reports whether c may see the builds of the project id.
func (c *Caller) AllowsProject(id string) bool {
	return c != nil && (len(c.Projects) == 0 || slices.Contains(c.Projects, id))
}

// Exceeds returns the first of scopes that c may not hand out: a credential
// cannot exceed the one it was made with. Unknown scopes grant nothing and so
// exceed nothing. It returns "" when c may hand out all.
func (c *Caller) Exceeds(scopes []string) string {
	for _, s := range scopes {
		if rank(Scope(s)) > 0 && !c.Allows(Scope(s)) {
			return s
		}
	}
	return ""
}

// Outlives reports whether a key that ends at until, nil for never, would still
// be good when the credential of c has ended.
func (c *Caller) Outlives(until *time.Time) bool {
	return !c.ExpiresAt.IsZero() && (until == nil || until.After(c.ExpiresAt))
}

func includes(have, want Scope) bool { return rank(have) >= rank(want) && rank(have) > 0 }

func rank(s Scope) int { return slices.Index([]Scope{Public, Read, Write, Admin}, s) }

// A Request is what is known of the request that is being served: its id and,
// once the credential was checked, its caller. It travels in the context; the
// API makes it, the domain reads it.
type Request struct {
	ID      string
	Address string  // of who sends it, as the gateway saw it; "" when unknown
	Caller  *Caller // nil on public endpoints and outside a request
	Claim   Claim   // of a write below a build
}

// A Claim is what who writes below a build says of itself. The zero value is a
// caller that knows neither attempts nor workers.
type Claim struct {
	Attempt  int    // of the build it belongs to; 0 when it does not say
	Worker   string // its name
	TakeOver bool   // it replaces whoever holds the build
}

type requestKey struct{}

// WithRequest returns a context that carries r.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestOf returns the request of ctx; outside one, an empty Request.
func RequestOf(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}

// CallerOf returns who makes the request of ctx; nil on public endpoints and
// outside a request.
func CallerOf(ctx context.Context) *Caller { return RequestOf(ctx).Caller }

// Actor returns the names under which the caller of ctx stands in histories
// and the audit trail: the user and the credential. Outside a request that is
// the system itself.
func Actor(ctx context.Context) (user, credential string) {
	if c := CallerOf(ctx); c != nil {
		return c.Username, c.Credential
	}
	return "system", ""
}
