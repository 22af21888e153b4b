package store

import (
	"context"
	"errors"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

const (
	variablePrefix   = "var#"
	variableIDPrefix = "varid#"
)

var _ build.VariableStore = (*Store)(nil)

func readVariable(it *table.Item) (*build.Variable, error) {
	v := new(build.Variable)
	err := decode(it, v)
	v.Rev = it.Rev
	return v, err
}

// variableOp returns the op that stores v over what was read, nil for nothing.
func variableOp(v *build.Variable, was *table.Item) table.Op {
	cond, rev := replacing(was)
	v.Rev = rev
	return table.PutOp(table.Item{Key: buildSub(v.BuildID, variablePrefix+v.Key), Rev: rev, Doc: encode(v)}, cond)
}

// SetVariable implements build.VariableStore: one read, one transaction.
func (s *Store) SetVariable(ctx context.Context, ref, key string, f func(*build.Variable, *build.Build, build.Rules, time.Time) (*build.Variable, error)) (*build.Variable, error) {
	var set *build.Variable
	_, _, err := s.changeBuild(ctx, ref, []string{part(variablePrefix, key)}, func(st step) (build.Entry, []table.Op, error) {
		var old *build.Variable
		var err error
		if st.items[0] != nil {
			if old, err = readVariable(st.items[0]); err != nil {
				return build.Entry{}, nil, err
			}
		}
		v, err := f(old, st.b, st.rules, st.now)
		if err != nil {
			return build.Entry{}, nil, err
		}
		var ops []table.Op
		if set = v; old == nil {
			v.ID = s.NewID()
			ops = append(ops, table.PutOp(pointerItem(buildSub(v.BuildID, variableIDPrefix+v.ID), v.Key), table.Cond{Kind: table.Absent}))
		}
		e, err := build.NewEntry(build.VariableSet, v.Record(old))
		return e, append(ops, variableOp(v, st.items[0])), err
	})
	if err != nil {
		return nil, within(ref, err)
	}
	return set.Masked(), nil
}

// Variable implements build.VariableStore: one read, two by id, and one
// transaction more when something is revealed.
func (s *Store) Variable(ctx context.Context, ref, key string, reveal bool) (*build.Variable, error) {
	b, items, err := s.readBuildRow(ctx, ref, false, part(variablePrefix, key), part(variableIDPrefix, key))
	if err != nil {
		return nil, within(ref, err)
	}
	if other, err := pointee(items[1]); err != nil {
		return nil, err
	} else if items[0] == nil && other != "" {
		if items, err = s.Table.Get(ctx, buildSub(b.ID, variablePrefix+other)); err != nil {
			return nil, err
		}
	}
	v, err := foundVariable(ref, key, items[0])
	if err != nil {
		return nil, err
	}
	if !reveal || !v.Sensitive {
		return v.Masked(), nil
	}
	vs, err := s.reveal(ctx, b.ID, func(o *build.Variable) bool { return o.ID == v.ID })
	if err == nil && len(vs) == 0 {
		err = variableNotFound(ref, key)
	}
	if err != nil {
		return nil, within(ref, err)
	}
	return vs[0], nil
}

func variableNotFound(ref, key string) error {
	return problem.New(problem.NotFound, "Variable '%s' not found for build %s", key, ref)
}

// foundVariable returns the variable in it, NotFound when there is none.
func foundVariable(ref, key string, it *table.Item) (*build.Variable, error) {
	if it == nil {
		return nil, variableNotFound(ref, key)
	}
	return readVariable(it)
}

// reveal puts into the history of the build that the sensitive ones among the
// wanted variables are shown, and returns the wanted ones in clear.
func (s *Store) reveal(ctx context.Context, id string, wants func(*build.Variable) bool) ([]*build.Variable, error) {
	var shown []*build.Variable
	_, _, err := s.changeBuild(ctx, id, nil, func(st step) (build.Entry, []table.Op, error) {
		all, err := s.variablesOf(ctx, st.b.ID)
		if err != nil {
			return build.Entry{}, nil, err
		}
		shown = shown[:0]
		keys := []string{}
		for _, v := range all {
			if !wants(v) {
				continue
			}
			if shown = append(shown, v); v.Sensitive {
				keys = append(keys, v.Key)
			}
		}
		e, err := build.NewEntry(build.VariableRevealed, build.Revealed{Keys: keys})
		return e, nil, err
	})
	return shown, err
}

// variablesOf returns the variables of a build in clear, by key.
func (s *Store) variablesOf(ctx context.Context, id string) ([]*build.Variable, error) {
	return rowsOf(ctx, s, id, variablePrefix, readVariable)
}

// Variables implements build.VariableStore.
func (s *Store) Variables(ctx context.Context, ref string, q build.VariableQuery) ([]*build.Variable, string, error) {
	b, err := s.Build(ctx, ref, false)
	if err != nil {
		return nil, "", within(ref, err)
	}
	var wants func(*build.Variable) bool
	if q.Required != nil {
		wants = func(v *build.Variable) bool { return *q.Required == v.Required }
	}
	if q.Limit == 0 {
		all, err := s.wholeDict(ctx, b.ID, wants)
		if err == nil {
			all, err = s.show(ctx, b.ID, all, q.Reveal)
		}
		return all, "", within(ref, err)
	}
	page, next, err := pageOf(ctx, s, b.ID, variablePrefix, q.PageQuery, false, readVariable, wants)
	if err != nil {
		return nil, "", err
	}
	page, err = s.show(ctx, b.ID, page, q.Reveal)
	return page, next, within(ref, err)
}

// maxDict bounds the variables that are answered as one object, in bytes.
const maxDict = 2 << 20

// wholeDict returns the wanted variables of a build, TooLarge when one answer
// does not hold them.
func (s *Store) wholeDict(ctx context.Context, id string, wants func(*build.Variable) bool) ([]*build.Variable, error) {
	var out []*build.Variable
	size := 0
	err := eachOf(ctx, s, id, variablePrefix, func(it *table.Item) error {
		v, err := readVariable(it)
		if err != nil || wants != nil && !wants(v) {
			return err
		}
		if size += table.Size(it); size > maxDict {
			return problem.New(problem.TooLarge, "The variables of this build take more than %d bytes, too many for one answer. List them: GET /builds/%s/variables, page by page.", maxDict, id)
		}
		out = append(out, v)
		return nil
	})
	return out, err
}

// show returns the variables as the caller may see them: masked, or as they
// are after the history says that they were revealed.
func (s *Store) show(ctx context.Context, id string, vs []*build.Variable, reveal bool) ([]*build.Variable, error) {
	ids := map[string]bool{}
	secret := false
	out := make([]*build.Variable, len(vs))
	for i, v := range vs {
		ids[v.ID] = true
		secret = secret || v.Sensitive
		out[i] = v.Masked()
	}
	if !reveal || !secret {
		return out, nil
	}
	return s.reveal(ctx, id, func(v *build.Variable) bool { return ids[v.ID] })
}

// ChangeVariable implements build.VariableStore.
func (s *Store) ChangeVariable(ctx context.Context, ref, key string, f func(*build.Variable, time.Time) error) (*build.Variable, error) {
	var changed *build.Variable
	err := s.onVariable(ctx, ref, key, func(old *build.Variable, it *table.Item, now time.Time) (build.Entry, []table.Op, error) {
		v := *old
		if err := f(&v, now); err != nil {
			return build.Entry{}, nil, err
		}
		changed = &v
		e, err := build.NewEntry(build.VariableSet, v.Record(old))
		return e, []table.Op{variableOp(&v, it)}, err
	})
	if err != nil {
		return nil, err
	}
	return changed.Masked(), nil
}

// DeleteVariable implements build.VariableStore.
func (s *Store) DeleteVariable(ctx context.Context, ref, key string, check func(*build.Variable) error) error {
	return s.onVariable(ctx, ref, key, func(v *build.Variable, it *table.Item, _ time.Time) (build.Entry, []table.Op, error) {
		if err := check(v); err != nil {
			return build.Entry{}, nil, err
		}
		e, err := build.NewEntry(build.VariableDeleted, map[string]string{"variable_key": v.Key})
		return e, []table.Op{table.DeleteOp(it.Key, table.IfRev(it.Rev)), table.DeleteOp(buildSub(v.BuildID, variableIDPrefix+v.ID), table.Cond{})}, err
	})
}

// onVariable runs f on the variable with that key or id.
func (s *Store) onVariable(ctx context.Context, ref, key string, f func(*build.Variable, *table.Item, time.Time) (build.Entry, []table.Op, error)) error {
	try := func(key string) error {
		_, _, err := s.changeBuild(ctx, ref, []string{part(variablePrefix, key), part(variableIDPrefix, key)}, func(st step) (build.Entry, []table.Op, error) {
			if other, err := pointee(st.items[1]); st.items[0] == nil && other != "" || err != nil {
				return build.Entry{}, nil, errors.Join(err, &elsewhere{other})
			}
			v, err := foundVariable(ref, key, st.items[0])
			if err != nil {
				return build.Entry{}, nil, err
			}
			return f(v, st.items[0], st.now)
		})
		return err
	}
	err := try(key)
	if at := (*elsewhere)(nil); errors.As(err, &at) {
		err = try(at.id)
	}
	return within(ref, err)
}
