package suite

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bldst/shared/openapi"
)

// freshTests look at a stack that nothing was done to, and change nothing.
var freshTests = []test{
	{"the seeded rows are there", seededRows},
	{"the default project has its state codes and its resumable state", seededRules},
	{"the seeded builds have real states", seededBuilds},
	{"the dashboard counts the seeded builds", seededDashboard},
	{"the documented keys have their scopes", seededKeys},
	{"the documented users can sign in", seededUsers},
	{"health and root answer in the words of all generations", healthShapes},
	{"documents are public and are those of the code", documents},
}

func seededRows(t *testing.T, s *session) {
	for path, want := range map[string]string{
		"/platforms/":     "aws-commercial aws-govcloud azure gcp openstack aws-china azure-gov gcp-europe oci",
		"/os_versions/":   "rhel-8.8 rhel-9.2 ubuntu-20.04 ubuntu-22.04 rhel-8.9 rhel-9.3 ubuntu-22.10 ubuntu-23.04 centos-7 sles-15",
		"/image_types/":   "base hana appserver openvpn webserver database cache monitoring security",
		"/users":          "admin-user test-user default-user readonly-user alice-user bob-user charlie-user diana-user",
		"/builds?limit=5": "build-006 build-007 build-008 build-009 build-010",
	} {
		ids := strings.Fields(want)
		eventually(t, func() string {
			rows := s.admin.get(t, path).is(http.StatusOK).list()
			if got := among(rows, "id", ids); len(got) != len(ids) || len(rows) != len(ids) {
				return fmt.Sprintf("%s lists %v, want %s", path, among(rows, "id", fields(rows, "id")), want)
			}
			return ""
		})
		for _, id := range ids {
			base, _, _ := strings.Cut(strings.TrimSuffix(path, "/"), "?")
			s.admin.get(t, base+"/"+id).is(http.StatusOK).has(obj{"id": id})
		}
	}
	s.reader.get(t, "/platforms/aws-commercial").has(obj{"name": "AWS Commercial", "cloud_provider": "aws", "region": "us-east-1", "deactivated_at": nil})
	s.reader.get(t, "/os_versions/rhel-9.3").has(obj{"name": "Red Hat Enterprise Linux", "version": "9.3"})
	s.reader.get(t, "/image_types/hana").has(obj{"name": "Database Server", "description": "Database server optimized image"})
	for _, name := range []string{"default", "rhel-9"} {
		s.reader.get(t, "/projects/"+name).is(http.StatusOK).has(obj{"name": name, "is_active": true})
	}
	def := s.reader.get(t, "/projects/default").id()
	s.reader.get(t, "/projects/default-project-uuid").is(http.StatusOK).has(obj{"id": def, "name": "default"})
}

func fields(rows []obj, field string) []string {
	out := []string{}
	for _, r := range rows {
		if v, ok := r[field].(string); ok {
			out = append(out, v)
		}
	}
	return out
}

func seededRules(t *testing.T, s *session) {
	want := map[string]obj{
		"pending":   {"state_code": 0, "code": 0, "is_initial": true, "is_final": false, "is_error": false, "cancels": false, "color": "#FFA500"},
		"building":  {"state_code": 20, "is_initial": false, "is_final": false, "color": "#0000FF"},
		"completed": {"state_code": 100, "is_final": true, "is_terminal": true, "is_error": false, "color": "#00FF00"},
		"failed":    {"state_code": nil, "code": nil, "is_final": true, "is_error": true, "color": "#FF0000"},
		"cancelled": {"state_code": nil, "is_final": true, "cancels": true, "color": "#808080"},
	}
	rows := s.reader.get(t, "/projects/default/state-codes").is(http.StatusOK).list()
	names := fields(rows, "name")
	if !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Errorf("state codes %v, want %v in the order of names", names, slices.Sorted(maps.Keys(want)))
	}
	for _, r := range rows {
		if wrong := differs(want[r["name"].(string)], r); wrong != "" {
			t.Errorf("state code %s: %s", r["name"], wrong)
		}
	}
	s.reader.get(t, "/projects/default/resumable-states/20").is(http.StatusOK).has(obj{"state_code": 20, "is_resumable": true, "resume_strategy": "from_artifact", "resume_timeout_seconds": 3600})
}

