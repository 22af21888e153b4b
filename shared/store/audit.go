package store

import (
	"context"
	"strings"

	"bldst/shared/audit"
	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// The audit trail:
//
//	audit#RESOURCE#ID   TIME#ID   one entry
//	build#ID            s#0000007 the history of a build: its acts are there and nowhere else
//
// Both are listed by time in the partition audit of index 1, and those of one
// user in audit#USER of index 2.
const auditIndex = "audit"

var _ audit.Trail = (*Store)(nil)

// auditOp returns the op that records action on the thing. before and after
// are documents without secrets; either may be nil.
func (s *Store) auditOp(ctx context.Context, action, resource, id string, before, after []byte) table.Op {
	user, credential := auth.Actor(ctx)
	e := audit.Entry{ID: s.NewID(), Time: s.now(), Actor: user, Credential: credential, Action: action,
		Resource: resource, ResourceID: id, Before: before, After: after, RequestID: auth.RequestOf(ctx).ID}
	at := stamp(e.Time) + "#" + e.ID
	return table.PutOp(table.Item{
		Key: table.Key{PK: auditPartition(resource, id), SK: at}, Rev: 1, Doc: encode(e),
		Index: [2]table.IndexKey{{PK: auditIndex, SK: at}, {PK: auditIndex + "#" + user, SK: at}},
	}, table.Cond{Kind: table.Absent})
}

func auditPartition(resource, id string) string { return "audit#" + resource + "#" + id }

// Audit implements audit.Trail: one query of the thing's own partition, of the
// user's or of all; what the partition does not select is read past.
func (s *Store) Audit(ctx context.Context, a audit.Query) ([]audit.Entry, string, error) {
	if bound(ctx) {
		if err := s.auditable(ctx, a); err != nil {
			return nil, "", err
		}
	}
	q := auditSource(a)
	q.Reverse, q.Cursor = true, a.Cursor
	return gather(ctx, s, gathering{q: q, limit: a.Limit, skip: a.Skip, sparse: auditSparse(q, a)}, func(it *table.Item) (audit.Entry, bool, error) {
		e, err := auditEntry(it)
		if err == nil && e.Time.Before(a.Since) {
			err = errOver // newest first: everything after it is older
		}
		return e, auditMatches(a, e), err
	})
}

// auditSparse reports whether the partition that q reads has entries that a
// does not ask for.
func auditSparse(q table.Query, a audit.Query) bool {
	return q.Index == 0 && a.Actor != "" || q.Index > 0 && a.Resource != "" || q.Index > 0 && a.ResourceID != ""
}

// auditable refuses a credential bound to projects every trail but those of
// their builds and of the projects themselves: of no other entry it is known
// whose it is.
func (s *Store) auditable(ctx context.Context, a audit.Query) error {
	if a.ResourceID != "" {
		switch a.Resource {
		case buildKind:
			_, err := s.Build(ctx, a.ResourceID, true)
			return err
		case projectKind, "policy":
			return allowed(ctx, a.ResourceID)
		}
	}
	return problem.New(problem.Forbidden, "This credential is bound to projects: ask with resource=build or resource=project, and resource_id.")
}

// auditSource returns the partition that holds the entries a asks for.
func auditSource(a audit.Query) table.Query {
	switch {
	case a.Resource == buildKind && a.ResourceID != "":
		return table.Query{PK: buildKind + "#" + clipRef(a.ResourceID), Prefix: historyPrefix}
	case a.Resource != "" && a.ResourceID != "":
		return table.Query{PK: auditPartition(a.Resource, clipRef(a.ResourceID))}
	case a.Actor != "":
		return table.Query{Index: 2, PK: auditIndex + "#" + clipRef(a.Actor)}
	default:
		return table.Query{Index: 1, PK: auditIndex}
	}
}

func auditMatches(a audit.Query, e audit.Entry) bool {
	return (a.Resource == "" || a.Resource == e.Resource) && (a.ResourceID == "" || a.ResourceID == e.ResourceID) && (a.Actor == "" || a.Actor == e.Actor)
}

// auditEntry returns what a row of the trail says; a row of a build's history
// is one, too.
func auditEntry(it *table.Item) (audit.Entry, error) {
	var e audit.Entry
	if !strings.HasPrefix(it.PK, buildKind+"#") {
		return e, decode(it, &e)
	}
	var row build.Row
	if err := decode(it, &row); err != nil {
		return e, err
	}
	h, err := row.Entry()
	if err != nil {
		return e, err
	}
	e = audit.Entry{ID: h.ID, Time: h.At, Actor: h.Actor, Credential: h.Credential, Action: buildKind + "." + string(h.Kind),
		Resource: buildKind, ResourceID: h.BuildID, After: encode(h.After), RequestID: h.RequestID}
	switch h.Kind {
	case build.Created:
	case build.VariableRevealed: // nothing has changed; which ones were shown is the point
		e.After = h.Data
	default:
		e.Before = encode(h.Before)
	}
	return e, nil
}
