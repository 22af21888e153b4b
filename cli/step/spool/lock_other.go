//go:build !unix

package spool

import "os"

// lock holds nothing: here one process at a time uses a spool.
func lock(path string, _ bool) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
