// Package localstack is the whole system in one process: the gateway, every
// function behind it, the table in one file, its change feed and what listens
// to it. The functions are those that are deployed and get the events they
// would get there; only their host is another.
package localstack

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bldst/localstack/clock"
	"bldst/localstack/datafile"
	"bldst/localstack/gateway"
	"bldst/localstack/meter"
	"bldst/localstack/objects"
	"bldst/localstack/table"
	"bldst/shared/auth"
	shared "bldst/shared/gateway"
	"bldst/shared/health"
	"bldst/shared/id"
	"bldst/shared/openapi"
	"bldst/shared/outbound"
	"bldst/shared/store"
	port "bldst/shared/table"
	"bldst/shared/wire"

	"github.com/aws/aws-lambda-go/lambda"
)

// Options of Start.
type Options struct {
	// Required.
	Data string // folder of the data; created when there is none

	// Optional.
	Port    int          // on localhost; 0 is a free one, see Stack.URL
	Empty   bool         // do not seed the development data
	Signer  *auth.Signer // default: a key kept in the folder
	Hosts   []string     // names and addresses it is called by beside localhost; addresses are listened on
	Origins []string     // CORS, see api.Origins; those of this machine and of Hosts always may
	Access  io.Writer    // a line for every request; nil is none
	Log     *slog.Logger // default: discarded
	Clock   clock.Clock  // default: clock.Real
	// IndexLag makes the indexes of the table lag, as those of DynamoDB may;
	// for tests.
	IndexLag func() time.Duration
	// BeforeCommit makes a commit of the table fail as a broken disk does; for
	// tests.
	BeforeCommit func() error
	// Guard returns the table as a function is given it; for tests.
	Guard func(function string, t port.Table) port.Table
	// Meter counts what AWS would bill; nil counts nothing.
	Meter *meter.Meter

	Webhooks []string                         // secrets that sign what CI systems send; none: nothing is accepted
	Accounts []string                         // of AWS whose topics of SNS may report builds; none: nothing is accepted
	CI       func(name string) (string, bool) // the variables with credentials of CI systems, see config.CI
	NewID    id.Source                        // default: id.New

	// SNS gets what Amazon SNS refers to; default: by https.
	SNS func(ctx context.Context, address string) ([]byte, error)
}

// A Stack is the running system.
type Stack struct {
	URL   string       // of the API, without a slash at its end
	Table *table.Table // for tests
	o     Options

	objects   *objects.Store
	server    *http.Server
	driver    *driver
	listeners []net.Listener
	serving   sync.WaitGroup
	traffic   traffic
	relay     atomic.Pointer[table.Consumer]
	stopPump  context.CancelFunc
	stopSweep context.CancelFunc
	pumping   sync.WaitGroup
	failed    chan error
	stopOnce  sync.Once
	stopErr   error
}

// DataFile is the table in the data folder.
const DataFile = "bldst.db"

// whole refuses a folder whose table is gone while what belongs to it is there:
// to begin anew beside it would lose everything without a word.
func whole(folder string) error {
	main := filepath.Join(folder, DataFile)
	if !datafile.Empty(main) {
		return nil
	}
	for _, name := range []string{statesFile, busFile} {
		if other := filepath.Join(folder, name); !datafile.Empty(other) {
			return fmt.Errorf("%w: %s is missing or empty, and %s belongs to it; restore the folder from a copy, or move it away to begin anew",
				table.ErrDamaged, main, other)
		}
	}
	return nil
}

// deadFile holds the changes that relay refused, one JSON document a line.
const deadFile = "dead-letters.jsonl"

