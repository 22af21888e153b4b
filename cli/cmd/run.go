package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"bldst/cli/pipeline"
	"bldst/cli/settings"
	"bldst/cli/step"
	"bldst/cli/step/ci"

	"github.com/spf13/cobra"
)

type runOptions struct {
	stepOptions // which build, and how the API is reached

	File          string
	From, To      int
	Jobs          int
	Check, Plan   bool
	Schema        bool
	Events        string
	Always, Force bool
	Only          []string // targets
}

func newRun(f *Factory, work run[runOptions]) *cobra.Command {
	o := runOptions{}
	cmd := &cobra.Command{
		Use:   "run [FILE]",
		Short: "Carry out the states of a pipeline file, and go on where it was",
		Long: `Carry out the states of a pipeline file (default pipeline.yaml), each as one
'bldst step': what is done is skipped, what an interruption has cost is restored,
and how it went is reported. Run it again and it goes on.

With targets there is one build for each, side by side; what they write is told
apart by the name of the target. On a terminal a table shows where they are, and
what they write goes to files.

When all states of a file are done the build is completed. 'bldst init' writes a
file to begin with, --check looks at one, and --schema prints the JSON Schema for
editors.

The exit code is that of the state that failed; with several targets 1.`,
		Example: `  bldst run
  bldst run --check pipeline.yaml
  bldst run --plan
  bldst run image.yaml --from 40 --to 60
  bldst run image.yaml --only aws --jobs 2 --events events.jsonl`,
		Args: cobra.MaximumNArgs(1),
	}
	o.declareRun(cmd)
	form := declare(cmd, stepReferences...)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		o.File = "pipeline.yaml"
		if len(args) == 1 {
			o.File = args[0]
		}
		switch {
		case o.From < 0 || o.From > 100 || o.To < 0 || o.To > 100 || o.From > o.To:
			return usage(cmd, errors.New("--from and --to are states from 0 to 100, and --from is not above --to"))
		case o.Jobs < 1:
			return usage(cmd, errors.New("--jobs must be 1 or more"))
		}
		if o.Body, err = form.body(); err != nil {
			return err
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func (o *runOptions) declareRun(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&o.BuildID, "build", "", "`ID` or number of a build that exists (BLDST_BUILD_ID)")
	fs.StringVar(&o.BuildID, "build-id", "", "")
	_ = fs.MarkHidden("build-id")
	fs.IntVar(&o.From, "from", 0, "first `state` to carry out")
	fs.IntVar(&o.To, "to", 100, "last `state` to carry out; below 100 the build is not completed")
	fs.IntVar(&o.Jobs, "jobs", 4, "how many targets at once")
	fs.StringSliceVar(&o.Only, "only", nil, "carry out these `targets` only")
	fs.BoolVar(&o.Check, "check", false, "only look whether the file is right")
	fs.BoolVar(&o.Plan, "plan", false, "print what would be skipped, restored and run, and why; change nothing")
	fs.BoolVar(&o.Schema, "schema", false, "print the JSON Schema of the file")
	fs.StringVar(&o.Events, "events", "", "write what happens to this `file`, one JSON object a line")
	fs.BoolVar(&o.Always, "always", false, "run the states also when they are done")
	fs.BoolVar(&o.Force, "force", false, "run the states although the plan is against it")
	fs.BoolVar(&o.TakeOver, "take-over", false, "replace the worker that holds the build")
	fs.BoolVar(&o.Strict, "strict", false, "fail when the API is away")
	_ = cmd.MarkFlagFilename("events")
}

func runRun(ctx context.Context, f *Factory, o runOptions) error {
	if o.Schema {
		_, err := f.Streams.Out.Write(pipeline.Schema)
		return err
	}
	p, err := pipeline.Read(o.File)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &badInput{hint(fmt.Errorf("there is no file %s", o.File), "'bldst init' writes one to begin with.")}
	case err != nil:
		return &badInput{err}
	case o.Check:
		f.say("%s is right: %s.", o.File, f.contents(p))
		return nil
	}
	targets, err := f.runTargets(p, &o)
	if err != nil {
		return err
	}
	if o.Plan {
		return f.printRunPlan(ctx, p, targets, &o)
	}
	return f.carryOut(ctx, p, targets, &o)
}

// contents says what is in a pipeline.
func (f *Factory) contents(p *pipeline.Pipeline) string {
	out := counted(len(p.States), "state")
	if n := len(p.Targets); n > 0 {
		out += " for " + counted(n, "target")
	}
	return out
}

// counted says how many of a thing there are: 1 state, 2 states.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// A runTarget is one build of a pipeline.
type runTarget struct {
	name   string // "" when there are no targets
	build  string // id or number
	flags  []string
	env    map[string]string
	states []pipeline.State
}

// runTargets finds out which builds a pipeline makes.
func (f *Factory) runTargets(p *pipeline.Pipeline, o *runOptions) ([]runTarget, error) {
	s, err := f.Settings()
	if err != nil {
		return nil, err
	}
	if err := f.pipelineBuild(p, o, s); err != nil {
		return nil, err
	}
	if len(p.Targets) == 0 {
		return []runTarget{{build: o.Build, flags: referenceFlags(o), env: p.Env, states: p.Of("")}}, o.noTargets()
	}
	if o.Create == nil {
		return nil, &badInput{hint(errors.New("a pipeline with targets makes one build for each"), "Give a number (--build-number, BLDST_BUILD_NUMBER) in place of a build; each target adds its name to it.")}
	}
	var out []runTarget
	for _, t := range p.Targets {
		if len(o.Only) > 0 && !slices.Contains(o.Only, t.Name) {
			continue
		}
		each := *o
		each.Build = o.Build + "-" + t.Name
		each.Create = maps.Clone(o.Create)
		each.Create["build_number"] = each.Build
		for key, value := range map[string]string{"platform_id": t.Platform, "os_version_id": t.OSVersion, "image_type_id": t.ImageType} {
			if value != "" {
				each.Create[key] = value
			}
		}
		env := maps.Clone(p.Env)
		if env == nil {
			env = map[string]string{}
		}
		maps.Copy(env, t.Env)
		env["BLDST_TARGET"] = t.Name
		out = append(out, runTarget{name: t.Name, build: each.Build, flags: referenceFlags(&each), env: env, states: p.Of(t.Name)})
	}
	return out, o.knownTargets(p)
}

