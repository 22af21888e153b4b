package store

import (
	"bytes"
	"context"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"bldst/shared/build"
	"bldst/shared/table"
)

// What drives builds, and what watches that they are driven:
//
//	build#ID       token   the execution, its parked token, what relay has dealt with
//	build#ID       due     {"at": ...}: when the sweep is to look at the build next
//	execution#ARN  a       the build an execution drives that is not named after it
//
// Index 1 lists the due rows by time, under due#SHARD. A build has one while
// it is worked on or a failure of it waits for a decision. The row moves with
// the build's status, in the same transaction; in between only the sweep and
// relay move it, so that a report or a heartbeat costs nothing for it.

const (
	driverRow     = "token"
	dueRow        = "due"
	executionKind = "execution"
)

func byDue(shard int) string { return dueRow + "#" + strconv.Itoa(shard) }

func shardOfBuild(id string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return int(h.Sum32() % shards)
}

// dueOp returns the op that makes the sweep look at b when its status has
// changed at now.
func dueOp(b *build.Build, now time.Time) table.Op {
	at, ok := b.Look(now)
	if !ok {
		return table.DeleteOp(buildSub(b.ID, dueRow), table.Cond{})
	}
	return lookOp(b.ID, at)
}

// lookOp returns the op that makes the sweep look at the build at at.
func lookOp(id string, at time.Time) table.Op {
	return table.PutOp(table.Item{
		Key: buildSub(id, dueRow), Rev: 1, Doc: encode(map[string]any{"id": id, "at": at.UTC()}),
		Index: [2]table.IndexKey{{PK: byDue(shardOfBuild(id)), SK: stamp(at)}},
	}, table.Cond{})
}

func readDriver(it *table.Item) (build.Driver, error) {
	var d build.Driver
	if it == nil {
		return d, nil
	}
	err := decode(it, &d)
	d.Rev = it.Rev
	return d, err
}

// driverOp returns the op that stores d, which was read at d.Rev.
func driverOp(id string, d build.Driver) table.Op {
	cond := table.Cond{Kind: table.Absent}
	if d.Rev != 0 {
		cond = table.IfRev(d.Rev)
	}
	return table.PutOp(table.Item{Key: buildSub(id, driverRow), Rev: d.Rev + 1, Doc: encode(d)}, cond)
}

// executionOp returns the op that remembers which build an execution drives.
func executionOp(execution, id string) table.Op {
	return table.PutOp(table.Item{Key: rowKey(executionKind, execution), Rev: 1, Doc: encode(map[string]string{"build_id": id})}, table.Cond{})
}

// A want says what of a Driven a function asks for beside the build.
type want struct{ policy bool }

// Drive reads the build with the id, lets f change it and what drives it, and
// stores what f has changed in one transaction, again when somebody else
// changed the same meanwhile. A build that was deleted is one too; NotFound
// when there is none. What f returns is returned, and then nothing is stored.
func (s *Store) Drive(ctx context.Context, id string, f func(*build.Driven) error) error {
	return s.drive(ctx, id, want{}, f)
}

// Decide is Drive with the policy of the build's project and the breaker of
// its line.
func (s *Store) Decide(ctx context.Context, id string, f func(*build.Driven) error) error {
	return s.drive(ctx, id, want{policy: true}, f)
}

func (s *Store) drive(ctx context.Context, id string, w want, f func(*build.Driven) error) error {
	for range tries(ctx) {
		ops, err := s.driveOps(ctx, id, w, f)
		if err != nil || len(ops) == 0 {
			return err
		}
		if err = s.write(ctx, ops...); table.Refused(err) == nil {
			return err
		}
	}
	return busy()
}

// readDriven returns the build with what drives it, to be changed, and the
// build as it is.
func (s *Store) readDriven(ctx context.Context, id string) (d *build.Driven, old *build.Build, err error) {
	old, items, err := s.readBuildRow(ctx, id, true, driverRow, dueRow)
	if err != nil {
		return nil, nil, err
	}
	d = &build.Driven{Build: old.Copy(), Now: s.now()}
	if d.Driver, err = readDriver(items[0]); err != nil {
		return nil, nil, err
	}
	if items[1] != nil {
		var due struct{ At time.Time }
		if err = decode(items[1], &due); err != nil {
			return nil, nil, err
		}
		d.Looks = due.At
	}
	d.Rules, err = s.buildRules(ctx, old.ProjectID)
	return d, old, err
}

// driveOps runs f once and returns the ops that store what it changed.
func (s *Store) driveOps(ctx context.Context, id string, w want, f func(*build.Driven) error) ([]table.Op, error) {
	d, old, err := s.readDriven(ctx, id)
	if err != nil {
		return nil, err
	}
	breaker, err := s.addPolicy(ctx, d, w)
	if err != nil {
		return nil, err
	}
	driver := encode(d.Driver)
	if err := f(d); err != nil {
		return nil, err
	}
	var ops []table.Op
	if !bytes.Equal(driver, encode(d.Driver)) {
		ops = append(ops, driverOp(old.ID, d.Driver))
		if e := d.Driver.Execution; e != "" && e != old.Execution && !strings.Contains(e, old.ID) {
			ops = append(ops, executionOp(e, old.ID))
		}
	}
	if d.Breaker != nil && !bytes.Equal(breaker, encode(d.Breaker)) {
		ops = append(ops, breakerOp(d.Breaker))
	}
	moved := d.Entry != nil && (d.Status != old.Status || (d.DeactivatedAt == nil) != (old.DeactivatedAt == nil))
	if d.LookAt != nil && !moved {
		ops = append(ops, dueAt(old.ID, *d.LookAt))
	}
	if d.Entry == nil {
		if len(ops) == 0 {
			return nil, nil
		}
		return append(ops, table.VerifyOp(rowKey(buildKind, old.ID), table.IfRev(old.Rev))), nil
	}
	all, _, err := s.buildOps(ctx, old, d.Build, *d.Entry, d.Now)
	if err != nil {
		return nil, err
	}
	follow, err := s.followOps(ctx, old, d.Build, all, d.Now)
	return slices.Concat(all, ops, follow), err
}

