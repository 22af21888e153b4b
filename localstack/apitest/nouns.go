package apitest

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func signIn(t *testing.T, c *client) {
	c = c.as("")
	form := url.Values{"username": {"admin"}, "password": {"admin123"}}.Encode()
	var mp bytes.Buffer
	w := multipart.NewWriter(&mp)
	_ = w.WriteField("username", "user")
	_ = w.WriteField("password", "user123")
	_ = w.Close()
	json := `{"username":"testuser","password":"testpass"}`
	for _, path := range []string{"/token", "/auth/token", "/auth/password", "/token/", "/auth/idm"} {
		for name, a := range map[string]answer{
			"form":            c.send("POST", path, strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded"),
			"multipart":       c.send("POST", path, bytes.NewReader(mp.Bytes()), "Content-Type", w.FormDataContentType()),
			"json":            c.send("POST", path, strings.NewReader(json), "Content-Type", "application/json"),
			"json under form": c.send("POST", path, strings.NewReader(json), "Content-Type", "application/x-www-form-urlencoded"),
		} {
			if a.status != 200 || a.doc["token_type"] != "bearer" || a.doc["expires_in"] != float64(3600) {
				t.Errorf("%s by %s: %d %s", path, name, a.status, a.raw)
				continue
			}
			jwt := secret(a.doc["access_token"].(string))
			if me := c.send("GET", "/users/me", nil, "Authorization", "Bearer "+jwt); me.status != 200 {
				t.Errorf("%s by %s: the JWT is not accepted: %s", path, name, me.raw)
			}
		}
	}
	bad := c.call(401, "POST", "/token", doc{"username": "admin", "password": "wrong"})
	if bad.detail() != "Incorrect username or password" || bad.header.Get("WWW-Authenticate") == "" {
		t.Errorf("wrong password: %s %v", bad.raw, bad.header)
	}
	if a := c.call(401, "POST", "/auth/idm", doc{"username": "admin", "password": "wrong"}); a.detail() != "Invalid IDM credentials" {
		t.Errorf("wrong IDM password: %s", a.raw)
	}
	c.call(200, "POST", "/auth/idm", doc{"username": "testuser", "idm_token": secret("idm-token-12345")})
	c.call(422, "POST", "/token", doc{"username": "admin"})
}

func spellings(t *testing.T, c *client) {
	for _, p := range []string{"/platforms", "/os-versions", "/os_versions", "/image-types", "/image_types", "/cloud-providers", "/cloud_providers",
		"/os-distributions", "/os_distributions", "/image-variants", "/image_variants", "/projects", "/state-codes", "/state_codes", "/builds", "/users",
		"/projects/default/state-codes", "/projects/default/state_codes", "/projects/default/resumable-states", "/projects/default/resumable_states",
		"/builds/build-001/state", "/builds/build-001/states", "/builds/build-001/failures", "/builds/build-001/resume-context", "/builds/build-001/resume_context",
		"/builds/build-001/resume-requests", "/builds/build-001/resume", "/builds/build-001/jobs", "/builds/build-001/variables/dict", "/dashboard/summary", "/dashboard/recent"} {
		for _, q := range []string{p, p + "/"} {
			c.call(200, "GET", q, nil)
		}
	}
	for _, p := range []string{"/", "/health", "/ready", "/status", "/health/liveness", "/health/readiness", "/docs", "/redoc", "/openapi.json"} {
		if a := c.as("").send("GET", p, nil); a.status != 200 {
			t.Errorf("GET %s without a credential: %d", p, a.status)
		}
	}
	has(t, c.call(200, "GET", "/ready", nil).doc, "ready", "database", "timestamp")
	has(t, c.call(200, "GET", "/status", nil).doc, "version", "uptime", "status", "components", "overall_status")
	for _, id := range []string{"aws-commercial", "AWS%20Commercial"} {
		if a := c.call(200, "GET", "/platforms/"+id, nil); a.doc["id"] != "aws-commercial" {
			t.Errorf("platform %s: %s", id, a.raw)
		}
	}
	for _, id := range []string{"default", "default-project-uuid"} {
		c.call(200, "GET", "/projects/"+id, nil)
	}
	if a := c.call(409, "GET", "/image-types/Database%20Server", nil); a.doc["code"] != "ambiguous" || !strings.Contains(a.detail(), "hana") {
		t.Errorf("a name of two: %s", a.raw)
	}
}

// life takes a noun through everything that can happen to it.
func life(t *testing.T, c *client, path string, body doc, field string, to any, conflict bool) {
	t.Helper()
	made := c.as(writeKey).call(201, "POST", path+"/", body)
	id := fmt.Sprint(made.doc["id"])
	if conflict {
		if again := c.call(409, "POST", path, body); !strings.Contains(again.detail(), id) {
			t.Errorf("%s twice: %s, want the id %s named", path, again.raw, id)
		}
	}
	item := path + "/" + id
	if got := c.as(readKey).call(200, "GET", item, nil); fmt.Sprint(got.doc["id"]) != id || got.header.Get("ETag") == "" {
		t.Errorf("GET %s: %s", item, got.raw)
	}
	c.as(readKey).call(403, "PUT", item, doc{field: to})
	changed := c.as(writeKey).call(200, "PUT", item, doc{field: to, "name": nil})
	if fmt.Sprint(changed.doc[field]) != fmt.Sprint(to) || changed.doc["name"] != made.doc["name"] {
		t.Errorf("PUT %s: %s", item, changed.raw)
	}
	c.call(412, "PUT", item, doc{field: to}, "If-Match", `"1"`)
	c.as(writeKey).call(403, "DELETE", item, nil)
	c.call(204, "DELETE", item, nil)
	c.call(404, "DELETE", item, nil)
	c.call(404, "GET", item, nil)
	c.call(200, "GET", item+"?include_deactivated=true", nil)
	c.eventually(item+" among the deleted", func() bool {
		return slices.Contains(c.call(200, "GET", path+"?include_deactivated=true&limit=1000", nil).column("id"), id)
	})
	c.call(200, "POST", item+"/restore", nil)
	c.call(200, "GET", item, nil)
	c.eventually(item+" in the list", func() bool { return slices.Contains(c.call(200, "GET", path+"?limit=1000", nil).column("id"), id) })
	c.call(204, "DELETE", item, nil)
	if conflict {
		second := c.call(201, "POST", path, body)
		if second.doc["id"] != made.doc["id"] {
			c.call(409, "POST", item+"/restore", nil)
		}
		c.call(204, "DELETE", path+"/"+fmt.Sprint(second.doc["id"]), nil)
	}
	c.call(404, "GET", path+"/no-such-thing", nil)
	c.call(422, "GET", path+"?limit=1001", nil)
	c.call(422, "GET", path+"?skip=-1", nil)
}

func catalogue(t *testing.T, c *client) {
	life(t, c, "/platforms", doc{"name": "Test Platform", "cloud_provider": "aws", "region": "eu-west-1"}, "region", "eu-west-2", true)
	life(t, c, "/os_versions", doc{"name": "Debian", "version": "13"}, "display_name", "Trixie", true)
	life(t, c, "/image-types", doc{"name": "kiosk", "description": "a kiosk"}, "description", "one kiosk", true)
	for _, p := range []string{"/cloud-providers", "/os-distributions", "/image-variants"} {
		life(t, c, p, doc{"name": "one-" + p[1:4], "display_name": "One"}, "display_name", "Uno", true)
	}
	made := c.call(201, "POST", "/platforms", doc{"name": "slug-here", "cloud_provider": "x"})
	if made.doc["id"] != "slug-here" {
		t.Errorf("the id of a platform is its slug: %s", made.raw)
	}
	v := c.call(201, "POST", "/os-versions/", doc{"name": "alma", "display_name": "Alma", "os_family": "linux", "major_version": 9, "minor_version": 4})
	if v.doc["version"] != "9.4" || v.doc["id"] != "alma-9.4" {
		t.Errorf("version of the numbers: %s", v.raw)
	}
	c.call(422, "POST", "/os-versions/", doc{"name": "alma"})
	has(t, c.call(201, "POST", "/cloud_providers/", doc{"name": "aws", "display_name": "Amazon Web Services"}).doc, "start_date", "end_date", "id")
	cleared := c.call(200, "PUT", "/platforms/slug-here", doc{"region": nil, "cloud_provider": nil})
	if cleared.doc["region"] != nil || cleared.doc["cloud_provider"] != "x" {
		t.Errorf("null: %s", cleared.raw)
	}
	pages(t, c, "/platforms?limit=2")
}

// pages walks a list by its links and by skip and finds the same rows.
func pages(t *testing.T, c *client, path string) {
	t.Helper()
	base, _, _ := strings.Cut(path, "?")
	var byLink []string
	for next := path; next != ""; {
		a := c.call(200, "GET", next, nil)
		byLink = append(byLink, a.column("id")...)
		next = ""
		if link := a.header.Get("Link"); link != "" {
			next = base + strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		}
		if len(byLink) > 5000 {
			t.Fatal("the links never end")
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(byLink)))) != len(byLink) || len(byLink) < 3 {
		t.Errorf("%s by links: %v", path, byLink)
	}
	if a := c.call(200, "GET", base+"?skip=1&limit=1", nil); len(a.list) != 1 {
		t.Errorf("%s: skip=1&limit=1 gives %d rows", base, len(a.list))
	}
}

