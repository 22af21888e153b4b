package identity

import (
	"context"
	"net/http"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// MountSignIn adds the endpoints that answer with a JWT. They accept JSON,
// forms and multipart forms.
func (s *Service) MountSignIn(a *api.API) {
	const tag = "Authentication"
	answer := Login{AccessToken: "eyJhbGciOiJIUzI1NiIs...", TokenType: "bearer", ExpiresIn: int(auth.TokenFor.Seconds())}
	credentials := Credentials{Username: "alice", Password: "correct horse"}
	problems := []problem.Kind{problem.Unauthorized, problem.TooMany}
	api.Handle(a, api.Op{ID: "sign-in", Method: http.MethodPost, Path: "/token", Aliases: []string{"/auth/token"}, Form: true, Tag: tag,
		Summary: "Sign in", Request: credentials, Answer: answer, Problems: problems}, s.token)
	answer.User = &LoginUser{ID: exampleUser.ID, Username: exampleUser.Username, Email: exampleUser.Email}
	api.Handle(a, api.Op{ID: "sign-in-password", Method: http.MethodPost, Path: "/auth/password", Form: true, Tag: tag,
		Summary: "Sign in, and be told who you are", Request: credentials, Answer: answer, Problems: problems}, s.password)
	api.Handle(a, api.Op{ID: "sign-in-idm", Method: http.MethodPost, Path: "/auth/idm", Form: true, Tag: tag,
		Summary: "Sign in with the identity management", Description: "idm_token instead of a password is accepted in the development stage only.",
		Request: IDMCredentials{Username: "alice", Password: &credentials.Password}, Answer: answer, Problems: problems}, s.idm)
}

// Credentials is the body of a sign-in.
type Credentials struct {
	Username string `json:"username" required:"true" maxLength:"320"`
	Password string `json:"password" required:"true" maxLength:"1024"`
}

// IDMCredentials is the body of POST /auth/idm: a password or an idm_token.
type IDMCredentials struct {
	Username string  `json:"username" required:"true" maxLength:"320"`
	Password *string `json:"password,omitempty" maxLength:"1024"`
	IDMToken *string `json:"idm_token,omitempty" maxLength:"1024"`
}

type signInIn struct{ Body Credentials }

type signInOut struct {
	CacheControl string `header:"Cache-Control"`
	Body         Login
}

func (s *Service) token(ctx context.Context, in *signInIn) (*signInOut, error) {
	out, err := s.password(ctx, in)
	if err == nil {
		out.Body.User = nil
	}
	return out, err
}

func (s *Service) password(ctx context.Context, in *signInIn) (*signInOut, error) {
	a, err := s.signIn(ctx, in.Body.Username, in.Body.Password, errPassword)
	return s.signedIn(a, err)
}

type idmIn struct{ Body IDMCredentials }

func (s *Service) idm(ctx context.Context, in *idmIn) (*signInOut, error) {
	switch b := in.Body; {
	case b.Password != nil:
		return s.signedIn(s.signIn(ctx, b.Username, *b.Password, errIDM))
	case b.IDMToken != nil:
		return s.signedIn(s.idmSignIn(ctx, b.Username, *b.IDMToken))
	default:
		return nil, problem.Missing("password")
	}
}

// signedIn answers a sign-in as a.
func (s *Service) signedIn(a *Account, err error) (*signInOut, error) {
	if err != nil {
		return nil, err
	}
	l, err := s.issue(a)
	if err != nil {
		return nil, err
	}
	return &signInOut{CacheControl: "no-store", Body: *l}, nil
}
