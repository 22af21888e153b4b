package store

import (
	"context"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

const (
	requestPrefix = "req#"
	requestKind   = "resume-request" // of the row that finds a request by its id alone
)

var _ build.ResumeStore = (*Store)(nil)

func readRequest(it *table.Item) (*build.Request, error) {
	r := new(build.Request)
	err := decode(it, r)
	r.Rev = it.Rev
	return r, err
}

// requestOp returns the op that stores r over what was read, nil for nothing.
func requestOp(r *build.Request, was *table.Item) table.Op {
	cond, rev := replacing(was)
	r.Rev = rev
	return table.PutOp(table.Item{Key: buildSub(r.BuildID, requestPrefix+r.ID), Rev: rev, Doc: encode(r)}, cond)
}

// Materials implements build.ResumeStore.
func (s *Store) Materials(ctx context.Context, ref string, reveal bool) (*build.Materials, error) {
	b, err := s.Build(ctx, ref, false)
	if err != nil {
		return nil, within(ref, err)
	}
	rules, err := s.buildRules(ctx, b.ProjectID)
	if err != nil {
		return nil, err
	}
	m, err := s.materials(ctx, b, rules, s.now())
	if err != nil {
		return nil, err
	}
	m.Variables, err = s.show(ctx, b.ID, m.Variables, reveal)
	return m, within(ref, err)
}

// materials reads what decides about a resume of b, variables in clear. Once a
// write that requires the revision of b succeeds, it was right.
func (s *Store) materials(ctx context.Context, b *build.Build, rules build.Rules, now time.Time) (*build.Materials, error) {
	m := &build.Materials{Build: b, Rules: rules, Now: now}
	var err error
	if m.Artifacts, err = s.liveArtifacts(ctx, b.ID); err != nil {
		return nil, err
	}
	if m.Variables, err = s.variablesOf(ctx, b.ID); err != nil {
		return nil, err
	}
	items, err := s.Table.Get(ctx, breakerKey(b.Line()))
	if err != nil {
		return nil, err
	}
	if m.Breaker, err = readBreaker(items[0]); err != nil {
		return nil, err
	}
	m.Typical, err = s.Typical(ctx, b.ProjectID)
	return m, err
}

// AddRequest implements build.ResumeStore: the build, what decides about its
// resume, and one transaction.
func (s *Store) AddRequest(ctx context.Context, ref string, f func(*build.Materials, string) (*build.Request, error)) (*build.Request, error) {
	var made *build.Request
	_, _, err := s.changeBuild(ctx, ref, nil, func(st step) (build.Entry, []table.Op, error) {
		m, err := s.materials(ctx, st.b, st.rules, st.now)
		if err != nil {
			return build.Entry{}, nil, err
		}
		r, err := f(m, s.NewID())
		if err != nil {
			return build.Entry{}, nil, err
		}
		made = r
		ops := []table.Op{requestOp(r, nil), table.PutOp(pointerItem(rowKey(requestKind, r.ID), r.BuildID), table.Cond{Kind: table.Absent})}
		e, err := build.NewEntry(build.ResumeRequested, r.Record())
		return e, ops, err
	})
	return made, within(ref, err)
}

// AutoResume opens the attempt after attempt of the failed build for the
// reason, as the system does by itself. It refuses with the reason code of the
// plan; ResumeInProgress when the build is not failed in that attempt: somebody
// else has resumed it.
func (s *Store) AutoResume(ctx context.Context, id string, attempt int, reason string) error {
	_, err := s.AddRequest(ctx, id, func(m *build.Materials, rid string) (*build.Request, error) {
		return build.AutoRequest(m, rid, attempt, reason)
	})
	return err
}

// Requests implements build.ResumeStore.
func (s *Store) Requests(ctx context.Context, ref string, q build.PageQuery) ([]*build.Request, string, error) {
	b, err := s.Build(ctx, ref, false)
	if err != nil {
		return nil, "", within(ref, err)
	}
	return pageOf(ctx, s, b.ID, requestPrefix, q, true, readRequest, nil)
}

func requestNotFound(id string) error {
	return problem.New(problem.NotFound, "Resume request %s not found", id)
}

// buildOfRequest returns the build of the request id, ref when it is given.
func (s *Store) buildOfRequest(ctx context.Context, ref, id string) (string, error) {
	if ref != "" {
		return ref, nil
	}
	items, err := s.Table.Get(ctx, rowKey(requestKind, clipRef(id)))
	if err != nil {
		return "", err
	}
	if items[0] == nil {
		return "", requestNotFound(id)
	}
	return pointee(items[0])
}

// Request implements build.ResumeStore.
func (s *Store) Request(ctx context.Context, ref, id string) (*build.Request, error) {
	owner, err := s.buildOfRequest(ctx, ref, id)
	if err != nil {
		return nil, err
	}
	_, items, err := s.readBuildRow(ctx, owner, false, part(requestPrefix, id))
	if err != nil {
		return nil, withinRequest(ref, id, err)
	}
	if items[0] == nil {
		return nil, requestNotFound(id)
	}
	return readRequest(items[0])
}

// withinRequest says what was not found: the build when one was asked for,
// else the request, which went with its build.
func withinRequest(ref, id string, err error) error {
	if ref != "" {
		return within(ref, err)
	}
	if within(id, err) != err {
		return requestNotFound(id)
	}
	return err
}

// ChangeRequest implements build.ResumeStore.
func (s *Store) ChangeRequest(ctx context.Context, ref, id string, f func(*build.Request, *build.Build, build.Rules, time.Time) error) (*build.Request, error) {
	owner, err := s.buildOfRequest(ctx, ref, id)
	if err != nil {
		return nil, err
	}
	var changed *build.Request
	_, _, err = s.changeBuild(ctx, owner, []string{part(requestPrefix, id)}, func(st step) (build.Entry, []table.Op, error) {
		if st.items[0] == nil {
			return build.Entry{}, nil, requestNotFound(id)
		}
		r, err := readRequest(st.items[0])
		if err != nil {
			return build.Entry{}, nil, err
		}
		if err := f(r, st.b, st.rules, st.now); err != nil {
			return build.Entry{}, nil, err
		}
		changed = r
		e, err := build.NewEntry(build.ResumeChanged, r.Record())
		return e, []table.Op{requestOp(r, st.items[0])}, err
	})
	return changed, withinRequest(ref, id, err)
}

// followOps returns the op that brings the resume request of b to where a
// change of the build, which was old, has left it, or ends it when another one
// has replaced it; none when it has not moved
// or ops write it anyway.
func (s *Store) followOps(ctx context.Context, old, b *build.Build, ops []table.Op, now time.Time) ([]table.Op, error) {
	if b.Resume == nil || old.Resume == nil {
		return nil, nil
	}
	is := *b.Resume
	if is.ID != old.Resume.ID { // another request has replaced it
		is = *old.Resume
		is.Status, is.Error = build.RequestFailed, "Resume request "+b.Resume.ID+" has taken the build over."
	}
	if is.Status == old.Resume.Status || !old.Resume.Open() {
		return nil, nil
	}
	k := buildSub(b.ID, requestPrefix+is.ID)
	for i := range ops {
		if ops[i].Item.Key == k {
			return nil, nil
		}
	}
	items, err := s.Table.Get(ctx, k)
	if err != nil || items[0] == nil {
		return nil, err
	}
	r, err := readRequest(items[0])
	if err != nil {
		return nil, err
	}
	r.Follow(is, now)
	return []table.Op{requestOp(r, items[0])}, nil
}

// Beat implements build.WorkerStore: one read, one row. The row is written
// only over the lease that was read, so that a late heartbeat of a replaced
// worker cannot take away the lease of the new one.
func (s *Store) Beat(ctx context.Context, ref string, f func(*build.Build, build.Rules, time.Time) (*build.Lease, error)) (*build.Build, error) {
	for range tries(ctx) {
		b, _, err := s.readBuildRow(ctx, ref, false)
		if err != nil {
			return nil, within(ref, err)
		}
		rules, err := s.buildRules(ctx, b.ProjectID)
		if err != nil {
			return nil, err
		}
		now := s.now()
		lease, err := f(b, rules, now)
		if err != nil {
			return nil, err
		}
		cond := table.Cond{Kind: table.Absent}
		if b.Lease != nil {
			cond = table.IfRev(b.Lease.Rev)
		}
		lease.Rev = nextLease(b.Lease, now)
		if err = s.write(ctx, leaseOp(b.ID, lease, cond)); table.Refused(err) == nil {
			b.Lease = lease
			return b, err
		}
	}
	return nil, busy()
}

// leaseCond returns the condition under which a report stores the lease l over
// old: a worker renews its own whatever a heartbeat did meanwhile, another one
// gets it only as it was read.
func leaseCond(old, l *build.Lease) table.Cond {
	switch {
	case old == nil:
		return table.Cond{Kind: table.Absent}
	case old.Attempt == l.Attempt && old.Worker == l.Worker:
		return table.Cond{}
	default:
		return table.IfRev(old.Rev)
	}
}

// nextLease returns the revision of the lease that follows old. It comes from
// the clock, because a worker's reports replace its lease without looking at it: no two of
// them may look the same to a heartbeat.
func nextLease(old *build.Lease, now time.Time) int64 {
	rev := now.UnixMicro()
	if old != nil {
		rev = max(rev, old.Rev+1)
	}
	return rev
}

func leaseOp(id string, l *build.Lease, cond table.Cond) table.Op {
	return table.PutOp(table.Item{Key: buildSub(id, leaseRow), Rev: l.Rev, Doc: encode(l)}, cond)
}
