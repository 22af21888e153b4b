package table_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/table"
	"bldst/shared/table/tabletest"
)

// lagging makes index updates late and overtake each other.
func lagging() time.Duration { return time.Duration(rand.IntN(3000)) * time.Microsecond }

func open(t testing.TB, path string, o embedded.Options) *embedded.Table {
	t.Helper()
	tbl, err := embedded.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tbl.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return tbl
}

func opener(o embedded.Options) func(t *testing.T) tabletest.Harness {
	return func(t *testing.T) tabletest.Harness {
		path := filepath.Join(t.TempDir(), "data", "table.db")
		tbl := open(t, path, o)
		reopen := func(t *testing.T) table.Table {
			if err := tbl.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, path, o)
		}
		return tabletest.Harness{Table: tbl, Feed: tbl, Reopen: reopen}
	}
}

var modes = map[string]embedded.Options{
	"indexes at once": {Feed: true},
	"indexes late":    {Feed: true, IndexLag: lagging},
}

func TestConformance(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) { tabletest.Run(t, opener(o)) })
	}
}

func TestModel(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tabletest.Model(t, opener(o))
		})
	}
}
