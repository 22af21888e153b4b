package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

type buildListOptions struct {
	Page     paging
	Status   string
	Platform string
	Project  string
	Deleted  bool
}

func newBuildList(f *Factory, work run[buildListOptions]) *cobra.Command {
	var o buildListOptions
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List builds, newest first",
		Example: "  bldst build list --status failed --platform aws-commercial\n  bldst build list --all -q",
		Args:    positional(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Page.check(cmd); err != nil {
				return err
			}
			return work(cmd.Context(), f, o)
		},
	}
	fs := cmd.Flags()
	o.Page.declare(fs, 100)
	fs.StringVar(&o.Status, "status", "", "only those: pending, in_progress, completed, failed or cancelled")
	fs.StringVar(&o.Platform, "platform", "", "only those of this platform")
	fs.StringVar(&o.Platform, "platform-id", "", "")
	fs.StringVar(&o.Project, "project", "", "only those of this project")
	fs.StringVar(&o.Project, "project-id", "", "")
	for flag, key := range map[string]string{"status": "status", "platform": "platform_id", "project": "project_id"} {
		_ = fs.SetAnnotation(flag, setsMember, []string{key})
	}
	_ = fs.MarkHidden("platform-id")
	_ = fs.MarkHidden("project-id")
	fs.BoolVar(&o.Deleted, "include-deactivated", false, "also those that were deleted")
	return cmd
}

func runBuildList(ctx context.Context, f *Factory, o buildListOptions) error {
	q := deactivated(o.Deleted)
	for name, v := range map[string]string{"status": o.Status, "platform_id": o.Platform, "project_id": o.Project} {
		if v != "" {
			q.Set(name, v)
		}
	}
	return f.list(ctx, "/builds", q, o.Page, f.buildColumns())
}
