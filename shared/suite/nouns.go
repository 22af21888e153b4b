package suite

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bldst/shared/id"
	"bldst/shared/problem"
)

// A noun is a kind of reference rows: what the tests of all of them have to
// know of one.
type noun struct {
	path  string // of the collection
	label string // in sentences
	kind  string // in the audit trail
	keys  string // of an object
	slug  bool   // ids are slugs
	make  func(name string) obj
	patch obj // changes a row
	null  string
	bad   map[string]obj // bodies by the field that is wrong
}

const metaKeys = "id created_at updated_at deactivated_at name "

func dated(name string) obj { return obj{"name": name, "display_name": "Display of " + name} }

func datedNoun(path, label, kind string) noun {
	return noun{path: path, label: label, kind: kind, keys: metaKeys + "display_name description start_date end_date", make: dated,
		patch: obj{"description": "changed"}, null: "description",
		bad: map[string]obj{"name": {"name": "", "display_name": "x"}, "display_name": {"name": "x"}, "description": {"name": "x", "display_name": "x", "description": strings.Repeat("x", 501)}}}
}

var nouns = []noun{
	{path: "/platforms", label: "Platform", kind: "platform", slug: true, keys: metaKeys + "cloud_provider region display_name",
		make:  func(name string) obj { return obj{"name": name, "cloud_provider": "aws", "region": "us-east-1"} },
		patch: obj{"cloud_provider": "gcp"}, null: "region",
		bad: map[string]obj{"name": {"cloud_provider": "aws"}, "cloud_provider": {"name": "x"}, "region": {"name": "x", "cloud_provider": "x", "region": strings.Repeat("x", 51)}}},
	{path: "/os-versions", label: "OS version", kind: "os-version", slug: true, keys: metaKeys + "version display_name os_family major_version minor_version os_distribution_id",
		make:  func(name string) obj { return obj{"name": name, "version": "9.9", "os_family": "linux"} },
		patch: obj{"display_name": "changed"}, null: "os_family",
		bad: map[string]obj{"name": {"version": "1"}, "version": {"name": "x"}, "major_version": {"name": "x", "version": "1", "major_version": -1}}},
	{path: "/image-types", label: "Image type", kind: "image-type", slug: true, keys: metaKeys + "description display_name image_variant_id",
		make:  func(name string) obj { return obj{"name": name, "description": "of " + name} },
		patch: obj{"display_name": "changed"}, null: "description",
		bad: map[string]obj{"name": {"name": strings.Repeat("x", 51)}, "description": {"name": "x", "description": strings.Repeat("x", 501)}}},
	datedNoun("/cloud-providers", "Cloud Provider", "cloud-provider"),
	datedNoun("/os-distributions", "OS Distribution", "os-distribution"),
	datedNoun("/image-variants", "Image Variant", "image-variant"),
	{path: "/projects", label: "Project", kind: "project", keys: metaKeys + "description display_name parent_project_id is_active",
		make:  func(name string) obj { return obj{"name": name, "description": "of " + name} },
		patch: obj{"display_name": "changed"}, null: "description",
		bad: map[string]obj{"name": {"name": " "}, "description": {"name": "x", "description": strings.Repeat("x", 501)}}},
}

// nounTests are the tests every noun has to pass.
var nounTests = eachNoun(map[string]func(*testing.T, *session, noun){
	"a new one has every field and is found by id, slug and name":  nounCreate,
	"a second one of the same name is refused with the first's id": nounDuplicate,
	"bad bodies are refused and name the field":                    nounBad,
	"a change changes what it names":                               nounUpdate,
	"If-Match guards changes":                                      nounMatch,
	"a deleted one is gone, can be seen, and can be restored":      nounDelete,
	"a name that was taken meanwhile keeps it from being restored": nounRestoreConflict,
	"all are listed, by skip and limit and by cursor":              nounPages,
	"every change is in the audit trail":                           nounAudit,
})

func eachNoun(tests map[string]func(*testing.T, *session, noun)) []test {
	var out []test
	for _, n := range nouns {
		for name, run := range tests {
			out = append(out, test{n.label + ": " + name, func(t *testing.T, s *session) { run(t, s, n) }})
		}
	}
	slices.SortFunc(out, func(a, b test) int { return strings.Compare(a.name, b.name) })
	return out
}

// add makes a row and returns the answer.
func (n noun) add(t *testing.T, s *session, name string) *reply {
	t.Helper()
	return s.dev.post(t, n.path, n.make(name)).is(http.StatusCreated)
}

