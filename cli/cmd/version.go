package cmd

import (
	"context"
	"encoding/json"
	"fmt"

	"bldst/cli/print"

	"github.com/spf13/cobra"
)

func newVersion(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program", Args: positional(0),
		Example: "  bldst version",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runVersion(cmd.Context(), f) },
	}
}

func runVersion(_ context.Context, f *Factory) error {
	p := f.Printer()
	if p.Format == print.Table {
		_, err := fmt.Fprintln(f.Streams.Out, "bldst", f.Version)
		return err
	}
	raw, err := json.Marshal(map[string]string{"version": f.Version})
	if err != nil {
		return err
	}
	return p.Object(raw)
}
