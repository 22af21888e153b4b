//go:build unix && !linux

package proc

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// adopts: only the group of the command is known here.
const adopts = false

func adopt() {}

func (r *Running) attributes(t *terminal) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if t != nil {
		a.Foreground, a.Ctty = true, t.fd
	}
	return a
}

// descendants returns the group of the command, as one, while it lives.
func descendants(group int) []Process {
	if unix.Kill(-group, 0) != nil {
		return nil
	}
	return []Process{{-group, "process group " + strconv.Itoa(group)}}
}

// Born returns what tells the process from a later one of the same id: here
// only that there is one.
func Born(pid int) string {
	if p, err := os.FindProcess(pid); err != nil || p.Signal(syscall.Signal(0)) != nil {
		return ""
	}
	return "alive"
}

// Marked cannot be told here.
func Marked(string) []Process { return nil }
