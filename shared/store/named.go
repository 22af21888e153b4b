package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"bldst/shared/auth"
	"bldst/shared/id"
	"bldst/shared/problem"
	"bldst/shared/resource"
	"bldst/shared/table"
)

// A Kind says how the rows of one noun are kept. Only Name and Label are
// required.
type Kind[T any, P resource.Item[T]] struct {
	Name   string              // in keys and the audit trail: "platform"
	Label  string              // in sentences: "Platform"
	SlugID bool                // ids are slugs of Slug(row) while free; else time-ordered UUIDs
	Slug   func(P) string      // default: the first unique name
	Unique func(P) []string    // the names no other row of the kind may have
	Shared func(P) []string    // further names it may share with others
	Sort   func(P) string      // its place in lists; default: when it was created
	Parent func(P) string      // "project#ID" to be listed under that in index 2, "" for none
	Redact func([]byte) []byte // removes secrets from a document before it is audited
}

// Named keeps the rows of one noun that has names: platforms, projects, users.
// A row is found by its id or by any of its names. Deleting is soft: the row
// keeps its place in the table, leaves the lists and gives its names free.
type Named[T any, P resource.Item[T]] struct {
	s *Store
	k Kind[T, P]
}

// NewNamed returns the keeper of kind k.
func NewNamed[T any, P resource.Item[T]](s *Store, k Kind[T, P]) *Named[T, P] {
	return &Named[T, P]{s: s, k: k}
}

// A holders row says which rows have a name.
type holders struct {
	IDs    []string `json:"ids"`
	Unique bool     `json:"unique"`
}

// Get returns the row with the id or name ref. A deleted row is found only by
// its id and only when deleted is true. NotFound when there is none, Ambiguous
// when several rows have the name.
func (n *Named[T, P]) Get(ctx context.Context, ref string, deleted bool) (P, error) {
	it, err := n.s.find(ctx, n.k.Name, ref, deleted)
	if err != nil {
		return nil, err
	}
	if it == nil || it.Deleted && (!deleted || it.Key != rowKey(n.k.Name, ref)) {
		return nil, n.notFound(ref)
	}
	return n.row(it)
}

func (n *Named[T, P]) notFound(ref string) error {
	return problem.New(problem.NotFound, "%s with id '%s' not found", n.k.Label, ref)
}

func (n *Named[T, P]) row(it *table.Item) (P, error) {
	v := P(new(T))
	if err := decode(it, v); err != nil {
		return nil, err
	}
	v.Base().Rev = it.Rev
	return v, nil
}

// lookup returns the item of the kind with the id or name ref, nil when there
// is none. An id goes before a name, unless it is that of a deleted row: its
// name may have gone to another one since.
func (s *Store) lookup(ctx context.Context, kind, ref string) (*table.Item, error) {
	return s.find(ctx, kind, ref, false)
}

// find is lookup; with deleted, the id of a deleted row goes before a name,
// too.
func (s *Store) find(ctx context.Context, kind, ref string, deleted bool) (*table.Item, error) {
	if ref == "" || len(ref) > 1000 || strings.ContainsRune(ref, 0) {
		return nil, nil
	}
	items, err := s.Table.Get(ctx, refKey(kind, ref), nameKey(kind, ref))
	if err != nil {
		return nil, err
	}
	if items[1] == nil || items[0] != nil && (deleted || !items[0].Deleted) {
		return visible(ctx, kind, items[0])
	}
	owner, err := soleHolder(items[1], ref)
	if err != nil || owner == "" {
		return nil, err
	}
	items, err = s.Table.Get(ctx, rowKey(kind, owner))
	if err != nil {
		return nil, err
	}
	return visible(ctx, kind, items[0])
}

// visible returns it, unless it is a project that the caller's credential is
// not for.
func visible(ctx context.Context, kind string, it *table.Item) (*table.Item, error) {
	if it == nil || kind != projectKind {
		return it, nil
	}
	return it, allowed(ctx, strings.TrimPrefix(it.PK, projectKind+"#"))
}

// soleHolder returns the one row that has the name, "" when none has.
func soleHolder(it *table.Item, name string) (string, error) {
	var h holders
	if err := decode(it, &h); err != nil {
		return "", err
	}
	switch len(h.IDs) {
	case 0:
		return "", nil
	case 1:
		return h.IDs[0], nil
	default:
		return "", problem.New(problem.Ambiguous, "Several have the name '%s'; use one of the ids %s.", name, strings.Join(h.IDs, ", "))
	}
}

