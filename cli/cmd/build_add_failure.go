package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

type buildAddFailureOptions struct {
	ID    string
	State stateFlags // may be empty: the current state
	Body  body
}

func newBuildAddFailure(f *Factory, work run[buildAddFailureOptions]) *cobra.Command {
	var o buildAddFailureOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use:     "add-failure [ID]",
		Aliases: []string{"record-failure"},
		Short:   "Report that a build failed",
		Long: `Report that a build failed, at its current state or the one given. The build can
be resumed from there.`,
		Example: `  bldst build add-failure "$BUILD" --state 50 --type ansible_error --message 'role db failed' --retryable`,
		Args:    positional(0, "ID"),
	}
	form := declare(cmd, failureFields...)
	ref.declare(cmd)
	o.State.declare(cmd, "`CODE` or name of the state that failed (default: the current one)")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		if o.Body, err = form.body(); err != nil {
			return err
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runBuildAddFailure(ctx context.Context, f *Factory, o buildAddFailureOptions) error {
	if o.State.State != "" {
		c, err := f.code(o.State)
		if err != nil {
			return err
		}
		c.put(o.Body)
	}
	path, err := f.buildPath(o.ID, "failure")
	if err != nil {
		return err
	}
	if _, err := f.send(ctx, "POST", path, nil, o.Body); err != nil {
		return err
	}
	f.say("Recorded the failure.")
	return nil
}
