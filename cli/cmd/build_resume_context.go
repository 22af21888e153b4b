package cmd

import (
	"context"
	"encoding/json"
	"net/url"
	"sort"
	"strconv"

	"bldst/cli/print"

	"github.com/spf13/cobra"
)

type buildResumeContextOptions struct {
	ID     string
	Reveal bool
}

func newBuildResumeContext(f *Factory, work run[buildResumeContextOptions]) *cobra.Command {
	var o buildResumeContextOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use: "resume-context [BUILD]", Short: "Print what a job needs to resume a build", Args: positional(0, "BUILD"),
		Long: `Print what a job needs to resume a build: the state to begin with, the artifacts
and the variables.

With -o env these are lines for a shell to source (sh, bash, dash, zsh): the
context as BLDST_RESUME_FROM_STATE and the like, variables as BLDST_VAR_NAME,
artifacts as BLDST_ARTIFACT_NAME (where it lies) and BLDST_ARTIFACT_NAME_CHECKSUM.
Names are in capitals, with _ for what cannot be in a name. Secrets are left out
unless --reveal is given.`,
		Example: examples([]string{`build resume-context "$BUILD" -o json`, `build resume-context "$BUILD" --reveal -o env > resume.env && . ./resume.env`}),

		Annotations: map[string]string{apiCall: "GET /builds/{id}/resume-context"},
	}
	ref.declare(cmd)
	cmd.Flags().BoolVar(&o.Reveal, "reveal", false, reveal.usage)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runBuildResumeContext(ctx context.Context, f *Factory, o buildResumeContextOptions) error {
	path, err := f.buildPath(o.ID, "resume-context")
	if err != nil {
		return err
	}
	query := url.Values{}
	if o.Reveal {
		query.Set("reveal", "true")
	}
	out, err := f.call(ctx, "GET", path, query, nil)
	if err != nil {
		return err
	}
	p := f.Printer()
	if p.Format != print.Env {
		return p.Object(out, "build_id", "build_number", "attempt", "resume_from_state", "failed_state", "last_successful_state")
	}
	env, secrets, err := contextEnv(out)
	if err != nil {
		return err
	}
	if secrets > 0 {
		f.warn("%d secret variables are left out: --reveal prints them, with a credential that may write", secrets)
	}
	return p.Env(env)
}

// masked is what the API shows of a secret.
const masked = "******"

// contextEnv returns a resume context as variables of a shell, and how many
// secrets were left out.
func contextEnv(raw json.RawMessage) (env []print.Variable, secrets int, err error) {
	var c struct {
		BuildID    string            `json:"build_id"`
		Number     string            `json:"build_number"`
		Attempt    int               `json:"attempt"`
		Current    int               `json:"current_state"`
		From       int               `json:"resume_from_state"`
		Failed     *int              `json:"failed_state"`
		Successful *int              `json:"last_successful_state"`
		Request    *string           `json:"resume_request_id"`
		Variables  map[string]string `json:"variables"`
		Artifacts  []struct {
			Name     string  `json:"artifact_name"`
			Path     string  `json:"artifact_path"`
			Checksum *string `json:"checksum"`
		} `json:"artifacts"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, 0, err
	}
	env = []print.Variable{
		{Name: "BLDST_BUILD_ID", Value: c.BuildID}, {Name: "BLDST_BUILD_NUMBER", Value: c.Number}, {Name: "BLDST_ATTEMPT", Value: strconv.Itoa(c.Attempt)},
		{Name: "BLDST_CURRENT_STATE", Value: strconv.Itoa(c.Current)}, {Name: "BLDST_RESUME_FROM_STATE", Value: strconv.Itoa(c.From)},
		{Name: "BLDST_FAILED_STATE", Value: orEmpty(c.Failed)}, {Name: "BLDST_LAST_SUCCESSFUL_STATE", Value: orEmpty(c.Successful)},
		{Name: "RESUME_MODE", Value: "true"}, {Name: "RESUME_FROM_STATE", Value: strconv.Itoa(c.From)}, // names of older scripts
	}
	if c.Request != nil {
		env = append(env, print.Variable{Name: "BLDST_RESUME_REQUEST_ID", Value: *c.Request})
	}
	for _, a := range c.Artifacts {
		name := print.EnvName("BLDST_ARTIFACT_", a.Name)
		env = append(env, print.Variable{Name: name, Value: a.Path})
		if a.Checksum != nil {
			env = append(env, print.Variable{Name: name + "_CHECKSUM", Value: *a.Checksum})
		}
	}
	shown := variablesEnv(c.Variables)
	return append(env, shown...), len(c.Variables) - len(shown), nil
}

// variablesEnv returns the variables of a build, without the masked ones.
func variablesEnv(variables map[string]string) []print.Variable {
	var env []print.Variable
	for key, value := range variables {
		if value != masked {
			env = append(env, print.Variable{Name: print.EnvName("BLDST_VAR_", key), Value: value})
		}
	}
	sort.Slice(env, func(i, j int) bool { return env[i].Name < env[j].Name })
	return env
}

func orEmpty(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}
