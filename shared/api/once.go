package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"bldst/shared/problem"
)

// An outcome is what is kept of a POST that carried an Idempotency-Key: the
// answer, or the problem it was refused with.
type outcome[Out any] struct {
	Out     *Out             `json:"out,omitempty"`
	Problem *problem.Problem `json:"problem,omitempty"`
}

// once wraps fn, when op is a POST, so that a request with an Idempotency-Key
// has its effect at most once and the same answer every time. Sign-ins, the
// endpoints that take forms, change nothing and answer afresh every time.
func once[In, Out any](a *API, op Op, fn func(context.Context, *In) (*Out, error)) func(context.Context, *In) (*Out, error) {
	if op.Method != http.MethodPost || op.Form || a.o.Idempotency == nil {
		return fn
	}
	return func(ctx context.Context, in *In) (*Out, error) {
		st := stateOf(ctx)
		if st.idemKey == "" {
			return fn(ctx, in)
		}
		if len(st.idemKey) > 255 {
			return nil, &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"header", "Idempotency-Key"}, Msg: "At most 255 characters", Type: "too_long"}}}
		}
		answer, replayed, err := a.o.Idempotency.Once(ctx, st.scope(op), st.idemKey, st.fingerprint(), func(ctx context.Context) ([]byte, error) {
			out, err := fn(ctx, in)
			if p := problem.From(err); err != nil && !kept(p) {
				return nil, err
			} else if err != nil {
				return json.Marshal(outcome[Out]{Problem: p})
			}
			return json.Marshal(outcome[Out]{Out: out})
		})
		if err != nil {
			return nil, err
		}
		var o outcome[Out]
		if err := json.Unmarshal(answer, &o); err != nil {
			return nil, err
		}
		if replayed {
			st.header.Set("Idempotent-Replayed", "true")
		}
		if o.Problem != nil {
			return nil, o.Problem
		}
		return o.Out, nil
	}
}

// kept reports whether a refusal is a final answer to the request, as opposed
// to one that a second try may change without the caller changing anything.
func kept(p *problem.Problem) bool {
	s := p.Kind.Status()
	return s == http.StatusBadRequest || s == http.StatusNotFound || s == http.StatusConflict
}

// scope is what a key is unique within: the caller, what the credential may do,
// the method and the path. Another credential of the same user is another
// caller: an answer may hold what only the first one was allowed to get.
func (st *state) scope(op Op) string {
	who := []string{""}
	if c := st.Caller; c != nil {
		who = []string{c.UserID, c.Credential, "scopes", strings.Join(slices.Sorted(slices.Values(c.Scopes)), ","),
			"projects", strings.Join(slices.Sorted(slices.Values(c.Projects)), ",")}
	}
	return strings.Join(append(who, op.Method, st.path), " ")
}

// fingerprint tells whether two requests with one key are the same request.
func (st *state) fingerprint() string {
	h := sha256.New()
	h.Write([]byte(st.query))
	h.Write([]byte{0})
	h.Write(st.body)
	return hex.EncodeToString(h.Sum(nil))
}
