// Package identity holds the people and programs that use the API: users,
// their API keys, and signing in. What a presented credential may do is
// decided by package auth.
package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
	"bldst/shared/resource"
)

// A User is a user as callers see it.
type User struct {
	resource.Meta
	Username    string   `json:"username" example:"alice"`
	Email       string   `json:"email" example:"alice@company.com"`
	FirstName   *string  `json:"first_name"`
	LastName    *string  `json:"last_name"`
	FullName    *string  `json:"full_name"`
	EmployeeID  *string  `json:"employee_id"`
	Scopes      []string `json:"scopes" doc:"What the user may do with a JWT, and at most with a key."`
	IsActive    bool     `json:"is_active"`
	IsSuperuser bool     `json:"is_superuser" doc:"Information only; the scopes decide."`
}

// An Account is a user as it is kept. DeactivatedAt of its Meta means deleted;
// a user who is merely deactivated has SuspendedAt and stays readable.
type Account struct {
	User
	SuspendedAt  *time.Time `json:"suspended_at,omitempty"`
	PasswordHash string     `json:"password_hash,omitempty"` // "" signs nobody in
	NotBefore    *time.Time `json:"not_before,omitempty"`    // JWTs made until then are good no more
}

// Show returns a as callers see it.
func (a *Account) Show() User {
	u := a.User
	u.IsActive = a.Active()
	if u.DeactivatedAt == nil {
		u.DeactivatedAt = a.SuspendedAt
	}
	if u.Scopes == nil {
		u.Scopes = []string{}
	}
	return u
}

// Active reports whether a may do anything at all.
func (a *Account) Active() bool { return a.SuspendedAt == nil && a.DeactivatedAt == nil }

// Owner returns what a credential of a is judged by.
func (a *Account) Owner() auth.Owner {
	o := auth.Owner{UserID: a.ID, Username: a.Username, Scopes: a.Scopes, Active: a.Active()}
	if a.NotBefore != nil {
		o.NotBefore = *a.NotBefore
	}
	return o
}

// EndJWTs ends all JWTs that a has got until now.
func (a *Account) EndJWTs(now time.Time) {
	if a.NotBefore != nil && !now.After(*a.NotBefore) {
		now = a.NotBefore.Add(time.Microsecond) // two changes at one time are two
	}
	a.NotBefore = &now
}

// Administers reports whether a can do what administrators can.
func (a *Account) Administers() bool { return a.Active() && has(a, auth.Admin) }

// A Profile is a user with everything that belongs to it.
type Profile struct {
	User
	UserID    string     `json:"user_id" doc:"The same as id."`
	StartDate time.Time  `json:"start_date" doc:"The same as created_at."`
	EndDate   *time.Time `json:"end_date" doc:"The same as deactivated_at."`
	Tokens    []Token    `json:"tokens"`
}

// Names are the fields a user's real name may be given in: whole or in parts.
type Names struct {
	FirstName *string `json:"first_name,omitempty" maxLength:"100"`
	LastName  *string `json:"last_name,omitempty" maxLength:"100"`
	FullName  *string `json:"full_name,omitempty" maxLength:"200" doc:"Or first_name and last_name; one is made of the other."`
}

// NewUser is the body of POST /users.
type NewUser struct {
	Names
	Username    string   `json:"username" required:"true" minLength:"1" maxLength:"100" example:"alice" doc:"ASCII letters, digits and . _ - @ +. Unique whatever the case."`
	Email       string   `json:"email" required:"true" minLength:"3" maxLength:"254" example:"alice@company.com"`
	Password    string   `json:"password" required:"true" minLength:"8" maxLength:"72" doc:"At least 8 characters, at most 72 bytes."`
	EmployeeID  *string  `json:"employee_id,omitempty" maxLength:"100"`
	Scopes      []string `json:"scopes,omitempty" maxItems:"50" doc:"Default: read and write; for a superuser admin too. Unknown scopes are kept and grant nothing."`
	IsActive    *bool    `json:"is_active,omitempty" doc:"Default: true."`
	IsSuperuser *bool    `json:"is_superuser,omitempty" doc:"Default: false."`
}

