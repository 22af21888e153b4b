package client

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Retry says how often and after which pauses a request is repeated. The zero
// value means three tries, 200 ms growing to at most 5 s.
type Retry struct {
	Tries   int           // in all; 1 means no repetition
	Base    time.Duration // the first pause, before jitter; doubled each time
	Max     time.Duration // longest pause of our own choice
	MaxWait time.Duration // a Retry-After longer than this ends the tries; default 30 s

	Sleep  func(context.Context, time.Duration) error // default: a timer
	Jitter func() float64                             // in [0,1); default rand.Float64
	Now    func() time.Time                           // for a Retry-After that is a date; default time.Now
}

func (r Retry) withDefaults() Retry {
	if r.Tries <= 0 {
		r.Tries = 3
	}
	if r.Base <= 0 {
		r.Base = 200 * time.Millisecond
	}
	if r.Max <= 0 {
		r.Max = 5 * time.Second
	}
	if r.MaxWait <= 0 {
		r.MaxWait = 30 * time.Second
	}
	if r.Sleep == nil {
		r.Sleep = sleep
	}
	if r.Jitter == nil {
		r.Jitter = rand.Float64
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	return r
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// pause returns the pause after try number n: half fixed, half random, so that
// many clients that failed together do not return together.
func (r Retry) pause(n int) time.Duration {
	d := r.Base
	for i := 1; i < n && d < r.Max; i++ {
		d *= 2
	}
	d = min(d, r.Max)
	return d/2 + time.Duration(r.Jitter()*float64(d/2))
}

// repeat sends k until it is answered for good or the tries are used up.
func (c *Client) repeat(ctx context.Context, k call) (*Response, error) {
	for n := 1; ; n++ {
		resp, err := c.try(ctx, k)
		trace := Call{Method: k.method, URL: k.url, Try: n, Err: err}
		if resp != nil {
			trace.Status, trace.RequestID = resp.Status, resp.RequestID
		}
		c.o.Trace(trace)
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil && resp.Status >= 200 && resp.Status < 300 {
			return resp, nil
		}
		wait, again := c.again(k, n, resp, err)
		if !again {
			return nil, c.failure(k, resp, err)
		}
		if err := c.o.Retry.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// again reports whether try n of k is worth repeating, and after how long.
func (c *Client) again(k call, n int, resp *Response, err error) (time.Duration, bool) {
	if n >= c.o.Retry.Tries {
		return 0, false
	}
	wait := c.o.Retry.pause(n)
	if err != nil {
		return wait, dialFailed(err) || lost(err) && repeatable(k)
	}
	asked, given := retryAfter(resp.Header, c.o.Retry.Now)
	wait = max(wait, asked)
	switch resp.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
	case http.StatusConflict: // our own earlier try is still being carried out
		if !given || k.header.Get("Idempotency-Key") == "" {
			return 0, false
		}
	default:
		return 0, false
	}
	return wait, wait <= c.o.Retry.MaxWait && repeatable(k)
}

// repeatable reports whether sending k twice has the effect of sending it
// once. A form (only sign-in has one) changes nothing.
func repeatable(k call) bool {
	switch k.method {
	case http.MethodPatch:
		return false
	case http.MethodPost:
		return k.header.Get("Idempotency-Key") != "" || k.header.Get("Content-Type") == "application/x-www-form-urlencoded"
	default:
		return true
	}
}

// failure is the error of a last try.
func (c *Client) failure(k call, resp *Response, err error) error {
	if resp != nil {
		return refusal(k, resp, c.o.Retry.Now)
	}
	if errors.Is(err, errTooLarge) {
		return err
	}
	un := &Unreachable{URL: c.base.String(), Err: err}
	var ue *url.Error
	if errors.As(err, &ue) {
		un.Err = ue.Err // its text repeats the URL
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		un.Timeout = c.o.Timeout
	}
	return un
}

// dialFailed reports whether no connection came about, so that nothing was
// sent. A host name that does not exist will not exist in a second either.
func dialFailed(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return false
	}
	return errors.As(err, &op) && op.Op == "dial" && !op.Timeout()
}

// lost reports whether a connection broke while it was used.
func lost(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) {
		return (op.Op == "read" || op.Op == "write") && !op.Timeout()
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// retryAfter reads the header Retry-After, in seconds or as a date.
func retryAfter(h http.Header, now func() time.Time) (d time.Duration, given bool) {
	v := h.Get("Retry-After")
	if v == "" {
		return 0, false
	}
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return time.Duration(n) * time.Second, true
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now())), true
	}
	return 0, false
}