func projects(t *testing.T, c *client) {
	life(t, c, "/projects", doc{"name": "suite-project", "description": "x", "parent_project_id": "default"}, "description", "y", true)
	p := c.call(201, "POST", "/projects/", doc{"name": "codes-project", "display_name": "Codes"})
	has(t, p.doc, "id", "name", "description", "parent_project_id", "is_active", "created_at", "updated_at", "deactivated_at")
	base := "/projects/codes-project/state-codes"
	code := c.call(201, "POST", base, doc{"state_code": 42, "description": "between", "is_blocking": true})
	has(t, code.doc, "id", "project_id", "state_code", "code", "name", "display_name", "is_blocking", "is_initial", "is_final", "is_terminal", "is_error", "sort_order", "created_at")
	c.call(409, "POST", base, doc{"state_code": 42})
	c.call(201, "POST", base, doc{"name": "start", "is_initial": true})
	if a := c.call(400, "POST", base, doc{"name": "start2", "is_initial": true}); !strings.HasPrefix(a.detail(), "An active initial state already exists") {
		t.Errorf("second initial code: %s", a.raw)
	}
	c.call(201, "POST", "/state-codes", doc{"project_id": "codes-project", "code": 60, "name": "deploy", "display_name": "Deploy", "color": "#00FF00", "is_terminal": false, "sort_order": 3})
	c.call(422, "POST", "/state-codes", doc{"project_id": "codes-project", "code": 101, "name": "x"})
	c.call(422, "POST", base, doc{"state_code": 7, "color": "red"})
	id := code.doc["id"].(string)
	for _, path := range []string{base + "/" + id, "/state-codes/" + id} {
		c.call(200, "GET", path, nil)
		c.call(200, "PUT", path, doc{"description": "changed"})
	}
	b := c.call(201, "POST", "/builds", doc{"project_id": "codes-project"})
	c.call(200, "POST", "/builds/"+b.doc["id"].(string)+"/state", doc{"state_code": 42})
	c.eventually("the code in use is not deleted", func() bool {
		a := c.send("DELETE", "/state-codes/"+id, nil)
		if a.status == 204 {
			c.call(200, "POST", "/state-codes/"+id+"/restore", nil)
		}
		return a.status == 400 && strings.Contains(a.detail(), "currently used by 1 active builds")
	})
	c.call(404, "POST", "/projects/nope/state-codes", doc{"state_code": 5})
	res := "/projects/codes-project/resumable-states"
	r := c.call(201, "POST", res, doc{"state_code": 40, "resume_strategy": "from_artifact", "required_artifacts": []string{"vm_snapshot"}, "required_variables": []string{"vm_id"}})
	if r.doc["resume_timeout_seconds"] != float64(3600) || r.doc["is_resumable"] != true {
		t.Errorf("defaults of a resumable state: %s", r.raw)
	}
	c.call(409, "POST", res, doc{"state_code": 40})
	c.call(200, "PUT", res+"/40", doc{"resume_timeout_seconds": 60, "notes": nil})
	c.call(404, "GET", res+"/41", nil)
	if a := c.call(200, "GET", res+"?is_resumable=true", nil); len(a.list) != 1 {
		t.Errorf("resumable states: %s", a.raw)
	}
}

