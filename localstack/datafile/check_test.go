package datafile_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"bldst/localstack/datafile"
)

// filled returns the content of a file with buckets, long values and free
// pages, closed or killed.
func filled(t *testing.T, closing func(*bolt.DB) error) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.db")
	db, err := datafile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		if err := db.Update(func(tx *bolt.Tx) error { return fillRound(tx, round) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := closing(db); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b[:used(b)] // a file grows by more than it needs
}

// used returns how many bytes of a file of bbolt are in use, as its two
// descriptions say.
func used(b []byte) int {
	page := os.Getpagesize()
	pages := max(binary.NativeEndian.Uint64(b[16+40:]), binary.NativeEndian.Uint64(b[page+16+40:]))
	return int(pages) * page
}

func fillRound(tx *bolt.Tx, round int) error {
	big, err := tx.CreateBucketIfNotExists([]byte("big"))
	for i := 0; i < 300 && err == nil; i++ {
		err = big.Put(fmt.Appendf(nil, "%d-%d", i, round%2), make([]byte, i*17%9000))
	}
	if err != nil {
		return err
	}
	small, err := tx.CreateBucketIfNotExists([]byte("small"))
	if err != nil {
		return err
	}
	inner, err := small.CreateBucketIfNotExists([]byte("inner"))
	if err != nil {
		return err
	}
	return errors.Join(inner.Put([]byte("a"), []byte("b")), small.Put([]byte("z"), nil))
}

// grown is at least the size to which a file grows ahead of its need.
const grown = 32 << 20

// use opens a file with that content, grown as files are, reads all of it and
// writes to it.
func use(t *testing.T, content []byte) error {
	t.Helper()
	return useSized(t, content, grown)
}

// useSized is use of a file of at least size bytes.
func useSized(t *testing.T, content []byte, size int64) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if int64(len(content)) < size {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	db, err := datafile.Open(path)
	if err != nil {
		return err
	}
	defer db.Close()
	db.NoSync = true
	_ = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error { return nil })
		})
	})
	return db.Update(func(tx *bolt.Tx) error { return fillRound(tx, 5) })
}

var endings = map[string]func(*bolt.DB) error{"closed": datafile.Close, "killed": (*bolt.DB).Close}

func TestAWholeFileIsOpened(t *testing.T) {
	t.Parallel()
	for name, closing := range endings {
		if err := use(t, filled(t, closing)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFileThatWasCutOffIsRefused(t *testing.T) {
	t.Parallel()
	for name, closing := range endings {
		whole := filled(t, closing)
		size := len(whole)
		for _, cut := range []int{1, 100, 4096, 5000, 8192, 65536, size / 2, size - 4096, size - 1} {
			err := useSized(t, whole[:cut], 0)
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, cut off at %d of %d: error %v, want one line", name, cut, size, err)
			}
			if cut > 8192 && !errors.Is(err, datafile.ErrDamaged) {
				t.Errorf("%s, cut off at %d: %v, want ErrDamaged", name, cut, err)
			}
		}
	}
}

// What is in use may end long before the file does.
func TestAFileThatWasCutOffBehindWhatIsInUseIsRefused(t *testing.T) {
	t.Parallel()
	whole := filled(t, datafile.Close)
	for _, size := range []int{len(whole), len(whole) + 1<<16} {
		if err := useSized(t, whole, int64(size)); !errors.Is(err, datafile.ErrDamaged) {
			t.Errorf("cut off at %d, %d in use: %v, want ErrDamaged", size, len(whole), err)
		}
	}
	if err := useSized(t, filled(t, (*bolt.DB).Close), 0); err != nil { // it has no signature
		t.Errorf("not closed, all that is in use is there: %v", err)
	}
}

// Whatever is in the file, the process goes on: Open refuses it, or what it
// holds can be read and written.
func TestADamagedFileDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for name, closing := range endings {
		whole := filled(t, closing)
		refused := 0
		for range 30 {
			if err := use(t, damage(r, whole)); err != nil {
				refused++
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: several lines: %v", name, err)
				}
			}
		}
		if refused < 2 {
			t.Errorf("%s: only %d of 30 damaged files were refused", name, refused)
		}
	}
}

// damage returns b with one thing wrong: bytes of the header or the elements of
// a page, a page lost, or one in the place of another.
func damage(r *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	size := os.Getpagesize()
	page := func() []byte { at := r.IntN(len(b)/size) * size; return b[at : at+size] }
	switch r.IntN(4) {
	case 0:
		p := page()
		p[r.IntN(200)] ^= byte(1 + r.IntN(255))
	case 1:
		clear(page())
	case 2:
		copy(page(), page())
	case 3:
		p := page()
		for i := range p[16:200] {
			p[16+i] = byte(r.Uint32())
		}
	}
	return b
}
