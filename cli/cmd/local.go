package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

// LocalOptions are the options of the system on one machine.
type LocalOptions struct {
	Port  int
	Data  string   // directory of its data; "" means a temporary one
	Hosts []string // names and addresses it may be called by, beside those of this machine
	Quiet bool     // no line for every request
}

func newLocal(f *Factory, work run[LocalOptions]) *cobra.Command {
	var o LocalOptions
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run the whole system on this machine",
		Long: `Run the API, its table, the state machine and the events on this machine, until
interrupted. Nothing else is needed, and nothing is sent anywhere.

It answers to localhost and to pages of this machine only: the development keys
are known to everybody. --host names what else it may be called by, and listens
there if that is an address; ALLOWED_ORIGINS names other pages. A line for every
request goes to standard error, without -q.`,
		Example: `  bldst local --port 8080 --data ./bldst-data
  bldst local --host 192.168.1.20 --host build-server`,
		Args: positional(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Port < 0 || o.Port > 65535 {
				return usage(cmd, errors.New("--port must be from 0 to 65535"))
			}
			o.Quiet = f.flags.quiet
			return work(cmd.Context(), f, o)
		},
	}
	cmd.Flags().IntVar(&o.Port, "port", 8080, "port to listen on; 0 for a free one")
	cmd.Flags().StringSliceVar(&o.Hosts, "host", nil, "`name` or address to answer to, beside localhost; 0.0.0.0 listens everywhere")
	cmd.Flags().StringVar(&o.Data, "data", "", "`directory` to keep the data in (default: a temporary one, removed at the end)")
	return cmd
}

func runLocal(ctx context.Context, f *Factory, o LocalOptions) error {
	if f.Local == nil {
		return errors.New("this bldst was built without the local system")
	}
	return f.Local(ctx, o)
}
