package table

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"
)

// purgeEvery is how often expired items are removed, beside once at Open.
const purgeEvery = time.Hour

// maxPurge bounds how many items one transaction purges.
const maxPurge = 1000

// moveExpiry moves the item at key in the expiry bucket.
func (x *txn) moveExpiry(key []byte, from, to int64) {
	if from == to {
		return
	}
	if from != 0 {
		x.keep(x.expiry.Delete(expiryKey(from, key)))
	}
	if to != 0 {
		x.keep(x.expiry.Put(expiryKey(to, key), nil))
	}
}

func expiryKey(seconds int64, key []byte) []byte { return append(seqKey(uint64(seconds)), key...) }

// Purge removes all items that have expired. The table does so by itself once
// an hour and when it is opened.
func (t *Table) Purge(ctx context.Context) error {
	for {
		more := false
		err := <-t.submit(func(x *txn) error {
			more = x.purge(t.opt.Now().Unix())
			return nil
		})
		if err != nil || !more {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// purgeSome is the job that purges the first expired items.
func (t *Table) purgeSome(x *txn) error {
	x.purge(t.opt.Now().Unix())
	return nil
}

// purge removes up to maxPurge items that expired before now, and reports
// whether there may be more. An item is expired when now is past Expires.
func (x *txn) purge(now int64) bool {
	var keys [][]byte
	c := x.expiry.Cursor()
	for k, _ := c.First(); k != nil && len(keys) < maxPurge && int64(binary.BigEndian.Uint64(k)) < now; k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k[8:]))
	}
	for _, k := range keys {
		x.replace(k, nil)
	}
	return len(keys) == maxPurge
}

// purgeLoop purges once the first job is done and then every hour.
func (t *Table) purgeLoop(first <-chan error) {
	<-first
	ctx := context.Background() // a table being closed ends Purge by itself
	_ = t.Purge(ctx)            // a file that cannot be written now may be later
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = t.Purge(ctx)
		case <-t.closing:
			return
		}
	}
}
