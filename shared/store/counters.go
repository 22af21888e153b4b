package store

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// The counters of the dashboard are kept by relay from the change feed:
//
//	count#SHARD   total        {"n": {"builds": 12, "status:failed": 3, ...}}
//	count#SHARD   p#PLATFORM   the same for one platform
//	count#SHARD   j#PROJECT    the same for one project, and
//	count#SHARD   j#PROJECT#p#PLATFORM  for one platform in it
//	KIND#ID       v            what of the row KIND#ID was counted, at which revision
//
// The v row and the counters change in one transaction under the revision of
// both, so every change counts exactly once, however often and in whatever
// order the feed delivers it. The v row of a build also lists it among those
// changed last, and under its platform.

const (
	shards     = 8
	viewRow    = "v"
	totalRow   = "total"
	byUpdated  = "build-updated"
	countGroup = 20 // builds counted in one transaction, within its 100 operations: 4 rows each, and 8 totals
)

func byPlatform(id string) string { return "platform-builds#" + id }

// A counted row says what was counted of a row.
type counted struct {
	Rev      int64    `json:"rev"`
	What     []string `json:"what"`
	Platform string   `json:"platform,omitempty"`
	Project  string   `json:"project,omitempty"` // absent from rows that were counted before projects were
}

// A tally is one row of counters.
type tally struct {
	N map[string]int `json:"n"`
}

func shardOf(pk string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(pk))
	return int(h.Sum32() % shards)
}

func tallyKey(shard int, sk string) table.Key {
	return table.Key{PK: "count#" + strconv.Itoa(shard), SK: sk}
}

// Counted reports whether changes of the row at k matter to Count: those of
// builds, platforms and projects themselves do.
func Counted(k table.Key) bool {
	if k.SK != own {
		return false
	}
	kind, ref, _ := strings.Cut(k.PK, "#")
	return (kind == buildKind || kind == "platform" || kind == "project") && !strings.HasPrefix(ref, "=")
}

// FeedsRelay reports whether relay has anything to do with changes of the row
// at k. History, places in lists, counters and what relay itself writes are
// most of what changes; hosts need not hand them out.
func FeedsRelay(k table.Key) bool {
	if Counted(k) {
		return true
	}
	kind, ref, _ := strings.Cut(k.PK, "#")
	return kind == buildKind && !strings.HasPrefix(ref, "=") &&
		(k.SK == leaseRow || strings.HasPrefix(k.SK, requestPrefix) || strings.HasPrefix(k.SK, artifactPrefix))
}

// Count brings the counters up to the given changes, those of the dashboard and
// those of metrics.go. It is idempotent, and takes changes in any order.
func (s *Store) Count(ctx context.Context, changes []table.Change) error {
	var numbers error
	var both sync.WaitGroup
	both.Go(func() { numbers = s.CountMetrics(ctx, changes) })
	err := s.countRows(ctx, changes)
	both.Wait()
	return errors.Join(err, numbers)
}

