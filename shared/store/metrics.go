package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/metrics"
	"bldst/shared/table"
)

// The numbers of resumes are kept by relay from the change feed:
//
//	metric#SHARD   total          {"n": {"PROJECT|resumes": 12, ...}}
//	metric#SHARD   d#2026-03-04   the same of one day
//	metric#SHARD   storage        {"n": {"PROJECT|backend:s3": 3, "PROJECT|backend-bytes:s3": ...}}
//	dwell#PROJECT  SHARD          {"s": {"25": {"n": 4, "sum": 1200}}}: how long states take
//	build#ID       m              the revisions of the build and the requests that were counted
//	build#ID       m#ARTIFACT     what of an artifact was counted, at which revision
//
// What a change counts for follows from the change alone, and the row that says
// it was counted changes in the transaction of the counters. So every change
// counts exactly once, however often and in whatever order the feed delivers
// it. A transaction adds to one shard, whichever: only sums are read.

const (
	metricKind = "metric"
	dwellKind  = "dwell"
	countedRow = "m"
	countedArt = "m#"
	storageRow = "storage"
	dayPrefix  = "d#"

	maxCountedReqs = 100 // requests remembered for one build
	metricGroup    = 20  // builds counted in one transaction
	metricRows     = 60  // rows of them, so that with the counters it keeps within its 100 operations
	dwellWindow    = 64  // builds in one shard after which older ones count half
)

var _ metrics.Store = (*Store)(nil)

func metricKey(shard int, sk string) table.Key {
	return table.Key{PK: metricKind + "#" + tallyKey(shard, "").PK[len("count#"):], SK: sk}
}

func dwellKey(project string, shard int) table.Key {
	return table.Key{PK: dwellKind + "#" + project, SK: tallyKey(shard, "").PK[len("count#"):]}
}

// A sums row is one row of counters.
type sums struct {
	N map[string]int64 `json:"n"`
}

// A dwells row is how long states of a project took.
type dwells struct {
	S build.Typical `json:"s"`
}

// A countedBuild says what of a build was counted.
type countedBuild struct {
	Seen     build.Seen `json:"seen"`
	Requests []string   `json:"requests,omitempty"`
}

// A countedArtifact says what of an artifact was counted.
type countedArtifact struct {
	Rev     int64  `json:"rev"`
	Live    bool   `json:"live"`
	Backend string `json:"backend,omitempty"`
	Type    string `json:"type,omitempty"`
	Bytes   *int64 `json:"bytes,omitempty"`
}

// A measure is a group of changes of one build that are counted together.
type measure struct {
	id        string
	builds    []table.Change // of the build itself
	requests  []table.Change
	artifacts map[string]*table.Item // the newest of each
}

