//go:build linux

package proc

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// adopts: what loses its parent becomes a child of this process.
const adopts = true

func adopt() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// attributes are those of the command: a group of its own, and the wish that it
// ends when this process does.
func (r *Running) attributes(t *terminal) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGTERM}
	if t != nil {
		a.Foreground, a.Ctty = true, t.fd
	}
	return a
}

// A stat is what /proc/PID/stat says of a process.
type stat struct {
	pid, parent, group int
	name               string
	state              byte
	start              string
}

func statOf(pid int) (stat, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return stat{}, false
	}
	f := strings.Fields(string(data[end+1:]))
	if len(f) < 20 {
		return stat{}, false
	}
	s := stat{pid: pid, name: string(data[open+1 : end]), state: f[0][0], start: f[19]}
	s.parent, _ = strconv.Atoi(f[1])
	s.group, _ = strconv.Atoi(f[2])
	return s, true
}

// pids returns every process.
func pids() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var out []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// descendants returns what lives of the command: everything below this process.
func descendants(int) []Process {
	below, all := map[int]bool{os.Getpid(): true}, map[int]stat{}
	for _, pid := range pids() {
		if s, ok := statOf(pid); ok {
			all[pid] = s
		}
	}
	var out []Process
	for found := true; found; {
		found = false
		for pid, s := range all {
			if below[s.parent] && !below[pid] {
				below[pid], found = true, true
				if s.state != 'Z' && s.state != 'X' {
					out = append(out, Process{pid, s.name})
				}
			}
		}
	}
	return out
}

// Start of a process, which with its id names it for good: ids are used again.
// It is "" when there is no such process.
func Born(pid int) string {
	s, ok := statOf(pid)
	if !ok || s.state == 'Z' || s.state == 'X' {
		return ""
	}
	return s.start
}

// Marked returns the processes whose environment has Marker=run.
func Marked(run string) []Process {
	want := []byte(Marker + "=" + run)
	var out []Process
	for _, pid := range pids() {
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err != nil {
			continue
		}
		for _, v := range bytes.Split(env, []byte{0}) {
			if s, ok := statOf(pid); bytes.Equal(v, want) && ok && s.state != 'Z' && pid != os.Getpid() {
				out = append(out, Process{pid, s.name})
				break
			}
		}
	}
	return out
}