func (n noun) notFound(ref string) string {
	return fmt.Sprintf("%s with id '%s' not found", n.label, ref)
}

func nounCreate(t *testing.T, s *session, n noun) {
	name := unique("Noun Name")
	r := n.add(t, s, name).keys(n.keys).has(n.make(name)).has(obj{"deactivated_at": nil})
	if !strings.HasSuffix(r.str("created_at"), "Z") {
		t.Errorf("created_at %s has no Z", r.str("created_at"))
	}
	switch row := r.id(); {
	case n.slug && !strings.HasPrefix(row, id.Slug(name)):
		t.Errorf("id %s, want the slug of %s", row, name)
	case !n.slug && !id.IsUUID(row):
		t.Errorf("id %s, want a UUID", row)
	}
	for _, ref := range []string{r.id(), strings.ReplaceAll(name, " ", "%20")} {
		got := s.reader.get(t, n.path+"/"+ref).is(http.StatusOK).has(r.obj())
		if got.etag() != r.etag() {
			t.Errorf("ETag %s of GET, %s of POST", got.etag(), r.etag())
		}
	}
	s.reader.get(t, n.path+"/no-such").refused(http.StatusNotFound, problem.NotFound, n.notFound("no-such"))
	mine := unique("mine")
	s.dev.post(t, n.path, with(n.make(unique("n")), obj{"id": mine, "created_at": "2020-01-01T00:00:00Z", "deactivated_at": "2020-01-01T00:00:00Z", "something_else": obj{"a": 1}})).
		is(http.StatusCreated).has(obj{"deactivated_at": nil})
	s.dev.get(t, n.path+"/"+mine).is(http.StatusNotFound)
	if n.slug {
		other := s.dev.post(t, n.path, n.make(strings.ToUpper(name))).is(http.StatusCreated)
		if !id.IsUUID(other.id()) {
			t.Errorf("id %s while the slug is taken, want a UUID", other.id())
		}
	}
}

func nounDuplicate(t *testing.T, s *session, n noun) {
	name := unique("twice")
	first := n.add(t, s, name).id()
	s.dev.post(t, n.path, n.make(name)).refused(http.StatusConflict, problem.Conflict, first)
	second := n.add(t, s, unique("other")).id()
	s.dev.put(t, n.path+"/"+second, obj{"name": name}).refused(http.StatusConflict, problem.Conflict, first)
	s.dev.put(t, n.path+"/"+first, obj{"name": name}).is(http.StatusOK)
	renamed := unique("renamed")
	s.dev.put(t, n.path+"/"+first, obj{"name": renamed}).is(http.StatusOK).has(obj{"id": first, "name": renamed})
	s.dev.get(t, n.path+"/"+renamed).is(http.StatusOK).has(obj{"id": first})
	if first == name { // still the first's id
		s.dev.put(t, n.path+"/"+second, obj{"name": name}).refused(http.StatusConflict, problem.Conflict, first)
		return
	}
	s.dev.put(t, n.path+"/"+second, obj{"name": name}).is(http.StatusOK).has(obj{"id": second, "name": name})
}

func nounBad(t *testing.T, s *session, n noun) {
	for field, body := range n.bad {
		s.dev.post(t, n.path, body).invalid(field)
	}
	s.dev.post(t, n.path, with(n.make(unique("bad")), obj{"name": 7})).invalid("name")
	s.dev.post(t, n.path, with(n.make(unique("bad")), obj{"name": strings.Repeat("x", 51)})).invalid("name")
	s.dev.post(t, n.path, with(n.make(unique("bad")), obj{"name": nil})).refused(http.StatusUnprocessableEntity, problem.Invalid)
	row := n.add(t, s, unique("bad")).id()
	s.dev.put(t, n.path+"/"+row, obj{"name": ""}).invalid("name")
	s.dev.put(t, n.path+"/"+row, obj{"name": []int{1}}).invalid("name")
	s.dev.put(t, n.path+"/no-such", n.patch).refused(http.StatusNotFound, problem.NotFound, n.notFound("no-such"))
	s.admin.delete(t, n.path+"/no-such").refused(http.StatusNotFound, problem.NotFound, n.notFound("no-such"))
	s.admin.post(t, n.path+"/no-such/restore", nil).refused(http.StatusNotFound, problem.NotFound, n.notFound("no-such"))
}

