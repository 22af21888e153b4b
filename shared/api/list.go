package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"bldst/shared/problem"

	"github.com/danielgtaylor/huma/v2"
)

// Page is the input of every list endpoint: embed it. Cursor is the good way
// through a long list; skip is honoured for callers that know nothing else.
type Page struct {
	Skip  int `query:"skip" default:"0" minimum:"0" maximum:"100000" doc:"Pass over that many rows. A cursor is cheaper."`
	Limit int `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most that many rows; fewer when they are large."`
	Onward
}

// Onward is the way through a list, page by page.
type Onward struct {
	Cursor string `query:"cursor" maxLength:"4096" doc:"From the Link header of the page before (rel=\"next\")."`

	query url.Values
}

// Resolve implements huma.Resolver: it remembers the query for Next.
func (p *Onward) Resolve(hc huma.Context) []error {
	u := hc.URL()
	p.query = u.Query()
	return nil
}

// Next returns the Link header for the page after this one, "" when cursor is
// empty. The link is relative to the request, so it holds behind any stage,
// proxy or custom domain.
func (p *Onward) Next(cursor string) string {
	if cursor == "" {
		return ""
	}
	q := url.Values{}
	for k, v := range p.query {
		if k != "skip" && k != "cursor" {
			q[k] = v
		}
	}
	q.Set("cursor", cursor)
	return fmt.Sprintf("<?%s>; rel=\"next\"", q.Encode())
}

// A List is the answer of a list endpoint: a bare array, and the way on.
type List[T any] struct {
	Link string `header:"Link" doc:"rel=\"next\" when there may be more; relative to the request."`
	Body []T
}

// maxWindow bounds the rows of a page in bytes: what AWS Lambda may answer is
// bounded, and what is in strings is written twice over.
const maxWindow = 1 << 20

// Window returns the page of rows that p asks for, at most maxWindow bytes of
// them but at least one. It is for lists that are read whole: its cursor is an
// offset.
func Window[T any](p Page, rows []T) (*List[T], error) {
	at := p.Skip
	if p.Cursor != "" {
		n, err := strconv.Atoi(p.Cursor)
		if err != nil || n < 0 {
			return nil, &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"query", "cursor"}, Msg: "Not a cursor of this list; begin again without one", Type: "value_error"}}}
		}
		at = n
	}
	at = min(at, len(rows))
	end, size := at, 0
	for ; end < len(rows) && end-at < p.Limit; end++ {
		row, err := json.Marshal(rows[end])
		if err != nil {
			return nil, err
		}
		if size += len(row); size > maxWindow && end > at {
			break
		}
	}
	out := &List[T]{Body: rows[at:end]}
	if end < len(rows) {
		out.Link = p.Next(strconv.Itoa(end))
	}
	return out, nil
}

// An Object is the answer with one object.
type Object[T any] struct {
	ETag string `header:"ETag" doc:"The revision; send it as If-Match to change just this one."`
	Body T
}

// Rev returns an object's answer with its revision as ETag.
func Rev[T any](rev int64, body T) *Object[T] { return &Object[T]{ETag: ETag(rev), Body: body} }

// An Empty is the answer without a body, 204.
type Empty struct{}

// ETag returns the entity tag of revision rev.
func ETag(rev int64) string { return `"` + strconv.FormatInt(rev, 10) + `"` }

// Match is the optional precondition of endpoints that change one thing: embed
// it.
type Match struct {
	IfMatch string `header:"If-Match" maxLength:"200" doc:"Only if the current ETag is one of these; else 412."`
}

// Check returns a PreconditionFailed when rev is not what the caller asked
// for. Without the header every revision will do.
func (m Match) Check(rev int64) error {
	if m.IfMatch == "" || m.IfMatch == "*" {
		return nil
	}
	for _, tag := range strings.Split(m.IfMatch, ",") {
		if strings.TrimPrefix(strings.TrimSpace(tag), "W/") == ETag(rev) {
			return nil
		}
	}
	return problem.New(problem.PreconditionFailed, "It has changed: the current ETag is %s. Read it again and repeat your change.", ETag(rev))
}

// Given reports whether the caller sent a precondition.
func (m Match) Given() bool { return m.IfMatch != "" }
