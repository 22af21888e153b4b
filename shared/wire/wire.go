// Package wire joins ports and configuration to the handlers of the functions.
// Each function has a constructor of its own, so that its binary links only
// what it serves; the mains of functions and the host of the whole system on
// one machine call them.
package wire

import (
	"log/slog"
	"net/http"
	"os"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/config"
	"bldst/shared/health"
	"bldst/shared/id"
	"bldst/shared/openapi"
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
	Stage   string
}

// On returns the ports of a function with configuration c on t: the real clock
// and ids, and a log of JSON lines on standard error.
func On(c *config.Config, t table.Table) Ports {
	return Ports{Table: t, Signer: &c.Signer, Origins: c.Origins, Stage: c.Stage,
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

// options are those of an API without credentials.
func (p Ports) options() api.Options {
	return api.Options{Log: p.Log, Now: p.Now, NewID: p.NewID, Origins: p.Origins}
}

// Health serves /health, /ready, /status and every path nobody else serves.
func Health(p Ports) http.Handler {
	p = p.withDefaults()
	a := api.New(p.options())
	mountHealth(a, p)
	return a
}

func mountHealth(a *api.API, p Ports) {
	s := &health.Service{Table: p.store(), Log: p.Log, Now: p.Now, Started: p.Now()}
	s.Mount(a)
}

// Docs serves /docs, /redoc and /openapi.json. It needs no table.
func Docs(p Ports) http.Handler {
	p = p.withDefaults()
	a := api.New(p.options())
	openapi.Docs(a)
	return a
}
