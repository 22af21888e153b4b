package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bldst/localstack"
	"bldst/localstack/lambdaruntime"
)

// maxBootstrap is the size a function may have, and firstAnswer the time from
// its start to its first answer.
const (
	maxBootstrap = 9 << 20
	firstAnswer  = 12 // ms
)

// benchBootstraps measures every built function behind the Runtime API.
func benchBootstraps(ctx context.Context, r *report, runs int, dist string) error {
	paths, err := filepath.Glob(filepath.Join(dist, "*", "bootstrap"))
	if err != nil || len(paths) == 0 {
		return fmt.Errorf("no functions in %s; run make build first", dist)
	}
	server := httptest.NewServer(http.HandlerFunc(noTable))
	defer server.Close()
	var slowest, largest float64
	var slow, large string
	for _, path := range paths {
		name := filepath.Base(filepath.Dir(path))
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if size := float64(info.Size()); size > largest {
			largest, large = size, name
		}
		p50, err := spawn(ctx, path, name, bootstrapEnv(server.URL), runs*4+1)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if p50 > slowest {
			slowest, slow = p50, name
		}
	}
	r.add("bootstrap, spawn to first answer, p50 of the slowest", atMost(firstAnswer, "ms"), "("+slow+")", slowest)
	r.add("bootstrap, size of the largest", atMost(maxBootstrap/float64(1<<20), "MiB"), "("+large+")", largest/(1<<20))
	return nil
}

// spawn returns the median time, in ms, from starting the function to its
// answer to a first event.
func spawn(ctx context.Context, path, name string, environment []string, runs int) (float64, error) {
	var took []float64
	for range runs {
		begin := time.Now()
		env, err := lambdaruntime.Start(lambdaruntime.Options{Bootstrap: path, Name: name, Env: environment})
		if err != nil {
			return 0, err
		}
		_, err = env.Invoke(ctx, []byte(`{"path":"/no/such/path","httpMethod":"GET","requestContext":{"requestId":"r"}}`))
		took = append(took, float64(time.Since(begin))/float64(time.Millisecond))
		env.Stop()
		var refusal *lambdaruntime.FunctionError
		if errors.As(err, &refusal) && !strings.HasPrefix(refusal.Type, "Runtime.") {
			err = nil // an error is an answer
		}
		if err != nil {
			return 0, err
		}
	}
	return median(took), nil
}

// bootstrapEnv is the configuration of a function that is started to be
// measured; what answers at the endpoint of AWS knows no table.
func bootstrapEnv(endpoint string) []string {
	return []string{"TABLE_NAME=bldst", "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=s", "AWS_ENDPOINT_URL=" + endpoint, "STAGE=dev",
		"JWT_KEYS=k1:0123456789abcdef0123456789abcdef0123456789abcdef", "STATE_MACHINE_ARN=arn:aws:states:us-east-1:000000000000:stateMachine:bldst-build"}
}

// noTable is AWS without anything in it.
func noTable(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"__type":"ResourceNotFoundException","message":"there is none"}`)
}

// benchProcess measures the built program from outside: how soon it answers
// with many builds in its folder, and how much memory it keeps.
func benchProcess(ctx context.Context, r *report, runs int, bin string) error {
	dir, err := os.MkdirTemp("", "bldst-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := localstack.Start(ctx, localstack.Options{Data: dir})
	if err != nil {
		return err
	}
	if err := fill(ctx, s, 0, 10_000); err != nil {
		return err
	}
	if err := s.Stop(ctx); err != nil {
		return err
	}
	var starts []float64
	for range runs {
		p, err := start(bin, dir)
		if err != nil {
			return err
		}
		starts = append(starts, p.ready)
		p.stop()
	}
	r.add("start of the built program to /health, 10,000 builds", atMost(150, "ms"), "", starts...)
	return benchMemory(r, bin, dir)
}

func benchMemory(r *report, bin, dir string) error {
	p, err := start(bin, dir)
	if err != nil {
		return err
	}
	defer p.stop()
	crowd, err := reports(p.url, clients)
	if err != nil {
		return err
	}
	get := request("GET", "/platforms/aws-commercial", "")
	if _, err := drive(p.url, clients, 781, http.StatusOK, crowd); err != nil { // 49,984
		return err
	}
	if _, err := drive(p.url, clients, 782, http.StatusOK, func(int, int) []byte { return get }); err != nil { // 50,048
		return err
	}
	mib, err := p.anonymous()
	if err != nil {
		return err
	}
	r.add("memory after 100,000 requests, data file not counted", atMost(60, "MiB"), "", mib)
	return nil
}

// A process is the built program, running.
type process struct {
	cmd   *exec.Cmd
	url   string
	ready float64 // ms from start to the first answer
}

func start(bin, dir string) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	p := &process{url: fmt.Sprintf("http://127.0.0.1:%d", port), cmd: exec.Command(bin, "local", "--port", strconv.Itoa(port), "--data", dir)}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w; run make build first", err)
	}
	for time.Since(begin) < 30*time.Second {
		if res, err := http.Get(p.url + "/health"); err == nil {
			_ = res.Body.Close()
			p.ready = float64(time.Since(begin)) / float64(time.Millisecond)
			return p, nil
		}
		time.Sleep(time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("%s did not answer", bin)
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// anonymous returns the resident memory that is not a mapped file, in MiB.
func (p *process) anonymous() (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if v, ok := strings.CutPrefix(sc.Text(), "RssAnon:"); ok {
			kib, err := strconv.Atoi(strings.Fields(v)[0])
			return float64(kib) / 1024, err
		}
	}
	return 0, fmt.Errorf("no RssAnon of process %d", p.cmd.Process.Pid)
}
