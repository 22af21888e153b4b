package build

import (
	"context"
	"net/http"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// A Service serves builds.
type Service struct {
	Store Store

	// How long states take in a project, and the clock, for the estimate of
	// when a running build is done; without them there is none.
	Times Times
	Now   func() time.Time
}

// Times knows how long the states of a project usually take. It remembers the
// answer for a minute.
type Times interface {
	Typical(ctx context.Context, project string) (Typical, error)
}

// eta completes the view of a running build by when it is probably done. That
// is an extra: when it cannot be told, the build is answered without it.
func (s *Service) eta(ctx context.Context, b *Build, v *View) {
	if s.Times == nil || b.Status != InProgress {
		return
	}
	if times, err := s.Times.Typical(ctx, b.ProjectID); err == nil {
		v.ETA = times.ETA(b, s.Now())
	}
}

// A Ref is the build in a path.
type Ref struct {
	ID string `path:"id" maxLength:"200" doc:"Id or build number."`
}

const tag = "Builds"

// Mount adds the endpoints of builds, their states, failures and history.
func (s *Service) Mount(a *api.API) {
	gone := []problem.Kind{problem.NotFound}
	changed := []problem.Kind{problem.NotFound, problem.Refused, problem.Conflict, problem.StaleAttempt, problem.Leased, problem.PreconditionFailed}
	api.Handle(a, api.Op{ID: "create-build", Method: http.MethodPost, Path: "/builds", Scope: auth.Write, Tag: tag, Status: http.StatusCreated, Also: http.StatusOK,
		Summary: "Start to record a build", Description: "With attach=true an existing build of the same number and references is answered with 200.",
		Problems: []problem.Kind{problem.NotFound, problem.Conflict, problem.BuildCompleted, problem.BuildCancelled}, Request: exampleCreate, Answer: exampleBuild.View()}, s.create)
	api.Handle(a, api.Op{ID: "list-builds", Method: http.MethodGet, Path: "/builds", Scope: auth.Read, Tag: tag,
		Summary: "List builds, newest first", Problems: gone, Answer: []View{exampleBuild.View()}}, s.list)
	api.Handle(a, api.Op{ID: "get-build", Method: http.MethodGet, Path: "/builds/{id}", Scope: auth.Read, Tag: tag,
		Summary: "Get a build", Problems: gone, Answer: exampleBuild.View()}, s.get)
	api.Handle(a, api.Op{ID: "update-build", Method: http.MethodPut, Path: "/builds/{id}", Scope: auth.Write, Tag: tag,
		Summary: "Change a build", Problems: changed, Request: map[string]any{"ami_id": "ami-0abc", "status": "completed"}, Answer: exampleBuild.View()}, s.update)
	api.Handle(a, api.Op{ID: "delete-build", Method: http.MethodDelete, Path: "/builds/{id}", Scope: auth.Admin, Tag: tag, Status: http.StatusNoContent,
		Summary: "Delete a build that has ended", Description: "Soft: it can be restored.", Problems: changed}, s.delete)
	api.Handle(a, api.Op{ID: "restore-build", Method: http.MethodPost, Path: "/builds/{id}/restore", Scope: auth.Admin, Tag: tag,
		Summary: "Bring a deleted build back", Problems: changed, Answer: exampleBuild.View()}, s.restore)

	api.Handle(a, api.Op{ID: "report-state", Method: http.MethodPost, Path: "/builds/{id}/state", Aliases: []string{"/builds/{id}/states"}, Scope: auth.Write, Tag: tag,
		Summary: "Report the state a build is in", Description: reportDoc, Problems: changed, Request: exampleReport, Answer: exampleState}, s.report)
	api.Handle(a, api.Op{ID: "get-state", Method: http.MethodGet, Path: "/builds/{id}/state", Scope: auth.Read, Tag: tag,
		Summary: "Get where a build is, and how it came there", Problems: gone, Answer: exampleStateView()}, s.state)
	api.Handle(a, api.Op{ID: "list-states", Method: http.MethodGet, Path: "/builds/{id}/states", Scope: auth.Read, Tag: tag,
		Summary: "List the reports of a build, oldest first", Problems: gone, Answer: []ShownState{exampleState}}, s.states)
	api.Handle(a, api.Op{ID: "report-failure", Method: http.MethodPost, Path: "/builds/{id}/failure", Aliases: []string{"/builds/{id}/failures"}, Scope: auth.Write, Tag: tag,
		Summary: "Report that a build failed", Description: "The build stays at the state where it failed and can be resumed.", Problems: changed,
		Request: exampleFailureIn, Answer: exampleFailure}, s.fail)
	api.Handle(a, api.Op{ID: "list-failures", Method: http.MethodGet, Path: "/builds/{id}/failures", Scope: auth.Read, Tag: tag,
		Summary: "List the failures of a build, oldest first", Problems: gone, Answer: []ShownFailure{exampleFailure}}, s.failures)
	api.Handle(a, api.Op{ID: "list-history", Method: http.MethodGet, Path: "/builds/{id}/history", Scope: auth.Read, Tag: tag,
		Summary: "List everything that was done to a build, oldest first", Problems: gone, Answer: []HistoryRow{exampleHistory()}}, s.history)
	api.Handle(a, api.Op{ID: "verify-history", Method: http.MethodGet, Path: "/builds/{id}/history/verify", Scope: auth.Read, Tag: tag,
		Summary: "Check the hash chain of a build's history", Problems: gone, Answer: Verdict{BuildID: exampleBuild.ID, Valid: true, Rows: 1, HeadHash: exampleHistory().Hash}}, s.verify)
}

const reportDoc = "The status is that of the state: `completed` below 100 completes the state and the build stays in progress. " +
	"The build is completed by 100, or by a code its project marks as final. `failed` fails the state and the build. " +
	"On a failed build every status but `failed` and `cancelled` begins the next attempt: that is a resume."

type createIn struct {
	Attach bool `query:"attach" doc:"Answer the existing build when number and references are the same."`
	Body   CreateIn
}

type createOut struct {
	Status int
	ETag   string `header:"ETag"`
	Body   View
}

func (s *Service) create(ctx context.Context, in *createIn) (*createOut, error) {
	c, err := in.Body.Normalise()
	if err != nil {
		return nil, err
	}
	if c.Attach = in.Attach; c.Attach && c.Number == "" {
		return nil, problem.BadField("build_number", "missing", "attach finds a build by its number; without one every call would make another build")
	}
	b, err := s.Store.CreateBuild(ctx, c)
	switch {
	case err == nil:
		return &createOut{Status: http.StatusCreated, ETag: api.ETag(b.Rev), Body: b.View()}, nil
	case b != nil && in.Attach && problem.Is(err, problem.Conflict):
		if err := b.attachable(); err != nil {
			return nil, err
		}
		return &createOut{Status: http.StatusOK, ETag: api.ETag(b.Rev), Body: b.View()}, nil
	default:
		return nil, err
	}
}

// attachable refuses a caller that wants to work on a build that has ended: it
// should hear so before it begins.
func (b *Build) attachable() error {
	switch b.Status {
	case Completed:
		return problem.New(problem.BuildCompleted, "Build '%s' is completed with id '%s'; there is nothing left to do. A new build needs another number.", b.Number, b.ID)
	case Cancelled:
		return problem.New(problem.BuildCancelled, "Build '%s' is cancelled, with id '%s'. While a checkpoint of it is there it can be resumed with force (bldst build resume %s --force); a new build needs another number.", b.Number, b.ID, b.ID)
	}
	return nil
}

type listIn struct {
	api.Page
	ProjectID  string `query:"project_id" maxLength:"200" doc:"Id or name."`
	Project    string `query:"project" maxLength:"200" doc:"Alias of project_id."`
	PlatformID string `query:"platform_id" maxLength:"200" doc:"Id or name."`
	Platform   string `query:"platform" maxLength:"200" doc:"Alias of platform_id."`
	Status     string `query:"status" maxLength:"100" doc:"pending, in_progress, completed, failed or cancelled, or an older word for it."`
	Deleted    bool   `query:"include_deactivated" doc:"Deleted builds too, after the others."`
}

func (s *Service) list(ctx context.Context, in *listIn) (*api.List[View], error) {
	f := Filter{Project: either(in.ProjectID, in.Project), Platform: either(in.PlatformID, in.Platform), Deleted: in.Deleted,
		Skip: in.Skip, Limit: in.Limit, Cursor: in.Cursor}
	if in.Status != "" {
		var known bool
		if f.Status, known = ParseStatus(in.Status); !known {
			return nil, &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"query", "status"}, Msg: "One of pending, in_progress, completed, failed, cancelled", Type: "enum"}}}
		}
	}
	bs, next, err := s.Store.Builds(ctx, f)
	if err != nil {
		return nil, err
	}
	return &api.List[View]{Link: in.Next(next), Body: views(bs)}, nil
}

