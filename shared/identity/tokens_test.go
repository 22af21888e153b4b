package identity_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bldst/shared/auth"
	"bldst/shared/identity"
)

func TestCreateToken(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	jwt := h.signIn("readonly", "readonly123")
	for _, tc := range []struct {
		name, user, credential, body string
		status                       int
		has                          string
	}{
		{"a name alone", "testuser", adminKey, `{"name":"ci"}`, 201, `"scopes":["read","write"],"projects":[],"expires_at":null,"is_active":true`},
		{"a description is a name too", "testuser", adminKey, `{"description":"the nightly job"}`, 201, `"name":"the nightly job","description":"the nightly job"`},
		{"for a number of days", "testuser", adminKey, `{"name":"ci","expires_in_days":30}`, 201, `"expires_at":"2026-03-02T12:00:00Z"`},
		{"until a date", "testuser", adminKey, `{"name":"ci","expires_at":"2026-12-31T23:59:59Z"}`, 201, `"expires_at":"2026-12-31T23:59:59Z"`},
		{"null is never", "testuser", adminKey, `{"name":"ci","expires_at":null,"expires_in_days":null,"scopes":null,"projects":null}`, 201, `"expires_at":null`},
		{"the scope build is kept", "testuser", adminKey, `{"name":"ci","scopes":["read","write","build"]}`, 201, `"scopes":["read","write","build"]`},
		{"default scopes are limited to the owner's", "readonly", adminKey, `{"name":"ci"}`, 201, `"scopes":["read"]`},
		{"one's own, with a JWT", "me", jwt, `{"name":"ci"}`, 201, `"scopes":["read"]`},
		{"one's own, by name", "readonly", readKey, `{"name":"ci"}`, 201, `"scopes":["read"]`},
		{"more than the owner has", "readonly", adminKey, `{"name":"ci","scopes":["write"]}`, 403, `user 'readonly' does not have the scope write`},
		{"more than the owner has, by itself", "me", jwt, `{"name":"ci","scopes":["admin"]}`, 403, `does not have the scope admin`},
		{"neither name nor description", "testuser", adminKey, `{"scopes":["read"]}`, 422, `"loc":["body","name"]`},
		{"both ends", "testuser", adminKey, `{"name":"ci","expires_in_days":1,"expires_at":"2026-12-31T00:00:00Z"}`, 422, `"loc":["body","expires_at"]`},
		{"an end in the past", "testuser", adminKey, `{"name":"ci","expires_at":"2025-12-31"}`, 422, `Must be in the future`},
		{"no time at all", "testuser", adminKey, `{"name":"ci","expires_at":"tomorrow"}`, 422, `"loc":["body","expires_at"]`},
		{"less than a day", "testuser", adminKey, `{"name":"ci","expires_in_days":0}`, 422, `expires_in_days`},
		{"an unknown project", "testuser", adminKey, `{"name":"ci","projects":["nowhere"]}`, 404, `Project with id 'nowhere' not found`},
		{"an unknown user", "nobody", adminKey, `{"name":"ci"}`, 404, `User with id 'nobody' not found`},
		{"a deactivated user", "diana", adminKey, `{"name":"ci"}`, 400, `deactivated`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := h.do("POST", "/users/"+tc.user+"/tokens", tc.credential, tc.body)
			if got.status != tc.status || !strings.Contains(got.text, tc.has) {
				t.Fatalf("got %d %s\nwant %d and %s", got.status, got.text, tc.status, tc.has)
			}
			if tc.status == 201 {
				h.do("GET", "/users/me", got.str("token"), "").want(200)
			}
		})
	}
}

func TestKeyCannotExceedTheCredentialItIsMadeWith(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	weak := h.do("POST", "/users/testuser/tokens", adminKey, `{"name":"weak","scopes":["read"]}`).want(201).str("token")
	h.do("POST", "/users/me/tokens", weak, `{"name":"strong","scopes":["write"]}`).want(403)
	if got := h.do("POST", "/users/me/tokens", weak, `{"name":"default"}`).want(201); !strings.Contains(got.text, `"scopes":["read"]`) {
		t.Errorf("default: %s", got.text)
	}
}

