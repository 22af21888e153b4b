package cmd

import "github.com/spf13/cobra"

// newFailure is the group of the older spelling of failures: failure record is
// build add-failure.
func newFailure(f *Factory) *cobra.Command {
	group := newGroup("failure", "Report or list failures of a build", "failures")
	record := newBuildAddFailure(f, runBuildAddFailure)
	record.Use, record.Aliases = "record [ID]", nil
	record.Example = "  bldst failure record \"$BUILD\" --error 'no capacity' --code AWS_CAPACITY --component packer"
	list := newBuildFailures(f, runBuildFailures)
	list.Use = "list [ID]"
	list.Example = "  bldst failure list \"$BUILD\""
	group.AddCommand(record, list)
	return group
}
