// Command cost says what builds cost on AWS: it runs some on the system on one
// machine, counts what AWS would bill, and multiplies by the prices of
// infra/prices.json. Storage, transfer and the artifacts themselves are not in
// it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"bldst/localstack"
	"bldst/localstack/meter"
)

// limit is what 1,000 builds may cost, in USD.
const limit = 2.50

// What a build is here.
const (
	sample  = 3 // builds that are run
	reports = 21
	beats   = 200
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	p, err := readPrices("infra/prices.json")
	if err != nil {
		return err
	}
	counts, err := measure(ctx)
	if err != nil {
		return err
	}
	if total := p.print(os.Stdout, counts); total > limit {
		return fmt.Errorf("1,000 builds cost %.3f USD, which is more than %.2f", total, limit)
	}
	return nil
}

// measure runs the sample and returns what one build takes of each.
func measure(ctx context.Context) (map[string]float64, error) {
	dir, err := os.MkdirTemp("", "bldst-cost-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var logged counter
	var m meter.Meter
	s, err := localstack.Start(ctx, localstack.Options{Data: dir, Meter: &m, Log: slog.New(slog.NewJSONHandler(&logged, nil))})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Stop(ctx) }()
	c := &client{url: s.URL}
	time.Sleep(2 * time.Second) // the development data has been relayed
	m.Reset()
	c.requests = 0
	logged.n.Store(0)
	var transitions int
	for i := range sample {
		n, err := c.build(ctx, i)
		if err != nil {
			return nil, err
		}
		transitions += n
	}
	counts, _ := m.Counts()
	counts["apigateway_requests"], counts["states_transitions"], counts["log_bytes"] = float64(c.requests), float64(transitions), float64(logged.n.Load())
	for k := range counts {
		counts[k] /= sample
	}
	return counts, nil
}

// A counter counts the bytes that are written to it.
type counter struct{ n atomic.Int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// A client reports builds.
type client struct {
	url      string
	requests int
}

// build takes one build from its creation to its end and returns how many
// transitions its execution made.
func (c *client) build(ctx context.Context, i int) (int, error) {
	var b struct{ ID string }
	if err := c.call(ctx, "/builds", map[string]any{"build_number": fmt.Sprintf("cost-%d", i), "platform_id": "aws-commercial", "os_version_id": "rhel-8.8", "image_type_id": "base"}, &b); err != nil {
		return 0, err
	}
	if err := wait(ctx, func() bool { n, _, err := c.history(ctx, b.ID); return err == nil && n >= 3 }); err != nil {
		return 0, err
	}
	for r := range reports {
		code, status := r*5, "in_progress"
		if r == reports-1 {
			status = "completed"
		}
		if err := c.call(ctx, "/builds/"+b.ID+"/state", map[string]any{"state_code": code, "status": status, "message": "state of a build"}, nil); err != nil {
			return 0, err
		}
		for k := r * beats / (reports - 1); r < reports-1 && k < (r+1)*beats/(reports-1); k++ {
			if err := c.call(ctx, "/builds/"+b.ID+"/heartbeat", map[string]any{"progress": 50}, nil); err != nil {
				return 0, err
			}
		}
		time.Sleep(100 * time.Millisecond) // a state takes longer than its relay
	}
	transitions := 0
	err := wait(ctx, func() bool {
		n, ended, err := c.history(ctx, b.ID)
		transitions = n
		return err == nil && ended
	})
	return transitions, err
}

func (c *client) call(ctx context.Context, path string, body, answer any) error {
	c.requests++
	res, err := c.post(ctx, path, body, map[string]string{"X-API-Key": "dev-key-12345"})
	if err != nil {
		return err
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(res, answer)
}

func (c *client) post(ctx context.Context, path string, body any, headers map[string]string) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("POST %s: %s %s", path, res.Status, out)
	}
	return out, err
}

// history returns how many states the execution of a build has entered, and
// whether it has ended.
func (c *client) history(ctx context.Context, build string) (entered int, ended bool, err error) {
	arn := strings.Replace(localstack.MachineARN, ":stateMachine:", ":execution:", 1) + ":" + build + "-a1"
	token := ""
	for {
		in := map[string]any{"executionArn": arn, "maxResults": 1000}
		if token != "" {
			in["nextToken"] = token
		}
		raw, err := c.post(ctx, "/", in, map[string]string{"X-Amz-Target": "AWSStepFunctions.GetExecutionHistory", "Content-Type": "application/x-amz-json-1.0"})
		if err != nil {
			return 0, false, err
		}
		var page struct {
			Events    []struct{ Type string }
			NextToken string
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return 0, false, err
		}
		for _, e := range page.Events {
			if n := len(e.Type); n > 12 && e.Type[n-12:] == "StateEntered" {
				entered++
			}
			ended = ended || e.Type == "ExecutionSucceeded" || e.Type == "ExecutionFailed"
		}
		if token = page.NextToken; token == "" {
			return entered, ended, nil
		}
	}
}

func wait(ctx context.Context, done func() bool) error {
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("the execution of a build does not move")
		}
	}
	return nil
}
