package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// uploadPrefix begins the rows up#ID of a build's uploads. They are no part of
// its history: that tells of the artifact an upload becomes.
const uploadPrefix = "up#"

// uploadKept is how long the row of an upload outlives it: whoever completes it
// late is told what became of it.
const uploadKept = 7 * 24 * time.Hour

var _ build.UploadStore = (*Store)(nil)

func readUpload(it *table.Item) (*build.Upload, error) {
	u := new(build.Upload)
	err := decode(it, u)
	u.Rev = it.Rev
	return u, err
}

func uploadOp(u *build.Upload, cond table.Cond) table.Op {
	return table.PutOp(table.Item{Key: buildSub(u.BuildID, uploadPrefix+u.ID), Rev: u.Rev, Expires: u.ExpiresAt.Add(uploadKept).Unix(), Doc: encode(u)}, cond)
}

// AddUpload implements build.UploadStore.
func (s *Store) AddUpload(ctx context.Context, ref string, f func(*build.Build, build.Rules, []*build.Upload, string, time.Time) (*build.Upload, error)) (*build.Upload, bool, error) {
	b, err := s.Build(ctx, ref, false)
	if err != nil {
		return nil, false, within(ref, err)
	}
	if err := b.Fence(auth.RequestOf(ctx).Claim, s.now()); err != nil {
		return nil, false, err
	}
	rules, err := s.buildRules(ctx, b.ProjectID)
	if err != nil {
		return nil, false, err
	}
	open, err := s.openUploads(ctx, b.ID)
	if err != nil {
		return nil, false, err
	}
	id := s.NewID()
	u, err := f(b, rules, open, id, s.now())
	if err != nil || u.ID != id {
		return u, false, err
	}
	u.Rev = 1
	return u, true, s.write(ctx, uploadOp(u, table.Cond{Kind: table.Absent}))
}

func (s *Store) openUploads(ctx context.Context, id string) ([]*build.Upload, error) {
	all, err := rowsOf(ctx, s, id, uploadPrefix, readUpload)
	if err != nil {
		return nil, err
	}
	open := slices.DeleteFunc(all, func(u *build.Upload) bool { return u.Artifact != nil })
	slices.SortFunc(open, func(a, b *build.Upload) int { return cmp.Compare(a.ID, b.ID) })
	return open, nil
}

// Uploads implements build.UploadStore.
func (s *Store) Uploads(ctx context.Context, ref string) ([]*build.Upload, error) {
	b, err := s.Build(ctx, ref, false)
	if err != nil {
		return nil, within(ref, err)
	}
	return s.openUploads(ctx, b.ID)
}

// Upload implements build.UploadStore with one read.
func (s *Store) Upload(ctx context.Context, ref, id string) (*build.Upload, *build.Build, error) {
	b, items, err := s.readBuildRow(ctx, ref, false, part(uploadPrefix, id))
	if err != nil {
		return nil, nil, within(ref, err)
	}
	u, err := foundUpload(ref, id, items[0])
	return u, b, err
}

func foundUpload(ref, id string, it *table.Item) (*build.Upload, error) {
	if it == nil {
		return nil, problem.New(problem.NotFound, "Upload %s not found for build %s", id, ref)
	}
	return readUpload(it)
}

// A completed is not an error: the upload is complete, and this is its artifact.
type completed struct{ artifact string }

func (c *completed) Error() string { return "is artifact " + c.artifact }

// CompleteUpload implements build.UploadStore: artifact and upload change in
// one transaction.
func (s *Store) CompleteUpload(ctx context.Context, ref, id string, f func(*build.Build, *build.Upload, build.Rules, time.Time) (*build.Artifact, error)) (*build.Artifact, bool, error) {
	u, _, err := s.Upload(ctx, ref, id)
	if err != nil {
		return nil, false, err
	}
	var made *build.Artifact
	more := []string{part(artifactNamePrefix, u.Name), uploadPrefix + u.ID}
	_, _, err = s.changeBuild(ctx, ref, more, func(st step) (build.Entry, []table.Op, error) {
		u, err := foundUpload(ref, id, st.items[1])
		if err != nil {
			return build.Entry{}, nil, err
		}
		if u.Artifact != nil {
			return build.Entry{}, nil, &completed{*u.Artifact}
		}
		if made, err = f(st.b, u, st.rules, st.now); err != nil {
			return build.Entry{}, nil, err
		}
		e, ops, err := s.artifactOps(ctx, made, st.items[0], st.now)
		if err != nil {
			return build.Entry{}, nil, err
		}
		old := u.Rev
		u.Artifact, u.Rev = &made.ID, old+1
		return e, append(ops, uploadOp(u, table.IfRev(old))), nil
	})
	if done := (*completed)(nil); errors.As(err, &done) {
		a, err := s.Artifact(ctx, ref, done.artifact, true)
		return a, false, err
	}
	if at := (*there)(nil); errors.As(err, &at) {
		return at.artifact, false, nil
	}
	return made, true, within(ref, err)
}

// RemoveUpload implements build.UploadStore.
func (s *Store) RemoveUpload(ctx context.Context, ref, id string) error {
	u, b, err := s.Upload(ctx, ref, id)
	if err != nil {
		return err
	}
	if err := b.Fence(auth.RequestOf(ctx).Claim, s.now()); err != nil {
		return err
	}
	return s.write(ctx, table.DeleteOp(buildSub(b.ID, uploadPrefix+u.ID), table.IfRev(u.Rev)))
}
