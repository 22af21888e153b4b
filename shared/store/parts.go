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
	for q := (table.Query{PK: buildKind + "#" + id, Prefix: prefix, Limit: table.MaxLimit}); ; {
		p, err := s.Table.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range p.Items {
			v, err := f(&p.Items[i])
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			return out, nil
		}
	}
}

// window returns the page q of rows, ordered by their keys, descending when
// reverse is true. Keys are unique; the cursor names the last one of a page, so
// rows that come and go between two pages move no others. A limit of 0 is none.
func window[T any](rows []T, key func(T) string, reverse bool, q build.PageQuery) ([]T, string, error) {
	order := func(a, b string) int {
		if reverse {
			a, b = b, a
		}
		return cmp.Compare(a, b)
	}
	slices.SortFunc(rows, func(a, b T) int { return order(key(a), key(b)) })
	if q.Cursor != "" {
		at, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		last, ok := strings.CutPrefix(string(at), windowMark)
		if err != nil || !ok {
			return nil, "", badCursor()
		}
		rows = slices.DeleteFunc(rows, func(r T) bool { return order(key(r), last) <= 0 })
		q.Skip = 0
	}
	rows = rows[min(q.Skip, len(rows)):]
	if q.Limit <= 0 || len(rows) <= q.Limit {
		return rows, "", nil
	}
	rows = rows[:q.Limit]
	return rows, base64.RawURLEncoding.EncodeToString([]byte(windowMark + key(rows[len(rows)-1]))), nil
}

// windowMark begins what is in a cursor of window.
const windowMark = "w\x00"
