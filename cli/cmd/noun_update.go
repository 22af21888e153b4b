package cmd

import (
	"context"
	"errors"
	"fmt"

	"bldst/cli/print"

	"github.com/spf13/cobra"
)

type nounUpdateOptions struct {
	Noun noun
	ID   string
	Body body
}

func newNounUpdate(f *Factory, n noun, work run[nounUpdateOptions]) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "update ID",
		Short:   "Change " + n.title,
		Long:    "Change " + n.title + ". What is not given stays as it is.",
		Example: fmt.Sprintf("  bldst %s update %s --display-name 'Another name'", n.name, n.id),
		Args:    positional(1, "ID"),

		Annotations: map[string]string{argKinds: n.plural},
	}
	form := declare(cmd, optional(n.fields)...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		b, err := form.changes()
		if err != nil {
			return err
		}
		return work(cmd.Context(), f, nounUpdateOptions{Noun: n, ID: args[0], Body: b})
	}
	return cmd
}

func runNounUpdate(ctx context.Context, f *Factory, o nounUpdateOptions) error {
	out, err := f.send(ctx, "PUT", o.Noun.path(o.ID), nil, o.Body)
	if err != nil {
		return err
	}
	f.say("Updated %s %s.", o.Noun.one(), print.ID(out))
	return nil
}

// optional returns fields, none of them required.
func optional(fields []field) []field {
	out := make([]field, len(fields))
	for i, fd := range fields {
		fd.required = false
		out[i] = fd
	}
	return out
}

// changes is the body of an update: at least one member.
func (f *form) changes() (body, error) {
	b, err := f.body()
	if err == nil && len(b) == 0 {
		err = usage(f.cmd, errors.New("nothing to update: give at least one option"))
	}
	return b, err
}
