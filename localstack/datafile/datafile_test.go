package datafile_test

import (
	"fmt"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"bldst/localstack/datafile"
)

// Freed pages are used again whether the file was closed or not.
func TestFreePagesAreUsedAgain(t *testing.T) {
	t.Parallel()
	for name, closing := range map[string]func(*bolt.DB) error{
		"closed": datafile.Close,
		"killed": (*bolt.DB).Close, // writes nothing
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "folder", "data.db")
			var first, last int64
			for round := range 10 {
				last = churn(t, path, closing)
				if round == 0 {
					first = last
				}
			}
			if last > 2*first {
				t.Errorf("the file grew from %d to %d bytes, though all was deleted each time", first, last)
			}
		})
	}
}

// churn opens the file, fills it, deletes everything, closes it, and returns
// its size.
func churn(t *testing.T, path string, closing func(*bolt.DB) error) int64 {
	t.Helper()
	db, err := datafile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		for i := 0; i < 2000 && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "%d", i), make([]byte, 500))
		}
		return err
	}
	if err := db.Update(fill); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("b")) }); err != nil {
		t.Fatal(err)
	}
	var size int64
	_ = db.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil })
	if err := closing(db); err != nil {
		t.Fatal(err)
	}
	return size
}
