package states_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bldst/localstack/clock"
	"bldst/localstack/states"
)

// many is how many executions wait at once.
const many = 10000

// loopMachine waits for reports, one after the other, as a build does; its
// input is of the size of theirs.
const loopMachine = `{"StartAt": "Await", "States": {
	"Await": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Parameters": {"FunctionName": "park", "Payload": {"id.$": "$.id", "token.$": "$$.Task.Token"}},
		"HeartbeatSeconds": 3600, "TimeoutSeconds": 86400, "ResultPath": "$.report", "Next": "Route"},
	"Route": {"Type": "Choice", "Choices": [{"Variable": "$.report.status", "StringEquals": "in_progress", "Next": "Await"}], "Default": "Done"},
	"Done": {"Type": "Succeed"}}}`

// call makes a request without a network in between.
func call(tb testing.TB, e *states.Engine, name string, in any) {
	body, err := json.Marshal(in)
	if err != nil {
		tb.Fatal(err)
	}
	r := httptest.NewRequestWithContext(tb.Context(), "POST", "/", bytes.NewReader(body))
	r.Header.Set("X-Amz-Target", states.Target+name)
	w := httptest.NewRecorder()
	if e.ServeHTTP(w, r); w.Code != 200 {
		tb.Fatalf("%s: %s", name, w.Body)
	}
}

// startMany starts the executions of a machine from 64 callers at a time.
func startMany(b *testing.B, e *states.Engine, input string) {
	b.Helper()
	var callers sync.WaitGroup
	for c := range 64 {
		callers.Go(func() {
			for i := c; i < many; i += 64 {
				call(b, e, "StartExecution", map[string]any{"stateMachineArn": arnOf("m"), "name": fmt.Sprintf("e%d", i), "input": fmt.Sprintf(input, i)})
			}
		})
	}
	callers.Wait()
}

// BenchmarkReactionOfOneOfTenThousandWaiting measures, with 10,000 executions
// waiting in this process, how long one of them takes from a report until it
// waits for the next; and what all of them take in memory.
func BenchmarkReactionOfOneOfTenThousandWaiting(b *testing.B) {
	parked := make(chan string, many)
	e, err := states.Open(states.Options{
		Path: filepath.Join(b.TempDir(), "states.db"), Machines: []states.Machine{machineOf("m", loopMachine)},
		Invoker: lambdas{"park": func(_ context.Context, payload []byte) ([]byte, error) {
			var request struct{ Token string }
			err := json.Unmarshal(payload, &request)
			parked <- request.Token
			return nil, err
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	startMany(b, e, `{"id": "%d", "more": "`+strings.Repeat("x", 1000)+`"}`)
	e.Settle()
	var tokens []string
	for range many {
		tokens = append(tokens, <-parked)
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		at := time.Now()
		call(b, e, "SendTaskSuccess", map[string]any{"taskToken": tokens[i%many], "output": `{"status": "in_progress"}`})
		tokens[i%many] = <-parked
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(memory.HeapInuse)/(1<<20), "heap-MiB")
	b.ReportMetric(residentMiB(), "resident-MiB")
}

// residentMiB is what the process has in memory, pages of the file included; 0
// where the system does not say.
func residentMiB() float64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kb float64
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, _ = fmt.Sscan(rest, &kb)
		}
	}
	return kb / 1024
}

// BenchmarkRestartWithTenThousandOpen measures how long it takes until, after a
// restart, 10,000 executions whose waits ended meanwhile have all gone on.
func BenchmarkRestartWithTenThousandOpen(b *testing.B) {
	var opened time.Duration
	for b.Loop() {
		b.StopTimer()
		fake := clock.NewFake(noon)
		o := states.Options{
			Path: filepath.Join(b.TempDir(), "states.db"), Clock: fake,
			Machines: []states.Machine{machineOf("m", `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "Next": "V"}, "V": {"Type": "Wait", "Seconds": 60, "End": true}}}`)},
		}
		e, err := states.Open(o)
		if err != nil {
			b.Fatal(err)
		}
		startMany(b, e, `{"id": "%d", "more": "`+strings.Repeat("x", 1000)+`"}`)
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		fake.Advance(time.Minute)
		b.StartTimer()
		at := time.Now()
		if e, err = states.Open(o); err != nil {
			b.Fatal(err)
		}
		opened = time.Since(at)
		e.Settle()
		b.StopTimer()
		stats, err := e.Stats(executionOf("m", fmt.Sprintf("e%d", many-1)))
		if err != nil || stats.State != "V" {
			b.Fatalf("the last one is in %+v, %v", stats, err)
		}
		_ = e.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(opened.Milliseconds()), "open-ms")
}
