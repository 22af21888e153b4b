package bus

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"bldst/localstack/datafile"
)

// The file holds two buckets, both by the number in which messages came:
//
//	queue  -> message
//	dead   -> DeadLetter
type disk struct{ db *bolt.DB }

var queueBucket, deadBucket = []byte("queue"), []byte("dead")

// A DeadLetter is an event a function did not deal with.
type DeadLetter struct {
	Key    string          `json:"key"` // rule and event, see Bus.Redrive
	Rule   string          `json:"rule"`
	Target string          `json:"target"`
	Event  json.RawMessage `json:"event"`
	Tries  int             `json:"tries"`
	Error  string          `json:"error"`
	At     time.Time       `json:"at"`
}

func openDisk(path string) (*disk, []*message, error) {
	db, err := datafile.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("queue of events %s cannot be opened: %w", path, err)
	}
	d := &disk{db}
	waiting, err := d.load()
	if err != nil {
		_ = datafile.Close(db)
		return nil, nil, fmt.Errorf("queue of events %s cannot be read: %w", path, err)
	}
	return d, waiting, nil
}

func (d *disk) load() ([]*message, error) {
	var out []*message
	err := d.db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists(deadBucket); err != nil {
			return err
		}
		queue, err := tx.CreateBucketIfNotExists(queueBucket)
		if err != nil {
			return err
		}
		return queue.ForEach(func(k, v []byte) error {
			m := &message{Seq: binary.BigEndian.Uint64(k)}
			out = append(out, m)
			return json.Unmarshal(v, m)
		})
	})
	return out, err
}

func (d *disk) close() error { return datafile.Close(d.db) }

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// add stores new messages and numbers them.
func (d *disk) add(ms []*message) error {
	if len(ms) == 0 {
		return nil
	}
	return d.db.Update(func(tx *bolt.Tx) error {
		queue := tx.Bucket(queueBucket)
		for _, m := range ms {
			var err error
			if m.Seq, err = queue.NextSequence(); err != nil {
				return err
			}
			if err := store(queue, m.Seq, m); err != nil {
				return err
			}
		}
		return nil
	})
}

func store(b *bolt.Bucket, seq uint64, v any) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key(seq), doc)
}

func (d *disk) put(m *message) error {
	return d.db.Update(func(tx *bolt.Tx) error { return store(tx.Bucket(queueBucket), m.Seq, m) })
}

func (d *disk) remove(m *message) error {
	return d.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(queueBucket).Delete(key(m.Seq)) })
}

// bury moves m to the dead letters.
func (d *disk) bury(m *message, l DeadLetter) error {
	return d.db.Update(func(tx *bolt.Tx) error {
		if err := tx.Bucket(queueBucket).Delete(key(m.Seq)); err != nil {
			return err
		}
		return store(tx.Bucket(deadBucket), m.Seq, l)
	})
}

// revive moves a dead letter back into the queue.
func (d *disk) revive(want string, now time.Time) (*message, error) {
	var m *message
	err := d.db.Update(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(deadBucket).Cursor()
		for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
			var l DeadLetter
			if err := json.Unmarshal(v, &l); err != nil || l.Key != want {
				continue
			}
			m = &message{Seq: binary.BigEndian.Uint64(k), Key: l.Key, Rule: l.Rule, Target: l.Target, Event: l.Event, Next: now}
			if err := cursor.Delete(); err != nil {
				return err
			}
			return store(tx.Bucket(queueBucket), m.Seq, m)
		}
		return fmt.Errorf("there is no dead letter %q", want)
	})
	return m, err
}

func (d *disk) dead() ([]DeadLetter, error) {
	out := []DeadLetter{}
	err := d.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(deadBucket).ForEach(func(_, v []byte) error {
			var l DeadLetter
			err := json.Unmarshal(v, &l)
			out = append(out, l)
			return err
		})
	})
	return out, err
}
