package store_test

import (
	"fmt"
	"net/url"
	"sync"
	"testing"

	embedded "bldst/localstack/table"
	"bldst/shared/id"
	"bldst/shared/store"
)

// A nounCase is what the same test needs to know of each noun.
type nounCase struct {
	plural, underscored string // spellings of the collection
	label               string
	one, two            string // bodies of two rows
	name                string // of one
	slug                string // id of one; "" is a UUID
	change, changed     string // a partial update of one, and the field it changes to "new"
	clear               string // a field that null clears
	missing             string // a required field
	resource            string // in the audit trail
}

var nounCases = []nounCase{
	{plural: "platforms", underscored: "platforms", label: "Platform", resource: "platform",
		one: `{"name":"Test Platform","cloud_provider":"aws","region":"eu-1"}`, two: `{"name":"second","cloud_provider":"gcp"}`,
		name: "Test Platform", slug: "test-platform", change: `{"cloud_provider":"new"}`, changed: "cloud_provider", clear: "region", missing: "cloud_provider"},
	{plural: "os-versions", underscored: "os_versions", label: "OS version", resource: "os-version",
		one: `{"name":"Fedora","version":"40","os_family":"linux"}`, two: `{"name":"Suse","version":"15"}`,
		name: "Fedora", slug: "fedora-40", change: `{"display_name":"new"}`, changed: "display_name", clear: "os_family", missing: "name"},
	{plural: "image-types", underscored: "image_types", label: "Image type", resource: "image-type",
		one: `{"name":"Web","description":"d"}`, two: `{"name":"db"}`,
		name: "Web", slug: "web", change: `{"display_name":"new"}`, changed: "display_name", clear: "description", missing: "name"},
	{plural: "cloud-providers", underscored: "cloud_providers", label: "Cloud Provider", resource: "cloud-provider",
		one: `{"name":"aws","display_name":"Amazon Web Services","description":"d"}`, two: `{"name":"gcp","display_name":"Google"}`,
		name: "aws", change: `{"display_name":"new"}`, changed: "display_name", clear: "description", missing: "display_name"},
	{plural: "os-distributions", underscored: "os_distributions", label: "OS Distribution", resource: "os-distribution",
		one: `{"name":"ubuntu","display_name":"Ubuntu","description":"d"}`, two: `{"name":"rhel","display_name":"RHEL"}`,
		name: "ubuntu", change: `{"display_name":"new"}`, changed: "display_name", clear: "description", missing: "display_name"},
	{plural: "image-variants", underscored: "image_variants", label: "Image Variant", resource: "image-variant",
		one: `{"name":"hardened","display_name":"Hardened Image","description":"d"}`, two: `{"name":"minimal","display_name":"Minimal"}`,
		name: "hardened", change: `{"display_name":"new"}`, changed: "display_name", clear: "description", missing: "display_name"},
	{plural: "projects", underscored: "projects", label: "Project", resource: "project",
		one: `{"name":"one","description":"d"}`, two: `{"name":"two"}`,
		name: "one", change: `{"display_name":"new"}`, changed: "display_name", clear: "description", missing: "name"},
}

// eachNoun runs f for every noun on every kind of table.
func eachNoun(t *testing.T, f func(s *site, c nounCase)) {
	for how, o := range lagging {
		for _, c := range nounCases {
			t.Run(c.plural+" "+how, func(t *testing.T) {
				t.Parallel()
				f(newSite(t, o), c)
			})
		}
	}
}

func TestEveryNounOfTheCatalogueIsCovered(t *testing.T) {
	t.Parallel()
	for _, n := range store.Catalogue() {
		found := false
		for _, c := range nounCases {
			found = found || c.plural == n.Plural
		}
		if !found {
			t.Errorf("no test of %s; add a line to nounCases", n.Plural)
		}
	}
}

func TestARowIsCreatedAndFoundByItsNames(t *testing.T) {
	t.Parallel()
	eachNoun(t, func(s *site, c nounCase) {
		made := s.call("POST /"+c.plural+" write "+c.one).want(201).has("name", c.name, "deactivated_at", nil)
		switch {
		case c.slug != "" && made.id() != c.slug:
			s.t.Errorf("id %s, want %s", made.id(), c.slug)
		case c.slug == "" && !id.IsUUID(made.id()):
			s.t.Errorf("id %s is no UUID", made.id())
		}
		if made.header.Get("ETag") != `"1"` {
			s.t.Errorf("ETag %s", made.header.Get("ETag"))
		}
		for _, path := range []string{"/" + c.plural, "/" + c.underscored} {
			for _, ref := range []string{made.id(), url.PathEscape(c.name)} {
				got := s.call("GET " + path + "/" + ref + " read").want(200)
				if got.text != made.text {
					s.t.Errorf("GET %s/%s is %s, want %s", path, ref, got.text, made.text)
				}
			}
			s.lists(path, "name", c.name)
			s.lists(path+"/", "name", c.name)
		}
		s.call("POST /"+c.underscored+"/ write "+c.one).want(409).says(made.id(), `"code":"conflict"`)
		s.call("GET /" + c.plural + "/nothing read").want(404).says(c.label + " with id 'nothing' not found")
	})
}

