//go:build unix

package files

import (
	"io/fs"
	"syscall"
)

// An inode names a file under all of its names.
type inode struct{ dev, ino uint64 }

// inodeOf returns the inode of a file that has more than one name.
func inodeOf(info fs.FileInfo) (inode, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Nlink < 2 {
		return inode{}, false
	}
	return inode{uint64(st.Dev), uint64(st.Ino)}, true
}
