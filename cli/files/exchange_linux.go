package files

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// exchange puts the folder from at to, and what was there, if anything, at from.
func exchange(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) { // there was nothing
		return os.Rename(from, to)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return exchangeSlowly(from, to)
	}
	return err
}

// syncAll waits until everything below the folder is on disk.
func syncAll(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return plain(err)
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}
