package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

type nounGetOptions struct {
	Noun    noun
	ID      string
	Deleted bool
}

func newNounGet(f *Factory, n noun, work run[nounGetOptions]) *cobra.Command {
	o := nounGetOptions{Noun: n}
	cmd := &cobra.Command{
		Use:     "get ID",
		Short:   "Print " + n.title + ", found by id or name",
		Example: fmt.Sprintf("  bldst %s get %s", n.name, n.id),
		Args:    positional(1, "ID"),

		Annotations: map[string]string{argKinds: n.plural},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ID = args[0]
			return work(cmd.Context(), f, o)
		},
	}
	cmd.Flags().BoolVar(&o.Deleted, "include-deactivated", false, "also if it was deleted")
	return cmd
}

func runNounGet(ctx context.Context, f *Factory, o nounGetOptions) error {
	_, err := f.send(ctx, "GET", o.Noun.path(o.ID), deactivated(o.Deleted), nil)
	return err
}
