package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"

	"bldst/shared/client"

	"github.com/spf13/cobra"
)

func newDashboard(f *Factory) *cobra.Command {
	group := newGroup("dashboard", "Print how builds are going")
	group.AddCommand(newDashboardSummary(f, runDashboardObject), newDashboardRecent(f, runDashboardRecent), newDashboardPlatform(f, runDashboardObject))
	return group
}

// dashboardOptions name the page of the dashboard.
type dashboardOptions struct {
	Path  string
	Limit int // of recent
}

func newDashboardSummary(f *Factory, work run[dashboardOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "summary", Short: "Count builds by status, platform and state", Args: positional(0),
		Example: "  bldst dashboard summary -o json | jq .failed_builds",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return work(cmd.Context(), f, dashboardOptions{Path: "/dashboard/summary"})
		},
	}
}

func newDashboardPlatform(f *Factory, work run[dashboardOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "platform ID", Short: "Print the numbers of one platform", Args: positional(1, "ID"),
		Example:     "  bldst dashboard platform aws-commercial",
		Annotations: map[string]string{argKinds: "platforms"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return work(cmd.Context(), f, dashboardOptions{Path: client.Path("dashboard", "platform", args[0])})
		},
	}
}

func newDashboardRecent(f *Factory, work run[dashboardOptions]) *cobra.Command {
	o := dashboardOptions{Path: "/dashboard/recent"}
	cmd := &cobra.Command{
		Use: "recent", Short: "List the builds that changed last", Args: positional(0),
		Example: "  bldst dashboard recent --limit 5",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Limit < 1 {
				return usage(cmd, errors.New("--limit must be 1 or more"))
			}
			return work(cmd.Context(), f, o)
		},
	}
	cmd.Flags().IntVar(&o.Limit, "limit", 10, "print at most that many")
	return cmd
}

func runDashboardObject(ctx context.Context, f *Factory, o dashboardOptions) error {
	out, err := f.call(ctx, "GET", o.Path, nil, nil)
	if err != nil {
		return err
	}
	return f.Printer().Object(out)
}

func runDashboardRecent(ctx context.Context, f *Factory, o dashboardOptions) error {
	out, err := f.call(ctx, "GET", o.Path, url.Values{"limit": {strconv.Itoa(o.Limit)}}, nil)
	if err != nil {
		return err
	}
	var items []json.RawMessage
	if err := json.Unmarshal(out, &items); err != nil {
		return err
	}
	return f.Printer().List(items, f.buildColumns()...)
}
