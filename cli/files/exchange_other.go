//go:build !linux

package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

func exchange(from, to string) error { return exchangeSlowly(from, to) }

// syncAll waits until everything below the folder is on disk.
func syncAll(name string) error {
	return filepath.WalkDir(name, func(at string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(at)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
