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

// A Failure is the body of POST /webhooks/build-failure. It is not lost for
// what is only kept of it: build and reason must be there, where it failed,
// whose attempt it was and the class must be what they are.
type Failure struct {
	Event          string          `json:"event,omitempty" enum:"build.failed"`
	BuildID        string          `json:"build_id" required:"true" minLength:"1" maxLength:"200" doc:"Id or number."`
	CurrentState   api.IntOrString `json:"current_state,omitzero" doc:"Where it failed; default: where the build is."`
	LastSuccessful *int            `json:"last_successful_state,omitempty" doc:"What the CI believes; kept with the failure."`
	Reason         string          `json:"failure_reason" required:"true" minLength:"1"`
	Timestamp      *api.Time       `json:"timestamp,omitempty"`
	Attempt        *int            `json:"attempt,omitempty" minimum:"1" maximum:"1000000" doc:"The attempt the job belonged to."`
	Code           string          `json:"error_code,omitempty" maxLength:"200"`
	Class          build.Class     `json:"failure_class,omitempty" enum:"transient,persistent,quota,stalled,timed_out,aborted,unknown"`
	Metadata       json.RawMessage `json:"metadata,omitempty" doc:"Which job it was: ci_platform, pipeline, job, build_number ..."`
	unread         map[string]string
}

// Ornaments implements api.Keeper.
func (f *Failure) Ornaments() []string {
	return []string{"last_successful_state", "timestamp", "error_code"}
}

// Keep implements api.Keeper.
func (f *Failure) Keep(unread map[string]string) bool {
	f.unread = unread
	return true
}

// parse reads a body whose signature was checked. It returns what the caller is
// to be warned of.
func parse(body []byte) (Failure, []string, error) {
	f, warnings, err := api.Decode[Failure](body)
	switch {
	case err != nil:
		return f, nil, err
	case strings.TrimSpace(f.BuildID) == "":
		return f, nil, problem.Missing("build_id")
	case strings.TrimSpace(f.Reason) == "":
		return f, nil, problem.Missing("failure_reason")
	}
	if note := build.CutNote("failure_reason", f.Reason, build.MaxFailureText); note != "" {
		warnings = append(warnings, note)
	}
	if len(f.Metadata) > build.MaxMetadata/2 {
		f.Metadata = nil
		warnings = append(warnings, "The field 'metadata' is too large and was not kept")
	}
	return f, warnings, nil
}

// failure returns f as the build takes it.
func (f Failure) failure() build.FailureIn {
	details, _ := json.Marshal(map[string]any{"ci": f.Metadata, "last_successful_state": f.LastSuccessful, "timestamp": f.Timestamp.At()})
	in := build.FailureIn{StateCode: f.CurrentState, ErrorMessage: f.Reason, ErrorCode: f.Code,
		FailureClass: string(f.Class), Component: f.job().Platform, ErrorDetails: details, Attempt: f.Attempt}
	in.Keep(f.unread)
	return in
}

// A Job is what the metadata says of the job that failed.
type Job struct {
	Platform    string `json:"ci_platform"`
	Job         string `json:"job"`
	BuildNumber any    `json:"build_number"`
}

// job returns what the metadata says of the job; what cannot be read of it is
// empty.
func (f Failure) job() Job {
	var j Job
	_ = json.Unmarshal(f.Metadata, &j)
	return j
}

// identity tells f from other failures, however often and with whatever signature
// it is sent: the job, the attempt and the state. A body that names no job is
// known by its bytes, if it says when it happened. "" for neither.
func (f Failure) identity(body []byte) string {
	m, attempt := f.job(), ""
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
