package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

const (
	artifactPrefix     = "art#"
	artifactNamePrefix = "artn#"
)

var _ build.ArtifactStore = (*Store)(nil)

func readArtifact(it *table.Item) (*build.Artifact, error) {
	a := new(build.Artifact)
	err := decode(it, a)
	a.Rev = it.Rev
	return a, err
}

func artifactKey(a *build.Artifact) table.Key { return buildSub(a.BuildID, artifactPrefix+a.ID) }

// AddArtifact implements build.ArtifactStore: one read, two when the name is
// taken, and one transaction.
func (s *Store) AddArtifact(ctx context.Context, ref, name string, f func(*build.Build, build.Rules, time.Time) (*build.Artifact, error)) (*build.Artifact, error) {
	var made *build.Artifact
	_, _, err := s.changeBuild(ctx, ref, []string{part(artifactNamePrefix, name)}, func(st step) (build.Entry, []table.Op, error) {
		a, err := f(st.b, st.rules, st.now)
		if err != nil {
			return build.Entry{}, nil, err
		}
		made = a
		return s.artifactOps(ctx, a, st.items[0], st.now)
	})
	if at := (*there)(nil); errors.As(err, &at) {
		return at.artifact, nil
	}
	return made, within(ref, err)
}

// reportedOps returns the ops that store a, the artifact of a report, and gives
// it its name; none when it is there already, which a is then.
func (s *Store) reportedOps(ctx context.Context, a *build.Artifact, now time.Time) ([]table.Op, error) {
	items, err := s.Table.Get(ctx, buildSub(a.BuildID, artifactNamePrefix+a.Name))
	if err != nil {
		return nil, err
	}
	a.ID, a.Rev = s.NewID(), 1
	ops, err := s.takeName(ctx, a, items[0], now)
	if at := (*there)(nil); errors.As(err, &at) {
		*a = *at.artifact
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append(ops, table.PutOp(table.Item{Key: artifactKey(a), Rev: a.Rev, Doc: encode(a)}, table.Cond{Kind: table.Absent})), nil
}

// A there is not an error: what is to be made is there already.
type there struct{ artifact *build.Artifact }

func (t *there) Error() string { return "is there already" }

// takeName returns the ops that give the new artifact a its name, whose row is
// it: from one that it supersedes, if there is one.
func (s *Store) takeName(ctx context.Context, a *build.Artifact, it *table.Item, now time.Time) ([]table.Op, error) {
	claim, err := claimArtifactName(a, it)
	if !problem.Is(err, problem.Conflict) {
		return []table.Op{claim}, err
	}
	owner, _ := pointee(it) // was read a moment ago
	items, getErr := s.Table.Get(ctx, buildSub(a.BuildID, artifactPrefix+owner))
	if getErr != nil || items[0] == nil {
		return nil, errors.Join(getErr, err)
	}
	old, getErr := readArtifact(items[0])
	if getErr != nil {
		return nil, getErr
	}
	if old.Same(a) {
		return nil, &there{old}
	}
	if !old.Supersede(a, now) {
		return nil, err
	}
	old.Rev++
	claim = claimOp(a, it)
	return []table.Op{claim, table.PutOp(table.Item{Key: artifactKey(old), Rev: old.Rev, Doc: encode(old)}, table.IfRev(items[0].Rev))}, nil
}

// artifactOps returns what adds a new artifact, whose name has the row named:
// its entry of the history, and the ops.
func (s *Store) artifactOps(ctx context.Context, a *build.Artifact, named *table.Item, now time.Time) (build.Entry, []table.Op, error) {
	a.ID, a.Rev = s.NewID(), 1
	ops, err := s.takeName(ctx, a, named, now)
	if err != nil {
		return build.Entry{}, nil, err
	}
	e, err := build.NewEntry(build.ArtifactCreated, a.Record())
	return e, append(ops, table.PutOp(table.Item{Key: artifactKey(a), Rev: a.Rev, Doc: encode(a)}, table.Cond{Kind: table.Absent})), err
}

// claimArtifactName returns the op that gives a its name, whose row is it.
func claimArtifactName(a *build.Artifact, it *table.Item) (table.Op, error) {
	owner, err := pointee(it)
	if err != nil {
		return table.Op{}, err
	}
	if owner != "" && owner != a.ID {
		return table.Op{}, problem.New(problem.Conflict, "Artifact with name '%s' already exists for this build with id '%s'", a.Name, owner)
	}
	return claimOp(a, it), nil
}

// claimOp returns the op that makes the name row it point to a.
func claimOp(a *build.Artifact, it *table.Item) table.Op {
	cond, rev := replacing(it)
	row := pointerItem(buildSub(a.BuildID, artifactNamePrefix+a.Name), a.ID)
	row.Rev = rev
	return table.PutOp(row, cond)
}

// Artifact implements build.ArtifactStore: one read, two by name.
func (s *Store) Artifact(ctx context.Context, ref, artifact string, deleted bool) (*build.Artifact, error) {
	b, items, err := s.readBuildRow(ctx, ref, false, part(artifactPrefix, artifact), part(artifactNamePrefix, artifact))
	if err != nil {
		return nil, within(ref, err)
	}
	if items[0] == nil && items[1] != nil {
		id, err := pointee(items[1])
		if err != nil {
			return nil, err
		}
		if items, err = s.Table.Get(ctx, buildSub(b.ID, artifactPrefix+id)); err != nil {
			return nil, err
		}
	}
	return foundArtifact(ref, artifact, items[0], deleted)
}

// foundArtifact returns the artifact in it, NotFound when there is none.
func foundArtifact(ref, artifact string, it *table.Item, deleted bool) (*build.Artifact, error) {
	if it != nil {
		if a, err := readArtifact(it); err != nil || deleted || a.DeletedAt == nil {
			return a, err
		}
	}
	return nil, problem.New(problem.NotFound, "Artifact %s not found for build %s", artifact, ref)
}

// Artifacts implements build.ArtifactStore.
func (s *Store) Artifacts(ctx context.Context, ref string, q build.ArtifactQuery) ([]*build.Artifact, string, error) {
	b, err := s.Build(ctx, ref, false)
	if err != nil {
		return nil, "", within(ref, err)
	}
	w, err := newWindow(q.PageQuery, artifactOrder)
	if err != nil {
		return nil, "", err
	}
	err = eachOf(ctx, s, b.ID, artifactPrefix, func(it *table.Item) error {
		a, err := readArtifact(it)
		if err == nil && q.Wants(a) {
			w.add(a, table.Size(it))
		}
		return err
	})
	page, next := w.page()
	return page, next, err
}

// liveArtifacts returns the artifacts of a build that are not deleted, in their
// order.
func (s *Store) liveArtifacts(ctx context.Context, id string) ([]*build.Artifact, error) {
	all, err := rowsOf(ctx, s, id, artifactPrefix, readArtifact)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(a *build.Artifact) bool { return a.DeletedAt != nil })
	slices.SortFunc(all, func(a, b *build.Artifact) int { return cmp.Compare(artifactOrder(a), artifactOrder(b)) })
	return all, nil
}

