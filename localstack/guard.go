package localstack

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bldst/localstack/gateway"
	"bldst/shared/api"
	"bldst/shared/id"
	"bldst/shared/problem"
)

// A guard keeps the pages of other people's websites away from the system on
// this machine, whose development keys everybody knows. A browser tells where
// a page comes from, and by which name it called: a name that is not of this
// machine may be one that was pointed at it (DNS rebinding).
type guard struct {
	hosts   []string    // beside localhost and addresses
	origins api.Origins // beside those of the hosts
	newID   id.Source
	next    http.Handler
}

// local are the origins of this machine, on every port.
var local = []string{"http://localhost:*", "https://localhost:*", "http://127.0.0.1:*", "https://127.0.0.1:*", "http://[::1]:*", "https://[::1]:*"}

// originsOf returns the origins that pages of the system itself and of other
// programs on this machine have, and those of hosts.
func originsOf(hosts []string) []string {
	out := slices.Clone(local)
	for _, h := range hosts {
		if strings.Contains(h, ":") {
			h = "[" + h + "]"
		}
		out = append(out, "http://"+h+":*", "https://"+h+":*")
	}
	return out
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// Whoever reads the body to its end takes the deadline off again; for one
		// that nobody reads, the server itself would wait for ever.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(gateway.BodyTime))
	}
	if err := g.check(r); err != nil {
		w.Header().Set("Connection", "close")
		gateway.Refuse(w, g.newID(), err)
		return
	}
	g.next.ServeHTTP(w, r)
}

func (g *guard) check(r *http.Request) error {
	if !g.known(nameOf(r.Host)) {
		return problem.New(problem.Forbidden, "This system answers to the names of this machine only, not to %.100q; start it with --host %.100s if that is one.",
			nameOf(r.Host), nameOf(r.Host))
	}
	origin := r.Header.Get("Origin")
	if origin == "" || g.origins.Names(origin) || g.origins.Any() || sameHost(origin, r.Host) {
		return nil
	}
	return problem.New(problem.Forbidden, "Pages of %.100q may not use the system on this machine; start it with ALLOWED_ORIGINS=%.100s to let them.", origin, origin)
}

// known reports whether the system may be called by this name. An address is
// always one: nobody can point an address elsewhere.
func (g *guard) known(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") || net.ParseIP(name) != nil ||
		slices.ContainsFunc(g.hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// nameOf returns the name or address in the header Host.
func nameOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// sameHost reports whether origin is where the request goes: a page of the
// system itself.
func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}
