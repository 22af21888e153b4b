package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"bldst/shared/problem"
)

// CacheFor is how long a credential that was found good is not looked up
// again: a revoked key and a deactivated user's tokens work at most that long.
// badFor is the same for a credential that was found bad, missing the time in
// which a key that was just made, or a user who was just let in again, is
// still refused.
const (
	CacheFor = 10 * time.Second
	badFor   = 2 * time.Second
)

// cacheSize bounds the memory of a cache; beyond it credentials are looked up
// again sooner.
const cacheSize = 4096

// maxKey and maxJWT are the longest credentials that are looked at.
const (
	maxKey = 256
	maxJWT = 4096
)

// KeyPrefix begins every API key made here, so that a leaked one is recognised
// by secret scanners.
const KeyPrefix = "bldst_"

// NewKey returns a new API key: 256 random bits. Only its hash is ever stored.
func NewKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return KeyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// HashKey returns the SHA-256 of an API key, in hex: what it is stored and
// found under. Keys are random, so a slow hash would add nothing.
func HashKey(key string) string {
	h := sha256.Sum256([]byte(key))
	return hex.EncodeToString(h[:])
}

// An Owner is the user behind a credential.
type Owner struct {
	UserID    string
	Username  string
	Scopes    []string
	Active    bool
	NotBefore time.Time // when its JWTs last ended: with a new password, or when it was deactivated; zero is never
}

func (o *Owner) since() int64 {
	if o.NotBefore.IsZero() {
		return 0
	}
	return o.NotBefore.UnixMicro()
}

// A Token is a stored API key: everything that decides what it may do, so that
// one read is enough. Its Owner is as current as the token itself.
type Token struct {
	ID        string
	Owner     Owner
	Scopes    []string
	Projects  []string  // ids of the projects it is bound to; empty is all
	ExpiresAt time.Time // zero is never
}

// A Source finds what a credential stands for, with one read each. Both
// methods return a NotFound problem for what does not exist or was deleted or
// revoked.
type Source interface {
	TokenByHash(ctx context.Context, hash string) (*Token, error)
	OwnerByID(ctx context.Context, userID string) (*Owner, error)
}

// Keys decides who makes a request. It is safe for concurrent use; a
// credential seen within CacheFor costs no read and well under a microsecond.
// It implements api.Authenticator.
type Keys struct {
	source Source
	signer *Signer
	now    func() time.Time
	keys   *cache
	jwts   *cache
}

// NewKeys returns Keys that look credentials up in source and verify the JWTs
// of signer. now is the clock.
func NewKeys(source Source, signer *Signer, now func() time.Time) *Keys {
	return &Keys{source: source, signer: signer, now: now, keys: newCache(cacheSize), jwts: newCache(cacheSize)}
}

// Authenticate returns the caller who presents an API key, a JWT or both; the
// key is looked at first, and a bad one does no harm when the other is good.
// The Caller is shared: do not change it. Unauthorized when neither is good;
// an error of the table is returned as it is.
func (k *Keys) Authenticate(ctx context.Context, apiKey, bearer string) (*Caller, error) {
	refusal := errNone
	if apiKey != "" {
		c, err := k.byKey(ctx, apiKey)
		if !problem.Is(err, problem.Unauthorized) {
			return c, err
		}
		refusal = err
	}
	if bearer != "" {
		c, err := k.byJWT(ctx, bearer)
		if !problem.Is(err, problem.Unauthorized) {
			return c, err
		}
		if apiKey == "" {
			refusal = err
		}
	}
	return nil, refusal
}

func unauthorized(text string) error { return problem.New(problem.Unauthorized, "%s", text) }

// The refusals. They never say which part of a credential is wrong.
var (
	errNone    = unauthorized("Authentication required. Use Bearer token or X-API-Key.")
	errKey     = unauthorized("Invalid API key")
	errJWT     = unauthorized("Could not validate credentials")
	errExpired = unauthorized("Token has expired")
)

func (k *Keys) byKey(ctx context.Context, key string) (*Caller, error) {
	if len(key) > maxKey {
		return nil, errKey
	}
	sum, now := sha256.Sum256([]byte(key)), k.now()
	if e, ok := k.keys.get(sum, now); ok {
		return e.caller, e.err
	}
	t, err := k.source.TokenByHash(ctx, hex.EncodeToString(sum[:]))
	if problem.Is(err, problem.NotFound) {
		return k.keys.refuse(sum, now, errKey)
	}
	if err != nil {
		return nil, err
	}
	if !t.Owner.Active || !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
		return k.keys.refuse(sum, now, errKey)
	}
	c := &Caller{UserID: t.Owner.UserID, Username: t.Owner.Username, Credential: "key:" + t.ID,
		Scopes: Common(t.Scopes, t.Owner.Scopes), Projects: t.Projects, ExpiresAt: t.ExpiresAt}
	return k.keys.accept(sum, now, c, t.ExpiresAt)
}

func (k *Keys) byJWT(ctx context.Context, token string) (*Caller, error) {
	if len(token) > maxJWT {
		return nil, errJWT
	}
	sum, now := sha256.Sum256([]byte(token)), k.now()
	if e, ok := k.jwts.get(sum, now); ok {
		return e.caller, e.err
	}
	said, err := k.signer.verify(token, now)
	if errors.Is(err, errStale) {
		return nil, errExpired
	}
	if err != nil {
		return nil, errJWT
	}
	o, err := k.source.OwnerByID(ctx, said.UserID)
	if problem.Is(err, problem.NotFound) {
		return k.jwts.refuse(sum, now, errJWT)
	}
	if err != nil {
		return nil, err
	}
	if !o.Active || o.since() != said.Since {
		return k.jwts.refuse(sum, now, errJWT)
	}
	c := &Caller{UserID: o.UserID, Username: o.Username, Credential: "jwt", Scopes: o.Scopes}
	return k.jwts.accept(sum, now, c, said.ExpiresAt.Time)
}

// Common returns the scopes that both grant: what is left of a key when its
// owner's scopes shrink. Unknown scopes of the key are kept, as they grant
// nothing.
func Common(key, owner []string) []string {
	out := make([]string, 0, len(key))
	for _, s := range key {
		if rank(Scope(s)) <= 0 || (&Caller{Scopes: owner}).Allows(Scope(s)) {
			out = append(out, s)
		}
	}
	for _, s := range owner {
		if rank(Scope(s)) > 0 && (&Caller{Scopes: key}).Allows(Scope(s)) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
