// Package datafile opens the files in which the local stack keeps its data, all
// of them of go.etcd.io/bbolt.
package datafile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
)

// lockWait is how long Open waits for a file that another process has open:
// enough for one that is just ending.
const lockWait = 200 * time.Millisecond

// Open opens the file at path, creating it and its folder as needed. One that
// was cut off or damaged is ErrDamaged.
//
// The list of free pages is not written with every commit, which would cost
// more than what is committed once much was deleted, but by Close. After a
// crash it is made anew from the pages in use, which takes time in proportion
// to the file.
func Open(path string) (*bolt.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if !Empty(path) {
		if err := check(path); err != nil {
			return nil, err
		}
	}
	return open(path)
}

// open opens a file that was checked. What bbolt itself finds wrong with it, it
// says by a panic.
func open(path string) (db *bolt.DB, err error) {
	defer func() {
		if v := recover(); v != nil {
			db, err = nil, damaged(path, fmt.Errorf("%v", v))
		}
	}()
	return bolt.Open(path, 0o600, &bolt.Options{
		Timeout:         lockWait,
		FreelistType:    bolt.FreelistMapType,
		NoFreelistSync:  true,
		InitialMmapSize: initialMap(),
	})
}

// Close closes a file that Open has opened, and signs it with its size.
func Close(db *bolt.DB) error {
	err := db.Update(func(tx *bolt.Tx) error {
		db.NoFreelistSync = false
		return sign(tx)
	})
	return errors.Join(err, db.Close())
}

// Where Close leaves the size of the file, in bytes. The file never shrinks:
// whatever is written later, it is not smaller than that.
var signature, sizeKey = []byte("datafile"), []byte("size")

func sign(tx *bolt.Tx) error {
	info, err := os.Stat(tx.DB().Path())
	if err != nil {
		return err
	}
	b, err := tx.CreateBucketIfNotExists(signature)
	if err != nil {
		return err
	}
	return b.Put(sizeKey, binary.BigEndian.AppendUint64(nil, uint64(info.Size())))
}

// initialMap returns how much address space to map at first. Growing the map
// stops all readers, so it is generous where address space costs nothing; on
// Windows the file would grow with it.
func initialMap() int {
	if strconv.IntSize == 64 && runtime.GOOS != "windows" {
		return 1 << 30
	}
	return 0
}