func TestKeyListAndRevocation(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	made := h.do("POST", "/users/testuser/tokens", adminKey, `{"name":"ci"}`).want(201)
	key, id := made.str("token"), made.str("id")
	h.do("GET", "/users/me", key, "").want(200)
	list := h.do("GET", "/users/testuser/tokens", adminKey, "").want(200)
	var tokens []map[string]any
	if err := json.Unmarshal([]byte(list.text), &tokens); err != nil {
		t.Fatal(err)
	}
	if len(tokens) != 2 || tokens[0]["id"] != "test-token" || tokens[1]["id"] != id {
		t.Fatalf("list: %s", list.text)
	}
	if tokens[1]["last_used_at"] != "2026-01-31T12:00:00Z" {
		t.Errorf("last used: %v", tokens[1]["last_used_at"])
	}
	for _, secret := range []string{"token", "hash", "owner_scopes", "user_id"} {
		if _, shown := tokens[1][secret]; shown {
			t.Errorf("the list shows %s", secret)
		}
	}
	h.do("DELETE", "/users/testuser/tokens/"+id, adminKey, "").want(204)
	h.do("DELETE", "/users/testuser/tokens/"+id, adminKey, "").wantDetail(404, "Token with id '"+id+"' not found")
	if got := h.do("GET", "/users/testuser/tokens", adminKey, "").text; strings.Contains(got, id) {
		t.Errorf("still listed: %s", got)
	}
	h.do("GET", "/users/me", key, "").want(200) // remembered for a moment
	h.pass(auth.CacheFor)
	h.do("GET", "/users/me", key, "").wantDetail(401, "Invalid API key")
}

func TestKeyBoundToProjects(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	one, two := h.project("one"), h.project("two")
	made := h.do("POST", "/users/admin/tokens", adminKey, `{"name":"bound","scopes":["admin"],"projects":["one","`+two+`","one"]}`).want(201)
	bound := made.str("token")
	if want := fmt.Sprintf(`"projects":[%q,%q]`, one, two); !strings.Contains(made.text, want) {
		t.Errorf("got %s, want %s", made.text, want)
	}
	c, err := h.keys.Authenticate(t.Context(), bound, "")
	if err != nil || !c.AllowsProject(one) || c.AllowsProject("three") {
		t.Errorf("caller %+v, %v", c, err)
	}
	h.project("three")
	h.do("POST", "/users/me/tokens", bound, `{"name":"wider","projects":["three"]}`).want(403)
	if got := h.do("POST", "/users/me/tokens", bound, `{"name":"same"}`).want(201); !strings.Contains(got.text, one) || !strings.Contains(got.text, two) {
		t.Errorf("inherits: %s", got.text)
	}
	h.do("POST", "/users", bound, newUser).want(403)
	h.do("PUT", "/users/testuser", bound, `{"password":"pass-phrase"}`).want(403)
	h.do("DELETE", "/users/testuser", bound, "").want(403)
	h.do("POST", "/users/testuser/restore", bound, "").want(403)
}

func TestKeyShrinksWithItsOwner(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.do("PUT", "/users/testuser", adminKey, `{"scopes":["read"],"username":"tester"}`).want(200)
	c, err := h.keys.Authenticate(t.Context(), devKey, "")
	if err != nil || !c.Allows(auth.Read) || c.Allows(auth.Write) || c.Username != "tester" {
		t.Errorf("caller %+v, %v", c, err)
	}
	h.do("PUT", "/users/tester", adminKey, `{"scopes":["admin"]}`).want(200)
	h.pass(auth.CacheFor)
	c, err = h.keys.Authenticate(t.Context(), devKey, "")
	if err != nil || !c.Allows(auth.Write) || c.Allows(auth.Admin) {
		t.Errorf("a key grew with its owner: %+v, %v", c, err)
	}
}

func TestNoMoreKeysThanChangeAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	short := h.do("POST", "/users/alice/tokens", adminKey, `{"name":"short","expires_in_days":1}`).want(201).str("id")
	var wg sync.WaitGroup
	for range identity.MaxKeys - 1 {
		wg.Go(func() { h.do("POST", "/users/alice/tokens", adminKey, `{"name":"k"}`) })
	}
	wg.Wait()
	for len(h.tokens("alice")) < identity.MaxKeys { // who lost a race too often tries again
		h.do("POST", "/users/alice/tokens", adminKey, `{"name":"k"}`).want(201)
	}
	h.do("POST", "/users/alice/tokens", adminKey, `{"name":"k"}`).want(400)
	h.pass(25 * time.Hour)
	h.do("POST", "/users/alice/tokens", adminKey, `{"name":"k"}`).want(201)
	if got := h.tokens("alice"); len(got) != identity.MaxKeys || got[0].ID == short {
		t.Errorf("%d keys, the first %s", len(got), got[0].Name)
	}
	h.do("PUT", "/users/alice", adminKey, `{"is_active":false,"username":"al","email":"al@x.io"}`).want(200)
	for _, k := range h.tokens("al") {
		if k.IsActive {
			t.Errorf("key %s is active", k.ID)
		}
	}
	h.do("DELETE", "/users/al", adminKey, "").want(204)
}

// tokens returns the keys of a user.
func (h *host) tokens(user string) []identity.Token {
	h.t.Helper()
	var out []identity.Token
	if err := json.Unmarshal([]byte(h.do("GET", "/users/"+user+"/tokens", adminKey, "").want(200).text), &out); err != nil {
		h.t.Fatal(err)
	}
	return out
}

// Whatever the order, no key is good that was made while its owner was
// deactivated or deleted.
func TestKeysMadeWhileTheOwnerGoes(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(h *host){
		"deactivated": func(h *host) { h.do("PUT", "/users/bob", adminKey, `{"is_active":false}`).want(200) },
		"deleted":     func(h *host) { h.do("DELETE", "/users/bob", adminKey, "").want(204) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			keys := make([]string, 20)
			var wg sync.WaitGroup
			for i := range keys {
				wg.Go(func() {
					if got := h.do("POST", "/users/bob/tokens", adminKey, `{"name":"k"}`); got.status == 201 {
						keys[i] = got.str("token")
					}
				})
			}
			wg.Go(func() { end(h) })
			wg.Wait()
			for _, k := range keys {
				if k == "" {
					continue
				}
				if c, err := h.keys.Authenticate(t.Context(), k, ""); err == nil {
					t.Errorf("a key of a user who is %s is good: %+v", name, c)
				}
			}
		})
	}
}

func TestTokenCreatedOncePerIdempotencyKey(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first := h.do("POST", "/users/bob/tokens", adminKey, `{"name":"k"}`, "Idempotency-Key", "a").want(201)
	again := h.do("POST", "/users/bob/tokens", adminKey, `{"name":"k"}`, "Idempotency-Key", "a").want(201)
	if first.text != again.text || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("first %s\nagain %s", first.text, again.text)
	}
	if n := len(h.tokens("bob")); n != 1 {
		t.Errorf("bob has %d keys", n)
	}
	h.do("POST", "/users/bob/tokens", adminKey, `{"name":"other"}`, "Idempotency-Key", "a").want(409)
	h.do("POST", "/users", adminKey, newUser, "Idempotency-Key", "b").want(201)
	h.do("POST", "/users", adminKey, newUser, "Idempotency-Key", "b").want(201)
	h.do("POST", "/users", adminKey, newUser).want(409)
}

func TestDelegationCoversTime(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	month := h.do("POST", "/users/testuser/tokens", adminKey, `{"name":"month","expires_in_days":30}`).want(201)
	key := month.str("token")
	if got := h.do("POST", "/users/me/tokens", key, `{"name":"child"}`).want(201); got.str("expires_at") != month.str("expires_at") {
		t.Errorf("a key made without an end: %s", got.text)
	}
	h.do("POST", "/users/me/tokens", key, `{"name":"child","expires_in_days":29}`).want(201)
	for _, longer := range []string{`{"name":"child","expires_in_days":31}`, `{"name":"child","expires_at":"2027-01-01T00:00:00Z"}`} {
		if got := h.do("POST", "/users/me/tokens", key, longer).want(403); !strings.Contains(got.text, "2026-03-02T12:00:00Z") {
			t.Errorf("the refusal does not say when the credential ends: %s", got.text)
		}
	}
	h.do("POST", "/users/me/tokens", h.signIn("testuser", "testpass"), `{"name":"own"}`).want(201)
}

