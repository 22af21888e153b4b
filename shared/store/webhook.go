package store

import (
	"context"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
	"bldst/shared/webhook"
)

// A signature that was used is a row of the build it was used for,
// build#ID sig#HEX, until it is too old to be used again: it stands in the
// transaction of what it signed, so neither is there without the other.

const (
	signaturePrefix = "sig#"
	signatureLife   = 10 * time.Minute
)

var _ webhook.Store = (*Store)(nil)

// ChangeSigned implements webhook.Store.
func (s *Store) ChangeSigned(ctx context.Context, ref, signature string, f build.Change) (*build.Build, build.Entry, error) {
	sk := signaturePrefix + signature
	return s.changeBuild(ctx, ref, []string{sk}, func(st step) (build.Entry, []table.Op, error) {
		cond := table.Cond{Kind: table.Absent}
		if it := st.items[0]; it != nil {
			if it.Expires > st.now.Unix() {
				return build.Entry{}, nil, problem.New(problem.Unauthorized, "The webhook is refused: its signature was used before.")
			}
			cond = table.IfRev(it.Rev)
		}
		e, err := f(st.b, st.rules, st.now)
		used := table.Item{Key: buildSub(st.b.ID, sk), Rev: cond.Rev + 1, Expires: st.now.Add(signatureLife).Unix(), Doc: []byte("{}")}
		return e, []table.Op{table.PutOp(used, cond)}, err
	})
}
