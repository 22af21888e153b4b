package apitest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/wire"
)

// A credential is one way to call an endpoint.
type credential struct {
	name    string
	headers []string
	scopes  []auth.Scope // that it grants; none: it is no credential
	bound   bool         // to a project that has nothing to do with what is called
}

// expected returns the statuses an endpoint of the scope may answer with; nil
// when nobody has thought about that scope.
func (k credential) expected(s auth.Scope) func(status int) bool {
	admitted := func(status int) bool { return status != http.StatusUnauthorized && status != http.StatusForbidden }
	is := func(want int) func(int) bool { return func(got int) bool { return got == want } }
	switch {
	case s == auth.Public:
		return func(status int) bool { return status != http.StatusForbidden }
	case len(k.scopes) == 0:
		return is(http.StatusUnauthorized)
	case s == auth.Any:
		return func(status int) bool { return status != http.StatusUnauthorized }
	case s != auth.Read && s != auth.Write && s != auth.Admin:
		return nil
	case !slices.Contains(k.scopes, s):
		return is(http.StatusForbidden)
	case k.bound:
		return func(status int) bool { return status != http.StatusUnauthorized }
	default:
		return admitted
	}
}

// exceptions are the endpoints that ask for more than their scope says, with
// the reason; for them a 403 is right, too.
var exceptions = map[string]string{
	"get-user-profile":    "admin or the user itself",
	"create-token":        "admin or the user itself",
	"list-tokens":         "admin or the user itself",
	"revoke-token":        "admin or the user itself",
	"update-project-ci":   "admin: the address decides where the credential goes",
	"delete-subscription": "a key bound to other projects",
}

// boundBuilds are the paths of one build, which belongs to the default project.
const boundBuilds = "/builds/{id}"

// Authorization calls every endpoint with every credential.
func Authorization(t *testing.T, s Stack) {
	c := &client{t: t, s: s, key: adminKey}
	b := strings.TrimPrefix(c.create(doc{}), "/builds/")
	for _, f := range wire.Functions() {
		for _, op := range f.API().Ops() {
			if op.Scope != auth.Public && op.Scope != auth.Any && op.Scope != auth.Read && op.Scope != auth.Write && op.Scope != auth.Admin {
				t.Errorf("%s %s: scope %q has no expectation; add it to credential.expected", op.Method, op.Path, op.Scope)
			}
			for _, k := range credentials(t, c) {
				try(t, s, op, k, b)
			}
		}
	}
}

func try(t *testing.T, s Stack, op api.Op, k credential, build string) {
	t.Helper()
	path := op.Path
	if strings.HasPrefix(path, boundBuilds) {
		path = strings.Replace(path, "{id}", build, 1)
	}
	for strings.Contains(path, "{") {
		i, j := strings.Index(path, "{"), strings.Index(path, "}")
		path = path[:i] + "nothing" + path[j+1:]
	}
	req, err := http.NewRequest(op.Method, s.URL+path, strings.NewReader("[]"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(k.headers); i += 2 {
		req.Header.Set(k.headers[i], k.headers[i+1])
	}
	res, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	want := k.expected(op.Scope)
	ok := want(res.StatusCode) && res.StatusCode < 500
	if !ok && res.StatusCode == http.StatusForbidden && exceptions[op.ID] != "" {
		ok = true
	}
	if k.bound && ok && op.Method == http.MethodGet && strings.HasPrefix(op.Path, boundBuilds) && !strings.Contains(strings.TrimPrefix(op.Path, boundBuilds), "{") {
		ok = res.StatusCode == http.StatusForbidden
	}
	if !ok {
		t.Errorf("%s %s (%s, scope %q) with %s: %d %.200s", op.Method, path, op.ID, op.Scope, k.name, res.StatusCode, body)
	}
}

// credentials returns every kind of credential there is.
func credentials(t *testing.T, c *client) []credential {
	t.Helper()
	made.once(t, c)
	return made.all
}

// made are the credentials, made once.
var made madeOnce

type madeOnce struct{ all []credential }

func (m *madeOnce) once(t *testing.T, c *client) {
	if m.all != nil {
		return
	}
	t.Helper()
	c.call(201, "POST", "/projects", doc{"name": "elsewhere"})
	boundKey := c.call(201, "POST", "/users/test-user/tokens", doc{"name": "bound", "projects": []string{"elsewhere"}}).doc["token"].(string)
	gone := c.call(201, "POST", "/users/test-user/tokens", doc{"name": "gone"})
	c.call(204, "DELETE", "/users/test-user/tokens/"+gone.doc["id"].(string), nil)
	write := c.as("").call(200, "POST", "/token", doc{"username": "user", "password": "user123"}).doc["access_token"].(string)
	read, rw, all := []auth.Scope{auth.Any, auth.Read}, []auth.Scope{auth.Any, auth.Read, auth.Write}, []auth.Scope{auth.Any, auth.Read, auth.Write, auth.Admin}
	m.all = []credential{
		{name: "nothing"},
		{name: "a garbage key", headers: []string{"X-API-Key", "garbage"}},
		{name: "a garbage JWT", headers: []string{"Authorization", "Bearer a.b.c"}},
		{name: "an expired JWT", headers: []string{"Authorization", "Bearer " + expired(t, c.s.Signer, write)}},
		{name: "a JWT signed none", headers: []string{"Authorization", "Bearer " + unsigned(t, write)}},
		{name: "a revoked key", headers: []string{"X-API-Key", gone.doc["token"].(string)}},
		{name: "a read key", headers: []string{"X-API-Key", readKey}, scopes: read},
		{name: "a write key", headers: []string{"X-API-Key", writeKey}, scopes: rw},
		{name: "a write JWT", headers: []string{"Authorization", "Bearer " + write}, scopes: rw},
		{name: "a write key bound to another project", headers: []string{"X-API-Key", boundKey}, scopes: rw, bound: true},
		{name: "an admin key", headers: []string{"X-API-Key", adminKey}, scopes: all},
	}
}

// expired returns the token as it would be had it ended an hour ago.
func expired(t *testing.T, s *auth.Signer, token string) string {
	t.Helper()
	c := claims(t, token)
	c["iat"], c["exp"] = time.Now().Add(-2*time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	text := part(doc{"alg": "HS256", "typ": "JWT", "kid": s.Current}) + "." + part(c)
	mac := hmac.New(sha256.New, s.Keys[s.Current])
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// unsigned returns the token with the algorithm none.
func unsigned(t *testing.T, token string) string {
	t.Helper()
	return part(doc{"alg": "none", "typ": "JWT"}) + "." + part(claims(t, token)) + "."
}

// claims returns the claims of a JWT without looking at its signature.
func claims(t *testing.T, token string) doc {
	t.Helper()
	var c doc
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || json.Unmarshal(b, &c) != nil {
		t.Fatalf("not a JWT: %v", err)
	}
	return c
}

// part returns one part of a JWT.
func part(v doc) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}
