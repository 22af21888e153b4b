package cmd

import (
	"context"
	"fmt"
	"strings"

	"bldst/cli/pipeline"

	"github.com/spf13/cobra"
)

type initOptions struct {
	Starter string
	Dir     string
	Force   bool
}

func newInit(f *Factory, work run[initOptions]) *cobra.Command {
	o := initOptions{}
	cmd := &cobra.Command{
		Use:   "init [FOLDER]",
		Short: "Write a pipeline file to begin with",
		Long: `Write a commented pipeline file to begin with, and for a CI the file that runs it.
Nothing that is there is written over.`,
		Example: `  bldst init
  bldst init --for packer images/rhel
  bldst init --for github`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Dir = "."
			if len(args) == 1 {
				o.Dir = args[0]
			}
			return work(cmd.Context(), f, o)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.Starter, "for", "shell", "what is to run it: "+strings.Join(pipeline.Starters(), ", "))
	fs.BoolVar(&o.Force, "force", false, "write over what is there")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(pipeline.Starters(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runInit(_ context.Context, f *Factory, o initOptions) error {
	names, err := pipeline.Write(o.Starter, o.Dir, o.Force)
	if err != nil {
		return &badInput{err}
	}
	for _, name := range names {
		if _, err := fmt.Fprintln(f.Streams.Out, name); err != nil {
			return err
		}
	}
	f.say("Look at them, then: bldst run --check, bldst run --plan, bldst run.")
	return nil
}