func users(t *testing.T, c *client) {
	u := c.call(201, "POST", "/users/", doc{"username": "suite", "email": "suite@example.com", "password": secret("suite-pass-1"), "full_name": "Suite Test", "employee_id": "E1"})
	has(t, u.doc, "id", "username", "email", "first_name", "last_name", "full_name", "employee_id", "scopes", "is_active", "is_superuser", "created_at", "updated_at", "deactivated_at")
	if strings.Contains(string(u.raw), "suite-pass") || u.doc["first_name"] != "Suite" {
		t.Errorf("user: %s", u.raw)
	}
	c.call(409, "POST", "/users", doc{"username": "suite", "email": "other@example.com", "password": "suite-pass-1"})
	c.as(writeKey).call(403, "GET", "/users", nil)
	c.as(writeKey).call(200, "GET", "/users/me", nil)
	c.as(writeKey).call(200, "GET", "/users/me/profile", nil)
	id := u.doc["id"].(string)
	c.call(200, "GET", "/users/"+id+"/profile", nil)
	if a := c.call(403, "POST", "/users/"+id+"/tokens", doc{"name": "too much", "scopes": []string{"admin"}}); a.doc["code"] != "forbidden" {
		t.Errorf("a key beyond its owner: %s", a.raw)
	}
	k := c.call(201, "POST", "/users/"+id+"/tokens", doc{"name": "ci", "scopes": []string{"read", "write", "build"}, "expires_in_days": 30})
	key := secret(k.doc["token"].(string))
	c.as(key).call(201, "POST", "/builds", doc{})
	c.as(key).call(403, "GET", "/users", nil)
	list := c.call(200, "GET", "/users/"+id+"/tokens", nil)
	if len(list.list) != 1 || strings.Contains(string(list.raw), key) {
		t.Errorf("keys: %s", list.raw)
	}
	c.call(204, "DELETE", "/users/"+id+"/tokens/"+k.doc["id"].(string), nil)
	if !c.s.Feed { // the clock of a real stack cannot be moved: the key works until the cache forgets it
		return
	}
	c.call(200, "PUT", "/users/"+id, doc{"is_active": false})
	c.call(401, "POST", "/token", doc{"username": "suite", "password": "suite-pass-1"})
	c.call(204, "DELETE", "/users/"+id, nil)
	c.call(404, "GET", "/users/"+id, nil)
	c.call(200, "POST", "/users/"+id+"/restore", nil)
}
