package cmd

import (
	"context"
	"net/url"
	"strconv"
)

// list prints the list at path.
func (f *Factory) list(ctx context.Context, path string, query url.Values, p paging, columns []string) error {
	c, err := f.Client()
	if err != nil {
		return err
	}
	if p.Skip > 0 {
		query.Set("skip", strconv.Itoa(p.Skip))
	}
	limit := p.Limit
	if p.All {
		limit = 0
	}
	items, more, err := c.List(ctx, path, query, limit)
	if err != nil {
		return err
	}
	if err := f.Printer().List(items, columns...); err != nil {
		return err
	}
	if more && p.asked { // else not even --quiet may look like all of them
		f.say("There are more than these %d: use --all, or a larger --limit.", len(items))
	} else if more {
		f.warn("there are more than these %d: use --all, or a larger --limit", len(items))
	}
	return nil
}
