package suite

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bldst/shared/problem"
)

var badInputTests = []test{
	{"a body that is no JSON is refused by every endpoint that takes one", malformed},
	{"a body of another type is refused", otherTypes},
	{"a body of another content type is refused", contentTypes},
	{"a body that is too large is refused", tooLarge},
	{"numbers out of range are refused", oddValues},
	{"ids with slashes, control characters and worse name nothing", oddIDs},
	{"queries that make no sense are refused", oddQueries},
	{"what is large is kept, and what the table cannot hold is refused before anything is written", tooLargeToStore},
	{"long and many-byte names are kept as they are", longNames},
	{"fields that nobody knows are ignored", unknownFields},
}

// bodies are requests with a body: every way into the API.
func (s *session) bodies(t *testing.T) []struct{ method, path string } {
	t.Helper()
	b := "/builds/" + s.newBuild(t, nil)
	rid := s.resumed(t, strings.TrimPrefix(b, "/builds/"))
	a := s.dev.post(t, b+"/artifacts", artifact("a", 5)).is(http.StatusCreated).id()
	j := s.dev.post(t, b+"/jobs", obj{"platform": "x", "job_name": "y"}).is(http.StatusCreated).id()
	s.dev.post(t, b+"/variables", obj{"variable_key": "k", "variable_value": "v"}).is(http.StatusCreated)
	p := s.newProject(t)
	s.dev.post(t, "/projects/"+p+"/resumable-states", obj{"state_code": 5}).is(http.StatusCreated)
	code := s.dev.post(t, "/projects/"+p+"/state-codes", obj{"state_code": 5}).is(http.StatusCreated).id()
	sub := s.dev.post(t, "/projects/"+p+"/subscriptions", obj{"kind": "webhook", "url": "https://hooks.example.com/x", "events": []string{"failed"}}).is(http.StatusCreated)
	s.secret(sub.str("secret"))
	u := s.newUser(t, nil).id
	up := s.newUpload(t, strings.TrimPrefix(b, "/builds/"), "file", nil)
	out := []struct{ method, path string }{
		{"POST", b + "/uploads"}, {"POST", up.at + "/parts"}, {"POST", up.at + "/complete"},
		{"POST", "/builds"}, {"PUT", b}, {"POST", b + "/state"}, {"POST", b + "/states"}, {"POST", b + "/failure"}, {"POST", b + "/failures"},
		{"POST", b + "/artifacts"}, {"PATCH", b + "/artifacts/" + a}, {"POST", b + "/artifacts/" + a + "/revoke"}, {"POST", b + "/variables"}, {"PATCH", b + "/variables/k"},
		{"POST", b + "/resume"}, {"POST", b + "/resume-plan"}, {"PATCH", "/resume-requests/" + rid}, {"PATCH", b + "/resume/" + rid}, {"POST", b + "/jobs"}, {"PATCH", b + "/jobs/" + j},
		{"POST", b + "/heartbeat"}, {"POST", b + "/cancel"}, {"POST", "/projects/" + p + "/state-codes"}, {"PUT", "/projects/" + p + "/state-codes/" + code}, {"POST", "/state-codes"}, {"PUT", "/state-codes/" + code},
		{"POST", "/projects/" + p + "/resumable-states"}, {"PUT", "/projects/" + p + "/resumable-states/5"}, {"POST", "/users"}, {"PUT", "/users/" + u}, {"POST", "/users/" + u + "/tokens"},
		{"POST", "/token"}, {"POST", "/auth/token"}, {"POST", "/auth/password"}, {"POST", "/auth/idm"}, {"PUT", "/projects/" + p + "/policy"}, {"PUT", "/projects/" + p + "/ci"}, {"POST", "/projects/" + p + "/subscriptions"}, {"PUT", "/projects/" + p + "/subscriptions/" + sub.id()},
	}
	for _, n := range nouns {
		row := n.add(t, s, unique("body")).id()
		out = append(out, struct{ method, path string }{"POST", n.path}, struct{ method, path string }{"PUT", n.path + "/" + row})
	}
	for key, op := range described(t) {
		if op.RequestBody == nil || strings.HasPrefix(key, "POST /webhooks/") { // which looks at the signature first
			continue
		}
		if !slices.ContainsFunc(out, func(c struct{ method, path string }) bool { return op.serves(c.method, c.path) }) {
			t.Errorf("%s is not sent bad bodies; add it to bodies, or its noun to nouns", key)
		}
	}
	return out
}