type getIn struct {
	Ref
	Deleted bool `query:"include_deactivated" doc:"Also when it is deleted."`
}

func (s *Service) get(ctx context.Context, in *getIn) (*api.Object[View], error) {
	b, err := s.Store.Build(ctx, in.ID, in.Deleted)
	if err != nil {
		return nil, err
	}
	v := b.View()
	s.eta(ctx, b, &v)
	return api.Rev(b.Rev, v), nil
}

type updateIn struct {
	Ref
	api.Match
	Body UpdateIn
}

func (s *Service) update(ctx context.Context, in *updateIn) (*api.Object[View], error) {
	b, _, err := s.Store.ChangeBuild(ctx, in.ID, func(b *Build, rules Rules, now time.Time) (Entry, error) {
		if err := in.Check(b.Rev); err != nil {
			return Entry{}, err
		}
		return b.Update(in.Body, rules, now)
	})
	if err != nil {
		return nil, err
	}
	return api.Rev(b.Rev, b.View()), nil
}

type deleteIn struct {
	Ref
	api.Match
}

func (s *Service) delete(ctx context.Context, in *deleteIn) (*api.Empty, error) {
	_, _, err := s.Store.ChangeBuild(ctx, in.ID, func(b *Build, _ Rules, now time.Time) (Entry, error) {
		if err := in.Check(b.Rev); err != nil {
			return Entry{}, err
		}
		return b.Delete(now)
	})
	return nil, err
}

