package step

import (
	"context"
	"net/http"
	"strconv"

	"bldst/cli/step/spool"
	"bldst/shared/client"
	"bldst/shared/problem"
)

// A Result is what became of a step.
type Result struct {
	BuildID string `json:"build_id"` // "" while the API was not reached
	Attempt int    `json:"attempt"`
	Skipped bool   `json:"skipped"`
}

// Preview asks what a worker on this machine would have to do before it begins
// with the state next: the answer of POST /builds/{id}/resume-plan, nil when there
// is no such build. Nothing is changed. Of o it takes Client, API, Root and Build.
func Preview(ctx context.Context, o Options, next int, prints map[int]string) (*client.Response, error) {
	kept := load(spool.Open(o.Root, o.API, o.Build)).kept()
	texts := map[string]string{}
	for code, p := range prints {
		texts[strconv.Itoa(code)] = p
	}
	r, err := o.Client.Send(ctx, client.Request{Method: http.MethodPost, Path: client.Path("builds", o.Build, "resume-plan"),
		Header: http.Header{"Prefer": {"handling=strict"}}, Body: map[string]any{"next_state": next, "kept_attempt": kept, "fingerprints": texts}})
	if problem.Is(err, problem.NotFound) {
		return nil, nil //nolint:nilnil // there is none yet, which is an answer
	}
	return r, err
}