func TestAnUpdateIsPartial(t *testing.T) {
	t.Parallel()
	eachNoun(t, func(s *site, c nounCase) {
		made := s.call("POST /" + c.plural + " write " + c.one).want(201)
		at := "/" + c.plural + "/" + made.id()
		before := made.object()
		after := s.call("PUT "+at+" write "+c.change).want(200).has(c.changed, "new", "name", c.name, c.clear, before[c.clear], "created_at", before["created_at"])
		if after.header.Get("ETag") != `"2"` {
			s.t.Errorf("ETag %s", after.header.Get("ETag"))
		}
		s.call("PUT "+at+` write {"name":null,"`+c.changed+`":"newer"}`).want(200).has("name", c.name)
		s.call("PUT "+at+` write {"`+c.clear+`":null}`).want(200).has(c.clear, nil, "name", c.name)
		s.call("PUT "+at+` write {"id":"x","created_at":"2001-01-01T00:00:00Z","deactivated_at":"2001-01-01T00:00:00Z","nonsense":1}`).want(200).
			has("id", made.id(), "created_at", before["created_at"], "deactivated_at", nil)
		again := s.call("GET " + at + " read").want(200)
		s.call("PUT "+at+" write "+again.text).want(200).has("name", c.name)
		s.call("PUT "+at+` write {"name":"Renamed"}`).want(200).has("id", made.id(), "name", "Renamed")
		s.call("GET /" + c.plural + "/Renamed read").want(200)
		if c.resource != "os-version" {
			s.call("POST /" + c.plural + " write " + c.two).want(201)
			s.call("POST /" + c.plural + " write " + c.one).want(201)
			s.call("PUT " + at + ` write {"name":"` + c.name + `"}`).want(409)
			s.call("GET "+at+" read").want(200).has("name", "Renamed")
		}
		s.call("PUT /" + c.plural + "/nothing write " + c.change).want(404)
	})
}

func TestAStaleETagIsRefused(t *testing.T) {
	t.Parallel()
	eachNoun(t, func(s *site, c nounCase) {
		made := s.call("POST /" + c.plural + " write " + c.one).want(201)
		at := "/" + c.plural + "/" + made.id()
		s.call("PUT "+at+" write "+c.change, "If-Match", made.header.Get("ETag")).want(200)
		s.call("PUT "+at+" write "+c.change, "If-Match", made.header.Get("ETag")).want(412).says("precondition_failed", `\"2\"`)
		s.call("DELETE "+at+" admin", "If-Match", `"1"`).want(412)
		s.call("DELETE "+at+" admin", "If-Match", `"1", "2"`).want(204)
	})
}

func TestADeletedRowIsGoneUntilItIsRestored(t *testing.T) {
	t.Parallel()
	eachNoun(t, func(s *site, c nounCase) {
		made := s.call("POST /" + c.plural + " write " + c.one).want(201)
		all, at := "/"+c.plural, "/"+c.plural+"/"+made.id()
		if r := s.call("DELETE " + at + " admin").want(204); r.text != "" {
			s.t.Errorf("DELETE answers %q", r.text)
		}
		s.call("DELETE " + at + " admin").want(404)
		s.call("GET " + at + " read").want(404)
		s.call("GET " + all + "/" + url.PathEscape(c.name) + " read").want(404)
		s.call("PUT " + at + " write " + c.change).want(404)
		gone := s.call("GET " + at + "?include_deactivated=true read").want(200)
		if gone.object()["deactivated_at"] == nil {
			s.t.Errorf("deactivated_at is null: %s", gone.text)
		}
		s.lists(all, "name")
		s.lists(all+"?include_deactivated=true", "id", made.id())

		second := s.call("POST " + all + " write " + c.one).want(201)
		if second.id() == made.id() {
			s.t.Errorf("the id %s was given again", made.id())
		}
		s.call("GET "+all+"/"+url.PathEscape(c.name)+" read").want(200).has("id", second.id())
		s.call("POST " + at + "/restore admin").want(409).says(second.id())
		s.lists(all+"?include_deactivated=true&limit=1", "id", second.id(), made.id())
		s.lists(all+"?include_deactivated=true&skip=1", "id", made.id())

		s.call("DELETE " + all + "/" + second.id() + " admin").want(204)
		s.call("POST "+at+"/restore admin").want(200).has("id", made.id(), "name", c.name, "deactivated_at", nil)
		s.call("POST " + at + "/restore/ admin").want(200)
		s.call("GET "+all+"/"+url.PathEscape(c.name)+" read").want(200).has("id", made.id())
		s.lists(all, "id", made.id())
		s.call("POST " + all + "/nothing/restore admin").want(404)
	})
}

