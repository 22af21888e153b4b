package store

import (
	"context"

	"bldst/shared/resource"
	"bldst/shared/table"
)

// A ListQuery asks for a page of a list.
type ListQuery struct {
	Skip    int
	Limit   int    // 1 to table.MaxLimit
	Cursor  string // from the page before
	Deleted bool   // soft-deleted rows too, after the others
}

// page runs q with the paging of l.
func (s *Store) page(ctx context.Context, q table.Query, l ListQuery) (table.Page, error) {
	q.Skip, q.Limit, q.Cursor = l.Skip, l.Limit, l.Cursor
	return s.Table.Query(ctx, q)
}

// deletedMark begins a cursor that is in the list of deleted rows.
const deletedMark = "-"

// listRows returns a page of the rows listed in index 1 under kind.
func listRows[T any, P resource.Item[T]](ctx context.Context, s *Store, kind string, l ListQuery) ([]T, string, error) {
	rows := make([]T, 0, min(l.Limit, 100))
	rest := l
	if len(l.Cursor) > 0 && l.Cursor[:1] == deletedMark {
		rest.Cursor = l.Cursor[1:]
		return appendRows[T, P](ctx, s, rows, "deleted#"+kind, rest, deletedMark)
	}
	rows, next, err := appendRows[T, P](ctx, s, rows, kind, l, "")
	if err != nil || next != "" || !l.Deleted {
		return rows, next, err
	}
	if rest.Limit -= len(rows); rest.Limit <= 0 {
		return rows, deletedMark, nil
	}
	if rest.Cursor = ""; l.Skip > 0 {
		active, err := s.Table.Query(ctx, table.Query{Index: 1, PK: kind, Limit: table.MaxLimit})
		if err != nil {
			return nil, "", err
		}
		rest.Skip = max(0, l.Skip-len(active.Items))
	}
	return appendRows[T, P](ctx, s, rows, "deleted#"+kind, rest, deletedMark)
}

func appendRows[T any, P resource.Item[T]](ctx context.Context, s *Store, rows []T, pk string, l ListQuery, mark string) ([]T, string, error) {
	p, err := s.page(ctx, table.Query{Index: 1, PK: pk}, l)
	if err != nil {
		return nil, "", err
	}
	for i := range p.Items {
		var v T
		if err := decode(&p.Items[i], &v); err != nil {
			return nil, "", err
		}
		P(&v).Base().Rev = p.Items[i].Rev
		rows = append(rows, v)
	}
	if p.Next != "" {
		p.Next = mark + p.Next
	}
	return rows, p.Next, nil
}
