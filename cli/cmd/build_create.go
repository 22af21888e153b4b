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

type buildCreateOptions struct {
	Body       body
	Attach     bool
	StartState string
	IDOnly     bool
}

func newBuildCreate(f *Factory, work run[buildCreateOptions]) *cobra.Command {
	var o buildCreateOptions
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a build",
		Long: `Create a build and print its id and its data.

Project, platform, OS version and image type are given by id or name, or come
from BLDST_PROJECT, BLDST_PLATFORM, BLDST_OS_VERSION and BLDST_IMAGE_TYPE, then
from the settings; the number from BLDST_BUILD_NUMBER. Without a number the API
makes one.

The references have short spellings: --project, --platform, --os, --type and, for
the number, --id. With --os, --type or --id only the id is printed, as with
--quiet, unless -o says how to print it.`,
		Example: `  BUILD=$(bldst build create --platform aws-commercial --os rhel-9.3 --type base --id 2024.02.001)
  bldst build create --project-id golden-images --platform-id aws-commercial --os-version-id rhel-9.3 \
      --image-type-id base --build-number 2024.02.001 --metadata '{"branch": "main"}'
  bldst build create --build-number 2024.02.001 --platform azure --attach -q`,
		Args: positional(0),
	}
	form := declare(cmd, buildFields...)
	cmd.Flags().BoolVar(&o.Attach, "attach", false, "go on with the build of that number if there is one for the same image")
	cmd.Flags().StringVar(&o.StartState, "start-state", "", "report this state at once")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if o.Body, err = form.body(); err != nil {
			return err
		}
		if name, ok := o.Body["name"]; ok { // of the Jenkins library
			delete(o.Body, "name")
			if _, numbered := o.Body["build_number"]; !numbered {
				o.Body["build_number"] = name
			}
		}
		for _, short := range []string{"os", "type", "id"} {
			o.IDOnly = o.IDOnly || cmd.Flags().Changed(short)
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

var buildFields = []field{
	{flag: "build-number", key: "build_number", usage: "unique number or name of the build", also: []string{"id"}},
	{flag: "project-id", key: "project_id", usage: "project", also: []string{"project"}},
	{flag: "platform-id", key: "platform_id", usage: "platform", also: []string{"platform"}},
	{flag: "os-version-id", key: "os_version_id", usage: "OS version", also: []string{"os-version", "os"}},
	{flag: "image-type-id", key: "image_type_id", usage: "image type", also: []string{"image-type", "type"}},
	{flag: "cloud-provider-id", key: "cloud_provider_id", usage: "cloud provider", also: []string{"cloud-provider"}},
	{flag: "os-distribution-id", key: "os_distribution_id", usage: "OS distribution", also: []string{"os-distribution"}},
	{flag: "image-variant-id", key: "image_variant_id", usage: "image variant", also: []string{"image-variant"}},
	{flag: "created-by", key: "created_by", usage: "who or what builds"},
	{flag: "pipeline-url", key: "pipeline_url", usage: "address of the pipeline"},
	{flag: "concourse-url", key: "concourse_pipeline_url", usage: "address of the Concourse pipeline"},
	{flag: "concourse-job", key: "concourse_job_name", usage: "name of the pipeline's job"},
	{flag: "commit", key: "commit_hash", usage: "commit that is built", also: []string{"commit-hash"}},
	{flag: "description", key: "description", usage: "what is built"},
	{flag: "metadata", key: "build_metadata", kind: object, usage: "further data, a JSON object or @FILE", also: []string{"build-metadata"}},
	{flag: "name", key: "name", usage: "same as --build-number, in the Jenkins library"},
}

func runBuildCreate(ctx context.Context, f *Factory, o buildCreateOptions) error {
	if err := f.fillIn(o.Body); err != nil {
		return err
	}
	var start stateCode
	if o.StartState != "" {
		c, err := f.code(stateFlags{State: o.StartState})
		if err != nil {
			return err
		}
		start = c
	}
	query := url.Values{}
	if o.Attach {
		query.Set("attach", "true")
	}
	out, err := f.call(ctx, "POST", "/builds", query, o.Body)
	if err != nil {
		return err
	}
	if err := f.printCreated(out, o.IDOnly && f.flags.output == ""); err != nil {
		return err
	}
	if start.Code == 0 && start.Name == "" { // where a build begins anyway
		return nil
	}
	report := body{"status": "in_progress"}
	start.put(report)
	if _, err := f.call(ctx, "POST", client.Path("builds", print.ID(out), "state"), nil, report); err != nil {
		return hint(err, "The build was created, only its start state was not recorded: use 'bldst build add-state'.")
	}
	return nil
}

// fillIn adds the references that the environment or the settings name.
func (f *Factory) fillIn(b body) error {
	s, err := f.Settings()
	if err != nil {
		return err
	}
	for key, value := range map[string]string{
		"project_id":    s.Env("PROJECT", "PROJECT_ID"),
		"platform_id":   s.Platform(),
		"os_version_id": s.OSVersion(),
		"image_type_id": s.Env("IMAGE_TYPE"),
		"build_number":  s.Env("BUILD_NUMBER"),
	} {
		if _, given := b[key]; !given && value != "" {
			b[key] = value
		}
	}
	return nil
}

// printCreated prints a new build. Pipelines cut the id out of plain output by
// the line "Build ID: …".
func (f *Factory) printCreated(out json.RawMessage, idOnly bool) error {
	p := f.Printer()
	p.Quiet = p.Quiet || idOnly
	if p.Format == print.Table && !p.Quiet {
		if _, err := fmt.Fprintf(p.Out, "Build ID: %s\n", print.ID(out)); err != nil {
			return err
		}
	}
	return p.Object(out, "id")
}
