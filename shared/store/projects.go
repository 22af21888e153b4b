package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/project"
	"bldst/shared/resource"
	"bldst/shared/table"
)

// Rows of a project, beside the named row itself:
//
//	project#ID       rules   its state codes and resumable states, one document
//	state-code#SID   a       {"project": ID, "code": a copy}: finds a state code by its id
//
// The rules are one document so that a report reads all of them at once and
// strongly consistent.

const (
	projectKind = "project"
	rulesRow    = "rules"
	codeKind    = "state-code"
)

var _ project.Store = (*Store)(nil)

// Projects returns the keeper of projects.
func (s *Store) Projects() *Named[project.Project, *project.Project] {
	return NewNamed(s, Kind[project.Project, *project.Project]{Name: projectKind, Label: "Project",
		Unique: (*project.Project).Names, Sort: func(p *project.Project) string { return p.Name }})
}

func rulesKey(id string) table.Key { return table.Key{PK: projectKind + "#" + id, SK: rulesRow} }

// ProjectRules returns the rules of the project with that id; a project
// without any has empty ones.
func (s *Store) ProjectRules(ctx context.Context, id string) (*project.Rules, error) {
	items, err := s.Table.Get(ctx, rulesKey(id))
	if err != nil {
		return nil, err
	}
	return readRules(items[0])
}

func readRules(it *table.Item) (*project.Rules, error) {
	r := &project.Rules{}
	if it == nil {
		return r, nil
	}
	r.Rev = it.Rev
	return r, decode(it, r)
}

// RulesOf implements project.Store.
func (s *Store) RulesOf(ctx context.Context, ref string) (*project.Rules, string, error) {
	it, err := s.lookup(ctx, projectKind, ref)
	if err != nil {
		return nil, "", err
	}
	if it == nil || it.Deleted {
		return nil, "", problem.New(problem.NotFound, "Project not found")
	}
	id := it.PK[len(projectKind)+1:]
	r, err := s.ProjectRules(ctx, id)
	return r, id, err
}

// ChangeRules implements project.Store.
func (s *Store) ChangeRules(ctx context.Context, ref string, f func(*project.Rules, string, string, time.Time) (project.Change, error)) (*project.Rules, error) {
	for range tries(ctx) {
		r, id, err := s.RulesOf(ctx, ref)
		if err != nil {
			return nil, err
		}
		rev := r.Rev
		c, err := f(r, id, s.NewID(), s.now())
		if err != nil {
			return nil, err
		}
		r.Rev = rev + 1
		err = s.write(ctx, s.rulesOps(ctx, id, r, rev, c)...)
		s.forgetRules(id)
		if table.Refused(err) == nil {
			return r, err
		}
	}
	return nil, busy()
}

// rulesOps returns the ops that store r over revision rev, for the change c.
func (s *Store) rulesOps(ctx context.Context, id string, r *project.Rules, rev int64, c project.Change) []table.Op {
	cond := table.Cond{Kind: table.Absent}
	if rev > 0 {
		cond = table.IfRev(rev)
	}
	var before []byte
	if c.Before != nil {
		before = encode(c.Before)
	}
	ops := []table.Op{
		table.PutOp(table.Item{Key: rulesKey(id), Rev: r.Rev, Doc: encode(r)}, cond),
		table.VerifyOp(rowKey(projectKind, id), table.Cond{Kind: table.NotDeleted}),
		s.auditOp(ctx, c.Action, c.Resource, c.ID, before, encode(c.After)),
	}
	if c.Code != nil {
		ops = append(ops, table.PutOp(codeItem(c.Code, r.Rev), table.Cond{}))
	}
	return ops
}

// A codeRow finds a state code by its id, and lists it among those of all
// projects.
type codeRow struct {
	Project string            `json:"project"`
	Code    project.StateCode `json:"code"`
}

