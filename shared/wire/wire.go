// Package wire joins ports and configuration to the handlers of the functions.
// Each function has a constructor of its own, so that its binary links only
// what it serves; the mains of functions and the host of the whole system on
// one machine call them.
package wire

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/config"
	"bldst/shared/emf"
	"bldst/shared/health"
	"bldst/shared/id"
	"bldst/shared/outbound"
	"bldst/shared/store"
	"bldst/shared/table"
)

// Ports are what a host provides. Table is required by every function but
// docs, Signer by every function with credentials.
type Ports struct {
	Table   table.Table
	Signer  *auth.Signer
	Log     *slog.Logger     // default: slog.Default()
	Now     func() time.Time // default: time.Now
	NewID   id.Source        // default: id.New
	Origins []string         // CORS

	Development bool          // the development stage: see identity.Service
	SignInPause time.Duration // see identity.Service.Pause; a function has none
	Metrics     *emf.Log      // where business metrics go; nil is nowhere

	Writable func(context.Context) error // why nothing can be stored; nil where the table would say so itself
	Behind   func() health.Backlog       // what relay has not taken yet; nil where the stream's own metric says it

	Outbound outbound.Allow                   // what may be reached beside https at public addresses
	Webhooks []string                         // secrets that sign what CI systems send, or references to them
	Accounts []string                         // of AWS whose topics are believed
	CI       func(name string) (string, bool) // the variables with credentials of CI systems, see config.CI
	Bucket   build.Bucket                     // for the files of artifacts; nil is none

	SNS func(ctx context.Context, address string) ([]byte, error) // gets what SNS refers to; default: by https
}

// On returns the ports of a function with configuration c on t: the real clock
// and ids, and a log of JSON lines on standard error.
func On(c *config.Config, t table.Table) Ports {
	return Ports{Table: t, Signer: &c.Signer, Origins: c.Origins, Development: c.Stage == config.Development,
		Metrics:  emf.New(os.Stdout, c.Stage),
		Outbound: c.Outbound, Webhooks: c.Webhooks, Accounts: c.Accounts, CI: config.CI(os.LookupEnv),
		Log: slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))}
}

func (p Ports) withDefaults() Ports {
	if p.Log == nil {
		p.Log = slog.Default()
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.NewID == nil {
		p.NewID = id.New
	}
	return p
}

func (p Ports) store() *store.Store {
	return &store.Store{Table: p.Table, Now: p.Now, NewID: p.NewID}
}

// A part adds the endpoints of one function.
type part func(a *api.API, p Ports)

// serve returns the handler of a function whose endpoints ask for credentials.
func serve(p Ports, mount part) http.Handler {
	p = p.withDefaults()
	return serveAs(store.NewUsers(p.store()), p, mount)
}

// serveReading is serve for a function that may not write: there the last use
// of a key is not recorded.
func serveReading(p Ports, mount part) http.Handler {
	p = p.withDefaults()
	u := store.NewUsers(p.store())
	u.ReadOnly = true
	return serveAs(u, p, mount)
}

func serveAs(u *store.Users, p Ports, mount part) http.Handler {
	a := api.New(api.Options{Log: p.Log, Now: p.Now, NewID: p.NewID, Origins: p.Origins,
		Auth: auth.NewKeys(u, p.Signer, p.Now), Idempotency: p.store()})
	mount(a, p)
	return a
}

// Public returns the handler of a function whose endpoints, added by mount,
// are all public.
func Public(p Ports, mount func(*api.API)) http.Handler {
	p = p.withDefaults()
	a := api.New(api.Options{Log: p.Log, Now: p.Now, NewID: p.NewID, Origins: p.Origins})
	mount(a)
	return a
}