// A Ref is a reference to a row of a kind by id or name.
type Ref struct{ Kind, Label, Value string }

// Resolve returns the ids of the rows refs name, "" for an empty reference,
// with one read. NotFound names the first that does not exist.
func (s *Store) Resolve(ctx context.Context, refs ...Ref) ([]string, error) {
	ids, _, err := s.resolve(ctx, refs, nil)
	return ids, err
}

// resolve is Resolve, and reads the items at extra along with it.
func (s *Store) resolve(ctx context.Context, refs []Ref, extra []table.Key) ([]string, []*table.Item, error) {
	keys := slices.Clone(extra)
	for _, r := range refs {
		if r.Value != "" {
			keys = append(keys, refKey(r.Kind, clipRef(r.Value)), nameKey(r.Kind, clipRef(r.Value)))
		}
	}
	if len(keys) == 0 {
		return make([]string, len(refs)), nil, nil
	}
	items, err := s.Table.Get(ctx, keys...)
	if err != nil {
		return nil, nil, err
	}
	found := items[len(extra):]
	ids := make([]string, len(refs))
	for i, r := range refs {
		if r.Value == "" {
			continue
		}
		row, name := found[0], found[1]
		found = found[2:]
		switch {
		case row != nil && !row.Deleted:
			ids[i] = r.Value
		case name != nil:
			if ids[i], err = soleHolder(name, r.Value); err != nil {
				return nil, nil, err
			}
		}
		if ids[i] == "" {
			return nil, nil, problem.New(problem.NotFound, "%s with id '%s' not found", r.Label, r.Value)
		}
		if r.Kind == projectKind {
			if err := allowed(ctx, ids[i]); err != nil {
				return nil, nil, err
			}
		}
	}
	return ids, items[:len(extra)], nil
}

// clipRef keeps a reference within the size of a key; one that long names
// nothing.
func clipRef(v string) string {
	v = strings.ReplaceAll(v, "\x00", "\uFFFD")
	return v[:min(len(v), 1000)]
}

// Create stores v as a new row: it sets id (unless v has one), times and
// revision. Conflict, with the id of what exists, when one of its names is
// taken.
func (n *Named[T, P]) Create(ctx context.Context, v P) error {
	if bound(ctx) {
		return n.common()
	}
	m := v.Base()
	fixed := m.ID != ""
	slug := ""
	if n.k.SlugID && !fixed {
		slug = id.Slug(n.slug(v))
	}
	m.CreatedAt = n.s.now()
	m.UpdatedAt, m.Rev = m.CreatedAt, 1
	for range tries(ctx) {
		if !fixed {
			if err := n.assignID(ctx, m, slug); err != nil {
				return err
			}
		}
		ops, err := n.claim(ctx, v, nil)
		if err != nil {
			return err
		}
		row := table.PutOp(n.item(v), table.Cond{Kind: table.Absent})
		ops = append(ops, row, n.audit(ctx, "create", nil, v))
		err = n.s.write(ctx, ops...)
		if table.Refused(err) == nil {
			return err
		}
		if fixed && table.Refused(err).Key == rowKey(n.k.Name, m.ID) {
			return n.taken(m.ID, m.ID)
		}
	}
	return busy()
}

// common is the refusal of a change that other projects would see.
func (n *Named[T, P]) common() error {
	return problem.New(problem.Forbidden, "This credential is bound to projects and cannot change what all projects share: %s.", n.k.Label)
}

// changeable refuses a credential bound to projects every change of a row that
// is no project; whose a project is, Get has checked.
func (n *Named[T, P]) changeable(ctx context.Context) error {
	if bound(ctx) && n.k.Name != projectKind {
		return n.common()
	}
	return nil
}

func (n *Named[T, P]) slug(v P) string {
	if n.k.Slug != nil {
		return n.k.Slug(v)
	}
	return n.k.Unique(v)[0]
}

// assignID takes the slug while nothing else has it as id or name, else a new
// UUID. Two at once cannot get one id; that one gets an id which the other gets
// as name would be found by its id only.
func (n *Named[T, P]) assignID(ctx context.Context, m *resource.Meta, slug string) error {
	m.ID = n.s.NewID()
	if slug == "" {
		return nil
	}
	items, err := n.s.Table.Get(ctx, rowKey(n.k.Name, slug), nameKey(n.k.Name, slug))
	if err == nil && items[0] == nil && items[1] == nil {
		m.ID = slug
	}
	return err
}

