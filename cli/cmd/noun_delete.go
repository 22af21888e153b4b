package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

type nounDeleteOptions struct {
	Noun noun
	ID   string
	Yes  bool
}

func newNounDelete(f *Factory, n noun, work run[nounDeleteOptions]) *cobra.Command {
	o := nounDeleteOptions{Noun: n}
	cmd := &cobra.Command{
		Use:   "delete ID",
		Short: "Delete " + n.title,
		Long: "Delete " + n.title + ". It can be brought back with 'restore'. On a terminal you\n" +
			"are asked before.",
		Example: fmt.Sprintf("  bldst %s delete %s --yes", n.name, n.id),
		Args:    positional(1, "ID"),

		Annotations: map[string]string{argKinds: n.plural},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ID = args[0]
			return work(cmd.Context(), f, o)
		},
	}
	cmd.Flags().BoolVarP(&o.Yes, "yes", "y", false, "do not ask")
	return cmd
}

func runNounDelete(ctx context.Context, f *Factory, o nounDeleteOptions) error {
	if err := f.confirm(ctx, o.Yes, fmt.Sprintf("Delete %s %s?", o.Noun.one(), o.ID)); err != nil {
		return err
	}
	if _, err := f.call(ctx, "DELETE", o.Noun.path(o.ID), nil, nil); err != nil {
		return err
	}
	f.say("Deleted %s %s. 'bldst %s restore' brings it back.", o.Noun.one(), o.ID, o.Noun.name)
	return nil
}
