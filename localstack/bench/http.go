package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"bldst/localstack"
)

// withStack runs f on a stack in a folder of its own.
func withStack(ctx context.Context, f func(s *localstack.Stack) error) error {
	dir, err := os.MkdirTemp("", "bldst-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return onStack(ctx, dir, f)
}

// onStack runs f on a stack in the folder.
func onStack(ctx context.Context, dir string, f func(s *localstack.Stack) error) error {
	s, err := localstack.Start(ctx, localstack.Options{Data: dir})
	if err != nil {
		return err
	}
	if err := f(s); err != nil {
		_ = s.Stop(ctx)
		return err
	}
	return s.Stop(ctx)
}

// newBuild creates a build and returns its id.
func newBuild(base string) (string, error) {
	body := `{"platform_id":"aws-commercial","os_version_id":"rhel-9.3","image_type_id":"base"}`
	req, err := http.NewRequest(http.MethodPost, base+"/builds", bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	req.Header.Set("X-API-Key", key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var b struct {
		ID string `json:"id"`
	}
	if err := json.NewDecoder(res.Body).Decode(&b); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("create build: %s", res.Status)
	}
	return b.ID, nil
}

// reports returns the requests that walk a build of each client through its
// states, again and again.
func reports(base string, clients int) (func(c, i int) []byte, error) {
	ready := make([][][]byte, clients)
	for c := range clients {
		id, err := newBuild(base)
		if err != nil {
			return nil, err
		}
		for code := 5; code < 100; code += 5 {
			ready[c] = append(ready[c], request("POST", "/builds/"+id+"/state",
				fmt.Sprintf(`{"state_code":%d,"status":"in_progress","message":"Working on state %d"}`, code, code)))
		}
	}
	return func(c, i int) []byte { return ready[c][i%len(ready[c])] }, nil
}

const clients = 64

func benchHTTP(ctx context.Context, r *report, runs int) error {
	return withStack(ctx, func(s *localstack.Stack) error {
		var alone, many, gets []float64
		single, err := reports(s.URL, 1)
		if err != nil {
			return err
		}
		crowd, err := reports(s.URL, clients)
		if err != nil {
			return err
		}
		get := request("GET", "/platforms/aws-commercial", "")
		for run := range runs + 1 { // the first warms up
			a, err := drive(s.URL, 1, 1000, http.StatusOK, single)
			if err != nil {
				return err
			}
			b, err := drive(s.URL, clients, 400, http.StatusOK, crowd)
			if err != nil {
				return err
			}
			c, err := drive(s.URL, clients, 1000, http.StatusOK, func(int, int) []byte { return get })
			if err != nil {
				return err
			}
			if run > 0 {
				alone, many, gets = append(alone, float64(a.p50)/float64(time.Millisecond)), append(many, b.rate), append(gets, c.rate)
			}
		}
		r.add("POST state through HTTP, durable, p50 at 1 client", atMost(1, "ms"), "", alone...)
		r.add(fmt.Sprintf("POST state through HTTP, durable, at %d clients", clients), atLeast(5000, "/s"), "", many...)
		r.add(fmt.Sprintf("GET platform with API key, at %d clients", clients), atLeast(10000, "/s"), "", gets...)
		return nil
	})
}
