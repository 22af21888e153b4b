package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// MaxPage is the largest limit the API accepts.
const MaxPage = 1000

// A Page is one answer of a list endpoint. More reports whether the API named
// a page after it.
type Page struct {
	Items []json.RawMessage
	More  bool
}

// Pages returns the pages of the list at path, following the links the API
// gives. It stops at the first error, see [Client.Send].
func (c *Client) Pages(ctx context.Context, path string, query url.Values) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		for u := c.url(path, query); u != ""; {
			resp, err := c.repeat(ctx, call{method: http.MethodGet, url: u, header: http.Header{}})
			if err != nil {
				yield(Page{}, err)
				return
			}
			next, err := c.next(u, resp.Header)
			if err != nil {
				yield(Page{}, err)
				return
			}
			p := Page{More: next != ""}
			if err := resp.Decode(&p.Items); err != nil {
				yield(Page{}, err)
				return
			}
			if !yield(p, nil) {
				return
			}
			u = next
		}
	}
}

// List returns at most limit items of the list at path, over as many pages as
// needed; 0 means all. more reports whether there are further items.
func (c *Client) List(ctx context.Context, path string, query url.Values, limit int) (items []json.RawMessage, more bool, err error) {
	if limit > 0 {
		q := url.Values{}
		for k, v := range query {
			q[k] = v
		}
		q.Set("limit", strconv.Itoa(min(limit, MaxPage)))
		query = q
	}
	items = []json.RawMessage{}
	for page, err := range c.Pages(ctx, path, query) {
		if err != nil {
			return nil, false, err
		}
		items = append(items, page.Items...)
		if limit > 0 && len(items) >= limit {
			return items[:limit], page.More || len(items) > limit, nil
		}
	}
	return items, false, nil
}

// next returns the address of the page after the one at u, "" when there is
// none. A link may be relative to the request, or absolute with or without the
// path of the base URL: a service behind a gateway does not know its stage.
func (c *Client) next(u string, h http.Header) (string, error) {
	link := linkNext(h.Values("Link"))
	if link == "" {
		return "", nil
	}
	here, err := url.Parse(u)
	if err != nil {
		return "", err
	}
	to, err := here.Parse(link)
	if err != nil {
		return "", fmt.Errorf("the link to the next page is not a URL")
	}
	if !sameOrigin(to, c.base) {
		return "", fmt.Errorf("the link to the next page leads to another host (%s) and is not followed", to.Host)
	}
	if p := c.base.EscapedPath(); p != "" && to.EscapedPath() != p && !strings.HasPrefix(to.EscapedPath(), p+"/") {
		to, err = url.Parse(c.base.String() + to.RequestURI())
		if err != nil {
			return "", err
		}
	}
	to.Fragment = ""
	if to.String() == u {
		return "", fmt.Errorf("the link to the next page leads to the same page")
	}
	return to.String(), nil
}

// linkNext returns the target of the link with rel "next" (RFC 8288).
func linkNext(headers []string) string {
	for _, h := range headers {
		for h != "" {
			_, rest, ok := strings.Cut(h, "<")
			if !ok {
				break
			}
			target, params, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			params, h, _ = cutLink(params)
			if isNext(params) {
				return target
			}
		}
	}
	return ""
}

// cutLink cuts before the comma that begins the next link of the header.
func cutLink(s string) (params, rest string, found bool) {
	quoted := false
	for i, r := range s {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ',' && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func isNext(params string) bool {
	for _, p := range strings.Split(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(name, "rel") {
			continue
		}
		for _, rel := range strings.Fields(strings.Trim(value, `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
	}
	return false
}
