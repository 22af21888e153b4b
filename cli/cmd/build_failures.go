package cmd

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"
)

func newBuildFailures(f *Factory, work run[buildStatesOptions]) *cobra.Command {
	return newBuildRows(f, work, &cobra.Command{
		Use:     "failures [ID]",
		Short:   "List the failures of a build",
		Example: "  bldst build failures \"$BUILD\"",
	})
}

func runBuildFailures(ctx context.Context, f *Factory, o buildStatesOptions) error {
	path, err := f.buildPath(o.ID, "failures")
	if err != nil {
		return err
	}
	return f.list(ctx, path, url.Values{}, o.Page, []string{"state_code", "failure_type", "failure_class", "error_code", "component", "error_message", "created_at"})
}
