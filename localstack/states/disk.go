package states

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"bldst/localstack/datafile"
)

// The file holds one bucket, "states", and in it these, keys ordered bytewise:
//
//	meta         "secret"                          -> key of the task tokens
//	machines     ARN                               -> machineRow
//	definitions  hash                              -> definition as given
//	executions   number                            -> record
//	names        ARN                               -> number
//	history      number, event id                  -> entry
//	open         number                            -> next deadline, whether a Lambda is due
//	list         machine 0 status 0 ^started number -> nothing; and again with an empty status
//	outbox       number                            -> Event still to be told
var buckets = []string{"meta", "machines", "definitions", "executions", "names", "history", "open", "list", "outbox"}

// A machineRow is what is kept of a machine.
type machineRow struct {
	Hash     string
	Revision string
	Created  time.Time
	Updated  time.Time
}

// A disk is the file.
type disk struct {
	db    *bolt.DB
	owned bool

	mu     sync.Mutex
	parsed map[string]*definition
}

func openDisk(path string, db *bolt.DB) (*disk, error) {
	d := &disk{db: db, parsed: map[string]*definition{}}
	if db == nil && path == "" {
		return nil, errors.New("neither a path nor a database was given for the state machines")
	}
	if db == nil {
		opened, err := datafile.Open(path)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		d.db, d.owned = opened, true
	}
	if err := d.db.Update(prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the state machines: %w", err), d.close())
	}
	return d, nil
}

func prepare(tx *bolt.Tx) error {
	root, err := tx.CreateBucketIfNotExists([]byte("states"))
	if err != nil {
		return err
	}
	for _, name := range buckets {
		if _, err := root.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	meta := root.Bucket([]byte("meta"))
	if meta.Get([]byte("secret")) != nil {
		return nil
	}
	return meta.Put([]byte("secret"), newSecret())
}

func (d *disk) close() error {
	if !d.owned {
		return nil
	}
	return datafile.Close(d.db)
}

// A txn is a transaction of the file. It keeps the first error of a write, and
// what is to be done once it is on disk.
type txn struct {
	d    *disk
	root *bolt.Bucket
	err  error
	then []func()
}

func (d *disk) view(run func(*txn) error) error {
	return d.db.View(func(tx *bolt.Tx) error { return run(d.txn(tx)) })
}

func (d *disk) txn(tx *bolt.Tx) *txn { return &txn{d: d, root: tx.Bucket([]byte("states"))} }

func (x *txn) in(bucket string) *bolt.Bucket { return x.root.Bucket([]byte(bucket)) }

func (x *txn) put(bucket string, key, v []byte) {
	if x.err == nil {
		x.err = x.in(bucket).Put(key, v)
	}
}

func (x *txn) delete(bucket string, key []byte) {
	if x.err == nil {
		x.err = x.in(bucket).Delete(key)
	}
}

func (x *txn) putJSON(bucket string, key []byte, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); x.err == nil {
		x.err = err
	}
	x.put(bucket, key, b.Bytes())
}

func numbered(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// numberOf returns the number of the execution with this ARN; 0 when there is none.
func (x *txn) numberOf(arn string) uint64 {
	if raw := x.in("names").Get([]byte(arn)); raw != nil {
		return binary.BigEndian.Uint64(raw)
	}
	return 0
}

// record returns an execution; nil when there is none.
func (x *txn) record(n uint64) (*record, error) {
	raw := x.in("executions").Get(numbered(n))
	if raw == nil {
		return nil, nil
	}
	r := &record{key: n}
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("execution %d: %w", n, err)
	}
	return r, nil
}

// definition returns the definition with this hash.
func (x *txn) definition(hash string) (*definition, error) {
	x.d.mu.Lock()
	defer x.d.mu.Unlock()
	if d := x.d.parsed[hash]; d != nil {
		return d, nil
	}
	d, err := load(hash, x.in("definitions").Get([]byte(hash)))
	if err != nil {
		return nil, fmt.Errorf("the definition an execution was started with is no longer supported: %w", err)
	}
	x.d.parsed[hash] = d
	return d, nil
}

// save writes what a turn has made of an execution. before is its status
// until then, empty when it is new.
func (x *txn) save(t *turn, before string) {
	r := &t.r
	key := numbered(r.key)
	x.putJSON("executions", key, r)
	for _, h := range t.history {
		x.put("history", binary.BigEndian.AppendUint64(numbered(r.key), uint64(h.id)), h.wire())
	}
	if r.Status == Running {
		x.put("open", key, openEntry(r))
	} else {
		x.delete("open", key)
	}
	if before == "" {
		x.put("names", []byte(r.ARN), key)
		x.put("list", listKey(r, ""), nil)
	}
	if before != r.Status {
		if before != "" {
			x.delete("list", listKey(r, before))
		}
		x.put("list", listKey(r, r.Status), nil)
	}
}

func openEntry(r *record) []byte {
	var at int64
	if next := r.next(); !next.IsZero() {
		at = next.UnixNano()
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(at))
	if r.invoking() {
		return append(b, 1)
	}
	return append(b, 0)
}

// listKey is where an execution is listed: newest first in its machine.
func listKey(r *record, status string) []byte {
	b := listPrefix(r.Machine, status)
	b = binary.BigEndian.AppendUint64(b, ^uint64(r.Started.UnixNano()))
	return binary.BigEndian.AppendUint64(b, ^r.key)
}

func listPrefix(machine, status string) []byte {
	return bytes.Join([][]byte{[]byte(machine), []byte(status), nil}, []byte{0})
}

// list returns a page of the executions listed under prefix, and the key of the
// last one when there are more.
func (x *txn) list(prefix, after []byte, size int) (items []object, last []byte, err error) {
	items = []object{}
	for key := range keys(x.in("list"), prefix, after, false) {
		r, err := x.record(^binary.BigEndian.Uint64(key[len(key)-8:]))
		if err != nil {
			return nil, nil, err
		}
		if len(items) == size {
			return items, last, nil
		}
		items, last = append(items, r.item()), key
	}
	return items, nil, nil
}

// events returns a page of a history, and the key of its last event when there
// are more.
func (x *txn) events(prefix, after []byte, size int, reverse bool) (events []json.RawMessage, last []byte) {
	events = []json.RawMessage{}
	for key, raw := range keys(x.in("history"), prefix, after, reverse) {
		if len(events) == size {
			return events, last
		}
		events, last = append(events, slices.Clone(raw)), key
	}
	return events, nil
}

// keys ranges over the entries under prefix, beginning after a key, forwards or
// backwards. Key and value are those of the file, valid in its transaction.
func keys(b *bolt.Bucket, prefix, after []byte, reverse bool) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		c := b.Cursor()
		move := c.Next
		if reverse {
			move = c.Prev
		}
		k, v := seek(c, prefix, after, reverse)
		for ; k != nil && bytes.HasPrefix(k, prefix); k, v = move() {
			if !bytes.Equal(k, after) && !yield(k, v) {
				return
			}
		}
	}
}

// seek goes to where keys begins.
func seek(c *bolt.Cursor, prefix, after []byte, reverse bool) (k, v []byte) {
	switch {
	case after == nil && !reverse:
		return c.Seek(prefix)
	case after == nil:
		after = append(slices.Clone(prefix), bytes.Repeat([]byte{0xff}, 9)...)
	}
	k, v = c.Seek(after)
	if reverse && k == nil {
		return c.Last()
	}
	if reverse && !bytes.Equal(k, after) {
		return c.Prev()
	}
	return k, v
}

func hashDefinition(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
