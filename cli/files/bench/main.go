// Command bench-files measures how fast files are saved and restored: 1 GiB of
// random bytes through a bldst local of its own, against cp and sha256sum of the
// same file in the same run; how much memory that takes; and how much of a
// sparse image of 10 GiB with 200 MiB of data is moved. It prints a table.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	size   = 1 << 30
	sparse = 10 << 30
	data   = 200 << 20
)

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-files:", err)
		os.Exit(1)
	}
}

// A bench is a running bldst local with a build, and a folder of files.
type benchmark struct {
	dir, bldst, build string
	env               []string
}

func bench() (err error) {
	b := &benchmark{}
	if b.dir, err = os.MkdirTemp("", "bldst-bench-files-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.bldst = filepath.Join(b.dir, "bldst")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", b.bldst, "./cli").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := b.random("file", size); err != nil {
		return err
	}
	stop, err := b.start()
	if err != nil {
		return err
	}
	defer stop()
	return b.measure()
}

func (b *benchmark) path(name string) string { return filepath.Join(b.dir, name) }

// random writes a file that no compression and no hole makes smaller.
func (b *benchmark) random(name string, n int64) error {
	f, err := os.Create(b.path(name))
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, n)
	return errors.Join(err, f.Sync(), f.Close())
}

// image writes a file of holes with data in pieces of 1 MiB.
func (b *benchmark) image(name string) error {
	f, err := os.Create(b.path(name))
	if err != nil {
		return err
	}
	piece := make([]byte, 1<<20)
	_, _ = rand.Read(piece) // never fails
	pieces := int64(data / len(piece))
	for i := range pieces {
		if _, err := f.WriteAt(piece, i*(sparse/pieces)); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Truncate(sparse), f.Close())
}

// start starts bldst local and makes a build.
func (b *benchmark) start() (stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	b.env = append(os.Environ(), "BLDST_API_URL="+url, "BLDST_API_KEY=dev-key-12345", "HOME="+b.dir, "CI=1")
	server := exec.Command(b.bldst, "local", "--port", fmt.Sprint(port), "--data", b.path("data"))
	server.Env = b.env
	if err := server.Start(); err != nil {
		return nil, err
	}
	stop = func() { _ = server.Process.Signal(syscall.SIGTERM); _ = server.Wait() }
	for range 200 {
		if resp, err := http.Get(url + "/health"); err == nil {
			_ = resp.Body.Close()
			b.build, err = b.output("build", "create", "--platform", "aws-commercial", "--os", "rhel-9.3", "--type", "base", "-q")
			return stop, err
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return nil, errors.New("bldst local does not answer")
}

func (b *benchmark) output(args ...string) (string, error) {
	cmd := exec.Command(b.bldst, args...)
	cmd.Env, cmd.Stderr = b.env, os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// timed runs a command and returns how long it took, and how much memory.
func (b *benchmark) timed(name string, args ...string) (time.Duration, int64, error) {
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Env, cmd.Stderr = b.env, os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", name, err)
	}
	memory := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	if runtime.GOOS == "linux" {
		memory <<= 10
	}
	return time.Since(began), memory, nil
}

func (b *benchmark) measure() error {
	cp, _, err := b.timed("cp", b.path("file"), b.path("copy"))
	if err != nil {
		return err
	}
	sum, _, err := b.timed("sha256sum", b.path("copy"))
	if err != nil {
		return err
	}
	_ = os.Remove(b.path("copy"))
	durable, _, err := b.timed("dd", "if="+b.path("file"), "of="+b.path("copy"), "bs=8M", "conv=fsync", "status=none")
	if err != nil {
		return err
	}
	_ = os.Remove(b.path("copy"))
	push, pushed, err := b.timed(b.bldst, "artifact", "push", b.build, "file="+b.path("file"), "--state", "10")
	if err != nil {
		return err
	}
	pull, pulled, err := b.timed(b.bldst, "artifact", "pull", b.build, "file", b.path("back"))
	if err != nil {
		return err
	}
	if err := b.image("image"); err != nil {
		return err
	}
	hole, _, err := b.timed(b.bldst, "artifact", "push", b.build, "image="+b.path("image"), "--state", "20")
	if err != nil {
		return err
	}
	doc, err := b.output("artifact", "get", b.build, "image", "-o", "json")
	if err != nil {
		return err
	}
	var a struct {
		Size int64 `json:"size_bytes"`
	}
	if err := json.Unmarshal([]byte(doc), &a); err != nil {
		return err
	}
	base := cp + sum
	mib := func(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
	for _, row := range [][3]string{
		{"what", "reach", "measured"},
		{"cp and sha256sum of 1 GiB", "", fmt.Sprintf("%.2f s + %.2f s", cp.Seconds(), sum.Seconds())},
		{"the same copy, until it is on disk", "", fmt.Sprintf("%.2f s", durable.Seconds())},
		{"push of 1 GiB", "2 × as fast", fmt.Sprintf("%.2f s, %.1f ×", push.Seconds(), base.Seconds()/push.Seconds())},
		{"pull of 1 GiB", "2 × as fast", fmt.Sprintf("%.2f s, %.1f ×", pull.Seconds(), base.Seconds()/pull.Seconds())},
		{"memory of push / pull", "64 MiB", mib(pushed) + " / " + mib(pulled)},
		{"moved of 10 GiB with 200 MiB of data", "about 200 MiB", fmt.Sprintf("%s in %.2f s", mib(a.Size), hole.Seconds())},
	} {
		fmt.Printf("%-40s %-14s %s\n", row[0], row[1], row[2])
	}
	return nil
}
