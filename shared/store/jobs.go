package store

import (
	"context"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

var _ build.JobStore = (*Store)(nil)

func readJob(it *table.Item) (*build.Job, error) {
	j := new(build.Job)
	err := decode(it, j)
	j.Rev = it.Rev
	return j, err
}

// jobOp returns the op that stores j over what was read, nil for nothing.
func jobOp(j *build.Job, was *table.Item) table.Op {
	cond, rev := replacing(was)
	j.Rev = rev
	return table.PutOp(table.Item{Key: buildSub(j.BuildID, jobPrefix+j.ID), Rev: rev, Doc: encode(j)}, cond)
}

// AddJob implements build.JobStore: one read, one transaction.
func (s *Store) AddJob(ctx context.Context, ref string, f func(*build.Build, time.Time) (*build.Job, error)) (*build.Job, error) {
	var made *build.Job
	_, _, err := s.changeBuild(ctx, ref, nil, func(st step) (build.Entry, []table.Op, error) {
		j, err := f(st.b, st.now)
		if err != nil {
			return build.Entry{}, nil, err
		}
		j.ID, made = s.NewID(), j
		e, err := build.NewEntry(build.JobCreated, j)
		return e, []table.Op{jobOp(j, nil)}, err
	})
	return made, within(ref, err)
}

// Jobs implements build.JobStore.
func (s *Store) Jobs(ctx context.Context, ref string, q build.PageQuery) ([]*build.Job, string, error) {
	b, err := s.Build(ctx, ref, false)
	if err != nil {
		return nil, "", within(ref, err)
	}
	return pageOf(ctx, s, b.ID, jobPrefix, q, true, readJob, nil)
}

// ChangeJob implements build.JobStore: one read, one transaction.
func (s *Store) ChangeJob(ctx context.Context, ref, job string, f func(*build.Job, time.Time) error) (*build.Job, error) {
	var changed *build.Job
	_, _, err := s.changeBuild(ctx, ref, []string{part(jobPrefix, job)}, func(st step) (build.Entry, []table.Op, error) {
		if st.items[0] == nil {
			return build.Entry{}, nil, problem.New(problem.NotFound, "Build job %s not found for build %s", job, ref)
		}
		j, err := readJob(st.items[0])
		if err != nil {
			return build.Entry{}, nil, err
		}
		if err := f(j, st.now); err != nil {
			return build.Entry{}, nil, err
		}
		changed = j
		e, err := build.NewEntry(build.JobChanged, j)
		return e, []table.Op{jobOp(j, st.items[0])}, err
	})
	return changed, within(ref, err)
}