// Start starts the system and returns when it answers. Its errors say in one
// line what to do.
func Start(ctx context.Context, o Options) (*Stack, error) {
	o = o.withDefaults()
	if err := whole(o.Data); err != nil {
		return nil, err
	}
	listeners, err := listen(o.Port, o.Hosts)
	if err != nil {
		return nil, err
	}
	s := &Stack{o: o, listeners: listeners, URL: fmt.Sprintf("http://localhost:%d", portOf(listeners[0])), failed: make(chan error, 2)}
	if err := s.start(ctx); err != nil {
		for _, l := range listeners {
			_ = l.Close()
		}
		return nil, errors.Join(err, s.closeTable())
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	o.Origins = append(originsOf(o.Hosts), o.Origins...)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.NewID == nil {
		o.NewID = id.New
	}
	if o.CI == nil {
		o.CI = func(string) (string, bool) { return "", false }
	}
	return o
}

func (s *Stack) start(ctx context.Context) error {
	var err error
	if s.Table, err = table.Open(filepath.Join(s.o.Data, DataFile), table.Options{Feed: true, Now: s.o.Clock.Now, IndexLag: s.o.IndexLag, BeforeCommit: s.o.BeforeCommit}); err != nil {
		return err
	}
	if s.o.Signer == nil {
		if s.o.Signer, err = signer(s.o.Data); err != nil {
			return err
		}
	}
	if s.objects, err = objects.Open(filepath.Join(s.o.Data, objectsFolder), s.URL, s.o.Clock.Now); err != nil {
		return fmt.Errorf("%w: %w; choose another folder or mend its permissions", table.ErrUnwritable, err)
	}
	if !s.o.Empty {
		if err := s.seed(ctx); err != nil {
			return err
		}
	}
	g, err := gateway.New(s.metered(Functions(s.ports)), gateway.Options{Log: s.o.Log, Now: s.o.Clock.Now, NewID: s.o.NewID})
	if err != nil {
		return err
	}
	if s.driver, err = newDriver(s.URL, s.o, s.ports); err != nil {
		return err
	}
	s.serve(s.guarded(s.route(s.driver.route(s.traffic.counted(g)))))
	s.sweepObjects()
	return s.startPump()
}

// guarded returns h behind the guard and the log of requests.
func (s *Stack) guarded(h http.Handler) http.Handler {
	h = &guard{hosts: s.o.Hosts, origins: s.o.Origins, newID: s.o.NewID, next: h}
	if s.o.Access != nil {
		h = &accessLog{next: h, out: s.o.Access, now: s.o.Clock.Now}
	}
	return h
}

// ports are what the function is given.
func (s *Stack) ports(function string) wire.Ports {
	p := wire.Ports{Table: s.o.Meter.Table(s.Table), Signer: s.o.Signer, Log: s.o.Log, Now: s.o.Clock.Now, NewID: s.o.NewID, Origins: s.o.Origins,
		Development: true, Writable: s.writable, Behind: s.behind, SignInPause: signInPause,
		Outbound: outbound.Allow{Loopback: true, Plain: true}, Webhooks: s.o.Webhooks, Accounts: s.o.Accounts, SNS: s.o.SNS, CI: s.o.CI, Bucket: s.objects}
	if s.o.Guard != nil {
		p.Table = s.o.Guard(function, p.Table)
	}
	return p
}

// writable reports why what a function or the state machine writes is not
// stored at the moment.
func (s *Stack) writable(ctx context.Context) error {
	if err := s.Table.Writable(ctx); err != nil {
		return err
	}
	return s.driver.engine.Writable()
}

// behind returns what relay has not taken yet.
func (s *Stack) behind() health.Backlog {
	relay := s.relay.Load()
	if relay == nil { // it begins after the server
		return health.Backlog{}
	}
	changes, since := relay.Behind()
	if changes == 0 {
		return health.Backlog{}
	}
	return health.Backlog{Changes: changes, OldestSeconds: max(0, s.o.Clock.Now().Sub(since).Seconds())}
}

// objectsFolder holds the files of artifacts.
const objectsFolder = "objects"

// route sends what is meant for the bucket there and everything else to next:
// files are not limited as the bodies of requests are.
func (s *Stack) route(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, objects.Path) {
			s.objects.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sweepObjects throws uploads away that nobody has completed, now and then.
func (s *Stack) sweepObjects() {
	ctx, stop := context.WithCancel(context.Background())
	s.stopSweep = stop
	s.pumping.Go(func() {
		for t := time.NewTicker(time.Hour); ; {
			if n, err := s.objects.Sweep(); n > 0 || err != nil {
				s.o.Log.Info("uploads thrown away", "uploads", n, "error", err)
			}
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// Functions returns the handlers of the functions with routes, each on its
// ports.
func Functions(ports func(function string) wire.Ports) map[string]lambda.Handler {
	out := map[string]lambda.Handler{"docs": cold(func() http.Handler { return wire.Public(ports("docs"), openapi.Docs) })}
	for _, f := range wire.Functions() {
		out[f.Name] = cold(func() http.Handler { return f.Handler(ports(f.Name)) })
	}
	return out
}

// metered returns the functions, counted.
func (s *Stack) metered(functions map[string]lambda.Handler) map[string]lambda.Handler {
	for name, h := range functions {
		functions[name] = s.o.Meter.Function(name, h)
	}
	return functions
}

// cold returns a function that initialises itself at its first event, as one
// on AWS does: the start of the stack waits for none of them.
func cold(start func() http.Handler) lambda.Handler {
	return coldHandler(sync.OnceValue(func() lambda.Handler { return shared.Handler(start()) }))
}

type coldHandler func() lambda.Handler

func (h coldHandler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return h().Invoke(ctx, payload)
}

// seed stores the development data. Each step looks at one row to know that it
// was done before.
func (s *Stack) seed(ctx context.Context) error {
	return Seed(ctx, &store.Store{Table: s.Table, Now: s.o.Clock.Now, NewID: s.o.NewID})
}

// startPump lets relay have the changes of the table.
func (s *Stack) startPump() error {
	consumer, err := s.Table.Consumer("relay")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stopPump = stop
	s.relay.Store(consumer)
	p := &pump{feed: s.Table, consumer: consumer, function: s.driver.functions["relay"], dead: filepath.Join(s.o.Data, deadFile), log: s.o.Log,
		busy: s.traffic.busy}
	s.pumping.Go(func() { p.run(ctx) })
	return nil
}

// What a server of strangers would need is good manners here too.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
)

func (s *Stack) serve(h http.Handler) {
	s.server = &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelWarn)}
	for _, l := range s.listeners {
		s.serving.Go(func() {
			if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.failed <- err
			}
		})
	}
}

// Failed receives the error that made the server end by itself.
func (s *Stack) Failed() <-chan error { return s.failed }

// Stop lets the requests in flight finish, as long as ctx allows, and closes
// the table. What was acknowledged is on disk. A second call does nothing.
func (s *Stack) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.stopPump()
		s.stopSweep()
		s.pumping.Wait()
		driven := s.driver.close()
		err := s.server.Shutdown(ctx)
		if err != nil {
			err = fmt.Errorf("requests in flight were cut off: %w", errors.Join(err, s.server.Close()))
		}
		s.serving.Wait()
		s.stopErr = errors.Join(err, driven, s.closeTable())
	})
	return s.stopErr
}

