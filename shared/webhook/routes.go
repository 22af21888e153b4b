package webhook

import (
	"context"
	"fmt"
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
	Jobs    Jobs
	Topics  *Topics                                 // of SNS
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
	api.Handle(a, notice("webhook-github", "/webhooks/github", "GitHub", exampleGitHub), s.github)
	api.Handle(a, notice("webhook-gitlab", "/webhooks/gitlab", "GitLab", exampleGitLab), s.gitlab)
	sns := notice("webhook-sns", "/webhooks/sns", "AWS", exampleSNS)
	sns.Summary, sns.Description = "What a topic of SNS says of builds", snsDoc
	sns.Problems = []problem.Kind{problem.Unauthorized, problem.NotFound, problem.Refused, problem.StaleAttempt}
	api.Handle(a, sns, s.sns)
}

// A NoticeAnswer says what became of a notice.
type NoticeAnswer struct {
	Jobs   []Told `json:"jobs" doc:"The registered jobs it is about."`
	Reason string `json:"reason" doc:"Why nothing changed, when nothing did."`
}

type noticeOut struct{ Body NoticeAnswer }

const noticeDoc = "The webhook that %s itself sends, with the secret of WEBHOOK_SECRET. The job is found by its record (POST /builds/{id}/jobs: job_url or job_id), and gets the status. " +
	"When it has died while its build was being worked on, the build fails; that a job succeeded completes no build. It may be sent again: once told, it changes nothing."

func notice(id, path, vendor string, event any) api.Op {
	return api.Op{ID: id, Method: http.MethodPost, Path: path, Scope: auth.Public, Raw: true, Tag: "Webhooks", Summary: "What " + vendor + " says of its jobs",
		Description: fmt.Sprintf(noticeDoc, vendor), Problems: []problem.Kind{problem.Unauthorized}, Request: event,
		Answer: NoticeAnswer{Jobs: []Told{{BuildID: exampleOut.BuildID, JobID: "018d64e2-7c31-7e5a-9b74-3f4e5d6c7b8b", Job: build.JobFailed, Status: build.Failed, Failed: true}}}}
}

var (
	exampleGitHub = map[string]any{"action": "completed", "repository": map[string]any{"full_name": "acme/images", "html_url": "https://github.com/acme/images"},
		"workflow_job": map[string]any{"id": 400, "run_id": 30, "run_attempt": 1, "name": "build", "status": "completed", "conclusion": "failure", "html_url": "https://github.com/acme/images/actions/runs/30/job/400"}}
	exampleGitLab = map[string]any{"object_kind": "build", "build_id": 1977, "build_name": "image", "build_status": "failed", "build_failure_reason": "runner_system_failure", "pipeline_id": 2366,
		"project": map[string]any{"web_url": "https://gitlab.com/acme/images"}}
)

type githubIn struct {
	Signature string `header:"X-Hub-Signature-256" maxLength:"200"`
	Event     string `header:"X-GitHub-Event" maxLength:"100"`
	RawBody   []byte `contentType:"application/json"`
}

func (s *Service) github(ctx context.Context, in *githubIn) (*noticeOut, error) {
	secrets, err := s.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	if err := signedByGitHub(secrets, in.Signature, in.RawBody); err != nil {
		return nil, err
	}
	n, about, err := ofGitHub(in.Event, in.RawBody)
	return s.tell(ctx, n, about, err)
}

type gitlabIn struct {
	Token   string `header:"X-Gitlab-Token" maxLength:"1000"`
	RawBody []byte `contentType:"application/json"`
}

func (s *Service) gitlab(ctx context.Context, in *gitlabIn) (*noticeOut, error) {
	secrets, err := s.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	if err := signedByGitLab(secrets, in.Token); err != nil {
		return nil, err
	}
	n, about, err := ofGitLab(in.RawBody)
	return s.tell(ctx, n, about, err)
}

