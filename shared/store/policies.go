package store

import (
	"context"
	"fmt"
	"time"

	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// What is done about failures:
//
//	project#ID    policy   the policy of a project; most have none
//	breaker#LINE  a        the breaker of an image line that has failed
//
// Index 1 lists the open breakers under "breaker", by when they opened.

const (
	policyRow   = "policy"
	breakerKind = "breaker"
)

var _ build.PolicyStore = (*Store)(nil)

func policyKey(project string) table.Key { return table.Key{PK: "project#" + project, SK: policyRow} }

func breakerKey(line string) table.Key { return rowKey(breakerKind, line) }

// readPolicy returns the policy in it, the default one when it is nil.
func readPolicy(it *table.Item) (build.Policy, error) {
	if it == nil {
		return build.DefaultPolicy(), nil
	}
	var p build.Policy
	err := decode(it, &p)
	p.Rev = it.Rev
	return p, err
}

// readBreaker returns the breaker in it, nil when there is none.
func readBreaker(it *table.Item) (*build.Breaker, error) {
	if it == nil {
		return nil, nil
	}
	k := new(build.Breaker)
	err := decode(it, k)
	k.Rev = it.Rev
	return k, err
}

// breakerOp returns the op that stores k, which was read at k.Rev.
func breakerOp(k *build.Breaker) table.Op {
	cond := table.Cond{Kind: table.Absent}
	if k.Rev != 0 {
		cond = table.IfRev(k.Rev)
	}
	it := table.Item{Key: breakerKey(k.ID), Rev: k.Rev + 1, Doc: encode(k)}
	if k.Open {
		it.Index[0] = table.IndexKey{PK: breakerKind, SK: stamp(*k.OpenedAt)}
	}
	return table.PutOp(it, cond)
}

// projectID returns the id of the project ref, which the caller may see.
func (s *Store) projectID(ctx context.Context, ref string) (string, error) {
	ids, err := s.Resolve(ctx, Ref{"project", "Project", ref})
	if err != nil {
		return "", err
	}
	if ids[0] == "" {
		return "", problem.New(problem.NotFound, "Project with id '%s' not found", ref)
	}
	return ids[0], nil
}

// Policy implements build.PolicyStore.
func (s *Store) Policy(ctx context.Context, ref string) (build.Policy, error) {
	id, err := s.projectID(ctx, ref)
	if err != nil {
		return build.Policy{}, err
	}
	items, err := s.Table.Get(ctx, policyKey(id))
	if err != nil {
		return build.Policy{}, err
	}
	return readPolicy(items[0])
}

// SetPolicy implements build.PolicyStore.
func (s *Store) SetPolicy(ctx context.Context, ref string, p build.Policy, check func(rev int64) error) (build.Policy, error) {
	id, err := s.projectID(ctx, ref)
	if err != nil {
		return p, err
	}
	for range tries(ctx) {
		items, err := s.Table.Get(ctx, policyKey(id))
		if err != nil {
			return p, err
		}
		cond, before := table.Cond{Kind: table.Absent}, []byte(nil)
		if p.Rev = 1; items[0] != nil {
			cond, before, p.Rev = table.IfRev(items[0].Rev), items[0].Doc, items[0].Rev+1
		}
		if err := check(cond.Rev); err != nil {
			return p, err
		}
		err = s.write(ctx, table.PutOp(table.Item{Key: policyKey(id), Rev: p.Rev, Doc: encode(p)}, cond),
			s.auditOp(ctx, "policy.update", "policy", id, before, encode(p)))
		if table.Refused(err) == nil {
			return p, err
		}
	}
	return p, busy()
}

// Breakers implements build.PolicyStore.
func (s *Store) Breakers(ctx context.Context) ([]build.Breaker, error) {
	out := []build.Breaker{}
	for q := (table.Query{Index: 1, PK: breakerKind, Reverse: true, Limit: table.MaxLimit}); ; {
		p, err := s.Table.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range p.Items {
			k, err := readBreaker(&p.Items[i])
			if err != nil {
				return nil, err
			}
			if k.Open && allowed(ctx, k.ProjectID) == nil {
				out = append(out, *k)
			}
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			return out, nil
		}
	}
}

// Breaker implements build.PolicyStore.
func (s *Store) Breaker(ctx context.Context, line string) (*build.Breaker, error) {
	items, err := s.Table.Get(ctx, breakerKey(clipRef(line)))
	if err != nil {
		return nil, err
	}
	k, err := readBreaker(items[0])
	if err == nil && k == nil {
		err = problem.New(problem.NotFound, "No build of the line '%s' has failed", line)
	}
	if err != nil {
		return nil, err
	}
	return k, allowed(ctx, k.ProjectID)
}

// CloseBreaker implements build.PolicyStore. A breaker that is closed stays as
// it is.
func (s *Store) CloseBreaker(ctx context.Context, line string) (*build.Breaker, error) {
	user, _ := auth.Actor(ctx)
	for range tries(ctx) {
		k, err := s.Breaker(ctx, line)
		if err != nil {
			return nil, err
		}
		before := encode(k)
		if !k.Close(user, s.now()) {
			return k, nil
		}
		err = s.write(ctx, breakerOp(k), s.auditOp(ctx, "breaker.close", breakerKind, k.ID, before, encode(k)))
		if table.Refused(err) == nil {
			k.Rev++
			return k, err
		}
	}
	return nil, busy()
}

// Succeeded closes the breaker of the line of b, which was completed at at. It
// is idempotent; a breaker that opened later stays open.
func (s *Store) Succeeded(ctx context.Context, b *build.Build, at time.Time) error {
	for range tries(ctx) {
		items, err := s.Table.Get(ctx, breakerKey(b.Line()))
		if err != nil {
			return err
		}
		k, err := readBreaker(items[0])
		if err != nil || k == nil || !k.Close(fmt.Sprintf("build %s", b.ID), at) {
			return err
		}
		if err = s.write(ctx, breakerOp(k)); table.Refused(err) == nil {
			return err
		}
	}
	return busy()
}
