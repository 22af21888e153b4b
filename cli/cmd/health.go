package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"bldst/shared/client"

	"github.com/spf13/cobra"
)

type healthOptions struct{ Path string }

// probes are the questions about the service that need no credential.
var probes = []struct{ name, path, short string }{
	{"check", "/health", "Ask whether the API answers"},
	{"ready", "/ready", "Ask whether the API can serve requests"},
	{"status", "/status", "Print version and components of the API"},
	{"liveness", "/health/liveness", "Ask whether the service lives"},
	{"readiness", "/health/readiness", "Ask whether the service and what it needs are ready"},
}

func newHealth(f *Factory) *cobra.Command { return newHealthWith(f, runHealth) }

func newHealthWith(f *Factory, work run[healthOptions]) *cobra.Command {
	group := newGroup("health", "Ask how the API is")
	group.Long = "Ask how the API is. Without a command, this is 'health check'. The exit code is 1\nwhen it is not well, and 5 when it cannot be reached."
	group.Example = "  bldst health\n  bldst health ready -o json"
	group.RunE = func(cmd *cobra.Command, args []string) error {
		if err := noSuchCommand(cmd, args); err != nil {
			return err
		}
		return work(cmd.Context(), f, healthOptions{Path: probes[0].path})
	}
	for _, p := range probes {
		group.AddCommand(&cobra.Command{
			Use: p.name, Short: p.short, Args: positional(0), Example: "  bldst health " + p.name,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return work(cmd.Context(), f, healthOptions{Path: p.path})
			},
		})
	}
	return group
}

// runHealth asks once. An answer of the service is printed even if it is that
// the service is not well.
func runHealth(ctx context.Context, f *Factory, o healthOptions) error {
	c, err := f.Anonymous(true)
	if err != nil {
		return err
	}
	var out json.RawMessage
	err = c.Do(ctx, "GET", o.Path, nil, nil, &out)
	if body, ok := notWell(err); ok {
		if err := f.Printer().Object(body, "status", "ready"); err != nil {
			return err
		}
		return errTold
	}
	if err != nil {
		return err
	}
	return f.Printer().Object(out, "status", "ready")
}

// notWell returns the answer of a service that says it is not well, as opposed
// to an error or the answer of something in between.
func notWell(err error) (json.RawMessage, bool) {
	var ce *client.Error
	if !errors.As(err, &ce) || ce.FromAPI || ce.Status != http.StatusServiceUnavailable {
		return nil, false
	}
	var said struct {
		Status any `json:"status"`
		Ready  any `json:"ready"`
	}
	if json.Unmarshal(ce.Body, &said) != nil || said.Status == nil && said.Ready == nil {
		return nil, false
	}
	return ce.Body, true
}
