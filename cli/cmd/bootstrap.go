package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// BootstrapOptions say which stage gets its first key, and for whom.
type BootstrapOptions struct {
	Table    string // the table of the stage
	Username string // of the administrator
}

func newBootstrap(f *Factory, work run[BootstrapOptions]) *cobra.Command {
	var o BootstrapOptions
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Make the first administrator's key of a deployed stage",
		Long: `Make an API key with all scopes for an administrator, who is created when there
is no such user, and store the platforms, OS versions, image types and the
project every stage begins with, where they are missing. It writes to the
stage's table with your AWS credentials (environment, profile or single
sign-on), since a new stage knows no other, and prints the key, once.

The output TableName of the stack is the table; 'make bootstrap STAGE=prod' finds
it.`,
		Example: "  bldst bootstrap --table bldst-prod-TableCD117FA1-EXAMPLE --username ada",
		Args:    positional(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Table == "" {
				o.Table, _ = f.Env("TABLE_NAME")
			}
			if o.Table == "" {
				return usage(cmd, errors.New("which stage? Name its table with --table; it is the output TableName of the stack"))
			}
			return work(cmd.Context(), f, o)
		},
	}
	cmd.Flags().StringVar(&o.Table, "table", "", "`name` of the stage's table (default TABLE_NAME)")
	cmd.Flags().StringVar(&o.Username, "username", "admin", "`name` of the administrator")
	return cmd
}

func runBootstrap(ctx context.Context, f *Factory, o BootstrapOptions) error {
	if f.Bootstrap == nil {
		return errors.New("this bldst was built without access to AWS")
	}
	key, err := f.Bootstrap(ctx, o)
	if err != nil {
		return err
	}
	if !f.flags.quiet {
		_, _ = fmt.Fprintf(f.Streams.Err, "The key of %s, shown this once. Keep it with: bldst auth set-key KEY\n", o.Username)
	}
	_, err = fmt.Fprintln(f.Streams.Out, key)
	return err
}