func (n *Named[T, P]) taken(name, by string) error {
	return problem.New(problem.Conflict, "%s '%s' already exists with id '%s'", n.k.Label, name, by)
}

// claim returns the ops that give v its names and take away those it had as
// old. Names that stay cost nothing.
func (n *Named[T, P]) claim(ctx context.Context, v, old P) ([]table.Op, error) {
	want, had := n.names(v), n.names(old)
	var keys []table.Key
	var changed []string
	for _, name := range slices.Sorted(keysOf(want, had)) {
		if want[name] != had[name] {
			keys = append(keys, nameKey(n.k.Name, name), refKey(n.k.Name, name))
			changed = append(changed, name)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := n.s.Table.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	var ops []table.Op
	for i, name := range changed {
		op, err := n.claimOne(name, want[name], idOf(v, old), items[2*i], items[2*i+1])
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}

// A hold says how a row has a name: not, alone, or perhaps with others.
type hold int

const (
	holdNone hold = iota
	holdShared
	holdUnique
)

func (n *Named[T, P]) names(v P) map[string]hold {
	m := map[string]hold{}
	if v == nil || v.Base().DeactivatedAt != nil {
		return m
	}
	if n.k.Shared != nil {
		for _, name := range n.k.Shared(v) {
			m[name] = holdShared
		}
	}
	if n.k.Unique != nil {
		for _, name := range n.k.Unique(v) {
			m[name] = holdUnique
		}
	}
	delete(m, "")
	return m
}

// claimOne returns the op that makes id hold name as want says. lock is the
// row of the name, row the item whose id is the name, if any.
func (n *Named[T, P]) claimOne(name string, want hold, id string, lock, row *table.Item) (table.Op, error) {
	var h holders
	cond, rev := table.Cond{Kind: table.Absent}, int64(1)
	if lock != nil {
		if err := decode(lock, &h); err != nil {
			return table.Op{}, err
		}
		cond, rev = table.IfRev(lock.Rev), lock.Rev+1
	}
	others := slices.DeleteFunc(slices.Clone(h.IDs), func(o string) bool { return o == id })
	if want != holdNone && len(others) > 0 && (want == holdUnique || h.Unique) {
		return table.Op{}, n.taken(name, others[0])
	}
	if want == holdUnique && row != nil && !row.Deleted && name != id {
		return table.Op{}, n.taken(name, name)
	}
	if want == holdNone && len(others) == 0 {
		if lock == nil {
			cond = table.Cond{Kind: table.Always}
		}
		return table.DeleteOp(nameKey(n.k.Name, name), cond), nil
	}
	next := holders{IDs: others, Unique: want == holdUnique}
	if want != holdNone {
		next.IDs = append(next.IDs, id)
	}
	return table.PutOp(table.Item{Key: nameKey(n.k.Name, name), Rev: rev, Doc: encode(next)}, cond), nil
}

// item returns the row of v as it is stored.
func (n *Named[T, P]) item(v P) table.Item {
	m := v.Base()
	if f, ok := any(v).(resource.Filler); ok {
		f.Fill()
	}
	it := table.Item{Key: rowKey(n.k.Name, m.ID), Rev: m.Rev, Doc: encode(v)}
	if m.DeactivatedAt != nil {
		it.Deleted = true
		it.Index[0] = table.IndexKey{PK: "deleted#" + n.k.Name, SK: stamp(*m.DeactivatedAt)}
		return it
	}
	it.Index[0] = table.IndexKey{PK: n.k.Name, SK: stamp(m.CreatedAt)}
	if n.k.Sort != nil {
		it.Index[0].SK = clipRef(n.k.Sort(v))
	}
	if n.k.Parent != nil && n.k.Parent(v) != "" {
		it.Index[1] = table.IndexKey{PK: n.k.Parent(v), SK: n.k.Name + "#" + it.Index[0].SK}
	}
	return it
}

// Change reads the row ref, lets f change it and stores it, again if somebody
// else changed it meanwhile. A problem f returns is returned, and nothing is
// stored. f sees deleted rows only when deleted is true. action names the
// change in the audit trail.
func (n *Named[T, P]) Change(ctx context.Context, ref, action string, deleted bool, f func(P) error) (P, error) {
	if err := n.changeable(ctx); err != nil {
		return nil, err
	}
	for range tries(ctx) {
		old, err := n.Get(ctx, ref, deleted)
		if err != nil {
			return nil, err
		}
		v, err := clone[T](old)
		if err != nil {
			return nil, err
		}
		if err := f(v); err != nil {
			return nil, err
		}
		ops, err := n.changeOps(ctx, action, old, v)
		if err != nil {
			return nil, err
		}
		if err = n.s.write(ctx, ops...); table.Refused(err) == nil {
			return v, err
		}
	}
	return nil, busy()
}

// clone returns a copy of v that shares nothing with it.
func clone[T any, P resource.Item[T]](v P) (P, error) {
	c := P(new(T))
	if err := json.Unmarshal(encode(v), c); err != nil {
		return nil, err
	}
	c.Base().Rev = v.Base().Rev
	return c, nil
}

// changeOps returns the ops that replace old by v under the revision of old.
func (n *Named[T, P]) changeOps(ctx context.Context, action string, old, v P) ([]table.Op, error) {
	m := v.Base()
	m.UpdatedAt, m.Rev = n.s.now(), old.Base().Rev+1
	ops, err := n.claim(ctx, v, old)
	if err != nil {
		return nil, err
	}
	row := table.PutOp(n.item(v), table.IfRev(old.Base().Rev))
	return append(ops, row, n.audit(ctx, action, old, v)), nil
}

// Delete soft-deletes the row ref: NotFound when it is deleted already. check,
// if not nil, may refuse.
func (n *Named[T, P]) Delete(ctx context.Context, ref string, check func(P) error) (P, error) {
	return n.Change(ctx, ref, "delete", false, func(v P) error {
		if check != nil {
			if err := check(v); err != nil {
				return err
			}
		}
		now := n.s.now()
		v.Base().DeactivatedAt = &now
		return nil
	})
}

// Restore brings a deleted row back under its names; Conflict when one of them
// was taken meanwhile. A row that is not deleted is returned as it is.
func (n *Named[T, P]) Restore(ctx context.Context, ref string) (P, error) {
	if err := n.changeable(ctx); err != nil {
		return nil, err
	}
	v, err := n.Get(ctx, ref, true)
	if err != nil || v.Base().DeactivatedAt == nil {
		return v, err
	}
	return n.Change(ctx, ref, "restore", true, func(v P) error {
		v.Base().DeactivatedAt = nil
		return nil
	})
}

func (n *Named[T, P]) audit(ctx context.Context, action string, old, v P) table.Op {
	var before []byte
	if old != nil {
		before = n.redact(encode(old))
	}
	return n.s.auditOp(ctx, n.k.Name+"."+action, n.k.Name, v.Base().ID, before, n.redact(encode(v)))
}

func (n *Named[T, P]) redact(doc []byte) json.RawMessage {
	if n.k.Redact != nil {
		return n.k.Redact(doc)
	}
	return doc
}

// List returns the rows of the kind in their order, active ones first, then,
// if deleted is true, the deleted ones by when they were deleted.
func (n *Named[T, P]) List(ctx context.Context, l ListQuery) ([]T, string, error) {
	if n.k.Name == projectKind && bound(ctx) {
		return n.listBound(ctx, l)
	}
	return listRows[T, P](ctx, n.s, n.k.Name, l)
}

// listBound returns the projects a credential is bound to, in their order.
func (n *Named[T, P]) listBound(ctx context.Context, l ListQuery) ([]T, string, error) {
	ids := auth.CallerOf(ctx).Projects
	keys := make([]table.Key, len(ids))
	for i, id := range ids {
		keys[i] = rowKey(n.k.Name, id)
	}
	items, err := n.s.Table.Get(ctx, keys...)
	if err != nil {
		return nil, "", err
	}
	items = slices.DeleteFunc(items, func(it *table.Item) bool { return it == nil || it.Deleted && !l.Deleted })
	slices.SortFunc(items, listOrder)
	rows := make([]T, len(items))
	for i, it := range items {
		v, err := n.row(it)
		if err != nil {
			return nil, "", err
		}
		rows[i] = *v
	}
	return offsetPage(rows, l)
}

func idOf[T any, P resource.Item[T]](v, old P) string {
	if v != nil {
		return v.Base().ID
	}
	return old.Base().ID
}

// keysOf yields the keys of both maps, each once.
func keysOf(a, b map[string]hold) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range a {
			if !yield(k) {
				return
			}
		}
		for k := range b {
			if _, twice := a[k]; !twice && !yield(k) {
				return
			}
		}
	}
}
