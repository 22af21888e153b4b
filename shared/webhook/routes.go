package webhook

import (
	"context"
	"net/http"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/problem"
)

// A Service serves the webhooks.
type Service struct {
	Store   Store
	Secrets func(context.Context) ([]string, error) // that sign; without any every webhook is refused
	Now     func() time.Time
}

const doc = "Signed: Bldst-Signature: t=UNIX,v1=HEX, where HEX is the HMAC-SHA256 of \"UNIX.BODY\" under WEBHOOK_SECRET. " +
	"A signature is good for five minutes and for one request. The failure of one job, attempt and state counts once, however often it is sent."

var (
	exampleIn = map[string]any{"event": "build.failed", "build_id": "0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3d", "current_state": 35, "last_successful_state": 30,
		"failure_reason": "ansible: exit status 2", "timestamp": "2026-01-02T03:04:05Z",
		"metadata": map[string]any{"ci_platform": "jenkins", "pipeline": "rhel-9", "job": "images/rhel-9", "build_number": "117"}}
	exampleOut = WebhookAnswer{BuildID: "0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3d", CurrentState: 35, Status: build.Failed, FailureClass: build.Persistent, Attempt: 1, Revision: 8}
)

// Mount adds the endpoint.
func (s *Service) Mount(a *api.API) {
	api.Handle(a, api.Op{ID: "webhook-build-failure", Method: http.MethodPost, Path: "/webhooks/build-failure", Scope: auth.Public, Raw: true, Tag: "Webhooks",
		Summary: "Report from a CI that a build failed", Description: doc,
		Problems: []problem.Kind{problem.Unauthorized, problem.NotFound, problem.Refused, problem.StaleAttempt}, Request: exampleIn, Answer: exampleOut}, s.failed)
}

type failedIn struct {
	Signature string `header:"Bldst-Signature" maxLength:"1000"`
	RawBody   []byte `contentType:"application/json"`
}

// A WebhookAnswer says what became of the build.
type WebhookAnswer struct {
	BuildID      string       `json:"build_id"`
	CurrentState int          `json:"current_state"`
	Status       build.Status `json:"status"`
	FailureClass build.Class  `json:"failure_class"`
	Attempt      int          `json:"attempt"`
	Revision     int64        `json:"revision"`
	Known        bool         `json:"known" doc:"The failure was told before; this changed nothing."`
}

// failed looks at nothing of the body before its signature.
func (s *Service) failed(ctx context.Context, in *failedIn) (*api.Object[WebhookAnswer], error) {
	secrets, err := s.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	signature, err := verify(secrets, in.Signature, s.Now(), in.RawBody)
	if err != nil {
		return nil, err
	}
	f, warnings, err := parse(in.RawBody)
	if err != nil {
		return nil, err
	}
	ctx = auth.WithRequest(ctx, &auth.Request{ID: auth.RequestOf(ctx).ID, Caller: &auth.Caller{Username: "webhook", Credential: "webhook"}})
	b, entry, err := s.Store.ChangeSigned(ctx, f.BuildID, signature, f.identity(in.RawBody), func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		if err := b.Fence(f.claim(), now); err != nil {
			return build.Entry{}, err
		}
		return b.Fail(f.failure(), rules, now)
	})
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		api.Warn(ctx, w)
	}
	return api.Rev(b.Rev, WebhookAnswer{BuildID: b.ID, CurrentState: b.Current, Status: b.Status, FailureClass: b.FailureClass, Attempt: b.Attempt, Revision: b.Rev, Known: entry.Seq == 0}), nil
}
