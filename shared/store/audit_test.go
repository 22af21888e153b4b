package store_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/build"
)

func TestEveryActIsInTheAuditTrail(t *testing.T) {
	t.Parallel()
	for how, o := range lagging {
		for _, c := range nounCases {
			t.Run(c.plural+" "+how, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, o)
				made := s.call("POST /"+c.plural+" write "+c.one, "X-Request-Id", "r1").want(201)
				at := "/" + c.plural + "/" + made.id()
				s.call("PUT " + at + " admin " + c.change).want(200)
				s.call("DELETE " + at + " admin").want(204)
				s.call("POST " + at + "/restore admin").want(200)
				s.call("PUT " + at + ` write {"name":7}`).want(422)

				trail := "/audit?resource=" + c.resource + "&resource_id=" + made.id()
				acts := []any{c.resource + ".restore", c.resource + ".delete", c.resource + ".update", c.resource + ".create"}
				if got := s.list(trail, "action"); fmt.Sprint(got) != fmt.Sprint(acts) {
					t.Errorf("acts %v, want %v", got, acts)
				}
				s.lists("/audit", "action", acts...)
				s.lists("/audit?limit=1", "action", acts...)
				s.lists("/audit?skip=3", "action", acts[3])
				s.lists(trail+"&limit=3", "action", acts...)
				s.lists("/audit?resource="+c.resource, "actor", "admin-user", "admin-user", "admin-user", "write-user")
				s.lists("/audit?actor=write-user", "request_id", "r1")
				s.lists("/audit?actor=admin-user&resource_id="+made.id()+"&limit=2", "action", acts[:3]...)
				s.lists(trail+"&actor=write-user", "credential", "key:write")
				s.lists("/audit?resource=nothing", "action")

				first := s.list(trail+"&skip=3", "before")
				if len(first) != 1 || first[0] != nil {
					t.Errorf("before of the creation is %v", first)
				}
				before, after := s.list(trail+"&skip=2&limit=1", "before")[0].(map[string]any), s.list(trail+"&skip=2&limit=1", "after")[0].(map[string]any)
				if before["id"] != made.id() || before[c.changed] == "new" || after[c.changed] != "new" {
					t.Errorf("before %v, after %v", before, after)
				}
			})
		}
	}
}

func TestTheAuditTrailSinceATime(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{})
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.store.Now = func() time.Time { return now }
	for i := range 4 {
		s.call(fmt.Sprintf(`POST /platforms write {"name":"p%d","cloud_provider":"aws"}`, i)).want(201)
		now = now.Add(time.Hour)
	}
	since := func(at string) string { return "&since=" + url.QueryEscape(at) }
	s.lists("/audit?limit=1"+since("2026-01-01T02:00:00Z"), "resource_id", "p3", "p2")
	s.lists("/audit?limit=1"+since("2026-01-01T03:00:00+01:00"), "resource_id", "p3", "p2")
	s.lists("/audit?resource=platform"+since("2026-01-01T02:00:00.000001Z"), "resource_id", "p3")
	s.lists("/audit?actor=write-user"+since("2026-01-01T03:00:00Z"), "resource_id", "p3")
	s.lists("/audit?resource=platform&resource_id=p0"+since("2026-01-01T01:00:00Z"), "resource_id")
	s.call("GET /audit?since=yesterday admin").bad("query since", "type_error")
	s.call("GET /audit?cursor=x admin").bad("query cursor", "value_error")
	s.call("GET /audit write").want(403)
	s.call("GET /audit nobody").want(401)
}

func TestWhatHappensToBuildsIsInTheAuditTrail(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{})
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.store.Now = func() time.Time { now = now.Add(time.Minute); return now }
	s.call(`POST /projects write {"name":"p"}`).want(201)
	c, err := build.CreateIn{ProjectID: "p", BuildNumber: "b1"}.Normalise()
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.store.CreateBuild(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	report(s, "b1", 40, "in_progress")
	trail := "/audit?resource=build&resource_id=" + b.ID
	s.lists(trail, "action", "build.state", "build.created")
	s.lists(trail+"&limit=1", "actor", "system", "system")
	s.lists(trail+"&actor=alice", "action")
	s.lists("/audit?resource=build&limit=1", "action", "build.state", "build.created")
	s.lists("/audit?limit=1", "resource", "build", "build", "project")
	s.lists(trail+"&since="+now.Format(time.RFC3339), "action", "build.state")
	before, after := s.list(trail+"&limit=1", "before"), s.list(trail, "after")[0].(map[string]any)
	if before[1] != nil || before[0].(map[string]any)["status"] != "pending" || after["state_code"] != 40.0 || after["status"] != "in_progress" {
		t.Errorf("before %v, after %v", before, after)
	}
}

func TestStateCodesAreInTheAuditTrail(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{})
	s.call(`POST /projects write {"name":"p"}`).want(201)
	made := s.call(`POST /projects/p/state-codes write {"name":"net","state_code":40}`).want(201)
	s.call("PUT /state-codes/" + made.id() + ` write {"name":"netz"}`).want(200)
	s.call("DELETE /state-codes/" + made.id() + " admin").want(204)
	s.call("POST /state-codes/" + made.id() + "/restore admin").want(200)
	trail := "/audit?resource=state-code&resource_id=" + made.id()
	s.lists(trail, "action", "state-code.restore", "state-code.delete", "state-code.update", "state-code.create")
	before, after := s.list(trail, "before")[2].(map[string]any), s.list(trail, "after")[2].(map[string]any)
	if before["name"] != "net" || after["name"] != "netz" {
		t.Errorf("before %v, after %v", before, after)
	}
	state := s.call(`POST /projects/p/resumable-states write {"state_code":40}`).want(201)
	s.lists("/audit?resource=resumable-state&resource_id="+state.id(), "action", "resumable-state.create")
}
