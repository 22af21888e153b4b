package cmd

import "github.com/spf13/cobra"

// newState is the group of the older spelling of reports: state update is
// build add-state.
func newState(f *Factory) *cobra.Command {
	group := newGroup("state", "Report or print the state of a build", "states")
	update := newBuildAddState(f, runBuildAddState)
	update.Use, update.Aliases = "update [ID]", []string{"add"}
	update.Example = "  bldst state update \"$BUILD\" --state 25 --message 'Packer started'"
	group.AddCommand(update, newStateGet(f, runStateGet))
	return group
}
