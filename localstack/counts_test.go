package localstack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	embedded "bldst/localstack/table"
	"bldst/shared/build"
	"bldst/shared/store"
	"bldst/shared/table"
	"bldst/shared/table/tabletest"
	"bldst/shared/wire"
)

func TestEveryCallCostsWhatItMay(t *testing.T) {
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "t.db"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	c := &tabletest.Counting{Table: engine}
	st := store.New(engine)
	for _, seed := range []func(context.Context) error{st.SeedIdentity, func(ctx context.Context) error { return st.SeedReference(ctx, true) }} {
		if err := seed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p := wire.Ports{Table: c, Signer: testSigner, Log: slog.New(slog.DiscardHandler), Development: true}
	builds, platforms, dashboard := wire.Builds(p), wire.Platforms(p), wire.Dashboard(p)
	call := func(h http.Handler, method, path, body string) map[string]any {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("X-API-Key", "dev-key-12345")
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		var doc map[string]any
		_ = json.Unmarshal(w.Body.Bytes(), &doc)
		return doc
	}
	expect := func(what string, want tabletest.Cost, f func()) {
		t.Helper()
		if got := c.Cost(f); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	get := func() { call(platforms, "GET", "/platforms/aws-commercial", "") }
	get() // a key's very first use is remembered, once an hour
	fresh := wire.Platforms(p)
	expect("sign in with an API key and GET by id", tabletest.Cost{Reads: 2}, func() { call(fresh, "GET", "/platforms/aws-commercial", "") })
	expect("GET by id, the key remembered", tabletest.Cost{Reads: 1}, get)
	id := fmt.Sprint(call(builds, "POST", "/builds", `{"platform":"aws-commercial"}`)["id"])
	report := func(code int) func() {
		return func() { call(builds, "POST", "/builds/"+id+"/state", fmt.Sprintf(`{"state_code":%d}`, code)) }
	}
	expect("the first report: the rules of the project too, remembered for ten seconds", tabletest.Cost{Reads: 2, Writes: 1}, report(5))
	expect("POST state", tabletest.Cost{Reads: 1, Writes: 1}, report(10))
	call(builds, "GET", "/builds/"+id, "") // how long its states take is remembered for a minute
	expect("GET build", tabletest.Cost{Reads: 1}, func() { call(builds, "GET", "/builds/"+id+"", "") })
	expect("POST build with references", tabletest.Cost{Reads: 1, Writes: 1}, func() {
		call(builds, "POST", "/builds", `{"platform":"aws-commercial","os_version":"rhel-9.3","image_type":"base"}`)
	})
	fill := func(n int) {
		for range n {
			if _, err := st.CreateBuild(t.Context(), must(build.CreateIn{PlatformID: "aws-commercial"}.Normalise())); err != nil {
				t.Fatal(err)
			}
		}
		feed(t, st, engine)
	}
	fill(10)
	call(dashboard, "GET", "/dashboard/summary", "") // the key is remembered
	small := c.Cost(func() { call(dashboard, "GET", "/dashboard/summary", "") })
	fill(490)
	expect("list of 100 builds that are worked on: who holds them and what drives them, too", tabletest.Cost{Queries: 1, Reads: 2}, func() { call(builds, "GET", "/builds?limit=100", "") })
	expect("the dashboard with 500 builds as with 10", small, func() { call(dashboard, "GET", "/dashboard/summary", "") })
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// feed counts every build, as relay does.
func feed(t *testing.T, st *store.Store, engine *embedded.Table) {
	t.Helper()
	for q := (table.Query{Index: 1, PK: "build", Limit: table.MaxLimit}); ; {
		p, err := engine.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var cs []table.Change
		for i := range p.Items {
			cs = append(cs, table.Change{Key: p.Items[i].Key, New: &p.Items[i]})
		}
		if err := st.Count(t.Context(), cs); err != nil {
			t.Fatal(err)
		}
		if q.Cursor = p.Next; p.Next == "" {
			return
		}
	}
}
