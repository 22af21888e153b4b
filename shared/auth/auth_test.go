package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	embedded "bldst/localstack/table"
	"bldst/shared/auth"
	"bldst/shared/identity"
	"bldst/shared/problem"
	"bldst/shared/store"
	"bldst/shared/table"
)

// counting passes everything on to the table and counts the reads; broken
// makes them fail.
type counting struct {
	table.Table
	reads, writes atomic.Int64
	broken        atomic.Bool
}

func (c *counting) Get(ctx context.Context, keys ...table.Key) ([]*table.Item, error) {
	c.reads.Add(1)
	if c.broken.Load() {
		return nil, problem.New(problem.Unavailable, "broken")
	}
	return c.Table.Get(ctx, keys...)
}

func (c *counting) Query(ctx context.Context, q table.Query) (table.Page, error) {
	c.reads.Add(1)
	return c.Table.Query(ctx, q)
}

func (c *counting) Write(ctx context.Context, ops ...table.Op) error {
	c.writes.Add(1)
	return c.Table.Write(ctx, ops...)
}

const (
	genericText = "Could not validate credentials"
	keyText     = "Invalid API key"
	expiredText = "Token has expired"
)

type world struct {
	t      testing.TB
	table  *counting
	users  *store.Users
	signer *auth.Signer
	keys   *auth.Keys
	now    time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	tbl, err := embedded.Open(filepath.Join(t.TempDir(), "table.db"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tbl.Close() })
	w := &world{t: t, table: &counting{Table: tbl}, now: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		signer: &auth.Signer{Keys: map[string][]byte{"k1": secret("a")}, Current: "k1"}}
	s := store.New(w.table)
	s.Now = w.clock
	if err := s.SeedIdentity(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.users = store.NewUsers(s)
	w.keys = auth.NewKeys(w.users, w.signer, w.clock)
	return w
}

func secret(c string) []byte { return []byte(strings.Repeat(c, 32)) }

func (w *world) clock() time.Time { return w.now }

// key makes an API key for a user.
func (w *world) key(user string, token identity.Token) (key, id string) {
	w.t.Helper()
	key = auth.NewKey()
	t, err := w.users.CreateToken(w.t.Context(), user, auth.HashKey(key), func(*identity.Account) (*identity.Token, error) { return &token, nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return key, t.ID
}

// jwt signs a user in.
func (w *world) jwt(userID, username string) string {
	w.t.Helper()
	s, err := w.signer.Issue(w.now, "jti", auth.Owner{UserID: userID, Username: username})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// refused requires that the credentials are refused with a text.
func (w *world) refused(key, bearer, text string) {
	w.t.Helper()
	c, err := w.keys.Authenticate(w.t.Context(), key, bearer)
	p := problem.From(err)
	if p == nil {
		w.t.Fatalf("admitted as %+v, want %q", c, text)
	}
	if p.Kind != problem.Unauthorized || p.Detail != text {
		w.t.Errorf("refused with %s %q, want %q", p.Kind, p.Detail, text)
	}
}

func (w *world) admitted(key, bearer string) *auth.Caller {
	w.t.Helper()
	c, err := w.keys.Authenticate(w.t.Context(), key, bearer)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestKeyBecomesItsCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, id := w.key("testuser", identity.Token{Name: "k", Scopes: []string{"read", "build"}, Projects: []string{"p1"}})
	want := &auth.Caller{UserID: "test-user", Username: "testuser", Credential: "key:" + id, Scopes: []string{"read", "build"}, Projects: []string{"p1"}}
	if d := cmp.Diff(want, w.admitted(key, "")); d != "" {
		t.Errorf("caller (-want +got):\n%s", d)
	}
	if !strings.HasPrefix(key, "bldst_") || len(key) != len("bldst_")+43 {
		t.Errorf("a key looks like %d characters", len(key))
	}
}

func TestJWTBecomesItsCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := &auth.Caller{UserID: "readonly-user", Username: "readonly", Credential: "jwt", Scopes: []string{"read"}}
	if d := cmp.Diff(want, w.admitted("", w.jwt("readonly-user", "readonly"))); d != "" {
		t.Errorf("caller (-want +got):\n%s", d)
	}
}

func TestEitherCredentialWillDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, expired := w.jwt("readonly-user", "readonly"), w.jwt("readonly-user", "readonly")
	if c := w.admitted("dev-key-12345", good); c.Username != "testuser" {
		t.Errorf("the key goes first, not %s", c.Username)
	}
	if c := w.admitted("wrong", good); c.Username != "readonly" {
		t.Errorf("a bad key gives way, not %s", c.Username)
	}
	if c := w.admitted("dev-key-12345", "garbage"); c.Username != "testuser" {
		t.Errorf("a bad JWT does no harm, not %s", c.Username)
	}
	w.refused("", "", "Authentication required. Use Bearer token or X-API-Key.")
	w.refused("wrong", "", keyText)
	w.refused("wrong", "garbage", keyText)
	w.refused(strings.Repeat("x", 300), "", keyText)
	w.refused(expired, "", keyText) // a JWT is no key
	w.refused("", "dev-key-12345", genericText)
	w.now = w.now.Add(auth.TokenFor)
	w.refused("", expired, expiredText)
	w.refused("wrong", expired, keyText)
}

func TestForgedJWTs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"sub": "admin", "user_id": "admin-user", "iss": "bldst", "aud": "bldst-api", "iat": w.now.Unix(), "exp": w.now.Add(time.Hour).Unix(), "jti": "1"}
		if change != nil {
			change(c)
		}
		return c
	}
	sign := func(m jwt.SigningMethod, key any, kid any, c jwt.MapClaims) string {
		tok := jwt.NewWithClaims(m, c)
		if kid != nil {
			tok.Header["kid"] = kid
		}
		s, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	hs := jwt.SigningMethodHS256
	good := sign(hs, secret("a"), "k1", claims(nil))
	w.admitted("", good)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT","kid":"k1"}`))
	for name, token := range map[string]string{
		"alg none, unsigned":        sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "k1", claims(nil)),
		"alg none, old signature":   none + "." + parts[1] + "." + parts[2],
		"alg HS512":                 sign(jwt.SigningMethodHS512, secret("a"), "k1", claims(nil)),
		"another key":               sign(hs, secret("z"), "k1", claims(nil)),
		"an empty key":              sign(hs, []byte{}, "k9", claims(nil)),
		"an unknown key id":         sign(hs, secret("a"), "k9", claims(nil)),
		"no key id":                 sign(hs, secret("a"), nil, claims(nil)),
		"a key id of another type":  sign(hs, secret("a"), 1, claims(nil)),
		"no user id":                sign(hs, secret("a"), "k1", claims(func(c jwt.MapClaims) { delete(c, "user_id") })),
		"a user id of another type": sign(hs, secret("a"), "k1", claims(func(c jwt.MapClaims) { c["user_id"] = 7 })),
		"an unknown user":           sign(hs, secret("a"), "k1", claims(func(c jwt.MapClaims) { c["user_id"] = "ghost" })),
		"an inactive user":          sign(hs, secret("a"), "k1", claims(func(c jwt.MapClaims) { c["user_id"] = "diana-user" })),
		"a user id that is no key":  sign(hs, secret("a"), "k1", claims(func(c jwt.MapClaims) { c["user_id"] = "a\x00b" })),
		"no end":                    sign(hs, secret("a"), "k1", claims(func(c jwt.MapClaims) { delete(c, "exp") })),
		"not yet":                   sign(hs, secret("a"), "k1", claims(func(c jwt.MapClaims) { c["nbf"] = w.now.Add(time.Hour).Unix() })),
		"another issuer":            sign(hs, secret("a"), "k1", claims(func(c jwt.MapClaims) { c["iss"] = "other" })),
		"another audience":          sign(hs, secret("a"), "k1", claims(func(c jwt.MapClaims) { c["aud"] = "other" })),
		"expired and forged":        sign(hs, secret("z"), "k1", claims(func(c jwt.MapClaims) { c["exp"] = w.now.Add(-time.Hour).Unix() })),
		"changed claims":            parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"user_id":"admin-user","exp":9999999999}`)) + "." + parts[2],
		"no signature":              parts[0] + "." + parts[1] + ".",
		"two parts":                 parts[0] + "." + parts[1],
		"garbage":                   "garbage",
		"dots":                      "..",
		"too long":                  good + strings.Repeat("A", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			(&world{t: t, keys: w.keys}).refused("", token, genericText)
		})
	}
}

func TestRotationLogsNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.jwt("test-user", "testuser")
	w.signer.Keys["k2"], w.signer.Current = secret("b"), "k2"
	young := w.jwt("test-user", "testuser")
	w.admitted("", old)
	w.admitted("", young)
	delete(w.signer.Keys, "k1")
	w.now = w.now.Add(auth.CacheFor)
	w.refused("", old, genericText)
	w.admitted("", young)
}

func TestSignerChecksItsKeys(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]auth.Signer{
		"no keys":          {},
		"no current":       {Keys: map[string][]byte{"k1": secret("a")}, Current: "k2"},
		"a short key":      {Keys: map[string][]byte{"k1": []byte("hunter2-short")}, Current: "k1"},
		"an old short one": {Keys: map[string][]byte{"k1": secret("a"), "k0": []byte("hunter2-short")}, Current: "k1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.Check()
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Check: %v", err)
			}
			if _, err := s.Issue(time.Now(), "", auth.Owner{UserID: "u", Username: "u"}); err == nil {
				t.Error("it signs nevertheless")
			}
		})
	}
}

func TestReadsPerCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.admitted("dev-key-12345", "") // records the use of the key
	token := w.jwt("test-user", "testuser")
	for name, c := range map[string][2]string{"key": {"dev-key-12345", ""}, "JWT": {"", token}} {
		w.now = w.now.Add(auth.CacheFor)
		reads, writes := w.table.reads.Load(), w.table.writes.Load()
		w.admitted(c[0], c[1])
		if n := w.table.reads.Load() - reads; n != 1 {
			t.Errorf("%s: the first request reads %d times, want 1", name, n)
		}
		w.now = w.now.Add(auth.CacheFor - 1)
		for range 100 {
			w.admitted(c[0], c[1])
		}
		if n := w.table.reads.Load() - reads; n != 1 {
			t.Errorf("%s: within the time of the cache it reads %d times, want 1", name, n)
		}
		w.now = w.now.Add(1)
		w.admitted(c[0], c[1])
		if n := w.table.reads.Load() - reads; n != 2 {
			t.Errorf("%s: after it it reads %d times, want 2", name, n)
		}
		if n := w.table.writes.Load() - writes; n != 0 {
			t.Errorf("%s: it writes %d times", name, n)
		}
	}
}

func TestGuessesAreNotLookedUpAgainAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.table.reads.Load()
	for range 10 {
		w.refused("guess", "", keyText)
	}
	if n := w.table.reads.Load() - before; n != 1 {
		t.Errorf("%d reads, want 1", n)
	}
	for i := range 10000 {
		w.refused(fmt.Sprint("guess-", i), "", keyText)
	}
	before = w.table.reads.Load()
	w.refused("guess", "", keyText)
	if n := w.table.reads.Load() - before; n != 1 {
		t.Error("the cache of bad keys has no bound")
	}
	forged := w.jwt("test-user", "testuser") + "x"
	before = w.table.reads.Load()
	w.refused("", forged, genericText)
	if n := w.table.reads.Load() - before; n != 0 {
		t.Error("a forged JWT costs a read")
	}
}

func TestGuessesDisplaceNoCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.admitted("dev-key-12345", "")
	for i := range 5000 {
		w.refused(fmt.Sprint("guess-", i), "", keyText)
	}
	before := w.table.reads.Load()
	w.admitted("dev-key-12345", "")
	if n := w.table.reads.Load() - before; n != 0 {
		t.Errorf("%d reads, want 0", n)
	}
}

func TestRevokedKeyEndsWithTheCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.admitted("dev-key-12345", "")
	if err := w.users.RevokeToken(t.Context(), "testuser", "test-token", func(*identity.Account, *identity.Token) error { return nil }); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(auth.CacheFor - 1)
	w.admitted("dev-key-12345", "")
	w.now = w.now.Add(1)
	w.refused("dev-key-12345", "", keyText)
}

func TestKeyEndsWhenItExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	end := w.now.Add(5 * time.Second) // sooner than the cache would forget it
	key, _ := w.key("testuser", identity.Token{Name: "k", Scopes: []string{"read"}, ExpiresAt: &end})
	w.now = end.Add(-1)
	w.admitted(key, "")
	w.now = end
	w.refused(key, "", keyText)
}

func TestJWTEndsWhenItExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.jwt("test-user", "testuser")
	w.now = w.now.Add(auth.TokenFor - 1)
	w.admitted("", token)
	w.now = w.now.Add(1)
	w.refused("", token, expiredText)
}

func TestBrokenTableIsNoRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.table.broken.Store(true)
	for _, c := range [][2]string{{"dev-key-12345", ""}, {"", w.jwt("test-user", "testuser")}, {"dev-key-12345", w.jwt("test-user", "testuser")}} {
		if _, err := w.keys.Authenticate(t.Context(), c[0], c[1]); !problem.Is(err, problem.Unavailable) {
			t.Errorf("got %v", err)
		}
	}
	w.table.broken.Store(false)
	w.admitted("dev-key-12345", "") // and it was not remembered
}

func TestScopeHierarchy(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		scopes []string
		want   [3]bool // read, write, admin
	}{
		{nil, [3]bool{}},
		{[]string{"build", "any", "", "Admin"}, [3]bool{}},
		{[]string{"read"}, [3]bool{true, false, false}},
		{[]string{"write"}, [3]bool{true, true, false}},
		{[]string{"build", "admin"}, [3]bool{true, true, true}},
	} {
		c := &auth.Caller{Scopes: tc.scopes}
		got := [3]bool{c.Allows(auth.Read), c.Allows(auth.Write), c.Allows(auth.Admin)}
		if got != tc.want || !c.Allows(auth.Any) || !c.Allows(auth.Public) {
			t.Errorf("%q allows %v, want %v", tc.scopes, got, tc.want)
		}
	}
	var nobody *auth.Caller
	if nobody.Allows(auth.Any) || nobody.Allows(auth.Read) || !nobody.Allows(auth.Public) {
		t.Error("nobody is somebody")
	}
}

func TestCommonScopes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ key, owner, want []string }{
		{[]string{"read", "write"}, []string{"read"}, []string{"read"}},
		{[]string{"write"}, []string{"read"}, []string{"read"}},
		{[]string{"admin"}, []string{"read", "write"}, []string{"read", "write"}},
		{[]string{"read"}, []string{"admin"}, []string{"read"}},
		{[]string{"read", "build"}, []string{}, []string{"build"}},
		{[]string{}, []string{"admin"}, []string{}},
	} {
		if d := cmp.Diff(tc.want, auth.Common(tc.key, tc.owner)); d != "" {
			t.Errorf("%q of %q (-want +got):\n%s", tc.key, tc.owner, d)
		}
	}
}

func TestManyCallersAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.jwt("test-user", "testuser")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 500 {
				_, err := w.keys.Authenticate(context.Background(), "dev-key-12345", "")
				_, err2 := w.keys.Authenticate(context.Background(), fmt.Sprint("guess-", i), token)
				if err := errors.Join(err, err2); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCacheHit(b *testing.B) {
	w := newWorld(b)
	key, _ := w.key("testuser", identity.Token{Name: "k", Scopes: []string{"read"}})
	token := w.jwt("test-user", "testuser")
	b.Run("key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = w.keys.Authenticate(b.Context(), key, "")
		}
	})
	b.Run("JWT", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = w.keys.Authenticate(b.Context(), "", token)
		}
	})
}
