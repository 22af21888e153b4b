package files

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// Values of whence, see lseek(2).
const seekData, seekHole = 3, 4

// extentsOf returns the extents of a file of that size. A file system that
// knows no holes says there is one extent.
func extentsOf(f *os.File, size int64) ([]extent, error) {
	var out []extent
	for at := int64(0); at < size; {
		from, err := f.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) { // only a hole is left
			break
		}
		if err != nil {
			return []extent{{0, size}}, nil
		}
		to, err := f.Seek(from, seekHole)
		if err != nil {
			return nil, err
		}
		if to = min(to, size); to > from {
			out = append(out, extent{from, to - from})
		}
		at = to
	}
	_, err := f.Seek(0, io.SeekStart)
	return out, err
}