// Account returns the account of a valid n at the time now, without an id.
func (n *NewUser) Account(now time.Time) (*Account, error) {
	a := &Account{User: User{Scopes: n.Scopes, EmployeeID: text(n.EmployeeID)}}
	c := UserChange{Names: n.Names, Username: &n.Username, Email: &n.Email, Password: &n.Password, IsActive: n.IsActive}
	if a.IsSuperuser = n.IsSuperuser != nil && *n.IsSuperuser; a.Scopes == nil {
		a.Scopes = defaultScopes(a.IsSuperuser)
	}
	if err := checkScopes(a.Scopes); err != nil {
		return nil, err
	}
	hash, err := c.Check()
	if err != nil {
		return nil, err
	}
	c.Apply(a, hash, now)
	a.Scopes = distinct(a.Scopes)
	return a, nil
}

// UserChange is the body of PUT /users/{id}: what is absent or null stays.
type UserChange struct {
	Names
	Username      *string   `json:"username,omitempty" minLength:"1" maxLength:"100"`
	Email         *string   `json:"email,omitempty" minLength:"3" maxLength:"254"`
	Password      *string   `json:"password,omitempty" minLength:"8" maxLength:"72" doc:"At least 8 characters, at most 72 bytes. A new one ends all JWTs of the user."`
	EmployeeID    *string   `json:"employee_id,omitempty" maxLength:"100"`
	Scopes        []string  `json:"scopes,omitempty" maxItems:"50" doc:"Keys of the user that grant more are limited at once."`
	IsActive      *bool     `json:"is_active,omitempty" doc:"false deactivates the user and all its keys, until it is true again."`
	IsSuperuser   *bool     `json:"is_superuser,omitempty"`
	DeactivatedAt *api.Time `json:"deactivated_at,omitempty" doc:"Deactivates the user too, as of then; default: now."`
}

// Check reports why c cannot be made to any user, and returns the hash of its
// password, "" without one. It takes a while, as hashing a password does.
func (c *UserChange) Check() (hash string, err error) {
	if c.Username != nil {
		if err := checkUsername(*c.Username); err != nil {
			return "", err
		}
	}
	if c.Email != nil && !isEmail(*c.Email) {
		return "", problem.BadField("email", "value_error", "Not an e-mail address")
	}
	if err := checkScopes(c.Scopes); err != nil {
		return "", err
	}
	if c.DeactivatedAt != nil && c.DeactivatedAt.At() == nil {
		return "", noTime("deactivated_at")
	}
	if c.Password == nil {
		return "", nil
	}
	return hashPassword(*c.Password)
}

// Apply makes the change to a at the time now; c was checked, hash is what
// Check returned.
func (c *UserChange) Apply(a *Account, hash string, now time.Time) {
	set(&a.Username, c.Username)
	set(&a.Email, c.Email)
	set(&a.IsSuperuser, c.IsSuperuser)
	c.Names.apply(&a.User)
	if c.EmployeeID != nil {
		a.EmployeeID = text(c.EmployeeID)
	}
	if c.Scopes != nil {
		a.Scopes = distinct(c.Scopes)
	}
	if hash != "" {
		a.PasswordHash = hash
	}
	was := a.SuspendedAt
	a.SuspendedAt = c.suspension(was, now)
	a.IsActive = a.SuspendedAt == nil
	if hash != "" || (was == nil) != a.IsActive {
		a.EndJWTs(now)
	}
}

// suspension returns since when the user is deactivated, nil when active. The
// first deactivation counts.
func (c *UserChange) suspension(was *time.Time, now time.Time) *time.Time {
	switch {
	case c.IsActive != nil && *c.IsActive:
		return nil
	case c.IsActive == nil && c.DeactivatedAt == nil, was != nil:
		return was
	case c.DeactivatedAt != nil:
		if at := c.DeactivatedAt.At(); at.Before(now) {
			return at
		}
	}
	return &now
}