func TestANameThatIsASlugGoesToTheNewRow(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{})
	body := `{"name":"test-platform","cloud_provider":"aws"}`
	first := s.call("POST /platforms write "+body).want(201).has("id", "test-platform")
	s.call("DELETE /platforms/test-platform admin").want(204)
	second := s.call("POST /platforms write " + body).want(201)
	s.call("GET /platforms/test-platform read").want(200).has("id", second.id())
	s.call("GET /platforms/test-platform?include_deactivated=true read").want(200).has("id", first.id())
	s.call("PUT /platforms/test-platform write {\"region\":\"r\"}").want(200).has("id", second.id())
	ids, err := s.store.Resolve(t.Context(), store.Ref{Kind: "platform", Label: "Platform", Value: "test-platform"})
	if err != nil || ids[0] != second.id() {
		t.Errorf("Resolve: %v %v, want %s", ids, err, second.id())
	}
}

func TestAnIDIsNotTheNameOfAnotherRow(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{})
	first := s.call(`POST /platforms write {"name":"first","cloud_provider":"aws"}`).want(201)
	s.call(`PUT /platforms/first write {"name":"my-cloud"}`).want(200)
	second := s.call(`POST /platforms write {"name":"My Cloud","cloud_provider":"aws"}`).want(201)
	s.call("GET /platforms/my-cloud read").want(200).has("id", first.id())
	s.call("GET /platforms/My%20Cloud read").want(200).has("id", second.id())
	s.call(`POST /platforms write {"name":"first","cloud_provider":"aws"}`).want(409).says("'first'")
}

func TestBadInputIsNamed(t *testing.T) {
	t.Parallel()
	eachNoun(t, func(s *site, c nounCase) {
		all := "POST /" + c.plural + " write "
		long := fmt.Sprintf(`"%051d"`, 0)
		s.call(all+`{"description":"d"}`).bad("body "+c.missing, "missing")
		s.call(all+`{"name":7}`).bad("body name", "type_error")
		s.call(all+`{"name":""}`).bad("body name", "value_error")
		s.call(all+`{"name":"  "}`).bad("body name", "value_error")
		s.call(all+`{"name":`+long+`}`).bad("body name", "value_error")
		s.call(all+`[]`).bad("body", "type_error")
		s.call(all+`{"name"`).bad("body", "json_invalid")
		made := s.call(all + c.one).want(201)
		put := "PUT /" + c.plural + "/" + made.id() + " write "
		s.call(put+`{"name":`+long+`}`).bad("body name", "value_error")
		s.call(put+`{"name":["x"]}`).bad("body name", "type_error")
		s.call(put + `{"name":"x","NAME":` + long + `}`).want(422)
		s.call(put+`{"name":" "}`).bad("body name", "value_error")
		s.call("GET /"+c.plural+"?limit=1001 read").bad("query limit", "value_error")
		s.call("GET /"+c.plural+"?limit=x read").bad("query limit", "type_error")
		s.call("GET /"+c.plural+"?cursor=x read").bad("query cursor", "value_error")
		s.call("GET /"+c.plural+"/"+made.id()+" read").want(200).has("name", c.name)
	})
}

func TestEveryEndpointAsksForItsScope(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{})
	for _, c := range nounCases {
		all, at := "/"+c.plural, "/"+c.plural+"/x"
		for _, request := range []string{"POST " + all + " read " + c.one, "PUT " + at + " read " + c.change, "DELETE " + at + " write", "POST " + at + "/restore write"} {
			s.call(request).want(403).says("permission required")
		}
		s.call("GET " + all + " nobody").want(401)
	}
}

func TestLongListsComeInPages(t *testing.T) {
	t.Parallel()
	eachNoun(t, func(s *site, c nounCase) {
		var names []any
		for i := range 5 {
			name := fmt.Sprintf("row-%d", i)
			s.call("POST /" + c.plural + ` write {"name":"` + name + `","display_name":"d","cloud_provider":"p","version":"1"}`).want(201)
			names = append(names, name)
		}
		s.lists("/"+c.plural+"?limit=2", "name", names...)
		s.lists("/"+c.plural+"?skip=3&limit=1", "name", names[3:]...)
		s.lists("/"+c.plural+"?skip=9", "name")
	})
}

