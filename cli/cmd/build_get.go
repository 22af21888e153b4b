package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

type buildGetOptions struct {
	ID      string
	Deleted bool
}

func newBuildGet(f *Factory, work run[buildGetOptions]) *cobra.Command {
	var o buildGetOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use:     "get [ID]",
		Short:   "Print a build, found by id or number",
		Example: "  bldst build get 2024.02.001\n  bldst build get \"$BUILD\" -o json | jq .current_state",
		Args:    positional(0, "ID"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.ID, err = ref.id(cmd, args); err != nil {
				return err
			}
			return work(cmd.Context(), f, o)
		},
	}
	ref.declare(cmd)
	cmd.Flags().BoolVar(&o.Deleted, "include-deactivated", false, "also if it was deleted")
	return cmd
}

func runBuildGet(ctx context.Context, f *Factory, o buildGetOptions) error {
	path, err := f.buildPath(o.ID)
	if err != nil {
		return err
	}
	_, err = f.send(ctx, "GET", path, deactivated(o.Deleted), nil)
	return err
}