// dueAt returns the op that makes the sweep look at the build at at, never
// when at is zero.
func dueAt(id string, at time.Time) table.Op {
	if at.IsZero() {
		return table.DeleteOp(buildSub(id, dueRow), table.Cond{})
	}
	return lookOp(id, at)
}

// addPolicy reads the policy of the build's project and the breaker of its
// line; it returns the breaker as it is stored.
func (s *Store) addPolicy(ctx context.Context, d *build.Driven, w want) ([]byte, error) {
	if !w.policy {
		return nil, nil
	}
	items, err := s.Table.Get(ctx, policyKey(d.ProjectID), breakerKey(d.Line()))
	if err != nil {
		return nil, err
	}
	if d.Policy, err = readPolicy(items[0]); err != nil {
		return nil, err
	}
	d.Chosen = items[0] != nil
	if d.Breaker, err = readBreaker(items[1]); err != nil {
		return nil, err
	}
	if d.Breaker == nil {
		d.Breaker = build.NewBreaker(d.Build)
	}
	return encode(d.Breaker), nil
}

// OpenBuild creates the build c as CreateBuild does, driven by execution from
// its first moment.
func (s *Store) OpenBuild(ctx context.Context, c build.Create, execution string) (*build.Build, error) {
	return s.createBuild(ctx, c, func(b *build.Build) []table.Op {
		return []table.Op{driverOp(b.ID, build.Driver{Execution: execution}), executionOp(execution, b.ID)}
	})
}

// Driven returns the build with the id, deleted or not, and what drives it.
func (s *Store) Driven(ctx context.Context, id string) (*build.Driven, error) {
	d, _, err := s.readDriven(ctx, id)
	return d, err
}

// DrivenBy returns the id of the build that execution drives or has driven:
// from its row, which every execution has that is not named after its build;
// "" when there is none.
func (s *Store) DrivenBy(ctx context.Context, execution string) (string, error) {
	items, err := s.Table.Get(ctx, rowKey(executionKind, execution))
	if err != nil || items[0] == nil {
		return "", err
	}
	var row struct {
		BuildID string `json:"build_id"`
	}
	err = decode(items[0], &row)
	return row.BuildID, err
}

// Relayed remembers that relay has dealt with the revisions of the build, and
// that the wait with token was answered ("" for none). It is idempotent.
func (s *Store) Relayed(ctx context.Context, id string, revs []int64, token string) error {
	for range tries(ctx) {
		items, err := s.Table.Get(ctx, buildSub(id, driverRow))
		if err != nil {
			return err
		}
		d, err := readDriver(items[0])
		if err != nil {
			return err
		}
		before := encode(d)
		if d.Tell(revs, token); bytes.Equal(before, encode(d)) {
			return nil
		}
		if err = s.write(ctx, driverOp(id, d)); table.Refused(err) == nil {
			return err
		}
	}
	return busy()
}

// DuePage is how many builds Due returns at most.
const DuePage = 200

// DueShards is how many lists of due builds there are.
const DueShards = shards

// Due returns the ids of builds of one shard that the sweep is to look at by
// now, those that wait longest first, and how to read on; after "" there are
// no more. The list may lag behind the table.
func (s *Store) Due(ctx context.Context, shard int, cursor string) ([]string, string, error) {
	p, err := s.Table.Query(ctx, table.Query{Index: 1, PK: byDue(shard), Limit: DuePage, Cursor: cursor})
	if err != nil {
		return nil, "", err
	}
	now := stamp(s.now())
	var ids []string
	for i := range p.Items {
		if p.Items[i].Index[0].SK > now {
			return ids, "", nil
		}
		ids = append(ids, strings.TrimPrefix(p.Items[i].PK, buildKind+"#"))
	}
	return ids, p.Next, nil
}

// A Changed is a change of the table that relay deals with.
type Changed struct {
	BuildID string
	Old     *build.Build // of a change of the build itself
	New     *build.Build
	Lease   *build.Lease // of a change of its lease
}

// Changed returns what c is about; false when relay has nothing to do with it.
func (s *Store) Changed(c table.Change) (Changed, bool, error) {
	kind, id, _ := strings.Cut(c.Key.PK, "#")
	if kind != buildKind || strings.HasPrefix(id, "=") || c.New == nil {
		return Changed{}, false, nil
	}
	out := Changed{BuildID: id}
	var err error
	switch {
	case c.Key.SK == own:
		if out.New, err = readBuild(c.New); err == nil && c.Old != nil {
			out.Old, err = readBuild(c.Old)
		}
		return out, true, err
	case c.Key.SK == leaseRow:
		out.Lease = new(build.Lease)
		return out, true, decode(c.New, out.Lease)
	}
	return Changed{}, false, nil
}
