package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

type buildAddStateOptions struct {
	ID    string
	State stateFlags
	Body  body
}

func newBuildAddState(f *Factory, work run[buildAddStateOptions]) *cobra.Command {
	var o buildAddStateOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use:     "add-state [ID]",
		Aliases: []string{"update-state"},
		Short:   "Report the state of a build",
		Long: `Report the state of a build: a number from 0 to 100, or the name of one of the
project's states. The build is completed by state 100.

Any text may stand for the status; one that is no status is kept as the message
of a state in progress. Codes of the Jenkins library (200 to 900, 999, -1) are
translated; with BLDST_STATE_SCALE=1000 so is every other.`,
		Example: `  bldst build add-state "$BUILD" --state 25 --status in_progress --message 'Packer started'
  bldst build add-state "$BUILD" --state 50 --status completed --storage-type s3 --storage-path s3://images/50.qcow2
  bldst build update-state --build-id "$BUILD" --state-code testing --metadata '{"suite": "smoke"}'`,
		Args: positional(0, "ID"),
	}
	form := declare(cmd,
		field{flag: "status", key: "status", usage: "pending, in_progress, completed, failed or cancelled; or any text"},
		field{flag: "message", key: "message", usage: "what is going on"},
		field{flag: "metadata", key: "metadata", kind: object, usage: "further data, a JSON object or @FILE"},
		field{flag: "storage-type", key: "artifact_storage_type", usage: "where the state's artifact lies: s3, nfs, azure-blob, …"},
		field{flag: "storage-path", key: "artifact_storage_path", usage: "its address"},
		field{flag: "artifact-size", key: "artifact_size_bytes", kind: integer, usage: "its size in bytes"},
		field{flag: "checksum", key: "artifact_checksum", usage: "its checksum"},
		field{flag: "artifact-metadata", key: "artifact_metadata", kind: object, usage: "further data of it, a JSON object or @FILE"},
		field{flag: "target", key: "target", usage: "target of the state that is reported"},
		field{flag: "fingerprint", key: "fingerprint", usage: "what its inputs are, so that a resume sees when they change"},
		takeOver,
		field{flag: "rerun", key: "rerun", kind: boolean, usage: "the state is run again although it is done in this attempt"},
		field{flag: "error-message", key: "error_message", usage: "why the state failed"},
		field{flag: "attempt", key: "attempt", kind: integer, usage: "attempt of the build the report belongs to"},
		field{flag: "worker", key: "worker", usage: "who reports; gives them a lease"},
	)
	ref.declare(cmd)
	o.State.declare(cmd, "`CODE` or name of the state (required)")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		if o.State.State == "" {
			return usage(cmd, errNoState)
		}
		if o.Body, err = form.body(); err != nil {
			return err
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runBuildAddState(ctx context.Context, f *Factory, o buildAddStateOptions) error {
	c, err := f.code(o.State)
	if err != nil {
		return err
	}
	if c.Failed {
		return runBuildAddFailure(ctx, f, buildAddFailureOptions{ID: o.ID, Body: failureOf(o.Body)})
	}
	c.put(o.Body)
	if _, given := o.Body["status"]; c.Completed && !given {
		o.Body["status"] = "completed"
	}
	path, err := f.buildPath(o.ID, "state")
	if err != nil {
		return err
	}
	if _, err := f.send(ctx, "POST", path, nil, o.Body); err != nil {
		return err
	}
	f.say("Recorded.")
	return nil
}

// failureOf turns the report of state -1 into the report of a failure.
func failureOf(report body) body {
	b := body{"error_message": "failed"}
	for from, to := range map[string]string{"message": "error_message", "metadata": "error_details", "attempt": "attempt", "worker": "worker"} {
		if v, ok := report[from]; ok {
			b[to] = v
		}
	}
	return b
}
