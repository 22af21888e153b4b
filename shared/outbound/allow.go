package outbound

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// An Allow says what may be reached beside https at public addresses.
type Allow struct {
	Loopback bool           // this machine
	Plain    bool           // http
	Networks []netip.Prefix // addresses that are not public, such as 10.20.0.0/16
}

// ParseAllow reads a list such as "loopback, http, 10.20.0.0/16".
func ParseAllow(list string) (Allow, error) {
	var a Allow
	for _, word := range strings.Split(list, ",") {
		switch word = strings.ToLower(strings.TrimSpace(word)); word {
		case "":
		case "loopback":
			a.Loopback = true
		case "http":
			a.Plain = true
		default:
			p, err := netip.ParsePrefix(word)
			if err != nil {
				return Allow{}, fmt.Errorf("%q is neither loopback, http nor a network such as 10.20.0.0/16", word)
			}
			a.Networks = append(a.Networks, p.Masked())
		}
	}
	return a, nil
}

// URL returns the parsed address, or an *Error that says why no request is
// sent there. That it is fine here does not mean that it resolves to what may
// be reached.
func (a Allow) URL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, &Error{Host: "The address", Why: "is not a URL with a host"}
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, &Error{Host: u.Host, Why: "must be reached by https"}
	case u.Scheme == "http" && !a.Plain:
		return nil, &Error{Host: u.Host, Why: "must be reached by https; http is not allowed here"}
	case u.User != nil:
		return nil, &Error{Host: u.Host, Why: "must be given without a user and password; use a reference to a secret"}
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := a.address(ip); err != nil {
			return nil, &Error{Host: u.Host, Why: err.Error()}
		}
	}
	u.Fragment = ""
	return u, nil
}

// dialling refuses a connection to host:port, where the host is an address.
func (a Allow) dialling(to string) error {
	ap, err := netip.ParseAddrPort(to)
	if err != nil {
		return &Error{Why: "has an address that cannot be read"}
	}
	if err := a.address(ap.Addr()); err != nil {
		return &Error{Why: err.Error()}
	}
	return nil
}

// special are the networks that look public and are not: shared and
// carrier-grade space, protocol assignments, documentation, benchmarks,
// reserved space, and the ways IPv6 has to embed an IPv4 address.
var special = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10")

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// address says why ip must not be reached; nil when it may. What is allowed by
// its network is allowed whatever it is.
func (a Allow) address(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	switch {
	case within(ip, a.Networks):
		return nil
	case ip.IsLoopback():
		if a.Loopback {
			return nil
		}
		return fmt.Errorf("is this machine, which is not allowed")
	case ip.IsLinkLocalUnicast(), ip.IsLinkLocalMulticast():
		return fmt.Errorf("has a link-local address, which is not allowed")
	case ip.IsPrivate():
		return fmt.Errorf("has a private address, which is not allowed")
	case !ip.IsGlobalUnicast(), within(ip, special):
		return fmt.Errorf("has an address that is not public, which is not allowed")
	}
	return nil
}

func within(ip netip.Addr, networks []netip.Prefix) bool {
	for _, p := range networks {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
