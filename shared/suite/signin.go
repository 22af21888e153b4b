package suite

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"bldst/shared/auth"
	"bldst/shared/problem"
)

var signInTests = []test{
	{"every path takes JSON, form, multipart and JSON that says it is a form", everySpellingOfSignIn},
	{"a wrong password, an unknown user and an inactive one are refused alike", refusedSignIn},
	{"what is missing is named", incompleteSignIn},
	{"an idm_token is taken in the development stage", idmToken},
	{"a JWT has the documented claims and works", goodJWT},
	{"a JWT that is expired, unsigned, of another key or cut short is refused", badJWT},
	{"of a key and a JWT the key goes first, and a bad one does no harm", keyFirst},
}

// signIn returns who presents the JWT of a user.
func (s *session) signIn(t *testing.T, user, password string) caller {
	t.Helper()
	return s.bearer(s.nobody().post(t, "/token", obj{"username": user, "password": password}).is(http.StatusOK).str("access_token"))
}

// signInPaths are the paths that take a name and a password.
var signInPaths = []string{"/token", "/token/", "/auth/token", "/auth/token/", "/auth/password", "/auth/idm"}

func everySpellingOfSignIn(t *testing.T, s *session) {
	form := url.Values{"username": {"testuser"}, "password": {"testpass"}, "grant_type": {"password"}}.Encode()
	parts, partsType := multipartForm(t, map[string]string{"username": "testuser", "password": "testpass"})
	const text = `{"username": "testuser", "password": "testpass"}`
	for _, path := range signInPaths {
		for _, c := range []struct{ body, contentType string }{
			{text, "application/json"}, {text, "application/json; charset=utf-8"}, {form, "application/x-www-form-urlencoded"},
			{parts, partsType}, {text, "application/x-www-form-urlencoded"},
		} {
			r := s.nobody().post(t, path, c.body, "Content-Type", c.contentType).is(http.StatusOK)
			r.has(obj{"token_type": "bearer", "expires_in": 3600})
			s.bearer(r.str("access_token")).get(t, "/users/me").is(http.StatusOK).has(obj{"id": "test-user"})
			if user, _ := r.obj()["user"].(obj); strings.HasPrefix(path, "/auth/password") && differs(obj{"id": "test-user", "username": "testuser", "email": "test@company.com", "is_superuser": false}, user) != "" {
				t.Errorf("%s answers the user %v", path, user)
			}
			if strings.HasPrefix(path, "/token") && r.obj()["user"] != nil {
				t.Errorf("%s answers a user, which is for /auth/password", path)
			}
		}
	}
}

