package identity_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bldst/shared/store"
	"bldst/shared/table"
)

const newUser = `{"username":"erin","email":"Erin@Company.com","password":"s3cret-pass","full_name":"Erin Ada Ito","employee_id":"EMP100"}`

func TestCreateUser(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	got := h.do("POST", "/users/", adminKey, newUser).want(201)
	want := map[string]any{
		"id": got.get("id"), "username": "erin", "email": "Erin@Company.com", "first_name": "Erin Ada", "last_name": "Ito", "full_name": "Erin Ada Ito",
		"employee_id": "EMP100", "scopes": []any{"read", "write"}, "is_active": true, "is_superuser": false,
		"created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00Z", "deactivated_at": nil,
	}
	var have map[string]any
	if err := json.Unmarshal([]byte(got.text), &have); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("user (-want +got):\n%s", d)
	}
	if got.header.Get("ETag") != `"1"` {
		t.Errorf("ETag %s", got.header.Get("ETag"))
	}
	for _, ref := range []string{got.str("id"), "erin", "erin@company.com"} {
		if id := h.do("GET", "/users/"+ref, adminKey, "").want(200).str("id"); id != got.str("id") {
			t.Errorf("GET by %s gives %s", ref, id)
		}
	}
}

func TestUserInput(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for name, tc := range map[string]struct {
		body   string
		status int
		has    string // the answer contains
	}{
		"a superuser gets all scopes":                 {`{"username":"u1","email":"u1@x.io","password":"pass-phrase","is_superuser":true}`, 201, `"scopes":["read","write","admin"]`},
		"a superuser with scopes keeps those":         {`{"username":"u2","email":"u2@x.io","password":"pass-phrase","is_superuser":true,"scopes":["read"]}`, 201, `"scopes":["read"]`},
		"first and last name make the full name":      {`{"username":"u3","email":"u3@x.io","password":"pass-phrase","first_name":"A","last_name":"B"}`, 201, `"full_name":"A B"`},
		"null is not supplied":                        {`{"username":"u4","email":"u4@x.io","password":"pass-phrase","scopes":null,"is_active":null,"first_name":null,"employee_id":null}`, 201, `"scopes":["read","write"]`},
		"an unknown scope is kept":                    {`{"username":"u5","email":"u5@x.io","password":"pass-phrase","scopes":["read","build","read"]}`, 201, `"scopes":["read","build"]`},
		"a user may begin inactive":                   {`{"username":"u6","email":"u6@x.io","password":"pass-phrase","is_active":false}`, 201, `"is_active":false`},
		"unknown fields are ignored":                  {`{"username":"u7","email":"u7@x.io","password":"pass-phrase","color":"red"}`, 201, `"username":"u7"`},
		"no user name":                                {`{"email":"u8@x.io","password":"pass-phrase"}`, 422, `"loc":["body","username"]`},
		"no password":                                 {`{"username":"u8","email":"u8@x.io"}`, 422, `"loc":["body","password"]`},
		"no e-mail address":                           {`{"username":"u8","password":"pass-phrase"}`, 422, `"loc":["body","email"]`},
		"what is no e-mail address":                   {`{"username":"u8","email":"u8.x.io","password":"pass-phrase"}`, 422, `"loc":["body","email"]`},
		"the name me":                                 {`{"username":"me","email":"u8@x.io","password":"pass-phrase"}`, 422, `"loc":["body","username"]`},
		"a name with a slash":                         {`{"username":"a/b","email":"u8@x.io","password":"pass-phrase"}`, 422, `"loc":["body","username"]`},
		"a password longer than is looked at":         {`{"username":"u8","email":"u8@x.io","password":"` + strings.Repeat("é", 40) + `"}`, 422, `"loc":["body","password"]`},
		"an empty scope":                              {`{"username":"u8","email":"u8@x.io","password":"pass-phrase","scopes":[""]}`, 422, `"loc":["body","scopes"]`},
		"a taken name says by whom":                   {`{"username":"testuser","email":"u8@x.io","password":"pass-phrase"}`, 409, `test-user`},
		"a taken e-mail address, in another spelling": {`{"username":"u8","email":"TEST@company.com","password":"pass-phrase"}`, 409, `test-user`},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.do("POST", "/users", adminKey, tc.body)
			if got.status != tc.status || !strings.Contains(got.text, tc.has) {
				t.Errorf("got %d %s\nwant %d and %s", got.status, got.text, tc.status, tc.has)
			}
		})
	}
}

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.do("POST", "/users", adminKey, newUser).want(201).str("id")
	for _, tc := range []struct{ name, body, has string }{
		{"one part of the name changes the whole", `{"first_name":"Eva"}`, `"full_name":"Eva Ito"`},
		{"the whole name changes the parts", `{"full_name":"Zoe"}`, `"first_name":"Zoe","last_name":null,"full_name":"Zoe"`},
		{"null stays", `{"full_name":null,"email":null,"scopes":null,"username":null,"is_active":null}`, `"full_name":"Zoe"`},
		{"scopes are replaced", `{"scopes":["read"]}`, `"scopes":["read"]`},
		{"another name", `{"username":"eva"}`, `"username":"eva"`},
		{"deactivated with a date", `{"is_active":false,"deactivated_at":"2025-12-31T10:00:00"}`, `"deactivated_at":"2025-12-31T10:00:00Z"`},
		{"the first deactivation counts", `{"is_active":false}`, `"deactivated_at":"2025-12-31T10:00:00Z"`},
		{"and back", `{"is_active":true}`, `"deactivated_at":null`},
		{"a date in the future is now", `{"deactivated_at":"2030-01-01T00:00:00Z"}`, `"deactivated_at":"2026-01-31T12:00:00Z"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := h.do("PUT", "/users/"+id, adminKey, tc.body).want(200); !strings.Contains(got.text, tc.has) {
				t.Errorf("got %s\nwant %s", got.text, tc.has)
			}
		})
	}
	h.do("GET", "/users/erin", adminKey, "").want(404)
	h.do("POST", "/users", adminKey, `{"username":"erin","email":"e2@x.io","password":"pass-phrase"}`).want(201)
	h.do("PUT", "/users/eva", adminKey, `{"username":"erin"}`).want(409)
	h.do("PUT", "/users/eva", adminKey, `{"deactivated_at":"soon"}`).want(422)
	h.do("PUT", "/users/eva", adminKey, `{"first_name":"X"}`, "If-Match", `"1"`).want(412)
	h.do("PUT", "/users/nobody", adminKey, `{"first_name":"X"}`).wantDetail(404, "User with id 'nobody' not found")
}

func TestDeactivatedUserStaysReadable(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	jwt := h.signIn("testuser", "testpass")
	h.do("GET", "/users/me", jwt, "").want(200)
	h.do("GET", "/users/me", devKey, "").want(200)
	h.do("PUT", "/users/testuser", adminKey, `{"is_active":false}`).want(200)
	got := h.do("GET", "/users/test-user/profile", adminKey, "").want(200)
	if got.get("is_active") != false || got.str("deactivated_at") == "" || got.str("end_date") != got.str("deactivated_at") {
		t.Errorf("profile: %s", got.text)
	}
	if got := h.do("GET", "/users/test-user/tokens", adminKey, "").want(200); !strings.Contains(got.text, `"is_active":false`) {
		t.Errorf("its keys: %s", got.text)
	}
	h.do("GET", "/users/me", devKey, "").want(200) // still remembered
	h.pass(10 * time.Second)
	h.do("GET", "/users/me", devKey, "").wantDetail(401, "Invalid API key")
	h.do("GET", "/users/me", jwt, "").wantDetail(401, "Could not validate credentials")
	h.do("POST", "/token", "", `{"username":"testuser","password":"testpass"}`).wantDetail(401, "Incorrect username or password")
	h.do("POST", "/users/testuser/tokens", adminKey, `{"name":"k"}`).want(400)
	h.do("PUT", "/users/testuser", adminKey, `{"is_active":true}`).want(200)
	h.pass(10 * time.Second)
	h.do("GET", "/users/me", devKey, "").want(200)
	h.do("GET", "/users/me", jwt, "").wantDetail(401, "Could not validate credentials") // what has ended does not come back
	h.do("GET", "/users/me", h.signIn("testuser", "testpass"), "").want(200)
}

func TestWhatEndsJWTs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, tc := range []struct {
		what string
		ends bool
		do   func()
	}{
		{"another name", false, func() { h.do("PUT", "/users/test-user", adminKey, `{"first_name":"Eva"}`).want(200) }},
		{"a new password", true, func() { h.do("PUT", "/users/test-user", adminKey, `{"password":"n3w-words"}`).want(200) }},
		{"a deactivation and its end", true, func() {
			h.do("PUT", "/users/test-user", adminKey, `{"is_active":false}`).want(200)
			h.do("PUT", "/users/test-user", adminKey, `{"is_active":true}`).want(200)
		}},
		{"a deletion and a restore", true, func() {
			h.do("DELETE", "/users/test-user", adminKey, "").want(204)
			h.do("POST", "/users/test-user/restore", adminKey, "").want(200)
		}},
	} {
		password := "testpass"
		if tc.what != "another name" && tc.what != "a new password" {
			password = "n3w-words"
		}
		jwt := h.signIn("testuser", password)
		h.do("GET", "/users/me", jwt, "").want(200)
		tc.do()
		h.pass(10 * time.Second)
		want := map[bool]int{true: 401, false: 200}[tc.ends]
		if got := h.do("GET", "/users/me", jwt, ""); got.status != want {
			t.Errorf("after %s a JWT is answered %d, want %d", tc.what, got.status, want)
		}
	}
}

func TestLookAlikesAreNoUserNames(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for i, name := range []string{"\u0430dmin", "admin\u200b", "\uff41dmin", "admin ", "b\u00f6b", "ME"} {
		h.do("POST", "/users", adminKey, fmt.Sprintf(`{"username":"%s","email":"l%d@x.io","password":"pass-phrase"}`, name, i)).want(422)
	}
	h.do("POST", "/users", adminKey, `{"username":"TestUser","email":"l9@x.io","password":"pass-phrase"}`).want(409)
	h.do("POST", "/users", adminKey, `{"username":"Erin.Ito+ci@Company","email":"l8@x.io","password":"pass-phrase"}`).want(201)
	h.do("POST", "/users", adminKey, `{"username":"erin.ito+CI@company","email":"l7@x.io","password":"pass-phrase"}`).want(409)
	h.do("POST", "/users", adminKey, `{"username":"short","email":"l6@x.io","password":"1234567"}`).want(422)
	h.do("PUT", "/users/testuser", adminKey, `{"password":"1234567"}`).want(422)
}

func TestDeletedUser(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	jwt := h.signIn("testuser", "testpass")
	second := h.do("POST", "/users/testuser/tokens", adminKey, `{"name":"second"}`).want(201).str("token")
	h.do("DELETE", "/users/testuser", adminKey, "").want(204)
	h.do("DELETE", "/users/test-user", adminKey, "").want(404)
	h.do("GET", "/users/test-user", adminKey, "").want(404)
	h.do("GET", "/users/test-user/profile", adminKey, "").want(404)
	h.do("GET", "/users/test-user/tokens", adminKey, "").want(404)
	h.pass(10 * time.Second)
	for _, c := range []string{jwt, devKey, second} {
		h.do("GET", "/users/me", c, "").want(401)
	}
	got := h.do("GET", "/users/test-user?include_deactivated=true", adminKey, "").want(200)
	if got.get("is_active") != false || got.str("deactivated_at") == "" {
		t.Errorf("deleted: %s", got.text)
	}
	if all := h.do("GET", "/users", adminKey, "").text; strings.Contains(all, "testuser") {
		t.Errorf("listed: %s", all)
	}
	if all := h.do("GET", "/users?include_deactivated=true", adminKey, "").text; !strings.Contains(all, "testuser") {
		t.Errorf("not listed: %s", all)
	}
	h.do("POST", "/users/test-user/restore", adminKey, "").want(200)
	h.do("POST", "/users/test-user/restore", adminKey, "").want(200)
	h.signIn("testuser", "testpass")
	h.pass(10 * time.Second)
	for _, c := range []string{devKey, second} {
		h.do("GET", "/users/me", c, "").want(401) // keys stay revoked
	}
	if got := h.do("GET", "/users/test-user/tokens", adminKey, "").want(200).text; strings.TrimSpace(got) != "[]" {
		t.Errorf("keys after restore: %s", got)
	}
}

func TestRestoreWhenTheNameIsTaken(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.do("DELETE", "/users/testuser", adminKey, "").want(204)
	h.do("POST", "/users", adminKey, `{"username":"testuser","email":"new@x.io","password":"pass-phrase"}`).want(201)
	h.do("POST", "/users/test-user/restore", adminKey, "").want(409)
	h.do("POST", "/users/ghost/restore", adminKey, "").want(404)
}

func TestNobodyLocksThemselvesOut(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.do("DELETE", "/users/me", adminKey, "").want(400)
	h.do("PUT", "/users/admin", adminKey, `{"is_active":false}`).want(400)
	h.do("PUT", "/users/admin-user", adminKey, `{"scopes":["write"]}`).want(400)
	h.do("PUT", "/users/me", adminKey, `{"first_name":"Ada"}`).want(200)
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first := h.do("GET", "/users?limit=3", adminKey, "").want(200)
	var page []struct{ Username string }
	if err := json.Unmarshal([]byte(first.text), &page); err != nil {
		t.Fatal(err)
	}
	if len(page) != 3 || page[0].Username != "admin" || page[1].Username != "alice" || page[2].Username != "bob" {
		t.Errorf("first page: %s", first.text)
	}
	link := first.header.Get("Link")
	next, _, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if got := h.do("GET", "/users"+next, adminKey, "").want(200); !strings.HasPrefix(got.text, `[{"id":"charlie-user"`) {
		t.Errorf("second page by %q: %s", link, got.text)
	}
	if got := h.do("GET", "/users?skip=3&limit=1", adminKey, "").want(200); !strings.HasPrefix(got.text, `[{"id":"charlie-user"`) {
		t.Errorf("skipped: %s", got.text)
	}
	for _, secret := range []string{"password", "$2a$", "hash", "suspended"} {
		if strings.Contains(first.text, secret) {
			t.Errorf("the list shows %q: %s", secret, first.text)
		}
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	jwt := h.signIn("readonly", "readonly123")
	for _, tc := range []struct {
		method, path, body, credential string
		status                         int
	}{
		{"GET", "/users", "", devKey, 403},
		{"POST", "/users", newUser, devKey, 403},
		{"GET", "/users/test-user", "", devKey, 403},
		{"PUT", "/users/test-user", `{"scopes":["admin"]}`, devKey, 403},
		{"DELETE", "/users/test-user", "", devKey, 403},
		{"POST", "/users/test-user/restore", "", devKey, 403},
		{"GET", "/users/me", "", "", 401},
		{"GET", "/users/me", "", readKey, 200},
		{"GET", "/users/me", "", jwt, 200},
		{"GET", "/users/me/profile", "", jwt, 200},
		{"GET", "/users/readonly/profile", "", readKey, 200},
		{"GET", "/users/readonly-user/profile", "", readKey, 200},
		{"GET", "/users/admin/profile", "", readKey, 403},
		{"GET", "/users/nobody/profile", "", readKey, 403},
		{"GET", "/users/nobody/profile", "", adminKey, 404},
		{"GET", "/users/me/tokens", "", readKey, 200},
		{"GET", "/users/test-user/tokens", "", readKey, 403},
		{"GET", "/users/test-user/tokens/", "", adminKey, 200},
		{"POST", "/users/test-user/tokens", `{"name":"x"}`, readKey, 403},
		{"DELETE", "/users/test-user/tokens/test-token", "", readKey, 403},
		{"DELETE", "/users/me/tokens/test-token", "", readKey, 404},
		{"DELETE", "/users/admin/tokens/test-token", "", adminKey, 404},
	} {
		t.Run(tc.method+" "+tc.path+" as "+tc.credential[:min(8, len(tc.credential))], func(t *testing.T) {
			got := h.do(tc.method, tc.path, tc.credential, tc.body)
			if got.status != tc.status {
				t.Errorf("status %d, want %d: %s", got.status, tc.status, got.text)
			}
		})
	}
}

func TestProfileOfTheCallerHoldsItsKeys(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	got := h.do("GET", "/users/me/profile", devKey, "").want(200)
	tokens, _ := got.get("tokens").([]any)
	if len(tokens) != 1 || got.str("user_id") != "test-user" || got.str("start_date") == "" {
		t.Errorf("profile: %s", got.text)
	}
	if strings.Contains(got.text, devKey) {
		t.Errorf("the profile shows a key: %s", got.text)
	}
}

func TestNoSecretIsKeptOrLogged(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.do("POST", "/users", adminKey, newUser).want(201)
	jwt := h.signIn("erin", "s3cret-pass")
	h.do("PUT", "/users/erin", adminKey, `{"password":"an0ther-pass"}`).want(200)
	key := h.do("POST", "/users/erin/tokens", adminKey, `{"name":"k"}`, "Idempotency-Key", "once-1").want(201).str("token")
	h.do("GET", "/users/me", key, "").want(200)
	h.do("GET", "/users/me", jwt, "").want(401) // the password has changed
	h.do("POST", "/token", "", `{"username":"erin","password":"s3cret-pass"}`).want(401)
	h.signIn("erin", "an0ther-pass")

	var audit strings.Builder
	p, err := h.table.Query(t.Context(), table.Query{Index: 1, PK: "audit", Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range p.Items {
		audit.Write(it.Doc)
	}
	if !strings.Contains(audit.String(), "user.update") || !strings.Contains(audit.String(), "token.create") {
		t.Errorf("the audit trail is incomplete: %s", audit.String())
	}
	for _, secret := range []string{"s3cret-pass", "an0ther-pass", key, strings.TrimPrefix(jwt, "Bearer "), "$2a$", "password", adminKey} {
		if strings.Contains(audit.String(), secret) {
			t.Errorf("the audit trail holds %q", secret)
		}
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestSeedsAreSownOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.do("DELETE", "/users/bob", adminKey, "").want(204)
	before := h.table.writes.Load()
	if err := h.store.SeedIdentity(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.table.writes.Load() - before; n != 0 {
		t.Errorf("sown again with %d writes", n)
	}
	h.do("GET", "/users/bob", adminKey, "").want(404)
	got := h.do("GET", "/users/diana", adminKey, "").want(200)
	if got.get("is_active") != false || got.str("deactivated_at") != "2024-12-31T00:00:00Z" || got.str("employee_id") != "EMP006" {
		t.Errorf("diana: %s", got.text)
	}
	for key, want := range map[string]string{readKey: `["read"]`, devKey: `["read","write"]`, adminKey: `["read","write","admin"]`} {
		c, err := h.keys.Authenticate(t.Context(), key, "")
		if err != nil {
			t.Errorf("%s: %v", key, err)
		} else if got, _ := json.Marshal(c.Scopes); string(got) != want {
			t.Errorf("%s has %s, want %s", key, got, want)
		}
	}
	for user, password := range map[string]string{"admin": "admin123", "user": "user123", "readonly": "readonly123", "testuser": "testpass"} {
		h.signIn(user, password)
	}
}

func TestSeedsLeaveWhatExistsAlone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	other := store.New(h.table)
	for _, it := range []table.Key{{PK: "seed#identity", SK: "a"}} {
		if err := h.table.Write(t.Context(), table.DeleteOp(it, table.Cond{Kind: table.Present})); err != nil {
			t.Fatal(err)
		}
	}
	h.do("PUT", "/users/bob", adminKey, `{"first_name":"Robert"}`).want(200)
	if err := other.SeedIdentity(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.do("GET", "/users/bob", adminKey, "").want(200).str("first_name"); got != "Robert" {
		t.Errorf("bob is %s", got)
	}
}

func TestFirstAdminKeyOfAnEmptyTable(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	key, err := h.store.CreateAdminKey(t.Context(), "root")
	if err != nil {
		t.Fatal(err)
	}
	h.do("GET", "/users", key, "").want(200)
	h.do("POST", "/token", "", `{"username":"root","password":""}`).want(401)
	again, err := h.store.CreateAdminKey(t.Context(), "root")
	if err != nil || again == key {
		t.Errorf("a second key: %v", err)
	}
	for _, name := range []string{"bob", "me", ""} {
		if k, err := h.store.CreateAdminKey(t.Context(), name); err == nil {
			t.Errorf("%q got %s", name, fmt.Sprint(len(k)))
		}
	}
}