func nounUpdate(t *testing.T, s *session, n noun) {
	name := unique("update")
	was := n.add(t, s, name)
	at := n.path + "/" + was.id()
	now := s.dev.put(t, at, n.patch).is(http.StatusOK).keys(n.keys).has(with(n.make(name), n.patch))
	if now.etag() == was.etag() || now.str("updated_at") < was.str("updated_at") || now.str("created_at") != was.str("created_at") {
		t.Errorf("before the change %s %s, after it %s %s", was.etag(), was.body, now.etag(), now.body)
	}
	s.dev.put(t, at, obj{"name": nil, "display_name": nil}).is(http.StatusOK).has(obj{"name": name})
	s.dev.put(t, at, obj{n.null: "something"}).is(http.StatusOK).has(obj{n.null: "something"})
	s.dev.put(t, at, obj{n.null: nil}).is(http.StatusOK).has(obj{n.null: nil})
	s.dev.put(t, at, obj{"id": "other", "created_at": "2000-01-01T00:00:00Z", "deactivated_at": "2000-01-01T00:00:00Z", "unknown": 1}).is(http.StatusOK).
		has(obj{"id": was.id(), "created_at": was.str("created_at"), "deactivated_at": nil})
	s.dev.put(t, at, obj{}).is(http.StatusOK).has(obj{"name": name})
	s.dev.put(t, n.path+"/"+name, n.patch).is(http.StatusOK).has(obj{"id": was.id()})
}

func nounMatch(t *testing.T, s *session, n noun) {
	row := n.add(t, s, unique("match"))
	at := n.path + "/" + row.id()
	s.dev.put(t, at, n.patch, "If-Match", `"no"`).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	now := s.dev.put(t, at, n.patch, "If-Match", row.etag()).is(http.StatusOK)
	s.dev.put(t, at, n.patch, "If-Match", row.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed, now.etag())
	s.dev.put(t, at, n.patch, "If-Match", "*").is(http.StatusOK)
	now = s.dev.put(t, at, n.patch, "If-Match", `"x", W/`+s.dev.get(t, at).etag()).is(http.StatusOK)
	s.admin.delete(t, at, "If-Match", row.etag()).refused(http.StatusPreconditionFailed, problem.PreconditionFailed)
	s.admin.delete(t, at, "If-Match", now.etag()).is(http.StatusNoContent)
}

func nounDelete(t *testing.T, s *session, n noun) {
	name := unique("delete")
	row := n.add(t, s, name).id()
	at := n.path + "/" + row
	s.dev.delete(t, at).refused(http.StatusForbidden, problem.Forbidden, "Admin permission required")
	if r := s.admin.delete(t, at).is(http.StatusNoContent); len(r.body) > 0 {
		t.Errorf("204 with a body: %s", r.body)
	}
	s.admin.get(t, at).refused(http.StatusNotFound, problem.NotFound, n.notFound(row))
	s.admin.get(t, n.path+"/"+name).refused(http.StatusNotFound, problem.NotFound)
	s.admin.put(t, at, n.patch).refused(http.StatusNotFound, problem.NotFound)
	s.admin.delete(t, at).refused(http.StatusNotFound, problem.NotFound)
	gone := s.reader.get(t, at+"?include_deactivated=true").is(http.StatusOK).has(obj{"id": row, "name": name})
	if gone.obj()["deactivated_at"] == nil {
		t.Errorf("a deleted one says %s", gone.body)
	}
	for path, want := range map[string]int{n.path: 0, n.path + "?include_deactivated=true": 1, n.path + "?include_deactivated=false": 0} {
		eventually(t, func() string {
			if got := among(s.reader.walk(t, path), "id", []string{row}); len(got) != want {
				return fmt.Sprintf("%s lists the deleted one %d times, want %d", path, len(got), want)
			}
			return ""
		})
	}
	s.dev.post(t, at+"/restore", nil).refused(http.StatusForbidden, problem.Forbidden)
	s.admin.post(t, at+"/restore", nil).is(http.StatusOK).has(obj{"id": row, "name": name, "deactivated_at": nil})
	s.admin.post(t, at+"/restore", nil).is(http.StatusOK)
	s.reader.get(t, n.path+"/"+name).is(http.StatusOK).has(obj{"id": row})
	eventually(t, func() string {
		if got := among(s.reader.walk(t, n.path), "id", []string{row}); len(got) != 1 {
			return fmt.Sprintf("%s lists the restored one %d times", n.path, len(got))
		}
		return ""
	})
}

