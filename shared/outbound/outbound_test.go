package outbound_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bldst/shared/outbound"

	"github.com/google/go-cmp/cmp"
)

// open allows this machine by http, which is where the tests' servers are.
var open = outbound.Allow{Loopback: true, Plain: true}

// client returns a client that does not wait between tries.
func client(o outbound.Options) *outbound.Client {
	if o.Pause == nil {
		o.Pause = func(context.Context, time.Duration) error { return nil }
	}
	return outbound.New(o)
}

// server returns a server that answers with h, and counts its requests.
func server(t *testing.T, h http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s, &n
}

func TestARequestArrivesAsItWasMade(t *testing.T) {
	t.Parallel()
	var method, path, header, body, agent string
	s, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		method, path, header, body, agent = r.Method, r.URL.RequestURI(), r.Header.Get("X-Some"), string(b), r.UserAgent()
		w.Header().Set("X-Back", "yes")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "answer")
	})
	resp, tries, err := client(outbound.Options{Allow: open}).Send(t.Context(), outbound.Request{URL: s.URL + "/a?b=c", Header: http.Header{"X-Some": {"thing"}}, Body: []byte("hello")})
	if err != nil || tries != 1 || !resp.OK() || string(resp.Body) != "answer" || resp.Header.Get("X-Back") != "yes" {
		t.Errorf("%+v, %d tries, %v", resp, tries, err)
	}
	if d := cmp.Diff([]string{"POST", "/a?b=c", "thing", "hello", "bldst"}, []string{method, path, header, body, agent}); d != "" {
		t.Error(d)
	}
}

