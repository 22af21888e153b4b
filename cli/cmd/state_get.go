package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

type stateGetOptions struct{ ID string }

func newStateGet(f *Factory, work run[stateGetOptions]) *cobra.Command {
	var o stateGetOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use:     "get [ID]",
		Short:   "Print the state of a build and how it got there",
		Example: "  bldst state get \"$BUILD\" -o json | jq .current_state",
		Args:    positional(0, "ID"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.ID, err = ref.id(cmd, args); err != nil {
				return err
			}
			return work(cmd.Context(), f, o)
		},
	}
	ref.declare(cmd)
	return cmd
}

func runStateGet(ctx context.Context, f *Factory, o stateGetOptions) error {
	path, err := f.buildPath(o.ID, "state")
	if err != nil {
		return err
	}
	out, err := f.call(ctx, "GET", path, nil, nil)
	if err != nil {
		return err
	}
	return f.Printer().Object(out, "build_id", "current_state", "status")
}
