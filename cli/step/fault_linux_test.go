package step_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// inPlace builds files in steps of which each begins anew when it was
// interrupted, and reads what the one before has left.
const inPlace = `set -e
step() {
  "$BLDST" step "$1" --produces "$1.out" -- sh -ec '
    rm -f "$0.new"
    for i in 1 2 3 4 5 6; do echo "$0 $i" >>"$0.new"; sleep 0.01; done
    test -z "$1" || cat "$1.out" >>"$0.new"
    rm -f "$0.out"
    mv "$0.new" "$0.out"' "$@"
}
step 10
step 20 10
step 30 20
step 40 30
step 100 40
`

// withCheckpoints builds a file in steps that must not be done twice, nor left half
// done: each appends to what is there, bit by bit. Some leave a checkpoint, one
// does not.
const withCheckpoints = `set -e
work() { for i in 1 2 3 4 5 6; do echo "$1 $i" >>disk.img; sleep 0.01; done; }
export_work='work() { for i in 1 2 3 4 5 6; do echo "$1 $i" >>disk.img; sleep 0.01; done; }'
"$BLDST" step 10 --save disk-10=disk.img -- sh -ec 'rm -f disk.img; '"$export_work"'; work ten'
"$BLDST" step 20 --save disk-20=disk.img -- sh -ec "$export_work"'; work twenty'
"$BLDST" step 30 -- sh -ec "$export_work"'; work thirty'
"$BLDST" step 40 --save disk-40=disk.img -- sh -ec "$export_work"'; work forty & wait $!'
"$BLDST" step 50 -- sh -ec "$export_work"'; work fifty'
"$BLDST" step 100 --produces disk.sum -- sh -ec 'sha256sum disk.img >disk.sum.new; mv disk.sum.new disk.sum'
`

// A runner runs the script against a system in a process of its own.
type runner struct {
	t       *testing.T
	r       *rand.Rand
	dir     string
	port    int
	system  *exec.Cmd
	environ []string
}

