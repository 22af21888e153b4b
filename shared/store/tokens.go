package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"bldst/shared/auth"
	"bldst/shared/identity"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// A keyList is the row of the keys a user has. Revoked keys are not in it.
type keyList struct {
	Keys []keyRef `json:"keys"`
	rev  int64    // 0: there is no row yet
}

type keyRef struct {
	ID        string     `json:"id"`
	Hash      string     `json:"hash"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

func keyListKey(userID string) table.Key { return table.Key{PK: userKind + "#" + userID, SK: "keys"} }

// keyList returns the keys of a user, none when the user never had one.
func (u *Users) keyList(ctx context.Context, userID string) (*keyList, error) {
	items, err := u.s.Table.Get(ctx, keyListKey(userID))
	if err != nil {
		return nil, err
	}
	l := &keyList{}
	if items[0] == nil {
		return l, nil
	}
	l.rev = items[0].Rev
	return l, decode(items[0], l)
}

// unchanged is the condition that the list is still what was read.
func (l *keyList) unchanged() table.Cond {
	if l.rev == 0 {
		return table.Cond{Kind: table.Absent}
	}
	return table.IfRev(l.rev)
}

func (l *keyList) verify(userID string) table.Op {
	return table.VerifyOp(keyListKey(userID), l.unchanged())
}

// with returns the op that makes keys the list.
func (l *keyList) with(keys []keyRef, userID string) table.Op {
	return table.PutOp(table.Item{Key: keyListKey(userID), Rev: l.rev + 1, Doc: encode(keyList{Keys: keys})}, l.unchanged())
}

// room returns the keys that stay when another one comes. Expired ones leave
// the list when it is full; their rows stay. Refused when it is full of others.
func (l *keyList) room(now time.Time, username string) ([]keyRef, error) {
	keys := slices.Clone(l.Keys)
	if len(keys) >= identity.MaxKeys {
		keys = slices.DeleteFunc(keys, func(k keyRef) bool { return k.ExpiresAt != nil && !now.Before(*k.ExpiresAt) })
	}
	if len(keys) >= identity.MaxKeys {
		return nil, problem.New(problem.Refused, "User '%s' has %d keys, the most there may be; revoke one first.", username, identity.MaxKeys)
	}
	return keys, nil
}

// A tokenRow is an API key as it is kept, with what it repeats of its owner.
type tokenRow struct {
	identity.Token
	UserID      string     `json:"user_id"`
	Username    string     `json:"username"`
	OwnerScopes []string   `json:"owner_scopes"`
	OwnerActive bool       `json:"owner_active"`
	RevokedAt   *time.Time `json:"revoked_at,omitempty"`

	hash string
	rev  int64
}

func decodeToken(it *table.Item) (*tokenRow, error) {
	r := &tokenRow{hash: strings.TrimPrefix(it.PK, tokenKind+"#"), rev: it.Rev}
	return r, decode(it, r)
}

// own copies what the key repeats of its owner.
func (r *tokenRow) own(a *identity.Account) {
	o := a.Owner()
	r.UserID, r.Username, r.OwnerScopes, r.OwnerActive = o.UserID, o.Username, o.Scopes, o.Active
}

// show returns r as callers see it at the time now.
func (r *tokenRow) show(now time.Time) identity.Token {
	t := r.Token
	t.IsActive = r.RevokedAt == nil && r.OwnerActive && (t.ExpiresAt == nil || now.Before(*t.ExpiresAt))
	return t
}

func (r *tokenRow) item() table.Item {
	return table.Item{Key: rowKey(tokenKind, r.hash), Rev: r.rev + 1, Deleted: r.RevokedAt != nil, Doc: encode(r)}
}

// replace returns the op that stores the changed row.
func (r *tokenRow) replace() table.Op { return table.PutOp(r.item(), table.IfRev(r.rev)) }

// revoke returns the op that ends the key.
func (r *tokenRow) revoke(at time.Time) table.Op {
	r.RevokedAt, r.IsActive = &at, false
	return r.replace()
}

// tokenRows returns the rows of keys, in their order, with one read.
func (u *Users) tokenRows(ctx context.Context, keys []keyRef) ([]tokenRow, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	at := make([]table.Key, len(keys))
	for i, k := range keys {
		at[i] = rowKey(tokenKind, k.Hash)
	}
	items, err := u.s.Table.Get(ctx, at...)
	if err != nil {
		return nil, err
	}
	rows := make([]tokenRow, 0, len(items))
	for _, it := range items {
		if it == nil || it.Deleted {
			continue // revoked between the two reads; a write will be refused
		}
		r, err := decodeToken(it)
		if err != nil {
			return nil, err
		}
		rows = append(rows, *r)
	}
	return rows, nil
}

// Projects implements identity.Tokens.
func (u *Users) Projects(ctx context.Context, refs []string) ([]string, error) {
	named := make([]Ref, 0, len(refs))
	for _, r := range refs {
		if r == "" {
			return nil, problem.New(problem.NotFound, "Project with id '' not found")
		}
		named = append(named, Ref{Kind: "project", Label: "Project", Value: r})
	}
	return u.s.Resolve(ctx, named...)
}

// CreateToken implements identity.Tokens.
func (u *Users) CreateToken(ctx context.Context, ref, hash string, describe func(*identity.Account) (*identity.Token, error)) (*identity.Token, error) {
	for range tries(ctx) {
		owner, err := u.named.Get(ctx, ref, false)
		if err != nil {
			return nil, err
		}
		t, err := describe(owner)
		if err != nil {
			return nil, err
		}
		t.ID, t.CreatedAt = u.s.NewID(), u.s.now()
		ops, err := u.createOps(ctx, owner, t, hash)
		if err != nil {
			return nil, err
		}
		if err = u.s.write(ctx, ops...); table.Refused(err) == nil {
			return t, err
		}
	}
	return nil, busy()
}

// createOps returns the ops that give owner, unless it changed, the key t.
func (u *Users) createOps(ctx context.Context, owner *identity.Account, t *identity.Token, hash string) ([]table.Op, error) {
	list, err := u.keyList(ctx, owner.ID)
	if err != nil {
		return nil, err
	}
	keys, err := list.room(t.CreatedAt, owner.Username)
	if err != nil {
		return nil, err
	}
	return append(u.keyOps(ctx, list, keys, owner, t, hash), table.VerifyOp(rowKey(userKind, owner.ID), table.IfRev(owner.Rev))), nil
}

// keyOps returns the ops that add the key t of owner to list, which becomes
// keys and t.
func (u *Users) keyOps(ctx context.Context, list *keyList, keys []keyRef, owner *identity.Account, t *identity.Token, hash string) []table.Op {
	row := &tokenRow{Token: *t, hash: hash}
	row.own(owner)
	return []table.Op{
		table.PutOp(row.item(), table.Cond{Kind: table.Absent}),
		list.with(append(keys, keyRef{ID: t.ID, Hash: hash, ExpiresAt: t.ExpiresAt}), owner.ID),
		u.s.auditOp(ctx, "token.create", tokenKind, t.ID, nil, row.audited()),
	}
}

// audited returns the row without secrets.
func (r *tokenRow) audited() []byte { return encode(r) } // the hash is in its key only

// ListTokens implements identity.Tokens.
func (u *Users) ListTokens(ctx context.Context, owner *identity.Account) ([]identity.Token, error) {
	list, err := u.keyList(ctx, owner.ID)
	if err != nil {
		return nil, err
	}
	rows, err := u.tokenRows(ctx, list.Keys)
	if err != nil {
		return nil, err
	}
	out := make([]identity.Token, len(rows))
	for i := range rows {
		out[i] = rows[i].show(u.s.now())
	}
	return out, nil
}

// RevokeToken implements identity.Tokens.
func (u *Users) RevokeToken(ctx context.Context, ref, tokenID string, check func(*identity.Account, *identity.Token) error) error {
	for range tries(ctx) {
		owner, err := u.named.Get(ctx, ref, false)
		if err != nil {
			return err
		}
		ops, err := u.revokeOps(ctx, owner, tokenID, check)
		if err != nil {
			return err
		}
		if err = u.s.write(ctx, ops...); table.Refused(err) == nil {
			return err
		}
	}
	return busy()
}

func (u *Users) revokeOps(ctx context.Context, owner *identity.Account, tokenID string, check func(*identity.Account, *identity.Token) error) ([]table.Op, error) {
	list, err := u.keyList(ctx, owner.ID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list.Keys, func(k keyRef) bool { return k.ID == tokenID })
	if i < 0 {
		return nil, noToken(tokenID)
	}
	rows, err := u.tokenRows(ctx, list.Keys[i:i+1])
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, noToken(tokenID)
	}
	if err := check(owner, &rows[0].Token); err != nil {
		return nil, err
	}
	before := rows[0].audited()
	op := rows[0].revoke(u.s.now())
	return []table.Op{op, list.with(slices.Delete(slices.Clone(list.Keys), i, i+1), owner.ID),
		u.s.auditOp(ctx, "token.revoke", tokenKind, tokenID, before, rows[0].audited())}, nil
}

func noToken(id string) error {
	return problem.New(problem.NotFound, "Token with id '%s' not found", id)
}

// usedEvery is how exact a key's last use is recorded: a write in an hour, not
// one in each request.
const usedEvery = time.Hour

// touchWithin bounds how long a request may wait for its key's last use to be
// recorded.
const touchWithin = 300 * time.Millisecond

// TokenByHash implements auth.Source. It is one read; once an hour it also
// records the use of the key, and does not mind when that fails.
func (u *Users) TokenByHash(ctx context.Context, hash string) (*auth.Token, error) {
	items, err := u.s.Table.Get(ctx, rowKey(tokenKind, hash))
	if err != nil {
		return nil, err
	}
	if items[0] == nil || items[0].Deleted {
		return nil, problem.New(problem.NotFound, "no such key")
	}
	r, err := decodeToken(items[0])
	if err != nil {
		return nil, err
	}
	t := &auth.Token{ID: r.ID, Scopes: r.Scopes, Projects: r.Projects,
		Owner: auth.Owner{UserID: r.UserID, Username: r.Username, Scopes: r.OwnerScopes, Active: r.OwnerActive}}
	if r.ExpiresAt != nil {
		t.ExpiresAt = *r.ExpiresAt
	}
	u.touch(ctx, r)
	return t, nil
}

// touch records that the key of r, if it works, is being used. The write is
// not part of the request's change, so it bypasses Store.write.
func (u *Users) touch(ctx context.Context, r *tokenRow) {
	now := u.s.now()
	if u.ReadOnly || !r.show(now).IsActive || r.LastUsedAt != nil && now.Sub(*r.LastUsedAt) < usedEvery {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, touchWithin)
	defer cancel()
	r.LastUsedAt = &now
	_ = u.s.Table.Write(ctx, r.replace())
}
