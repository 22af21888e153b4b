package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bldst/cli/print"

	"github.com/spf13/cobra"
)

// Run carries out one command line (without the program's name) and returns
// the exit code, see exitCode.
func Run(ctx context.Context, f *Factory, args []string) int {
	if args == nil {
		args = []string{} // cobra would take those of the process
	}
	f.completing = len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd)
	root := newRoot(f)
	root.SetArgs(args)
	root.SetIn(f.Streams.In)
	root.SetOut(f.Streams.Out)
	root.SetErr(f.Streams.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !f.started {
		err = usage(cmd, err)
	}
	if err != nil && ctx.Err() == nil {
		err = f.explain(ctx, err)
	}
	f.report(err, args)
	return exitCode(err)
}

//go:generate go run ../gen -reference ../../docs/cli.md

// Tree returns all commands of f, for what is made from them.
func Tree(f *Factory) *cobra.Command {
	root := newRoot(f)
	root.InitDefaultCompletionCmd()
	return root
}

func newRoot(f *Factory) *cobra.Command {
	root := &cobra.Command{
		Use:   "bldst",
		Short: "Follow and resume builds of machine images",
		Long: `bldst records where every build of a machine image is, what it produced on the
way, and how to go on after an interruption.

The API is found through 'bldst config set-url URL' or BLDST_API_URL, the
credential through 'bldst auth set-key', 'bldst auth login' or BLDST_API_KEY.
Results go to standard output, everything else to standard error.

Exit codes: 0 done; 1 failed; 2 wrong usage or input; 4 not signed in or not
allowed; 5 the API cannot be reached; 130 interrupted.`,
		Example: `  bldst config set-url http://localhost:8080
  bldst auth set-key dev-key-12345
  bldst build create --platform aws-commercial --os rhel-9.3 --type base --id 2024.02.001
  bldst build list --status failed -o json`,
		Version:           f.Version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return f.checkOutput() },
		Args:              cobra.ArbitraryArgs,
		RunE:              help,
	}
	root.SetVersionTemplate("bldst {{.Version}}\n")
	root.SetFlagErrorFunc(plainFlagError)
	f.rootFlags(root)
	root.AddCommand(
		newConfig(f), newAuth(f), newHealth(f), newDashboard(f),
		newStep(f, runStep), newRun(f, runRun), newInit(f, runInit), newSpool(f),
		newBuild(f), newState(f), newFailure(f), newArtifact(f), newVariable(f), newResumeRequest(f), newJob(f),
		newStateCode(f), newResumableState(f), newPolicy(f), newCI(f), newSubscription(f), newDelivery(f), newWindow(f),
		newUser(f), newToken(f), newAudit(f), newBreaker(f), newMetrics(f),
		newLocal(f, runLocal), newBootstrap(f, runBootstrap), newVersion(f), newDoctor(f, runDoctor),
	)
	for _, n := range nouns {
		root.AddCommand(newNoun(f, n))
	}
	prepare(f, root)
	return root
}

func (f *Factory) rootFlags(root *cobra.Command) {
	fs := root.PersistentFlags()
	fs.StringVarP(&f.flags.output, "output", "o", "", "how to print the result: table, json, yaml or env (lines for a shell)")
	fs.StringVar(&f.flags.output, "format", "", "")
	fs.StringSliceVar(&f.flags.fields, "json", nil, "print these `members` of the result as JSON, e.g. id,status")
	fs.StringVar(&f.flags.jq, "jq", "", "print what this jq `expression` makes of the result")
	fs.StringVar(&f.flags.config, "config", "", "settings `file` (default ~/.bldst.yaml)")
	fs.StringVar(&f.flags.profile, "profile", "", "`name` of the settings to use, kept in ~/.bldst.NAME.yaml (default BLDST_PROFILE)")
	fs.StringVar(&f.flags.apiURL, "api-url", "", "`URL` of the API (default BLDST_API_URL, then the settings)")
	fs.BoolVarP(&f.flags.quiet, "quiet", "q", false, "print ids only, and no messages")
	fs.BoolVarP(&f.flags.verbose, "verbose", "v", false, "tell every call of the API")
	_ = fs.MarkHidden("format") // the older name of --output
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml", "env"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *Factory) checkOutput() error {
	if f.flags.jq != "" {
		if err := print.CheckQuery(f.flags.jq); err != nil {
			return err
		}
	}
	_, err := print.ParseFormat(f.flags.output)
	return err
}

// prepare does to every command what every command needs: it marks where the
// work begins, and keeps shells from offering file names for ids.
func prepare(f *Factory, cmd *cobra.Command) {
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			f.started = true
			return work(cmd, args)
		}
	}
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = f.completeArgs(argsOf(cmd))
	}
	if f.completing {
		f.completeFlags(cmd)
	}
	for _, sub := range cmd.Commands() {
		prepare(f, sub)
	}
}

// argsOf returns what the arguments of a command stand for, by its annotation.
func argsOf(cmd *cobra.Command) []arg {
	var args []arg
	for _, kind := range strings.Fields(cmd.Annotations[argKinds]) {
		args = append(args, arg{kind: strings.Trim(kind, "-")})
	}
	return args
}

// argKinds is the annotation of a command with the kinds of its arguments, see
// completers; - for one that is not completed.
const argKinds = "args"

// annotate adds an annotation to cmd.
func annotate(cmd *cobra.Command, key, value string) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[key] = value
}

// newGroup returns a command that only holds others.
func newGroup(use, short string, aliases ...string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Aliases: aliases,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE:                  help,
	}
}

// help prints the help of a command that only holds others.
func help(cmd *cobra.Command, args []string) error {
	if err := noSuchCommand(cmd, args); err != nil {
		return err
	}
	return cmd.Help()
}

// noSuchCommand returns the usage error of arguments that name no command.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if close := cmd.SuggestionsFor(args[0]); len(close) > 0 {
		text += "; did you mean " + strings.Join(close, " or ") + "?"
	}
	return usage(cmd, errors.New(text))
}
