package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/id"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// Rows of a build, all in the partition build#ID:
//
//	a           the build
//	s#0000007   its history, hash-chained
//	status      its place in the lists by status: build-status#S, project#P#S
//	lease       the lease of its worker
//	token       which execution drives it, and the wait it has parked
//	due         when the sweep is to look at it, see drivers.go
//	v           what relay counted of it last, see counters.go
//	art# var# job# req#   what belongs to it, see parts.go
//
// The build itself is listed under "build" and under its project, newest
// created first when read backwards. The status row and the due row move only
// when the status does, in the same transaction.

const buildKind = "build"

func buildSub(id, sk string) table.Key { return table.Key{PK: buildKind + "#" + id, SK: sk} }

func historyKey(id string, seq int) table.Key {
	return buildSub(id, fmt.Sprintf("%s%07d", historyPrefix, seq))
}

const (
	historyPrefix = "s#"
	statusRow     = "status"
	leaseRow      = "lease"
)

var _ build.Store = (*Store)(nil)

// buildItem returns the row of b.
func buildItem(b *build.Build) table.Item {
	row := *b
	if b.Status.Active() || b.Status == build.Failed {
		row.Execution = "" // its own row says which, until the build has ended
	}
	it := table.Item{Key: rowKey(buildKind, b.ID), Rev: b.Rev, Doc: encode(&row)}
	if b.DeactivatedAt != nil {
		it.Deleted = true
		it.Index[0] = table.IndexKey{PK: "deleted#" + buildKind, SK: stamp(*b.DeactivatedAt)}
		return it
	}
	it.Index[0] = table.IndexKey{PK: buildKind, SK: stamp(b.CreatedAt)}
	it.Index[1] = table.IndexKey{PK: "project#" + b.ProjectID, SK: buildKind + "#" + stamp(b.CreatedAt)}
	return it
}

// statusOp returns the op that lists b under its status, or under none once it
// is deleted.
func statusOp(b *build.Build) table.Op {
	if b.DeactivatedAt != nil {
		return table.DeleteOp(buildSub(b.ID, statusRow), table.Cond{})
	}
	at := stamp(b.CreatedAt)
	return table.PutOp(table.Item{
		Key: buildSub(b.ID, statusRow), Rev: b.Rev, Doc: encode(map[string]string{"id": b.ID}),
		Index: [2]table.IndexKey{{PK: byStatus(b.Status), SK: at}, {PK: byProjectStatus(b.ProjectID, b.Status), SK: at}},
	}, table.Cond{})
}

func byStatus(s build.Status) string { return "build-status#" + string(s) }

func byProjectStatus(project string, s build.Status) string {
	return "project#" + project + "#" + string(s)
}

func readBuild(it *table.Item) (*build.Build, error) {
	var b build.Build
	if err := decode(it, &b); err != nil {
		return nil, err
	}
	b.Rev = it.Rev
	return &b, nil
}

var errNoBuild = problem.New(problem.NotFound, "Build not found")

func buildNotFound() error { return errNoBuild }

// CreateBuild implements build.Store: one read for all references and the
// number, one transaction.
func (s *Store) CreateBuild(ctx context.Context, c build.Create) (*build.Build, error) {
	return s.createBuild(ctx, c, nil)
}

// createBuild is CreateBuild; more, when it is not nil, returns further ops of
// the transaction.
func (s *Store) createBuild(ctx context.Context, c build.Create, more func(*build.Build) []table.Op) (*build.Build, error) {
	b := &c.Build
	for range tries(ctx) {
		items, err := s.resolveBuild(ctx, b)
		if err != nil {
			return nil, err
		}
		if b.Number != "" && items[0] != nil {
			return s.numberTaken(ctx, c, items[0])
		}
		user, _ := auth.Actor(ctx)
		c.Start(s.NewID(), user, s.now())
		ops, _, err := s.buildOps(ctx, nil, b, build.Entry{Kind: build.Created, Data: encode(b.Row())}, b.CreatedAt)
		if err != nil {
			return nil, err
		}
		lock := table.Item{Key: nameKey(buildKind, b.Number), Rev: 1, Doc: encode(holders{IDs: []string{b.ID}, Unique: true})}
		ops = append(ops, table.PutOp(lock, table.Cond{Kind: table.Absent}))
		if more != nil {
			ops = append(ops, more(b)...)
		}
		err = s.write(ctx, ops...)
		if table.Refused(err) == nil {
			return b, err
		}
	}
	return nil, busy()
}

