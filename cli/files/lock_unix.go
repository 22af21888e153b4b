//go:build unix

package files

import (
	"os"
	"syscall"
)

// lock takes f for this process, until it is closed; an error when another one
// has it.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