func (o *runOptions) noTargets() error {
	if len(o.Only) > 0 {
		return &badInput{fmt.Errorf("%s has no targets", o.File)}
	}
	return nil
}

func (o *runOptions) knownTargets(p *pipeline.Pipeline) error {
	var names []string
	for _, t := range p.Targets {
		names = append(names, t.Name)
	}
	for _, t := range o.Only {
		if !slices.Contains(names, t) {
			return &badInput{fmt.Errorf("there is no target %s in %s; there are: %s", t, o.File, strings.Join(names, ", "))}
		}
	}
	return nil
}

// pipelineBuild finds out which build it is, as 'bldst step' does; what flags
// and the environment do not say, the file says.
func (f *Factory) pipelineBuild(p *pipeline.Pipeline, o *runOptions, s *settings.Settings) error {
	if p.Build.Number != "" && o.BuildID == "" && s.Env("BUILD_ID") == "" {
		if _, given := o.Body["build_number"]; !given && s.Env("BUILD_NUMBER") == "" {
			number, err := pipeline.Expand(p.Build.Number, f.Env)
			if err != nil {
				return &badInput{hint(fmt.Errorf("%s: build.number: %w", o.File, err), "Every run would be a build of its own, or all of them the same.")}
			}
			o.Body["build_number"] = number
		}
	}
	if err := f.fillIn(o.Body); err != nil {
		return err
	}
	for key, value := range map[string]string{"project_id": p.Build.Project, "platform_id": p.Build.Platform, "os_version_id": p.Build.OSVersion, "image_type_id": p.Build.ImageType} {
		if _, given := o.Body[key]; !given && value != "" {
			o.Body[key] = value
		}
	}
	return f.stepBuild(&o.stepOptions, s, ci.Find(f.Env))
}

// referenceFlags are the flags that tell a step which build it belongs to.
func referenceFlags(o *runOptions) []string {
	if o.Create == nil {
		return []string{"--build=" + o.Build}
	}
	var out []string
	for _, fd := range stepReferences {
		if v, ok := o.Create[fd.key].(string); ok {
			out = append(out, "--"+fd.flag+"="+v)
		}
	}
	return out
}

// flagsOf are those of the step of a state.
func (o *runOptions) flagsOf(s pipeline.State) []string {
	var out []string
	add := func(name string, values ...string) {
		for _, v := range values {
			out = append(out, "--"+name+"="+v)
		}
	}
	files, variables := s.Depends()
	if s.Name != "" {
		add("name", s.Name)
	}
	add("input", files...)
	add("env", variables...)
	add("produces", s.Produces...)
	for _, name := range slices.Sorted(maps.Keys(s.Save)) {
		add("save", name+"="+s.Save[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.Restore)) {
		add("restore", name+"="+s.Restore[name])
	}
	if s.Timeout > 0 {
		add("timeout", s.Timeout.String())
	}
	if s.Heartbeat > 0 {
		add("heartbeat", s.Heartbeat.String())
	}
	if s.Grace > 0 {
		add("grace", s.Grace.String())
	}
	if s.Retries > 0 {
		add("retries", strconv.Itoa(s.Retries))
	}
	if artifact, ok := strings.CutPrefix(s.When, "missing "); ok {
		add("when-missing", artifact)
	}
	add("always", strconv.FormatBool(o.Always || s.When == "always"))
	add("force", strconv.FormatBool(o.Force))
	add("take-over", strconv.FormatBool(o.TakeOver))
	add("strict", strconv.FormatBool(o.Strict))
	return out
}

// A runEvent is one line of --events.
type runEvent struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"` // started, skipped, completed, failed, left_out, ended
	Target  string    `json:"target,omitempty"`
	Build   string    `json:"build"` // id, or number while the API was not reached
	Attempt int       `json:"attempt,omitempty"`
	State   *int      `json:"state,omitempty"`
	Name    string    `json:"name,omitempty"`
	Exit    *int      `json:"exit_code,omitempty"`
	Seconds float64   `json:"seconds,omitempty"`
}

func openEvents(name string) (io.WriteCloser, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // none are wanted
	}
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, &badInput{err}
	}
	return out, nil
}

func (e runEvent) line() []byte {
	b, _ := json.Marshal(e)
	return append(b, '\n')
}

// fingerprints returns those of the states of a target, as its steps will have
// them. An input that cannot be read leaves its state out: the state before may
// make it.
func (t *runTarget) fingerprints(p *pipeline.Pipeline, env func(string) (string, bool)) map[int]string {
	out := map[int]string{}
	for _, s := range t.states {
		files, variables := s.Depends()
		print, err := step.Fingerprint(p.Args(s.Run), files, variables, func(name string) (string, bool) {
			for _, m := range []map[string]string{s.Env, t.env} {
				if v, ok := m[name]; ok {
					return v, true
				}
			}
			return env(name)
		})
		if err == nil {
			out[s.Code] = print
		}
	}
	return out
}