// resolveBuild replaces the references of b by ids and returns the row of its
// number, nil while it is free.
func (s *Store) resolveBuild(ctx context.Context, b *build.Build) ([]*table.Item, error) {
	refs := []struct {
		ref Ref
		to  *string
	}{
		{Ref{"project", "Project", b.ProjectID}, &b.ProjectID},
		{Ref{"platform", "Platform", b.PlatformID}, &b.PlatformID},
		{Ref{"os-version", "OS version", b.OSVersionID}, &b.OSVersionID},
		{Ref{"image-type", "Image type", b.ImageTypeID}, &b.ImageTypeID},
		{Ref{"cloud-provider", "Cloud provider", b.CloudProvider}, &b.CloudProvider},
		{Ref{"os-distribution", "OS distribution", b.OSDistribution}, &b.OSDistribution},
		{Ref{"image-variant", "Image variant", b.ImageVariant}, &b.ImageVariant},
	}
	values := make([]Ref, len(refs))
	for i, r := range refs {
		values[i] = r.ref
	}
	ids, items, err := s.resolve(ctx, values, []table.Key{nameKey(buildKind, clipRef("#" + b.Number)[1:])})
	if err != nil {
		return nil, err
	}
	for i, r := range refs {
		*r.to = ids[i]
	}
	return items, nil
}

// numberTaken answers a create whose number exists.
func (s *Store) numberTaken(ctx context.Context, c build.Create, lock *table.Item) (*build.Build, error) {
	owner, err := soleHolder(lock, c.Number)
	if err != nil {
		return nil, err
	}
	taken := problem.New(problem.Conflict, "Build number '%s' already exists with id '%s'", c.Number, owner)
	if !c.Attach {
		return nil, taken
	}
	b, err := s.Build(ctx, owner, false)
	if err != nil {
		return nil, err
	}
	if err := c.Same(b); err != nil {
		return nil, err
	}
	return b, taken
}

// bound reports whether the caller's credential is bound to projects.
func bound(ctx context.Context) bool {
	c := auth.CallerOf(ctx)
	return c != nil && len(c.Projects) > 0
}

// allowed refuses callers whose credential is bound to other projects. It is
// asked wherever a project is found: by reference, or as that of a row.
func allowed(ctx context.Context, project string) error {
	if c := auth.CallerOf(ctx); c != nil && !c.AllowsProject(project) {
		return problem.New(problem.Forbidden, "This credential is bound to other projects.")
	}
	return nil
}

// Build implements build.Store with one read, two when ref is a number.
func (s *Store) Build(ctx context.Context, ref string, deleted bool) (*build.Build, error) {
	b, _, err := s.readBuildRow(ctx, ref, deleted)
	return b, err
}

// readBuildRow reads the build ref with its lease and what drives it, and the
// rows of its partition with the given sort keys. Whatever is to be written below
// a build reads it here first, so the caller's claim is held against it here: no
// write can forget the fence.
func (s *Store) readBuildRow(ctx context.Context, ref string, deleted bool, more ...string) (*build.Build, []*table.Item, error) {
	if ref = clipRef(ref); ref == "" {
		return nil, nil, buildNotFound()
	}
	keys := []table.Key{refKey(buildKind, ref), buildSub(ref, leaseRow), buildSub(ref, driverRow)}
	for _, sk := range more {
		keys = append(keys, buildSub(ref, sk))
	}
	if !id.IsUUID(ref) {
		keys = append(keys, nameKey(buildKind, ref))
	}
	items, err := s.Table.Get(ctx, keys...)
	if err != nil {
		return nil, nil, err
	}
	if items[0] == nil {
		last := items[len(items)-1]
		if id.IsUUID(ref) || last == nil {
			if !id.IsUUID(ref) {
				return nil, nil, buildNotFound()
			}
			return s.readNumbered(ctx, ref, deleted, more)
		}
		owner, err := soleHolder(last, ref)
		if err != nil {
			return nil, nil, err
		}
		return s.readBuildRow(ctx, owner, deleted, more...)
	}
	if items[0].Deleted && !deleted {
		return nil, nil, buildNotFound()
	}
	b, err := readBuild(items[0])
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(attach(b, items[1]), attach(b, items[2])); err != nil {
		return nil, nil, err
	}
	if err := allowed(ctx, b.ProjectID); err != nil {
		return b, nil, err
	}
	return b, items[3 : 3+len(more)], b.Fence(auth.RequestOf(ctx).Claim, s.now())
}

