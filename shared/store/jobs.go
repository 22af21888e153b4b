package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
	"bldst/shared/webhook"
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
	it := table.Item{Key: buildSub(j.BuildID, jobPrefix+j.ID), Rev: rev, Doc: encode(j)}
	for i, at := range webhook.PlacesOf(j) {
		if at != "" {
			it.Index[i] = table.IndexKey{PK: jobAt(at), SK: stamp(j.CreatedAt)}
		}
	}
	return table.PutOp(it, cond)
}

// jobAt returns the index partition that lists the jobs at a place: in index 1
// by address, in index 2 by their id in the CI.
func jobAt(place string) string {
	sum := sha256.Sum256([]byte(place))
	return "job-at#" + hex.EncodeToString(sum[:16])
}

var _ webhook.Jobs = (*Store)(nil)

// maxJobs is how many builds one job of a CI may work on.
const maxJobs = 50

// Tell implements webhook.Jobs: a query for each place, and one read and one
// transaction for each job that changes.
func (s *Store) Tell(ctx context.Context, n webhook.Notice) ([]webhook.Told, error) {
	jobs, err := s.jobsAt(ctx, n.Places)
	if err != nil {
		return nil, err
	}
	var out []webhook.Told
	for _, j := range jobs {
		told, err := s.tellJob(ctx, j, n)
		if problem.Is(err, problem.NotFound) {
			continue // its build was deleted
		}
		if err != nil {
			return nil, err
		}
		out = append(out, told)
	}
	return out, nil
}

// jobsAt returns the jobs that are registered at one of places, each once.
func (s *Store) jobsAt(ctx context.Context, places []webhook.Place) ([]*build.Job, error) {
	var out []*build.Job
	seen := map[string]bool{}
	for _, place := range places {
		at := place.At()
		if at == "" {
			continue
		}
		index := 1
		if place.URL == "" {
			index = 2
		}
		p, err := s.Table.Query(ctx, table.Query{Index: index, PK: jobAt(at), Reverse: true, Limit: maxJobs})
		if err != nil {
			return nil, err
		}
		for i := range p.Items {
			j, err := readJob(&p.Items[i])
			if err != nil {
				return nil, err
			}
			if !seen[j.ID] {
				seen[j.ID] = true
				out = append(out, j)
			}
		}
	}
	return out, nil
}

// tellJob lets n change j and its build.
func (s *Store) tellJob(ctx context.Context, j *build.Job, n webhook.Notice) (webhook.Told, error) {
	told := webhook.Told{BuildID: j.BuildID, JobID: j.ID}
	_, _, err := s.changeBuild(ctx, j.BuildID, []string{jobPrefix + j.ID}, func(st step) (build.Entry, []table.Op, error) {
		if st.items[0] == nil {
			return build.Entry{}, nil, problem.New(problem.NotFound, "Build job %s not found", j.ID)
		}
		now, err := readJob(st.items[0])
		if err != nil {
			return build.Entry{}, nil, err
		}
		e, failed, err := n.Change(now, st.b, st.rules, st.now)
		told.Job, told.Status, told.Failed, told.Known = now.Status, st.b.Status, failed, e == nil
		if err != nil || e == nil {
			return build.Entry{}, nil, cmp.Or(err, errTold)
		}
		return *e, []table.Op{jobOp(now, st.items[0])}, nil
	})
	if errors.Is(err, errTold) {
		err = nil
	}
	return told, err
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
