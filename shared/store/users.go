package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"bldst/shared/auth"
	"bldst/shared/identity"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// Users keeps accounts and API keys, and finds what a credential stands for.
//
//	user#ID        a     the account, a named row
//	user#ID        keys  which keys it has: {"keys": [{"id", "hash"}]}
//	token#SHA256   a     the key, with all of its owner that decides what it may do
//
// A key is therefore judged with one read. What it repeats of its owner is
// written in the owner's transaction; the row "keys" guards that no key is
// made or revoked at the same time.
type Users struct {
	// ReadOnly leaves the last use of keys unrecorded: for hosts that may not
	// write. Set it before use.
	ReadOnly bool

	s     *Store
	named *Named[identity.Account, *identity.Account]
}

var (
	_ identity.Users  = (*Users)(nil)
	_ identity.Tokens = (*Users)(nil)
	_ auth.Source     = (*Users)(nil)
)

const (
	userKind  = "user"
	tokenKind = "token"
)

// NewUsers returns the users of s.
func NewUsers(s *Store) *Users {
	return &Users{s: s, named: NewNamed(s, Kind[identity.Account, *identity.Account]{
		Name: userKind, Label: "User",
		Unique: func(a *identity.Account) []string {
			return []string{a.Username, strings.ToLower(a.Username), strings.ToLower(a.Email)}
		},
		Sort:   func(a *identity.Account) string { return a.Username },
		Redact: withoutPassword,
	})}
}

// withoutPassword removes the password's hash from the document of an account.
func withoutPassword(doc []byte) []byte {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(doc, &m); err != nil {
		return nil
	}
	delete(m, "password_hash")
	return encode(m)
}

// CreateUser implements identity.Users.
func (u *Users) CreateUser(ctx context.Context, a *identity.Account) error {
	return u.named.Create(ctx, a)
}

// User implements identity.Users.
func (u *Users) User(ctx context.Context, ref string, deleted bool) (*identity.Account, error) {
	return u.named.Get(ctx, ref, deleted)
}

// ListUsers implements identity.Users.
func (u *Users) ListUsers(ctx context.Context, skip, limit int, cursor string, deleted bool) ([]identity.Account, string, error) {
	return u.named.List(ctx, ListQuery{Skip: skip, Limit: limit, Cursor: cursor, Deleted: deleted})
}

// RestoreUser implements identity.Users.
func (u *Users) RestoreUser(ctx context.Context, ref string) (*identity.Account, error) {
	return u.named.Restore(ctx, ref)
}

// ChangeUser implements identity.Users.
func (u *Users) ChangeUser(ctx context.Context, ref string, f func(*identity.Account) error) (*identity.Account, error) {
	return u.change(ctx, ref, "update", f)
}

// DeleteUser implements identity.Users.
func (u *Users) DeleteUser(ctx context.Context, ref string, check func(*identity.Account) error) error {
	_, err := u.change(ctx, ref, "delete", func(a *identity.Account) error {
		if err := check(a); err != nil {
			return err
		}
		now := u.s.now()
		a.DeactivatedAt = &now
		a.EndJWTs(now)
		return nil
	})
	return err
}

// change is Named.Change with the keys of the account in the same transaction.
func (u *Users) change(ctx context.Context, ref, action string, f func(*identity.Account) error) (*identity.Account, error) {
	for range tries(ctx) {
		old, err := u.named.Get(ctx, ref, false)
		if err != nil {
			return nil, err
		}
		a := new(identity.Account)
		*a = *old
		if err := f(a); err != nil {
			return nil, err
		}
		ops, err := u.named.changeOps(ctx, action, old, a)
		if err != nil {
			return nil, err
		}
		keys, err := u.followOps(ctx, old, a)
		if err != nil {
			return nil, err
		}
		others, err := u.witnessOps(ctx, old, a)
		if err != nil {
			return nil, err
		}
		if err = u.s.write(ctx, slices.Concat(ops, keys, others)...); table.Refused(err) == nil {
			return a, err
		}
	}
	return nil, busy()
}

// witnessOps returns the op that requires another active administrator to stay
// one while old ceases to be: of two who end each other at the same time one is
// refused. Refused when there is no other.
func (u *Users) witnessOps(ctx context.Context, old, a *identity.Account) ([]table.Op, error) {
	if !old.Administers() || a.Administers() {
		return nil, nil
	}
	if c := auth.CallerOf(ctx); c != nil {
		if op, err := u.witness(ctx, c.UserID, a); op != nil || err != nil {
			return op, err
		}
	}
	for q := (ListQuery{Limit: 100}); ; {
		accounts, next, err := u.named.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range accounts {
			if !accounts[i].Administers() {
				continue
			}
			if op, err := u.witness(ctx, accounts[i].ID, a); op != nil || err != nil {
				return op, err
			}
		}
		if q.Cursor = next; next == "" {
			return nil, problem.New(problem.Refused, "'%s' is the last active administrator; make another user one first.", a.Username)
		}
	}
}

// witness returns the op that requires the user id, who is an active
// administrator and not a, to stay as it is; none when it is no such user.
func (u *Users) witness(ctx context.Context, id string, a *identity.Account) ([]table.Op, error) {
	if id == a.ID {
		return nil, nil
	}
	items, err := u.s.Table.Get(ctx, rowKey(userKind, clipRef(id)))
	if err != nil || items[0] == nil {
		return nil, err
	}
	other, err := u.named.row(items[0])
	if err != nil || !other.Administers() {
		return nil, err
	}
	return []table.Op{table.VerifyOp(items[0].Key, table.IfRev(items[0].Rev))}, nil
}

// followOps returns the ops that bring the keys of an account in line with its
// change from old to a.
func (u *Users) followOps(ctx context.Context, old, a *identity.Account) ([]table.Op, error) {
	if sameOwner(old.Owner(), a.Owner()) {
		return nil, nil
	}
	list, err := u.keyList(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	rows, err := u.tokenRows(ctx, list.Keys)
	if err != nil {
		return nil, err
	}
	if a.DeactivatedAt == nil {
		return append(followRows(rows, a), list.verify(a.ID)), nil
	}
	ops := []table.Op{list.with(nil, a.ID)}
	for i := range rows {
		ops = append(ops, rows[i].revoke(*a.DeactivatedAt))
	}
	return ops, nil
}

func followRows(rows []tokenRow, a *identity.Account) []table.Op {
	ops := make([]table.Op, 0, len(rows)+1)
	for i := range rows {
		rows[i].own(a)
		ops = append(ops, rows[i].replace())
	}
	return ops
}

func sameOwner(a, b auth.Owner) bool {
	return a.Active == b.Active && a.Username == b.Username && slices.Equal(a.Scopes, b.Scopes)
}

// OwnerByID implements auth.Source.
func (u *Users) OwnerByID(ctx context.Context, userID string) (*auth.Owner, error) {
	items, err := u.s.Table.Get(ctx, rowKey(userKind, clipRef(userID)))
	if err != nil {
		return nil, err
	}
	if items[0] == nil || items[0].Deleted {
		return nil, problem.New(problem.NotFound, "no such user")
	}
	a, err := u.named.row(items[0])
	if err != nil {
		return nil, err
	}
	o := a.Owner()
	return &o, nil
}
