package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"

	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// Builds implements build.Store: one query, and one read more when a status
// or a platform is asked for. A credential bound to several projects costs one
// query for each; a combination that no index lists (the failed builds of one
// platform) reads on until the page is full, at most maxScan pages.
func (s *Store) Builds(ctx context.Context, f build.Filter) ([]*build.Build, string, error) {
	projects, platform, err := s.listScope(ctx, f)
	if err != nil {
		return nil, "", err
	}
	l := lister{s: s, limit: f.Limit, skip: f.Skip, keep: func(b *build.Build) bool {
		return (f.Status == "" || b.Status == f.Status) && (platform == "" || b.PlatformID == platform) &&
			(len(projects) == 0 || slices.Contains(projects, b.ProjectID)) && (f.Deleted || b.DeactivatedAt == nil)
	}}
	if len(projects) > 1 {
		for _, p := range projects {
			l.add(source([]string{p}, platform, f.Status), platform != "")
		}
	} else {
		l.add(source(projects, platform, f.Status), platform != "" && (f.Status != "" || len(projects) > 0))
	}
	if f.Deleted {
		l.add(table.Query{Index: 1, PK: "deleted#" + buildKind, Reverse: true}, true)
	}
	return l.page(ctx, f.Cursor)
}

// listScope returns the ids of the projects to list (none is all) and of the
// platform. Forbidden when the caller asks for a project it is not bound to.
func (s *Store) listScope(ctx context.Context, f build.Filter) ([]string, string, error) {
	ids, err := s.Resolve(ctx, Ref{"project", "Project", f.Project}, Ref{"platform", "Platform", f.Platform})
	if err != nil {
		return nil, "", err
	}
	if ids[0] != "" {
		return ids[:1], ids[1], nil
	}
	if c := auth.CallerOf(ctx); c != nil {
		return c.Projects, ids[1], nil
	}
	return nil, ids[1], nil
}

// source returns the index partition that lists the wanted builds, newest
// first.
func source(projects []string, platform string, status build.Status) table.Query {
	q := table.Query{Index: 1, PK: buildKind, Reverse: true}
	switch {
	case len(projects) == 1 && status != "":
		q.Index, q.PK = 2, byProjectStatus(projects[0], status)
	case len(projects) == 1:
		q.Index, q.PK, q.Prefix = 2, "project#"+projects[0], buildKind+"#"
	case status != "":
		q.PK = byStatus(status)
	case platform != "":
		q.Index, q.PK = 2, byPlatform(platform)
	}
	return q
}

// maxScan bounds how many pages are read to fill one.
const maxScan = 20

// A lister makes one page of builds out of the lists of several sources. The
// cursor it hands out says how far each source was read.
type lister struct {
	s       *Store
	limit   int
	skip    int
	keep    func(*build.Build) bool
	sources []*buildSource
}

// A buildSource is one list that is being read. Rows that are dropped for
// another reason than the lag of the index make it sparse.
type buildSource struct {
	q      table.Query
	sparse bool
	heads  []*build.Build // read, not yet taken
	ends   []string       // the cursor after each of them
	after  string         // the cursor after the last one taken
	done   bool           // nothing follows what was read
	scans  int
}

func (l *lister) add(q table.Query, sparse bool) {
	q.Limit = l.limit
	l.sources = append(l.sources, &buildSource{q: q, sparse: sparse})
}

// finished marks a source in a cursor of which everything was taken.
const finished = "-"

func (l *lister) page(ctx context.Context, cursor string) ([]*build.Build, string, error) {
	if err := l.seek(cursor); err != nil {
		return nil, "", err
	}
	if len(l.sources) == 1 && !l.sources[0].sparse {
		l.sources[0].q.Skip, l.skip = l.skip, 0
	}
	out := make([]*build.Build, 0, min(l.limit, 100))
	for len(out) < l.limit {
		src, err := l.next(ctx)
		if err != nil {
			return nil, "", err
		}
		if src == nil {
			break
		}
		b := src.take()
		switch {
		case !l.keep(b):
		case l.skip > 0:
			l.skip--
		default:
			out = append(out, b)
		}
	}
	return out, l.cursor(), nil
}

