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
	form := declare(cmd,
		field{flag: "message", key: "error_message", required: true, usage: "what went wrong; --error is the same", also: []string{"error", "error-message"}},
		field{flag: "type", key: "failure_type", usage: "kind of failure, e.g. packer_error", also: []string{"failure-type"}},
		field{flag: "code", key: "error_code", usage: "error code, e.g. PACKER_TIMEOUT", also: []string{"error-code"}},
		field{flag: "component", key: "component", usage: "what failed, e.g. packer, ansible"},
		field{flag: "class", key: "failure_class", usage: "transient, persistent, quota, …: what may help", also: []string{"failure-class"}},
		field{flag: "retryable", key: "is_retryable", kind: boolean, usage: "trying again may help"},
		field{flag: "retry-attempt", key: "retry_attempt", kind: integer, usage: "number of the try that failed"},
		field{flag: "details", key: "error_details", kind: object, usage: "further data, a JSON object or @FILE", also: []string{"metadata", "error-details"}},
		field{flag: "attempt", key: "attempt", kind: integer, usage: "attempt of the build the report belongs to"},
		field{flag: "worker", key: "worker", usage: "who reports"},
	)
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