func multipartForm(t *testing.T, fields map[string]string) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for k, v := range fields {
		if err := w.WriteField(k, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

func refusedSignIn(t *testing.T, s *session) {
	wrong := s.newSecret()
	for path, text := range map[string]string{"/token": "Incorrect username or password", "/auth/token": "Incorrect username or password",
		"/auth/password": "Incorrect username or password", "/auth/idm": "Invalid IDM credentials"} {
		for _, user := range []string{"testuser", "nobody-" + random(), "diana", "test-user", "test@company.com"} {
			r := s.nobody().post(t, path, obj{"username": user, "password": wrong}).refused(http.StatusUnauthorized, problem.Unauthorized, text)
			if h := r.header.Get("WWW-Authenticate"); !strings.Contains(h, "Bearer") {
				t.Errorf("%s: WWW-Authenticate %q", path, h)
			}
		}
	}
}

func incompleteSignIn(t *testing.T, s *session) {
	for _, path := range signInPaths {
		s.nobody().post(t, path, obj{"password": "x"}).invalid("username")
		s.nobody().post(t, path, obj{"username": "testuser"}).invalid("password")
		s.nobody().post(t, path, "username=testuser", "Content-Type", "application/x-www-form-urlencoded").invalid("password")
		s.nobody().post(t, path, nil).refused(http.StatusUnprocessableEntity, problem.Invalid)
		s.nobody().post(t, path, obj{"username": 7, "password": "x"}).invalid("username")
	}
}

func idmToken(t *testing.T, s *session) {
	r := s.nobody().post(t, "/auth/idm", obj{"username": "testuser", "idm_token": "idm-token-12345"}).is(http.StatusOK).keys("user")
	s.bearer(r.str("access_token")).get(t, "/users/me").is(http.StatusOK).has(obj{"username": "testuser"})
	for name, body := range map[string]obj{
		"short":         {"username": "testuser", "idm_token": "idm-1"},
		"of other kind": {"username": "testuser", "idm_token": "token-1234567890"},
		"of nobody":     {"username": unique("nobody"), "idm_token": "idm-token-12345"},
		"of inactive":   {"username": "diana", "idm_token": "idm-token-12345"},
	} {
		if r := s.nobody().post(t, "/auth/idm", body); r.status != http.StatusUnauthorized {
			t.Errorf("a token that is %s: %d", name, r.status)
		}
	}
}

func goodJWT(t *testing.T, s *session) {
	r := s.nobody().post(t, "/token", obj{"username": "readonly", "password": "readonly123"}).is(http.StatusOK)
	jwt := r.str("access_token")
	parts := strings.Split(s.secret(jwt), ".")
	if len(parts) != 3 {
		t.Fatalf("a JWT of %d parts", len(parts))
	}
	var header, claims obj
	for i, v := range []*obj{&header, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, v) != nil {
			t.Fatalf("part %d of the JWT: %v", i, err)
		}
	}
	if header["alg"] != "HS256" || claims["sub"] != "readonly" || claims["exp"].(float64)-claims["iat"].(float64) != 3600 {
		t.Errorf("header %v, claims %v; want HS256, the user name as sub, an hour", header, claims)
	}
	reader := s.bearer(jwt)
	reader.get(t, "/platforms").is(http.StatusOK)
	reader.post(t, "/platforms", obj{"name": unique("p"), "cloud_provider": "aws"}).refused(http.StatusForbidden, problem.Forbidden, "Write permission required")
}

// jwts are tokens that must be refused, with what is said of them.
func (s *session) jwts(t *testing.T) map[string][2]string {
	t.Helper()
	issue := func(at time.Time) string {
		jwt, err := s.Signer.Issue(at, "suite", auth.Owner{UserID: "admin-user", Username: "admin"})
		if err != nil {
			t.Fatal(err)
		}
		return jwt
	}
	good := issue(time.Now())
	parts := strings.Split(good, ".")
	enc := base64.RawURLEncoding.EncodeToString
	none := enc([]byte(`{"alg":"none","typ":"JWT","kid":"`+s.Signer.Current+`"}`)) + "." + parts[1] + "."
	other := enc([]byte(`{"alg":"HS256","typ":"JWT","kid":"other"}`)) + "." + parts[1] + "." + parts[2]
	return map[string][2]string{
		"expired":               {issue(time.Now().Add(-2 * time.Hour)), "Token has expired"},
		"signed none":           {none, "Could not validate credentials"},
		"of another key":        {other, "Could not validate credentials"},
		"without its signature": {parts[0] + "." + parts[1], "Could not validate credentials"},
		"with another's claims": {parts[0] + "." + strings.ToUpper(parts[1]) + "." + parts[2], "Could not validate credentials"},
	}
}

func badJWT(t *testing.T, s *session) {
	for name, c := range s.jwts(t) {
		t.Run(name, func(t *testing.T) {
			s.bearer(c[0]).get(t, "/platforms").refused(http.StatusUnauthorized, problem.Unauthorized, c[1])
		})
	}
	s.nobody().get(t, "/platforms", "Authorization", "Basic YWRtaW46YWRtaW4xMjM=").refused(http.StatusUnauthorized, problem.Unauthorized, "Authentication required. Use Bearer token or X-API-Key.")
	s.nobody().get(t, "/platforms", "Authorization", "bearer "+s.signIn(t, "testuser", "testpass").bearer).is(http.StatusOK)
}

func keyFirst(t *testing.T, s *session) {
	jwt := s.signIn(t, "admin", "admin123").bearer
	both := caller{s: s, key: s.reader.key, bearer: jwt}
	both.get(t, "/users/me").is(http.StatusOK).has(obj{"username": "readonly"})
	both.get(t, "/users").refused(http.StatusForbidden, problem.Forbidden, "Admin permission required")
	both.key = s.newSecret()
	both.get(t, "/users/me").is(http.StatusOK).has(obj{"username": "admin"})
	caller{s: s, key: s.reader.key, bearer: "not.a.jwt"}.get(t, "/users/me").is(http.StatusOK).has(obj{"username": "readonly"})
	caller{s: s, key: s.newSecret(), bearer: "not.a.jwt"}.get(t, "/users/me").refused(http.StatusUnauthorized, problem.Unauthorized, "Invalid API key")
	s.key(s.newSecret()).get(t, "/users/me").refused(http.StatusUnauthorized, problem.Unauthorized, "Invalid API key")
	s.nobody().get(t, "/users/me").refused(http.StatusUnauthorized, problem.Unauthorized, "Authentication required. Use Bearer token or X-API-Key.")
}
