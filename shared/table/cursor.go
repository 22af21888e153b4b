package table

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"bldst/shared/problem"
)

// A Position is the place of one item in the order of a Query: its own key,
// and its sort key in the index ("" when the table itself is read).
type Position struct {
	Key
	Sort string
}

// CheckQuery reports why q cannot be answered, else where its cursor points
// (nil without one). A cursor that is damaged or of another query is a problem
// of kind Invalid on the query parameter "cursor", a From that no key can be
// compared with an Invalid one; the rest are mistakes of the program.
func CheckQuery(q Query) (*Position, error) {
	switch {
	case q.Index < 0 || q.Index > 2:
		return nil, fmt.Errorf("table: no index %d", q.Index)
	case q.PK == "":
		return nil, errors.New("table: a query without a partition")
	case q.Prefix != "" && q.From != "":
		return nil, errors.New("table: a query has a prefix or a lower bound, not both")
	case q.Limit < 1 || q.Limit > MaxLimit:
		return nil, fmt.Errorf("table: a query has a limit of 1 to %d, this one has %d", MaxLimit, q.Limit)
	case q.Skip < 0:
		return nil, fmt.Errorf("table: a query cannot skip %d items", q.Skip)
	case len(q.From) > MaxSK || !cleanText(q.From):
		return nil, problem.New(problem.Invalid, "the lower bound of the list is too long, contains a NUL character or is not valid UTF-8")
	case q.Cursor == "":
		return nil, nil
	}
	return q.position()
}

// Futile reports whether no item can match q, because no key can have its
// partition or prefix. The answer is then an empty page.
func (q Query) Futile() bool {
	return len(q.PK) > MaxPK || len(q.Prefix) > MaxSK || !cleanText(q.PK) || !cleanText(q.Prefix)
}

// CursorAt returns the cursor of the page of q that begins after p.
func (q Query) CursorAt(p Position) string {
	if q.Index == 0 {
		p.PK, p.Sort = "", ""
	}
	b := append([]byte{cursorVersion}, q.binding()...)
	b = appendString(b, p.PK)
	b = appendString(b, p.SK)
	b = append(b, p.Sort...)
	return base64.RawURLEncoding.EncodeToString(b)
}

const (
	cursorVersion = 1
	bindingSize   = 8
)

// binding ties a cursor to the query that gave it, so that one of another list
// is refused instead of answered with nonsense. Limit is free to change.
func (q Query) binding() []byte {
	h := sha256.Sum256(fmt.Appendf(nil, "%d %t %q %q %q", q.Index, q.Reverse, q.PK, q.Prefix, q.From))
	return h[:bindingSize]
}

// position decodes q.Cursor. Only the very string CursorAt makes is accepted.
func (q Query) position() (*Position, error) {
	b, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err != nil || len(b) < 1+bindingSize {
		return nil, errCursor()
	}
	var p Position
	rest := b[1+bindingSize:]
	pk, rest, ok1 := cutString(rest)
	sk, rest, ok2 := cutString(rest)
	p.PK, p.SK, p.Sort = pk, sk, string(rest)
	if q.Index == 0 {
		p.PK = q.PK
	}
	if !ok1 || !ok2 || q.CursorAt(p) != q.Cursor || !q.spans(p) {
		return nil, errCursor()
	}
	return &p, nil
}

// spans reports whether an item at p can be an answer to q.
func (q Query) spans(p Position) bool {
	sort := p.SK
	if q.Index != 0 {
		sort = p.Sort
	}
	return p.Storable() && Key{q.PK, sort}.Storable() && strings.HasPrefix(sort, q.Prefix) && sort >= q.From
}

func errCursor() error {
	return &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{
		Loc:  []any{"query", "cursor"},
		Msg:  "The cursor is damaged or belongs to another list; start again without it",
		Type: "value_error",
	}}}
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return "", nil, false
	}
	b = b[w:]
	return string(b[:n]), b[n:], true
}