// apply sets the names of u that were given and makes the whole of the parts,
// or the parts of the whole when only that was given.
func (n Names) apply(u *User) {
	switch {
	case n.FirstName != nil || n.LastName != nil:
		if n.FirstName != nil {
			u.FirstName = text(n.FirstName)
		}
		if n.LastName != nil {
			u.LastName = text(n.LastName)
		}
		whole := strings.TrimSpace(value(u.FirstName) + " " + value(u.LastName))
		if u.FullName = text(&whole); n.FullName != nil {
			u.FullName = text(n.FullName)
		}
	case n.FullName != nil:
		u.FullName = text(n.FullName)
		first, last := strings.TrimSpace(*n.FullName), ""
		if i := strings.LastIndexByte(first, ' '); i >= 0 {
			first, last = strings.TrimSpace(first[:i]), first[i+1:]
		}
		u.FirstName, u.LastName = text(&first), text(&last)
	}
}

// checkUsername takes ASCII alone: two names that look alike must not be two
// users, and of all of Unicode nobody can tell.
func checkUsername(s string) error {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-@+", r))
	}
	if s == "" || strings.EqualFold(s, me) || strings.ContainsFunc(s, odd) {
		return problem.BadField("username", "value_error", "Not a user name: letters a to z, digits and . _ - @ + are allowed, and %q is taken", me)
	}
	return nil
}

func isEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && !strings.Contains(domain, "@") && !strings.ContainsFunc(s, func(r rune) bool { return r <= 0x20 || r == 0x7f })
}

// MaxScope is the longest name of a scope.
const MaxScope = 50

func checkScopes(scopes []string) error {
	for _, s := range scopes {
		if s == "" || len(s) > MaxScope {
			return problem.BadField("scopes", "value_error", "A scope has 1 to %d characters", MaxScope)
		}
	}
	return nil
}

func defaultScopes(superuser bool) []string {
	scopes := []string{string(auth.Read), string(auth.Write)}
	if superuser {
		scopes = append(scopes, string(auth.Admin))
	}
	return scopes
}

// distinct returns scopes, each once, never nil.
func distinct(scopes []string) []string {
	out := make([]string, 0, len(scopes))
	for _, s := range scopes {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// set stores what p points to in dst; a nil p means "not supplied".
func set[T any](dst, p *T) {
	if p != nil {
		*dst = *p
	}
}

// text returns p without blanks around it, nil when nothing is left.
func text(p *string) *string {
	s := strings.TrimSpace(value(p))
	if s == "" {
		return nil
	}
	return &s
}

func value(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// noTime is the problem of a time that is blank: a variable that is not set
// must not make something that lasts for ever.
func noTime(field string) error {
	return problem.BadField(field, "value_error", "It is blank; leave it out, or give a time such as 2026-01-31T12:00:00Z")
}

// Users keeps accounts. A ref is an id, a user name or an e-mail address;
// NotFound when there is none.
type Users interface {
	// CreateUser stores a and sets its id; Conflict when its name or e-mail
	// address is taken.
	CreateUser(ctx context.Context, a *Account) error
	// User returns a deleted account only by its id and only when deleted is true.
	User(ctx context.Context, ref string, deleted bool) (*Account, error)
	// ListUsers returns a page in the order of names, and the cursor of the next.
	ListUsers(ctx context.Context, skip, limit int, cursor string, deleted bool) ([]Account, string, error)
	// ChangeUser lets f change the account and brings its keys in line.
	ChangeUser(ctx context.Context, ref string, f func(*Account) error) (*Account, error)
	// Both refuse to leave the system without an active administrator.
	// DeleteUser deletes the account, unless check refuses, and revokes its keys.
	DeleteUser(ctx context.Context, ref string, check func(*Account) error) error
	// RestoreUser brings a deleted account back, without its keys.
	RestoreUser(ctx context.Context, ref string) (*Account, error)
}
