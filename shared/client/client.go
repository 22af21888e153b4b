// Package client is the HTTP client of the API. The command line and the
// contract tests use it. It turns every refusal back into the problem the
// service raised (see [Error]), repeats what may be repeated, and never sends
// a credential to a host other than the one it was made for.
//
//	c, err := client.New(client.Options{BaseURL: "https://builds.example.org/prod", APIKey: key})
//	var b build.Build
//	err = c.Do(ctx, "GET", client.Path("builds", id), nil, nil, &b)
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"bldst/shared/id"
)

// maxBody bounds how much of an answer is read.
const maxBody = 64 << 20

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxBody)

// Options configure a Client. Only BaseURL is required.
type Options struct {
	BaseURL   string        // may carry a path, e.g. the stage of an API Gateway
	APIKey    string        // sent as X-API-Key; wins over Token
	Token     string        // sent as Authorization: Bearer
	Timeout   time.Duration // of one try; default 30 s
	UserAgent string        // default "bldst-client"
	HTTP      *http.Client  // default: one with the settings of http.DefaultTransport
	Retry     Retry
	NewID     id.Source  // of Idempotency-Key; default id.New
	Trace     func(Call) // called after every try

	// Refresh returns another token in place of one that was refused. It is
	// asked once a minute at most; without it, or when it fails, the refusal
	// stands.
	Refresh func(context.Context) (string, error)

	// Warn is told the text of every Warning header of an answer: what the
	// service did not understand, or understood otherwise.
	Warn func(string)
}

// A Call is one try of one request, as told to Options.Trace. It holds no
// credential.
type Call struct {
	Method    string
	URL       string
	Try       int // from 1
	Status    int // 0 when there was no answer
	RequestID string
	Err       error
}

// A Client calls one API. It is safe for concurrent use.
type Client struct {
	base *url.URL
	o    Options
	http *http.Client

	mu    sync.Mutex
	token string    // the current one
	fresh time.Time // when it was last refreshed
}

// New returns a client of the API at o.BaseURL. It connects to nothing.
func New(o Options) (*Client, error) {
	base, err := ParseURL(o.BaseURL)
	if err != nil {
		return nil, err
	}
	for name, secret := range map[string]string{"API key": o.APIKey, "token": o.Token} {
		if strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("the %s contains a line break or another control character", name)
		}
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.UserAgent == "" {
		o.UserAgent = "bldst-client"
	}
	if o.NewID == nil {
		o.NewID = id.New
	}
	if o.Trace == nil {
		o.Trace = func(Call) {}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	o.Retry = o.Retry.withDefaults()
	hc := http.Client{}
	if o.HTTP != nil {
		hc = *o.HTTP
	}
	hc.CheckRedirect = checkRedirect
	return &Client{base: base, o: o, http: &hc, token: o.Token}, nil
}

// ParseURL returns the parsed base URL of an API, without a trailing slash, or
// an error that says what is wrong with it.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	switch {
	case err != nil:
		return nil, errors.New("the API URL is not a valid URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the API URL %q must begin with http:// or https://", u.Redacted())
	case u.Host == "":
		return nil, fmt.Errorf("the API URL %q names no host", u.Redacted())
	case u.User != nil:
		return nil, errors.New("the API URL must not contain a user name or password")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("the API URL %q must end after its path", u.Redacted())
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// Path joins segments to a path, escaping each: Path("builds", "a/b") is
// "/builds/a%2Fb".
func Path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		switch s {
		case ".", "..": // else a server resolves them as part of the path
			b.WriteString(strings.ReplaceAll(s, ".", "%2E"))
		default:
			b.WriteString(url.PathEscape(s))
		}
	}
	return b.String()
}

// A Request is one call. Path is escaped already (see [Path]) and relative to
// the base URL. Body is nil, url.Values (sent as a form), or a value that is
// sent as JSON.
type Request struct {
	Method string
	Path   string
	Query  url.Values
	Header http.Header
	Body   any
}

// A Response is a successful answer.
type Response struct {
	Status    int
	Header    http.Header
	Body      []byte
	RequestID string
}

// Do sends in (see [Request].Body) and decodes the answer into out, unless out
// is nil or the answer has no body. An out of type *json.RawMessage gets the
// body as it was sent. See [Client.Send] for the errors.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	resp, err := c.Send(ctx, Request{Method: method, Path: path, Query: query, Body: in})
	if err != nil {
		return err
	}
	return resp.Decode(out)
}