// readNumbered finds a build whose number has the form of a UUID.
func (s *Store) readNumbered(ctx context.Context, number string, deleted bool, more []string) (*build.Build, []*table.Item, error) {
	items, err := s.Table.Get(ctx, nameKey(buildKind, number))
	if err != nil {
		return nil, nil, err
	}
	if items[0] == nil {
		return nil, nil, buildNotFound()
	}
	owner, err := soleHolder(items[0], number)
	if err != nil {
		return nil, nil, err
	}
	if owner == number {
		return nil, nil, buildNotFound()
	}
	return s.readBuildRow(ctx, owner, deleted, more...)
}

// A step is what one act on a build works with: the build, to be changed in
// place, the rules of its project, the time, and the further rows it asked for.
type step struct {
	b     *build.Build
	rules build.Rules
	now   time.Time
	items []*table.Item
}

// actions of changeBuild: f changes the build of the step and returns the
// history entry and the further ops of the transaction.
type action func(step) (build.Entry, []table.Op, error)

// ChangeBuild implements build.Store: one read, one transaction; a report that
// registers an artifact costs one read more.
func (s *Store) ChangeBuild(ctx context.Context, ref string, f build.Change) (*build.Build, build.Entry, error) {
	return s.changeBuild(ctx, ref, nil, func(st step) (build.Entry, []table.Op, error) {
		e, err := f(st.b, st.rules, st.now)
		if err != nil || e.Artifact == nil {
			return e, nil, err
		}
		ops, err := s.reportedOps(ctx, e.Artifact, st.now)
		return e, ops, err
	})
}

// RestoreBuild implements build.Store.
func (s *Store) RestoreBuild(ctx context.Context, ref string) (*build.Build, error) {
	b, _, err := s.actOnBuild(ctx, ref, true, nil, func(st step) (build.Entry, []table.Op, error) {
		st.b.DeactivatedAt = nil
		lock := table.Item{Key: nameKey(buildKind, st.b.Number), Rev: 1, Doc: encode(holders{IDs: []string{st.b.ID}, Unique: true})}
		return build.Entry{Kind: build.Restored}, []table.Op{table.PutOp(lock, table.Cond{Kind: table.Absent})}, nil
	})
	if b != nil && problem.Is(err, problem.Unavailable) {
		return nil, problem.New(problem.Conflict, "Build number '%s' was taken meanwhile", b.Number)
	}
	return b, err
}

// changeBuild applies f to the build ref. more names further rows of the
// build, by sort key, that f wants to see as they were read together with it.
func (s *Store) changeBuild(ctx context.Context, ref string, more []string, f action) (*build.Build, build.Entry, error) {
	return s.actOnBuild(ctx, ref, false, more, f)
}

