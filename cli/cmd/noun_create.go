package cmd

import (
	"context"
	"fmt"

	"bldst/cli/print"

	"github.com/spf13/cobra"
)

type nounCreateOptions struct {
	Noun noun
	Body body
}

func newNounCreate(f *Factory, n noun, work run[nounCreateOptions]) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "create",
		Short:   "Create " + n.title,
		Example: fmt.Sprintf("  bldst %s create %s", n.name, n.example),
		Args:    positional(0),
	}
	form := declare(cmd, n.fields...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b, err := form.body()
		if err != nil {
			return err
		}
		return work(cmd.Context(), f, nounCreateOptions{Noun: n, Body: b})
	}
	return cmd
}

func runNounCreate(ctx context.Context, f *Factory, o nounCreateOptions) error {
	out, err := f.send(ctx, "POST", o.Noun.path(), nil, o.Body)
	if err != nil {
		return err
	}
	f.say("Created %s %s.", o.Noun.one(), print.ID(out))
	return nil
}
