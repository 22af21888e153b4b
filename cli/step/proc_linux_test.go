package step_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sleepers counts the processes that sleep for that odd number of seconds,
// which names those of one test.
func sleepers(t testing.TB, seconds string) int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range dirs {
		data, _ := os.ReadFile(d)
		if strings.HasPrefix(string(data), "sleep\x00"+seconds+"\x00") {
			n++
		}
	}
	return n
}

// family is a command whose processes have left its group in every way there
// is: a job of a shell, timeout(1), a session of its own, a daemon.
func family(seconds string) string {
	return fmt.Sprintf(`sleep %[1]s & timeout 600 sleep %[1]s & setsid sleep %[1]s & (setsid sh -c 'sleep %[1]s & exec sleep %[1]s' &) ; `, seconds)
}

func TestASignalEndsAllOfTheCommandAndNothingElse(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		name string
		sig  syscall.Signal
		code int
		stub string // what the command does about signals
	}{
		{"INT", syscall.SIGINT, 130, ""}, {"TERM", syscall.SIGTERM, 143, ""}, {"HUP", syscall.SIGHUP, 129, ""},
		{"TERM to a command that does not listen", syscall.SIGTERM, 137, "trap '' TERM INT HUP; "},
		{"TERM to a command that ends well all the same", syscall.SIGTERM, 143, "trap 'exit 0' TERM; "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			seconds := fmt.Sprint(91000 + i)
			other := exec.Command("sleep", seconds+".5")
			if err := other.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
			cmd := b.command("30", "--grace", "300ms", "--", "bash", "-c", c.stub+family(seconds)+"touch begun; while :; do sleep 0.05; done")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the command", func() bool { return b.exists("begun")() && sleepers(t, seconds) == 5 })
			_ = cmd.Process.Signal(c.sig)
			_ = cmd.Wait()
			if n := sleepers(t, seconds); n != 0 {
				t.Errorf("%d processes of the command live on", n)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
			if err := other.Process.Signal(syscall.Signal(0)); err != nil {
				t.Errorf("another process was ended: %v", err)
			}
			fs := b.failures()
			if len(fs) != 1 || fs[0].Type != "interrupted" || fs[0].Class != "transient" {
				t.Errorf("failures %+v, want one that was interrupted", fs)
			}
		})
	}
}

func TestWhatIsLeftBehindIsNamedAndEnded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.step("10", "--", "bash", "-c", family("92001")+"exit 0").want(t, 0, "left processes behind, which were ended", "sleep")
	if n := sleepers(t, "92001"); n != 0 {
		t.Errorf("%d processes live on after success", n)
	}
	b.step("20", "--", "bash", "-c", family("92002")+"exit 3").want(t, 3, "left processes behind")
	if n := sleepers(t, "92002"); n != 0 {
		t.Errorf("%d processes live on after a failure", n)
	}
	b.step("20", "--grace", "100ms", "--", "bash", "-c", `setsid bash -c 'trap "" TERM HUP; touch deaf; while :; do sleep 0.1; done' & until test -e deaf; do sleep 0.01; done`).want(t, 0, "bash")
}

func TestAKilledStepIsGoneOnWith(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cmd := b.command("30", "--", "bash", "-c", family("93001")+"touch begun; sleep 93001; touch late")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command", func() bool { return b.exists("begun")() && sleepers(t, "93001") == 6 })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	b.step("30", "--grace", "2s", "--", "sh", "-c", "echo attempt $BLDST_ATTEMPT").want(t, 0, "attempt 2", "left behind by state 30 that was killed")
	if n := sleepers(t, "93001"); n != 0 {
		t.Errorf("%d processes of the killed step live on", n)
	}
	if b.exists("late")() {
		t.Error("the killed command went on")
	}
}

func TestABrokenPipeDoesNotEndTheCommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := b.command("10", "--", "bash", "-c", "echo first; head -c 100000000 /dev/zero; touch after; exit 5")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	_, _ = bufio.NewReaderSize(r, 16).ReadString('\n')
	_ = r.Close()
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 5 || !b.exists("after")() {
		t.Errorf("exit code %d, want that of the command, 5", got)
	}
}

func TestAnyOutputIsPassedOnAsItIs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	out, err := os.Create(b.file("out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := b.command("10", "--", "bash", "-c", `head -c 100000000 /dev/zero; printf 'a\0b\xff\x1b[31mred\x1b[0m no newline'; exit 1`)
	cmd.Stdout = out
	run(t, cmd).want(t, 1)
	if info, _ := out.Stat(); info.Size() != 100000000+27 {
		t.Errorf("%d bytes came through", info.Size())
	}
	fs := b.failures()
	if len(fs) != 1 || !strings.HasSuffix(fs[0].Message, "ab\uFFFDred no newline") {
		t.Errorf("failures %+v", fs)
	}
}

// probe prints what a command sees of its streams.
const probe = `import fcntl, os, sys
sys.stderr.write(" ".join("%d:%s:%s" % (fd, bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK), os.isatty(fd)) for fd in (0, 1, 2)) + "\n")`

func TestNoStreamOfTheCommandIsNonBlocking(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 tells what a command sees, and is not here")
	}
	b := newBench(t)
	for i, flags := range [][]string{{}, {"--log", b.file("log")}} {
		args := append(append([]string{strconv.Itoa(10 * (i + 1))}, flags...), "--", "python3", "-c", probe)
		b.step(args...).want(t, 0, "0:False:False 1:False:False 2:False:False")
	}
	tty := openTerminal(t)
	cmd := b.command("50", "--", "python3", "-c", probe)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty.user, tty.user, tty.user
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	run(t, cmd).want(t, 0)
	if got := tty.read(t); !strings.Contains(got, "0:False:True 1:False:True 2:False:True") {
		t.Errorf("on a terminal the command sees %q", got)
	}
}

func TestATerminalIsLentToTheCommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tty := openTerminal(t)
	cmd := b.command("10", "--", "bash", "-c", `read line; echo "got $line"; touch reads; sleep 94001`)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty.user, tty.user, tty.user
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := tty.person.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was typed", b.exists("reads"))
	if _, err := tty.person.WriteString("\x03"); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 130 {
		t.Errorf("exit code %d after Ctrl-C, want 130; the terminal shows %q", got, tty.read(t))
	}
	if v := b.view(); v.Status != "failed" || v.Class != "transient" {
		t.Errorf("the build is %+v", v)
	}
}

// A pair is a pseudo-terminal: what a person types and sees, and what a program
// has.
type pair struct{ person, user *os.File }

func openTerminal(t *testing.T) pair {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no pseudo-terminals here: ", err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	user, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = user.Close(); _ = person.Close() })
	return pair{person, user}
}

// read returns what the terminal shows.
func (p pair) read(t *testing.T) string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		buf := make([]byte, 4096)
		n, _ := p.person.Read(buf)
		got <- string(buf[:n])
	}()
	select {
	case s := <-got:
		return s
	case <-time.After(5 * time.Second):
		return ""
	}
}