// countRows brings the counters of the dashboard up to the given changes.
func (s *Store) countRows(ctx context.Context, changes []table.Change) error {
	newest := map[table.Key]*table.Item{}
	for _, c := range changes {
		if c.New != nil && Counted(c.Key) && (newest[c.Key] == nil || c.New.Rev > newest[c.Key].Rev) {
			newest[c.Key] = c.New
		}
	}
	keys := slices.SortedFunc(maps.Keys(newest), func(a, b table.Key) int { return strings.Compare(a.PK, b.PK) })
	for group := range slices.Chunk(keys, countGroup) {
		rows := make([]*table.Item, len(group))
		for i, k := range group {
			rows[i] = newest[k]
		}
		if err := s.countGroup(ctx, rows); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) countGroup(ctx context.Context, rows []*table.Item) error {
	for range tries(ctx) {
		ops, err := s.countOps(ctx, rows)
		if err != nil || len(ops) == 0 {
			return err
		}
		if err = s.write(ctx, ops...); table.Refused(err) == nil {
			return err
		}
	}
	return busy()
}

// countOps returns the ops that count rows, none when all were counted.
func (s *Store) countOps(ctx context.Context, rows []*table.Item) ([]table.Op, error) {
	t := tallies{s: s, rows: map[table.Key]*tally{}, items: map[table.Key]*table.Item{}}
	next := make([]counted, len(rows))
	builds := make([]*build.Build, len(rows))
	keys := make([]table.Key, len(rows))
	for i, it := range rows {
		var err error
		if next[i], builds[i], err = whatCounts(it); err != nil {
			return nil, err
		}
		keys[i] = table.Key{PK: it.PK, SK: viewRow}
		t.want(it.PK, next[i])
	}
	views, err := t.read(ctx, keys)
	if err != nil {
		return nil, err
	}
	var ops []table.Op
	for i, view := range views {
		var was counted
		cond := table.Cond{Kind: table.Absent}
		if view != nil {
			if err := decode(view, &was); err != nil {
				return nil, err
			}
			cond = table.IfRev(view.Rev)
		}
		if was.Rev >= next[i].Rev {
			continue
		}
		t.add(rows[i].PK, was, -1)
		t.add(rows[i].PK, next[i], 1)
		ops = append(ops, table.PutOp(viewItem(keys[i], next[i], builds[i]), cond))
	}
	if len(ops) == 0 {
		return nil, nil
	}
	return append(ops, t.ops()...), nil
}

// whatCounts returns what the row it adds to the counters, and the build it
// holds, if it holds one.
func whatCounts(it *table.Item) (counted, *build.Build, error) {
	c := counted{Rev: it.Rev}
	kind, _, _ := strings.Cut(it.PK, "#")
	if kind != buildKind {
		if !it.Deleted {
			c.What = []string{kind + "s"}
		}
		return c, nil, nil
	}
	b, err := readBuild(it)
	if err != nil {
		return c, nil, err
	}
	c.What, c.Platform, c.Project = b.Counts(), b.PlatformID, b.ProjectID
	return c, b, nil
}

func viewItem(k table.Key, c counted, b *build.Build) table.Item {
	it := table.Item{Key: k, Rev: c.Rev, Doc: encode(c)}
	if b == nil || b.DeactivatedAt != nil {
		return it
	}
	it.Index[0] = table.IndexKey{PK: byUpdated, SK: stamp(b.UpdatedAt)}
	if b.PlatformID != "" {
		it.Index[1] = table.IndexKey{PK: byPlatform(b.PlatformID), SK: stamp(b.CreatedAt)}
	}
	return it
}

// tallies are the counter rows one transaction changes.
type tallies struct {
	s     *Store
	keys  []table.Key
	rows  map[table.Key]*tally
	items map[table.Key]*table.Item
	dirty map[table.Key]bool
}

// want asks for the counters a row counts in.
func (t *tallies) want(pk string, c counted) {
	for _, k := range tallyKeys(pk, c) {
		if t.rows[k] == nil {
			t.rows[k] = &tally{}
			t.keys = append(t.keys, k)
		}
	}
}

func tallyKeys(pk string, c counted) []table.Key {
	keys := []table.Key{tallyKey(shardOf(pk), totalRow)}
	if c.Platform != "" {
		keys = append(keys, tallyKey(shardOf(pk), ofPlatform(c.Platform)))
	}
	if c.Project != "" {
		keys = append(keys, tallyKey(shardOf(pk), ofProject(c.Project)))
	}
	if c.Project != "" && c.Platform != "" {
		keys = append(keys, tallyKey(shardOf(pk), ofProject(c.Project)+"#"+ofPlatform(c.Platform)))
	}
	return keys
}

func ofPlatform(id string) string { return "p#" + id }

func ofProject(id string) string { return "j#" + id }

// read reads the wanted counters together with the rows at more, which it
// returns.
func (t *tallies) read(ctx context.Context, more []table.Key) ([]*table.Item, error) {
	items, err := t.s.Table.Get(ctx, slices.Concat(more, t.keys)...)
	if err != nil {
		return nil, err
	}
	for i, k := range t.keys {
		it := items[len(more)+i]
		t.items[k] = it
		if it != nil {
			if err := decode(it, t.rows[k]); err != nil {
				return nil, err
			}
		}
		if t.rows[k].N == nil {
			t.rows[k].N = map[string]int{}
		}
	}
	t.dirty = map[table.Key]bool{}
	return items[:len(more)], nil
}

func (t *tallies) add(pk string, c counted, sign int) {
	if len(c.What) == 0 {
		return
	}
	for _, k := range tallyKeys(pk, c) {
		row := t.rows[k]
		if row == nil {
			panic(fmt.Sprintf("store: counters %v were not read", k)) // a build never changes its platform or project
		}
		for _, w := range c.What {
			if row.N[w] += sign; row.N[w] == 0 {
				delete(row.N, w)
			}
		}
		t.dirty[k] = true
	}
}

func (t *tallies) ops() []table.Op {
	var ops []table.Op
	for _, k := range t.keys {
		if !t.dirty[k] {
			continue
		}
		cond, rev := table.Cond{Kind: table.Absent}, int64(1)
		if it := t.items[k]; it != nil {
			cond, rev = table.IfRev(it.Rev), it.Rev+1
		}
		ops = append(ops, table.PutOp(table.Item{Key: k, Rev: rev, Doc: encode(t.rows[k])}, cond))
	}
	return ops
}

// sum adds up the counters that stand in every shard under the sort keys.
func (s *Store) sum(ctx context.Context, sks ...string) (map[string]int, error) {
	out := map[string]int{}
	for _, sk := range sks {
		keys := make([]table.Key, shards)
		for i := range keys {
			keys[i] = tallyKey(i, sk)
		}
		items, err := s.Table.Get(ctx, keys...)
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			if it == nil {
				continue
			}
			if err := addTally(out, it); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func addTally(to map[string]int, it *table.Item) error {
	var t tally
	err := decode(it, &t)
	for k, n := range t.N {
		to[k] += n
	}
	return err
}

// tallyPrefixes returns the prefixes of the counters that the caller may see:
// those of all projects, or those of the ones its credential is bound to.
func tallyPrefixes(ctx context.Context) []string {
	if !bound(ctx) {
		return []string{""}
	}
	var out []string
	for _, p := range auth.CallerOf(ctx).Projects {
		out = append(out, ofProject(p)+"#")
	}
	return out
}

// Summary implements build.Store: the total counters, those of the platforms,
// and the builds changed last, of the projects the caller may see.
func (s *Store) Summary(ctx context.Context) (*build.Summary, error) {
	totals, err := s.totals(ctx)
	if err != nil {
		return nil, err
	}
	platforms, err := s.platformTotals(ctx)
	if err != nil {
		return nil, err
	}
	recent, _, err := s.Recent(ctx, 10, "")
	if err != nil {
		return nil, err
	}
	return build.NewSummary(totals, platforms, recent), nil
}

// totals returns the counters of all that the caller may see.
func (s *Store) totals(ctx context.Context) (map[string]int, error) {
	all, err := s.sum(ctx, totalRow)
	if err != nil || !bound(ctx) {
		return all, err
	}
	var sks []string
	for _, p := range tallyPrefixes(ctx) {
		sks = append(sks, strings.TrimSuffix(p, "#"))
	}
	own, err := s.sum(ctx, sks...)
	if err != nil {
		return nil, err
	}
	own["platforms"], own["projects"] = all["platforms"], len(sks)
	return own, nil
}

// platformTotals returns the number of builds of each platform, one query for
// each shard, and for each project of a bound credential.
func (s *Store) platformTotals(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	for _, prefix := range tallyPrefixes(ctx) {
		for shard := range shards {
			if err := s.addPlatforms(ctx, out, tallyKey(shard, prefix+ofPlatform(""))); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// addPlatforms adds the number of builds in the counters of at's partition
// whose sort keys begin with that of at.
func (s *Store) addPlatforms(ctx context.Context, to map[string]int, at table.Key) error {
	for q := (table.Query{PK: at.PK, Prefix: at.SK, Limit: table.MaxLimit}); ; {
		p, err := s.Table.Query(ctx, q)
		if err != nil {
			return err
		}
		for i := range p.Items {
			var t tally
			if err := decode(&p.Items[i], &t); err != nil {
				return err
			}
			if n := t.N["builds"]; n != 0 {
				to[strings.TrimPrefix(p.Items[i].SK, at.SK)] += n
			}
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			return nil
		}
	}
}

// Platform implements build.Store.
func (s *Store) Platform(ctx context.Context, ref string) (*build.PlatformSummary, error) {
	it, err := s.lookup(ctx, "platform", ref)
	if err != nil {
		return nil, err
	}
	if it == nil || it.Deleted {
		return nil, problem.New(problem.NotFound, "Platform not found")
	}
	var platform struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	if err := decode(it, &platform); err != nil {
		return nil, err
	}
	var sks []string
	for _, prefix := range tallyPrefixes(ctx) {
		sks = append(sks, prefix+ofPlatform(platform.ID))
	}
	counts, err := s.sum(ctx, sks...)
	if err != nil {
		return nil, err
	}
	newest, _, err := s.Builds(ctx, build.Filter{Platform: platform.ID, Limit: 5})
	if err != nil {
		return nil, err
	}
	oldest, err := s.oldest(ctx, platform.ID)
	if err != nil {
		return nil, err
	}
	return build.NewPlatformSummary(platform.ID, platform.Name, counts, newest, oldest), nil
}

// oldest returns the oldest build of a platform that the caller may see, nil
// when there is none.
func (s *Store) oldest(ctx context.Context, platform string) (*build.Build, error) {
	l := lister{s: s, limit: 1, keep: func(b *build.Build) bool { return allowed(ctx, b.ProjectID) == nil }}
	l.add(table.Query{Index: 2, PK: byPlatform(platform)}, bound(ctx))
	bs, _, err := l.page(ctx, "")
	if err != nil || len(bs) == 0 {
		return nil, err
	}
	return bs[0], nil
}
