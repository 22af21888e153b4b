// Package spool keeps on disk, in order, what the API could not be told yet.
// Each item is one request with its Idempotency-Key, so it counts once however
// often it is sent. An item is on the disk, not only in its cache, before Add
// returns. Processes may share a spool.
package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bldst/cli/durable"
)

// An Item is one request that is still to be sent.
type Item struct {
	Seq  int             `json:"-"`
	What string          `json:"what"` // for people: "state 25 completed"
	Path string          `json:"path"` // of a POST, below the API's address
	Key  string          `json:"idempotency_key"`
	Body json.RawMessage `json:"body"`
	Run  string          `json:"run"` // the run of the step it comes from
	At   time.Time       `json:"at"`
}

// A Spool is that of one build at one API. The methods of different processes
// exclude each other.
type Spool struct {
	API   string `json:"api"`
	Build string `json:"build"`
	Dir   string `json:"-"`
}

// Open returns the spool of a build below root. Nothing is written before
// something is added.
func Open(root, api, build string) *Spool {
	return &Spool{API: api, Build: build, Dir: filepath.Join(root, folder(api, build))}
}

func folder(api, build string) string {
	sum := sha256.Sum256([]byte(api + "\x00" + build))
	return hex.EncodeToString(sum[:12])
}

// Also makes the spool that of the build under its other name too, its id or
// number, unless that has one of its own.
func (s *Spool) Also(build string) {
	if build != "" && build != s.Build {
		_ = os.Symlink(filepath.Base(s.Dir), filepath.Join(filepath.Dir(s.Dir), folder(s.API, build)))
	}
}

// All returns the spools below root that hold something.
func All(root string) ([]*Spool, error) {
	dirs, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*Spool
	for _, d := range dirs {
		if !d.IsDir() { // the other name of one
			continue
		}
		s := &Spool{Dir: filepath.Join(root, d.Name())}
		data, err := os.ReadFile(filepath.Join(s.Dir, about))
		if err != nil || json.Unmarshal(data, s) != nil {
			continue
		}
		if s.Len() > 0 {
			out = append(out, s)
		}
	}
	return out, nil
}

// about is the file that says whose spool a directory is.
const about = "build.json"

const suffix = ".item"

// Lock excludes other processes that lock name of the build, until unlock is
// called or this process ends.
func (s *Spool) Lock(name string) (unlock func(), err error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	return lock(filepath.Join(s.Dir, name+".lock"), true)
}

// TryLock is Lock that does not wait: ok is false when another holds it.
func (s *Spool) TryLock(name string) (unlock func(), ok bool, err error) {
	if err := s.prepare(); err != nil {
		return nil, false, err
	}
	unlock, err = lock(filepath.Join(s.Dir, name+".lock"), false)
	if errors.Is(err, errLocked) {
		return nil, false, nil
	}
	return unlock, err == nil, err
}

var errLocked = errors.New("another process holds the lock")

func (s *Spool) prepare() error {
	if _, err := os.Stat(filepath.Join(s.Dir, about)); err == nil {
		return nil
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(s.Dir, about), data)
}

// Add appends an item.
func (s *Spool) Add(it Item) error {
	unlock, err := s.Lock("spool")
	if err != nil {
		return err
	}
	defer unlock()
	seqs, err := s.seqs()
	if err != nil {
		return err
	}
	it.Seq = 1
	if n := len(seqs); n > 0 {
		it.Seq = seqs[n-1] + 1
	}
	return s.write(it)
}

func (s *Spool) write(it Item) error {
	data, err := json.Marshal(it)
	if err != nil {
		return err
	}
	return durable.WriteFile(s.file(it.Seq), data)
}

func (s *Spool) file(seq int) string { return filepath.Join(s.Dir, fmt.Sprintf("%08d%s", seq, suffix)) }

// Len returns how many items there are.
func (s *Spool) Len() int {
	seqs, _ := s.seqs()
	return len(seqs)
}

func (s *Spool) seqs() ([]int, error) {
	files, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []int
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), suffix); ok {
			if n, err := strconv.Atoi(name); err == nil {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return out, err
}

// Items returns what is there, oldest first. One that cannot be read is set
// aside under another name.
func (s *Spool) Items() ([]Item, error) {
	seqs, err := s.seqs()
	if err != nil {
		return nil, err
	}
	var out []Item
	for _, seq := range seqs {
		data, err := os.ReadFile(s.file(seq))
		if errors.Is(err, fs.ErrNotExist) {
			continue // sent meanwhile
		}
		var it Item
		if err == nil {
			err = json.Unmarshal(data, &it)
		}
		if err != nil {
			_ = os.Rename(s.file(seq), s.file(seq)+".broken")
			continue
		}
		it.Seq = seq
		out = append(out, it)
	}
	return out, nil
}

// Remove removes one item.
func (s *Spool) Remove(seq int) error { return os.Remove(s.file(seq)) }

// Drop removes all items and returns them.
func (s *Spool) Drop() ([]Item, error) {
	unlock, err := s.Lock("flush")
	if err != nil {
		return nil, err
	}
	defer unlock()
	items, err := s.Items()
	for _, it := range items {
		err = errors.Join(err, s.Remove(it.Seq))
	}
	return items, err
}

// An Answer is what became of an item that was sent.
type Answer struct {
	Attempt int   // the attempt it belonged to, 0 when it was not said
	Refused error // it will never be accepted
	Away    error // it may be accepted later
}

// A Report is what became of a spool.
type Report struct {
	Sent    int
	Kept    int
	Refused []Refusal
	Away    error // why the rest was kept
	Attempt int   // the last one an answer named
}

// A Refusal is an item the API did not want, and is not kept.
type Refusal struct {
	Item
	Err error
}

// Flush sends what is there, oldest first, until something is not accepted for
// now. What follows a refused item of the same run is given up with it: it
// belongs to an attempt that was replaced. An attempt that an answer names holds
// for what follows of the same run.
func (s *Spool) Flush(send func(Item) Answer) (Report, error) {
	var r Report
	if s.Len() == 0 {
		return r, nil
	}
	unlock, err := s.Lock("flush")
	if err != nil {
		return r, err
	}
	defer unlock()
	items, err := s.Items()
	if err != nil {
		return r, err
	}
	gone := map[string]error{}
	for i := range items {
		it := items[i]
		answer := Answer{Refused: gone[it.Run]}
		if answer.Refused == nil {
			answer = send(it)
		}
		switch {
		case answer.Away != nil:
			r.Kept, r.Away = len(items)-i, answer.Away
			return r, nil
		case answer.Refused != nil:
			gone[it.Run] = answer.Refused
			r.Refused = append(r.Refused, Refusal{it, answer.Refused})
		default:
			r.Sent, r.Attempt = r.Sent+1, max(answer.Attempt, r.Attempt)
			if err := s.belongs(items[i+1:], it.Run, answer.Attempt); err != nil {
				return r, err
			}
		}
		if err := s.Remove(it.Seq); err != nil {
			return r, err
		}
	}
	return r, nil
}

// belongs puts the attempt into the items of the run that name none.
func (s *Spool) belongs(items []Item, run string, attempt int) error {
	for i := range items {
		if it := &items[i]; it.Run == run && attempt > 0 {
			var body map[string]json.RawMessage
			if json.Unmarshal(it.Body, &body) != nil || body["attempt"] != nil {
				continue
			}
			body["attempt"] = json.RawMessage(strconv.Itoa(attempt))
			data, err := json.Marshal(body)
			if err != nil {
				return err
			}
			it.Body = data
			if err := s.write(*it); err != nil {
				return err
			}
		}
	}
	return nil
}
