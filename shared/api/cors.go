package api

import (
	"net/http"
	"slices"
	"strings"
)

// Origins are those whose pages may call the API from a browser. An entry is
// an origin as browsers send it (https://host:port), one with the port "*" for
// all of its ports, or "*" for every origin.
type Origins []string

// Names reports whether origin is one of those named, by more than "*".
func (o Origins) Names(origin string) bool {
	return slices.ContainsFunc(o, func(entry string) bool {
		if host, all := strings.CutSuffix(entry, ":*"); all {
			port, same := strings.CutPrefix(origin, host)
			return same && (port == "" || port[0] == ':' && digits(port[1:]))
		}
		return entry == origin && entry != "*"
	})
}

// Any reports whether every origin may call.
func (o Origins) Any() bool { return slices.Contains(o, "*") }

func digits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// cors says which pages may read the answer. Only those that are named may
// send what a browser keeps for this host: a page of anybody must not act with
// the credentials of whoever looks at it.
func (a *API) cors(h http.Header, r *http.Request) {
	origin, allowed := r.Header.Get("Origin"), Origins(a.o.Origins)
	switch {
	case origin == "":
		return
	case allowed.Names(origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	case allowed.Any():
		h.Set("Access-Control-Allow-Origin", "*")
	default:
		return
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-Match, Prefer, X-API-Key, X-Build-Attempt, X-Request-Id")
	h.Set("Access-Control-Expose-Headers", "ETag, Idempotent-Replayed, Link, Retry-After, Warning, X-Request-Id")
	h.Add("Vary", "Origin")
}