// next returns the source whose head comes next: of the lists of living builds
// the newest, then the deleted ones. Nil at the end.
func (l *lister) next(ctx context.Context) (*buildSource, error) {
	var best *buildSource
	for _, src := range l.sources {
		if err := l.fill(ctx, src); err != nil {
			return nil, err
		}
		if len(src.heads) == 0 {
			continue
		}
		if best == nil || best.heads[0].DeactivatedAt == nil && src.heads[0].DeactivatedAt == nil && src.heads[0].CreatedAt.After(best.heads[0].CreatedAt) {
			best = src
		}
	}
	return best, nil
}

// fill reads the next page of src when all of the last one was taken.
func (l *lister) fill(ctx context.Context, src *buildSource) error {
	for len(src.heads) == 0 && !src.done && src.scans < maxScan {
		src.scans++
		p, err := l.s.Table.Query(ctx, src.q)
		if err != nil {
			return err
		}
		bs, err := l.s.follow(ctx, p.Items)
		if err != nil {
			return err
		}
		for i, b := range bs {
			if b != nil {
				src.heads, src.ends = append(src.heads, b), append(src.ends, src.end(p, i))
			}
		}
		src.q.Skip, src.q.Cursor, src.done = 0, p.Next, p.Next == ""
		if len(src.heads) == 0 {
			src.after = p.Next
		}
	}
	return nil
}

// end returns the cursor after item i of the page p.
func (src *buildSource) end(p table.Page, i int) string {
	if i == len(p.Items)-1 {
		return p.Next
	}
	it := p.Items[i]
	return src.q.CursorAt(table.Position{Key: it.Key, Sort: it.Index[src.q.Index-1].SK})
}

func (src *buildSource) take() *build.Build {
	b := src.heads[0]
	src.after, src.heads, src.ends = src.ends[0], src.heads[1:], src.ends[1:]
	return b
}

// seek brings the sources to where cursor says.
func (l *lister) seek(cursor string) error {
	if cursor == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	var at []string
	if err != nil || json.Unmarshal(b, &at) != nil || len(at) != len(l.sources) {
		return badCursor()
	}
	l.skip = 0
	for i, src := range l.sources {
		src.q.Cursor, src.after, src.done = at[i], at[i], at[i] == finished
	}
	return nil
}

func badCursor() error {
	return &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"query", "cursor"}, Msg: "Not a cursor of this list; begin again without one", Type: "value_error"}}}
}

// cursor returns where the sources are; "" when all are at their end.
func (l *lister) cursor() string {
	at := make([]string, len(l.sources))
	more := false
	for i, src := range l.sources {
		at[i] = src.after
		if len(src.heads) == 0 && src.done {
			at[i] = finished
			continue
		}
		more = true
	}
	if !more {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(encode(at))
}

// follow returns the builds that index rows stand for, nil where one is gone:
// a row of the build itself holds it, any other names it.
func (s *Store) follow(ctx context.Context, items []table.Item) ([]*build.Build, error) {
	out := make([]*build.Build, len(items))
	var keys []table.Key
	for i := range items {
		if items[i].SK != own {
			keys = append(keys, table.Key{PK: items[i].PK, SK: own})
			continue
		}
		b, err := readBuild(&items[i])
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	for at := 0; at < len(keys); at += 100 {
		rows, err := s.Table.Get(ctx, keys[at:min(at+100, len(keys))]...)
		if err != nil {
			return nil, err
		}
		for i, it := range rows {
			if it == nil {
				continue
			}
			if out[at+i], err = readBuild(it); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// Recent implements build.Store from the rows relay keeps.
func (s *Store) Recent(ctx context.Context, limit int) ([]*build.Build, error) {
	projects, _, err := s.listScope(ctx, build.Filter{})
	if err != nil {
		return nil, err
	}
	l := lister{s: s, limit: limit, keep: func(b *build.Build) bool {
		return b.DeactivatedAt == nil && (len(projects) == 0 || slices.Contains(projects, b.ProjectID))
	}}
	l.add(table.Query{Index: 1, PK: byUpdated, Reverse: true}, len(projects) > 0)
	bs, _, err := l.page(ctx, "")
	return bs, err
}
