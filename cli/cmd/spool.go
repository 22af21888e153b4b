package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"bldst/cli/step"
	"bldst/cli/step/spool"
	"bldst/shared/client"

	"github.com/spf13/cobra"
)

// newSpool is the group of what steps could not report yet.
func newSpool(f *Factory) *cobra.Command {
	group := newGroup("spool", "See and send what could not be reported while the API was away")
	group.AddCommand(newSpoolStatus(f, runSpoolStatus), newSpoolFlush(f, runSpoolFlush), newSpoolDrop(f, runSpoolDrop))
	return group
}

type spoolOptions struct {
	Build string
	Yes   bool
}

func spoolCommand(o *spoolOptions, use, short, example string) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: positional(0)}
	cmd.Flags().StringVar(&o.Build, "build", "", "only that of the build with this `ID` or number")
	return cmd
}

func newSpoolStatus(f *Factory, work run[spoolOptions]) *cobra.Command {
	var o spoolOptions
	cmd := spoolCommand(&o, "status", "List what waits to be sent, oldest first", "  bldst spool status -o json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, o) }
	return cmd
}

func newSpoolFlush(f *Factory, work run[spoolOptions]) *cobra.Command {
	var o spoolOptions
	cmd := spoolCommand(&o, "flush", "Send what waits, in order", "  bldst spool flush")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, o) }
	return cmd
}

func newSpoolDrop(f *Factory, work run[spoolOptions]) *cobra.Command {
	var o spoolOptions
	cmd := spoolCommand(&o, "drop", "Give up what waits: it is never sent", "  bldst spool drop --build 2024.02.001 --yes")
	cmd.Flags().BoolVarP(&o.Yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, o) }
	return cmd
}

// spools returns the spools that hold something for the API in use.
func (f *Factory) spools(build string) ([]*spool.Spool, error) {
	s, err := f.Settings()
	if err != nil {
		return nil, err
	}
	all, err := spool.All(f.spoolRoot(s))
	if err != nil {
		return nil, err
	}
	var out []*spool.Spool
	for _, sp := range all {
		if build == "" || sp.Build == build {
			out = append(out, sp)
		}
	}
	return out, nil
}

func runSpoolStatus(_ context.Context, f *Factory, o spoolOptions) error {
	all, err := f.spools(o.Build)
	if err != nil {
		return err
	}
	rows := []json.RawMessage{}
	for _, sp := range all {
		items, err := sp.Items()
		if err != nil {
			return err
		}
		for _, it := range items {
			row, err := json.Marshal(map[string]any{"build": sp.Build, "report": it.What, "since": it.At.UTC(), "api": sp.API})
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
	}
	return f.Printer().List(rows, "build", "report", "since", "api")
}

func runSpoolFlush(ctx context.Context, f *Factory, o spoolOptions) error {
	all, err := f.spools(o.Build)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		f.say("Nothing waits to be sent.")
		return nil
	}
	c, err := f.Client()
	if err != nil {
		return err
	}
	failed := false
	for _, sp := range all {
		if sp.API != f.apiAddress() { // a credential is for one API
			f.warn("the reports of build %s are for %s; send them with --api-url", sp.Build, sp.API)
			continue
		}
		call := func(ctx context.Context, method, path, key string, in, out any) error {
			resp, err := c.Send(ctx, client.Request{Method: method, Path: path, Body: in, Header: http.Header{"Idempotency-Key": {key}}})
			if err != nil {
				return err
			}
			return resp.Decode(out)
		}
		r, err := step.Flush(ctx, sp, call)
		step.TellFlush(sp, r, f.say, f.warn)
		if err != nil {
			return err
		}
		if r.Away != nil {
			return r.Away
		}
		failed = failed || len(r.Refused) > 0
	}
	if failed {
		return errTold
	}
	return nil
}

// apiAddress returns the address of the API in use, as spools name it.
func (f *Factory) apiAddress() string {
	address := f.flags.apiURL
	if s, err := f.Settings(); address == "" && err == nil {
		address = s.URL()
	}
	return strings.TrimRight(strings.TrimSpace(address), "/")
}

func runSpoolDrop(ctx context.Context, f *Factory, o spoolOptions) error {
	all, err := f.spools(o.Build)
	if err != nil || len(all) == 0 {
		return err
	}
	if !o.Yes && !f.Streams.InTTY {
		return errors.New("what waits is never sent then; say --yes")
	}
	if err := f.confirm(ctx, o.Yes, "Give up what waits to be sent?"); err != nil {
		return err
	}
	for _, sp := range all {
		items, err := sp.Drop()
		for _, it := range items {
			f.say("Given up: '%s' of build %s.", it.What, sp.Build)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