// Decode decodes the body into out, unless out is nil or there is no body.
func (r *Response) Decode(out any) error {
	if out == nil || len(bytes.TrimSpace(r.Body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.Body, out); err != nil {
		return fmt.Errorf("the answer is not what the API sends, is the URL right? (status %d, request %s): %w", r.Status, orNone(r.RequestID), err)
	}
	return nil
}

// Send sends r and returns the answer when it is a success (2xx). Every other
// answer is an [*Error], which wraps a *problem.Problem; no answer at all is
// an [*Unreachable]; an end of ctx is ctx's error.
//
// Tries are repeated with a growing pause when the service is unavailable or
// throttles and when the connection fails. Every POST of JSON carries an
// Idempotency-Key, the same in every try, so it too has its effect once.
func (c *Client) Send(ctx context.Context, r Request) (*Response, error) {
	body, contentType, err := encode(r.Body)
	if err != nil {
		return nil, err
	}
	u := c.url(r.Path, r.Query)
	header := r.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	if _, form := r.Body.(url.Values); r.Method == http.MethodPost && !form && header.Get("Idempotency-Key") == "" {
		header.Set("Idempotency-Key", c.o.NewID())
	}
	return c.repeat(ctx, call{method: r.Method, url: u, header: header, body: body})
}

// url returns the address of path under the base URL.
func (c *Client) url(path string, query url.Values) string {
	u := c.base.String() + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u
}

// A call is a request ready to be sent any number of times.
type call struct {
	method string
	url    string
	header http.Header
	body   []byte
}

func encode(body any) (data []byte, contentType string, err error) {
	switch v := body.(type) {
	case nil:
		return nil, "", nil
	case url.Values:
		return []byte(v.Encode()), "application/x-www-form-urlencoded", nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return nil, "", fmt.Errorf("encode the request: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), "application/json", nil
}

// try sends k once.
func (c *Client) try(ctx context.Context, k call) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, k.method, k.url, bytes.NewReader(k.body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header = k.header.Clone()
	req.Header.Set("Accept", "application/json")
	if req.Header.Get("Prefer") == "" { // what is not understood is refused, not passed over
		req.Header.Set("Prefer", "handling=strict")
	}
	req.Header.Set("User-Agent", c.o.UserAgent)
	token := c.currentToken()
	c.authorize(req.Header, token)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	if resp.StatusCode == http.StatusUnauthorized && c.refreshed(ctx, token) {
		return c.try(ctx, k)
	}
	for _, text := range warnings(resp.Header) {
		c.o.Warn(text)
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: body, RequestID: requestID(resp.Header)}, nil
}

func (c *Client) currentToken() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

// refreshed reports whether there is another token than the refused one now.
// One that was made a moment ago and is refused is not made again.
func (c *Client) refreshed(ctx context.Context, refused string) bool {
	if c.o.Refresh == nil || c.o.APIKey != "" || refused == "" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != refused {
		return true // by another request
	}
	now := c.o.Retry.Now()
	if now.Sub(c.fresh) < time.Minute {
		return false
	}
	c.fresh = now
	token, err := c.o.Refresh(ctx)
	if err != nil || token == "" {
		return false
	}
	c.token = token
	return true
}

func (c *Client) authorize(h http.Header, token string) {
	switch {
	case c.o.APIKey != "":
		h.Set("X-API-Key", c.o.APIKey)
	case token != "":
		h.Set("Authorization", "Bearer "+token)
	}
}

// requestID returns what identifies the request in the service's log.
func requestID(h http.Header) string {
	for _, name := range []string{"X-Request-Id", "X-Amzn-Requestid", "X-Amz-Apigw-Id"} {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

func orNone(s string) string {
	if s == "" {
		return "without id"
	}
	return s
}

// checkRedirect follows a redirect only within the origin of the request and
// with its method: net/http would carry X-API-Key to any host, and would turn
// a POST into a GET.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	if !sameOrigin(req.URL, first.URL) || req.Method != first.Method {
		return http.ErrUseLastResponse
	}
	if len(via) >= 5 {
		return errors.New("stopped after 5 redirects")
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