func codeItem(c *project.StateCode, rev int64) table.Item {
	it := table.Item{Key: rowKey(codeKind, c.ID), Rev: rev, Doc: encode(codeRow{Project: c.ProjectID, Code: *c})}
	if c.DeactivatedAt != nil {
		it.Deleted = true
		it.Index[0] = table.IndexKey{PK: "deleted#" + codeKind, SK: stamp(*c.DeactivatedAt)}
		return it
	}
	it.Index[0] = table.IndexKey{PK: codeKind, SK: clipRef(c.Name + "#" + c.ID)}
	return it
}

// ProjectOfCode implements project.Store.
func (s *Store) ProjectOfCode(ctx context.Context, id string) (string, error) {
	items, err := s.Table.Get(ctx, rowKey(codeKind, clipRef(id)))
	if err != nil {
		return "", err
	}
	if items[0] == nil {
		return "", problem.New(problem.NotFound, "Active state code not found")
	}
	var row codeRow
	err = decode(items[0], &row)
	return row.Project, err
}

// StateCodes implements project.Store.
func (s *Store) StateCodes(ctx context.Context, q resource.ListQuery) ([]project.StateCode, string, error) {
	if bound(ctx) {
		return s.boundCodes(ctx, q)
	}
	return listAs(ctx, s, codeKind, q, func(it *table.Item) (project.StateCode, error) {
		var row codeRow
		err := decode(it, &row)
		return row.Code, err
	})
}

// boundCodes returns the state codes of the projects a credential is bound to,
// in the order of the list of all.
func (s *Store) boundCodes(ctx context.Context, q resource.ListQuery) ([]project.StateCode, string, error) {
	var codes []project.StateCode
	for _, id := range auth.CallerOf(ctx).Projects {
		r, err := s.ProjectRules(ctx, id)
		if err != nil {
			return nil, "", err
		}
		codes = append(codes, r.ListCodes(q.Deleted)...)
	}
	slices.SortStableFunc(codes, func(a, b project.StateCode) int {
		return cmp.Or(cmp.Compare(b2i(a.DeactivatedAt != nil), b2i(b.DeactivatedAt != nil)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return offsetPage(codes, q)
}

// BuildsAt implements project.Store: it looks at the newest 1000 builds of
// each status of a build that is being worked on.
func (s *Store) BuildsAt(ctx context.Context, id string, code int) (int, error) {
	n := 0
	for _, status := range []build.Status{build.Pending, build.InProgress} {
		p, err := s.Table.Query(ctx, table.Query{Index: 2, PK: byProjectStatus(id, status), Reverse: true, Limit: table.MaxLimit})
		if err != nil {
			return 0, err
		}
		for rows := range slices.Chunk(p.Items, table.MaxKeys) {
			bs, err := s.follow(ctx, rows)
			if err != nil {
				return 0, err
			}
			for _, b := range bs {
				if b.Build != nil && b.Current == code && b.Status.Active() {
					n++
				}
			}
		}
	}
	return n, nil
}

// seedProjects stores the projects there are from the start, and the rules of
// the default one.
func (s *Store) seedProjects(ctx context.Context, dev bool) error {
	if err := seedRows(ctx, s.Projects(), project.Seeds(dev)); err != nil {
		return err
	}
	r, err := s.ProjectRules(ctx, project.DefaultID)
	if err != nil || r.Rev > 0 {
		return err
	}
	if r, err = project.DefaultRules(s.NewID, s.now()); err != nil {
		return err
	}
	r.Rev = 1
	ops := []table.Op{table.PutOp(table.Item{Key: rulesKey(project.DefaultID), Rev: 1, Doc: encode(r)}, table.Cond{Kind: table.Absent})}
	for i := range r.Codes {
		ops = append(ops, table.PutOp(codeItem(&r.Codes[i], 1), table.Cond{Kind: table.Absent}))
	}
	if err := s.write(ctx, ops...); table.Refused(err) == nil {
		return err
	}
	return nil // somebody else has stored rules meanwhile
}
