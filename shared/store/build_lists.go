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
// platform) reads on until the page is full or the time is up.
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

// A lister makes one page of builds out of the lists of several sources. The
// cursor it hands out says how far each source was read.
type lister struct {
	s       *Store
	limit   int
	skip    int
	keep    func(*build.Build) bool
	sources []*buildSource
	enough  context.Context // ended when the page has taken long enough
}

// A buildSource is one list that is being read. Rows that are dropped for
// another reason than the lag of the index make it sparse.
type buildSource struct {
	q      table.Query
	sparse bool
	rest   []table.Item // read from the list, not yet followed to their builds
	page   table.Page   // rest is the end of its items
	heads  []found      // followed, not yet taken
	after  string       // the cursor after the last one taken
	done   bool         // nothing follows what was read
}

// A found build is one that a row of a list stands for.
type found struct {
	*build.Build
	size int    // of its row, in bytes
	end  string // the cursor after it
}

func (l *lister) add(q table.Query, sparse bool) {
	if q.Limit = l.limit; sparse {
		q.Limit = max(l.limit, sparseRead)
	}
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
	enough, cancel := l.s.hurry(ctx)
	defer cancel()
	l.enough = enough
	out, size := make([]*build.Build, 0, min(l.limit, 100)), 0
	for len(out) < l.limit {
		src, err := l.next(ctx)
		if err != nil {
			return nil, "", err
		}
		if src == nil || len(out) > 0 && l.keep(src.heads[0].Build) && size+src.heads[0].size > table.MaxPage {
			break
		}
		b := src.take()
		switch {
		case !l.keep(b.Build):
		case l.skip > 0:
			l.skip--
		default:
			out, size = append(out, b.Build), size+b.size
		}
	}
	return out, l.cursor(), l.s.attend(ctx, out)
}

// next returns the source whose head comes next: of the lists of living builds
// the newest, then the deleted ones. Nil at the end, and when the time is up
// before it is known.
func (l *lister) next(ctx context.Context) (*buildSource, error) {
	var best *buildSource
	for _, src := range l.sources {
		if err := l.fill(ctx, src); err != nil {
			return nil, err
		}
		if len(src.heads) == 0 {
			if !src.done {
				return nil, nil
			}
			continue
		}
		if best == nil || best.heads[0].DeactivatedAt == nil && src.heads[0].DeactivatedAt == nil && src.heads[0].CreatedAt.After(best.heads[0].CreatedAt) {
			best = src
		}
	}
	return best, nil
}

// fill follows the next rows of src when all builds before were taken, and
// reads on when there are none left. It does so once even when the time is up:
// every page gets a little further.
func (l *lister) fill(ctx context.Context, src *buildSource) error {
	for first := true; len(src.heads) == 0 && !src.done && (first && src.after == src.q.Cursor || l.enough.Err() == nil); first = false {
		if len(src.rest) == 0 {
			p, err := l.s.Table.Query(ctx, src.q)
			if err != nil {
				return err
			}
			src.page, src.rest = p, p.Items
		}
		if err := l.follow(ctx, src); err != nil {
			return err
		}
		if len(src.rest) == 0 {
			src.q.Skip, src.q.Cursor, src.done = 0, src.page.Next, src.page.Next == ""
		}
	}
	return nil
}

// follow turns the next rows of src into heads.
func (l *lister) follow(ctx context.Context, src *buildSource) error {
	rows := src.rest[:min(table.MaxKeys, len(src.rest))]
	bs, err := l.s.follow(ctx, rows)
	if err != nil {
		return err
	}
	at := len(src.page.Items) - len(src.rest)
	for i, b := range bs {
		b.end = cursorAfter(src.q, src.page, at+i)
		if b.Build != nil {
			src.heads = append(src.heads, b)
		} else if len(src.heads) == 0 {
			src.after = b.end
		}
	}
	src.rest = src.rest[len(rows):]
	return nil
}

func (src *buildSource) take() found {
	b := src.heads[0]
	src.after, src.heads = b.end, src.heads[1:]
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

// follow returns the builds that index rows stand for, none where one is gone:
// a row of the build itself holds it, any other names it. At most MaxKeys.
func (s *Store) follow(ctx context.Context, items []table.Item) ([]found, error) {
	out := make([]found, len(items))
	rows := make([]*table.Item, len(items))
	var keys []table.Key
	var at []int
	for i := range items {
		if rows[i] = &items[i]; items[i].SK != own {
			keys, at = append(keys, table.Key{PK: items[i].PK, SK: own}), append(at, i)
		}
	}
	if len(keys) > 0 {
		got, err := s.Table.Get(ctx, keys...)
		if err != nil {
			return nil, err
		}
		for i, it := range got {
			rows[at[i]] = it
		}
	}
	for i, it := range rows {
		if it == nil {
			continue
		}
		b, err := readBuild(it)
		if err != nil {
			return nil, err
		}
		out[i] = found{Build: b, size: table.Size(it)}
	}
	return out, nil
}

// attend completes builds of a list by what is shown when one build is read and
// stands in rows of their own: who works on it, which execution drives it, and
// when it is probably done. A build that has ended says so itself.
func (s *Store) attend(ctx context.Context, bs []*build.Build) error {
	var keys []table.Key
	var of []*build.Build
	for _, b := range bs {
		if b.Execution == "" {
			keys, of = append(keys, buildSub(b.ID, driverRow)), append(of, b)
		}
		if b.Status.Active() {
			keys, of = append(keys, buildSub(b.ID, leaseRow)), append(of, b)
		}
	}
	for at := 0; at < len(keys); at += table.MaxKeys {
		items, err := s.Table.Get(ctx, keys[at:min(at+table.MaxKeys, len(keys))]...)
		if err != nil {
			return err
		}
		for i, it := range items {
			if err := attach(of[at+i], it); err != nil {
				return err
			}
		}
	}
	for _, b := range bs {
		if b.Status != build.InProgress {
			continue
		}
		if times, err := s.Typical(ctx, b.ProjectID); err == nil {
			b.ETA = times.ETA(b, s.now())
		}
	}
	return nil
}

// attach gives b what stands in its row it: its lease, or what drives it.
func attach(b *build.Build, it *table.Item) error {
	switch {
	case it == nil:
		return nil
	case it.SK == leaseRow:
		b.Lease = &build.Lease{Rev: it.Rev}
		return decode(it, b.Lease)
	default:
		d, err := readDriver(it)
		if err == nil && b.Execution == "" {
			b.Execution = d.Execution
		}
		return err
	}
}

// Recent implements build.Store from the rows relay keeps.
func (s *Store) Recent(ctx context.Context, limit int, cursor string) ([]*build.Build, string, error) {
	projects, _, err := s.listScope(ctx, build.Filter{})
	if err != nil {
		return nil, "", err
	}
	l := lister{s: s, limit: limit, keep: func(b *build.Build) bool {
		return b.DeactivatedAt == nil && (len(projects) == 0 || slices.Contains(projects, b.ProjectID))
	}}
	l.add(table.Query{Index: 1, PK: byUpdated, Reverse: true}, len(projects) > 0)
	return l.page(ctx, cursor)
}
