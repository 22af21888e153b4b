package cmd

import (
	"context"
	"errors"

	"bldst/cli/print"

	"github.com/spf13/cobra"
)

type buildUpdateOptions struct {
	ID    string
	Body  body
	State string
}

func newBuildUpdate(f *Factory, work run[buildUpdateOptions]) *cobra.Command {
	var o buildUpdateOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use:     "update [ID]",
		Short:   "Change a build",
		Long:    "Change a build. What is not given stays as it is. To report progress, use\n'bldst build add-state'.",
		Example: "  bldst build update \"$BUILD\" --ami-id ami-0abc --status completed",
		Args:    positional(0, "ID"),
	}
	form := declare(cmd,
		field{flag: "status", key: "status", usage: "pending, in_progress, completed, failed or cancelled"},
		field{flag: "ami-id", key: "ami_id", usage: "id of the AMI"},
		field{flag: "image-id", key: "image_id", usage: "id of the image"},
		field{flag: "end-time", key: "end_time", usage: "when it ended, e.g. 2024-02-01T10:00:00Z"},
		field{flag: "packer-manifest", key: "packer_manifest", kind: object, usage: "Packer's manifest, a JSON object or @FILE"},
		field{flag: "metadata", key: "build_metadata", kind: object, usage: "further data, a JSON object or @FILE", also: []string{"build-metadata"}},
		field{flag: "description", key: "description", usage: "what is built"},
	)
	ref.declare(cmd)
	cmd.Flags().StringVar(&o.State, "current-state", "", "`CODE` or name of the state it is in")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		changes := form.changes
		if o.State != "" {
			changes = form.body
		}
		if o.Body, err = changes(); err != nil {
			return err
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runBuildUpdate(ctx context.Context, f *Factory, o buildUpdateOptions) error {
	if o.State != "" {
		c, err := f.code(stateFlags{State: o.State})
		if err != nil {
			return err
		}
		switch {
		case c.Failed:
			return &badInput{errors.New("--current-state cannot be -1: report the failure with 'bldst build add-failure'")}
		case c.Name != "":
			o.Body["current_state"] = c.Name
		default:
			o.Body["current_state"] = c.Code
		}
	}
	path, err := f.buildPath(o.ID)
	if err != nil {
		return err
	}
	out, err := f.send(ctx, "PUT", path, nil, o.Body)
	if err != nil {
		return err
	}
	f.say("Updated build %s.", print.ID(out))
	return nil
}
