package cmd

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"
)

type buildStatesOptions struct {
	ID   string
	Page paging
}

func newBuildStates(f *Factory, work run[buildStatesOptions]) *cobra.Command {
	return newBuildRows(f, work, &cobra.Command{
		Use:     "states [ID]",
		Short:   "List the states a build went through",
		Example: "  bldst build states \"$BUILD\"",
	})
}

// newBuildRows completes a command that lists something of a build.
func newBuildRows(f *Factory, work run[buildStatesOptions], cmd *cobra.Command) *cobra.Command {
	var o buildStatesOptions
	var ref buildRef
	cmd.Args = positional(0, "ID")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		if err := o.Page.check(cmd); err != nil {
			return err
		}
		return work(cmd.Context(), f, o)
	}
	ref.declare(cmd)
	o.Page.declare(cmd.Flags(), 1000)
	return cmd
}

func runBuildStates(ctx context.Context, f *Factory, o buildStatesOptions) error {
	path, err := f.buildPath(o.ID, "states")
	if err != nil {
		return err
	}
	return f.list(ctx, path, url.Values{}, o.Page, []string{"state_code", "status", "attempt", "message", "start_time", "duration_seconds"})
}
