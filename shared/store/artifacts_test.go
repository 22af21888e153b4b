package store_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	embedded "bldst/localstack/table"
	"bldst/shared/build"
	"bldst/shared/problem"
)

const artifactBody = `{"state_code":40,"artifact_name":"vm","artifact_type":"vm_snapshot","artifact_path":"s3://b/vm","storage_backend":"s3","size_bytes":5368709120,"metadata":{"snapshot_id":"snap-1"}}`

func TestAnArtifact(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		at := w.build("n1")
		made := w.call("POST "+at+"/artifacts write "+artifactBody).want(201).
			has("state_code", 40, "artifact_name", "vm", "size_bytes", 5368709120, "checksum_algorithm", "sha256", "checksum", nil, "is_resumable", true, "is_final", false,
				"expires_at", nil, "deleted_at", nil, "revoked_at", nil, "storage_region", nil, "metadata", map[string]any{"snapshot_id": "snap-1"}, "attempt", 1)
		if made.header.Get("ETag") != `"1"` {
			t.Errorf("ETag %s", made.header.Get("ETag"))
		}
		one := at + "/artifacts/" + made.id()
		w.call("GET "+one+" read").want(200).has("id", made.id(), "metadata", map[string]any{"snapshot_id": "snap-1"})
		w.call("GET "+at+"/artifacts/vm read").want(200).has("id", made.id())
		w.call("GET /builds/n1/artifacts/vm read").want(200).has("id", made.id())
		w.call("POST "+at+"/artifacts write "+artifactBody).want(201).has("id", made.id())
		w.call("POST "+at+"/artifacts write "+strings.Replace(artifactBody, "s3://b/vm", "s3://b/other", 1)).want(409).says("Artifact with name 'vm' already exists for this build", made.id())

		w.call("PATCH "+one+` write {"is_final":true,"artifact_type":null,"metadata":{"a":1},"expires_at":"2030-01-01T00:00:00Z"}`, "If-Match", `"1"`).want(200).
			has("is_final", true, "artifact_type", "vm_snapshot", "metadata", map[string]any{"a": 1.0}, "expires_at", "2030-01-01T00:00:00Z")
		w.call("PATCH "+one+` write {"is_final":false}`, "If-Match", `"1"`).want(412)
		w.call("PATCH "+one+` write {"metadata":null,"expires_at":null,"is_final":null}`).want(200).has("metadata", nil, "expires_at", nil, "is_final", true)
		w.call("PATCH "+at+`/artifacts/vm write {"artifact_name":"disk"}`).want(200).has("artifact_name", "disk", "id", made.id())
		w.call("GET " + at + "/artifacts/vm read").want(404).says("Artifact vm not found for build")
		w.call("GET " + at + "/artifacts/disk read").want(200)
		second := w.artifact(at, "vm", 40, "")
		w.call("PATCH "+second+` write {"artifact_name":"disk"}`).want(409).says("'disk' already exists", made.id())
		w.call("PATCH " + second + ` write {"artifact_name":"vm"}`).want(200)
		w.history(at)
	})
}

func TestADeletedArtifactCanBeRestored(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		at := w.build("n1")
		one := w.artifact(at, "vm", 40, "")
		w.call("DELETE " + one + " write").want(403)
		w.call("DELETE "+one+" admin", "If-Match", `"7"`).want(412)
		w.call("DELETE " + one + " admin").want(204)
		for _, r := range []string{"GET " + one + " read", "DELETE " + one + " admin", "PATCH " + one + ` write {"is_final":true}`, "POST " + one + `/revoke write {"reason":"r"}`, "GET " + at + "/artifacts/vm read"} {
			w.call(r).want(404).says("not found for build")
		}
		w.call("GET " + one + "?include_deactivated=true read").want(200).says(`"deleted_at":"2026`)
		w.fields(at+"/artifacts", "artifact_name")
		w.fields(at+"/artifacts?include_deactivated=true", "artifact_name", "vm")

		other := w.artifact(at, "vm", 40, "")
		w.call("POST " + one + "/restore admin").want(409).says("'vm' already exists")
		w.call("PATCH " + other + ` write {"artifact_name":"new"}`).want(200)
		w.call("POST " + one + "/restore write").want(403)
		w.call("POST "+one+"/restore admin").want(200).has("deleted_at", nil, "artifact_name", "vm")
		w.call("POST "+one+"/restore admin").want(200).has("deleted_at", nil)
		w.call("GET "+at+"/artifacts/vm read").want(200).has("id", strings.TrimPrefix(one, at+"/artifacts/"))
		w.history(at)
	})
}

