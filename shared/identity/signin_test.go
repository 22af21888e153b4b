package identity_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"bldst/shared/audit"
	"bldst/shared/identity"
)

// form sends body under a content type.
func (h *host) form(path, contentType, body string) answer {
	h.t.Helper()
	return h.do("POST", path, "", body, "Content-Type", contentType)
}

func TestSignInFormsAndPaths(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const urlencoded = "application/x-www-form-urlencoded"
	values := url.Values{"username": {"testuser"}, "password": {"testpass"}, "grant_type": {"password"}}.Encode()
	asJSON := `{"username":"testuser","password":"testpass"}`
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("username", "testuser")
	_ = w.WriteField("password", "testpass")
	_ = w.Close()
	for _, path := range []string{"/token", "/token/", "/auth/token", "/auth/password", "/auth/idm"} {
		for name, send := range map[string]func() answer{
			"form":                    func() answer { return h.form(path, urlencoded, values) },
			"multipart":               func() answer { return h.form(path, w.FormDataContentType(), b.String()) },
			"JSON":                    func() answer { return h.form(path, "application/json", asJSON) },
			"JSON that claims a form": func() answer { return h.form(path, urlencoded, asJSON) },
		} {
			if path != "/token" && name != "JSON" {
				continue // one path for all forms, one form for all paths: each sign-in takes its time
			}
			t.Run(path+" "+name, func(t *testing.T) {
				got := send().want(200)
				if got.get("token_type") != "bearer" || got.get("expires_in") != 3600.0 || got.header.Get("Cache-Control") != "no-store" {
					t.Errorf("answer %s", got.text)
				}
				if named := strings.Contains(got.text, `"user":{"id":"test-user","username":"testuser","email":"test@company.com","is_superuser":false}`); named == strings.Contains(path, "token") {
					t.Errorf("answer %s", got.text)
				}
				if who := h.do("GET", "/users/me", "Bearer "+got.str("access_token"), "").want(200).str("id"); who != "test-user" {
					t.Errorf("signed in as %s", who)
				}
			})
		}
	}
}

func TestSignInRefusals(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const wrong, idm = "Incorrect username or password", "Invalid IDM credentials"
	for _, tc := range []struct{ name, path, body, detail string }{
		{"a wrong password", "/token", `{"username":"testuser","password":"x"}`, wrong},
		{"an unknown user", "/token", `{"username":"ghost","password":"testpass"}`, wrong},
		{"an inactive user", "/token", `{"username":"diana","password":"testpass"}`, wrong},
		{"a user without a password", "/token", `{"username":"alice","password":""}`, wrong},
		{"the password of nobody", "/token", `{"username":"alice","password":"there is no such user"}`, wrong},
		{"the password of nobody, for nobody", "/token", `{"username":"ghost","password":"there is no such user"}`, wrong},
		{"an id is no user name", "/token", `{"username":"test-user","password":"testpass"}`, wrong},
		{"an e-mail address is no user name", "/token", `{"username":"test@company.com","password":"testpass"}`, wrong},
		{"the right password and more", "/token", `{"username":"testuser","password":"testpass` + strings.Repeat("x", 100) + `"}`, wrong},
		{"an empty user name", "/auth/password", `{"username":"","password":"x"}`, wrong},
		{"idm with a wrong password", "/auth/idm", `{"username":"testuser","password":"x"}`, idm},
		{"a short idm token", "/auth/idm", `{"username":"testuser","idm_token":"idm-123456"}`, idm},
		{"another idm token", "/auth/idm", `{"username":"testuser","idm_token":"xyz-token-12345"}`, idm},
		{"an idm token of an unknown user", "/auth/idm", `{"username":"ghost","idm_token":"idm-token-12345"}`, idm},
		{"an idm token of an inactive user", "/auth/idm", `{"username":"diana","idm_token":"idm-token-12345"}`, idm},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := h.do("POST", tc.path, "", tc.body)
			got.wantDetail(401, tc.detail)
			if got.header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	h.do("POST", "/token", "", `{"username":"testuser"}`).want(422)
	h.do("POST", "/token", "", `{"password":"testpass"}`).want(422)
	h.do("POST", "/auth/idm", "", `{"username":"testuser"}`).want(422)
	h.form("/token", "application/x-www-form-urlencoded", "username=testuser").want(422)
}

func TestIDMTokenOnlyInDevelopment(t *testing.T) {
	t.Parallel()
	const body = `{"username":"testuser","idm_token":"idm-token-12345"}`
	dev := newHost(t)
	got := dev.do("POST", "/auth/idm", "", body).want(200)
	dev.do("GET", "/users/me", "Bearer "+got.str("access_token"), "").want(200)
	deployed := newHost(t, func(s *identity.Service) { s.DevIDM = false })
	deployed.do("POST", "/auth/idm", "", body).wantDetail(401, "Invalid IDM credentials")
	deployed.do("POST", "/auth/idm", "", `{"username":"testuser","password":"testpass"}`).want(200)
}

func TestSignInIsNeverReplayed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const body = `{"username":"testuser","password":"testpass"}`
	first := h.do("POST", "/token", "", body, "Idempotency-Key", "a").want(200)
	again := h.do("POST", "/token", "", body, "Idempotency-Key", "a").want(200)
	if first.text == again.text || again.header.Get("Idempotent-Replayed") != "" {
		t.Error("a sign-in was replayed")
	}
}

