package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"bldst/cli/files"
	"bldst/cli/settings"
	"bldst/cli/step"
	"bldst/cli/step/ci"
	"bldst/shared/client"

	"github.com/spf13/cobra"
)

type stepOptions struct {
	step.Options
	Body    body // references of the build, as given by flags
	BuildID string
	Log     string
	Result  string // a file that is told what became of it
}

func newStep(f *Factory, work run[stepOptions]) *cobra.Command {
	o := stepOptions{Options: step.Options{}}
	cmd := &cobra.Command{
		Use:   "step STATE [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run a command as one state of a build, once",
		Long: `Run a command as one state of a build: report it, skip it when it is done,
restore what it needs after an interruption, report how it went. A script whose
lines begin with 'bldst step' is resumable: run it again and it goes on.

The build is the one of --build or BLDST_BUILD_ID; else that of the number in
BLDST_BUILD_NUMBER, or of the CI's own variables, which is made when there is
none, from BLDST_PROJECT, BLDST_PLATFORM, BLDST_OS_VERSION and BLDST_IMAGE_TYPE.

A state is skipped when it was completed in this build by the same command line,
with the same content of every --input and the same value of every --env. What
must be done again after a failure, and what is restored before, is said by the
plan of the API ('bldst build resume-plan').

The command gets the streams of this process: a terminal is handed over as it
is. Where nobody sits at one, output passes through a pipe, so that the end of it
can be told with a failure. It runs in a process group of its own; INT, TERM and
HUP are passed on to the group, and whatever the command leaves behind is ended.

It finds BLDST_BUILD_ID, BLDST_ATTEMPT, BLDST_STATE and the variables of the
build as BLDST_VAR_NAME in its environment.

The exit code is that of the command, 128 + n when signal n ended it, 124 after
--timeout. A build never fails because the API is away: what cannot be reported
is kept and sent later (see 'bldst spool').`,
		Example: `  bldst step 25 --name "Install packages" --input packages.txt -- ./install.sh
  bldst step 40 --produces manifest.json --timeout 2h --retries 2 -- packer build image.pkr.hcl
  bldst step 60 --save ami=ref:@ami-id.txt -- ./bake.sh`,
		Args: stepArgs,
	}
	o.declare(cmd)
	form := declare(cmd, stepReferences...)
	saves := cmd.Flags().StringArray("save", nil, "keep `NAME=PATH`, NAME=ref:ADDRESS or NAME=ref:@FILE when the command has ended well")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.State, err = stepState(args[0]); err != nil {
			return usage(cmd, err)
		}
		o.Args = args[1:]
		for _, text := range *saves {
			sv, err := step.ParseSave(text)
			if err != nil {
				return usage(cmd, fmt.Errorf("--save: %w", err))
			}
			o.Save = append(o.Save, sv)
		}
		if o.Body, err = form.body(); err != nil {
			return err
		}
		if o.Grace < 0 || o.Timeout < 0 || o.Heartbeat < 0 || o.Retries < 0 || o.RetryWait < 0 {
			return usage(cmd, errors.New("times and --retries must be 0 or more"))
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

// stepArgs wants the state before the dashes and the command after them.
func stepArgs(cmd *cobra.Command, args []string) error {
	switch at := cmd.ArgsLenAtDash(); {
	case len(args) == 0 || at == 0:
		return errors.New("missing STATE")
	case at < 0 && len(args) > 1:
		return fmt.Errorf("put the command after --: bldst step %s -- %s", args[0], strings.Join(args[1:], " "))
	case at < 0 || len(args) == at || args[at] == "":
		return errors.New("missing COMMAND after --")
	case at > 1:
		return fmt.Errorf("unexpected argument %q", args[1])
	}
	return nil
}

func stepState(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 100 {
		return 0, fmt.Errorf("state %q must be a number from 0 to 100", text)
	}
	return n, nil
}

var stepReferences = []field{
	{flag: "build-number", key: "build_number", usage: "number of the build; it is made when there is none (BLDST_BUILD_NUMBER)"},
	{flag: "project-id", key: "project_id", usage: "project of a new build", also: []string{"project"}},
	{flag: "platform-id", key: "platform_id", usage: "platform of a new build", also: []string{"platform"}},
	{flag: "os-version-id", key: "os_version_id", usage: "OS version of a new build", also: []string{"os-version", "os"}},
	{flag: "image-type-id", key: "image_type_id", usage: "image type of a new build", also: []string{"image-type", "type"}},
}

func (o *stepOptions) declare(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&o.BuildID, "build", "", "`ID` or number of a build that exists (BLDST_BUILD_ID)")
	fs.StringVar(&o.BuildID, "build-id", "", "")
	_ = fs.MarkHidden("build-id")
	fs.StringVar(&o.Name, "name", "", "what the state is, for people")
	fs.StringArrayVar(&o.Inputs, "input", nil, "`file` or folder the result depends on; another content runs the command again")
	fs.StringArrayVar(&o.EnvNames, "env", nil, "`NAME` of a variable the result depends on")
	fs.StringArrayVar(&o.Produces, "produces", nil, "`path` the command must write; without it exit code 0 is a failure of class nothing_done")
	fs.StringArrayVar(&o.Restore, "restore", nil, "restore this checkpoint too, `NAME=PATH`")
	fs.StringVar(&o.WhenMissing, "when-missing", "", "run the command only when the build has no `artifact` of this name")
	fs.BoolVar(&o.Always, "always", false, "run the command also when the state is done")
	fs.BoolVar(&o.Force, "force", false, "run the command although the plan is against it")
	fs.BoolVar(&o.TakeOver, "take-over", false, "replace the worker that holds the build")
	fs.BoolVar(&o.NoRestore, "no-restore", false, "restore nothing")
	fs.BoolVar(&o.Strict, "strict", false, "fail when the API is away")
	fs.DurationVar(&o.Timeout, "timeout", 0, "end the command after that long (class timed_out)")
	fs.DurationVar(&o.Heartbeat, "heartbeat", 15*time.Second, "how often to say that the worker is alive; 0 for never")
	fs.DurationVar(&o.Grace, "grace", 8*time.Second, "how long what is ended may take before it is killed")
	fs.IntVar(&o.Retries, "retries", 0, "run the command again that often after a failure of class transient")
	fs.DurationVar(&o.RetryWait, "retry-wait", 5*time.Second, "pause before the first of the retries; it doubles")
	fs.StringVar(&o.Result, "result", "", "")
	_ = fs.MarkHidden("result") // for 'bldst run'
	fs.StringVar(&o.Log, "log", "", "write a copy of the output to this `file`; it then passes through a pipe on a terminal too")
	for _, name := range []string{"input", "produces", "log"} {
		_ = cmd.MarkFlagFilename(name)
	}
}

func runStep(ctx context.Context, f *Factory, o stepOptions) error {
	s, err := f.Settings()
	if err != nil {
		return err
	}
	job := ci.Find(f.Env)
	if err := f.stepBuild(&o, s, job); err != nil {
		return err
	}
	if err := f.stepStreams(&o); err != nil {
		return err
	}
	if o.Log != "" {
		log, err := os.OpenFile(o.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return &badInput{err}
		}
		defer func() { _ = log.Close() }()
		o.Options.Log = log
	}
	if o.Client, err = f.stepClient(&o, s); err != nil {
		return err
	}
	api, err := f.Client()
	if err != nil {
		return err
	}
	o.Files = stepFiles{&files.Mover{API: api}}
	o.Root = f.spoolRoot(s)
	o.Worker, o.Job = stepWorker(f, s, job), job
	o.Environ = os.Environ()
	o.Now = time.Now
	o.Say, o.Warn = f.say, f.warn
	if o.Result != "" {
		o.Done = func(r step.Result) {
			if b, err := json.Marshal(r); err == nil {
				_ = os.WriteFile(o.Result, b, 0o600)
			}
		}
	}
	code, err := step.Run(ctx, o.Options)
	var e *step.Exit
	switch {
	case errors.As(err, &e) && e.Hint != "":
		return hint(err, e.Hint)
	case err != nil:
		return err
	case code != 0:
		return exitStatus(code)
	default:
		return nil
	}
}

// stepBuild finds out which build the step belongs to.
func (f *Factory) stepBuild(o *stepOptions, s *settings.Settings, job ci.Job) error {
	_, numbered := o.Body["build_number"]
	if o.BuildID == "" && !numbered {
		o.BuildID = s.Env("BUILD_ID")
	}
	if o.Build = o.BuildID; o.Build != "" {
		return nil
	}
	if v, set := f.Env("BLDST_BUILD_NUMBER"); set && strings.TrimSpace(v) == "" && !numbered {
		return &badInput{hint(errors.New("BLDST_BUILD_NUMBER is empty"), "Is a variable empty that it is made of? Every run would be a build of its own, or all of them the same.")}
	}
	b := maps.Clone(o.Body)
	if err := f.fillIn(b); err != nil {
		return err
	}
	if _, ok := b["build_number"]; !ok && job.Number != "" {
		b["build_number"] = job.Number
	}
	number, ok := b["build_number"].(string)
	if !ok {
		how := job.Hint()
		if how == "" {
			how = "Say it with --build ID, BLDST_BUILD_ID or BLDST_BUILD_NUMBER; the same number is the same build, so a script that is run again goes on."
		}
		return &badInput{hint(errors.New("which build is this a step of?"), how)}
	}
	if err := ci.CheckNumber(number); err != nil {
		return &badInput{hint(err, "Set the variable, or another BLDST_BUILD_NUMBER.")}
	}
	for key, value := range map[string]string{"pipeline_url": job.URL, "concourse_job_name": job.Name, "commit_hash": job.Commit} {
		if value != "" {
			b[key] = value
		}
	}
	o.Build, o.Create = number, b
	return nil
}

// stepStreams takes the streams of this process as they are.
func (f *Factory) stepStreams(o *stepOptions) error {
	in, ok1 := f.Streams.In.(*os.File)
	out, ok2 := f.Streams.Out.(*os.File)
	errs, ok3 := f.Streams.Err.(*os.File)
	if !ok1 || !ok2 || !ok3 {
		return errors.New("a step needs the streams of a process")
	}
	o.Stdin, o.Stdout, o.Stderr = in, out, errs
	o.Terminal = f.Streams.OutTTY && !ci.Inside(f.Env)
	o.Interactive = f.Streams.InTTY && !ci.Inside(f.Env)
	return nil
}

// stepClient returns a client that does not give up before its caller does.
func (f *Factory) stepClient(o *stepOptions, s *settings.Settings) (*client.Client, error) {
	c := client.Options{APIKey: s.APIKey(), Retry: client.Retry{Tries: 1 << 20, Base: 50 * time.Millisecond, Max: time.Second}}
	if c.APIKey == "" {
		c.Token = s.Token()
	}
	o.Secrets = append(o.Secrets, c.APIKey, c.Token)
	o.API = f.apiAddress()
	return f.newClient(c)
}

// stepWorker returns who works: what the environment says, the run of the CI,
// or the user of this machine.
func stepWorker(f *Factory, s *settings.Settings, job ci.Job) string {
	if w := s.Env("WORKER"); w != "" {
		return w
	}
	if job.Worker != "" {
		return job.Worker
	}
	host, _ := os.Hostname()
	user, _ := f.Env("USER")
	if user == "" {
		user = "uid" + strconv.Itoa(os.Getuid())
	}
	return user + "@" + host
}

// spoolRoot returns the folder of what is to be reported later: BLDST_SPOOL,
// else that of the user's state, else one of the system's temporary folder when
// the home cannot be written to.
func (f *Factory) spoolRoot(s *settings.Settings) string {
	if dir := s.Env("SPOOL"); dir != "" {
		return dir
	}
	dir, _ := f.Env("XDG_STATE_HOME")
	if home, err := f.Home(); dir == "" && err == nil {
		dir = filepath.Join(home, ".local", "state")
	}
	if dir != "" {
		dir = filepath.Join(dir, "bldst")
		if os.MkdirAll(dir, 0o700) == nil && writable(dir) {
			return dir
		}
	}
	return filepath.Join(os.TempDir(), "bldst-"+strconv.Itoa(os.Getuid()))
}

// writable reports whether files can be made in dir.
func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".try-*")
	if err != nil {
		return false
	}
	_ = f.Close()
	return os.Remove(f.Name()) == nil
}