func nounRestoreConflict(t *testing.T, s *session, n noun) {
	name := unique("again")
	old := n.add(t, s, name).id()
	s.admin.delete(t, n.path+"/"+old).is(http.StatusNoContent)
	young := n.add(t, s, name).id()
	if young == old {
		t.Fatalf("the new one has the id of the deleted one, %s", old)
	}
	s.reader.get(t, n.path+"/"+name).is(http.StatusOK).has(obj{"id": young})
	s.admin.post(t, n.path+"/"+old+"/restore", nil).refused(http.StatusConflict, problem.Conflict, young)
	s.admin.delete(t, n.path+"/"+young).is(http.StatusNoContent)
	s.admin.post(t, n.path+"/"+old+"/restore", nil).is(http.StatusOK).has(obj{"id": old, "name": name})
}

func nounPages(t *testing.T, s *session, n noun) {
	var names []string
	prefix := unique("page")
	for i := range 5 {
		names = append(names, fmt.Sprintf("%s-%d", prefix, i))
	}
	for _, i := range []int{3, 0, 4, 1, 2} {
		n.add(t, s, names[i])
	}
	inOrder := names
	if n.path == "/projects" {
		inOrder = nil // any order will do
	}
	for how, read := range map[string]func() []obj{
		"by cursor":         func() []obj { return s.reader.walk(t, n.path+"?limit=3") },
		"by skip and limit": func() []obj { return s.reader.skim(t, n.path, 4) },
		"at once":           func() []obj { return s.reader.get(t, n.path+"?limit=1000").is(http.StatusOK).list() },
	} {
		eventually(t, func() string {
			got := among(read(), "name", names)
			if inOrder == nil {
				slices.Sort(got)
			}
			if !slices.Equal(got, names) {
				return fmt.Sprintf("%s %s lists %v, want %v", n.path, how, got, names)
			}
			return ""
		})
	}
	gone := n.add(t, s, unique("page")).id()
	s.admin.delete(t, n.path+"/"+gone).is(http.StatusNoContent)
	for how, read := range map[string]func() []obj{
		"by cursor":         func() []obj { return s.reader.walk(t, n.path+"?include_deactivated=true&limit=3") },
		"by skip and limit": func() []obj { return s.reader.skim(t, n.path+"?include_deactivated=true", 4) },
	} {
		eventually(t, func() string {
			if got := among(read(), "id", []string{gone}); len(got) != 1 {
				return fmt.Sprintf("%s with deleted ones lists %s %d times", how, gone, len(got))
			}
			return ""
		})
	}
	badPages(t, s, n.path)
}

// badPages sends what no list takes.
func badPages(t *testing.T, s *session, path string) {
	t.Helper()
	for query, field := range map[string]string{"limit=1001": "limit", "limit=0": "limit", "limit=-1": "limit", "limit=x": "limit", "skip=-1": "skip", "skip=x": "skip", "skip=1e9": "skip", "cursor=no-cursor-of-this-list": "cursor"} {
		s.admin.get(t, path+"?"+query).invalid(field)
	}
	s.admin.get(t, path+"?limit=1000").is(http.StatusOK)
}

func nounAudit(t *testing.T, s *session, n noun) {
	row := n.add(t, s, unique("audit")).id()
	at := n.path + "/" + row
	s.dev.put(t, at, n.patch, "X-Request-Id", "audit-of-"+row).is(http.StatusOK)
	s.admin.delete(t, at).is(http.StatusNoContent)
	s.admin.post(t, at+"/restore", nil).is(http.StatusOK)
	rows := s.admin.get(t, "/audit?resource="+n.kind+"&resource_id="+row).is(http.StatusOK).list()
	if got := fields(rows, "action"); !slices.Equal(got, []string{n.kind + ".restore", n.kind + ".delete", n.kind + ".update", n.kind + ".create"}) {
		t.Fatalf("actions %v, want restore, delete, update and create", got)
	}
	change := rows[2]
	if wrong := differs(obj{"actor": "testuser", "credential": "key:test-token", "resource": n.kind, "resource_id": row, "request_id": "audit-of-" + row}, change) + lacks(change, "id time before after"); wrong != "" {
		t.Errorf("the change is %v: %s", change, wrong)
	}
	for field, v := range n.patch {
		if before, after := change["before"].(obj), change["after"].(obj); after[field] != v || before[field] == v {
			t.Errorf("%s was %v before and %v after, want %v after", field, before[field], after[field], v)
		}
	}
	if rows[3]["before"] != nil || rows[3]["after"] == nil {
		t.Errorf("the creation is %v", rows[3])
	}
}