func (s *Store) actOnBuild(ctx context.Context, ref string, deleted bool, more []string, f action) (*build.Build, build.Entry, error) {
	var old *build.Build
	for range tries(ctx) {
		b, items, err := s.readBuildRow(ctx, ref, deleted, more...)
		if err != nil {
			return nil, build.Entry{}, err
		}
		rules, err := s.buildRules(ctx, b.ProjectID)
		if err != nil {
			return nil, build.Entry{}, err
		}
		old = b
		next, now := b.Copy(), s.now()
		e, ops, err := f(step{b: next, rules: rules, now: now, items: items})
		kept := (*build.Kept)(nil)
		if errors.As(err, &kept) {
			e, err = kept.Entry, nil
		}
		if err != nil {
			return nil, build.Entry{}, err
		}
		all, e, err := s.buildOps(ctx, b, next, e, now)
		if err != nil {
			return nil, build.Entry{}, err
		}
		all = append(all, ops...)
		follow, err := s.followOps(ctx, b, next, all, now)
		if err != nil {
			return nil, build.Entry{}, err
		}
		err = s.write(ctx, append(all, follow...)...)
		refused := table.Refused(err)
		if refused == nil && err == nil && kept != nil {
			return nil, build.Entry{}, kept.Problem
		}
		if refused == nil {
			return next, e, err
		}
		if deleted && refused.Key == nameKey(buildKind, b.Number) {
			break // the number of a build to be restored stays taken
		}
	}
	return old, build.Entry{}, busy()
}

// buildOps returns the ops that store b, which was old (nil when new), and the
// entry e of its history, completed.
func (s *Store) buildOps(ctx context.Context, old, b *build.Build, e build.Entry, now time.Time) ([]table.Op, build.Entry, error) {
	cond := table.Cond{Kind: table.Absent}
	if old != nil {
		b.Work(old, now)
		b.UpdatedAt, b.Rev = now, old.Rev+1
		cond, e.Before = table.IfRev(old.Rev), old.Place()
	}
	e.Seq, e.ID, e.BuildID, e.At, e.Attempt, e.After = b.Head.Seq+1, s.NewID(), b.ID, now, b.Attempt, b.Place()
	e.Actor, e.Credential = auth.Actor(ctx)
	e.RequestID = auth.RequestOf(ctx).ID
	row, err := build.Link(b.Head, e)
	if err != nil {
		return nil, e, err
	}
	b.Head = build.Head{Seq: e.Seq, Hash: row.Hash}
	ops := []table.Op{table.PutOp(buildItem(b), cond), table.PutOp(historyItem(e, row), table.Cond{Kind: table.Absent})}
	if old == nil || old.Status != b.Status || (old.DeactivatedAt == nil) != (b.DeactivatedAt == nil) {
		ops = append(ops, statusOp(b), dueOp(b, now))
	}
	if b.DeactivatedAt != nil && old.DeactivatedAt == nil {
		ops = append(ops, table.DeleteOp(nameKey(buildKind, b.Number), table.Cond{}))
	}
	if old != nil && b.Lease != old.Lease && b.Lease != nil {
		b.Lease.Rev = nextLease(old.Lease, now)
		ops = append(ops, leaseOp(b.ID, b.Lease, leaseCond(old.Lease, b.Lease)))
	}
	return ops, e, nil
}

// historyItem returns the row of the entry e. It is also the audit trail's
// entry of the act, listed there like those of other resources.
func historyItem(e build.Entry, row build.Row) table.Item {
	at := stamp(e.At) + "#" + e.ID
	return table.Item{Key: historyKey(e.BuildID, e.Seq), Rev: 1, Doc: encode(row),
		Index: [2]table.IndexKey{{PK: auditIndex, SK: at}, {PK: auditIndex + "#" + e.Actor, SK: at}}}
}

// History implements build.Store with one query, or as many as it takes to
// fill a page with the kinds asked for.
func (s *Store) History(ctx context.Context, ref string, h build.HistoryQuery) (*build.Build, []build.Row, string, error) {
	b, err := s.Build(ctx, ref, true)
	if err == nil && b.DeactivatedAt != nil {
		err = buildNotFound()
	}
	if err != nil {
		return nil, nil, "", err
	}
	q := table.Query{PK: buildKind + "#" + b.ID, Prefix: historyPrefix, Reverse: h.Newest, Cursor: h.Cursor}
	rows, next, err := gather(ctx, s, gathering{q: q, limit: h.Limit, skip: h.Skip, sparse: !h.All()}, func(it *table.Item) (build.Row, bool, error) {
		var r build.Row
		err := decode(it, &r)
		return r, err == nil && h.Wants(r), err
	})
	return b, rows, next, err
}
