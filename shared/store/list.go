package store

import (
	"cmp"
	"context"
	"strconv"

	"bldst/shared/resource"
	"bldst/shared/table"
)

// A ListQuery asks for a page of a list.
type ListQuery = resource.ListQuery

// page runs q with the paging of l.
func (s *Store) page(ctx context.Context, q table.Query, l ListQuery) (table.Page, error) {
	q.Skip, q.Limit, q.Cursor = l.Skip, l.Limit, l.Cursor
	return s.Table.Query(ctx, q)
}

// deletedMark begins a cursor that is in the list of deleted rows.
const deletedMark = "-"

// listRows returns a page of the rows listed in index 1 under kind.
func listRows[T any, P resource.Item[T]](ctx context.Context, s *Store, kind string, l ListQuery) ([]T, string, error) {
	return listAs(ctx, s, kind, l, func(it *table.Item) (T, error) {
		var v T
		err := decode(it, &v)
		P(&v).Base().Rev = it.Rev
		return v, err
	})
}

// listAs returns a page of the rows listed in index 1 under kind, and then, if
// they are asked for, of the deleted ones, each read with f.
func listAs[T any](ctx context.Context, s *Store, kind string, l ListQuery, f func(*table.Item) (T, error)) ([]T, string, error) {
	if l.Cursor != "" {
		l.Skip = 0 // the page before has skipped
	}
	rest := l
	if len(l.Cursor) > 0 && l.Cursor[:1] == deletedMark {
		rest.Cursor = l.Cursor[1:]
		return appendAs(ctx, s, nil, "deleted#"+kind, rest, deletedMark, f)
	}
	rows, next, err := appendAs(ctx, s, nil, kind, l, "", f)
	if err != nil || next != "" || !l.Deleted {
		return rows, next, err
	}
	if rest.Limit -= len(rows); rest.Limit <= 0 {
		return rows, deletedMark, nil
	}
	if rest.Cursor = ""; l.Skip > 0 {
		active, err := s.count(ctx, table.Query{Index: 1, PK: kind}, l.Skip)
		if err != nil {
			return nil, "", err
		}
		rest.Skip = l.Skip - active
	}
	return appendAs(ctx, s, rows, "deleted#"+kind, rest, deletedMark, f)
}

func appendAs[T any](ctx context.Context, s *Store, rows []T, pk string, l ListQuery, mark string, f func(*table.Item) (T, error)) ([]T, string, error) {
	p, err := s.page(ctx, table.Query{Index: 1, PK: pk}, l)
	if err != nil {
		return nil, "", err
	}
	out := append(make([]T, 0, len(rows)+len(p.Items)), rows...)
	for i := range p.Items {
		v, err := f(&p.Items[i])
		if err != nil {
			return nil, "", err
		}
		out = append(out, v)
	}
	if p.Next != "" {
		p.Next = mark + p.Next
	}
	return out, p.Next, nil
}

// count returns how many items q has, at most most.
func (s *Store) count(ctx context.Context, q table.Query, most int) (int, error) {
	n := 0
	for n < most {
		q.Limit = min(table.MaxLimit, most-n)
		p, err := s.Table.Query(ctx, q)
		if err != nil {
			return 0, err
		}
		n += len(p.Items)
		if q.Cursor = p.Next; p.Next == "" {
			break
		}
	}
	return n, nil
}

// listOrder is the order of index 1: active rows by their place in it, then
// the deleted ones.
func listOrder(a, b *table.Item) int {
	return cmp.Or(cmp.Compare(b2i(a.Deleted), b2i(b.Deleted)), cmp.Compare(a.Index[0].SK, b.Index[0].SK), cmp.Compare(a.PK, b.PK))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// offsetPage returns the page of rows that l asks for. A cursor is an offset: the
// rows were read whole.
func offsetPage[T any](rows []T, l ListQuery) ([]T, string, error) {
	at := l.Skip
	if l.Cursor != "" {
		n, err := strconv.Atoi(l.Cursor)
		if err != nil || n < 0 {
			return nil, "", badCursor()
		}
		at = n
	}
	at = min(at, len(rows))
	end := min(at+l.Limit, len(rows))
	if end == len(rows) {
		return rows[at:], "", nil
	}
	return rows[at:end], strconv.Itoa(end), nil
}