func seededBuilds(t *testing.T, s *session) {
	want := []obj{
		{"current_state": 100, "status": "completed", "platform_id": "aws-commercial", "os_version_id": "rhel-8.8", "image_type_id": "base"},
		{"current_state": 100, "status": "completed", "image_type_id": "hana"},
		{"current_state": 60, "status": "failed", "platform_id": "azure", "failed_state": 60},
		{"current_state": 100, "status": "completed", "platform_id": "gcp"},
		{"current_state": 45, "status": "in_progress", "platform_id": "aws-govcloud"},
		{"current_state": 100, "status": "completed"},
		{"current_state": 55, "status": "failed", "image_type_id": "database"},
		{"current_state": 100, "status": "completed"},
		{"current_state": 0, "status": "pending", "os_version_id": "centos-7"},
		{"status": "cancelled", "os_version_id": "sles-15"},
	}
	for i, w := range want {
		number := fmt.Sprintf("BUILD-2024-%03d", i+1)
		b := s.reader.get(t, "/builds/"+number).is(http.StatusOK).has(w)
		b.has(obj{"id": fmt.Sprintf("build-%03d", i+1), "build_number": number, "build_id": number, "pipeline_url": fmt.Sprintf("https://pipeline.company.com/builds/%d", 12345+i)})
	}
	for build, code := range map[string]string{"build-003": "APP_DEPLOY_001", "build-007": "DB_INSTALL_001"} {
		rows := s.reader.get(t, "/builds/"+build+"/failures").is(http.StatusOK).list()
		if len(rows) != 1 || rows[0]["error_code"] != code {
			t.Errorf("failures of %s: %v, want one with %s", build, rows, code)
		}
	}
}

func seededDashboard(t *testing.T, s *session) {
	want := obj{
		"total_builds": 10, "active_builds": 2, "completed_builds": 5, "failed_builds": 2, "platforms": 9, "projects": 2,
		"status_counts":      obj{"pending": 1, "in_progress": 1, "completed": 5, "failed": 2, "cancelled": 1},
		"builds_by_platform": obj{"aws-commercial": 4, "azure": 3, "gcp": 2, "aws-govcloud": 1},
		"builds_by_state":    obj{"0": 1, "30": 1, "45": 1, "55": 1, "60": 1, "100": 5},
	}
	eventually(t, func() string {
		got := s.reader.get(t, "/dashboard/summary").is(http.StatusOK).obj()
		if recent, _ := got["recent_builds"].([]any); len(recent) != 10 {
			return fmt.Sprintf("%d recent builds, want 10", len(recent))
		}
		return differs(want, got)
	})
	eventually(t, func() string {
		got := s.reader.get(t, "/dashboard/platform/azure").is(http.StatusOK).obj()
		stats, _ := got["statistics"].(obj)
		return differs(obj{"platform": "Azure Commercial", "state_distribution": obj{"30": 1, "55": 1, "60": 1}}, got) + differs(obj{"total_builds": 3}, stats)
	})
}

func seededKeys(t *testing.T, s *session) {
	for name, c := range map[string]struct {
		caller caller
		want   obj
	}{
		"readonly-key-888": {s.reader, obj{"username": "readonly", "scopes": []string{"read"}}},
		"dev-key-12345":    {s.dev, obj{"username": "testuser", "id": "test-user", "email": "test@company.com", "employee_id": "EMP002", "scopes": []string{"read", "write"}}},
		"admin-key-99999":  {s.admin, obj{"username": "admin", "id": "admin-user", "employee_id": "EMP001", "is_superuser": true, "scopes": []string{"read", "write", "admin"}}},
	} {
		if got := c.caller.get(t, "/users/me").is(http.StatusOK); differs(c.want, got.obj()) != "" {
			t.Errorf("%s: %s", name, differs(c.want, got.obj()))
		}
	}
	s.admin.get(t, "/users/diana").is(http.StatusOK).has(obj{"is_active": false, "deactivated_at": "2024-12-31T00:00:00Z"})
}

