package suite

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bldst/shared/id"
	"bldst/shared/problem"
)

var userTests = []test{
	{"the create bodies of all generations make a user", newUsers},
	{"a name and an address are unique", userNames},
	{"PUT changes what it names; null changes nothing", updateUser},
	{"a deactivated user stays readable and cannot sign in; a deleted one is gone", endUser},
	{"everybody can see who they are, and nobody else", selfOnly},
	{"an administrator cannot lock itself out", lockOut},
	{"users are listed by name, in pages", listUsers},
	{"what is no user is refused and names the field", badUsers},
}

const (
	userKeys  = "id username email first_name last_name full_name employee_id scopes is_active is_superuser created_at updated_at deactivated_at"
	tokenKeys = "id name description scopes expires_at is_active created_at last_used_at projects"
)

// A person is a user the suite has made.
type person struct{ id, name, password string }

// newUser makes a user with further fields.
func (s *session) newUser(t *testing.T, more obj) person {
	t.Helper()
	p := person{name: unique("user"), password: s.newSecret()}
	body := with(obj{"username": p.name, "email": p.name + "@example.com", "password": p.password}, more)
	p.id = s.admin.post(t, "/users", body).is(http.StatusCreated).id()
	return p
}

func newUsers(t *testing.T, s *session) {
	for name, c := range map[string]struct{ more, want obj }{
		"DOC":    {obj{"scopes": []string{"read"}}, obj{"scopes": []string{"read"}}},
		"CODE":   {obj{"first_name": "Ann", "last_name": "Lee", "is_active": true}, obj{"first_name": "Ann", "last_name": "Lee", "full_name": "Ann Lee", "scopes": []string{"read", "write"}}},
		"CLI":    {obj{"full_name": "Ann Lee"}, obj{"full_name": "Ann Lee", "first_name": "Ann", "last_name": "Lee"}},
		"LEGACY": {obj{"employee_id": "EMP900", "is_superuser": true}, obj{"employee_id": "EMP900", "is_superuser": true, "scopes": []string{"read", "write", "admin"}}},
		"odd":    {obj{"scopes": []string{"read", "build", "read"}}, obj{"scopes": []string{"read", "build"}}},
		"off":    {obj{"is_active": false}, obj{"is_active": false}},
	} {
		t.Run(name, func(t *testing.T) {
			p := person{name: unique("user"), password: s.newSecret()}
			r := s.admin.post(t, []string{"/users", "/users/"}[len(name)%2], with(obj{"username": p.name, "email": p.name + "@example.com", "password": p.password}, c.more)).
				is(http.StatusCreated).keys(userKeys).has(c.want)
			if !id.IsUUID(r.id()) || strings.Contains(string(r.body), "password") {
				t.Errorf("the user: %s", r.body)
			}
			for _, ref := range []string{r.id(), p.name, p.name + "@example.com"} {
				s.admin.get(t, "/users/"+escape(ref)).is(http.StatusOK).has(r.obj())
			}
			if c.more["is_active"] != false {
				s.signIn(t, p.name, p.password).get(t, "/users/me").is(http.StatusOK).has(obj{"id": r.id()})
			}
		})
	}
	s.admin.get(t, "/users/no-such").refused(http.StatusNotFound, problem.NotFound, "User", "not found")
}

func userNames(t *testing.T, s *session) {
	p, q := s.newUser(t, nil), s.newUser(t, nil)
	s.admin.post(t, "/users", obj{"username": p.name, "email": unique("x") + "@example.com", "password": s.newSecret()}).refused(http.StatusConflict, problem.Conflict, p.id)
	s.admin.post(t, "/users", obj{"username": unique("x"), "email": p.name + "@example.com", "password": s.newSecret()}).refused(http.StatusConflict, problem.Conflict, p.id)
	s.admin.put(t, "/users/"+q.id, obj{"username": p.name}).refused(http.StatusConflict, problem.Conflict, p.id)
	renamed := unique("renamed")
	s.admin.put(t, "/users/"+q.id, obj{"username": renamed}).is(http.StatusOK).has(obj{"username": renamed})
	s.signIn(t, renamed, q.password).get(t, "/users/me").is(http.StatusOK).has(obj{"id": q.id, "username": renamed})
	s.nobody().post(t, "/token", obj{"username": q.name, "password": q.password}).is(http.StatusUnauthorized)
}

