package objects

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// startWriting lets the kernel begin to write what is at that place, so that
// there is less to wait for at the end.
func startWriting(f *os.File, at, size int64) {
	_ = unix.SyncFileRange(int(f.Fd()), at, size, unix.SYNC_FILE_RANGE_WRITE) // a hint only
}

// bootID names the time since the machine was started.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}
