package suite

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"bldst/shared/problem"
)

var onceTests = []test{
	{"every POST has its effect once for a key and the same answer again", everyPostOnce},
	{"a key with another request is refused", onceOther},
	{"refusals are kept, too", onceRefusals},
	{"parallel requests with one key have one effect", onceParallel},
	{"keys are those of a caller and a path", onceScopes},
	{"keys are those of one credential", onceAcross},
	{"what has the wrong form is not kept, and a long key is refused", onceInvalid},
}

// posts are all POSTs that change something, ready to be sent: the path, the
// body and the status.
func (s *session) posts(t *testing.T) map[string]struct {
	path   string
	body   any
	status int
	c      caller
} {
	t.Helper()
	type call = struct {
		path   string
		body   any
		status int
		c      caller
	}
	b := "/builds/" + s.newBuild(t, nil)
	failed := s.failed(t, nil)
	p := s.newProject(t)
	user := s.newUser(t, nil)
	ended := "/builds/" + s.newBuild(t, nil)
	s.dev.post(t, ended+"/cancel", nil).is(http.StatusOK)
	s.admin.delete(t, ended).is(http.StatusNoContent)
	goneUser := s.newUser(t, nil)
	s.admin.delete(t, "/users/"+goneUser.id).is(http.StatusNoContent)
	code := s.dev.post(t, "/projects/"+p+"/state-codes", obj{"state_code": 15}).is(http.StatusCreated).id()
	s.admin.delete(t, "/state-codes/"+code).is(http.StatusNoContent)
	a := s.dev.post(t, b+"/artifacts", artifact("once", 5)).is(http.StatusCreated).id()
	lost := s.dev.post(t, b+"/artifacts", artifact("lost", 5)).is(http.StatusCreated).id()
	s.admin.delete(t, b+"/artifacts/"+lost).is(http.StatusNoContent)
	open, sent := s.newUpload(t, strings.TrimPrefix(b, "/builds/"), "open", nil), s.newUpload(t, strings.TrimPrefix(b, "/builds/"), "sent", nil)
	sent.put(t, s.dev, []byte("all of it"))
	out := map[string]call{
		"upload":           {b + "/uploads", obj{"artifact_name": "file", "state_code": 5}, 201, s.dev},
		"parts":            {open.at + "/parts", obj{"parts": []obj{open.part(1, []byte("x"))}}, 200, s.dev},
		"complete":         {sent.at + "/complete", sent.whole(), 201, s.dev},
		"build":            {"/builds", obj{}, 201, s.dev},
		"state":            {b + "/state", obj{"state_code": 10, "message": "once"}, 200, s.dev},
		"states":           {b + "/states/", obj{"state": 15, "status": "running"}, 200, s.dev},
		"artifact":         {b + "/artifacts", artifact("new", 5), 201, s.dev},
		"revoke":           {b + "/artifacts/" + a + "/revoke", obj{"reason": "x"}, 200, s.dev},
		"restore artifact": {b + "/artifacts/" + lost + "/restore", nil, 200, s.admin},
		"variable":         {b + "/variables", obj{"variable_key": "k", "variable_value": "v"}, 201, s.dev},
		"job":              {b + "/jobs", obj{"platform": "x", "job_name": "y"}, 201, s.dev},
		"heartbeat":        {"/builds/" + s.newBuild(t, nil) + "/heartbeat", obj{"worker": "w"}, 200, s.dev},
		"plan":             {failed + "/resume-plan", obj{"from_state": 10}, 200, s.dev},
		"resume":           {failed + "/resume", obj{"resume_from_state": 15}, 201, s.dev},
		"failure":          {b + "/failure", obj{"error_message": "once"}, 200, s.dev},
		"failures":         {"/builds/" + s.newBuild(t, nil) + "/failures", obj{"error_message": "once"}, 200, s.dev},
		"cancel":           {"/builds/" + s.newBuild(t, nil) + "/cancel", nil, 200, s.dev},
		"restore build":    {ended + "/restore", nil, 200, s.admin},
		"state code":       {"/projects/" + p + "/state-codes", obj{"name": "once"}, 201, s.dev},
		"top state code":   {"/state_codes", obj{"project_id": p, "code": 50}, 201, s.dev},
		"restore code":     {"/projects/" + p + "/state-codes/" + code + "/restore", nil, 200, s.admin},
		"restore top code": {"/state-codes/" + code + "/restore", nil, 200, s.admin},
		"resumable state":  {"/projects/" + p + "/resumable-states", obj{"state_code": 5}, 201, s.dev},
		"user":             {"/users", obj{"username": unique("once"), "email": unique("once") + "@example.com", "password": s.newSecret()}, 201, s.admin},
		"restore user":     {"/users/" + goneUser.id + "/restore", nil, 200, s.admin},
		"token":            {"/users/" + user.id + "/tokens", obj{"name": "once"}, 201, s.admin},
		"subscription":     {"/projects/" + p + "/subscriptions", obj{"kind": "webhook", "url": "https://hooks.example.com/x", "events": []string{"failed"}}, 201, s.dev},
	}
	for _, n := range nouns {
		out[n.kind] = call{n.path, n.make(unique("once")), 201, s.dev}
		gone := n.path + "/" + n.add(t, s, unique("once")).id()
		s.admin.delete(t, gone).is(http.StatusNoContent)
		out["restore "+n.kind] = call{gone + "/restore", nil, 200, s.admin}
	}
	return out
}

