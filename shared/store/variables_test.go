package store_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	embedded "bldst/localstack/table"
	"bldst/shared/build"
)

// set sets a variable and returns its address by key.
func (w *works) set(at, key, value, more string) string {
	w.t.Helper()
	w.call(fmt.Sprintf(`POST %s/variables write {"variable_key":%q,"variable_value":%q%s}`, at, key, value, more)).want(201)
	return at + "/variables/" + key
}

func TestAVariable(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		at := w.build("n1")
		made := w.call("POST "+at+`/variables write {"variable_key":"vm_id","variable_value":"vm-1"}`).want(201).
			has("variable_key", "vm_id", "variable_value", "vm-1", "variable_type", "string", "set_at_state", nil, "is_sensitive", false, "is_required_for_resume", false)
		again := w.call("POST "+at+`/variables write {"variable_key":"vm_id","variable_value":"vm-2","set_at_state":20}`).want(201).
			has("variable_value", "vm-2", "id", made.id(), "set_at_state", 20, "created_at", made.object()["created_at"])
		if made.header.Get("ETag") != `"1"` || again.header.Get("ETag") != `"2"` {
			t.Errorf("ETags %s, %s", made.header.Get("ETag"), again.header.Get("ETag"))
		}
		for _, ref := range []string{"vm_id", made.id()} {
			w.call("GET "+at+"/variables/"+ref+" read").want(200).has("variable_value", "vm-2")
		}
		w.call("PATCH "+at+`/variables/vm_id write {"variable_value":"vm-3","is_sensitive":null}`, "If-Match", `"2"`).want(200).has("variable_value", "vm-3")
		w.call("PATCH "+at+`/variables/vm_id write {"variable_value":"vm-4"}`, "If-Match", `"2"`).want(412)
		w.call("PATCH "+at+"/variables/"+made.id()+` write {"is_required_for_resume":true}`).want(200).has("variable_value", "vm-3", "is_required_for_resume", true)
		w.call("DELETE " + at + "/variables/vm_id read").want(403)
		w.call("DELETE "+at+"/variables/vm_id write", "If-Match", `"1"`).want(412)
		w.call("DELETE " + at + "/variables/" + made.id() + " write").want(204)
		for _, ref := range []string{"vm_id", made.id()} {
			w.call("GET " + at + "/variables/" + ref + " read").want(404).says("Variable '" + ref + "' not found for build " + strings.TrimPrefix(at, "/builds/"))
			w.call("DELETE " + at + "/variables/" + ref + " write").want(404)
			w.call("PATCH " + at + "/variables/" + ref + " write {}").want(404)
		}
		w.call("POST "+at+`/variables write {"variable_key":"vm_id","variable_value":"new"}`).want(201).has("is_required_for_resume", false)
		w.history(at)
	})
}

func TestSensitiveValuesAreMaskedEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.failed("n1")
	const secret = "s3cr3t-value"
	w.set(at, "plain", "clear", `,"is_required_for_resume":true`)
	made := w.call("POST "+at+`/variables write {"variable_key":"pw","variable_value":"`+secret+`","is_sensitive":true,"is_required_for_resume":true}`).want(201).has("variable_value", "******")
	w.call("PATCH "+at+`/variables/pw write {"variable_value":"`+secret+`!"}`).want(200).has("variable_value", "******")
	for _, path := range []string{"/variables", "/variables/pw", "/variables/" + made.id(), "/variables/dict", "/variables/dict?required_for_resume=true", "/resume-context", "/resume-plan", "/history?limit=1000"} {
		for _, who := range []string{"read", "write", "admin"} {
			if r := w.call("GET " + at + path + " " + who).want(200); strings.Contains(r.text, secret) {
				t.Errorf("%s as %s: %s", path, who, r.text)
			}
		}
	}
	w.call("POST " + at + `/resume write {"resume_from_state":35}`).want(201)
	if strings.Contains(w.call("GET "+at+"/history?limit=1000 read").text, secret) {
		t.Error("the history holds a secret")
	}
	w.call("GET "+at+"/variables/dict read").want(200).has("plain", "clear", "pw", "******")
}

func TestRevealing(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		at := w.failed("n1")
		w.set(at, "plain", "clear", "")
		w.set(at, "pw", "secret", `,"is_sensitive":true`)
		w.set(at, "token", "hidden", `,"is_sensitive":true,"is_required_for_resume":true`)
		before := len(w.history(at))
		for _, path := range []string{"/variables", "/variables/pw", "/variables/plain", "/variables/dict", "/resume-context"} {
			w.call("GET " + at + path + "?reveal=true read").want(403).says("Write permission required")
		}
		if got := len(w.history(at)); got != before {
			t.Errorf("a refused reveal is in the history: %d rows, then %d", before, got)
		}
		revealed := func(request string, keys ...string) reply {
			t.Helper()
			rows := w.history(at)
			r := w.call(request).want(200)
			after := w.history(at)
			if keys == nil {
				if len(after) != len(rows) {
					t.Errorf("%s: nothing was revealed, yet the history says %s", request, after[len(after)-1].Kind)
				}
				return r
			}
			last := after[len(after)-1]
			var said build.Revealed
			if err := json.Unmarshal(last.Data, &said); err != nil || last.Kind != build.VariableRevealed || last.Actor != "write-user" || !slices.Equal(said.Keys, keys) || len(after) != len(rows)+1 {
				t.Errorf("%s: the history says %s %s by %s, %v", request, last.Kind, last.Data, last.Actor, err)
			}
			return r
		}
		revealed("GET "+at+"/variables/pw?reveal=true write", "pw").has("variable_value", "secret")
		revealed("GET "+at+"/variables/plain?reveal=true write").has("variable_value", "clear")
		revealed("GET "+at+"/variables?reveal=true write", "pw", "token").says("secret", "hidden", "clear")
		revealed("GET "+at+"/variables?reveal=true&required_for_resume=true write", "token").says("hidden")
		revealed("GET " + at + "/variables?reveal=true&limit=1 write").says("clear")
		revealed("GET "+at+"/variables/dict?reveal=true write", "pw", "token").has("pw", "secret", "token", "hidden", "plain", "clear")
		revealed("GET "+at+"/resume-context?reveal=true write", "pw", "token").says(`"pw":"secret"`)
		revealed("GET " + at + "/resume-context write").says(`"pw":"******"`)
	})
}

