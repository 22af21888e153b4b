package store

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

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
	end := at + fitting(rows[at:], l.Limit)
	if end == len(rows) {
		return rows[at:], "", nil
	}
	return rows[at:end], strconv.Itoa(end), nil
}

// fitting returns how many of rows fit into a page of at most limit rows.
func fitting[T any](rows []T, limit int) int {
	size := 0
	for i := range rows {
		if i == limit {
			return i
		}
		if size += len(encode(rows[i])); size > table.MaxPage && i > 0 {
			return i
		}
	}
	return len(rows)
}

// patience is how long a list reads on to fill a page. A caller waits at most
// 29 seconds for an answer; what is left leads on by its cursor.
const patience = 5 * time.Second

// hurry returns the context whose end says that a list has read long enough:
// after Patience, or when two thirds of the time ctx has are over.
func (s *Store) hurry(ctx context.Context) (context.Context, context.CancelFunc) {
	d := s.Patience
	if d == 0 {
		d = patience
	}
	if end, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(end)*2/3)
	}
	return context.WithTimeout(ctx, d)
}

// sparseRead is how many rows a list at least reads at a time that looks for
// some among them.
const sparseRead = 200

// A gathering is a page that is made of the wanted rows of one query.
type gathering struct {
	q      table.Query
	limit  int  // rows of the page
	skip   int  // wanted rows to pass over first
	sparse bool // not every row is wanted
}

// errOver ends a gathering: no row that follows is wanted.
var errOver = errors.New("the rest is not wanted")

// gather reads g until the page is full, by rows or by bytes, or the time is
// up, and returns it with the cursor of the next one. read says whether a row
// is wanted.
func gather[T any](ctx context.Context, s *Store, g gathering, read func(*table.Item) (T, bool, error)) ([]T, string, error) {
	enough, cancel := s.hurry(ctx)
	defer cancel()
	q, size := g.q, 0
	if q.Limit = g.limit; g.sparse {
		q.Limit = max(g.limit, sparseRead)
	} else {
		q.Skip, g.skip = g.skip, 0
	}
	if q.Cursor != "" {
		g.skip = 0 // the page before has skipped
	}
	out := make([]T, 0, min(g.limit, 100))
	for {
		p, err := s.Table.Query(ctx, q)
		if err != nil {
			return nil, "", err
		}
		before := q.Cursor
		for i := range p.Items {
			v, wanted, err := read(&p.Items[i])
			if errors.Is(err, errOver) {
				return out, "", nil
			}
			if err != nil {
				return nil, "", err
			}
			n := table.Size(&p.Items[i])
			switch {
			case !wanted:
			case g.skip > 0:
				g.skip--
			case len(out) > 0 && size+n > table.MaxPage:
				return out, before, nil
			default:
				out, size = append(out, v), size+n
			}
			before = cursorAfter(q, p, i)
			if len(out) == g.limit {
				return out, before, nil
			}
		}
		if q.Cursor, q.Skip = p.Next, 0; q.Cursor == "" || enough.Err() != nil {
			return out, q.Cursor, ctx.Err()
		}
	}
}

// cursorAfter returns the cursor after item i of p.
func cursorAfter(q table.Query, p table.Page, i int) string {
	if i == len(p.Items)-1 {
		return p.Next
	}
	at := table.Position{Key: p.Items[i].Key}
	if q.Index > 0 {
		at.Sort = p.Items[i].Index[q.Index-1].SK
	}
	return q.CursorAt(at)
}
