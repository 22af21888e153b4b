//go:build !unix

package files

import "io/fs"

type inode struct{}

func inodeOf(fs.FileInfo) (inode, bool) { return inode{}, false }