// notOnce are the POSTs whose answers are not kept, or that need what the suite
// cannot make.
var notOnce = map[string]bool{
	"POST /token": true, "POST /auth/token": true, "POST /auth/password": true, "POST /auth/idm": true, // sign-ins
	"POST /webhooks/build-failure": true, // a signature is good once
	"POST /webhooks/github":        true, // signed by others
	"POST /webhooks/gitlab":        true,
	"POST /webhooks/sns":           true,
	"POST /breakers/{}/close":      true, // a breaker
	"POST /deliveries/{}/replay":   true, // a delivery
}

func everyPostOnce(t *testing.T, s *session) {
	posts := s.posts(t)
	var order []string
	for name := range posts {
		order = append(order, name)
	}
	slices.Sort(order)
	for key, op := range described(t) {
		if op.method == http.MethodPost && !notOnce[key] && !slices.ContainsFunc(order, func(name string) bool { return op.serves(http.MethodPost, posts[name].path) }) {
			t.Errorf("%s is not tried with an Idempotency-Key; add it to posts, its noun to nouns, or it to notOnce with the reason", key)
		}
	}
	for _, name := range order {
		c := posts[name]
		t.Run(name, func(t *testing.T) {
			key := unique("key")
			first := c.c.post(t, c.path, c.body, "Idempotency-Key", key).is(c.status)
			if first.header.Get("Idempotent-Replayed") != "" {
				t.Error("the first answer says it is a replay")
			}
			for _, path := range []string{c.path, strings.TrimSuffix(c.path, "/") + "/"} {
				again := c.c.post(t, path, c.body, "Idempotency-Key", key).is(c.status)
				if again.header.Get("Idempotent-Replayed") != "true" || !bytes.Equal(again.body, first.body) || again.header.Get("ETag") != first.header.Get("ETag") {
					t.Errorf("again at %s: replayed %q, ETag %q, %s\nfirst: ETag %q, %s", path, again.header.Get("Idempotent-Replayed"), again.header.Get("ETag"), again.body, first.header.Get("ETag"), first.body)
				}
			}
			if secret, ok := first.obj()["token"].(string); ok {
				s.key(secret).get(t, "/users/me").is(http.StatusOK)
			}
		})
	}
}

func onceOther(t *testing.T, s *session) {
	key, name := unique("key"), unique("once")
	body := obj{"name": name, "cloud_provider": "own"}
	s.dev.post(t, "/platforms", body, "Idempotency-Key", key).is(http.StatusCreated)
	s.dev.post(t, "/platforms", with(body, obj{"region": "r"}), "Idempotency-Key", key).refused(http.StatusConflict, problem.Conflict, "Idempotency-Key")
	s.dev.post(t, "/platforms?a=b", body, "Idempotency-Key", key).refused(http.StatusConflict, problem.Conflict, "Idempotency-Key")
	s.dev.post(t, "/platforms", body, "Idempotency-Key", key).is(http.StatusCreated)
	s.dev.post(t, "/platforms", body, "Idempotency-Key", unique("key")).refused(http.StatusConflict, problem.Conflict, name)
}

// An answer belongs to the credential that got it: what another one of the same
// user may not have, it does not get from memory either.
func onceAcross(t *testing.T, s *session) {
	made := func(name string, more obj) caller {
		return s.key(s.admin.post(t, "/users/me/tokens", with(obj{"name": name}, more)).is(http.StatusCreated).str("token"))
	}
	key, b := unique("key"), "/builds/"+s.newBuild(t, nil)
	reader, elsewhere := made("reader", obj{"scopes": []string{"read"}}), made("elsewhere", obj{"scopes": []string{"write"}, "projects": []string{s.newProject(t)}})
	for path, body := range map[string]obj{"/users/me/tokens": {"name": "made once", "scopes": []string{"admin"}}, b + "/state": {"state_code": 10}} {
		first := s.admin.post(t, path, body, "Idempotency-Key", key)
		if secret, ok := first.obj()["token"].(string); ok {
			s.secret(secret)
		}
		for _, c := range []caller{reader, elsewhere} {
			c.post(t, path, body, "Idempotency-Key", key).refused(http.StatusForbidden, problem.Forbidden)
		}
		if again := s.admin.post(t, path, body, "Idempotency-Key", key); again.header.Get("Idempotent-Replayed") != "true" || !bytes.Equal(again.body, first.body) {
			t.Errorf("%s again: %d %s", path, again.status, again.body)
		}
	}
	twin := made("twin", obj{"scopes": []string{"admin"}})
	name := obj{"name": unique("twice"), "cloud_provider": "own"}
	s.admin.post(t, "/platforms", name, "Idempotency-Key", key).is(http.StatusCreated)
	twin.post(t, "/platforms", name, "Idempotency-Key", key).refused(http.StatusConflict, problem.Conflict)
}

