package store

import (
	"context"
	"errors"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
	"bldst/shared/webhook"
)

// A signature that was used is a row of the build it was used for,
// build#ID sig#HEX, until it is too old to be used again: it stands in the
// transaction of what it signed, so neither is there without the other.

//
// build#ID told#HEX says that a failure with this identity was told: what a CI
// sends again, signed anew, is not another failure.

const (
	signaturePrefix = "sig#"
	toldPrefix      = "told#"
	signatureLife   = 10 * time.Minute
)

// errTold is not an error: what was asked for was done before.
var errTold = errors.New("it was told before")

var _ webhook.Store = (*Store)(nil)

// ChangeSigned implements webhook.Store.
func (s *Store) ChangeSigned(ctx context.Context, ref, signature, identity string, f build.Change) (*build.Build, build.Entry, error) {
	sk := []string{signaturePrefix + signature, toldPrefix + identity}
	var as *build.Build
	b, e, err := s.changeBuild(ctx, ref, sk, func(st step) (build.Entry, []table.Op, error) {
		if as = st.b; identity != "" && st.items[1] != nil {
			return build.Entry{}, nil, errTold
		}
		used, err := useSignature(st.items[0], buildSub(st.b.ID, sk[0]), st.now)
		if err != nil {
			return build.Entry{}, nil, err
		}
		ops := []table.Op{used}
		if identity != "" {
			ops = append(ops, table.PutOp(table.Item{Key: buildSub(st.b.ID, sk[1]), Rev: 1, Doc: encode(map[string]any{"at": st.now, "attempt": st.b.Attempt})}, table.Cond{Kind: table.Absent}))
		}
		e, err := f(st.b, st.rules, st.now)
		return e, ops, err
	})
	if errors.Is(err, errTold) {
		return as, build.Entry{}, nil
	}
	return b, e, err
}

// useSignature returns the op that remembers that the signature at key, whose
// row is it, was used; Unauthorized when it was.
func useSignature(it *table.Item, key table.Key, now time.Time) (table.Op, error) {
	cond := table.Cond{Kind: table.Absent}
	if it != nil {
		if it.Expires > now.Unix() {
			return table.Op{}, problem.New(problem.Unauthorized, "The webhook is refused: its signature was used before.")
		}
		cond = table.IfRev(it.Rev)
	}
	return table.PutOp(table.Item{Key: key, Rev: cond.Rev + 1, Expires: now.Add(signatureLife).Unix(), Doc: []byte("{}")}, cond), nil
}
