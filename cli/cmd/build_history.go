package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"bldst/shared/build"

	"github.com/spf13/cobra"
)

type buildHistoryOptions struct {
	ID     string
	Page   paging
	Verify bool
}

func newBuildHistory(f *Factory, work run[buildHistoryOptions]) *cobra.Command {
	var o buildHistoryOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use: "history [BUILD]", Short: "List everything that was done to a build, and by whom", Args: positional(0, "BUILD"),
		Long: `List everything that was done to a build, and by whom. The rows are chained by
their hashes: with --verify all of them are read, the chain is computed again
here, and compared with what the service says. The exit code is 1 when it does
not hold.`,
		Example:     examples([]string{`build history "$BUILD"`, `build history "$BUILD" --verify`}),
		Annotations: map[string]string{apiCall: "GET /builds/{id}/history,GET /builds/{id}/history/verify"},
	}
	ref.declare(cmd)
	o.Page.declare(cmd.Flags(), 100)
	cmd.Flags().BoolVar(&o.Verify, "verify", false, "compute the hash chain again")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		if err := o.Page.check(cmd); err != nil {
			return err
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runBuildHistory(ctx context.Context, f *Factory, o buildHistoryOptions) error {
	path, err := f.buildPath(o.ID, "history")
	if err != nil {
		return err
	}
	if o.Verify {
		return f.verifyHistory(ctx, path)
	}
	return f.list(ctx, path, url.Values{}, o.Page, []string{"seq", "at", "kind", "actor", "attempt", "after"})
}

// verifyHistory computes the hash chain of a history again. What the service
// says about it is only believed where both agree.
func (f *Factory) verifyHistory(ctx context.Context, path string) error {
	c, err := f.Client()
	if err != nil {
		return err
	}
	var said build.Verdict
	if err := c.Do(ctx, "GET", path+"/verify", nil, nil, &said); err != nil {
		return err
	}
	rows, _, err := c.List(ctx, path, url.Values{}, max(said.Rows, 1)) // what came since is not part of the question
	if err != nil {
		return err
	}
	var v build.Verifier
	for _, raw := range rows {
		if err := add(&v, raw); err != nil {
			return err
		}
	}
	found := v.Verdict(&build.Build{ID: said.BuildID, Head: build.Head{Seq: said.Rows, Hash: said.HeadHash}})
	if found.Valid && !said.Valid {
		found = said
	}
	raw, err := json.Marshal(found)
	if err != nil {
		return err
	}
	if err := f.Printer().Object(raw, "build_id", "valid", "rows"); err != nil {
		return err
	}
	if !found.Valid {
		return fmt.Errorf("the history was changed: %s", found.Reason)
	}
	f.say("The history is whole: %d rows, each follows from the one before.", found.Rows)
	return nil
}

func add(v *build.Verifier, raw json.RawMessage) error {
	var row struct {
		JSON string `json:"json"`
		Prev string `json:"prev_hash"`
		Hash string `json:"hash"`
	}
	if err := json.Unmarshal(raw, &row); err != nil {
		return fmt.Errorf("a row of the history: %w", err)
	}
	v.Add(build.Row{JSON: row.JSON, Prev: row.Prev, Hash: row.Hash})
	return nil
}