func TestARevokedArtifact(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	one := w.artifact(at, "vm", 40, "")
	w.call("POST " + one + `/revoke read {"reason":"r"}`).want(403)
	w.call("POST "+one+"/revoke write {}").bad("body reason", "missing")
	w.call("POST "+one+`/revoke write {"reason":"leaked key"}`).want(200).has("revoke_reason", "leaked key", "revoked_by", "write-user").says(`"revoked_at":"2026`)
	w.call("POST "+at+`/artifacts/vm/revoke write {"reason":"another"}`).want(200).has("revoke_reason", "leaked key")
	w.call("PATCH "+one+` write {"is_resumable":true}`).want(200).has("revoke_reason", "leaked key")
	w.call("GET " + at + "/resume-context read").want(200).says(`"artifacts":[]`)
}

func TestArtifactsAreListedByStateAndAge(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		at := w.build("n1")
		w.artifact(at, "c", 40, "")
		w.artifact(at, "d", 100, `,"is_final":true,"is_resumable":false`)
		w.artifact(at, "a", 5, "")
		w.call(`POST ` + at + `/artifacts write {"state_code":5,"artifact_name":"b","artifact_type":"log","artifact_path":"p","storage_backend":"s3","is_resumable":false}`).want(201)
		for query, want := range map[string][]any{
			"": {"a", "b", "c", "d"}, "?limit=1": {"a", "b", "c", "d"}, "?limit=3": {"a", "b", "c", "d"}, "?skip=1&limit=2": {"b", "c", "d"}, "?skip=9": {},
			"?state_code=5": {"a", "b"}, "?state=40": {"c"}, "?state_code=0": {}, "?artifact_type=log": {"b"}, "?is_resumable=true": {"a", "c"}, "?resumable=True": {"a", "c"},
			"?resumable=0": {"b", "d"}, "?is_final=yes": {"d"}, "?is_final=false&is_resumable=false": {"b"},
		} {
			w.fields(at+"/artifacts"+query, "artifact_name", want...)
		}
		w.call("GET "+at+"/artifacts?is_final=maybe read").bad("query is_final", "type_error")
		w.call("GET "+at+"/artifacts?cursor=x read").bad("query cursor", "value_error")
		w.call("GET " + at + "/artifacts?state_code=101 read").want(422)
		w.call("GET " + at + "/artifacts?limit=0 read").want(422)
	})
}

func TestAPageOfArtifactsIsNotMovedByOthers(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	var ones []string
	for i := range 6 {
		ones = append(ones, w.artifact(at, fmt.Sprint("a", i), 10*i+10, ""))
	}
	link := w.call("GET " + at + "/artifacts?limit=3 read").header.Get("Link")
	query, _, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	w.call("DELETE " + ones[0] + " admin").want(204)
	w.call("DELETE " + ones[2] + " admin").want(204) // the last one of the page
	w.artifact(at, "new", 5, "")
	w.fields(at+"/artifacts"+query, "artifact_name", "a3", "a4", "a5")
}

func TestArtifactsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	w.call("POST /builds/nobody/artifacts write " + artifactBody).want(404).says("Build nobody not found")
	w.call("GET /builds/nobody/artifacts read").want(404).says("Build nobody not found")
	w.call("GET /builds/nobody/artifacts/a read").want(404).says("Build nobody not found")
	w.call("PATCH /builds/nobody/artifacts/a write {}").want(404).says("Build nobody not found")
	w.call("GET " + at + "/artifacts/nothing read").want(404).says("Artifact nothing not found for build " + strings.TrimPrefix(at, "/builds/"))
	w.call("GET " + at + "/artifacts/" + strings.Repeat("x", 199) + " read").want(404)
	w.call("GET " + at + "/artifacts/a%00b read").want(404)
	w.call("POST " + at + "/artifacts read " + artifactBody).want(403)
	for body, want := range map[string]string{
		`{}`: "body artifact_name missing",
		`{"artifact_name":"a","artifact_type":"t","artifact_path":"p","storage_backend":"s"}`:                                               "body state_code missing",
		`{"artifact_name":"a","artifact_type":"t","artifact_path":"p","storage_backend":"s","state_code":null}`:                             "body state_code missing",
		`{"artifact_name":"","artifact_type":"t","artifact_path":"p","storage_backend":"s","state_code":1}`:                                 "body artifact_name value_error",
		`{"artifact_name":"a","artifact_type":"t","artifact_path":"p","storage_backend":"s","state_code":101}`:                              "body state_code out_of_range",
		`{"artifact_name":"a","artifact_type":"t","artifact_path":"p","storage_backend":"s","state_code":1,"checksum":"abc"}`:               "body checksum value_error",
		`{"artifact_name":"a","artifact_type":"t","artifact_path":"p","storage_backend":"s","state_code":1,"size_bytes":-1}`:                "body size_bytes value_error",
		`{"artifact_name":"a","artifact_type":"t","artifact_path":"p","storage_backend":"s","state_code":1,"size_bytes":"big"}`:             "body size_bytes type_error",
		`{"artifact_name":"a","artifact_type":"t","artifact_path":"p","storage_backend":"s","state_code":1,"expires_at":"soon"}`:            "body expires_at value_error",
		`{"artifact_name":"a","artifact_type":"t","artifact_path":"p","storage_backend":"s","state_code":1,"metadata":"text"}`:              "body metadata type_error",
		`{"artifact_name":"` + strings.Repeat("a", 201) + `","artifact_type":"t","artifact_path":"p","storage_backend":"s","state_code":1}`: "body artifact_name value_error",
		`{"artifact_name":"a\u0007","artifact_type":"t","artifact_path":"p","storage_backend":"s","state_code":1}`:                          "body artifact_name value_error",
	} {
		i := strings.LastIndex(want, " ")
		w.call("POST "+at+"/artifacts write "+body).bad(want[:i], want[i+1:])
	}
	one := w.artifact(at, "a", 1, "")
	w.call("PATCH " + one + ` write {"artifact_name":""}`).want(422)
	w.call("PATCH " + one + ` write {"is_final":"perhaps"}`).want(422)
	w.call("PATCH "+one+` write {"expires_at":"soon"}`).bad("body expires_at", "value_error")
	w.call("PATCH " + one + ` write [1]`).want(422)
	w.fields(at+"/artifacts", "artifact_name", "a")
}

func TestArtifactsAreEvidenceWhateverBecameOfTheBuild(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	done, stopped := w.build("n1"), w.build("n2")
	w.reports(done, "100 completed")
	w.reports(stopped, "10")
	w.call("POST " + stopped + "/cancel write").want(200)
	w.artifact(done, "final", 100, `,"is_final":true`)
	w.artifact(stopped, "half", 10, "")
	w.call("GET "+done+" read").has("status", "completed")
	w.call("GET "+stopped+" read").has("status", "cancelled")
}