func newRunner(t *testing.T, r *rand.Rand, script string) *runner {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &runner{t: t, r: r, dir: t.TempDir(), port: l.Addr().(*net.TCPAddr).Port}
	_ = l.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k.environ = append(os.Environ(), asBldst+"=1", "BLDST="+self, "CI=true", "HOME="+filepath.Join(k.dir, "home"), "BLDST_API_URL=http://localhost:"+strconv.Itoa(k.port),
		"BLDST_API_KEY=dev-key-12345", "BLDST_PLATFORM=aws-commercial", "BLDST_OS_VERSION=rhel-9.3", "BLDST_IMAGE_TYPE=base", "BLDST_WORKER=runner", "GOMEMLIMIT=64MiB")
	for _, sub := range []string{"home", "work"} {
		if err := os.MkdirAll(filepath.Join(k.dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(k.dir, "build.sh"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	k.start()
	t.Cleanup(k.stop)
	return k
}

func (k *runner) start() {
	self, _ := os.Executable()
	k.system = exec.Command(self, "local", "--port", strconv.Itoa(k.port), "--data", filepath.Join(k.dir, "data"))
	k.system.Env = k.environ
	log, err := os.OpenFile(filepath.Join(k.dir, "system.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		k.t.Fatal(err)
	}
	defer log.Close()
	k.system.Stdout, k.system.Stderr = log, log
	if err := k.system.Start(); err != nil {
		k.t.Fatal(err)
	}
	eventually(k.t, "the system", func() bool {
		resp, err := http.Get("http://localhost:" + strconv.Itoa(k.port) + "/health")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func (k *runner) stop() {
	_ = k.system.Process.Kill()
	_ = k.system.Wait()
}

// run runs the script once. After a while, unless that is 0, something is
// killed. It reports whether the script came to its end, and what was said.
func (k *runner) run(number string, while time.Duration, what string) (bool, string) {
	out := filepath.Join(k.dir, "out")
	f, err := os.Create(out)
	if err != nil {
		k.t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sh", filepath.Join(k.dir, "build.sh"))
	cmd.Dir, cmd.Env = filepath.Join(k.dir, "work"), append(k.environ, "BLDST_BUILD_NUMBER="+number)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	if while > 0 {
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(while):
			switch what {
			case "system":
				k.stop()
				time.Sleep(time.Duration(k.r.IntN(100)) * time.Millisecond)
				k.start()
			case "step":
				if pid := stepOf(cmd.Process.Pid); pid > 0 {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			default:
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			}
			<-ended
		}
	} else {
		_ = cmd.Wait()
	}
	said, _ := os.ReadFile(out)
	return cmd.ProcessState.Success(), string(said)
}

// stepOf returns the step a script is at.
func stepOf(pid int) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var child int
	_, _ = fmt.Sscan(string(data), &child)
	return child
}

// fresh takes everything away, as a new runner has nothing.
func (k *runner) fresh() {
	for _, sub := range []string{"work", "home"} {
		path := filepath.Join(k.dir, sub)
		for range 100 { // what a killed step has left may still write
			if os.RemoveAll(path) == nil {
				break
			}
		}
		if err := os.MkdirAll(path, 0o700); err != nil {
			k.t.Fatal(err)
		}
	}
}

// tree returns what is in the folder of the build.
func (k *runner) tree() string {
	var b strings.Builder
	root := filepath.Join(k.dir, "work")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		fmt.Fprintf(&b, "%s %x\n", rel, sha256.Sum256(data))
		return err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return b.String()
}

// TestKilledAtAnyMoment kills steps, whole runners and the system at random
// moments, sometimes with all that was on the runner, and goes on by running the
// script again. What comes out is, byte for byte, what an uninterrupted run
// makes. BLDST_FAULT_ROUNDS is the number of kills, BLDST_FAULT_SEED repeats a
// run.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	rounds, seed := int64(6), uint64(time.Now().UnixNano())
	if v, err := strconv.ParseInt(os.Getenv("BLDST_FAULT_ROUNDS"), 10, 64); err == nil {
		rounds = v
	}
	if v, err := strconv.ParseUint(os.Getenv("BLDST_FAULT_SEED"), 10, 64); err == nil {
		seed = v
	}
	t.Logf("BLDST_FAULT_SEED=%d BLDST_FAULT_ROUNDS=%d", seed, rounds)
	var kills atomic.Int64
	for lane := range uint64(2) {
		t.Run(fmt.Sprint("lane ", lane), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, lane))
			script, moves := inPlace, false
			if lane%2 == 0 {
				script, moves = withCheckpoints, true
			}
			k := newRunner(t, r, script)
			began := time.Now()
			if ok, said := k.run("reference", 0, ""); !ok {
				t.Fatalf("the uninterrupted run: %s", said)
			}
			took, want := time.Since(began), k.tree()
			for n := 0; kills.Load() < rounds; n++ {
				k.fresh()
				number := fmt.Sprintf("build-%d", n)
				var story strings.Builder
				for try := 0; ; try++ {
					while, what := time.Duration(0), [...]string{"step", "runner", "system"}[r.IntN(3)]
					if try < 3 {
						while = time.Duration(r.Int64N(int64(took))) + time.Millisecond
						kills.Add(1)
					}
					ok, said := k.run(number, while, what)
					fmt.Fprintf(&story, "--- %s after %s\n%s", what, while, said)
					if ok {
						break
					}
					if try > 8 {
						t.Fatalf("lane %d build %d does not end:\n%s", lane, n, story.String())
					}
					if moves && what == "runner" && r.IntN(2) == 0 {
						k.fresh()
						story.WriteString("--- another runner\n")
					}
				}
				if got := k.tree(); got != want {
					t.Fatalf("lane %d build %d:\n%s\nwant\n%s\n%s", lane, n, got, want, story.String())
				}
			}
		})
	}
	t.Cleanup(func() { t.Logf("%d kills", kills.Load()) })
}