func (s *Service) restore(ctx context.Context, in *deleteIn) (*api.Object[View], error) {
	b, err := s.Store.Build(ctx, in.ID, true)
	if err == nil && b.DeactivatedAt != nil {
		b, err = s.Store.RestoreBuild(ctx, b.ID)
	}
	if err != nil {
		return nil, err
	}
	return api.Rev(b.Rev, b.View()), nil
}

type reportIn struct {
	Ref
	api.Match
	Body ReportIn
}

func (s *Service) report(ctx context.Context, in *reportIn) (*api.Object[StateAnswer], error) {
	in.Body.Attempt = claimed(ctx)
	var said Report
	b, entry, err := s.Store.ChangeBuild(ctx, in.ID, func(b *Build, rules Rules, now time.Time) (Entry, error) {
		if err := in.Check(b.Rev); err != nil {
			return Entry{}, err
		}
		r, err := in.Body.Normalise(b.Current, rules)
		if err != nil {
			return Entry{}, err
		}
		if len(r.Metadata)+len(r.ArtifactMetadata) > MaxMetadata {
			return Entry{}, problem.New(problem.TooLarge, "metadata is larger than %d bytes; store it elsewhere and send its address.", MaxMetadata)
		}
		entry, err := b.Advance(r, rules, now)
		if err == nil {
			entry.Artifact, err = r.artifact(b, entry.Kind, now)
		}
		said = r
		if err == nil && in.Body.Worker != "" && b.Status.Active() {
			b.lend(in.Body.Worker, rules, now)
		}
		if err == nil && in.Body.Release {
			b.release(now)
		}
		return entry, err
	})
	if err != nil {
		return nil, err
	}
	for _, w := range append(said.Warnings, said.Unclear) {
		api.Warn(ctx, w)
	}
	row, err := stateOf(entry)
	if err != nil {
		return nil, err
	}
	return api.Rev(b.Rev, StateAnswer{ShownState: row, CurrentState: b.Current, NewState: b.Current, BuildStatus: b.Status, Revision: b.Rev, CancelRequested: b.Cancelling,
		OpenTargets: b.OpenTargets(), ArtifactID: artifactID(entry.Artifact)}), nil
}