func updateUser(t *testing.T, s *session) {
	p := s.newUser(t, obj{"first_name": "A", "last_name": "B"})
	was := s.admin.get(t, "/users/"+p.id)
	s.admin.put(t, "/users/"+p.id, obj{"first_name": "C", "employee_id": "E1", "scopes": []string{"read"}}).is(http.StatusOK).has(obj{"first_name": "C", "last_name": "B", "full_name": "C B", "employee_id": "E1", "scopes": []string{"read"}})
	s.admin.put(t, "/users/"+p.id, obj{"username": nil, "email": nil, "scopes": nil, "password": nil, "first_name": nil, "is_superuser": nil}).is(http.StatusOK).has(obj{"first_name": "C", "username": p.name, "scopes": []string{"read"}})
	s.admin.put(t, "/users/"+p.id, obj{"first_name": "D"}, "If-Match", was.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	password := s.newSecret()
	s.admin.put(t, "/users/"+p.id, obj{"password": password}, "If-Match", s.admin.get(t, "/users/"+p.id).etag()).is(http.StatusOK)
	s.signIn(t, p.name, password).post(t, "/platforms", obj{"name": "x", "cloud_provider": "y"}).refused(http.StatusForbidden, problem.Forbidden)
	s.nobody().post(t, "/token", obj{"username": p.name, "password": p.password}).is(http.StatusUnauthorized)
	s.admin.put(t, "/users/no-such", obj{}).refused(http.StatusNotFound, problem.NotFound)
}

func endUser(t *testing.T, s *session) {
	p := s.newUser(t, nil)
	jwt := s.signIn(t, p.name, p.password)
	key := s.key(s.admin.post(t, "/users/"+p.id+"/tokens", obj{"name": "k"}).is(http.StatusCreated).str("token"))
	jwt.get(t, "/platforms").is(http.StatusOK)
	s.admin.put(t, "/users/"+p.id, obj{"is_active": false, "deactivated_at": "2024-06-01T00:00:00Z"}).is(http.StatusOK).has(obj{"is_active": false, "deactivated_at": "2024-06-01T00:00:00Z"})
	s.admin.get(t, "/users/"+p.id).is(http.StatusOK).has(obj{"is_active": false})
	s.admin.get(t, "/users/"+p.id+"/profile").is(http.StatusOK).has(obj{"is_active": false, "deactivated_at": "2024-06-01T00:00:00Z"})
	s.nobody().post(t, "/token", obj{"username": p.name, "password": p.password}).refused(http.StatusUnauthorized, problem.Unauthorized, "Incorrect username or password")
	key.get(t, "/platforms").is(http.StatusUnauthorized)
	ended(t, jwt)
	s.admin.put(t, "/users/"+p.id, obj{"is_active": true}).is(http.StatusOK).has(obj{"is_active": true, "deactivated_at": nil})
	s.signIn(t, p.name, p.password)
	s.dev.delete(t, "/users/"+p.id).refused(http.StatusForbidden, problem.Forbidden, "Admin permission required")
	s.admin.delete(t, "/users/"+p.id).is(http.StatusNoContent)
	for _, path := range []string{"", "/profile", "/tokens"} {
		s.admin.get(t, "/users/"+p.id+path).refused(http.StatusNotFound, problem.NotFound)
	}
	s.admin.delete(t, "/users/"+p.id).refused(http.StatusNotFound, problem.NotFound)
	s.admin.get(t, "/users/"+p.id+"?include_deactivated=true").is(http.StatusOK).has(obj{"username": p.name})
	s.nobody().post(t, "/token", obj{"username": p.name, "password": p.password}).is(http.StatusUnauthorized)
	s.admin.post(t, "/users/"+p.id+"/restore", nil).is(http.StatusOK).has(obj{"id": p.id, "username": p.name, "is_active": true})
	s.signIn(t, p.name, p.password)
	if keys := s.admin.get(t, "/users/"+p.id+"/tokens").is(http.StatusOK).list(); len(keys) != 0 {
		t.Errorf("the restored user has the keys %v", keys)
	}
}

// ended waits until a credential that was good is refused: within ten seconds.
func ended(t *testing.T, c caller) {
	t.Helper()
	eventually(t, func() string {
		if r := c.get(t, "/users/me"); r.status != http.StatusUnauthorized {
			return fmt.Sprintf("a credential that was ended is answered with %d", r.status)
		}
		return ""
	})
}

func selfOnly(t *testing.T, s *session) {
	p, other := s.newUser(t, obj{"scopes": []string{"read"}}), s.newUser(t, nil)
	c := s.signIn(t, p.name, p.password)
	c.get(t, "/users/me").is(http.StatusOK).keys(userKeys).has(obj{"id": p.id})
	for _, path := range []string{"/users/me/profile", "/users/" + p.id + "/profile", "/users/" + p.name + "/profile"} {
		c.get(t, path).is(http.StatusOK).keys(userKeys + " user_id start_date end_date tokens").has(obj{"user_id": p.id, "tokens": []any{}})
	}
	for _, ref := range []string{other.id, other.name, "no-such"} {
		c.get(t, "/users/"+ref+"/profile").refused(http.StatusForbidden, problem.Forbidden, "Admin permission required")
		c.get(t, "/users/"+ref+"/tokens").refused(http.StatusForbidden, problem.Forbidden)
		c.post(t, "/users/"+ref+"/tokens", obj{"name": "x"}).refused(http.StatusForbidden, problem.Forbidden)
		c.delete(t, "/users/"+ref+"/tokens/x").refused(http.StatusForbidden, problem.Forbidden)
	}
	for _, path := range []string{"/users", "/users/" + p.id, "/users/" + other.id} {
		c.get(t, path).refused(http.StatusForbidden, problem.Forbidden, "Admin permission required")
	}
	c.put(t, "/users/"+p.id, obj{"scopes": []string{"admin"}}).refused(http.StatusForbidden, problem.Forbidden, "Admin permission required")
	s.admin.get(t, "/users/"+other.id+"/profile").is(http.StatusOK).has(obj{"username": other.name})
}

func lockOut(t *testing.T, s *session) {
	p := s.newUser(t, obj{"is_superuser": true})
	c := s.signIn(t, p.name, p.password)
	c.delete(t, "/users/"+p.id).refused(http.StatusBadRequest, problem.Refused)
	c.delete(t, "/users/me").refused(http.StatusBadRequest, problem.Refused)
	c.put(t, "/users/"+p.id, obj{"is_active": false}).refused(http.StatusBadRequest, problem.Refused)
	c.put(t, "/users/"+p.id, obj{"scopes": []string{"read"}}).refused(http.StatusBadRequest, problem.Refused)
	c.put(t, "/users/me", obj{"full_name": "Still Here"}).is(http.StatusOK).has(obj{"full_name": "Still Here"})
}

func listUsers(t *testing.T, s *session) {
	var names []string
	for range 3 {
		names = append(names, s.newUser(t, nil).name)
	}
	slices.Sort(names)
	for how, read := range map[string]func() []obj{"by cursor": func() []obj { return s.admin.walk(t, "/users?limit=4") }, "by skip": func() []obj { return s.admin.skim(t, "/users", 5) }} {
		eventually(t, func() string {
			if got := among(read(), "username", names); !slices.Equal(got, names) {
				return fmt.Sprintf("%s: %v, want %v", how, got, names)
			}
			return ""
		})
	}
	gone := s.newUser(t, nil)
	s.admin.delete(t, "/users/"+gone.id).is(http.StatusNoContent)
	for query, want := range map[string]int{"": 0, "&include_deactivated=true": 1} {
		eventually(t, func() string {
			if got := among(s.admin.walk(t, "/users?limit=100"+query), "id", []string{gone.id}); len(got) != want {
				return fmt.Sprintf("%q lists the deleted user %d times", query, len(got))
			}
			return ""
		})
	}
	badPages(t, s, "/users")
}

func badUsers(t *testing.T, s *session) {
	ok := func() obj {
		return obj{"username": unique("u"), "email": unique("u") + "@example.com", "password": "long enough"}
	}
	for _, field := range []string{"username", "email", "password"} {
		body := ok()
		delete(body, field)
		s.admin.post(t, "/users", body).invalid(field)
	}
	for field, values := range map[string][]any{"username": {"", "me", "a/b", " a", "a\nb", "\u0430dmin", "a b", 7, strings.Repeat("x", 101)}, "email": {"nobody", "a@b@c", "@x", 7}, "password": {"", "1234567", 7, strings.Repeat("x", 73)}, "scopes": {"read", []any{1}, []string{""}, []string{strings.Repeat("x", 51)}}, "is_active": {"yes"}} {
		for _, v := range values {
			if r := s.admin.post(t, "/users", with(ok(), obj{field: v})).refused(http.StatusUnprocessableEntity, problem.Invalid); !strings.Contains(string(r.body), field) {
				t.Errorf("%s %v: %s", field, v, r.body)
			}
		}
	}
}

var tokenTests = []test{
	{"a key is shown once and works with its own scopes", newToken},
	{"a key cannot exceed its owner nor who makes it", tokenScopes},
	{"a key ends when it is revoked or expires", endTokens},
	{"keys are listed without themselves", listTokens},
	{"what is none is refused and names the field", badTokens},
}

func newToken(t *testing.T, s *session) {
	p := s.newUser(t, obj{"is_superuser": true})
	at := "/users/" + p.id + "/tokens"
	r := s.admin.post(t, at, obj{"name": "ci", "description": "for CI", "scopes": []string{"read"}, "expires_in_days": 30}).is(http.StatusCreated).
		keys("id token name description scopes expires_at created_at").has(obj{"name": "ci", "description": "for CI", "scopes": []string{"read"}})
	c := s.key(r.str("token"))
	c.get(t, "/users/me").is(http.StatusOK).has(obj{"id": p.id})
	c.post(t, "/platforms", obj{"name": "x", "cloud_provider": "y"}).refused(http.StatusForbidden, problem.Forbidden, "Write permission required")
	if at, err := time.Parse(time.RFC3339, r.str("expires_at")); err != nil || time.Until(at) < 29*24*time.Hour {
		t.Errorf("it expires at %s", r.str("expires_at"))
	}
	s.admin.post(t, at, obj{"name": "synthetic", "scopes": []string{"read", "write", "build"}, "expires_at": nil}).is(http.StatusCreated).has(obj{"scopes": []string{"read", "write", "build"}, "expires_at": nil})
	s.admin.post(t, at, obj{"name": "dated", "expires_at": "2099-01-01T00:00:00Z"}).is(http.StatusCreated).has(obj{"expires_at": "2099-01-01T00:00:00Z", "scopes": []string{"read", "write"}})
	s.admin.post(t, at, obj{"description": "only a description"}).is(http.StatusCreated).has(obj{"name": "only a description"})
	only := s.key(s.admin.post(t, at, obj{"name": "unknown", "scopes": []string{"build"}}).is(http.StatusCreated).str("token"))
	only.get(t, "/platforms").refused(http.StatusForbidden, problem.Forbidden, "Read permission required")
	only.get(t, "/users/me").is(http.StatusOK)
	admin := s.key(s.admin.post(t, at, obj{"name": "only admin", "scopes": []string{"admin"}}).is(http.StatusCreated).str("token"))
	admin.get(t, "/platforms").is(http.StatusOK)
	admin.get(t, "/users").is(http.StatusOK)
}

func tokenScopes(t *testing.T, s *session) {
	p := s.newUser(t, obj{"scopes": []string{"read", "write"}})
	at := "/users/" + p.id + "/tokens"
	s.admin.post(t, at, obj{"name": "x", "scopes": []string{"admin"}}).refused(http.StatusForbidden, problem.Forbidden, "admin")
	key := s.key(s.admin.post(t, at, obj{"name": "x", "scopes": []string{"read"}}).is(http.StatusCreated).str("token"))
	key.post(t, at, obj{"name": "y", "scopes": []string{"write"}}).refused(http.StatusForbidden, problem.Forbidden, "write")
	key.post(t, "/users/me/tokens", obj{"name": "y"}).is(http.StatusCreated).has(obj{"scopes": []string{"read"}})
	writer := s.key(s.admin.post(t, at, obj{"name": "w"}).is(http.StatusCreated).str("token"))
	s.admin.put(t, "/users/"+p.id, obj{"scopes": []string{"read"}}).is(http.StatusOK)
	writer.post(t, "/platforms", obj{"name": "x", "cloud_provider": "y"}).refused(http.StatusForbidden, problem.Forbidden, "Write permission required")
	s.admin.post(t, "/users/no-such/tokens", obj{"name": "x"}).refused(http.StatusNotFound, problem.NotFound)
}

func endTokens(t *testing.T, s *session) {
	p := s.newUser(t, nil)
	at := "/users/" + p.id + "/tokens"
	r := s.admin.post(t, at, obj{"name": "x"}).is(http.StatusCreated)
	s.admin.delete(t, at+"/"+r.id()).is(http.StatusNoContent)
	s.key(r.str("token")).get(t, "/users/me").refused(http.StatusUnauthorized, problem.Unauthorized, "Invalid API key")
	s.admin.delete(t, at+"/"+r.id()).refused(http.StatusNotFound, problem.NotFound, "Token", "not found")
	s.admin.delete(t, "/users/testuser/tokens/"+r.id()).refused(http.StatusNotFound, problem.NotFound)
	used := s.admin.post(t, at, obj{"name": "x"}).is(http.StatusCreated)
	c := s.key(used.str("token"))
	c.get(t, "/users/me").is(http.StatusOK)
	c.delete(t, "/users/me/tokens/"+used.id()).is(http.StatusNoContent)
	ended(t, c)
	s.admin.post(t, at, obj{"name": "x", "expires_at": "2020-01-01T00:00:00Z"}).invalid("expires_at")
}

func listTokens(t *testing.T, s *session) {
	p := s.newUser(t, nil)
	at := "/users/" + p.id + "/tokens"
	first := s.admin.post(t, at, obj{"name": "first"}).is(http.StatusCreated)
	second := s.admin.post(t, at, obj{"name": "second"}).is(http.StatusCreated)
	r := s.admin.get(t, at).is(http.StatusOK)
	if got := fields(r.list(), "name"); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("keys %v", got)
	}
	for _, k := range r.list() {
		if wrong := lacks(k, tokenKeys) + differs(obj{"is_active": true}, k); wrong != "" {
			t.Errorf("key %v: %s", k, wrong)
		}
	}
	for _, v := range []*reply{first, second} {
		if strings.Contains(string(r.body), s.secret(v.str("token"))) {
			t.Error("the list shows a key")
		}
	}
	var profile struct{ Tokens []obj }
	s.admin.get(t, "/users/"+p.id+"/profile").is(http.StatusOK).as(&profile)
	if len(profile.Tokens) != 2 {
		t.Errorf("the profile has the keys %v", profile.Tokens)
	}
	s.key(first.str("token")).get(t, "/platforms").is(http.StatusOK)
	eventually(t, func() string {
		if s.admin.get(t, at).list()[0]["last_used_at"] == nil {
			return "last_used_at of a key that was used is null"
		}
		return ""
	})
}

func badTokens(t *testing.T, s *session) {
	p := s.newUser(t, nil)
	at := "/users/" + p.id + "/tokens"
	s.admin.post(t, at, obj{}).invalid("name")
	for field, values := range map[string][]any{"name": {7, strings.Repeat("x", 101)}, "scopes": {"read", []any{1}, []string{""}}, "expires_in_days": {0, -1, "x", 1e6}, "expires_at": {"soon", 7}, "projects": {"x"}} {
		for _, v := range values {
			if r := s.admin.post(t, at, with(obj{"name": "x"}, obj{field: v})).refused(http.StatusUnprocessableEntity, problem.Invalid); !strings.Contains(string(r.body), field) {
				t.Errorf("%s %v: %s", field, v, r.body)
			}
		}
	}
	s.admin.post(t, at, obj{"name": "x", "projects": []string{"no-such"}}).refused(http.StatusNotFound, problem.NotFound, "no-such")
	s.admin.put(t, "/users/"+p.id, obj{"is_active": false}).is(http.StatusOK)
	s.admin.post(t, at, obj{"name": "x"}).refused(http.StatusBadRequest, problem.Refused)
}