func TestDelegationCoversRevocation(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	project := h.project("mine")
	made := func(body string) (key, id string) {
		got := h.do("POST", "/users/testuser/tokens", adminKey, body).want(201)
		return got.str("token"), got.str("id")
	}
	reader, readerID := made(`{"name":"reader","scopes":["read"]}`)
	month, monthID := made(`{"name":"month","expires_in_days":30}`)
	bound, boundID := made(`{"name":"bound","projects":["` + project + `"]}`)
	_, writerID := made(`{"name":"writer"}`)
	for _, tc := range []struct {
		what, by, id string
		status       int
	}{
		{"a wider scope", reader, writerID, 403},
		{"no end", month, writerID, 403},
		{"all projects", bound, writerID, 403},
		{"no more than itself", month, boundID, 403}, // that one never ends
		{"itself, of a reader", reader, readerID, 204},
		{"itself, of a bound one", bound, boundID, 204},
		{"itself, of one that ends", month, monthID, 204},
		{"its own, with a JWT", h.signIn("testuser", "testpass"), writerID, 204},
	} {
		if got := h.do("DELETE", "/users/me/tokens/"+tc.id, tc.by, ""); got.status != tc.status {
			t.Errorf("revoking %s: %d %s, want %d", tc.what, got.status, got.text, tc.status)
		}
	}
	_, last := made(`{"name":"last"}`)
	admin := h.do("POST", "/users/me/tokens", adminKey, `{"name":"for a day","scopes":["admin"],"expires_in_days":1}`).want(201).str("token")
	h.do("DELETE", "/users/testuser/tokens/"+last, admin, "").want(204)
}

func TestOfTwoAdministratorsOneStays(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(h *host, by, id string) int{
		"delete":     func(h *host, by, id string) int { return h.do("DELETE", "/users/"+id, by, "").status },
		"deactivate": func(h *host, by, id string) int { return h.do("PUT", "/users/"+id, by, `{"is_active":false}`).status },
		"demote":     func(h *host, by, id string) int { return h.do("PUT", "/users/"+id, by, `{"scopes":["read"]}`).status },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			var ids, keys []string
			for _, name := range []string{"one", "two", "three"} {
				id := h.do("POST", "/users", adminKey, `{"username":"`+name+`","email":"`+name+`@x.io","password":"pass-phrase","is_superuser":true}`).want(201).str("id")
				ids, keys = append(ids, id), append(keys, h.do("POST", "/users/"+id+"/tokens", adminKey, `{"name":"k","scopes":["admin"]}`).want(201).str("token"))
			}
			for _, a := range h.administrators() {
				if !slices.Contains(ids, a) {
					if status := end(h, keys[0], a); status >= 300 {
						t.Fatalf("an administrator of the seeds: %d", status)
					}
				}
			}
			var done sync.WaitGroup
			for i := range keys { // each ends the next one
				done.Go(func() { end(h, keys[i], ids[(i+1)%len(ids)]) })
			}
			done.Wait()
			left := h.administrators()
			if len(left) == 0 {
				t.Fatal("no administrator is left")
			}
			if status := end(h, keys[slices.Index(ids, left[0])], left[0]); status != 400 {
				t.Errorf("the last one ends itself: %d", status)
			}
			if len(left) == 1 { // one whose key is still remembered tries
				if status := end(h, keys[(slices.Index(ids, left[0])+1)%len(ids)], left[0]); status != 400 {
					t.Errorf("the last one is ended: %d", status)
				}
			}
		})
	}
}

// administrators returns the ids of the active ones.
func (h *host) administrators() (ids []string) {
	h.t.Helper()
	all, _, err := h.users.ListUsers(h.t.Context(), 0, 1000, "", false)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range all {
		if all[i].Administers() {
			ids = append(ids, all[i].ID)
		}
	}
	return ids
}