// A StateAnswer is the answer to a report: the state as it was stored, and
// what became of the build.
type StateAnswer struct {
	ShownState
	CurrentState    int    `json:"current_state"`
	NewState        int    `json:"new_state" doc:"Same as current_state."`
	BuildStatus     Status `json:"build_status"`
	Revision        int64  `json:"revision"`
	CancelRequested bool   `json:"cancel_requested"`

	OpenTargets []OpenTarget `json:"open_targets" doc:"Targets of the build that are not done; null for none."`
	ArtifactID  *string      `json:"artifact_id" doc:"The artifact that artifact_storage_path of the report stands for."`
}

type stateIn struct{ Ref }

func (s *Service) state(ctx context.Context, in *stateIn) (*api.Object[StateView], error) {
	b, rows, _, err := s.Store.History(ctx, in.ID, HistoryQuery{Kinds: []Kind{StateReported}, Newest: true, Limit: maxStates})
	if err != nil {
		return nil, err
	}
	v := StateView{BuildID: b.ID, CurrentState: b.Current, StateCode: b.Current, Status: b.Status, Message: text(b.Message), Attempt: b.Attempt,
		LastUpdated: b.UpdatedAt, LastTransition: b.UpdatedAt, TransitionedAt: b.UpdatedAt, History: make([]StateBrief, len(rows)), StateHistory: make([]ShownState, len(rows))}
	for i, r := range rows {
		row, err := rowAs(r, stateOf)
		if err != nil {
			return nil, err
		}
		v.StateHistory[i] = row
		v.History[len(rows)-1-i] = StateBrief{StateCode: row.StateCode, Status: row.Status, Timestamp: row.Timestamp, Message: row.Message, Attempt: row.Attempt}
	}
	return api.Rev(b.Rev, v), nil
}

// maxStates bounds the history inside GET /state; the rest is paged at /states.
const maxStates = 1000

// rowAs reads the entry of r with f.
func rowAs[T any](r Row, f func(Entry) (T, error)) (T, error) {
	e, err := r.Entry()
	if err != nil {
		var zero T
		return zero, err
	}
	return f(e)
}

type rowsIn struct {
	Ref
	api.Page
}

