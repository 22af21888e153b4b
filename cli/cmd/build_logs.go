package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"bldst/cli/print"

	"github.com/spf13/cobra"
)

type buildLogsOptions struct {
	ID      string
	Attempt int // 0: all
	State   int // -1: all
}

func newBuildLogs(f *Factory, work run[buildLogsOptions]) *cobra.Command {
	var o buildLogsOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use: "logs [BUILD]", Short: "Print the last lines of what failed", Args: positional(0, "BUILD"),
		Long: `Print the last lines of what failed, oldest first: what the failures of a build
brought with them. The whole log is with the CI: 'bldst job list' has its address.`,
		Example:     examples([]string{`build logs "$BUILD"`, `build logs "$BUILD" --attempt 2 --state 40`}),
		Annotations: map[string]string{apiCall: "GET /builds/{id}/failures"},
	}
	ref.declare(cmd)
	cmd.Flags().IntVar(&o.Attempt, "attempt", 0, "only of this attempt")
	cmd.Flags().IntVar(&o.State, "state", -1, "only of this state")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

// A failure is what a failure brought with it.
type failure struct {
	Attempt int             `json:"attempt"`
	State   int             `json:"state_code"`
	At      string          `json:"created_at"`
	Message string          `json:"error_message"`
	Class   string          `json:"failure_class"`
	Exit    *int            `json:"exit_code"`
	Details json.RawMessage `json:"error_details"`
}

func runBuildLogs(ctx context.Context, f *Factory, o buildLogsOptions) error {
	path, err := f.buildPath(o.ID, "failures")
	if err != nil {
		return err
	}
	c, err := f.Client()
	if err != nil {
		return err
	}
	items, _, err := c.List(ctx, path, url.Values{}, 0)
	if err != nil {
		return err
	}
	var shown []json.RawMessage
	var failures []failure
	for _, raw := range items {
		var one failure
		if err := json.Unmarshal(raw, &one); err != nil {
			return err
		}
		if o.wants(one) {
			shown, failures = append(shown, raw), append(failures, one)
		}
	}
	if p := f.Printer(); p.Format != print.Table {
		return p.List(shown)
	}
	if len(failures) == 0 {
		f.say("Nothing failed.")
	}
	for _, one := range failures {
		if err := one.write(f.Streams.Out); err != nil {
			return err
		}
	}
	return nil
}

func (o buildLogsOptions) wants(one failure) bool {
	return (o.Attempt == 0 || one.Attempt == o.Attempt) && (o.State < 0 || one.State == o.State)
}

// write prints a failure with the last lines of its output.
func (one failure) write(w io.Writer) error {
	exit := ""
	if one.Exit != nil {
		exit = fmt.Sprintf(", exit code %d", *one.Exit)
	}
	message, tail := one.Message, tailOf(one.Details)
	if tail != "" { // which a message may repeat
		message, _, _ = strings.Cut(message, "\n")
		tail = "\n" + strings.TrimRight(tail, "\n")
	}
	_, err := fmt.Fprintf(w, "== attempt %d, state %d, %s%s, %s\n%s\n", one.Attempt, one.State, one.Class, exit, one.At, print.Text(message+tail))
	return err
}

// tailOf returns the last lines of output in the details of a failure; other
// tools than bldst call them otherwise.
func tailOf(details json.RawMessage) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(details, &members) != nil {
		return ""
	}
	for _, name := range []string{"tail", "log_tail", "output", "log", "stderr"} {
		var text string
		var lines []string
		switch raw := members[name]; {
		case raw == nil:
		case json.Unmarshal(raw, &text) == nil:
			return text
		case json.Unmarshal(raw, &lines) == nil:
			return strings.Join(lines, "\n")
		}
	}
	return ""
}
