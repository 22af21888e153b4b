package files

import (
	"errors"
	"os"
)

// exchangeSlowly does what exchange does where the file system cannot: a kill
// in the middle leaves what was there under the name aside.
func exchangeSlowly(from, to string) error {
	aside := from + "-old"
	if err := os.Rename(to, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return errors.Join(err, os.Rename(aside, to))
	}
	return os.RemoveAll(aside)
}
