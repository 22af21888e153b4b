package suite

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"bldst/shared/problem"
)

var dashboardTests = []test{
	{"the summary is the union of all generations and follows builds", summary},
	{"recent lists the builds changed last", recent},
	{"a platform has its own numbers", platformNumbers},
}

func summary(t *testing.T, s *session) {
	s.reader.get(t, "/dashboard/summary").is(http.StatusOK).
		keys("total_builds active_builds completed_builds failed_builds platforms projects builds_by_platform builds_by_state status_counts recent_builds")
	platform := s.dev.post(t, "/platforms", obj{"name": unique("dash"), "cloud_provider": "own"}).is(http.StatusCreated).id()
	for range 3 {
		s.newBuild(t, obj{"platform_id": platform})
	}
	eventually(t, func() string {
		byPlatform, _ := s.reader.get(t, "/dashboard/summary").is(http.StatusOK).obj()["builds_by_platform"].(obj)
		return differs(obj{platform: 3}, byPlatform)
	})
	sum := s.reader.get(t, "/dashboard/summary").obj()
	counts := sum["status_counts"].(obj)
	if missing := lacks(counts, "completed failed in_progress pending cancelled"); missing != "" {
		t.Errorf("status_counts lacks %s", missing)
	}
	total := 0.0
	for _, n := range counts {
		total += n.(float64)
	}
	if total != sum["total_builds"] || sum["active_builds"] != counts["pending"].(float64)+counts["in_progress"].(float64) || sum["failed_builds"] != counts["failed"] {
		t.Errorf("the numbers do not add up: %v", sum)
	}
	if got := sum["recent_builds"].([]any); len(got) != 10 || lacks(got[0].(obj), "build_id platform_id os_version_id image_type_id state_code created_at "+buildKeys) != "" {
		t.Errorf("recent_builds: %v", got)
	}
}

func recent(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	eventually(t, func() string {
		if got := fields(s.reader.get(t, "/dashboard/recent?limit=1000").is(http.StatusOK).list(), "id"); !slices.Contains(got, b) {
			return "a new build is not among the recent ones"
		}
		return ""
	})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_code": 55}).is(http.StatusOK)
	eventually(t, func() string {
		for _, r := range s.reader.get(t, "/dashboard/recent?limit=1000").is(http.StatusOK).list() {
			if r["id"] == b {
				return differs(obj{"current_state": 55}, r)
			}
		}
		return "a changed build is not among the recent ones"
	})
	if got := s.reader.get(t, "/dashboard/recent").is(http.StatusOK).list(); len(got) != 10 {
		t.Errorf("%d recent builds without a limit, want 10", len(got))
	}
	if got := s.reader.get(t, "/dashboard/recent?limit=3").is(http.StatusOK).list(); len(got) != 3 || lacks(got[0], buildKeys) != "" {
		t.Errorf("recent builds: %v", got)
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x"} {
		s.reader.get(t, "/dashboard/recent?"+query).invalid("limit")
	}
}

func platformNumbers(t *testing.T, s *session) {
	name := unique("Dash Board")
	platform := s.dev.post(t, "/platforms", obj{"name": name, "cloud_provider": "own"}).is(http.StatusCreated).id()
	s.reader.get(t, "/dashboard/platform/"+platform).is(http.StatusOK).has(obj{"platform": name, "recent_builds": []any{}, "builds": []any{}, "state_distribution": obj{}})
	var ids []string
	for i := range 6 {
		b := s.newBuild(t, obj{"platform_id": platform})
		s.dev.post(t, "/builds/"+b+"/state", obj{"state_code": 20 * i}).is(http.StatusOK)
		ids = append(ids, b)
	}
	slices.Reverse(ids)
	for _, ref := range []string{platform, escape(name)} {
		eventually(t, func() string {
			r := s.reader.get(t, "/dashboard/platform/"+ref).is(http.StatusOK)
			var p struct {
				Recent []obj `json:"recent_builds"`
			}
			r.as(&p)
			if got := fields(p.Recent, "id"); !slices.Equal(got, ids[:5]) {
				return fmt.Sprintf("recent builds %v, want %v", got, ids[:5])
			}
			stats := r.obj()["statistics"].(obj)
			if stats["oldest_build"] == nil || stats["newest_build"] == nil || stats["oldest_build"].(string) > stats["newest_build"].(string) {
				return fmt.Sprintf("statistics %v", stats)
			}
			return differs(obj{"total_builds": 6}, stats) + differs(obj{"platform": name, "platform_id": platform, "state_distribution": obj{"0": 1, "20": 1, "40": 1, "60": 1, "80": 1, "100": 1}}, r.obj())
		})
	}
	s.reader.get(t, "/dashboard/platform/no-such").refused(http.StatusNotFound, problem.NotFound, "Platform not found")
	s.reader.get(t, "/dashboard/platform/aws-commercial").is(http.StatusOK).keys("platform statistics recent_builds state_distribution builds status_counts")
}