// page answers one page of the entries q wants, read with f.
func page[T any](ctx context.Context, s *Service, in *rowsIn, f func(*Build, Row) (T, error), q HistoryQuery) (*api.List[T], error) {
	q.Skip, q.Limit, q.Cursor = in.Skip, in.Limit, in.Cursor
	b, rows, next, err := s.Store.History(ctx, in.ID, q)
	if err != nil {
		return nil, err
	}
	out := &api.List[T]{Link: in.Next(next), Body: make([]T, len(rows))}
	for i, r := range rows {
		if out.Body[i], err = f(b, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) states(ctx context.Context, in *rowsIn) (*api.List[ShownState], error) {
	return page(ctx, s, in, func(_ *Build, r Row) (ShownState, error) { return rowAs(r, stateOf) }, HistoryQuery{Kinds: []Kind{StateReported}})
}

type failIn struct {
	Ref
	api.Match
	Body FailureIn
}

func (s *Service) fail(ctx context.Context, in *failIn) (*api.Object[ShownFailure], error) {
	b, entry, err := s.Store.ChangeBuild(ctx, in.ID, func(b *Build, rules Rules, now time.Time) (Entry, error) {
		if err := in.Check(b.Rev); err != nil {
			return Entry{}, err
		}
		return b.Fail(in.Body, rules, now)
	})
	if err != nil {
		return nil, err
	}
	api.Warn(ctx, CutNote("error_message", in.Body.ErrorMessage, MaxFailureText))
	row, err := failureOf(entry, b)
	if err != nil {
		return nil, err
	}
	return api.Rev(b.Rev, row), nil
}

func (s *Service) failures(ctx context.Context, in *rowsIn) (*api.List[ShownFailure], error) {
	return page(ctx, s, in, func(b *Build, r Row) (ShownFailure, error) {
		return rowAs(r, func(e Entry) (ShownFailure, error) { return failureOf(e, b) })
	}, HistoryQuery{Wanted: Entry.Failing})
}

// A HistoryRow is one row of the hash chain as callers read it.
type HistoryRow struct {
	Entry
	Hash string `json:"hash" doc:"SHA-256 over prev_hash and json, in hex."`
	Prev string `json:"prev_hash"`
	JSON string `json:"json" doc:"The bytes the hash covers."`
}

func (s *Service) history(ctx context.Context, in *rowsIn) (*api.List[HistoryRow], error) {
	return page(ctx, s, in, func(_ *Build, r Row) (HistoryRow, error) {
		e, err := r.Entry()
		return HistoryRow{Entry: e, Hash: r.Hash, Prev: r.Prev, JSON: r.JSON}, err
	}, HistoryQuery{})
}

func (s *Service) verify(ctx context.Context, in *stateIn) (*api.Object[Verdict], error) {
	var v Verifier
	var b *Build
	for q := (HistoryQuery{Limit: maxStates}); ; {
		build, rows, next, err := s.Store.History(ctx, in.ID, q)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			v.Add(r)
		}
		if b = build; next == "" {
			break
		}
		q.Cursor = next
	}
	return api.Rev(b.Rev, v.Verdict(b)), nil
}

// MountDashboard adds the endpoints of the dashboard.
func (s *Service) MountDashboard(a *api.API) {
	const tag = "Dashboard"
	api.Handle(a, api.Op{ID: "dashboard-summary", Method: http.MethodGet, Path: "/dashboard/summary", Scope: auth.Read, Tag: tag,
		Summary: "How many builds there are, and how they are going", Description: "From counters; a change shows within moments.",
		Answer: NewSummary(exampleCounts, map[string]int{"aws-commercial": 12}, exampleBuilds)}, s.summary)
	api.Handle(a, api.Op{ID: "dashboard-recent", Method: http.MethodGet, Path: "/dashboard/recent", Scope: auth.Read, Tag: tag,
		Summary: "The builds changed last", Answer: []View{exampleBuild.View()}}, s.recent)
	api.Handle(a, api.Op{ID: "dashboard-platform", Method: http.MethodGet, Path: "/dashboard/platform/{id}", Scope: auth.Read, Tag: tag,
		Summary: "The builds of one platform", Problems: []problem.Kind{problem.NotFound},
		Answer: NewPlatformSummary("aws-commercial", "AWS Commercial", exampleCounts, exampleBuilds, &exampleBuild)}, s.platform)
}

type noIn struct{}

type summaryOut struct{ Body *Summary }

func (s *Service) summary(ctx context.Context, _ *noIn) (*summaryOut, error) {
	sum, err := s.Store.Summary(ctx)
	return &summaryOut{sum}, err
}

type recentIn struct {
	Limit int `query:"limit" default:"10" minimum:"1" maximum:"1000" doc:"At most that many rows; fewer when they are large."`
	api.Onward
}

func (s *Service) recent(ctx context.Context, in *recentIn) (*api.List[View], error) {
	bs, next, err := s.Store.Recent(ctx, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return &api.List[View]{Link: in.Next(next), Body: views(bs)}, nil
}

type platformIn struct {
	ID string `path:"id" maxLength:"200" doc:"Id or name of the platform."`
}

type platformOut struct{ Body *PlatformSummary }

func (s *Service) platform(ctx context.Context, in *platformIn) (*platformOut, error) {
	p, err := s.Store.Platform(ctx, in.ID)
	return &platformOut{p}, err
}
