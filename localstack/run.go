package localstack

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"bldst/shared/config"
)

// RunOptions are the options of Run.
type RunOptions struct {
	// Required.
	Port   int                         // 0 is a free one
	Hosts  []string                    // see Options.Hosts
	Quiet  bool                        // no line for every request
	Data   string                      // "" is a temporary folder, removed at the end
	Env    func(string) (string, bool) // e.g. os.LookupEnv: LOG_LEVEL, ALLOWED_ORIGINS, JWT_KEYS
	Stdout io.Writer                   // where the API is, and the development keys, once
	Stderr io.Writer                   // the log
}

// grace is how long requests in flight may take after Run was told to end.
const grace = 10 * time.Second

// Run starts the system, says on Stdout where it is, and stops it cleanly when
// ctx ends. Its errors say in one line what to do.
func Run(ctx context.Context, o RunOptions) error {
	so, err := o.stack()
	if err != nil {
		return err
	}
	if o.Data == "" {
		if so.Data, err = os.MkdirTemp("", "bldst-"); err != nil {
			return fmt.Errorf("no temporary folder (%w); name one with --data", err)
		}
		defer os.RemoveAll(so.Data)
	}
	s, err := Start(ctx, so)
	if err != nil {
		return err
	}
	fmt.Fprint(o.Stdout, banner(s.URL, so.Data, o.Data == ""))
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
	}
	fmt.Fprintln(o.Stderr, "stopping")
	tight, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if e := s.Stop(tight); err == nil {
		err = e
	}
	return err
}

// stack returns the options of the stack that o and its environment ask for.
// Unless LOG_LEVEL asks for the log of the functions, a person at a terminal
// gets a line for every request, and what goes wrong.
func (o *RunOptions) stack() (Options, error) {
	c, err := config.Read(o.Env)
	if err != nil {
		return Options{}, err
	}
	var lines io.Writer
	if _, set := o.Env("LOG_LEVEL"); !set {
		c.LogLevel = slog.LevelWarn
		if !o.Quiet {
			lines = o.Stderr
		}
	}
	if _, set := o.Env("ALLOWED_ORIGINS"); !set {
		c.Origins = nil // those of this machine
	}
	so := Options{Port: o.Port, Data: o.Data, Hosts: o.Hosts, Origins: c.Origins, Access: lines, Webhooks: c.Webhooks, Accounts: c.Accounts, CI: config.CI(o.Env),
		Log: slog.New(slog.NewJSONHandler(o.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))}
	if len(c.Signer.Keys) > 0 {
		so.Signer = &c.Signer
	}
	return so, nil
}

// devKeys are the documented keys of the development data.
var devKeys = []struct{ key, scopes string }{
	{"readonly-key-888", "read"},
	{"dev-key-12345", "read, write"},
	{"admin-key-99999", "read, write, admin"},
}

func banner(url, data string, temporary bool) string {
	if p, err := filepath.Abs(data); err == nil {
		data = p
	}
	kept := "; the next start continues with it"
	if temporary {
		kept = "; removed at the end"
	}
	out := fmt.Sprintf("bldst is running. Ctrl-C stops it.\n\n  API   %s\n  Docs  %s/docs and %s/redoc\n  Data  %s%s\n\n", url, url, url, data, kept)
	out += "Development keys, for this machine only (header X-API-Key):\n\n"
	for _, k := range devKeys {
		out += fmt.Sprintf("  %-18s%s\n", k.key, k.scopes)
	}
	return out + fmt.Sprintf("\nTry it:\n\n  curl -s -H 'X-API-Key: %s' '%s/builds?limit=3'\n\n", devKeys[1].key, url)
}
