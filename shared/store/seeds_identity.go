package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bldst/shared/auth"
	"bldst/shared/identity"
	"bldst/shared/problem"
	"bldst/shared/resource"
	"bldst/shared/table"
)

// A seedUser is one user of the development data. The hashes are those of the
// documented passwords, made beforehand so that a start does not wait for
// them; who has none cannot sign in. Key is a documented API key with the same
// scopes.
type seedUser struct {
	id, name, email, employee, first, last string
	hash                                   string
	scopes                                 []string
	suspended                              time.Time
	tokenID, key                           string
}

var (
	scopesRead  = []string{string(auth.Read)}
	scopesWrite = []string{string(auth.Read), string(auth.Write)}
	scopesAdmin = []string{string(auth.Read), string(auth.Write), string(auth.Admin)}
)

var seedUsers = []seedUser{
	{id: "admin-user", name: "admin", email: "admin@company.com", employee: "EMP001", first: "Admin", last: "User", scopes: scopesAdmin,
		hash: "$2a$10$hXb2cBlptjmTBfrjYsvV0efGeU26rD20k4FgbOkjF6PZ/BfUWIKaC", tokenID: "admin-token", key: "admin-key-99999"},
	{id: "test-user", name: "testuser", email: "test@company.com", employee: "EMP002", first: "Test", last: "User", scopes: scopesWrite,
		hash: "$2a$10$Byn.IKA1AS1Koew11jJSkerkdGIho5ZwD8NYcavDolZRT1Z.77DhW", tokenID: "test-token", key: "dev-key-12345"},
	{id: "default-user", name: "user", email: "user@company.com", scopes: scopesWrite,
		hash: "$2a$10$jNBFNHIaShiy5dTgnlhdIOK3ZK1BFfkcxZqo3Gtbvl9B5RCpZBijq"},
	{id: "readonly-user", name: "readonly", email: "readonly@company.com", scopes: scopesRead,
		hash: "$2a$10$Z7C8g/fixY6nPSGiEXLhtOX405XAJoUkB7o153mhHTCVLzle.3FVu", tokenID: "readonly-token", key: "readonly-key-888"},
	{id: "alice-user", name: "alice", email: "alice@company.com", employee: "EMP003", first: "Alice", scopes: scopesWrite},
	{id: "bob-user", name: "bob", email: "bob@company.com", employee: "EMP004", first: "Bob", scopes: scopesRead},
	{id: "charlie-user", name: "charlie", email: "charlie@company.com", employee: "EMP005", first: "Charlie", scopes: scopesAdmin},
	{id: "diana-user", name: "diana", email: "diana@company.com", employee: "EMP006", first: "Diana", scopes: scopesWrite,
		suspended: time.Date(2024, 12, 31, 0, 0, 0, 0, time.UTC)},
}

func (u *seedUser) account() *identity.Account {
	a := &identity.Account{PasswordHash: u.hash, User: identity.User{Meta: resource.Meta{ID: u.id},
		Username: u.name, Email: u.email, EmployeeID: optional(u.employee), FirstName: optional(u.first), LastName: optional(u.last),
		FullName: optional(u.fullName()), Scopes: u.scopes, IsSuperuser: slices.Equal(u.scopes, scopesAdmin), IsActive: u.suspended.IsZero()}}
	if !u.suspended.IsZero() {
		a.SuspendedAt = &u.suspended
	}
	return a
}

func (u *seedUser) fullName() string {
	if u.last == "" {
		return u.first
	}
	return u.first + " " + u.last
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// SeedIdentity stores the documented users and keys, in one transaction. For
// the development stage only: everybody knows them. It does so once in the
// life of a table, so what was changed or deleted since stays that way; a user
// whose name or id is taken already is left out.
func (s *Store) SeedIdentity(ctx context.Context) error {
	mark := rowKey("seed", "identity")
	items, err := s.Table.Get(ctx, mark)
	if err != nil || items[0] != nil {
		return err
	}
	ops := []table.Op{table.PutOp(table.Item{Key: mark, Rev: 1, Doc: encode(map[string]time.Time{"at": s.now()})}, table.Cond{Kind: table.Absent})}
	users := NewUsers(s)
	for i := range seedUsers {
		more, err := users.seedOps(ctx, &seedUsers[i])
		if err != nil {
			return fmt.Errorf("seed user %s: %w", seedUsers[i].name, err)
		}
		ops = append(ops, more...)
	}
	err = s.Table.Write(ctx, ops...)
	if r := table.Refused(err); r != nil && r.Key == mark {
		return nil // somebody else has done it
	}
	return err
}

// seedOps returns the ops that store one user and its key, none when its names
// are taken.
func (u *Users) seedOps(ctx context.Context, seed *seedUser) ([]table.Op, error) {
	if _, err := u.named.Get(ctx, seed.id, true); !problem.Is(err, problem.NotFound) {
		return nil, err
	}
	a := seed.account()
	ops, err := u.named.claim(ctx, a, nil)
	if problem.Is(err, problem.Conflict) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a.CreatedAt, a.Rev = u.s.now(), 1
	a.UpdatedAt = a.CreatedAt
	ops = append(ops, table.PutOp(u.named.item(a), table.Cond{Kind: table.Absent}), u.named.audit(ctx, "create", nil, a))
	if seed.key == "" {
		return ops, nil
	}
	t := &identity.Token{ID: seed.tokenID, Name: seed.tokenID, Scopes: seed.scopes, Projects: []string{}, IsActive: true, CreatedAt: a.CreatedAt}
	return append(ops, u.keyOps(ctx, &keyList{}, nil, a, t, auth.HashKey(seed.key))...), nil
}

// CreateAdminKey makes a key with all scopes for the administrator called
// username, who is created, without a password, when there is no such user. It
// is how a table without any credential gets its first. The key is returned
// once. Refused when the user exists and is no active administrator.
func (s *Store) CreateAdminKey(ctx context.Context, username string) (string, error) {
	if _, err := (&identity.UserChange{Username: &username}).Check(); err != nil {
		return "", err
	}
	users := NewUsers(s)
	owner, err := users.User(ctx, username, false)
	if problem.Is(err, problem.NotFound) {
		owner = &identity.Account{User: identity.User{Username: username, Scopes: scopesAdmin, IsSuperuser: true, IsActive: true}}
		err = users.CreateUser(ctx, owner)
	}
	if err != nil {
		return "", err
	}
	key := auth.NewKey()
	_, err = users.CreateToken(ctx, owner.ID, auth.HashKey(key), func(a *identity.Account) (*identity.Token, error) {
		if !a.Active() || !(&auth.Caller{Scopes: a.Scopes}).Allows(auth.Admin) {
			return nil, problem.New(problem.Refused, "User '%s' exists and is not an active administrator; choose another name.", username)
		}
		return &identity.Token{Name: "bootstrap", Scopes: scopesAdmin, Projects: []string{}, IsActive: true}, nil
	})
	if err != nil {
		return "", err
	}
	return key, nil
}
