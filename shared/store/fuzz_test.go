package store_test

import (
	"path/filepath"
	"testing"

	embedded "bldst/localstack/table"
	"bldst/shared/problem"
	"bldst/shared/store"
	"bldst/shared/table"
)

// FuzzKeys hands the store changes of rows with any key and document, as a feed
// may, and references of any form, as callers do: nothing panics, and what is
// not there is not found.
func FuzzKeys(f *testing.F) {
	t, err := embedded.Open(filepath.Join(f.TempDir(), "table.db"), embedded.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = t.Close() })
	s := store.New(t)
	f.Add("build#b1", "a", `{"id":"b1","marks":"5 i 1 2 3 4"}`, "b1")
	f.Add("build#=n1", "a", `{"ids":["b1"]}`, "=n1")
	f.Add("build#b1", "lease", `{}`, "\x00")
	f.Add("build#b1", "request#r1", `{"from":5}`, "0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3d")
	f.Add("platform#aws", "a", `{"name":"aws"}`, "a#b")
	f.Fuzz(func(t *testing.T, pk, sk, doc, ref string) {
		c := table.Change{Seq: "1", Key: table.Key{PK: pk, SK: sk}, New: &table.Item{Key: table.Key{PK: pk, SK: sk}, Rev: 1, Doc: []byte(doc)}}
		c.Old = c.New
		about, ok, err := s.Changed(c)
		if ok && err == nil && about.New == nil && about.Lease == nil {
			t.Errorf("%q is about a build and says nothing of it", pk)
		}
		_ = s.Count(t.Context(), []table.Change{c}) // an error is an answer
		if b, err := s.Build(t.Context(), ref, true); !problem.Is(err, problem.NotFound) {
			t.Errorf("build %q: %v, %v", ref, b, err)
		}
	})
}
