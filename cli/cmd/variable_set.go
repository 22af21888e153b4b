package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"bldst/shared/client"

	"github.com/spf13/cobra"
)

type variableSetOptions struct {
	Build string // "" for the environment's
	Set   []pair
	Body  body // of all
}

// A pair is a variable and its value.
type pair struct{ Key, Value string }

func newVariableSet(f *Factory, work run[variableSetOptions]) *cobra.Command {
	var build, key, value, file string
	cmd := &cobra.Command{
		Use: "set [BUILD] KEY=VALUE…", Short: "Set variables of a build",
		Long: `Set variables of a build. One that is there gets the new value. The value of a
secret is better read from a file: others on this machine see the command line.`,
		Example: examples([]string{`variable set "$BUILD" base_ami=ami-0abc region=us-east-1 --state 20 --required-for-resume`,
			`variable set --build-id "$BUILD" --key db_password --value-file - --is-sensitive < password.txt`}),
		Annotations: map[string]string{apiCall: "POST /builds/{id}/variables", argKinds: "builds"},
	}
	fs := cmd.Flags()
	fs.StringVar(&build, "build-id", "", buildArg.usage+", instead of the argument")
	fs.StringVar(&key, "key", "", "name of one variable, instead of KEY=VALUE")
	fs.StringVar(&value, "value", "", "its value")
	fs.StringVar(&file, "value-file", "", "`file` that holds its value; - is standard input")
	form := declare(cmd, append([]field{{flag: "state", key: "set_at_state", kind: state, usage: "state that set it", also: []string{"state-code"}}}, variableMarks...)...)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		o := variableSetOptions{Build: build}
		if o.Body, err = form.body(); err != nil {
			return err
		}
		if len(args) > 0 && !strings.Contains(args[0], "=") && build == "" {
			o.Build, args = args[0], args[1:]
		}
		if file != "" {
			if value, err = f.readText(file); err != nil {
				return err
			}
		}
		if cmd.Flags().Changed("key") {
			args = append(args, key+"="+value)
		}
		if o.Set, err = pairs(args); err != nil {
			return usage(cmd, err)
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func pairs(args []string) ([]pair, error) {
	if len(args) == 0 {
		return nil, errors.New("missing KEY=VALUE")
	}
	out := make([]pair, len(args))
	for i, a := range args {
		k, v, found := strings.Cut(a, "=")
		if !found || strings.TrimSpace(k) == "" {
			return nil, fmt.Errorf("%q is not KEY=VALUE", a)
		}
		out[i] = pair{k, v}
	}
	return out, nil
}

// runVariableSet sets one variable after the other and prints them. Those
// before one that is refused stay set.
func runVariableSet(ctx context.Context, f *Factory, o variableSetOptions) error {
	if err := f.states(o.Body); err != nil {
		return err
	}
	build, err := f.arguments([]arg{buildArg}, []string{o.Build}, nil)
	if err != nil {
		return err
	}
	var set []json.RawMessage
	for _, p := range o.Set {
		b := maps.Clone(o.Body)
		b["variable_key"], b["variable_value"] = p.Key, p.Value
		out, err := f.call(ctx, "POST", client.Path("builds", build[0], "variables"), nil, b)
		if err != nil {
			return fmt.Errorf("variable %s: %w", p.Key, err)
		}
		set = append(set, out)
	}
	p := f.Printer()
	if len(set) == 1 {
		err = p.Object(set[0], "variable_key", "variable_value")
	} else {
		err = p.List(set, "variable_key", "variable_value", "set_at_state", "is_required_for_resume")
	}
	if err == nil {
		f.say("Set.")
	}
	return err
}
