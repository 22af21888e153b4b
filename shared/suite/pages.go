package suite

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

var pageTests = []test{
	{"the largest page of every list fits into an answer of AWS Lambda", largestPages},
	{"a page that is full of bytes leads on", fullPages},
	{"a filtered list reads on until its page is full", readsOn},
	{"a row of a list says what the thing itself says", sameAsItem},
}

// maxAnswer is what an answer may take as Lambda counts it, in bytes: less than
// the 6,291,556 that it refuses.
const maxAnswer = 5_500_000

// lambdaSize is what Lambda counts of the answer: the JSON that the function
// returns, in which the body is a string.
func (r *reply) lambdaSize() int {
	b, err := json.Marshal(map[string]any{"statusCode": r.status, "multiValueHeaders": r.header, "body": string(r.body), "isBase64Encoded": false})
	if err != nil {
		r.t.Fatal(err)
	}
	return len(b)
}

// nasty returns a document of n bytes that grows most on its way: every
// character is escaped in JSON, and again in the answer of the function.
func nasty(n int) obj { return obj{"x": strings.Repeat(`"\`, n/4-8)} }

// quotes returns n characters that are escaped in JSON.
func quotes(n int) string { return strings.Repeat(`"`, n) }

// heavyRows is how many of the largest rows a list gets: more than a page holds.
const heavyRows = 24

// heavy makes a project whose things are as large as they may be, and returns
// the path of every list that has them.
func (s *session) heavy(t *testing.T) map[string]string {
	t.Helper()
	const document = 63 << 10
	p, platform := s.newProject(t), s.dev.post(t, "/platforms", obj{"name": unique("heavy"), "cloud_provider": "own"}).is(http.StatusCreated).id()
	var b string
	for range heavyRows {
		b = s.newBuild(t, obj{"project_id": p, "platform_id": platform, "metadata": nasty(document), "packer_manifest": nasty(document), "description": quotes(2000)})
	}
	at := "/builds/" + b
	for i := range heavyRows {
		s.dev.post(t, at+"/state", obj{"state_code": 5, "metadata": nasty(document), "message": quotes(4000), "error_message": quotes(4000)}).is(http.StatusOK)
		s.dev.post(t, at+"/artifacts", with(artifact(unique("heavy"), 5), obj{"metadata": nasty(document), "artifact_path": quotes(2000)})).is(http.StatusCreated)
		s.dev.post(t, at+"/variables", obj{"variable_key": fmt.Sprintf("%s-%02d", quotes(190), i), "variable_value": quotes(64 << 10)}).is(http.StatusCreated)
		s.dev.post(t, at+"/jobs", obj{"platform": "own", "job_name": quotes(300), "job_url": quotes(2000)}).is(http.StatusCreated)
		s.dev.post(t, at+"/failure", obj{"state_code": 5, "error_message": quotes(8000), "error_details": nasty(document)}).is(http.StatusOK)
		s.dev.post(t, at+"/resume", obj{"resume_from_state": 5, "resume_reason": quotes(2000), "force": true, "metadata": nasty(document)}).is(http.StatusCreated)
	}
	u := s.newUpload(t, b, unique("heavy"), obj{"state_code": 5})
	for i := range heavyRows {
		s.newUpload(t, b, fmt.Sprintf("%s-%02d", quotes(190), i), obj{"state_code": 5, "size_bytes": 5 << 40, "part_size": 5 << 30})
	}
	u.put(t, s.dev, make([]byte, 100))
	rules := "/projects/" + p
	for code := 1; code <= 100; code++ {
		s.dev.post(t, rules+"/resumable-states", obj{"state_code": code, "resume_command": quotes(500), "notes": quotes(500)}).is(http.StatusCreated)
	}
	s.dev.post(t, rules+"/state-codes", obj{"name": quotes(50), "display_name": quotes(100), "description": quotes(500), "state_code": 5}).is(http.StatusCreated)
	for range 20 {
		s.dev.post(t, rules+"/subscriptions", obj{"kind": "webhook", "url": "https://hooks.example.com/" + strings.Repeat("x", 1000), "events": []string{"failed"}}).is(http.StatusCreated)
	}
	out := map[string]string{"GET /builds/{}/uploads/{}/parts": u.at + "/parts", "GET /users/{}/tokens": "/users/me/tokens", "GET /audit": "/audit?resource=build&resource_id=" + b}
	for _, part := range []string{"state", "states", "failures", "history", "artifacts", "variables", "jobs", "resume-requests", "resume", "uploads"} {
		out["GET /builds/{}/"+part] = at + "/" + part
	}
	for _, part := range []string{"state-codes", "resumable-states", "subscriptions", "windows", "deliveries"} {
		out["GET /projects/{}/"+part] = rules + "/" + part
	}
	for _, path := range []string{"/builds", "/dashboard/recent", "/breakers", "/users", "/state-codes"} {
		out["GET "+path] = path
	}
	for _, n := range nouns {
		out["GET "+n.path] = n.path
	}
	maps.Copy(out, map[string]string{"GET /builds of the project": "/builds?project_id=" + p, "GET /builds of the platform": "/builds?status=pending&platform_id=" + platform,
		"GET /dashboard/platform/{}": "/dashboard/platform/" + platform, "GET /dashboard/summary": "/dashboard/summary", "GET /builds/{}": at})
	return out
}

// lists reports whether the operation answers with a list.
func (op operation) lists() bool {
	answer := op.Responses.Status(http.StatusOK)
	if op.method != http.MethodGet || answer == nil || answer.Value == nil {
		return false
	}
	m := answer.Value.Content.Get("application/json")
	return m != nil && m.Schema != nil && m.Schema.Value.Type.Permits(openapi3.TypeArray)
}

func largestPages(t *testing.T, s *session) {
	heavy := s.heavy(t)
	for key, op := range described(t) {
		if !op.lists() {
			continue
		}
		if heavy[key] == "" {
			t.Errorf("%s is a list whose largest page nobody has measured; add it to heavy", key)
		}
		if !slices.ContainsFunc(op.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.Name == "cursor" }) {
			t.Errorf("%s is a list without a cursor", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(heavy)) {
		path := heavy[key]
		if strings.Contains(path, "?") {
			path += "&limit=1000"
		} else {
			path += "?limit=1000"
		}
		r := s.admin.get(t, path).is(http.StatusOK)
		if n := r.lambdaSize(); n > maxAnswer {
			t.Errorf("%s answers with %d bytes as Lambda counts them, at most are %d", path, n, maxAnswer)
		}
	}
}

func fullPages(t *testing.T, s *session) {
	at := "/builds/" + s.newBuild(t, nil)
	var names []string
	for i := range heavyRows {
		names = append(names, fmt.Sprintf("heavy-%02d", i))
		s.dev.post(t, at+"/artifacts", with(artifact(names[i], 5), obj{"metadata": obj{"x": strings.Repeat("y", 63<<10)}})).is(http.StatusCreated)
		s.dev.post(t, at+"/variables", obj{"variable_key": names[i], "variable_value": strings.Repeat("y", 64<<10)}).is(http.StatusCreated)
		s.dev.post(t, at+"/state", obj{"state_code": 5, "message": names[i], "metadata": obj{"x": strings.Repeat("y", 63<<10)}}).is(http.StatusOK)
	}
	for path, field := range map[string]string{"/artifacts": "artifact_name", "/variables": "variable_key", "/states": "message"} {
		first := s.dev.get(t, at+path+"?limit=1000").is(http.StatusOK)
		if n := len(first.list()); n == 0 || n >= heavyRows || first.header.Get("Link") == "" {
			t.Errorf("the first page of %s has %d of %d rows, Link %q", path, n, heavyRows, first.header.Get("Link"))
		}
		if got := fields(s.dev.walk(t, at+path+"?limit=1000"), field); !slices.Equal(got, names) {
			t.Errorf("all pages of %s have %v, want %v", path, got, names)
		}
		if got := fields(s.dev.walk(t, at+path+"?skip=3&limit=1000"), field); !slices.Equal(got, names[3:]) {
			t.Errorf("all pages of %s but the first three rows have %v, want %v", path, got, names[3:])
		}
	}
}

func readsOn(t *testing.T, s *session) {
	platform := s.dev.post(t, "/platforms", obj{"name": unique("rare"), "cloud_provider": "own"}).is(http.StatusCreated).id()
	b, p := s.newBuild(t, obj{"platform_id": platform}), s.newProject(t)
	for range 300 {
		s.newBuild(t, obj{"project_id": p})
	}
	for _, query := range []string{"limit=1", "limit=10", "limit=1000"} {
		query := "/builds?status=pending&platform_id=" + platform + "&" + query
		eventually(t, func() string {
			if got := fields(s.dev.get(t, query).is(http.StatusOK).list(), "id"); !slices.Equal(got, []string{b}) {
				return fmt.Sprintf("%s lists %v, want %s", query, got, b)
			}
			return ""
		})
	}
}

func sameAsItem(t *testing.T, s *session) {
	p := s.newProject(t)
	running := s.newBuild(t, obj{"project_id": p, "metadata": obj{"a": 1}})
	s.dev.post(t, "/builds/"+running+"/state", obj{"state_code": 10, "worker": "w"}).is(http.StatusOK)
	done := s.newBuild(t, obj{"project_id": p})
	s.dev.post(t, "/builds/"+done+"/state", obj{"state_code": 100, "status": "completed"}).is(http.StatusOK)
	failed := s.newBuild(t, obj{"project_id": p})
	s.dev.post(t, "/builds/"+failed+"/failure", obj{"state_code": 10, "error_message": "x"}).is(http.StatusOK)
	eventually(t, func() string {
		rows := s.dev.get(t, "/builds?project_id="+p).is(http.StatusOK).list()
		if len(rows) != 3 {
			return fmt.Sprintf("%d builds are listed", len(rows))
		}
		for _, row := range rows {
			if _, twice := row["metadata"]; twice {
				t.Fatalf("a row of the list has its metadata twice: %v", row)
			}
			item := s.dev.get(t, "/builds/"+row["id"].(string)).is(http.StatusOK).obj()
			row["metadata"] = row["build_metadata"]
			if wrong := differs(item, row); wrong != "" {
				return row["id"].(string) + ", list and item: " + wrong
			}
			if item["id"] == running && (item["lease_until"] == nil || item["execution_arn"] == nil && !s.Undriven) {
				return "the running build has no lease or no execution yet"
			}
		}
		return ""
	})
}