func onceRefusals(t *testing.T, s *session) {
	name := unique("kept")
	p := s.dev.post(t, "/platforms", obj{"name": name, "cloud_provider": "own"}).is(http.StatusCreated).id()
	build := unique("kept")
	project := s.newProject(t)
	s.dev.post(t, "/projects/"+project+"/state-codes", obj{"name": "a", "is_initial": true}).is(http.StatusCreated)
	for _, c := range []struct {
		path   string
		body   obj
		status int
		mend   func()
	}{
		{"/platforms", obj{"name": name, "cloud_provider": "own"}, http.StatusConflict, func() { s.admin.delete(t, "/platforms/"+p).is(http.StatusNoContent) }},
		{"/builds/" + build + "/state", obj{"state_code": 5}, http.StatusNotFound, func() { s.newBuild(t, obj{"build_number": build}) }},
		{"/projects/" + project + "/state-codes", obj{"name": "b", "is_initial": true}, http.StatusBadRequest, func() { s.admin.delete(t, "/projects/"+project+"/state-codes/a").is(http.StatusNoContent) }},
	} {
		key := unique("key")
		first := s.dev.post(t, c.path, c.body, "Idempotency-Key", key).is(c.status)
		c.mend()
		again := s.dev.post(t, c.path, c.body, "Idempotency-Key", key).is(c.status)
		if again.header.Get("Idempotent-Replayed") != "true" || again.obj()["detail"] != first.obj()["detail"] || again.obj()["code"] != first.obj()["code"] {
			t.Errorf("%d again: replayed %q, %s; first %s", c.status, again.header.Get("Idempotent-Replayed"), again.body, first.body)
		}
		if r := s.dev.post(t, c.path, c.body, "Idempotency-Key", unique("key")); r.status >= 300 {
			t.Errorf("with a new key: %d %s", r.status, r.body)
		}
	}
}

func onceParallel(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	key, job := unique("key"), unique("key")
	var mu sync.Mutex
	ids := map[string]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, c := range []struct {
				path, key string
				body      obj
			}{{"/state", key, obj{"state_code": 5}}, {"/jobs", job, obj{"platform": "x", "job_name": "y"}}} {
				r := s.dev.post(t, at+c.path, c.body, "Idempotency-Key", c.key)
				if r.status == http.StatusConflict && r.header.Get("Retry-After") != "" {
					continue
				}
				if r.status >= 300 {
					t.Errorf("%s: %d %s", c.path, r.status, r.body)
					continue
				}
				mu.Lock()
				ids[r.id()]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(ids) != 2 {
		t.Errorf("answers with the ids %v, want one of each kind", ids)
	}
	if rows, jobs := s.dev.get(t, at+"/states").list(), s.dev.get(t, at+"/jobs").list(); len(rows) != 1 || len(jobs) != 1 {
		t.Errorf("%d reports and %d jobs were stored, want one each", len(rows), len(jobs))
	}
}

func onceScopes(t *testing.T, s *session) {
	key := unique("key")
	one := s.dev.post(t, "/builds", obj{}, "Idempotency-Key", key).is(http.StatusCreated).id()
	if two := s.admin.post(t, "/builds", obj{}, "Idempotency-Key", key).is(http.StatusCreated).id(); one == two {
		t.Error("another caller got the answer of the first")
	}
	s.dev.post(t, "/builds/"+one+"/state", obj{}, "Idempotency-Key", key).is(http.StatusUnprocessableEntity)
	s.dev.post(t, "/builds/"+one+"/state", obj{"state_code": 5}, "Idempotency-Key", key).is(http.StatusOK)
	s.reader.post(t, "/builds", obj{}, "Idempotency-Key", key).is(http.StatusForbidden)
	s.nobody().post(t, "/builds", obj{}, "Idempotency-Key", key).is(http.StatusUnauthorized)
	if a, b := s.dev.put(t, "/builds/"+one, obj{"ami_id": "1"}, "Idempotency-Key", key).is(http.StatusOK), s.dev.put(t, "/builds/"+one, obj{"ami_id": "2"}, "Idempotency-Key", key).is(http.StatusOK); a.etag() == b.etag() {
		t.Error("a PUT took the key")
	}
}

func onceInvalid(t *testing.T, s *session) {
	key := unique("key")
	s.dev.post(t, "/platforms", obj{"name": unique("p")}, "Idempotency-Key", key).invalid("cloud_provider")
	s.dev.post(t, "/platforms", obj{"name": unique("p"), "cloud_provider": "own"}, "Idempotency-Key", key).is(http.StatusCreated)
	s.dev.post(t, "/builds", obj{}, "Idempotency-Key", strings.Repeat("k", 256)).invalid("Idempotency-Key")
	s.dev.post(t, "/builds", obj{}, "Idempotency-Key", strings.Repeat("k", 243)+random()).is(http.StatusCreated)
	if r := s.nobody().post(t, "/token", obj{"username": "testuser", "password": "testpass"}, "Idempotency-Key", key).is(http.StatusOK); r.header.Get("Idempotent-Replayed") != "" {
		t.Error("a sign-in is a replay")
	}
}