func seededUsers(t *testing.T, s *session) {
	for _, c := range []struct{ name, password string }{{"admin", "admin123"}, {"user", "user123"}, {"readonly", "readonly123"}, {"testuser", "testpass"}} {
		s.signIn(t, c.name, c.password).get(t, "/users/me").is(http.StatusOK).has(obj{"username": c.name})
	}
}

func healthShapes(t *testing.T, s *session) {
	for path, want := range map[string]obj{
		"/":                 {"message": "Build State API", "version": "1.0.0", "status": "healthy", "service": "build-state-api"},
		"/health":           {"status": "healthy"},
		"/ready":            {"ready": true, "status": "ready", "database": "connected", "cache": "disabled", "redis": true, "overall": true},
		"/status":           {"version": "1.0.0", "status": "running", "overall_status": "healthy"},
		"/health/liveness":  {"status": "healthy"},
		"/health/readiness": {"database": "ok", "cache": "ok"},
	} {
		r := s.nobody().get(t, path).is(http.StatusOK).has(want)
		if path != "/" {
			r.keys("timestamp")
		}
	}
	status := s.nobody().get(t, "/status").obj()
	if up, ok := status["uptime"].(float64); !ok || up < 0 {
		t.Errorf("uptime %v, want whole seconds", status["uptime"])
	}
	components, _ := status["components"].([]any)
	if len(components) == 0 {
		t.Error("/status has no components")
	}
	for _, c := range components {
		if wrong := differs(obj{"status": "healthy"}, c.(obj)) + lacks(c.(obj), "name details"); wrong != "" {
			t.Errorf("component %v: %s", c, wrong)
		}
	}
}

func documents(t *testing.T, s *session) {
	for _, path := range []string{"/docs", "/redoc", "/docs/", "/redoc/"} {
		if r := s.nobody().get(t, path).is(http.StatusOK); !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s is %s", path, r.header.Get("Content-Type"))
		}
	}
	r := s.nobody().get(t, "/openapi.json").is(http.StatusOK)
	if !bytes.Equal(r.body, openapi.JSON) {
		t.Error("/openapi.json is not the committed document; run make gen")
	}
	paths, _ := r.obj()["paths"].(obj)
	if !slices.ContainsFunc(slices.Collect(maps.Keys(paths)), func(p string) bool { return strings.Contains(p, "artifact") }) {
		t.Error("no path contains artifact, which the quick start's probe expects")
	}
	info, _ := r.obj()["info"].(obj)
	if wrong := differs(obj{"title": "Build State API", "version": "1.0.0"}, info); wrong != "" {
		t.Error("the document's", wrong)
	}
	introduction(t, fmt.Sprint(info["description"]), paths)
}

var pathInText = regexp.MustCompile("`(?:GET|POST) (/[^`]*)`")

// introduction checks that whoever reads it first learns what the API is for,
// its words, how to sign in, report and resume, and that the paths it names
// are there.
func introduction(t *testing.T, text string, paths obj) {
	if !strings.HasPrefix(text, "REST API for managing multi-cloud IaaS image build states") {
		t.Errorf("the introduction begins with %.80s", text)
	}
	for _, word := range []string{"**build**", "**state**", "**attempt**", "**checkpoint**", "X-API-Key", "`POST /token`", "$URL/builds/$ID/state",
		"`POST /builds/{id}/resume`", "`links`", "`resume_context`"} {
		if !strings.Contains(text, word) {
			t.Errorf("the introduction does not tell of %s", word)
		}
	}
	for _, m := range pathInText.FindAllStringSubmatch(text, -1) {
		if paths[m[1]] == nil {
			t.Errorf("the introduction names %s, which is no path", m[1])
		}
	}
}