// tell hands n on. What is about no job, or about none that is known, is taken
// all the same: a CI gives up a webhook that is refused too often.
func (s *Service) tell(ctx context.Context, n Notice, about bool, err error) (*noticeOut, error) {
	if err != nil {
		return nil, err
	}
	out := NoticeAnswer{Jobs: []Told{}, Reason: "This event says nothing of a job."}
	if about {
		ctx = auth.WithRequest(ctx, &auth.Request{ID: auth.RequestOf(ctx).ID, Caller: &auth.Caller{Username: n.Platform, Credential: "webhook"}})
		told, err := s.Jobs.Tell(ctx, n)
		if err != nil {
			return nil, err
		}
		out.Jobs, out.Reason = append(out.Jobs, told...), ""
		if len(told) == 0 {
			out.Reason = "No build has registered this job; register it with POST /builds/{id}/jobs and its job_url."
		} else if _, known := build.ParseWord(n.Word); !known {
			out.Reason = build.Misunderstood(n.Word, "it changes nothing.")
		}
	}
	return &noticeOut{out}, nil
}

const snsDoc = "A message that Amazon SNS signed, of a topic whose name begins with " + TopicPrefix + " in an account that WEBHOOK_ACCOUNTS names; a subscription is confirmed. " +
	"It holds a failure as POST /webhooks/build-failure takes it, an event of EC2 Image Builder or CodeBuild (the job is found by its record), or an alarm of CloudWatch with the dimension build_id. It may be sent again."

var exampleSNS = map[string]any{"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:bldst-builds",
	"Message":   `{"event":"build.failed","build_id":"0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3d","failure_reason":"ansible: exit status 2"}`,
	"Timestamp": "2026-01-02T03:04:05.000Z", "SignatureVersion": "2", "Signature": "EXAMPLE", "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123.pem"}

type snsIn struct {
	RawBody []byte `contentType:"application/json"`
}

// sns believes nothing of a message before its signature.
func (s *Service) sns(ctx context.Context, in *snsIn) (*noticeOut, error) {
	e, err := s.Topics.open(ctx, in.RawBody, s.Now())
	switch {
	case err != nil:
		return nil, err
	case e.Type == subscribed:
		return &noticeOut{NoticeAnswer{Jobs: []Told{}, Reason: "The subscription is confirmed."}}, s.Topics.confirm(ctx, e)
	case e.Type == unsubscribed:
		return s.tell(ctx, Notice{}, false, nil)
	}
	c, err := contentOf([]byte(e.Message))
	if err != nil || c.failure == nil {
		n, about := Notice{}, c.notice != nil
		if about {
			n = *c.notice
		}
		return s.tell(ctx, n, about, err)
	}
	for _, w := range c.warn {
		api.Warn(ctx, w)
	}
	identity := c.failure.identity([]byte(e.Message))
	if identity == "" {
		identity = e.identity()
	}
	b, entry, err := s.record(ctx, *c.failure, "sns", e.identity(), identity)
	if err != nil {
		return nil, err
	}
	known := entry.Seq == 0
	return &noticeOut{NoticeAnswer{Jobs: []Told{{BuildID: b.ID, Status: b.Status, Failed: !known, Known: known}}}}, nil
}

// record fails the build of f, once.
func (s *Service) record(ctx context.Context, f Failure, by, signature, identity string) (*build.Build, build.Entry, error) {
	ctx = auth.WithRequest(ctx, &auth.Request{ID: auth.RequestOf(ctx).ID, Caller: &auth.Caller{Username: by, Credential: "webhook"}})
	return s.Store.ChangeSigned(ctx, f.BuildID, signature, identity, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		if err := b.Fence(f.claim(), now); err != nil {
			return build.Entry{}, err
		}
		return b.Fail(f.failure(), rules, now)
	})
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
	b, entry, err := s.record(ctx, f, "webhook", signature, f.identity(in.RawBody))
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		api.Warn(ctx, w)
	}
	return api.Rev(b.Rev, WebhookAnswer{BuildID: b.ID, CurrentState: b.Current, Status: b.Status, FailureClass: b.FailureClass, Attempt: b.Attempt, Revision: b.Rev, Known: entry.Seq == 0}), nil
}
