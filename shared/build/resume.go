package build

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"bldst/shared/api"
	"bldst/shared/problem"
)

// A Request is a resume that was asked for: the attempt it opened, and how the
// job that carries it out is doing. The row in the table is its JSON.
type Request struct {
	ID           string          `json:"id"`
	RequestID    string          `json:"resume_request_id" doc:"Same as id."`
	BuildID      string          `json:"build_id"`
	Attempt      int             `json:"attempt" doc:"The attempt of the build it opened."`
	From         int             `json:"resume_from_state"`
	Asked        int             `json:"requested_from_state" doc:"What was asked for; the resume begins earlier when the plan says it must."`
	To           *int            `json:"resume_to_state" doc:"null: to the end."`
	Targets      []string        `json:"resume_targets" doc:"Of resume_from_state, what is still to be done; null: all of it."`
	Reason       *string         `json:"resume_reason"`
	RequestedBy  string          `json:"requested_by"`
	Source       string          `json:"request_source"`
	Strategy     Strategy        `json:"strategy"`
	Forced       bool            `json:"force"`
	Metadata     json.RawMessage `json:"metadata"`
	Config       json.RawMessage `json:"orchestration_config"`
	JobID        *string         `json:"orchestration_job_id"`
	JobURL       *string         `json:"orchestration_job_url"`
	Status       RequestStatus   `json:"orchestration_status" enum:"pending,triggered,running,completed,failed"`
	TriggeredAt  *time.Time      `json:"triggered_at"`
	CompletedAt  *time.Time      `json:"completed_at"`
	ErrorMessage *string         `json:"error_message"`
	CreatedAt    time.Time       `json:"created_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
	Rev          int64           `json:"-"`
}

// A RequestStatus says how a resume is going.
type RequestStatus string

// The statuses of resume requests. After completed and failed nothing follows.
const (
	RequestPending   RequestStatus = "pending"   // nobody works on it yet
	RequestTriggered RequestStatus = "triggered" // a job was started
	RequestRunning   RequestStatus = "running"   // a worker has reported
	RequestCompleted RequestStatus = "completed"
	RequestFailed    RequestStatus = "failed"
)

// requestWords are what callers call the statuses.
var requestWords = map[string]RequestStatus{
	"pending": RequestPending, "triggered": RequestTriggered, "running": RequestRunning, "in_progress": RequestRunning,
	"completed": RequestCompleted, "success": RequestCompleted, "failed": RequestFailed, "error": RequestFailed,
}

// Closed reports whether nothing may follow s.
func (s RequestStatus) Closed() bool { return s == RequestCompleted || s == RequestFailed }

// move sets the status of r, and the times that go with it unless they are
// known.
func (r *Request) move(s RequestStatus, now time.Time) {
	r.Status, r.UpdatedAt = s, now
	if s != RequestPending && r.TriggeredAt == nil {
		r.TriggeredAt = &now
	}
	if s.Closed() && r.CompletedAt == nil {
		r.CompletedAt = &now
	}
}

// Follow brings r to where the build says its resume is.
func (r *Request) Follow(s ResumeState, now time.Time) {
	r.move(s.Status, now)
	if s.Error != "" && r.ErrorMessage == nil {
		r.ErrorMessage = &s.Error
	}
}

// Record is r as it goes into the history: without what the caller attached.
func (r *Request) Record() any {
	c := *r
	c.Metadata, c.Config = nil, nil
	return c
}

// A ResumeState is what a build knows of its newest resume request.
type ResumeState struct {
	ID       string        `json:"id"`
	From     int           `json:"from"`
	To       *int          `json:"to,omitempty"`
	Status   RequestStatus `json:"status"`
	Reported bool          `json:"reported,omitempty"` // a worker has reported since
	Error    string        `json:"error,omitempty"`
}

// Open reports whether the resume is not over; a nil one is.
func (s *ResumeState) Open() bool { return s != nil && !s.Status.Closed() }

// followResume notes for the open resume of b, if there is one, that at was
// reported to go as how, after that was applied to b: the first report sets it
// running; it ends with the attempt, or where it was to end.
func (b *Build) followResume(at int, how Status) {
	if !b.Resume.Open() {
		return
	}
	r := *b.Resume
	switch {
	case b.Status == Completed, r.To != nil && how == Completed && at >= *r.To:
		r.Status = RequestCompleted
	case b.Status == Failed:
		r.Status, r.Error = RequestFailed, clipText(b.Message)
	case b.Status == Cancelled:
		r.Status, r.Error = RequestFailed, "The build was cancelled."
	default:
		r.Status = RequestRunning
	}
	r.Reported = true
	b.Resume = &r
}

// clipText keeps a message within what a row should carry.
func clipText(s string) string {
	const most = 1000
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + " ..."
}

// A ResumeIn is the body of POST /builds/{id}/resume.
type ResumeIn struct {
	From         *int              `json:"resume_from_state,omitempty" doc:"The first state to run. Default: that of the plan."`
	To           *int              `json:"resume_to_state,omitempty" doc:"The last state to run; default: to the end."`
	Reason       *string           `json:"resume_reason,omitempty" maxLength:"2000"`
	RequestedBy  string            `json:"requested_by,omitempty" maxLength:"200" doc:"Default: the caller."`
	Source       string            `json:"request_source,omitempty" maxLength:"50" doc:"api (the default), webhook, cli, auto ..."`
	Metadata     json.RawMessage   `json:"metadata,omitempty" doc:"An object."`
	Config       json.RawMessage   `json:"orchestration_config,omitempty" doc:"An object: platform, pipeline, job ..."`
	Fingerprints map[string]string `json:"fingerprints,omitempty" doc:"Of the inputs of states, by code, as they are now: the resume begins at the first state that was completed with another one."`
	Force        bool              `json:"force,omitempty" doc:"Although the plan advises against it. Not for completed builds, for those that are being resumed, and for cancelled ones without a checkpoint."`
	TakeOver     bool              `json:"take_over,omitempty" doc:"Although a worker holds the build, or another resume of it is not over: that one is replaced."`
	Claimed
}

// check refuses what makes no sense whatever the build.
func (in *ResumeIn) check() error {
	switch {
	case in.From != nil && *in.From < FirstState:
		return problem.New(problem.Refused, "resume_from_state must be >= 0")
	case in.From != nil && *in.From > LastState:
		return problem.New(problem.Refused, "resume_from_state must be <= %d", LastState)
	case in.To != nil && in.From != nil && *in.To <= *in.From:
		return problem.New(problem.Refused, "resume_to_state must be greater than resume_from_state")
	case in.To != nil && *in.To > LastState:
		return problem.New(problem.Refused, "resume_to_state must be <= %d", LastState)
	}
	return nil
}

// Request opens the next attempt of the build of m for the resume in asks for,
// and returns its request. It is refused with the reason of the plan, unless
// force may pass over it.
func (in ResumeIn) Request(m *Materials, id string) (*Request, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	prints, err := fingerprints(in.Fingerprints)
	if err != nil {
		return nil, err
	}
	b, plan := m.Build, newPlan(m, in.From, prints, in.TakeOver)
	forced := !plan.Resumable
	if forced && (!in.Force || m.unforceable(plan.Reason)) {
		return nil, problem.New(problem.Kind(plan.Reason), "%s", plan.Detail)
	}
	if in.From == nil {
		in.From = &plan.From
	}
	if in.To != nil && *in.To <= plan.From {
		return nil, problem.New(problem.Refused, "resume_to_state must be greater than resume_from_state, which is %d", plan.From)
	}
	r := &Request{ID: id, RequestID: id, BuildID: b.ID, From: plan.From, Asked: *in.From, To: in.To, Targets: plan.Targets, Reason: in.Reason, RequestedBy: in.RequestedBy,
		Source: either(in.Source, "api"), Strategy: plan.Strategy, Forced: forced, Status: RequestPending, CreatedAt: m.Now, UpdatedAt: m.Now}
	if r.Metadata, err = object("metadata", in.Metadata); err != nil {
		return nil, err
	}
	if r.Config, err = object("orchestration_config", in.Config); err != nil {
		return nil, err
	}
	b.resume(r, m.Rules, m.Now)
	return r, nil
}

// unforceable reports whether nobody can pass over the reason: a cancelled build
// goes on only from a checkpoint that is still there.
func (m *Materials) unforceable(r Reason) bool {
	switch problem.Kind(r) {
	case problem.BuildCompleted, problem.ResumeInProgress:
		return true
	case problem.BuildCancelled:
		return !slices.ContainsFunc(m.Artifacts, func(a *Artifact) bool { return a.Resumable && a.Usable(m.Now) })
	}
	return false
}

// resume opens the next attempt of b for r. The worker so far, if there is
// one, is replaced from here on; the new one has the limit of the state to
// report.
func (b *Build) resume(r *Request, rules Rules, now time.Time) {
	if b.Status.Active() {
		b.breakOff()
		b.Cancelling = false
	} else {
		b.reopen()
	}
	b.go_(InProgress, now)
	b.watch(rules, now)
	r.Attempt = b.Attempt
	b.Resume = &ResumeState{ID: r.ID, From: r.From, To: r.To, Status: r.Status}
}

// fingerprints reads the codes in front of fingerprints.
func fingerprints(in map[string]string) (map[int]string, error) {
	out := make(map[int]string, len(in))
	for word, print := range in {
		code, err := strconv.Atoi(word)
		if err != nil || code < FirstState || code > LastState {
			return nil, problem.BadField("fingerprints", "value_error", "'%s' is not a state code from 0 to 100", clipText(word))
		}
		out[code] = print
	}
	return out, nil
}

// A RequestPatch is the body of PATCH /resume-requests/{rid}: any subset.
type RequestPatch struct {
	JobID        *string   `json:"orchestration_job_id,omitempty" maxLength:"300"`
	JobURL       *string   `json:"orchestration_job_url,omitempty" maxLength:"2000"`
	Status       string    `json:"orchestration_status,omitempty" maxLength:"50" doc:"pending, triggered, running, completed or failed. A resume that failed before a worker has reported fails the build again."`
	TriggeredAt  *api.Time `json:"triggered_at,omitempty"`
	CompletedAt  *api.Time `json:"completed_at,omitempty"`
	ErrorMessage *string   `json:"error_message,omitempty" doc:"The middle of one longer than 4000 characters is left out."`
	Claimed
}

// Apply changes r, and the build b it belongs to when that ends its resume.
func (p RequestPatch) Apply(r *Request, b *Build, rules Rules, now time.Time) error {
	setTime(&r.TriggeredAt, p.TriggeredAt)
	setTime(&r.CompletedAt, p.CompletedAt)
	for _, f := range []struct {
		to   **string
		from *string
	}{{&r.JobID, p.JobID}, {&r.JobURL, p.JobURL}, {&r.ErrorMessage, cutText(p.ErrorMessage)}} {
		if f.from != nil {
			*f.to = f.from
		}
	}
	r.UpdatedAt = now
	if p.Status == "" {
		return nil
	}
	status, known := requestWords[strings.ToLower(p.Status)]
	if !known {
		return problem.BadField("orchestration_status", "enum", "One of pending, triggered, running, completed, failed")
	}
	if r.Status.Closed() && status != r.Status {
		return problem.New(problem.Refused, "Resume request %s is %s.", r.ID, r.Status)
	}
	r.move(status, now)
	return b.resumeMoved(r, rules, now)
}

// resumeMoved notes in b that somebody says its resume r is as it is now. When
// it has failed before any worker reported, nobody works on b: it has failed
// again.
func (b *Build) resumeMoved(r *Request, rules Rules, now time.Time) error {
	if !b.Resume.Open() || b.Resume.ID != r.ID {
		return nil
	}
	s := *b.Resume
	s.Status = r.Status
	b.Resume = &s
	if s.Status != RequestFailed || s.Reported || b.Status != InProgress {
		return nil
	}
	why := "The resume failed before a worker reported."
	if r.ErrorMessage != nil {
		why = *r.ErrorMessage
	}
	_, err := b.Fail(FailureIn{ErrorMessage: why}, rules, now)
	return err
}

// A Context is the answer of GET /builds/{id}/resume-context: everything a
// worker needs to go on with a build.
type Context struct {
	BuildID        string            `json:"build_id"`
	BuildNumber    string            `json:"build_number"`
	Attempt        int               `json:"attempt" doc:"To report with."`
	CurrentState   int               `json:"current_state"`
	LastSuccessful *int              `json:"last_successful_state" doc:"The state completed last."`
	FailedState    *int              `json:"failed_state" doc:"Where the build failed last, until it gets past that."`
	ResumeFrom     int               `json:"resume_from_state" doc:"The failed state, else the current one, or what comes after it once that is completed."`
	Targets        []string          `json:"resume_targets" doc:"Of resume_from_state, what is still to be done; null: all of it."`
	RequestedFrom  *int              `json:"requested_from_state" doc:"Where the open resume request begins."`
	RequestID      *string           `json:"resume_request_id" doc:"The open resume request."`
	Artifacts      []*Artifact       `json:"artifacts" doc:"Those a resume may restore, by state."`
	Variables      map[string]string `json:"variables"`
	Config         *ResumeConfig     `json:"resumable_state_config" doc:"Of resume_from_state."`
}

// NewContext returns the resume context of the build of m.
func NewContext(m *Materials) Context {
	b := m.Build
	c := Context{BuildID: b.ID, BuildNumber: b.Number, Attempt: b.Attempt, CurrentState: b.Current, LastSuccessful: b.LastCompleted,
		FailedState: b.failedAt(), ResumeFrom: b.next(), Artifacts: []*Artifact{}, Variables: dict(m.Variables)}
	if c.FailedState != nil {
		c.ResumeFrom = *c.FailedState
	}
	c.Targets = b.Tail(c.ResumeFrom)
	if b.Resume.Open() {
		c.RequestedFrom, c.RequestID = &b.Resume.From, &b.Resume.ID
	}
	for _, a := range m.Artifacts {
		if a.Resumable && a.Usable(m.Now) {
			c.Artifacts = append(c.Artifacts, a)
		}
	}
	c.Config = m.Rules.ResumeConfig(c.ResumeFrom)
	return c
}

// failedAt returns where b failed last, as long as no later attempt has got
// past that; nil when it did not.
func (b *Build) failedAt() *int {
	if b.FailedState != nil {
		return b.FailedState
	}
	return b.Recovering
}

// Materials are everything that decides how a build can be resumed.
type Materials struct {
	Build     *Build
	Rules     Rules
	Now       time.Time
	Artifacts []*Artifact // not deleted, by state and age
	Variables []*Variable // by key
	Breaker   *Breaker    // of its image line, nil when it never failed
	Typical   Typical     // how long the states of its project take
}

// A ResumeStore keeps resume requests and reads what decides about them. ref
// is the id or number of the build, which must exist (NotFound "Build REF not
// found").
type ResumeStore interface {
	WorkerStore
	// Materials reads what there is to resume a build with. Sensitive values
	// are masked, unless reveal is true: then the history names their keys
	// before they are returned.
	Materials(ctx context.Context, ref string, reveal bool) (*Materials, error)
	// AddRequest stores the request f makes of the materials under the id it
	// is given, and the build as f leaves it, in one transaction.
	AddRequest(ctx context.Context, ref string, f func(m *Materials, id string) (*Request, error)) (*Request, error)
	// Requests returns a page of the requests of a build, newest first.
	Requests(ctx context.Context, ref string, q PageQuery) ([]*Request, string, error)
	// Request returns one request, of any build when ref is "". NotFound
	// "Resume request X not found".
	Request(ctx context.Context, ref, id string) (*Request, error)
	// ChangeRequest lets f change a request and its build, and stores both.
	ChangeRequest(ctx context.Context, ref, id string, f func(r *Request, b *Build, rules Rules, now time.Time) error) (*Request, error)
}