func TestAddressesThatAreNotPublicAreRefused(t *testing.T) {
	t.Parallel()
	c := client(outbound.Options{Allow: outbound.Allow{Plain: true}})
	for _, address := range []string{
		"http://127.0.0.1/", "http://127.9.9.9/", "http://[::1]/", "http://0.0.0.0/", "http://[::]/", "http://169.254.169.254/latest/meta-data/",
		"http://[fe80::1]/", "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.1.1/", "http://[fd00:ec2::254]/", "http://[fc00::1]/",
		"http://[::ffff:127.0.0.1]/", "http://[::ffff:169.254.169.254]/", "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
		"http://[::127.0.0.1]/", "http://224.0.0.1/", "http://[ff02::1]/", "http://255.255.255.255/", "http://100.64.0.1/", "http://192.0.0.192/", "http://198.18.0.1/", "http://[fec0::1]/",
	} {
		_, err := c.Do(t.Context(), outbound.Request{URL: address})
		if err == nil || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestOtherSpellingsOfThisMachineAreRefusedWhenTheyAreDialled(t *testing.T) {
	t.Parallel()
	s, hits := server(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	loopback := func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	c := client(outbound.Options{Allow: outbound.Allow{Plain: true}, Lookup: loopback})
	for _, host := range []string{"localhost", "2130706433", "0x7f.1", "hooks.example.com", "127.1"} {
		_, err := c.Do(t.Context(), outbound.Request{URL: "http://" + host + ":" + port})
		if err == nil || outbound.IsTemporary(err) || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("the server was reached %d times", hits.Load())
	}
}

func TestANameThatResolvesElsewhereTheSecondTimeIsRefusedThen(t *testing.T) {
	t.Parallel()
	s, hits := server(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	var lookups atomic.Int64
	rebind := func(context.Context, string) ([]netip.Addr, error) {
		if lookups.Add(1) == 1 {
			return []netip.Addr{netip.MustParseAddr(host)}, nil // what was looked at
		}
		return []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("::ffff:10.0.0.1")}, nil // what would be reached
	}
	c := client(outbound.Options{Allow: outbound.Allow{Plain: true, Networks: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(host), 32)}}, Lookup: rebind})
	if _, err := c.Do(t.Context(), outbound.Request{URL: "http://rebind.example.com:" + port}); err != nil {
		t.Fatalf("an allowed network is refused: %v", err)
	}
	_, err := c.Do(t.Context(), outbound.Request{URL: "http://rebind.example.com:" + port})
	if err == nil || !strings.Contains(err.Error(), "private address") || hits.Load() != 1 {
		t.Errorf("%v, %d requests", err, hits.Load())
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	inside, reached := server(t, func(http.ResponseWriter, *http.Request) {})
	for _, status := range []int{301, 302, 303, 307, 308} {
		s, _ := server(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, status) })
		resp, tries, err := client(outbound.Options{Allow: open}).Send(t.Context(), outbound.Request{URL: s.URL})
		if err != nil || tries != 1 || resp.Status != status {
			t.Fatalf("%d: %+v, %d tries, %v", status, resp, tries, err)
		}
		if err := resp.Err("host"); err == nil || outbound.IsTemporary(err) || !strings.Contains(err.Error(), "redirects are not followed") {
			t.Errorf("%d: %v", status, err)
		}
	}
	if reached.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestHTTPIsRefusedUnlessItIsAllowed(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://example.com": "https", "ftp://example.com": "https", "file:///etc/passwd": "host", "gopher://example.com": "https", "//example.com": "https",
		"https://": "host", "https:example.com": "host", "nonsense": "host", "https://user:s3cret@example.com": "user and password", "": "host", "https://exa mple": "host",
	} {
		_, err := client(outbound.Options{}).Do(t.Context(), outbound.Request{URL: address})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestAServerThatHangsEndsTheRequest(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	for name, h := range map[string]http.HandlerFunc{
		"before its answer": func(http.ResponseWriter, *http.Request) { <-release },
		"in the middle of its body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			<-release
		},
	} {
		s, _ := server(t, h)
		_, tries, err := client(outbound.Options{Allow: open, Total: 20 * time.Millisecond}).Send(t.Context(), outbound.Request{URL: s.URL})
		if !outbound.IsTemporary(err) || tries != outbound.Tries || !strings.Contains(err.Error(), "in time") {
			t.Errorf("%s: %v after %d tries", name, err, tries)
		}
	}
	close(release)
}

func TestAServerThatIsDownIsTriedAgain(t *testing.T) {
	t.Parallel()
	var waits []time.Duration
	c := client(outbound.Options{Allow: open, Pause: func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }})
	s, n := server(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	resp, tries, err := c.Send(t.Context(), outbound.Request{URL: s.URL})
	if err != nil || resp.Status != 502 || tries != outbound.Tries || n.Load() != outbound.Tries || !outbound.IsTemporary(resp.Err("h")) {
		t.Errorf("%+v, %d tries, %v", resp, tries, err)
	}
	if d := cmp.Diff([]time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, waits); d != "" {
		t.Error(d)
	}
	s.Close()
	if _, tries, err := c.Send(t.Context(), outbound.Request{URL: s.URL}); tries != outbound.Tries || !outbound.IsTemporary(err) || !strings.Contains(err.Error(), "refused the connection") {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestTriesEndWithTheFirstAnswerThatIsNotForLater(t *testing.T) {
	t.Parallel()
	for want, statuses := range map[int][]int{3: {500, 429, 200}, 1: {404}, 2: {503, 401}} {
		at := 0
		s, n := server(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(statuses[at]); at++ })
		resp, tries, err := client(outbound.Options{Allow: open}).Send(t.Context(), outbound.Request{URL: s.URL})
		if err != nil || tries != want || n.Load() != int64(want) || resp.Status != statuses[len(statuses)-1] {
			t.Errorf("%v: %+v after %d tries, %v", statuses, resp, tries, err)
		}
	}
}

func TestRetryAfterIsHonouredWithinReason(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "3600": 10 * time.Second, "-1": time.Second, "soon": time.Second} {
		var first time.Duration
		c := client(outbound.Options{Allow: open, Pause: func(_ context.Context, d time.Duration) error { first = max(first, d); return errors.New("enough") }})
		s, _ := server(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		if _, tries, err := c.Send(t.Context(), outbound.Request{URL: s.URL}); first != want || tries != 1 || err != nil {
			t.Errorf("%s: waited %s, want %s; %d tries, %v", header, first, want, tries, err)
		}
	}
}

func TestNoTryBeginsThatCouldNotEndBeforeTheCaller(t *testing.T) {
	t.Parallel()
	s, n := server(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, tries, err := client(outbound.Options{Allow: open}).Send(ctx, outbound.Request{URL: s.URL}); tries != 1 || n.Load() != 1 || err != nil {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestOnlySoMuchOfAnAnswerIsRead(t *testing.T) {
	t.Parallel()
	s, _ := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1000)) })
	resp, err := client(outbound.Options{Allow: open, MaxBody: 10}).Do(t.Context(), outbound.Request{URL: s.URL})
	if err != nil || len(resp.Body) != 10 {
		t.Errorf("%+v %v", resp, err)
	}
}

func TestErrorsNameTheHostAndNothingElse(t *testing.T) {
	t.Parallel()
	c := client(outbound.Options{Allow: open, Lookup: func(context.Context, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "hidden", IsNotFound: true}
	}})
	header := http.Header{"Authorization": {"Bearer s3cret"}, "Bad": {"a\ns3cret"}}
	for _, address := range []string{"http://nobody.invalid/services/s3cret?token=s3cret", "http://127.0.0.1:1/s3cret"} {
		_, err := c.Do(t.Context(), outbound.Request{URL: address, Header: header, Body: []byte("s3cret")})
		u, _ := url.Parse(address)
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.HasPrefix(err.Error(), u.Host+" ") {
			t.Errorf("%v", err)
		}
	}
	if got := outbound.HostOf("https://hooks.slack.com/services/s3cret"); got != "hooks.slack.com" {
		t.Error(got)
	}
}

func TestACertificateThatNobodyTrustsIsRefused(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	_, err := client(outbound.Options{Allow: open}).Do(t.Context(), outbound.Request{URL: s.URL})
	if err == nil || outbound.IsTemporary(err) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
}

func TestWhatIsAllowedIsReadFromAList(t *testing.T) {
	t.Parallel()
	got, err := outbound.ParseAllow(" loopback, HTTP ,10.20.3.4/16,,fd00::/8")
	want := outbound.Allow{Loopback: true, Plain: true, Networks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd00::/8")}}
	if err != nil || got.Loopback != want.Loopback || got.Plain != want.Plain || len(got.Networks) != 2 || got.Networks[0] != want.Networks[0] || got.Networks[1] != want.Networks[1] {
		t.Errorf("%+v %v", got, err)
	}
	for _, list := range []string{"everything", "10.0.0.1", "10.0.0.0/99"} {
		if a, err := outbound.ParseAllow(list); err == nil {
			t.Errorf("%s was read as %+v", list, a)
		}
	}
}
