package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A conn is one kept-alive HTTP connection. It writes requests whose bytes are
// ready and reads answers without parsing what it does not need, so that the
// generator takes little of the two cores it shares with the system.
type conn struct {
	c net.Conn
	r *bufio.Reader
}

func dial(base string) (*conn, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	return &conn{c: c, r: bufio.NewReaderSize(c, 64<<10)}, nil
}

// do sends one request and returns the status of its answer.
func (c *conn) do(request []byte) (int, error) {
	if _, err := c.c.Write(request); err != nil {
		return 0, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil || len(line) < len("HTTP/1.1 200") {
		return 0, fmt.Errorf("status line %q: %w", line, err)
	}
	status, err := strconv.Atoi(string(line[len("HTTP/1.1 "):len("HTTP/1.1 200")]))
	if err != nil {
		return 0, err
	}
	length := -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) == len("\r\n") {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("the answer has no Content-Length")
	}
	_, err = c.r.Discard(length)
	return status, err
}

// request returns the bytes of one request.
func request(method, path, body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s\r\n", method, path, key)
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// key is the development key the load is sent with.
const key = "dev-key-12345"

// A sample is what a run of requests measured.
type sample struct {
	rate     float64 // requests a second
	p50, p99 time.Duration
}

// drive sends n requests from each of the clients, one after the other on a
// connection each. next returns request i of client c. Every answer must have
// the status want.
func drive(base string, clients, n, want int, next func(c, i int) []byte) (sample, error) {
	took := make([][]time.Duration, clients)
	var failed atomic.Value
	var wg sync.WaitGroup
	begin := time.Now()
	for c := range clients {
		wg.Go(func() {
			if err := one(base, n, want, func(i int) []byte { return next(c, i) }, &took[c]); err != nil {
				failed.Store(err)
			}
		})
	}
	wg.Wait()
	all := time.Since(begin)
	if err, ok := failed.Load().(error); ok {
		return sample{}, err
	}
	every := slices.Concat(took...)
	slices.Sort(every)
	return sample{rate: float64(len(every)) / all.Seconds(), p50: every[len(every)/2], p99: every[len(every)*99/100]}, nil
}

func one(base string, n, want int, next func(int) []byte, took *[]time.Duration) error {
	conn, err := dial(base)
	if err != nil {
		return err
	}
	defer conn.c.Close()
	for i := range n {
		req := next(i)
		begin := time.Now()
		status, err := conn.do(req)
		if err != nil {
			return err
		}
		if status != want {
			return fmt.Errorf("answered %d, not %d: %.80s", status, want, req)
		}
		*took = append(*took, time.Since(begin))
	}
	return nil
}
