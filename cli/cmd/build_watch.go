package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bldst/cli/print"
	"bldst/shared/client"

	"github.com/spf13/cobra"
)

type buildWatchOptions struct {
	ID    string
	Every time.Duration
}

func newBuildWatch(f *Factory, work run[buildWatchOptions]) *cobra.Command {
	var o buildWatchOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use: "watch [BUILD]", Short: "Follow a build until it ends", Args: positional(0, "BUILD"),
		Long: `Follow a build until it ends: a line for every change, on a terminal the current
state below them. It goes on when the connection is lost. With -o json every
change is one line of JSON. The exit code is 0 when the build is completed, 1
when it failed or was cancelled.`,
		Example:     examples([]string{`build watch "$BUILD"`, `build watch "$BUILD" --every 30s -o json`}),
		Annotations: map[string]string{apiCall: "GET /builds/{id}"},
	}
	ref.declare(cmd)
	cmd.Flags().DurationVar(&o.Every, "every", 2*time.Second, "how often to ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		if o.Every < 100*time.Millisecond {
			return usage(cmd, errors.New("--every must be 100ms or more"))
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

// A watched is what is shown of a build that is watched.
type watched struct {
	ID       string  `json:"id"`
	Number   string  `json:"build_number"`
	Status   string  `json:"status"`
	State    int     `json:"current_state"`
	Attempt  int     `json:"attempt"`
	ETA      *string `json:"eta"`
	Message  *string `json:"message"`
	Revision int     `json:"revision"`
	Cancel   bool    `json:"cancel_requested"`
}

func (b watched) ended() bool {
	return b.Status == "completed" || b.Status == "failed" || b.Status == "cancelled"
}

func runBuildWatch(ctx context.Context, f *Factory, o buildWatchOptions) error {
	path, err := f.buildPath(o.ID)
	if err != nil {
		return err
	}
	last, err := f.watch(ctx, path, o.Every, (&screen{f: f, p: f.Printer()}).show)
	if err == nil && last.Status != "completed" {
		err = errTold
	}
	return err
}

// longestPause is how long is waited at most before a lost connection is tried
// again.
const longestPause = 30 * time.Second

// watch tells how a build is, with its JSON where that has changed, until it has
// ended. While nobody answers it asks less and less often.
func (f *Factory) watch(ctx context.Context, path string, every time.Duration, tell func(watched, json.RawMessage, error) error) (watched, error) {
	var last watched
	for pause := every; ; {
		raw, err := f.call(ctx, "GET", path, nil, nil)
		switch {
		case err == nil:
			pause = every
			var b watched
			if err := json.Unmarshal(raw, &b); err != nil {
				return last, err
			}
			if b.Revision == last.Revision && last.ID != "" {
				raw = nil
			}
			if err := tell(b, raw, nil); err != nil || b.ended() {
				return b, err
			}
			last = b
		case passes(err):
			pause = min(2*pause, longestPause)
			if err := tell(last, nil, err); err != nil {
				return last, err
			}
		default:
			return last, err
		}
		if err := f.pause(ctx, pause); err != nil {
			return last, err
		}
	}
}

// passes reports whether what failed may work in a while.
func passes(err error) bool {
	var un *client.Unreachable
	var ce *client.Error
	return errors.As(err, &un) || errors.As(err, &ce) && (ce.Status >= 500 || ce.Status == 429)
}

// A screen shows a build that is watched.
type screen struct {
	f    *Factory
	p    *print.Printer
	lost bool
	live bool // the last line is the current state, to be written over
}

func (s *screen) show(b watched, raw json.RawMessage, err error) error {
	if err != nil {
		s.clear()
		if !s.lost {
			s.f.say("The connection is lost, trying again: %v", err)
		}
		s.lost = true
		return nil
	}
	s.lost = false
	switch {
	case s.p.Format != print.Table:
		if raw == nil {
			return nil
		}
		return s.p.Compact(raw)
	case raw != nil:
		s.clear()
		return s.p.Lines(s.line(b))
	case s.p.TTY:
		s.clear()
		s.live = true
		_, err := fmt.Fprint(s.f.Streams.Out, s.p.Cut(s.line(b)))
		return err
	default:
		return nil
	}
}

// clear takes the current state off the terminal.
func (s *screen) clear() {
	if s.live {
		fmt.Fprint(s.f.Streams.Out, "\r\x1b[K")
	}
	s.live = false
}

// line is one change, e.g. "10:29:14  in_progress  45  attempt 2  done in 12m  packages".
func (s *screen) line(b watched) string {
	now := time.Now
	if s.f.Now != nil {
		now = s.f.Now
	}
	parts := []string{now().Format("15:04:05"), fmt.Sprintf("%3d", b.State), b.Status, fmt.Sprintf("attempt %d", b.Attempt)}
	if b.ETA != nil && !b.ended() {
		parts = append(parts, "ends "+s.p.Relative(*b.ETA))
	}
	if b.Cancel && !b.ended() {
		parts = append(parts, "asked to stop")
	}
	if b.Message != nil && *b.Message != "" {
		parts = append(parts, *b.Message)
	}
	return strings.Join(parts, "  ")
}