var auditTests = []test{
	{"the trail says who did what, newest first, and is for administrators", auditTrail},
}

const auditKeys = "id time actor credential action resource resource_id before after request_id"

func auditTrail(t *testing.T, s *session) {
	p := s.newUser(t, nil)
	c := s.signIn(t, p.name, p.password)
	project := c.post(t, "/projects", obj{"name": unique("audited")}).is(http.StatusCreated).id()
	code := c.post(t, "/projects/"+project+"/state-codes", obj{"state_code": 10, "name": "a"}).is(http.StatusCreated).id()
	c.post(t, "/projects/"+project+"/resumable-states", obj{"state_code": 10}).is(http.StatusCreated)
	build := c.post(t, "/builds", obj{"project_id": project}).is(http.StatusCreated).id()
	c.post(t, "/builds/"+build+"/state", obj{"state_code": 5}).is(http.StatusOK)
	s.admin.put(t, "/users/"+p.id, obj{"full_name": "Audited", "password": s.newSecret()}).is(http.StatusOK)
	for query, want := range map[string][]string{
		"resource=project&resource_id=" + project: {"project.create"},
		"resource=state-code&resource_id=" + code: {"state-code.create"},
		"resource=build&resource_id=" + build:     {"build.state", "build.created"},
		"resource=user&resource_id=" + p.id:       {"user.update", "user.create"},
	} {
		rows := s.admin.get(t, "/audit?"+query).is(http.StatusOK).list()
		if got := fields(rows, "action"); !slices.Equal(got, want) {
			t.Errorf("?%s: actions %v, want %v", query, got, want)
		}
		for _, r := range rows {
			if missing := lacks(r, auditKeys); missing != "" {
				t.Errorf("an entry lacks %s: %v", missing, r)
			}
		}
	}
	begin := s.admin.get(t, "/projects/"+project).str("created_at")
	eventually(t, func() string {
		var got []string
		for _, r := range s.admin.walk(t, "/audit?limit=2&actor="+p.name) {
			got = append(got, r["action"].(string))
		}
		if want := []string{"build.state", "build.created", "resumable-state.create", "state-code.create", "project.create"}; !slices.Equal(got, want) {
			return fmt.Sprintf("acts of %s: %v, want %v", p.name, got, want)
		}
		return ""
	})
	eventually(t, func() string {
		got := among(s.admin.walk(t, "/audit?limit=500&since="+escape(begin)), "resource_id", []string{project})
		if len(got) != 1 {
			return fmt.Sprintf("since the project was made it is %d times in the trail", len(got))
		}
		return ""
	})
	if got := s.admin.get(t, "/audit?since=2999-01-01T00:00:00Z").is(http.StatusOK).list(); len(got) != 0 {
		t.Errorf("acts of the future: %v", got)
	}
	s.admin.get(t, "/audit?since=yesterday").invalid("since")
	s.dev.get(t, "/audit").refused(http.StatusForbidden, problem.Forbidden, "Admin permission required")
	badPages(t, s, "/audit")
}