func (s *Stack) closeTable() error {
	if s.Table == nil {
		return nil
	}
	return s.Table.Close()
}

// listen takes the port on both addresses of localhost, and on the other
// addresses among hosts; on all there are when one of them means all.
func listen(p int, hosts []string) ([]net.Listener, error) {
	var out []net.Listener
	for i, address := range addresses(hosts) {
		l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(p)))
		switch {
		case err == nil:
			out, p = append(out, l), portOf(l)
		case i > 0 && address == loopback6 && !errors.Is(err, syscall.EADDRINUSE): // this machine has no IPv6
		default:
			for _, l := range out {
				_ = l.Close()
			}
			return nil, listenError(p, err)
		}
	}
	return out, nil
}

const loopback4, loopback6 = "127.0.0.1", "::1"

func addresses(hosts []string) []string {
	out := []string{loopback4, loopback6}
	for _, h := range hosts {
		ip := net.ParseIP(h)
		switch {
		case ip == nil:
		case ip.IsUnspecified():
			return []string{""}
		case !slices.Contains(out, ip.String()):
			out = append(out, ip.String())
		}
	}
	return out
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func listenError(p int, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d is in use by another program; stop it or choose another port, such as --port %d (make run PORT=%d)", p, other(p), other(p))
	case p < 0 || p > 65535:
		return fmt.Errorf("port %d does not exist; choose one from 1 to 65535, or 0 for a free one", p)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("an address given with --host is none of this machine: %w", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d may not be used without privileges; choose one above 1023, such as --port 8080", p)
	default:
		return fmt.Errorf("port %d cannot be used: %w", p, err)
	}
}

// other returns a port to suggest instead of p.
func other(p int) int {
	if p < 65535 {
		return p + 1
	}
	return 8080
}

// keyFile holds the key that signs JWTs, so that they outlive a restart.
const keyFile = "jwt.key"

func signer(folder string) (*auth.Signer, error) {
	path := filepath.Join(folder, keyFile)
	key, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		random := make([]byte, 32)
		_, _ = rand.Read(random) // never fails
		key = []byte(hex.EncodeToString(random))
		err = os.WriteFile(path, key, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w; choose another folder or mend its permissions", table.ErrUnwritable, err)
	}
	s := &auth.Signer{Keys: map[string][]byte{"local": key}, Current: "local"}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("%s is not a signing key (%w); remove it and start again", path, err)
	}
	return s, nil
}

// signInPause holds up who tries to sign in and must wait: here waiting costs
// nothing, and guesses that come as fast as they are refused would.
const signInPause = 500 * time.Millisecond
