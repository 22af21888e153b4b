package failure

import (
	"strconv"
	"strings"
)

// ofTool returns what the summary and the exit code of a known tool say. It
// says nothing for a tool it does not know, or when the tool only says that
// something in it failed: then the words decide.
func ofTool(s Signs, t text) verdict {
	tool := nameOf(s.Tool)
	switch {
	case strings.HasPrefix(tool, "packer"), tool == "" && t.isPacker():
		return ofPacker(s.ExitCode, t)
	case strings.HasPrefix(tool, "ansible"), tool == "" && t.has("play recap *"):
		return ofAnsible(s.ExitCode, t)
	}
	return verdict{}
}

// nameOf returns the name of a program without its folder, "" for none.
func nameOf(tool string) string {
	tool = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(tool)), "\\", "/")
	return strings.TrimSuffix(tool[strings.LastIndexByte(tool, '/')+1:], ".exe")
}

// Ansible's exit codes (ansible-core 2.14 to 2.19) mean two things each; its
// recap says which.
func ofAnsible(exit *int, t text) verdict {
	recap := t.recap()
	code := -1
	if exit != nil {
		code = *exit
	}
	switch {
	case code == 99:
		return verdict{Transient, Interrupted, 9}
	case recap.hosts == 0 && (code == 0 || code < 0 && t.has("play recap *")) && !t.has("fatal: *"):
		return verdict{NothingDone, "Ansible ran no task on any host", 9}
	case recap.failed > 0:
		return t.failedTask()
	case recap.unreachable > 0:
		return t.unreachable()
	case recap.hosts == 0 && (code == 2 || code == 4 || code == 1):
		return t.or(verdict{Persistent, "Ansible could not read its playbook, inventory or options", 9})
	}
	return verdict{}
}

// or returns what the lines say when it is of the class of v too, else v: the
// reason is better when the words agree with the tool.
func (t text) or(v verdict) verdict {
	if w := t.verdict(verdict{}); w.Class == v.Class {
		return w
	}
	return v
}

// A recap is the sum of the lines after PLAY RECAP.
type recap struct{ hosts, unreachable, failed int }

func (t text) recap() recap {
	var r recap
	at := t.last("play recap *")
	if at < 0 {
		return r
	}
	for _, line := range t.lines[at+1:] {
		unreachable, ok := count(line, "unreachable=")
		if !ok {
			continue
		}
		failed, _ := count(line, "failed=")
		r.hosts++
		r.unreachable += unreachable
		r.failed += failed
	}
	return r
}

// count returns the number after name in line.
func count(line, name string) (int, bool) {
	_, after, found := strings.Cut(line, name)
	if !found {
		return 0, false
	}
	end := 0
	for end < len(after) && isDigit(after[end]) {
		end++
	}
	n, err := strconv.Atoi(after[:end])
	return n, err == nil
}

// failedTask returns what the tasks say that failed. A task fails for good
// unless its own words tell of something that passes.
func (t text) failedTask() verdict {
	tasks := t.where(func(line string) bool {
		return strings.HasPrefix(line, "fatal: ") && strings.Contains(line, "failed!") || strings.HasPrefix(line, "failed: ")
	})
	if v := tasks.verdict(verdict{}); v.Class != "" {
		return v
	}
	return verdict{Persistent, "a task of Ansible failed", 9}
}

func (t text) unreachable() verdict {
	if v := t.where(func(line string) bool { return strings.Contains(line, "unreachable!") }).verdict(verdict{}); v.Class == Persistent {
		return v
	}
	return verdict{Transient, "Ansible could not reach a host", 9}
}

// where returns the lines that f likes.
func (t text) where(f func(string) bool) text {
	var out text
	for _, line := range t.lines {
		if f(line) {
			out.lines = append(out.lines, line)
		}
	}
	return out
}

func (t text) isPacker() bool {
	return t.has("builds finished*") || t.has("some builds didn't complete successfully*") || t.has("build '*' errored*")
}

// Packer ends with 1 whatever happened, and with 0 when it made nothing: its
// words decide, and the code of the script that ran in it (1.6 writes
// "status: 7.Allowed", 1.16 "status: 7. Allowed").
func ofPacker(exit *int, t text) verdict {
	none := t.has("builds finished but no artifacts were created")
	errored := t.has("errored*") || t.has("some builds didn't complete*") || t.has("error:*")
	switch {
	case t.has("cancelling build after receiving*"):
		return verdict{Transient, Interrupted, 9}
	case t.has("cancelling provisioner after a timeout*"):
		return verdict{TimedOut, "a provisioner of Packer took longer than its timeout", 9}
	case none && (exit != nil && *exit == 0 || exit == nil && !errored):
		return verdict{NothingDone, "Packer finished without an artifact", 9}
	case t.has("no such host"):
		return verdict{Persistent, "Packer was given a host that does not exist", 9}
	}
	at := t.last("non-zero exit status: #*")
	if at < 0 {
		return t.verdict(verdict{})
	}
	code, _ := count(t.lines[at], "non-zero exit status: ")
	return t.verdict(ofExit("", &code))
}

// networkCodes are the exit codes by which tools say that they lost the other
// side. Source: the manual pages of OpenSSH 9, curl 8, wget 1.21, rsync 3.2.
var networkCodes = map[string]string{
	"ssh": " 255 ", "scp": " 255 ", "sftp": " 255 ", "sshpass": " 255 ",
	"curl": " 5 6 7 16 18 28 35 52 55 56 92 ", "wget": " 4 ", "rsync": " 10 12 30 35 255 ",
}

// ofExit returns what an exit code says whose meaning is agreed.
func ofExit(tool string, exit *int) verdict {
	if exit == nil {
		return verdict{}
	}
	tool = nameOf(tool)
	code := " " + strconv.Itoa(*exit) + " "
	switch {
	case strings.Contains(networkCodes[tool], code), tool == "" && *exit == 255:
		return verdict{Transient, "the network", 6}
	}
	switch *exit {
	case 124:
		return verdict{Transient, "timeout ended it", 6}
	case 126:
		return verdict{Persistent, "the command cannot be executed", 8}
	case 127:
		return verdict{Persistent, "the command was not found", 8}
	case 129, 130, 137, 143:
		return verdict{Transient, Interrupted, 7}
	}
	return verdict{}
}