func TestARevealThatCannotBeRecordedShowsNothing(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	w.set(at, "pw", "secret", `,"is_sensitive":true`)
	w.call("GET " + at + " read").want(200)
	closed := func() { _ = w.feed.Close() }
	w.table.before.Store(&closed)
	if r := w.call("GET " + at + "/variables/pw?reveal=true write"); r.status != http.StatusServiceUnavailable || strings.Contains(r.text, "secret") {
		t.Errorf("%d %s", r.status, r.text)
	}
}

func TestVariablesAreListedByKey(t *testing.T) {
	everywhere(t, func(t *testing.T, w *works) {
		at := w.build("n1")
		w.set(at, "c", "3", "")
		w.set(at, "dictum", "the word", "")
		w.call("POST "+at+`/variables write {"variable_key":"dict","variable_value":"v"}`).bad("body variable_key", "value_error")
		w.set(at, "a", "1", `,"is_required_for_resume":true`)
		w.set(at, "B", "2", "")
		for query, want := range map[string][]any{
			"": {"B", "a", "c", "dictum"}, "?limit=1": {"B", "a", "c", "dictum"}, "?skip=2&limit=1": {"c", "dictum"}, "?required_for_resume=true": {"a"}, "?required_for_resume=false": {"B", "c", "dictum"},
		} {
			w.fields(at+"/variables"+query, "variable_key", want...)
		}
		w.call("GET "+at+"/variables?required_for_resume=x read").bad("query required_for_resume", "type_error")
		w.call("GET "+at+"/variables/dict?required_for_resume=x read").bad("query required_for_resume", "type_error")
		w.call("GET "+at+"/variables/dict read").want(200).has("a", "1", "dictum", "the word")
		w.call("PATCH "+at+`/variables/dictum write {"variable_value":"still the word"}`).want(200).has("variable_value", "still the word")
		w.call("DELETE " + at + "/variables/dictum write").want(204)
	})
}

func TestManyVariablesAreAllInTheDictionary(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	for i := range 130 {
		w.set(at, fmt.Sprintf("k%03d", i), "v", "")
	}
	if got := len(w.call("GET " + at + "/variables/dict read").want(200).object()); got != 130 {
		t.Errorf("%d of 130", got)
	}
	if got := len(w.call("GET " + at + "/resume-context read").want(200).object()["variables"].(map[string]any)); got != 130 {
		t.Errorf("%d of 130", got)
	}
}

func TestVariablesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorks(t, embedded.Options{})
	at := w.build("n1")
	for _, r := range []string{`POST /builds/nobody/variables write {"variable_key":"k","variable_value":"v"}`, "GET /builds/nobody/variables read", "GET /builds/nobody/variables/k read",
		"GET /builds/nobody/variables/dict read", "GET /builds/nobody/variables/k?reveal=true write", "DELETE /builds/nobody/variables/k write", "PATCH /builds/nobody/variables/k write {}"} {
		w.call(r).want(404).says("Build nobody not found")
	}
	for body, want := range map[string]string{
		`{}`:                   "body variable_key missing",
		`{"variable_key":"k"}`: "body variable_value missing",
		`{"variable_key":"k","variable_value":null}`:                               "body variable_value type_error",
		`{"variable_key":"k","variable_value":7}`:                                  "body variable_value type_error",
		`{"variable_key":"","variable_value":"v"}`:                                 "body variable_key value_error",
		`{"variable_key":"` + strings.Repeat("k", 201) + `","variable_value":"v"}`: "body variable_key value_error",
		`{"variable_key":"a\u0000b","variable_value":"v"}`:                         "body variable_key value_error",
		`{"variable_key":"k","variable_value":"{","variable_type":"json"}`:         "body variable_value json_invalid",
		`{"variable_key":"k","variable_value":"v","set_at_state":101}`:             "body set_at_state out_of_range",
	} {
		i := strings.LastIndex(want, " ")
		w.call("POST "+at+"/variables write "+body).bad(want[:i], want[i+1:])
	}
	big := strings.Repeat("x", build.MaxValue)
	w.call("POST " + at + `/variables write {"variable_key":"big","variable_value":"` + big + `x"}`).want(413).says("too_large")
	w.set(at, "big", big, "")
	w.call("PATCH " + at + `/variables/big write {"variable_value":"` + big + `x"}`).want(413)
	w.call("PATCH "+at+`/variables/big write {"variable_type":"json"}`).bad("body variable_value", "json_invalid")
	w.fields(at+"/variables", "variable_key", "big")
	odd := `a/b c%?#"ü` // any text is a key
	w.call("POST " + at + `/variables write {"variable_key":"a/b c%?#\"ü","variable_value":"v"}`).want(201)
	w.call("GET "+at+"/variables/a%2Fb%20c%25%3F%23%22%C3%BC read").want(200).has("variable_key", odd)
}