func TestAnArtifactHasOneOwnerOfItsName(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	var made, taken atomic.Int64
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			switch r := w.call("POST " + at + "/artifacts write " + strings.Replace(artifactBody, "s3://b/vm", fmt.Sprint("s3://b/", i), 1)); r.status {
			case http.StatusCreated:
				made.Add(1)
			case http.StatusConflict:
				taken.Add(1)
			default:
				t.Errorf("%d %s", r.status, r.text)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 || taken.Load() != 11 {
		t.Errorf("%d were made, %d refused", made.Load(), taken.Load())
	}
	w.fields(at+"/artifacts", "artifact_name", "vm")
	if got := len(w.history(at)); got != 2 {
		t.Errorf("%d rows of history", got)
	}
}

func TestRegisteringWithAKeyIsDoneOnce(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	first := w.call("POST "+at+"/artifacts write "+artifactBody, "Idempotency-Key", "k").want(201)
	again := w.call("POST "+at+"/artifacts write "+artifactBody, "Idempotency-Key", "k").want(201)
	if again.text != first.text || again.header.Get("Idempotent-Replayed") != "true" || again.header.Get("ETag") != first.header.Get("ETag") {
		t.Errorf("%s and then %s", first.text, again.text)
	}
	w.fields(at+"/artifacts", "artifact_name", "vm")
}

func TestWhatArtifactsCost(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	w.stop()
	w.reports(at, "10") // the rules of the project are known from here on
	id := ""
	for name, c := range map[string]struct{ request, want string }{
		"registering": {"POST " + at + "/artifacts write " + artifactBody, "1 reads, 0 queries, 1 writes"},
	} {
		if got := w.table.Cost(func() { id = w.call(c.request).want(201).id() }).String(); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, c := range map[string]struct{ request, want string }{
		"getting":     {"GET " + at + "/artifacts/" + id + " read", "1 reads, 0 queries, 0 writes"},
		"by name":     {"GET " + at + "/artifacts/vm read", "2 reads, 0 queries, 0 writes"},
		"listing":     {"GET " + at + "/artifacts read", "1 reads, 1 queries, 0 writes"},
		"changing":    {"PATCH " + at + "/artifacts/" + id + ` write {"is_final":true}`, "1 reads, 0 queries, 1 writes"},
		"a report":    {"POST " + at + `/state write {"state_code":10}`, "1 reads, 0 queries, 1 writes"},
		"a heartbeat": {"POST " + at + `/heartbeat write {"worker":"w"}`, "1 reads, 0 queries, 1 writes"},
	} {
		if got := w.table.Cost(func() { w.call(c.request).want(200) }).String(); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestACredentialBoundToOtherProjectsSeesNothingOfABuild(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.failed("n1")
	one := strings.TrimPrefix(w.artifact(at, "vm", 30, ""), at+"/artifacts/")
	rid := w.call("POST " + at + `/resume write {"resume_from_state":35}`).want(201).id()
	ctx, id := bound(t.Context(), "another"), strings.TrimPrefix(at, "/builds/")
	for name, err := range map[string]error{
		"artifact":  second(w.store.Artifact(ctx, id, one, false)),
		"artifacts": third(w.store.Artifacts(ctx, id, build.ArtifactQuery{})),
		"variable":  second(w.store.Variable(ctx, id, "k", false)),
		"variables": third(w.store.Variables(ctx, id, build.VariableQuery{})),
		"materials": second(w.store.Materials(ctx, id, false)),
		"request":   second(w.store.Request(ctx, "", rid)),
		"requests":  third(w.store.Requests(ctx, id, build.PageQuery{})),
		"jobs":      third(w.store.Jobs(ctx, id, build.PageQuery{})),
		"beat":      second(w.store.Beat(ctx, id, nil)),
		"history":   fourth(w.store.History(ctx, id, build.HistoryQuery{Limit: 1})),
		"delete":    w.store.DeleteVariable(ctx, id, "k", nil),
	} {
		if !problem.Is(err, problem.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[A any](_ A, err error) error                 { return err }
func third[A, B any](_ A, _ B, err error) error          { return err }
func fourth[A, B, C any](_ A, _ B, _ C, err error) error { return err }