func malformed(t *testing.T, s *session) {
	for i, c := range s.bodies(t) {
		for name, body := range map[string]string{
			"cut short": `{"name": "x"`, "no JSON": `name=x&y`, "two documents": `{} {}`, "a trailing comma": `{"name": "x",}`, "single quotes": `{'name': 'x'}`, "NaN": `{"name": NaN}`,
			"invalid UTF-8": "{\"name\": \"\xff\xfe\"}", "too deep": `{"metadata": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
			"very deep": strings.Repeat(`{"a":`, 100000/(1+i)) + "1" + strings.Repeat("}", 100000/(1+i)), "a number beyond all": `{"state_code": 1e400, "size_bytes": 1e400, "version": 1e400, "name": 1e400}`,
			"one field twice": `{"state_code": 5, "State_Code": 10, "name": "a", "NAME": "b"}`, "a NUL alone": "\x00",
		} {
			r := s.admin.do(t, c.method, c.path, body)
			if r.status != http.StatusUnprocessableEntity {
				t.Errorf("%s %s with %s: %d %.300s, want 422", c.method, c.path, name, r.status, r.body)
			}
		}
	}
}

func otherTypes(t *testing.T, s *session) {
	for _, c := range s.bodies(t) {
		for _, body := range []string{`[]`, `"text"`, `7`, `true`, `[{"name":"x"}]`} {
			if r := s.admin.do(t, c.method, c.path, body); r.status != http.StatusUnprocessableEntity {
				t.Errorf("%s %s with %s: %d %.300s, want 422", c.method, c.path, body, r.status, r.body)
			}
		}
	}
}

func contentTypes(t *testing.T, s *session) {
	for _, c := range s.bodies(t) {
		for _, kind := range []string{"text/plain", "application/xml", "application/octet-stream", "text/html", "nonsense;;;", "application/x-yaml", "application/json; charset=utf-16"} {
			s.admin.do(t, c.method, c.path, `{"name":"x"}`, "Content-Type", kind).refused(http.StatusUnsupportedMediaType, problem.UnsupportedMediaType)
		}
		if signIn := strings.HasPrefix(c.path, "/token") || strings.HasPrefix(c.path, "/auth"); !signIn {
			form, kind := multipartForm(t, map[string]string{"name": "x"})
			s.admin.do(t, c.method, c.path, "name=x", "Content-Type", "application/x-www-form-urlencoded").refused(http.StatusUnsupportedMediaType, problem.UnsupportedMediaType)
			s.admin.do(t, c.method, c.path, form, "Content-Type", kind).refused(http.StatusUnsupportedMediaType, problem.UnsupportedMediaType)
		}
	}
	for _, kind := range []string{"application/json", "application/json; charset=utf-8", "application/vnd.api+json", "text/json", "application/x-www-form-urlencoded"} {
		s.dev.post(t, "/platforms", obj{"name": unique("kind"), "cloud_provider": "own"}, "Content-Type", kind).is(http.StatusCreated)
	}
	s.nobody().post(t, "/token", "--x\r\nbroken", "Content-Type", "multipart/form-data; boundary=x").refused(http.StatusUnprocessableEntity, problem.Invalid)
	s.nobody().post(t, "/token", "username=%zz", "Content-Type", "application/x-www-form-urlencoded").refused(http.StatusUnprocessableEntity, problem.Invalid)
	s.nobody().post(t, "/token", "username=%ff&password=x", "Content-Type", "application/x-www-form-urlencoded").is(http.StatusUnauthorized)
}

func tooLarge(t *testing.T, s *session) {
	const most = 1 << 20
	for i, c := range s.bodies(t) {
		if i%4 > 0 {
			continue // nothing of the endpoint is asked yet; some of each function will do
		}
		s.admin.do(t, c.method, c.path, `{"message":"`+strings.Repeat("x", most)+`"}`).refused(http.StatusRequestEntityTooLarge, problem.TooLarge)
	}
	fits := `{"name":"` + unique("fits") + `","cloud_provider":"own","unknown":"`
	s.dev.post(t, "/platforms", fits+strings.Repeat("x", most-len(fits)-2)+`"}`).is(http.StatusCreated)
	s.dev.post(t, "/platforms", strings.Repeat(" ", 11<<20)).refused(http.StatusRequestEntityTooLarge, problem.TooLarge)
	s.dev.get(t, "/platforms?unknown="+strings.Repeat("x", 4000)).is(http.StatusOK)
}

func oddValues(t *testing.T, s *session) {
	b := "/builds/" + s.newBuild(t, nil)
	for path, fields := range map[string][]string{
		b + "/state": {"state_code", "artifact_size_bytes", "retry_count", "attempt"}, b + "/failure": {"state_code", "retry_attempt", "attempt"}, b + "/artifacts": {"state_code", "size_bytes"}, b + "/resume-plan": {"from_state"},
		b + "/variables": {"set_at_state"}, b + "/jobs": {"resumed_from_state"}, b + "/heartbeat": {"progress", "attempt"}, "/projects/default/state-codes": {"state_code", "sort_order", "heartbeat_seconds", "timeout_seconds"},
		"/projects/default/resumable-states": {"state_code", "resume_timeout_seconds"}, "/os-versions": {"major_version"}, "/users/me/tokens": {"expires_in_days"},
	} {
		whole := obj{"state_code": 5, "error_message": "x", "artifact_name": unique("a"), "artifact_type": "x", "artifact_path": "x", "storage_backend": "x", "variable_key": "k", "variable_value": "v", "platform": "x", "job_name": "y", "name": "n", "version": "1"}
		for _, field := range fields {
			for _, v := range []string{"1e400", "-1e400", "1e308", "99999999999999999999", "-99999999999999999999", "-2", "1.5", "-0.5", `"1e2"`, "[1]", "{}", "true", `"\u0000"`} {
				if v == "99999999999999999999" && field == "size_bytes" || field == "sort_order" && v == "-2" {
					continue
				}
				body := strings.Replace(jsonText(with(whole, obj{field: "@@"})), `"@@"`, v, 1)
				if r := s.admin.post(t, path, body); r.status != http.StatusUnprocessableEntity {
					t.Errorf("%s with %s %s: %d %.300s, want 422", path, field, v, r.status, r.body)
				}
			}
		}
	}
	s.dev.get(t, b).has(obj{"revision": 1})
	s.dev.post(t, b+"/state", `{"state_code": 5.0}`).is(http.StatusOK).has(obj{"state_code": 5})
	s.dev.post(t, b+"/state", `{"state_code": 1e1}`).is(http.StatusOK).has(obj{"state_code": 10})
	s.dev.post(t, b+"/artifacts", with(artifact("huge", 5), obj{"size_bytes": 9007199254740992})).is(http.StatusCreated).has(obj{"size_bytes": 9007199254740992})
}

func oddIDs(t *testing.T, s *session) {
	b := "/builds/" + s.newBuild(t, nil)
	ids := []string{"%2F", "a%2Fb", "..%2F..%2Fetc", "%00", "a%00b", "a%0Ab", "%1b%5b31m", "%7f", "%ff%fe", "a%20b", "%25", "%23", "%3F", "'", "%22", "%3Cscript%3E", "null", "0", "-1",
		"%E2%80%8B", "%F0%9F%92%A9", "=x", "%3Dx", "a", strings.Repeat("x", 199), strings.Repeat("%F0%9F%92%A9", 199), strings.Repeat("x", 400), "%2e%2e", "."}
	for _, id := range ids {
		for _, path := range []string{"/platforms/" + id, "/os-versions/" + id, "/projects/" + id, "/cloud-providers/" + id, "/builds/" + id, "/builds/" + id + "/state", "/builds/" + id + "/history",
			b + "/artifacts/" + id, b + "/variables/" + id, b + "/resume/" + id, "/resume-requests/" + id, "/state-codes/" + id, "/projects/default/state-codes/" + id, "/users/" + id, "/users/" + id + "/tokens",
			"/dashboard/platform/" + id, "/projects/" + id + "/state-codes", "/breakers/" + id, "/deliveries/" + id} {
			odd := func(r *reply) {
				t.Helper()
				if !slices.Contains([]int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusMethodNotAllowed}, r.status) && !(r.status == http.StatusOK && named(path, id)) {
					t.Errorf("%s: %d %.300s, want 404 or 422", r.call, r.status, r.body)
				}
			}
			odd(s.admin.get(t, path))
			if !named(path, id) {
				odd(s.admin.delete(t, path))
			}
		}
		for _, path := range []string{"/builds/" + id + "/state", "/builds/" + id + "/failure", "/builds/" + id + "/variables", "/projects/" + id + "/resumable-states", "/platforms/" + id + "/restore"} {
			if r := s.admin.post(t, path, obj{"state_code": 5, "error_message": "x", "variable_key": "k", "variable_value": "v"}); !slices.Contains([]int{http.StatusNotFound, http.StatusUnprocessableEntity}, r.status) {
				t.Errorf("%s: %d %.300s, want 404 or 422", r.call, r.status, r.body)
			}
		}
	}
}

// named reports whether the odd id is one of something that is there.
func named(path, id string) bool {
	switch {
	case strings.HasPrefix(path, "/breakers/"): // a line that never failed has a closed breaker
		return true
	case id == ".", id == "%2e%2e": // clients resolve them
		return true
	case id == "0": // the number of a state code
		return strings.HasPrefix(path, "/projects/default/state-codes/")
	default:
		return false
	}
}

func oddQueries(t *testing.T, s *session) {
	for query, field := range map[string]string{"limit=abc": "limit", "limit=1.5": "limit", "limit=99999999999999999999": "limit", "limit=%00": "limit", "skip=-1": "skip", "include_deactivated=perhaps": "include_deactivated",
		"cursor=" + strings.Repeat("x", 5000): "cursor", "cursor=AAAA": "cursor", "cursor=%00": "cursor"} {
		for _, path := range []string{"/platforms", "/builds", "/users", "/projects/default/state-codes", "/state-codes"} {
			s.admin.get(t, path+"?"+query).invalid(field)
		}
	}
	s.admin.get(t, "/platforms?limit=").is(http.StatusOK)
	s.admin.get(t, "/platforms?%zz=1&unknown=%ff").is(http.StatusOK)
	s.admin.get(t, "/builds?project_id="+strings.Repeat("x", 201)).invalid("project_id")
	s.admin.get(t, "/builds?project_id=%00").refused(http.StatusNotFound, problem.NotFound)
	for list, other := range map[string]string{"/platforms": "/os-versions", "/builds": "/platforms", "/users": "/builds"} {
		eventually(t, func() string {
			next := s.admin.get(t, list+"?limit=1").next(list)
			if next == "" {
				return "no second page"
			}
			_, cursor, _ := strings.Cut(next, "?")
			s.admin.get(t, other+"?"+cursor).invalid("cursor")
			return ""
		})
	}
}

func tooLargeToStore(t *testing.T, s *session) {
	inputs := obj{}
	for i := range 200 {
		name := fmt.Sprintf("%03d", i)
		inputs[name+strings.Repeat("\U0001F4A9", 49)] = strings.Repeat("\U0001F4A9", 50)
	}
	body := obj{"inputs": inputs, "build_metadata": obj{"m": strings.Repeat("x", 64000)}, "description": strings.Repeat("\U0001F4A9", 2000)}
	b := s.dev.post(t, "/builds", body, "Idempotency-Key", unique("key")).is(http.StatusCreated).has(body).id()
	s.dev.get(t, "/builds/"+b).is(http.StatusOK).has(body)
	p := s.newProject(t)
	at := "/projects/" + p + "/state-codes"
	long := obj{"is_error": true, "description": strings.Repeat("\U0001F4A9", 500), "display_name": strings.Repeat("\U0001F4A9", 100)}
	stored := 0
	for {
		r := s.dev.post(t, at, with(long, obj{"name": fmt.Sprintf("code-%d-%s", stored, strings.Repeat("\U0001F4A9", 40))}))
		if r.status != http.StatusCreated {
			r.refused(http.StatusRequestEntityTooLarge, problem.TooLarge)
			break
		}
		if stored++; stored > 400 {
			t.Fatal("no document of state codes is too large")
		}
	}
	if got := len(s.dev.walk(t, at+"?limit=1000")); got != stored {
		t.Errorf("%d codes are there, %d were stored", got, stored)
	}
	s.dev.post(t, "/builds", obj{"project_id": p}).is(http.StatusCreated)
}

func longNames(t *testing.T, s *session) {
	wide := func(n int) string { return strings.Repeat("\U0001F4A9", n-12) + random() }
	platform := wide(50)
	s.dev.post(t, "/platforms", obj{"name": platform, "cloud_provider": wide(50), "region": wide(50), "display_name": wide(100)}).is(http.StatusCreated)
	s.dev.get(t, "/platforms/"+escape(platform)).is(http.StatusOK).has(obj{"name": platform})
	number := wide(200)
	b := s.newBuild(t, obj{"build_number": number, "platform_id": platform, "description": wide(2000), "created_by": wide(200)})
	s.dev.get(t, "/builds/"+escape(number)).is(http.StatusOK).has(obj{"id": b, "build_number": number})
	key := wide(200)
	s.dev.post(t, "/builds/"+b+"/variables", obj{"variable_key": key, "variable_value": wide(1000)}).is(http.StatusCreated)
	s.dev.get(t, "/builds/"+b+"/variables/"+escape(key)).is(http.StatusOK).has(obj{"variable_key": key})
	name := wide(200)
	s.dev.post(t, "/builds/"+b+"/artifacts", artifact(name, 5)).is(http.StatusCreated)
	s.dev.get(t, "/builds/"+b+"/artifacts/"+escape(name)).is(http.StatusOK).has(obj{"artifact_name": name})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_code": 5, "message": wide(4000)}).is(http.StatusOK)
	s.dev.post(t, "/builds/"+b+"/failure", obj{"error_message": wide(8000)}).is(http.StatusOK)
	for _, text := range []string{"<b>&amp;</b>", `"quoted" \back\ / slash`, "tab\there", "line\nbreak", "zero\u200bwidth", "\u2028", "e\u0301"} {
		s.dev.post(t, "/builds", obj{"description": text}).is(http.StatusCreated).has(obj{"description": text})
	}
	s.dev.get(t, "/builds/"+b+"/history/verify").is(http.StatusOK).has(obj{"valid": true})
}

func unknownFields(t *testing.T, s *session) {
	extra := obj{"unknown": obj{"deep": []any{1, "x", nil}}, "_id": 7, "": "empty"}
	s.dev.post(t, "/platforms", with(obj{"name": unique("x"), "cloud_provider": "own"}, extra)).is(http.StatusCreated)
	b := s.newBuild(t, extra)
	s.dev.put(t, "/builds/"+b, extra).is(http.StatusOK)
	s.dev.post(t, "/builds/"+b+"/state", with(obj{"state_code": 5}, extra)).is(http.StatusOK)
	s.dev.post(t, "/builds/"+b+"/artifacts", with(artifact("x", 5), extra)).is(http.StatusCreated)
	s.dev.post(t, "/builds/"+b+"/variables", with(obj{"variable_key": "k", "variable_value": "v"}, extra)).is(http.StatusCreated)
	s.dev.get(t, "/platforms?unknown=1").is(http.StatusOK)
}
