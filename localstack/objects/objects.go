// Package objects is the bucket of one machine: files in a folder, and the
// requests that read and write them, signed with a key of the folder and good
// for an hour, as those of S3 are.
//
//	uploads/HANDLE/meta    when it began, and how large its parts are
//	uploads/HANDLE/data    the parts, each at its place
//	uploads/HANDLE/parts   which parts are there: a line of JSON each; the last one about a part counts
//	files/KEY              the objects
package objects

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
)

// A Store keeps objects in a folder. It is made by Open.
type Store struct {
	dir  string
	base string // URL under which ServeHTTP is reached, see Path
	now  func() time.Time
	key  []byte
	boot string
	busy [256]sync.Mutex // of parts being written, by their hash
}

var _ build.Bucket = (*Store)(nil)

// Open returns the store in the folder dir, which need not be there yet. base
// is the URL of the server that serves it under Path.
func Open(dir, base string, now func() time.Time) (*Store, error) {
	s := &Store{dir: dir, base: base, now: now, boot: bootID()}
	file := filepath.Join(dir, "key")
	var err error
	if s.key, err = os.ReadFile(file); err == nil && len(s.key) == keySize {
		return s, nil
	}
	s.key = make([]byte, keySize)
	_, _ = rand.Read(s.key) // never fails
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return s, os.WriteFile(file, s.key, 0o600)
}

const keySize = 32

// Place implements build.Bucket.
func (s *Store) Place(key string) build.Place {
	at := s.file(key)
	if abs, err := filepath.Abs(at); err == nil {
		at = abs
	}
	return build.Place{Path: at, Backend: "local"}
}

func (s *Store) file(key string) string {
	return filepath.Join(s.dir, "files", filepath.FromSlash(key))
}

func (s *Store) upload(handle, name string) string {
	return filepath.Join(s.dir, "uploads", handle, name)
}

// A meta is what an upload was begun with.
type meta struct {
	Began    time.Time `json:"began"`
	PartSize int64     `json:"part_size"`
}

// A line says that a part is there, or is no more when Gone.
type line struct {
	build.Part
	Gone bool   `json:"gone,omitempty"`
	Boot string `json:"boot,omitempty"` // when it was written: what was not yet on disk is lost with the machine
}

// Begin implements build.Bucket.
func (s *Store) Begin(_ context.Context, _ string, partSize int64) (string, error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	handle := hex.EncodeToString(b[:])
	doc, err := json.Marshal(meta{Began: s.now(), PartSize: partSize})
	if err != nil {
		return "", err
	}
	err = os.MkdirAll(s.upload(handle, ""), 0o700)
	for _, f := range []struct {
		name string
		doc  []byte
	}{{"data", nil}, {"parts", nil}, {"meta", doc}} {
		err = errors.Join(err, os.WriteFile(s.upload(handle, f.name), f.doc, 0o600))
	}
	return handle, disk(err)
}

func (s *Store) meta(handle string) (m meta, err error) {
	doc, err := os.ReadFile(s.upload(handle, "meta"))
	if errors.Is(err, fs.ErrNotExist) {
		return m, noUpload
	}
	if err == nil {
		err = json.Unmarshal(doc, &m)
	}
	return m, err
}

var noUpload = problem.New(problem.NotFound, "There is no such upload.")

// Parts implements build.Bucket.
func (s *Store) Parts(_ context.Context, _, handle string, after, limit int) ([]build.Part, error) {
	if _, err := os.Stat(s.upload(handle, "data")); err != nil {
		return nil, noUpload
	}
	doc, err := os.ReadFile(s.upload(handle, "parts"))
	if err != nil {
		return nil, noUpload
	}
	have := map[int]build.Part{}
	for in := bufio.NewScanner(bytes.NewReader(doc)); in.Scan(); {
		var l line
		switch {
		case json.Unmarshal(in.Bytes(), &l) != nil: // cut off by a kill
		case l.Gone || l.Boot != s.boot:
			delete(have, l.Number)
		case l.Number > after:
			have[l.Number] = l.Part
		}
	}
	out := slices.SortedFunc(maps.Values(have), func(a, b build.Part) int { return cmp.Compare(a.Number, b.Number) })
	return out[:min(limit, len(out))], nil
}

// note adds a line about a part.
func (s *Store) note(handle string, l line) error {
	l.Boot = s.boot
	doc, err := json.Marshal(l)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.upload(handle, "parts"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(append(doc, '\n'))
	return errors.Join(err, f.Close())
}

// Finish implements build.Bucket: the object is on disk when it returns.
func (s *Store) Finish(_ context.Context, key, handle string, parts []build.Part) error {
	size := int64(0)
	for _, p := range parts {
		size += p.Size
	}
	if err := seal(s.upload(handle, "data"), size); err != nil {
		return disk(err)
	}
	to := s.file(key)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return disk(err)
	}
	if err := os.Rename(s.upload(handle, "data"), to); err != nil {
		return err
	}
	if err := syncFolders(filepath.Dir(to), s.dir); err != nil {
		return err
	}
	return os.RemoveAll(s.upload(handle, ""))
}

// seal cuts the file to its size, as a part that was sent again may have been
// longer, and waits until it is on disk.
func seal(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

// syncFolders waits until the names in folder, and in those above it up to top,
// are on disk.
func syncFolders(folder, top string) error {
	for {
		d, err := os.Open(folder)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil || folder == top || folder == filepath.Dir(folder) {
			return err
		}
		folder = filepath.Dir(folder)
	}
}

// Abort implements build.Bucket.
func (s *Store) Abort(_ context.Context, key, handle string) error {
	err := os.Remove(s.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(s.upload(handle, "")))
}

// Size implements build.Bucket.
func (s *Store) Size(_ context.Context, key string) (int64, error) {
	st, err := os.Stat(s.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, problem.New(problem.NotFound, "There is no such object.")
	}
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Sweep throws away what nobody has completed in time, and returns how many
// uploads that were.
func (s *Store) Sweep() (int, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "uploads"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	n := 0
	for _, e := range entries {
		m, merr := s.meta(e.Name())
		if merr == nil && s.now().Before(m.Began.Add(build.UploadLife)) {
			continue
		}
		if info, ierr := e.Info(); merr != nil && ierr == nil && time.Since(info.ModTime()) < time.Hour {
			continue // it is just being made
		}
		err = errors.Join(err, os.RemoveAll(s.upload(e.Name(), "")))
		n++
	}
	return n, err
}

// disk is err as callers may hear it.
func disk(err error) error {
	if full(err) {
		return &problem.Problem{Kind: problem.Unavailable, Detail: "The disk of the store is full; make room and send the request again.", Err: err}
	}
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	return nil
}
