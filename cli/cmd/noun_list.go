package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

type nounListOptions struct {
	Noun    noun
	Page    paging
	Deleted bool
}

func newNounList(f *Factory, n noun, work run[nounListOptions]) *cobra.Command {
	o := nounListOptions{Noun: n}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List " + n.many(),
		Example: fmt.Sprintf("  bldst %s list\n  bldst %s list --all -o json", n.name, n.name),
		Args:    positional(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Page.check(cmd); err != nil {
				return err
			}
			return work(cmd.Context(), f, o)
		},
	}
	o.Page.declare(cmd.Flags(), 100)
	cmd.Flags().BoolVar(&o.Deleted, "include-deactivated", false, "also those that were deleted")
	return cmd
}

func runNounList(ctx context.Context, f *Factory, o nounListOptions) error {
	return f.list(ctx, o.Noun.path(), deactivated(o.Deleted), o.Page, o.Noun.columns)
}
