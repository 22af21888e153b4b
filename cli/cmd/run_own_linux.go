package cmd

import (
	"os/exec"
	"syscall"
)

// own ends a step when this process is killed, and puts it into a process group
// of its own when it has no terminal to share.
func own(c *exec.Cmd, group bool) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: group}
}
