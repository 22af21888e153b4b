package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

type buildOpenOptions struct {
	ID    string
	Print bool
}

func newBuildOpen(f *Factory, work run[buildOpenOptions]) *cobra.Command {
	var o buildOpenOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use: "open [BUILD]", Short: "Open the CI job of a build in the browser", Args: positional(0, "BUILD"),
		Long: `Open the CI job of a build in the browser: the newest job that has an address, else
the pipeline. Where there is no browser the address is printed, as with --print.`,
		Example:     examples([]string{`build open "$BUILD" --print`}),
		Annotations: map[string]string{apiCall: "GET /builds/{id},GET /builds/{id}/jobs"},
	}
	ref.declare(cmd)
	cmd.Flags().BoolVar(&o.Print, "print", false, "print the address only")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runBuildOpen(ctx context.Context, f *Factory, o buildOpenOptions) error {
	path, err := f.buildPath(o.ID)
	if err != nil {
		return err
	}
	address, err := f.pageOf(ctx, path)
	if err != nil {
		return err
	}
	if !o.Print && f.Browse != nil && f.Streams.OutTTY {
		if err := f.Browse(address); err == nil {
			f.say("Opened %s.", address)
			return nil
		}
	}
	_, err = fmt.Fprintln(f.Streams.Out, address)
	return err
}

// pageOf returns the address of the newest job of a build, else of its
// pipeline. Only addresses of the web are opened: others may run something.
func (f *Factory) pageOf(ctx context.Context, path string) (string, error) {
	c, err := f.Client()
	if err != nil {
		return "", err
	}
	jobs, _, err := c.List(ctx, path+"/jobs", url.Values{}, 100)
	if err != nil {
		return "", err
	}
	raw, err := f.call(ctx, "GET", path, nil, nil)
	if err != nil {
		return "", err
	}
	for _, object := range append(jobs, raw) {
		var with struct {
			Job       *string `json:"job_url"`
			Pipeline  *string `json:"pipeline_url"`
			Concourse *string `json:"concourse_pipeline_url"`
		}
		if err := json.Unmarshal(object, &with); err != nil {
			return "", err
		}
		for _, address := range []*string{with.Job, with.Pipeline, with.Concourse} {
			if address != nil && webPage(*address) {
				return *address, nil
			}
		}
	}
	return "", hint(errors.New("the build names no job and no pipeline with an address"), "A job says where it runs with 'bldst job create … --job-url URL'.")
}

func webPage(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
