package store_test

import (
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/build"
)

// policed is a site that also serves policies and breakers.
func policed(t *testing.T) *site {
	t.Helper()
	s := newSite(t, embedded.Options{}).seed(true)
	service := &build.PolicyService{Store: s.store}
	service.MountPolicy(s.api)
	service.MountBreakers(s.api)
	return s
}

func TestAProjectWithoutAPolicyShowsTheDefaults(t *testing.T) {
	t.Parallel()
	s := policed(t)
	r := s.call("GET /projects/default/policy read").want(200).has("automatic", false)
	if r.header.Get("ETag") != `"0"` {
		t.Errorf("ETag %q", r.header.Get("ETag"))
	}
	s.call("GET /projects/nobody/policy read").want(404).says("nobody")
	s.call("PUT /projects/nobody/policy write {}").want(404)
	s.call("PUT /projects/default/policy read {}").want(403)
}

func TestAPolicyIsReplacedWhole(t *testing.T) {
	t.Parallel()
	s := policed(t)
	s.call(`PUT /projects/default/policy write {"automatic":true,"max_total_seconds":7200,"classes":{"quota":{"retries":1,"backoff_seconds":[5]}}}`, "If-Match", `"0"`).
		want(200).has("automatic", true, "max_total_seconds", 7200)
	s.call("GET /projects/default/policy read").want(200).has("automatic", true).says(`"quota":{"retries":1,"backoff_seconds":[5]}`)
	s.call(`PUT /projects/default/policy write {"automatic":false}`, "If-Match", `"0"`).want(412)
	s.call(`PUT /projects/default/policy write {"automatic":false,"future":1,"breaker":null}`, "If-Match", `"1"`).want(200).has("automatic", false)
	s.call("GET /projects/default/policy read").says(`"quota":{"retries":3`)
	s.call("GET /audit?resource=policy admin").want(200).says("policy.update", "write-user")
}

func TestAPolicyThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	s := policed(t)
	for body, loc := range map[string]string{
		`{"max_total_seconds":-1}`:                                   "body max_total_seconds",
		`{"breaker":{"failures":0,"within_seconds":60}}`:             "body breaker failures",
		`{"breaker":{"failures":3,"within_seconds":1}}`:              "body breaker within_seconds",
		`{"classes":{"weather":{"retries":1}}}`:                      "body classes weather",
		`{"classes":{"quota":{"retries":1,"backoff_seconds":[-1]}}}`: "body classes quota backoff_seconds 0",
	} {
		s.call("PUT /projects/default/policy write "+body).bad(loc, "value_error")
	}
	s.call(`PUT /projects/default/policy write {"automatic":"maybe"}`).want(422)
	s.call(`PUT /projects/default/policy write {"classes":{"quota":{"retries":99}}}`).want(422)
	s.call(`PUT /projects/default/policy write []`).want(422)
}

func TestBreakersAreShownAndClosedByAPerson(t *testing.T) {
	t.Parallel()
	s := policed(t)
	c, err := build.CreateIn{Platform: "aws-commercial"}.Normalise()
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.store.CreateBuild(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	path := "/breakers/" + b.Line()
	s.call("GET " + path + " read").want(404)
	for range 2 {
		if _, _, err := s.store.ChangeBuild(t.Context(), b.ID, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
			b.Decision = nil
			return b.Fail(build.FailureIn{ErrorMessage: "x"}, rules, now)
		}); err != nil {
			t.Fatal(err)
		}
		s.call(`PUT /projects/default/policy write {"breaker":{"failures":2,"within_seconds":60}}`).want(200)
		if err := s.store.Decide(t.Context(), b.ID, func(d *build.Driven) error { return d.Decide() }); err != nil {
			t.Fatal(err)
		}
	}
	s.call("GET /breakers read").want(200).says(b.Line(), `"open":true`)
	s.call("GET "+path+" read").want(200).has("open", true, "build_id", b.ID)
	s.call("POST " + path + "/close read").want(403)
	s.call("POST "+path+"/close write").want(200).has("open", false, "closed_by", "write-user")
	s.call("POST "+path+"/close write").want(200).has("open", false)
	if got := s.call("GET /breakers read").want(200).text; got != "[]\n" && got != "[]" {
		t.Errorf("still listed: %s", got)
	}
	s.call("GET /audit?resource=breaker admin").want(200).says("breaker.close", "write-user")
}
