package cmd

import (
	"context"
	"fmt"

	"bldst/cli/print"

	"github.com/spf13/cobra"
)

type nounRestoreOptions struct {
	Noun noun
	ID   string
}

func newNounRestore(f *Factory, n noun, work run[nounRestoreOptions]) *cobra.Command {
	return &cobra.Command{
		Use:     "restore ID",
		Short:   "Bring back " + n.title + " that was deleted",
		Example: fmt.Sprintf("  bldst %s restore %s", n.name, n.id),
		Args:    positional(1, "ID"),

		Annotations: map[string]string{argKinds: n.plural},
		RunE: func(cmd *cobra.Command, args []string) error {
			return work(cmd.Context(), f, nounRestoreOptions{Noun: n, ID: args[0]})
		},
	}
}

func runNounRestore(ctx context.Context, f *Factory, o nounRestoreOptions) error {
	out, err := f.send(ctx, "POST", o.Noun.path(o.ID, "restore"), nil, nil)
	if err != nil {
		return err
	}
	f.say("Restored %s %s.", o.Noun.one(), print.ID(out))
	return nil
}
