//go:build tools && linux

package step_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// These tests run Packer and Ansible, which .ci/tools installs. A tool that is
// missing is a failure. BLDST_TEST_ANSIBLE lists the versions of
// ansible-playbook, separated by colons.

func ansibles(t *testing.T) []string {
	t.Helper()
	if v := os.Getenv("BLDST_TEST_ANSIBLE"); v != "" {
		return filepath.SplitList(v)
	}
	return []string{"ansible-playbook"}
}

func (b *bench) write(name, content string) {
	b.t.Helper()
	if err := os.WriteFile(b.file(name), []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// template is a build of Packer that needs no cloud.
func (b *bench) template(provisioner string) {
	b.write("t.json", `{"builders":[{"type":"null","communicator":"none"}],"provisioners":[`+provisioner+`]}`)
}

func slow(seconds string) string { return fmt.Sprintf("touch begun; sleep %s; touch late", seconds) }

// endsAfter starts a step, does something to it once its work has begun, and
// sees to it that nothing of it goes on.
func (b *bench) endsAfter(seconds string, cmd *exec.Cmd, do func()) {
	b.t.Helper()
	out, err := os.Create(b.file("output"))
	if err != nil {
		b.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, "the work", func() bool { return b.exists("begun")() && sleepers(b.t, seconds) > 0 })
	do()
	_ = cmd.Wait()
	told, _ := os.ReadFile(b.file("output"))
	if n := sleepers(b.t, seconds); n > 0 || b.exists("late")() || cmd.ProcessState.Success() {
		b.t.Errorf("%d processes work on, late: %v, exit code %d\n%s", n, b.exists("late")(), cmd.ProcessState.ExitCode(), told)
	}
	if left := processesIn(b.t, b.dir); len(left) > 0 {
		b.t.Errorf("these live on: %v\n%s", left, told)
	}
}

// processesIn returns the processes that work in the folder.
func processesIn(t testing.TB, dir string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && (to == dir || strings.HasPrefix(to, dir+"/")) {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(l), "comm"))
			out = append(out, filepath.Base(filepath.Dir(l))+" "+strings.TrimSpace(string(name)))
		}
	}
	return out
}

func TestPackerEndsWithTheStep(t *testing.T) {
	for i, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			b := newBench(t)
			seconds := fmt.Sprint(81000 + i)
			b.template(fmt.Sprintf(`{"type":"shell-local","inline":[%q]}`, slow(seconds)))
			cmd := b.command("30", "--", "packer", "build", "t.json")
			b.endsAfter(seconds, cmd, func() { _ = cmd.Process.Signal(sig) })
			if v := b.view(); v.Status != "failed" || v.Class != "transient" {
				t.Errorf("the build is %+v", v)
			}
		})
	}
}

func TestAScriptThatPackerGaveUpIsEnded(t *testing.T) {
	b := newBench(t)
	b.template(fmt.Sprintf(`{"type":"shell-local","timeout":"2s","inline":[%q]}`, slow("81010")))
	b.step("30", "--", "packer", "build", "t.json").want(t, 1, "left processes behind", "sleep")
	if sleepers(t, "81010") > 0 || len(processesIn(t, b.dir)) > 0 {
		t.Error("the script works on")
	}
}

func TestAStepInsideOfPacker(t *testing.T) {
	b := newBench(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b.write("inner.json", `{"builders":[{"type":"null","communicator":"none"}],"provisioners":[{"type":"shell-local","inline":["echo inner packer"]}]}`)
	b.template(fmt.Sprintf(`{"type":"shell-local","inline":[%q]}`, self+" step 35 -- packer build inner.json"))
	d := b.step("30", "--", "packer", "build", "t.json")
	d.want(t, 0, "inner packer")
	if n := strings.Count(d.out+d.err, "\n"); n > 40 {
		t.Errorf("the inner Packer writes its log: %d lines", n)
	}
}

func TestPackerThatBuiltNothing(t *testing.T) {
	b := newBench(t)
	b.template(`{"type":"shell-local","inline":["true"]}`)
	b.step("30", "--produces", "manifest.json", "--", "packer", "build", "-only=nosuch", "t.json").want(t, 1, "nothing_done")
}

func TestAnsibleEndsWithTheStep(t *testing.T) {
	for i, playbook := range ansibles(t) {
		for j, how := range []string{"TERM", "INT", "KILL of ansible-playbook"} {
			t.Run(playbook+" "+how, func(t *testing.T) {
				b := newBench(t)
				b.set("LC_ALL", "C.UTF-8")
				b.set("ANSIBLE_HOME", b.dir)
				seconds := fmt.Sprint(82000 + 10*i + j)
				b.write("p.yml", "- hosts: localhost\n  connection: local\n  gather_facts: false\n  vars: {ansible_python_interpreter: /usr/bin/python3}\n  tasks:\n    - name: work\n      shell: "+slow(seconds)+"\n      args: {chdir: "+b.dir+"}\n")
				cmd := b.command("40", "--", playbook, "-i", "localhost,", "p.yml")
				b.endsAfter(seconds, cmd, func() {
					switch how {
					case "TERM":
						_ = cmd.Process.Signal(syscall.SIGTERM)
					case "INT":
						_ = cmd.Process.Signal(syscall.SIGINT)
					default:
						_ = syscall.Kill(childOf(t, cmd.Process.Pid), syscall.SIGKILL)
					}
				})
			})
		}
	}
}

// childOf returns the first child of a process.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	out, err := exec.Command("pgrep", "-P", fmt.Sprint(pid)).Output()
	var child int
	if _, err2 := fmt.Sscan(string(out), &child); err != nil || err2 != nil {
		t.Fatalf("no child: %v %v", err, err2)
	}
	return child
}

func TestAnsibleThatDidNothing(t *testing.T) {
	for _, playbook := range ansibles(t) {
		for name, args := range map[string][]string{
			"a task that is not there":       {"-i", "localhost,", "--start-at-task", "nosuch"},
			"an inventory that is not there": {"-i", "nosuch"},
			"tags without a match":           {"-i", "localhost,", "--tags", "nosuch"},
		} {
			t.Run(playbook+" "+name, func(t *testing.T) {
				b := newBench(t)
				b.set("LC_ALL", "C.UTF-8")
				b.set("ANSIBLE_HOME", b.dir)
				b.write("p.yml", "- hosts: all\n  connection: local\n  gather_facts: false\n  vars: {ansible_python_interpreter: /usr/bin/python3}\n  tasks:\n    - name: work\n      command: touch "+b.file("result")+"\n")
				b.step(append([]string{"40", "--produces", "result", "--", playbook, "p.yml"}, args...)...).want(t, 1, "nothing_done")
				if v := b.view(); v.Class != "nothing_done" {
					t.Errorf("class %s", v.Class)
				}
			})
		}
	}
}
