// Command bench measures how fast the command line starts: against a program of
// 60 empty cobra commands that it generates and builds, run in turn with bldst;
// and how long a shell waits for a completion. It prints a table.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// runs is how often each command is run; the median counts.
const runs = 41

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench() error {
	dir, err := os.MkdirTemp("", "bldst-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bldst, empty := filepath.Join(dir, "bldst"), filepath.Join(dir, "empty")
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(program(60)), 0o600); err != nil {
		return err
	}
	if len(os.Args) > 1 && os.Args[1] == "-step" {
		return steps(bldst, dir)
	}
	for out, what := range map[string]string{bldst: "./cli", empty: source} {
		if text, err := exec.Command("go", "build", "-trimpath", "-o", out, what).CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", what, err, text)
		}
	}
	fmt.Println("| what | reach | measured |\n|---|---|---|")
	for _, args := range [][]string{{"--help"}, {"version"}} {
		if err := compare(bldst, empty, args); err != nil {
			return err
		}
	}
	return completion(bldst, dir)
}

// program is a cobra program with n commands that do nothing.
func program(n int) string {
	var b strings.Builder
	b.WriteString("package main\n\nimport \"github.com/spf13/cobra\"\n\nfunc main() {\n\troot := &cobra.Command{Use: \"empty\", Short: \"Nothing\"}\n")
	for i := range n {
		name := fmt.Sprintf("command%d", i)
		if i == 0 {
			name = "version"
		}
		fmt.Fprintf(&b, "\troot.AddCommand(&cobra.Command{Use: %q, Short: \"Nothing\", Run: func(*cobra.Command, []string) {}})\n", name)
	}
	b.WriteString("\t_ = root.Execute()\n}\n")
	return b.String()
}

func compare(bldst, empty string, args []string) error {
	var ours, theirs []time.Duration
	for range runs {
		a, err := run(bldst, nil, args...)
		if err != nil {
			return err
		}
		b, err := run(empty, nil, args...)
		if err != nil {
			return err
		}
		ours, theirs = append(ours, a), append(theirs, b)
	}
	a, b := median(ours), median(theirs)
	fmt.Printf("| bldst %s, against 60 empty commands | ≤ 3 × | %.2f × (%s to %s) |\n", args[0], float64(a)/float64(b), short(a), short(b))
	return nil
}

// system starts a system of its own, and returns the environment that leads to
// it.
func system(bldst, dir string) (env []string, stop func(), err error) {
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, bldst, "local", "--port", port, "--data", filepath.Join(dir, "data"))
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	if err := server.Start(); err != nil {
		cancel()
		return nil, nil, err
	}
	stop = func() { cancel(); _ = server.Wait() }
	url := "http://127.0.0.1:" + port
	if err := await(url + "/health"); err != nil {
		stop()
		return nil, nil, err
	}
	return []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "BLDST_API_URL=" + url, "BLDST_API_KEY=dev-key-12345", "BLDST_NO_KEYRING=1"}, stop, nil
}

// completion measures the completion of build ids with a system of its own.
func completion(bldst, dir string) error {
	env, stop, err := system(bldst, dir)
	if err != nil {
		return err
	}
	defer stop()
	var took []time.Duration
	for range runs {
		d, err := run(bldst, env, "__complete", "build", "get", "")
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	fmt.Printf("| completion of build ids, local system | ≤ 50 ms | %s |\n", short(median(took)))
	return nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func await(url string) error {
	for range 200 {
		if resp, err := http.Get(url); err == nil {
			return resp.Body.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("the local system does not answer")
}

// run runs a program and returns how long it took.
func run(program string, env []string, args ...string) (time.Duration, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	begin := time.Now()
	err := cmd.Run()
	return time.Since(begin), err
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func short(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