func TestPasswordCanBeChanged(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.do("PUT", "/users/alice", adminKey, `{"password":"n3w-words"}`).want(200)
	h.signIn("alice", "n3w-words")
	h.do("PUT", "/users/alice", adminKey, `{"password":null,"first_name":"A"}`).want(200)
	h.signIn("alice", "n3w-words")
	h.do("PUT", "/users/alice", adminKey, `{"password":""}`).want(422)
}

func TestFormIsForSigningInOnly(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/users", strings.NewReader("username=x"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-API-Key", adminKey)
	rec := httptest.NewRecorder()
	h.api.ServeHTTP(rec, req)
	if rec.Code != 415 {
		t.Errorf("status %d", rec.Code)
	}
}

func TestWrongPasswordsMakeTheNextOneWait(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	guess := func(user, password string) answer {
		return h.do("POST", "/token", "", fmt.Sprintf(`{"username":%q,"password":%q}`, user, password))
	}
	for _, user := range []string{"testuser", "ghost"} { // there need be no such user
		for range 5 {
			guess(user, "wrong-words").want(401)
		}
		writes := h.table.writes.Load()
		for range 3 {
			if got := guess(user, "testpass").want(429); got.header.Get("Retry-After") != "1" || !strings.Contains(got.text, `"code":"too_many_requests"`) {
				t.Errorf("%s must wait: %v %s", user, got.header, got.text)
			}
		}
		if n := h.table.writes.Load() - writes; n != 0 {
			t.Errorf("%d writes for attempts that had to wait", n)
		}
	}
	guess("alice", "wrong-words").want(401) // others go on
	h.pass(time.Second)
	guess("testuser", "wrong-words").want(401)
	if got := guess("testuser", "testpass").want(429); got.header.Get("Retry-After") != "2" {
		t.Errorf("the wait does not grow: %v", got.header)
	}
	for range 20 {
		h.pass(time.Minute)
		guess("testuser", "wrong-words").want(401)
	}
	if got := guess("testuser", "testpass").want(429); got.header.Get("Retry-After") != "60" {
		t.Errorf("the longest wait: %v", got.header)
	}
	said, _, err := h.store.Audit(t.Context(), audit.Query{Resource: "user", ResourceID: "test-user", Limit: 100})
	if err != nil || len(said) != 23 || said[0].Action != "user.sign-in-delayed" || !strings.Contains(string(said[0].After), `"wait_seconds":60`) {
		t.Errorf("the audit trail has %d entries, error %v", len(said), err)
	}
	h.pass(time.Minute)
	guess("testuser", "testpass").want(200)
	for range 4 {
		guess("testuser", "wrong-words").want(401)
	}
	guess("testuser", "testpass").want(200) // the right one has reset the counter
	guess("ghost", "wrong-words").want(401)
	h.pass(time.Hour)
	for range 5 {
		guess("ghost", "wrong-words").want(401) // forgotten within the hour
	}
}