// artifactOrder orders artifacts by state and then by age.
func artifactOrder(a *build.Artifact) string {
	return fmt.Sprintf("%03d#%s#%s", a.StateCode, stamp(a.CreatedAt), a.ID)
}

// An elsewhere is not an error: what was asked for by another name has this id.
type elsewhere struct{ id string }

func (e *elsewhere) Error() string { return "has the id " + e.id }

// ChangeArtifact implements build.ArtifactStore.
func (s *Store) ChangeArtifact(ctx context.Context, ref, artifact string, deleted bool, f func(*build.Artifact, time.Time) (build.Kind, error)) (*build.Artifact, error) {
	a, err := s.changeArtifact(ctx, ref, artifact, deleted, f)
	if at := (*elsewhere)(nil); errors.As(err, &at) {
		a, err = s.changeArtifact(ctx, ref, at.id, deleted, f)
	}
	return a, within(ref, err)
}

func (s *Store) changeArtifact(ctx context.Context, ref, artifact string, deleted bool, f func(*build.Artifact, time.Time) (build.Kind, error)) (*build.Artifact, error) {
	var changed *build.Artifact
	more := []string{part(artifactPrefix, artifact), part(artifactNamePrefix, artifact)}
	_, _, err := s.changeBuild(ctx, ref, more, func(st step) (build.Entry, []table.Op, error) {
		if id, err := pointee(st.items[1]); st.items[0] == nil && id != "" || err != nil {
			return build.Entry{}, nil, errors.Join(err, &elsewhere{id})
		}
		old, err := foundArtifact(ref, artifact, st.items[0], deleted)
		if err != nil {
			return build.Entry{}, nil, err
		}
		a := *old
		kind, err := f(&a, st.now)
		if err != nil {
			return build.Entry{}, nil, err
		}
		a.UpdatedAt, a.Rev, changed = st.now, old.Rev+1, &a
		ops, err := s.renameOps(ctx, old, &a)
		if err != nil {
			return build.Entry{}, nil, err
		}
		e, err := build.NewEntry(kind, a.Record())
		return e, append(ops, table.PutOp(table.Item{Key: artifactKey(&a), Rev: a.Rev, Doc: encode(a)}, table.IfRev(old.Rev))), err
	})
	return changed, err
}

// renameOps returns the ops that take the name of old away and give a its own:
// one that is deleted has none.
func (s *Store) renameOps(ctx context.Context, old, a *build.Artifact) ([]table.Op, error) {
	had, has := artifactName(old), artifactName(a)
	if had == has {
		return nil, nil
	}
	var ops []table.Op
	if had != "" {
		ops = append(ops, table.DeleteOp(buildSub(a.BuildID, artifactNamePrefix+had), table.Cond{Kind: table.Present}))
	}
	if has == "" {
		return ops, nil
	}
	items, err := s.Table.Get(ctx, buildSub(a.BuildID, artifactNamePrefix+has))
	if err != nil {
		return nil, err
	}
	claim, err := claimArtifactName(a, items[0])
	return append(ops, claim), err
}

// artifactName returns the name that leads to a: a deleted one has none, nor has
// one that was superseded.
func artifactName(a *build.Artifact) string {
	if a.DeletedAt != nil || a.SupersededAt != nil {
		return ""
	}
	return a.Name
}