// CountMetrics brings the numbers of resumes, the storage in use and the times
// of states up to the given changes. It is idempotent, and takes changes in any
// order; changes of other rows are passed over. It tells every change apart by
// its revision, so it must be given every change.
func (s *Store) CountMetrics(ctx context.Context, changes []table.Change) error {
	rest := measures(changes)
	for len(rest) > 0 {
		n, rows := 0, 0
		for n < len(rest) && n < metricGroup && rows+rest[n].rows() <= metricRows {
			rows += rest[n].rows()
			n++
		}
		if err := s.countMeasures(ctx, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// rows is how many rows it may take to say that m was counted.
func (m *measure) rows() int { return 1 + len(m.artifacts) }

// split returns m in parts that are small enough for one transaction.
func (m *measure) split() []*measure {
	out := []*measure{m}
	for len(m.artifacts) > metricRows-1 {
		part := &measure{id: m.id, artifacts: map[string]*table.Item{}}
		for id, it := range m.artifacts {
			if len(part.artifacts) == metricRows-1 {
				break
			}
			part.artifacts[id] = it
		}
		maps.DeleteFunc(m.artifacts, func(id string, _ *table.Item) bool { return part.artifacts[id] != nil })
		out = append(out, part)
	}
	return out
}

// measures groups the changes that count by their build.
func measures(changes []table.Change) []*measure {
	by := map[string]*measure{}
	for _, c := range changes {
		kind, id, _ := strings.Cut(c.Key.PK, "#")
		if kind != buildKind || c.New == nil || strings.HasPrefix(id, "=") {
			continue
		}
		request, isRequest := strings.CutPrefix(c.Key.SK, requestPrefix)
		artifact, isArtifact := strings.CutPrefix(c.Key.SK, artifactPrefix)
		if c.Key.SK == own && c.Old == nil || isRequest && c.Old != nil || !isRequest && !isArtifact && c.Key.SK != own || strings.HasPrefix(request+artifact, "=") {
			continue
		}
		m := by[id]
		if m == nil {
			m = &measure{id: id, artifacts: map[string]*table.Item{}}
			by[id] = m
		}
		switch {
		case isRequest:
			m.requests = append(m.requests, c)
		case isArtifact:
			if old := m.artifacts[artifact]; old == nil || c.New.Rev > old.Rev {
				m.artifacts[artifact] = c.New
			}
		default:
			m.builds = append(m.builds, c)
		}
	}
	var out []*measure
	for _, id := range slices.Sorted(maps.Keys(by)) {
		out = append(out, by[id].split()...)
	}
	return out
}

func (s *Store) countMeasures(ctx context.Context, group []*measure) error {
	for range tries(ctx) {
		c, err := s.newCounting(ctx, group)
		if err != nil {
			return err
		}
		for _, m := range group {
			if err := c.count(m); err != nil {
				return err
			}
		}
		ops, err := c.ops(ctx)
		if err != nil || len(ops) == 0 {
			return err
		}
		if err = s.write(ctx, ops...); table.Refused(err) == nil {
			return err
		}
	}
	return busy()
}

// A counting is one transaction of CountMetrics.
type counting struct {
	s        *Store
	shard    int
	was      map[table.Key]*table.Item // rows that say what was counted, and the builds
	marks    []table.Op
	sums     map[string]map[string]int64 // by sort key: what is added
	dwell    map[string]build.Typical    // by project: what is added
	projects map[string]string           // of builds
}

// newCounting reads what is known of the group.
func (s *Store) newCounting(ctx context.Context, group []*measure) (*counting, error) {
	c := &counting{s: s, shard: shardOf(buildKind + "#" + group[0].id), was: map[table.Key]*table.Item{}, sums: map[string]map[string]int64{},
		dwell: map[string]build.Typical{}, projects: map[string]string{}}
	for _, m := range group {
		c.was[buildSub(m.id, countedRow)] = nil
		if len(m.requests)+len(m.artifacts) > 0 {
			c.was[rowKey(buildKind, m.id)] = nil
		}
		for id := range m.artifacts {
			c.was[buildSub(m.id, countedArt+id)] = nil
		}
	}
	keys := slices.Collect(maps.Keys(c.was))
	for part := range slices.Chunk(keys, 100) {
		items, err := s.Table.Get(ctx, part...)
		if err != nil {
			return nil, err
		}
		for i, k := range part {
			c.was[k] = items[i]
		}
	}
	return c, nil
}

// count adds what the changes of m count for and were not counted for.
func (c *counting) count(m *measure) error {
	at := buildSub(m.id, countedRow)
	var row countedBuild
	cond, rev := table.Cond{Kind: table.Absent}, int64(1)
	if it := c.was[at]; it != nil {
		if err := decode(it, &row); err != nil {
			return err
		}
		cond, rev = table.IfRev(it.Rev), it.Rev+1
	}
	if it := c.was[rowKey(buildKind, m.id)]; it != nil {
		b, err := readBuild(it)
		if err != nil {
			return err
		}
		c.projects[m.id] = b.ProjectID
	}
	moved := false
	for _, ch := range m.builds {
		counted, err := c.countBuild(ch, &row.Seen)
		if err != nil {
			return err
		}
		moved = moved || counted
	}
	for _, ch := range m.requests {
		counted, err := c.countRequest(m.id, ch, &row)
		if err != nil {
			return err
		}
		moved = moved || counted
	}
	if moved {
		c.marks = append(c.marks, table.PutOp(table.Item{Key: at, Rev: rev, Doc: encode(row)}, cond))
	}
	for id, it := range m.artifacts {
		if err := c.countArtifact(m.id, id, it); err != nil {
			return err
		}
	}
	return nil
}

// countBuild counts one change of a build; it reports whether seen has changed.
func (c *counting) countBuild(ch table.Change, seen *build.Seen) (bool, error) {
	if seen.Has(ch.New.Rev) {
		return false, nil
	}
	old, err := readBuild(ch.Old)
	if err != nil {
		return false, err
	}
	b, err := readBuild(ch.New)
	if err != nil {
		return false, err
	}
	*seen = seen.Add(ch.New.Rev)
	day := dayPrefix + b.UpdatedAt.UTC().Format(time.DateOnly)
	for name, n := range counters(old, b) {
		c.add(totalRow, b.ProjectID, name, n)
		c.add(day, b.ProjectID, name, n)
	}
	if code, took, ok := b.Left(old); ok {
		t := c.dwell[b.ProjectID]
		if t == nil {
			t = build.Typical{}
			c.dwell[b.ProjectID] = t
		}
		t[code] = build.Dwell{Count: t[code].Count + 1, Seconds: t[code].Seconds + int64(took.Seconds())}
	}
	return true, nil
}

// counters returns what it counts for that old has become b.
func counters(old, b *build.Build) metrics.Counters {
	n := metrics.Counters{}
	if b.Attempt > old.Attempt {
		n[metrics.Resumes]++
		n[metrics.ByClass+string(old.FailureClass)]++
		if old.EndTime != nil {
			n[metrics.WaitSeconds] += max(0, int64(b.UpdatedAt.Sub(*old.EndTime).Seconds()))
		}
	}
	tried := old.Recovering != nil && b.Attempt == old.Attempt
	switch {
	case tried && b.Status == build.Failed && old.Status != build.Failed:
		n[metrics.FailedAgain]++
	case tried && b.Recovering == nil && b.Status != build.Failed && b.Status != build.Cancelled,
		b.Attempt > old.Attempt && b.Recovering == nil && b.Status != build.Failed: // one report was the resume and got past it
		n[metrics.Recovered]++
	}
	switch {
	case b.Status == old.Status:
	case b.Status == build.Failed && b.Attempt == 1:
		n[metrics.Failed]++
	case b.Status == build.Completed:
		n[metrics.Completed]++
		if b.Attempt > 1 {
			n[metrics.Saved]++
			n[metrics.SavedSecs] += int64(b.Spared().Seconds())
		}
	}
	return n
}

// countRequest counts a new resume request; it reports whether row has changed.
func (c *counting) countRequest(id string, ch table.Change, row *countedBuild) (bool, error) {
	name := strings.TrimPrefix(ch.Key.SK, requestPrefix)
	if slices.Contains(row.Requests, name) {
		return false, nil
	}
	var req struct {
		Source string `json:"request_source"`
	}
	if err := decode(ch.New, &req); err != nil {
		return false, err
	}
	if req.Source == "" {
		req.Source = "api"
	}
	c.add(totalRow, c.projects[id], metrics.BySource+req.Source, 1)
	row.Requests = append(row.Requests, name)
	row.Requests = row.Requests[max(0, len(row.Requests)-maxCountedReqs):]
	return true, nil
}

// countArtifact counts what an artifact is now instead of what it was.
func (c *counting) countArtifact(id, artifact string, it *table.Item) error {
	at := buildSub(id, countedArt+artifact)
	var was countedArtifact
	cond, rev := table.Cond{Kind: table.Absent}, int64(1)
	if row := c.was[at]; row != nil {
		if err := decode(row, &was); err != nil {
			return err
		}
		cond, rev = table.IfRev(row.Rev), row.Rev+1
	}
	if was.Rev >= it.Rev {
		return nil
	}
	var a build.Artifact
	if err := decode(it, &a); err != nil {
		return err
	}
	next := countedArtifact{Rev: it.Rev, Live: a.DeletedAt == nil && !it.Deleted, Backend: a.Backend, Type: a.Type, Bytes: a.Size}
	c.store(c.projects[id], was, -1)
	c.store(c.projects[id], next, 1)
	c.marks = append(c.marks, table.PutOp(table.Item{Key: at, Rev: rev, Doc: encode(next)}, cond))
	return nil
}

// The names of the counters of storage, followed by a backend or a type.
const (
	byBackend, backendBytes = "backend:", "backend-bytes:"
	byType, typeBytes       = "type:", "type-bytes:"
	unknownSize             = "unknown-size"
)

func (c *counting) store(project string, a countedArtifact, sign int64) {
	if !a.Live {
		return
	}
	c.add(storageRow, project, byBackend+a.Backend, sign)
	c.add(storageRow, project, byType+a.Type, sign)
	if a.Bytes == nil {
		c.add(storageRow, project, unknownSize, sign)
		return
	}
	c.add(storageRow, project, backendBytes+a.Backend, sign**a.Bytes)
	c.add(storageRow, project, typeBytes+a.Type, sign**a.Bytes)
}

func (c *counting) add(row, project, name string, n int64) {
	if n == 0 {
		return
	}
	if c.sums[row] == nil {
		c.sums[row] = map[string]int64{}
	}
	c.sums[row][project+"|"+name] += n
}

// ops returns the transaction: what was counted, and the counters with it added.
func (c *counting) ops(ctx context.Context) ([]table.Op, error) {
	if len(c.marks) == 0 {
		return nil, nil
	}
	var keys []table.Key
	rows, projects := slices.Sorted(maps.Keys(c.sums)), slices.Sorted(maps.Keys(c.dwell))
	for _, sk := range rows {
		keys = append(keys, metricKey(c.shard, sk))
	}
	for _, p := range projects {
		keys = append(keys, dwellKey(p, c.shard))
	}
	if len(keys) == 0 {
		return c.marks, nil
	}
	items, err := c.s.Table.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	ops := c.marks
	for i, sk := range rows {
		op, err := addSums(keys[i], items[i], c.sums[sk])
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	for i, p := range projects {
		op, err := addDwell(keys[len(rows)+i], items[len(rows)+i], c.dwell[p])
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func addSums(k table.Key, it *table.Item, add map[string]int64) (table.Op, error) {
	row := sums{N: map[string]int64{}}
	put, err := over(k, it, &row)
	if err != nil {
		return table.Op{}, err
	}
	for name, n := range add {
		if row.N[name] += n; row.N[name] == 0 {
			delete(row.N, name)
		}
	}
	return put(row), nil
}

func addDwell(k table.Key, it *table.Item, add build.Typical) (table.Op, error) {
	row := dwells{S: build.Typical{}}
	put, err := over(k, it, &row)
	if err != nil {
		return table.Op{}, err
	}
	for code, d := range add {
		sum := build.Dwell{Count: row.S[code].Count + d.Count, Seconds: row.S[code].Seconds + d.Seconds}
		if sum.Count > dwellWindow {
			sum.Count, sum.Seconds = sum.Count/2, sum.Seconds/2
		}
		row.S[code] = sum
	}
	return put(row), nil
}

// over reads the row in it into v and returns how to put it back changed.
func over(k table.Key, it *table.Item, v any) (func(any) table.Op, error) {
	cond, rev := table.Cond{Kind: table.Absent}, int64(1)
	if it != nil {
		if err := decode(it, v); err != nil {
			return nil, err
		}
		cond, rev = table.IfRev(it.Rev), it.Rev+1
	}
	return func(v any) table.Op { return table.PutOp(table.Item{Key: k, Rev: rev, Doc: encode(v)}, cond) }, nil
}

// A scope says whose counters a caller may see: nil is everybody's.
func (s *Store) metricScope(ctx context.Context, project string) ([]string, error) {
	if project != "" {
		id, err := s.projectID(ctx, project)
		return []string{id}, err
	}
	if c := auth.CallerOf(ctx); c != nil && len(c.Projects) > 0 {
		return c.Projects, nil
	}
	return nil, nil
}

// pick adds the counters of the projects in row to sum.
func (row sums) pick(projects []string, sum map[string]int64) {
	for key, n := range row.N {
		project, name, _ := strings.Cut(key, "|")
		if projects == nil || slices.Contains(projects, project) {
			sum[name] += n
		}
	}
}

// sumOf adds up the row sk of every shard.
func (s *Store) sumOf(ctx context.Context, project, sk string) (map[string]int64, error) {
	projects, err := s.metricScope(ctx, project)
	if err != nil {
		return nil, err
	}
	keys := make([]table.Key, shards)
	for i := range keys {
		keys[i] = metricKey(i, sk)
	}
	items, err := s.Table.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, it := range items {
		var row sums
		if it == nil {
			continue
		}
		if err := decode(it, &row); err != nil {
			return nil, err
		}
		row.pick(projects, out)
	}
	return out, nil
}

// Totals implements metrics.Store with one read.
func (s *Store) Totals(ctx context.Context, project string) (metrics.Counters, error) {
	n, err := s.sumOf(ctx, project, totalRow)
	return n, err
}

// Days implements metrics.Store with one query for each shard.
func (s *Store) Days(ctx context.Context, project string, from, to time.Time) ([]metrics.Day, error) {
	projects, err := s.metricScope(ctx, project)
	if err != nil {
		return nil, err
	}
	first, last := dayPrefix+from.UTC().Format(time.DateOnly), dayPrefix+to.UTC().Format(time.DateOnly)
	days := map[string]metrics.Counters{}
	for shard := range shards {
		if err := s.addDays(ctx, days, metricKey(shard, first), last, projects); err != nil {
			return nil, err
		}
	}
	out := []metrics.Day{}
	for _, date := range slices.Sorted(maps.Keys(days)) {
		out = append(out, metrics.Day{Date: date, Counters: days[date]})
	}
	return out, nil
}

// addDays adds the counters of the rows from at to last in the partition of at
// to those of their days.
func (s *Store) addDays(ctx context.Context, days map[string]metrics.Counters, at table.Key, last string, projects []string) error {
	for q := (table.Query{PK: at.PK, From: at.SK, Limit: table.MaxLimit}); ; {
		p, err := s.Table.Query(ctx, q)
		if err != nil {
			return err
		}
		for i := range p.Items {
			if p.Items[i].SK > last {
				return nil
			}
			var row sums
			if err := decode(&p.Items[i], &row); err != nil {
				return err
			}
			date := strings.TrimPrefix(p.Items[i].SK, dayPrefix)
			if days[date] == nil {
				days[date] = metrics.Counters{}
			}
			row.pick(projects, days[date])
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			return nil
		}
	}
}

// Storage implements metrics.Store with one read.
func (s *Store) Storage(ctx context.Context, project string) (*metrics.StorageUsage, error) {
	n, err := s.sumOf(ctx, project, storageRow)
	if err != nil {
		return nil, err
	}
	out := &metrics.StorageUsage{Unknown: n[unknownSize], Backends: amounts(n, byBackend, backendBytes), Types: amounts(n, byType, typeBytes)}
	for _, a := range out.Backends {
		out.Artifacts, out.Bytes = out.Artifacts+a.Artifacts, out.Bytes+a.Bytes
	}
	return out, nil
}

// amounts returns the counters that begin with count and bytes, by what follows.
func amounts(n map[string]int64, count, bytes string) map[string]metrics.StorageAmount {
	out := map[string]metrics.StorageAmount{}
	for name, v := range n {
		if word, ok := strings.CutPrefix(name, count); ok && v > 0 {
			out[word] = metrics.StorageAmount{Artifacts: v, Bytes: n[bytes+word]}
		}
	}
	return out
}

// typicalFor is how long the times of a project's states are remembered.
const typicalFor = time.Minute

// A typicalCache remembers the times of states, so that an ETA costs no read.
type typicalCache struct {
	mu   sync.Mutex
	rows map[string]cachedTypical
}

type cachedTypical struct {
	times build.Typical
	until time.Time
}

// Typical returns how long the states of the project with that id take, at most
// a minute old.
func (s *Store) Typical(ctx context.Context, project string) (build.Typical, error) {
	now := s.Now()
	s.typical.mu.Lock()
	c, ok := s.typical.rows[project]
	s.typical.mu.Unlock()
	if ok && now.Before(c.until) {
		return c.times, nil
	}
	p, err := s.Table.Query(ctx, table.Query{PK: dwellKind + "#" + project, Limit: shards})
	if err != nil {
		return nil, err
	}
	t := build.Typical{}
	for i := range p.Items {
		var row dwells
		if err := decode(&p.Items[i], &row); err != nil {
			return nil, err
		}
		for code, d := range row.S {
			t[code] = build.Dwell{Count: t[code].Count + d.Count, Seconds: t[code].Seconds + d.Seconds}
		}
	}
	s.typical.mu.Lock()
	defer s.typical.mu.Unlock()
	if s.typical.rows == nil || len(s.typical.rows) >= maxCachedRules {
		s.typical.rows = map[string]cachedTypical{}
	}
	s.typical.rows[project] = cachedTypical{times: t, until: now.Add(typicalFor)}
	return t, nil
}
