package build

import (
	"context"
	"net/http"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// mountWorker adds the endpoints of workers.
func (s *ResumeService) mountWorker(a *api.API) {
	changed := []problem.Kind{problem.NotFound, problem.Refused, problem.Conflict, problem.StaleAttempt, problem.Leased}
	api.Handle(a, api.Op{ID: "heartbeat", Method: http.MethodPost, Path: "/builds/{id}/heartbeat", Scope: auth.Write, Tag: tag,
		Summary: "Say that the worker of a build is alive", Description: "Changes nothing of the build. The answer says until when the next one must come, and whether the worker is asked to stop.",
		Problems: changed, Request: map[string]any{"attempt": 1, "worker": "runner-7", "progress": 60}, Answer: exampleBeat}, s.heartbeat)
	api.Handle(a, api.Op{ID: "cancel-build", Method: http.MethodPost, Path: "/builds/{id}/cancel", Scope: auth.Write, Tag: tag, Also: http.StatusAccepted,
		Summary: "Cancel a build", Description: "200 when it is cancelled. 202 while its worker is alive and was asked to stop; the build is cancelled when the worker reports so, or when it falls silent.",
		Problems: append(changed, problem.PreconditionFailed), Request: map[string]any{"reason": "superseded"}, Answer: exampleBuild.View()}, s.cancel)
}

// A HeartbeatAnswer tells a worker how it stands.
type HeartbeatAnswer struct {
	Attempt         int       `json:"attempt"`
	Revision        int64     `json:"revision" doc:"Of the build."`
	LeaseUntil      time.Time `json:"lease_until" doc:"The next heartbeat must come before."`
	CancelRequested bool      `json:"cancel_requested" doc:"Stop, clean up, and report the status cancelled."`
}

type heartbeatIn struct {
	Ref
	Body *HeartbeatIn
}

type heartbeatOut struct{ Body HeartbeatAnswer }

func (s *ResumeService) heartbeat(ctx context.Context, in *heartbeatIn) (*heartbeatOut, error) {
	var body HeartbeatIn
	if in.Body != nil {
		body = *in.Body
	}
	b, err := s.beat(ctx, in.ID, body)
	if err != nil {
		return nil, err
	}
	return &heartbeatOut{HeartbeatAnswer{Attempt: b.Attempt, Revision: b.Rev, LeaseUntil: b.Lease.Until, CancelRequested: b.Cancelling}}, nil
}

// beat renews the lease of a worker. One that takes the build over changes it:
// the next attempt begins.
func (s *ResumeService) beat(ctx context.Context, ref string, body HeartbeatIn) (*Build, error) {
	user, _ := auth.Actor(ctx)
	if !body.TakeOver {
		return s.Store.Beat(ctx, ref, func(b *Build, rules Rules, now time.Time) (*Lease, error) { return b.Beat(body, user, rules, now) })
	}
	b, _, err := s.Store.ChangeBuild(ctx, ref, func(b *Build, rules Rules, now time.Time) (Entry, error) { return b.TakeOver(body, user, rules, now) })
	return b, err
}

type cancelIn struct {
	Ref
	api.Match
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"2000"`
		Claimed
	}
}

func (s *ResumeService) cancel(ctx context.Context, in *cancelIn) (*createOut, error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	b, _, err := s.Store.ChangeBuild(ctx, in.ID, func(b *Build, _ Rules, now time.Time) (Entry, error) {
		if err := in.Check(b.Rev); err != nil {
			return Entry{}, err
		}
		return b.Cancel(reason, now)
	})
	if err != nil {
		return nil, err
	}
	out := &createOut{Status: http.StatusOK, ETag: api.ETag(b.Rev), Body: b.View()}
	if b.Status != Cancelled {
		out.Status = http.StatusAccepted
	}
	return out, nil
}
