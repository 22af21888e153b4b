package files

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriting lets the kernel begin to write what is at that place, so that
// there is less to wait for at the end.
func startWriting(f *os.File, at, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), at, n, unix.SYNC_FILE_RANGE_WRITE) // a hint only
}
