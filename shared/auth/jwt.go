package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TokenFor is how long a JWT is good.
const TokenFor = time.Hour

// Who makes JWTs and for whom: a token of another system that happens to share
// a key is refused.
const (
	issuer   = "bldst"
	audience = "bldst-api"
)

// minSecret is the shortest signing key, the size of the hash.
const minSecret = 32

// A Signer makes and verifies JWTs (HS256). Keys are the signing keys by key
// id; tokens are signed with Current and good under any of them. To rotate,
// add a key, make it Current an hour before the old one is removed.
type Signer struct {
	Keys    map[string][]byte
	Current string
}

// Check reports why s cannot be used. The text holds no key.
func (s *Signer) Check() error {
	if _, ok := s.Keys[s.Current]; !ok {
		return fmt.Errorf("auth: the current signing key %q is not among the keys", s.Current)
	}
	for kid, key := range s.Keys {
		if len(key) < minSecret {
			return fmt.Errorf("auth: signing key %q has %d bytes; it needs %d or more random ones", kid, len(key), minSecret)
		}
	}
	return nil
}

// Since is the NotBefore of the owner when the token was made, in microseconds
// since 1970, 0 for none: a token is good as long as its owner still has it. No
// clocks are compared.
type claims struct {
	UserID string `json:"user_id"`
	Since  int64  `json:"since,omitempty"`
	jwt.RegisteredClaims
}

// Issue returns a JWT for its owner, good from now for TokenFor. jti is its id.
func (s *Signer) Issue(now time.Time, jti string, o Owner) (string, error) {
	if err := s.Check(); err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{UserID: o.UserID, Since: o.since(), RegisteredClaims: jwt.RegisteredClaims{
		Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: o.Username, ID: jti,
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(TokenFor)),
	}})
	t.Header["kid"] = s.Current
	signed, err := t.SignedString(s.Keys[s.Current])
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// errStale is the error of a token that was good once.
var errStale = errors.New("token has expired")

// verify returns what token says, once it is known to be good. The error is
// errStale only for a token that was signed here.
func (s *Signer) verify(token string, now time.Time) (*claims, error) {
	var c claims
	p := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }))
	_, err := p.ParseWithClaims(token, &c, s.key)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, errStale
	case err != nil:
		return nil, err
	case c.UserID == "":
		return nil, errors.New("token without a user")
	}
	return &c, nil
}

// key returns the key that token names.
func (s *Signer) key(token *jwt.Token) (any, error) {
	kid, _ := token.Header["kid"].(string)
	key, ok := s.Keys[kid]
	if !ok || len(key) < minSecret {
		return nil, errors.New("unknown key id")
	}
	return key, nil
}
