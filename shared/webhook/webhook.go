// Package webhook takes failures from CI systems that report them themselves,
// without an API key: their requests are signed with a shared secret.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/outbound"
	"bldst/shared/problem"
)

// A Failure is the body of POST /webhooks/build-failure.
type Failure struct {
	Event          string          `json:"event"`                 // build.failed
	BuildID        string          `json:"build_id"`              // id or number
	CurrentState   api.IntOrString `json:"current_state"`         // where it failed; default: where the build is
	LastSuccessful *int            `json:"last_successful_state"` // what the CI believes; kept with the failure
	Reason         string          `json:"failure_reason"`
	Timestamp      *time.Time      `json:"timestamp"`
	Attempt        *int            `json:"attempt"` // the attempt the job belonged to
	Code           string          `json:"error_code"`
	Class          build.Class     `json:"failure_class"`
	Metadata       Metadata        `json:"metadata"`
}

// Metadata says which job it was.
type Metadata struct {
	Platform    string `json:"ci_platform,omitempty"`
	Pipeline    string `json:"pipeline,omitempty"`
	Job         string `json:"job,omitempty"`
	BuildNumber any    `json:"build_number,omitempty"`
}

// parse reads a body whose signature was checked.
func parse(body []byte) (Failure, error) {
	var f Failure
	if err := json.Unmarshal(body, &f); err != nil {
		return f, &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"body"}, Msg: "Not the JSON of a failure: " + err.Error(), Type: "json_invalid"}}}
	}
	switch {
	case f.Event != "" && f.Event != string(build.EventFailed):
		return f, problem.BadField("event", "enum", "The event must be %s", build.EventFailed)
	case strings.TrimSpace(f.BuildID) == "":
		return f, problem.Missing("build_id")
	case strings.TrimSpace(f.Reason) == "":
		return f, problem.Missing("failure_reason")
	case f.Attempt != nil && *f.Attempt < 1:
		return f, problem.BadField("attempt", "out_of_range", "Attempts are counted from 1")
	case f.Class != "" && !known(f.Class):
		return f, problem.BadField("failure_class", "enum", "One of transient, persistent, quota, stalled, timed_out, aborted, unknown")
	}
	return f, nil
}

func known(c build.Class) bool {
	for _, k := range build.Classes {
		if k == c {
			return true
		}
	}
	return false
}

// longest is how much of a reason is kept.
const longest = 8000

// failure returns f as the build takes it.
func (f Failure) failure() build.FailureIn {
	details, _ := json.Marshal(map[string]any{"ci": f.Metadata, "last_successful_state": f.LastSuccessful, "timestamp": f.Timestamp})
	return build.FailureIn{StateCode: f.CurrentState, ErrorMessage: strings.ToValidUTF8(f.Reason[:min(len(f.Reason), longest)], ""), ErrorCode: f.Code,
		FailureClass: string(f.Class), Component: f.Metadata.Platform, ErrorDetails: details, Attempt: f.Attempt}
}

// identity tells f from other failures, however often and with whatever signature
// it is sent: the job, the attempt and the state. A body that names no job is
// known by its bytes, if it says when it happened. "" for neither.
func (f Failure) identity(body []byte) string {
	m, attempt := f.Metadata, ""
	if f.Attempt != nil {
		attempt = strconv.Itoa(*f.Attempt)
	}
	number := ""
	if m.BuildNumber != nil {
		number = fmt.Sprint(m.BuildNumber)
	}
	state, _ := json.Marshal(f.CurrentState) // a number or a word
	parts := [][]byte{[]byte(m.Platform), []byte(m.Job), []byte(number), []byte(attempt), state}
	switch {
	case m.Job != "" && number != "":
	case f.Timestamp != nil:
		parts = [][]byte{body}
	default:
		return ""
	}
	sum := sha256.Sum256(bytes.Join(parts, []byte{0}))
	return hex.EncodeToString(sum[:])
}

// claim returns the attempt that f belongs to.
func (f Failure) claim() auth.Claim {
	if f.Attempt == nil {
		return auth.Claim{}
	}
	return auth.Claim{Attempt: *f.Attempt}
}

// A Store records failures.
type Store interface {
	// ChangeSigned is build.Store.ChangeBuild for a request with this
	// signature. What has the identity of an earlier one ("" for none) changes
	// nothing: then the entry is empty. A second one with the same signature is
	// Unauthorized, in the ten minutes in which it would still be fresh.
	ChangeSigned(ctx context.Context, ref, signature, identity string, f build.Change) (*build.Build, build.Entry, error)
}

// verify checks the signature under any of the secrets: there are two while one
// is being replaced.
func verify(secrets []string, header string, now time.Time, body []byte) (string, error) {
	if len(secrets) == 0 {
		return "", problem.New(problem.Unauthorized, "No secret for webhooks is configured here; set WEBHOOK_SECRET.")
	}
	var err error
	for _, s := range secrets {
		var sig string
		if sig, err = outbound.Verify(s, header, now, body); err == nil {
			return sig, nil
		}
	}
	return "", problem.New(problem.Unauthorized, "The webhook is refused: %s. Send %s: t=UNIX,v1=HEX.", err, outbound.SignatureHeader)
}
