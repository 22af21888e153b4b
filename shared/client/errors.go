package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bldst/shared/problem"
)

// An Error is an answer that is not a success. It wraps the problem that the
// service raised, so problem.Is and errors.As work on it.
type Error struct {
	Method    string
	URL       string
	Status    int
	RequestID string // "" when the answer carried none
	Challenge string // of a 401: the credentials it asks for
	Body      []byte // as received
	FromAPI   bool   // the body has the API's shape; else a gateway or proxy answered
	Problem   *problem.Problem
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.Status, e.Problem)
	if e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	return s
}

// Unwrap returns the problem.
func (e *Error) Unwrap() error { return e.Problem }

// An Unreachable says that there was no answer at all.
type Unreachable struct {
	URL     string
	Timeout time.Duration // how long was waited; 0 when the connection failed otherwise
	Err     error
}

func (e *Unreachable) Error() string {
	if e.Timeout > 0 {
		return fmt.Sprintf("the API at %s did not answer within %s", e.URL, e.Timeout)
	}
	return fmt.Sprintf("the API at %s cannot be reached: %v", e.URL, e.Err)
}

// Unwrap returns the cause.
func (e *Unreachable) Unwrap() error { return e.Err }

// refusal returns the error of an answer that is not a success.
func refusal(k call, resp *Response, now func() time.Time) *Error {
	e := &Error{Method: k.method, URL: k.url, Status: resp.Status, RequestID: resp.RequestID, Body: resp.Body}
	if resp.Status < 400 {
		e.Problem = problem.New(problem.Internal, "The API answered with a redirect to %s, which is not followed. Is the URL right?", place(resp.Header.Get("Location")))
		return e
	}
	e.Problem, e.FromAPI = problemOf(resp, &e.RequestID)
	e.Problem.RetryAfter, _ = retryAfter(resp.Header, now)
	e.Problem.Allow = resp.Header.Get("Allow")
	e.Challenge = challenge(resp.Header)
	return e
}

// challenge returns WWW-Authenticate, or what it is called after a REST API of
// API Gateway, which renames it.
func challenge(h http.Header) string {
	return cmp.Or(h.Get("WWW-Authenticate"), h.Get("X-Amzn-Remapped-Www-Authenticate"))
}

// place is the Location of a redirect without its query, which may hold
// secrets of a sign-in page.
func place(location string) string {
	location, _, _ = strings.Cut(location, "?")
	if location == "" {
		return "nowhere"
	}
	return location
}

// wireError is the union of the error bodies there are: the API's own, and
// API Gateway's (the decoder matches "Message" too).
type wireError struct {
	Detail    json.RawMessage `json:"detail"`
	Code      problem.Kind    `json:"code"`
	RequestID string          `json:"request_id"`
	Message   string          `json:"message"`
}

// problemOf reads an error answer backwards. An answer without a code gets the
// kind of its status. The request id of the body, if any, goes to id.
func problemOf(resp *Response, id *string) (p *problem.Problem, fromAPI bool) {
	p = &problem.Problem{Kind: problem.KindOf(resp.Status)}
	var w wireError
	if json.Unmarshal(resp.Body, &w) != nil {
		p.Detail = fmt.Sprintf("%d %s (the answer is not from the API)", resp.Status, statusText(resp.Status))
		return p, false
	}
	if w.RequestID != "" {
		*id = w.RequestID
	}
	if w.Code != "" {
		p.Kind = w.Code
	}
	switch {
	case json.Unmarshal(w.Detail, &p.Detail) == nil && p.Detail != "":
	case readFields(w.Detail, &p.Fields):
	case w.Message != "":
		p.Detail = w.Message
	default:
		p.Detail = fmt.Sprintf("%d %s", resp.Status, statusText(resp.Status))
	}
	return p, w.Detail != nil
}

// readFields decodes the list of invalid inputs; numbers in loc become int.
func readFields(detail json.RawMessage, fields *[]problem.Field) bool {
	if len(detail) == 0 {
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(detail))
	dec.UseNumber()
	if dec.Decode(fields) != nil || len(*fields) == 0 {
		*fields = nil
		return false
	}
	for _, f := range *fields {
		for i, part := range f.Loc {
			if n, ok := part.(json.Number); ok {
				if v, err := strconv.Atoi(n.String()); err == nil {
					f.Loc[i] = v
				}
			}
		}
	}
	return true
}

func statusText(status int) string {
	if t := http.StatusText(status); t != "" {
		return t
	}
	return "unknown status"
}
