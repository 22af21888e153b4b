package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bldst/cli/print"
	"bldst/shared/problem"

	"github.com/spf13/cobra"
)

type buildResumeOptions struct {
	ID    string
	From  string // "": where the plan says
	To    string
	Body  body
	Wait  bool
	Alone bool // nothing but the build was given
}

func newBuildResume(f *Factory, work run[buildResumeOptions]) *cobra.Command {
	var o buildResumeOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use: "resume [BUILD]", Short: "Resume a build that failed or was left, where its plan says", Args: positional(0, "BUILD"),
		Long: `Resume a build: open its next attempt, tell the CI of the project, and print what
a job needs to go on: the state, the artifacts and the variables. Where to begin
is what 'bldst build resume-plan' says, unless --from is given.

A job that was started to resume the build asks for its context with 'bldst build
resume BUILD' alone, as older scripts do, or with 'bldst build resume-context'.`,
		Example: examples([]string{`build resume "$BUILD" --reason 'quota was raised'`, `build resume "$BUILD" --from 40 --wait`,
			`build resume "$BUILD" --from-state 40 --reason retry --platform jenkins --pipeline images --job rhel-9`}),
		Annotations: map[string]string{apiCall: "POST /builds/{id}/resume,GET /builds/{id}/resume-context"},
	}
	form := declare(cmd,
		field{flag: "reason", key: "resume_reason", usage: "why", also: []string{"resume-reason"}},
		field{flag: "requested-by", key: "requested_by", usage: "who wants it (default: you)"},
		field{flag: "force", key: "force", kind: boolean, usage: "resume although the plan advises against it"},
		field{flag: "take-over", key: "take_over", kind: boolean, usage: "although a worker holds it, or another resume is not over: that one is replaced"},
		field{flag: "metadata", key: "metadata", kind: object, usage: "further data, a JSON object or @FILE"},
		field{flag: "platform", key: "platform", usage: "CI that shall resume it"},
		field{flag: "pipeline", key: "pipeline", usage: "pipeline there"},
		field{flag: "job", key: "job", usage: "job there"},
	)
	ref.declare(cmd)
	fs := cmd.Flags()
	for _, name := range []string{"from", "from-state", "resume-from-state"} {
		fs.StringVar(&o.From, name, "", "`state` to begin with (default: the plan's)")
	}
	for _, name := range []string{"to", "to-state"} {
		fs.StringVar(&o.To, name, "", "`state` to end with (default: the end)")
	}
	for _, name := range []string{"from-state", "resume-from-state", "to-state"} {
		_ = fs.MarkHidden(name)
	}
	fs.BoolVar(&o.Wait, "wait", false, "wait until the attempt has ended; the exit code is 1 unless it is completed")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		if o.Body, err = form.body(); err != nil {
			return err
		}
		o.Alone = o.From == "" && o.To == "" && len(o.Body) == 0 && !o.Wait
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runBuildResume(ctx context.Context, f *Factory, o buildResumeOptions) error {
	path, err := f.buildPath(o.ID)
	if err != nil {
		return err
	}
	request, err := f.resume(ctx, path, o)
	if err != nil && !(o.Alone && problem.Is(err, problem.ResumeInProgress)) {
		return err
	}
	found, err := f.call(ctx, "GET", path+"/resume-context", nil, nil)
	if err != nil {
		return err
	}
	shown, err := union(found, request)
	if err != nil {
		return err
	}
	if err := f.Printer().Object(shown, "build_id", "attempt", "resume_from_state", "resume_request_id"); err != nil {
		return err
	}
	if request == nil {
		f.say("A resume of the build is under way already; this is what it needs.")
	}
	if !o.Wait {
		return nil
	}
	return f.awaitEnd(ctx, path)
}

// resume asks for the resume.
func (f *Factory) resume(ctx context.Context, path string, o buildResumeOptions) (json.RawMessage, error) {
	if o.From != "" {
		o.Body["resume_from_state"] = stateText(o.From)
	}
	if o.To != "" {
		o.Body["resume_to_state"] = stateText(o.To)
	}
	if err := f.states(o.Body); err != nil {
		return nil, err
	}
	where := body{}
	for _, key := range []string{"platform", "pipeline", "job"} {
		if v, given := o.Body[key]; given {
			where[key] = v
			delete(o.Body, key)
		}
	}
	if len(where) > 0 {
		o.Body["orchestration_config"] = where
	}
	o.Body["request_source"] = "cli"
	return f.call(ctx, "POST", path+"/resume", nil, o.Body)
}

// union returns one object with the members of both; those of the first win.
func union(first, second json.RawMessage) (json.RawMessage, error) {
	if len(second) == 0 {
		return first, nil
	}
	return print.Union(first, second)
}

// awaitEnd waits until the build has ended; nil when it is completed.
func (f *Factory) awaitEnd(ctx context.Context, path string) error {
	last, err := f.watch(ctx, path, 2*time.Second, func(watched, json.RawMessage, error) error { return nil })
	switch {
	case err != nil:
		return err
	case last.Status == "completed":
		f.say("The build is completed.")
		return nil
	default:
		return hint(fmt.Errorf("the build is %s at state %d", last.Status, last.State), "See 'bldst build logs "+last.ID+"'.")
	}
}
