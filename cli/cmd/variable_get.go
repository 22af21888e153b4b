package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"bldst/cli/print"
	"bldst/shared/client"

	"github.com/spf13/cobra"
)

type variableGetOptions struct {
	Args   []string
	Build  string
	Key    string
	Reveal bool
}

func newVariableGet(f *Factory, work run[variableGetOptions]) *cobra.Command {
	var o variableGetOptions
	cmd := &cobra.Command{
		Use: "get [BUILD] [KEY]", Short: "Print the value of a variable", Args: positional(0, "BUILD", "KEY"),
		Long:        "Print the value of a variable, alone on a line; with -o json all that is known of\nit. A secret is ****** unless --reveal is given.",
		Example:     examples([]string{`variable get "$BUILD" base_ami`, `variable get --build-id "$BUILD" --key base_ami -o json`}),
		Annotations: map[string]string{apiCall: "GET /builds/{id}/variables/{key}", argKinds: "builds -"},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Args = args
			return work(cmd.Context(), f, o)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.Build, "build-id", "", buildArg.usage+", instead of the argument")
	fs.StringVar(&o.Key, "key", "", "name of the variable, instead of the argument")
	fs.BoolVar(&o.Reveal, "reveal", false, reveal.usage)
	return cmd
}

func runVariableGet(ctx context.Context, f *Factory, o variableGetOptions) error {
	args, err := f.arguments([]arg{buildArg, keyArg}, []string{o.Build, o.Key}, o.Args)
	if err != nil {
		return err
	}
	query := url.Values{}
	if o.Reveal {
		query.Set("reveal", "true")
	}
	out, err := f.call(ctx, "GET", client.Path("builds", args[0], "variables", args[1]), query, nil)
	if err != nil {
		return err
	}
	if p := f.Printer(); p.Format != print.Table {
		return p.Object(out)
	}
	var v struct {
		Value string `json:"variable_value"`
	}
	if err := json.Unmarshal(out, &v); err != nil {
		return err
	}
	_, err = fmt.Fprintln(f.Streams.Out, v.Value)
	return err
}
