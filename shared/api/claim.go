package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bldst/shared/auth"
	"bldst/shared/problem"
)

// AttemptHeader names the attempt of a build its caller belongs to.
const AttemptHeader = "X-Build-Attempt"

// Claims reports whether op writes something of a build: then it takes the
// caller's claim, from header and body, and the store holds it to that.
func (op Op) Claims() bool {
	ofBuild := strings.HasPrefix(op.Path, "/builds/{id}") || strings.HasPrefix(op.Path, "/resume-requests/{rid}")
	return ofBuild && op.Method != http.MethodGet && op.Scope != auth.Read
}

// attemptParam describes the header to callers.
func attemptParam() *huma.Param {
	one := 1.0
	return &huma.Param{Name: AttemptHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: &one},
		Description: "The attempt of the build the caller belongs to, also as `attempt` in the body. A replaced attempt is answered 409 `stale_attempt`."}
}

// claim reads what the caller says of itself. What the body says is checked
// here as far as the claim goes; that it is a valid body is seen later.
func (st *state) claim(header string) error {
	c := &st.Claim
	if header != "" {
		n, err := strconv.Atoi(strings.TrimSpace(header))
		if err != nil || n < 1 {
			return badAttempt("header", AttemptHeader)
		}
		c.Attempt = n
	}
	if !bytes.Contains(st.body, []byte(`"attempt"`)) && !bytes.Contains(st.body, []byte(`"worker"`)) && !bytes.Contains(st.body, []byte(`"take_over"`)) {
		return nil
	}
	var body struct {
		Attempt  json.RawMessage `json:"attempt"`
		Worker   json.RawMessage `json:"worker"`
		TakeOver json.RawMessage `json:"take_over"`
	}
	if json.Unmarshal(st.body, &body) != nil {
		return nil // it is no object, and refused as such
	}
	_ = json.Unmarshal(body.Worker, &c.Worker) // of another type: refused with the body
	_ = json.Unmarshal(body.TakeOver, &c.TakeOver)
	if len(body.Attempt) == 0 || string(body.Attempt) == "null" {
		return nil
	}
	n, err := strconv.Atoi(string(body.Attempt))
	switch {
	case err != nil || n < 1:
		return badAttempt("body", "attempt")
	case c.Attempt != 0 && c.Attempt != n:
		return problem.BadField("attempt", "value_error", "The body says attempt %d, the header %s says %d", n, AttemptHeader, c.Attempt)
	}
	c.Attempt = n
	return nil
}

func badAttempt(where, name string) error {
	return &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{where, name}, Msg: "Attempts are whole numbers from 1; leave it out when the caller belongs to none", Type: "out_of_range"}}}
}
