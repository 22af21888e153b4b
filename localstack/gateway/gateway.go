// Package gateway is an API Gateway REST API in one process: it turns HTTP
// requests into Lambda proxy events, as JSON, invokes the function that serves
// the path, and writes its answer.
package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"bldst/shared/id"
	"bldst/shared/manifest"
	"bldst/shared/problem"

	"github.com/aws/aws-lambda-go/lambda"
)

// Timeout is how long API Gateway waits for a function.
const Timeout = 29 * time.Second

// Options of New. The zero value is good.
type Options struct {
	Functions []manifest.Function // default: manifest.All
	Stage     string              // in the events; default "local"
	Log       *slog.Logger        // default: slog.Default()
	Now       func() time.Time    // default: time.Now
	NewID     id.Source           // of requests; default id.New
}

// A Gateway serves HTTP with functions.
type Gateway struct {
	o        Options
	router   *manifest.Router
	handlers map[string]lambda.Handler
	bodies   *bodies
}

// New returns a gateway to handlers, by the names of their functions. It fails
// when a function with routes has none.
func New(handlers map[string]lambda.Handler, o Options) (*Gateway, error) {
	if o.Functions == nil {
		o.Functions = manifest.All
	}
	if o.Stage == "" {
		o.Stage = "local"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = id.New
	}
	for _, f := range o.Functions {
		if len(f.Routes) > 0 && handlers[f.Name] == nil {
			return nil, fmt.Errorf("function %s of the manifest has no handler; add it to the functions of the host", f.Name)
		}
	}
	return &Gateway{o: o, router: manifest.NewRouter(o.Functions), handlers: handlers, bodies: newBodies()}, nil
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{r: r, id: g.o.NewID(), at: g.o.Now(), stage: g.o.Stage}
	if err := g.serve(w, c); err != nil {
		g.refuse(w, c, err)
	}
}

func (g *Gateway) serve(w http.ResponseWriter, c *call) error {
	c.target, c.values = g.router.Find(c.r.URL.EscapedPath())
	if c.target == nil {
		return problem.New(problem.NotFound, "No such path. See /docs for the list of paths.")
	}
	body, release, err := g.bodies.read(w, c.r)
	if err != nil {
		return err
	}
	defer release()
	c.body = string(body)
	payload, err := g.invoke(c)
	if err != nil {
		return err
	}
	if len(payload) > MaxAnswer {
		g.tooMuch(w, c, len(payload))
		return nil
	}
	var a answer
	if err := json.Unmarshal(payload, &a); err != nil {
		return fmt.Errorf("answer of %s: %w", c.target.Function, err)
	}
	return a.write(w)
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooled keeps the buffer of one large request from staying for ever.
const maxPooled = 64 << 10

// invoke returns the answer of the function. The function goes on when the
// caller hangs up, as it would on AWS.
func (g *Gateway) invoke(c *call) (payload []byte, err error) {
	buffer := buffers.Get().(*[]byte)
	*buffer = appendEvent((*buffer)[:0], c)
	defer func() {
		if cap(*buffer) <= maxPooled {
			buffers.Put(buffer)
		}
		if v := recover(); v != nil {
			err = fmt.Errorf("function %s: panic: %v\n%s", c.target.Function, v, debug.Stack())
		}
	}()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(c.r.Context()), time.Now().Add(Timeout))
	defer cancel()
	payload, err = g.handlers[c.target.Function].Invoke(ctx, *buffer)
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", c.target.Function, err)
	}
	return payload, nil
}

// MaxAnswer is how many bytes a function may answer: Lambda takes no more.
const MaxAnswer = 6_291_556

// tooMuch answers as API Gateway does when Lambda refused the answer of the
// function for its size, and says so in the log.
func (g *Gateway) tooMuch(w http.ResponseWriter, c *call, size int) {
	g.o.Log.Error("the answer of a function is larger than Lambda passes on", "request_id", c.id, "function", c.target.Function,
		"path", c.r.URL.Path, "bytes", size, "most", MaxAnswer)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", c.id)
	w.WriteHeader(http.StatusBadGateway)
	_, _ = w.Write([]byte(`{"message": "Internal server error"}`))
}

// An answer is what a function returns to a REST API.
type answer struct {
	StatusCode        int                 `json:"statusCode"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

func (a *answer) write(w http.ResponseWriter) error {
	if a.StatusCode < 200 || a.StatusCode > 599 {
		return fmt.Errorf("the function answered with status %d", a.StatusCode)
	}
	body := []byte(a.Body)
	if a.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			return fmt.Errorf("body of the function's answer: %w", err)
		}
	}
	h := w.Header()
	for name, value := range a.Headers {
		h.Set(name, value)
	}
	for name, values := range a.MultiValueHeaders {
		h[http.CanonicalHeaderKey(name)] = values
	}
	if len(body) > 0 {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(a.StatusCode)
	if len(body) > 0 {
		_, _ = w.Write(body) // fails when the caller is gone
	}
	return nil
}

// refuse answers what no function was asked, or none could answer. API Gateway
// itself would say 502 and {"message": ...}; here the shape is the API's own.
func (g *Gateway) refuse(w http.ResponseWriter, c *call, err error) {
	if problem.From(err).Kind == problem.Internal {
		g.o.Log.Error("request", "request_id", c.id, "path", c.r.URL.Path, "cause", err.Error())
	}
	Refuse(w, c.id, err)
}

// Refuse answers the request id with err, in the shape of the API's errors.
func Refuse(w http.ResponseWriter, id string, err error) {
	p := problem.From(err)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Request-Id", id)
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	w.WriteHeader(p.Kind.Status())
	_ = json.NewEncoder(w).Encode(map[string]any{"detail": p.Detail, "code": p.Kind, "request_id": id})
}
