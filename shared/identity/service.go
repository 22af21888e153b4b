package identity

import (
	"context"
	"strings"
	"time"

	"bldst/shared/auth"
	"bldst/shared/id"
	"bldst/shared/problem"
)

// A Service serves users, keys and sign-ins. All fields but DevIDM and Pause
// are required.
type Service struct {
	Users    Users
	Tokens   Tokens
	Attempts Attempts
	Signer   *auth.Signer
	Now      func() time.Time
	NewID    id.Source     // ids of JWTs
	NewKey   func() string // API keys; auth.NewKey
	DevIDM   bool          // accept idm_token; only in the development stage

	// Pause is how long a sign-in that must wait is held up before it is told
	// so. A function is paid for while it waits, and has none.
	Pause time.Duration
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// me stands for the caller's own user wherever a user is named.
const me = "me"

// subject returns the user that ref means for the caller of ctx: anybody for
// an administrator, only the own one for others. Forbidden before it is known
// whether there is such a user.
func subject(ctx context.Context, ref string) (string, error) {
	c := auth.CallerOf(ctx)
	switch {
	case ref == me, ref == c.UserID:
		return c.UserID, nil
	case ref == c.Username:
		return c.UserID, nil
	case c.Allows(auth.Admin):
		return ref, mayManage(ctx)
	default:
		return "", problem.New(problem.Forbidden, "Admin permission required")
	}
}

// mayManage refuses a credential bound to projects: users belong to none, and
// one it made could sign in without the bounds.
func mayManage(ctx context.Context) error {
	if len(auth.CallerOf(ctx).Projects) > 0 {
		return problem.New(problem.Forbidden, "A key bound to projects cannot see or change users other than its own.")
	}
	return nil
}

// guardSelf refuses a change by which administrators would lock themselves
// out; was is the account before it, nil when it is to be deleted.
func guardSelf(ctx context.Context, was, becomes *Account) error {
	if auth.CallerOf(ctx).UserID != was.ID {
		return nil
	}
	if becomes == nil || was.Active() && !becomes.Active() {
		return problem.New(problem.Refused, "You cannot delete or deactivate yourself; ask another administrator.")
	}
	if has(was, auth.Admin) && !has(becomes, auth.Admin) {
		return problem.New(problem.Refused, "You cannot take the scope admin from yourself; ask another administrator.")
	}
	return nil
}

func has(a *Account, s auth.Scope) bool { return (&auth.Caller{Scopes: a.Scopes}).Allows(s) }

// A Login is the answer to a sign-in.
type Login struct {
	AccessToken string     `json:"access_token"`
	TokenType   string     `json:"token_type" example:"bearer"`
	ExpiresIn   int        `json:"expires_in" example:"3600" doc:"Seconds."`
	User        *LoginUser `json:"user,omitempty" doc:"Not in answers of /token."`
}

// A LoginUser is who signed in.
type LoginUser struct {
	ID          string `json:"id"`
	Username    string `json:"username"`
	Email       string `json:"email"`
	IsSuperuser bool   `json:"is_superuser"`
}

// The refusals of a sign-in. An inactive user is refused like a wrong password.
var (
	errPassword = problem.New(problem.Unauthorized, "Incorrect username or password")
	errIDM      = problem.New(problem.Unauthorized, "Invalid IDM credentials")
)

// signIn returns the active account with the user name and password, else the
// error refusal. It takes the same time for an unknown user as for a wrong
// password. TooMany when the machine is busy hashing, or when too many wrong
// passwords came before.
func (s *Service) signIn(ctx context.Context, username, password string, refusal error) (*Account, error) {
	leave, err := hashing.enter(ctx)
	if err != nil {
		return nil, err
	}
	a, wait, err := s.attempt(ctx, username, password, refusal)
	leave()
	if wait > 0 {
		return nil, s.slow(ctx, wait)
	}
	return a, err
}

// attempt is signIn once it is its turn; wait is how long it must wait instead.
func (s *Service) attempt(ctx context.Context, username, password string, refusal error) (account *Account, wait time.Duration, err error) {
	a, err := s.find(ctx, username)
	if err != nil {
		return nil, 0, err
	}
	at := Attempt{Username: username, UserID: a.ID, Address: auth.RequestOf(ctx).Address}
	wait, counted, err := s.Attempts.Wait(ctx, at)
	if err != nil || wait > 0 {
		return nil, wait, err
	}
	if right := checkPassword(a.PasswordHash, password); !right || !a.Active() {
		if err := s.Attempts.Wrong(ctx, at); err != nil {
			return nil, 0, err
		}
		return nil, 0, refusal
	}
	if counted {
		err = s.Attempts.Right(ctx, at)
	}
	return a, 0, err
}

// slow answers who must wait, after a while where waiting costs nothing: who
// only tries again at once is held up.
func (s *Service) slow(ctx context.Context, wait time.Duration) error {
	if s.Pause > 0 {
		t := time.NewTimer(min(s.Pause, wait))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return tooMany(wait)
}

// find returns the account with the user name; without one, an account that
// nobody can sign in to.
func (s *Service) find(ctx context.Context, username string) (*Account, error) {
	a, err := s.Users.User(ctx, username, false)
	if problem.Is(err, problem.NotFound) || err == nil && a.Username != username {
		return &Account{}, nil
	}
	return a, err
}

// idmSignIn returns the active account that an identity-management token
// speaks for. The token is a mock: any that begins with "idm-" and is longer
// than ten characters will do, and only where DevIDM is set.
func (s *Service) idmSignIn(ctx context.Context, username, token string) (*Account, error) {
	if !s.DevIDM || len(token) <= 10 || !strings.HasPrefix(token, "idm-") {
		return nil, errIDM
	}
	a, err := s.find(ctx, username)
	if err != nil {
		return nil, err
	}
	if a.ID == "" || !a.Active() {
		return nil, errIDM
	}
	return a, nil
}

// issue returns the answer to a sign-in of a.
func (s *Service) issue(a *Account) (*Login, error) {
	jwt, err := s.Signer.Issue(s.Now(), s.NewID(), a.Owner())
	if err != nil {
		return nil, err
	}
	return &Login{AccessToken: jwt, TokenType: "bearer", ExpiresIn: int(auth.TokenFor.Seconds()),
		User: &LoginUser{ID: a.ID, Username: a.Username, Email: a.Email, IsSuperuser: a.IsSuperuser}}, nil
}