func TestOneOfManyEqualCreatesSucceeds(t *testing.T) {
	t.Parallel()
	eachNoun(t, func(s *site, c nounCase) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[int]int{}
		for range 8 {
			wg.Go(func() {
				r := s.call("POST /" + c.plural + " write " + c.one)
				mu.Lock()
				defer mu.Unlock()
				got[r.status]++
			})
		}
		wg.Wait()
		if got[201] != 1 || got[409] != 7 {
			s.t.Errorf("statuses %v, want one 201 and seven 409", got)
		}
	})
}

func TestARepeatedCreateWithAKeyHasOneEffect(t *testing.T) {
	t.Parallel()
	eachNoun(t, func(s *site, c nounCase) {
		first := s.call("POST /"+c.plural+" write "+c.one, "Idempotency-Key", "k").want(201)
		again := s.call("POST /"+c.plural+" write "+c.one, "Idempotency-Key", "k").want(201)
		if again.text != first.text || again.header.Get("Idempotent-Replayed") != "true" || again.header.Get("ETag") != first.header.Get("ETag") {
			s.t.Errorf("replay %v %s, want %s", again.header, again.text, first.text)
		}
		s.call("DELETE /" + c.plural + "/" + first.id() + " admin").want(204)
		s.call("POST /"+c.plural+"/"+first.id()+"/restore admin", "Idempotency-Key", "r").want(200)
	})
}

func TestOSVersions(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{}).seed(true)
	s.call(`POST /os_versions write {"name":"ubuntu","display_name":"U","os_family":"linux","major_version":24,"minor_version":4}`).want(201).
		has("version", "24.4", "id", "ubuntu-24.4")
	s.call(`POST /os_versions write {"name":"ubuntu","major_version":24}`).bad("body version", "missing")
	s.call(`POST /os_versions write {"name":"Ubuntu","version":"22.04"}`).want(409).says("ubuntu-22.04")
	s.call(`POST /os_versions write {"name":"Ubuntu","version":"24.04"}`).want(201).has("id", "ubuntu-24.04")
	s.call(`POST /os_versions write {"name":"Ubuntu 22.04","version":"22.04"}`).want(201)
	s.call("GET /os_versions/Ubuntu read").want(409).says("ambiguous", "ubuntu-22.04", "ubuntu-24.04")
	s.call("GET /os_versions/CentOS read").want(200).has("id", "centos-7", "version", "7.9")
	s.call("GET /os-versions/rhel-9.3 read").want(200).has("name", "Red Hat Enterprise Linux")
}

func TestTwoSeededImageTypesShareAName(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{}).seed(true)
	s.call("GET /image_types/Database%20Server read").want(409).says("ambiguous", "hana", "database")
	s.call(`POST /image_types write {"name":"Database Server"}`).want(409)
	s.call("PUT /image_types/database write {\"description\":\"d\"}").want(200)
	s.call("DELETE /image_types/database admin").want(204)
	s.call("GET /image_types/Database%20Server read").want(200).has("id", "hana")
	s.call("POST /image_types/database/restore admin").want(200)
	s.call("PUT /image_types/hana write {\"name\":\"Base Image\"}").want(409)
}

func TestDatedRowsSayWhenTheyEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{})
	made := s.call(`POST /cloud-providers write {"name":"aws","display_name":"A","start_date":"2001-01-01T00:00:00Z","end_date":"2001-01-01T00:00:00Z"}`).want(201).has("end_date", nil)
	made.has("start_date", made.object()["created_at"])
	s.call("DELETE /cloud-providers/aws admin").want(204)
	gone := s.call("GET /cloud-providers/" + made.id() + "?include_deactivated=1 read").want(200)
	if end := gone.object()["end_date"]; end == nil || end != gone.object()["deactivated_at"] {
		t.Errorf("end_date %v", end)
	}
}

func TestSeedsAreStoredOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, embedded.Options{}).seed(false)
	if got := s.list("/platforms", "id"); len(got) != 5 {
		t.Errorf("base platforms %v", got)
	}
	s.call(`PUT /platforms/aws-commercial write {"region":"eu-west-1"}`).want(200)
	s.call("DELETE /platforms/gcp admin").want(204)
	taken := s.call(`POST /platforms write {"name":"AWS China","cloud_provider":"aws"}`).want(201).has("id", "aws-china")
	s.call(`POST /image_types write {"name":"Cache Server"}`).want(201).has("id", "cache-server")
	s.seed(true).seed(true)
	s.call("GET /platforms/aws-commercial read").want(200).has("region", "eu-west-1")
	s.call("GET /platforms/gcp read").want(404)
	s.call("GET /platforms/aws-china read").want(200).has("id", taken.id(), "region", nil)
	s.call("GET /image_types/cache read").want(404)
	for path, want := range map[string]int{"/platforms": 8, "/os-versions": 10, "/image-types": 9, "/projects": 2} {
		if got := s.list(path, "id"); len(got) != want {
			t.Errorf("GET %s: %d rows %v, want %d", path, len(got), got, want)
		}
	}
}
