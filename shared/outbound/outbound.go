// Package outbound is the one way out of the system to addresses that users
// give: CI servers, webhooks, chat. It is a way to them and not into the
// network around us: an address is checked when it is dialled, after it was
// resolved, redirects are not followed, and every request ends. Its errors name
// the host and never the rest of an address, a header or a body, which may hold
// credentials.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Options of a Client. The zero value allows https to public addresses.
type Options struct {
	Allow Allow

	Connect time.Duration // longest a connection may take; default 5 s
	Total   time.Duration // longest a request may take, its answer included; default 10 s
	MaxBody int64         // bytes of an answer that are kept; default 64 KiB

	// Lookup resolves a name; default the resolver of the system.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Pause waits between tries; default a timer.
	Pause func(ctx context.Context, d time.Duration) error
}

// Defaults of Options.
const (
	connectTimeout = 5 * time.Second
	totalTimeout   = 10 * time.Second
	maxBody        = 64 << 10
)

// A Client sends requests. It is safe for concurrent use.
type Client struct {
	o    Options
	http *http.Client
}

// New returns a client.
func New(o Options) *Client {
	if o.Connect == 0 {
		o.Connect = connectTimeout
	}
	if o.Total == 0 {
		o.Total = totalTimeout
	}
	if o.MaxBody == 0 {
		o.MaxBody = maxBody
	}
	if o.Lookup == nil {
		o.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Pause == nil {
		o.Pause = pause
	}
	c := &Client{o: o}
	c.http = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ // without a proxy: it would do the dialling
			DialContext: c.dial, ForceAttemptHTTP2: true, TLSHandshakeTimeout: o.Connect, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: maxBody, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		},
	}
	return c
}

// dial resolves addr and connects to the first of its addresses that may be
// reached and answers.
func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	addrs, err := c.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: c.o.Connect, Control: func(_, to string, _ syscall.RawConn) error { return c.o.Allow.dialling(to) }}
	err = fmt.Errorf("no address")
	for _, a := range addrs {
		var conn net.Conn
		if conn, err = d.DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (c *Client) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Connect)
	defer cancel()
	return c.o.Lookup(ctx, host)
}

// A Request is one request to be sent, perhaps several times.
type Request struct {
	Method string // default POST
	URL    string
	Header http.Header
	Body   []byte

	// Once says that what the request does must not be done twice: Send does
	// not repeat it after a try that may have arrived.
	Once bool
}

// A Response is what came back, with any status.
type Response struct {
	Status int
	Header http.Header
	Body   []byte // no more than Options.MaxBody
}

// OK reports whether the status is one of success.
func (r *Response) OK() bool { return r.Status >= 200 && r.Status < 300 }

// Err returns nil when the status is one of success, else an Error that says
// which it was.
func (r *Response) Err(host string) error {
	switch {
	case r.OK():
		return nil
	case r.Status >= 300 && r.Status < 400:
		return &Error{Host: host, Why: fmt.Sprintf("answered %d; redirects are not followed, give the final address", r.Status), Status: r.Status}
	default:
		return &Error{Host: host, Why: fmt.Sprintf("answered %d %s", r.Status, http.StatusText(r.Status)), Status: r.Status, Again: again(r.Status), Sent: gateway(r.Status)}
	}
}

func again(status int) bool { return status == http.StatusTooManyRequests || status >= 500 }

// gateway reports whether the answer is of a server in between, which does not
// know what became of the request.
func gateway(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusGatewayTimeout
}

// Do sends r once. Its error is an *Error.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	u, err := c.o.Allow.URL(r.URL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Total)
	defer cancel()
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, &Error{Host: u.Host, Why: "is not an address a request can be sent to"}
	}
	req.Header = r.Header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "bldst")
	}
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
	resp, err := c.http.Do(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		return nil, failed(u.Host, sent.Load(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.o.MaxBody))
	if err != nil {
		return nil, failed(u.Host, true, err)
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// Tries is how often Send sends a request at most.
const Tries = 4

// firstPause is the wait after the first try; each further one is twice as
// long. No wait that a server asks for is longer than maxPause.
const (
	firstPause = time.Second
	maxPause   = 10 * time.Second
)

// Send sends r until it is answered with anything but 429 and 5xx, at most
// Tries times and not past the deadline of ctx. It returns the last answer, or
// the last error, and how often it tried.
func (c *Client) Send(ctx context.Context, r Request) (*Response, int, error) {
	wait := firstPause
	for try := 1; ; try++ {
		resp, err := c.Do(ctx, r)
		if try == Tries || err != nil && !IsTemporary(err) || err == nil && !again(resp.Status) || r.Once && mayHaveArrived(resp, err) {
			return resp, try, err
		}
		w := max(wait, retryAfter(resp))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < w+c.o.Total {
			return resp, try, err
		}
		if c.o.Pause(ctx, w) != nil {
			return resp, try, err
		}
		wait *= 2
	}
}

// mayHaveArrived reports whether a request that was not answered, or answered
// for by a server in between, may have been carried out.
func mayHaveArrived(r *Response, err error) bool { return Sent(err) || err == nil && gateway(r.Status) }

// retryAfter returns how long the server wants to be left alone.
func retryAfter(r *Response) time.Duration {
	if r == nil {
		return 0
	}
	secs, err := strconv.Atoi(r.Header.Get("Retry-After"))
	if err != nil || secs < 0 {
		return 0
	}
	return min(time.Duration(secs)*time.Second, maxPause)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// An Error says why a request was not answered as it should be. It is safe to
// show and to keep.
type Error struct {
	Host   string
	Why    string
	Status int  // of the answer, 0 without one
	Again  bool // another try may help
	Sent   bool // the request may have been carried out all the same
}

func (e *Error) Error() string { return e.Host + " " + e.Why }

// IsTemporary reports whether another try may help.
func IsTemporary(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Again
}

// Sent reports whether the request that failed may have been carried out all
// the same: it was sent, and nobody knows what became of it.
func Sent(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Sent
}

// failed turns what net/http says into an Error: its own text holds the
// address.
func failed(host string, sent bool, err error) error {
	var own *Error
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &own):
		return &Error{Host: host, Why: own.Why, Again: own.Again, Sent: own.Sent}
	case errors.Is(err, context.Canceled):
		return &Error{Host: host, Why: "was not waited for", Again: true, Sent: sent}
	case errors.As(err, &dns) && dns.IsNotFound:
		return &Error{Host: host, Why: "is not the name of a host", Again: true}
	case errors.As(err, &cert):
		return &Error{Host: host, Why: "has a certificate that cannot be trusted"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &Error{Host: host, Why: "did not answer in time", Again: true, Sent: sent}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Host: host, Why: "refused the connection", Again: true}
	default:
		return &Error{Host: host, Why: "could not be reached", Again: true, Sent: sent}
	}
}

// HostOf returns the host of an address, for errors; never more of it.
func HostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "the address"
	}
	return u.Host
}
