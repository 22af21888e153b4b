package store

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// What the keepers of artifacts, variables, jobs and resume requests share:
// rows in the partition of their build, changed together with it.
//
//	art#ID      an artifact
//	artn#NAME   {"id": ...}: which artifact that is not deleted has the name
//	var#KEY     a variable
//	varid#ID    {"id": KEY}: finds a variable by its id
//	job#ID      a job
//	req#ID      a resume request; resume-request#ID  a  {"id": BUILD} finds it alone
//
// Every write of one goes with the build under its revision; its own revision
// is a condition too, since one read of several rows is no snapshot of them.

// A pointer row names another row.
type pointer struct {
	ID string `json:"id"`
}

func pointerItem(k table.Key, to string) table.Item {
	return table.Item{Key: k, Rev: 1, Doc: encode(pointer{to})}
}

// pointee returns what the pointer row it names, "" when there is none.
func pointee(it *table.Item) (string, error) {
	if it == nil {
		return "", nil
	}
	var p pointer
	err := decode(it, &p)
	return p.ID, err
}

// replacing returns the condition that a row still is as it was read, and the
// revision of the row that replaces it.
func replacing(it *table.Item) (table.Cond, int64) {
	if it == nil {
		return table.Cond{Kind: table.Absent}, 1
	}
	return table.IfRev(it.Rev), it.Rev + 1
}

// within says which build was not found, as everything below a build does.
func within(ref string, err error) error {
	if errors.Is(err, errNoBuild) {
		return problem.New(problem.NotFound, "Build %s not found", ref)
	}
	return err
}

// part returns the sort key of a row of a build, one that no row has when ref
// is too long to name any.
func part(prefix, ref string) string { return prefix + clipRef(ref) }

// rowsOf returns all rows of the build whose sort keys begin with prefix, each
// read with f.
func rowsOf[T any](ctx context.Context, s *Store, id, prefix string, f func(*table.Item) (T, error)) ([]T, error) {
	out := []T{}
	err := eachOf(ctx, s, id, prefix, func(it *table.Item) error {
		v, err := f(it)
		out = append(out, v)
		return err
	})
	return out, err
}

// pageOf returns the page q of the rows that rowsOf would return and wants
// likes, in the order of their keys; descending when reverse is true.
func pageOf[T any](ctx context.Context, s *Store, id, prefix string, q build.PageQuery, reverse bool, f func(*table.Item) (T, error), wants func(T) bool) ([]T, string, error) {
	g := gathering{q: table.Query{PK: buildKind + "#" + id, Prefix: prefix, Reverse: reverse, Cursor: q.Cursor}, limit: q.Limit, skip: q.Skip, sparse: wants != nil}
	return gather(ctx, s, g, func(it *table.Item) (T, bool, error) {
		v, err := f(it)
		return v, err == nil && (wants == nil || wants(v)), err
	})
}

// eachOf calls f with every row of the build whose sort key begins with prefix.
func eachOf(ctx context.Context, s *Store, id, prefix string, f func(*table.Item) error) error {
	for q := (table.Query{PK: buildKind + "#" + id, Prefix: prefix, Limit: table.MaxLimit}); ; {
		p, err := s.Table.Query(ctx, q)
		if err != nil {
			return err
		}
		for i := range p.Items {
			if err := f(&p.Items[i]); err != nil {
				return err
			}
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			return nil
		}
	}
}

// A window collects the page q of rows that are read in another order than
// theirs. It keeps no more of them than the page needs.
type window[T any] struct {
	q     build.PageQuery
	order func(T) string // the place of a row; no two have the same

	last string // the place of the last row of the page before
	rows []placed[T]
	size int
	more bool // some were dropped
}

type placed[T any] struct {
	row  T
	at   string
	size int
}

// windowMark begins what is in a cursor of window.
const windowMark = "w\x00"

func newWindow[T any](q build.PageQuery, order func(T) string) (*window[T], error) {
	w := &window[T]{q: q, order: order}
	if q.Cursor == "" {
		return w, nil
	}
	at, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	last, ok := strings.CutPrefix(string(at), windowMark)
	if err != nil || !ok {
		return nil, badCursor()
	}
	w.last, w.q.Skip = last, 0
	return w, nil
}

// add takes a row that has size bytes.
func (w *window[T]) add(row T, size int) {
	at := w.order(row)
	if at <= w.last {
		return
	}
	w.rows, w.size = append(w.rows, placed[T]{row, at, size}), w.size+size
	if len(w.rows) > 2*(w.q.Skip+w.q.Limit) || w.size > 4*table.MaxPage {
		w.trim()
	}
}

// trim drops the rows behind the page.
func (w *window[T]) trim() {
	slices.SortFunc(w.rows, func(a, b placed[T]) int { return cmp.Compare(a.at, b.at) })
	size := 0
	for i, r := range w.rows {
		if i >= w.q.Skip {
			size += r.size
		}
		if i > w.q.Skip && size > table.MaxPage || i == w.q.Skip+w.q.Limit {
			clear(w.rows[i:])
			w.rows, w.more = w.rows[:i], true
			break
		}
	}
	w.size = 0
	for _, r := range w.rows {
		w.size += r.size
	}
}

// page returns the rows of the page and the cursor of the next.
func (w *window[T]) page() ([]T, string) {
	w.trim()
	rows := w.rows[min(w.q.Skip, len(w.rows)):]
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = r.row
	}
	if !w.more || len(rows) == 0 {
		return out, ""
	}
	return out, base64.RawURLEncoding.EncodeToString([]byte(windowMark + rows[len(rows)-1].at))
}
