package metrics

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// A Service serves the numbers.
type Service struct {
	Store Store
	Now   func() time.Time
}

// Mount adds the endpoints.
func (s *Service) Mount(a *api.API) {
	const tag, about = "Metrics", "From counters that are kept as builds change: a change shows within moments."
	gone := []problem.Kind{problem.NotFound}
	api.Handle(a, api.Op{ID: "metrics-resume-stats", Method: http.MethodGet, Path: "/metrics/resumes/stats", Scope: auth.Read, Tag: tag,
		Summary: "How many resumes there were, and how they went", Description: about, Problems: gone, Answer: NewStats(exampleCounters)}, s.stats)
	api.Handle(a, api.Op{ID: "metrics-time-saved", Method: http.MethodGet, Path: "/metrics/resumes/time-saved", Scope: auth.Read, Tag: tag,
		Summary: "How much time resumes have saved", Description: about, Problems: gone, Answer: NewTimeSaved(exampleSpan, exampleDays)}, s.timeSaved)
	api.Handle(a, api.Op{ID: "metrics-storage-usage", Method: http.MethodGet, Path: "/metrics/artifacts/storage-usage", Scope: auth.Read, Tag: tag,
		Summary: "What the artifacts take up", Description: about, Problems: gone, Answer: exampleStorage}, s.storage)
	api.Handle(a, api.Op{ID: "metrics-resume-success-rate", Method: http.MethodGet, Path: "/metrics/builds/resume-success-rate", Scope: auth.Read, Tag: tag,
		Summary: "How many resumes succeed", Description: about, Problems: gone, Answer: NewSuccessRate(exampleSpan, exampleDays)}, s.successRate)
}

var (
	exampleCounters = Counters{Resumes: 12, Recovered: 10, FailedAgain: 1, WaitSeconds: 1440, ByClass + "transient": 9, ByClass + "persistent": 3, BySource + "auto": 8, BySource + "api": 4, Failed: 11, Saved: 9, SavedSecs: 30600}
	exampleDays     = []Day{{Date: "2026-03-04", Counters: exampleCounters}}
	exampleSpan     = Span{Period: "30d", From: "2026-02-03", To: "2026-03-04"}
	exampleStorage  = StorageUsage{Artifacts: 2, Bytes: 21474836480, GB: 21.5, Backends: map[string]StorageAmount{"s3": {2, 21474836480}}, Types: map[string]StorageAmount{"snapshot": {2, 21474836480}}}
)

// A ProjectFilter selects one project.
type ProjectFilter struct {
	Project string `query:"project_id" maxLength:"200" doc:"Only this project; id or name."`
}

type statsOut struct{ Body ResumeStats }

func (s *Service) stats(ctx context.Context, in *ProjectFilter) (*statsOut, error) {
	c, err := s.Store.Totals(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	return &statsOut{NewStats(c)}, nil
}

type timeSavedIn struct {
	ProjectFilter
	Period string `query:"period" default:"30d" maxLength:"10" doc:"Days, weeks or months until today: 30d, 4w, 1m. At most 366 days."`
}

type timeSavedOut struct{ Body TimeSaved }

func (s *Service) timeSaved(ctx context.Context, in *timeSavedIn) (*timeSavedOut, error) {
	span, days, err := s.days(ctx, in.Project, in.Period)
	if err != nil {
		return nil, err
	}
	return &timeSavedOut{NewTimeSaved(span, days)}, nil
}

type successRateIn struct {
	ProjectFilter
	Period string `query:"period" default:"7d" maxLength:"10" doc:"Days, weeks or months until today: 7d, 4w, 1m. At most 366 days."`
}

type successRateOut struct{ Body SuccessRate }

func (s *Service) successRate(ctx context.Context, in *successRateIn) (*successRateOut, error) {
	span, days, err := s.days(ctx, in.Project, in.Period)
	if err != nil {
		return nil, err
	}
	return &successRateOut{NewSuccessRate(span, days)}, nil
}

type storageOut struct{ Body *StorageUsage }

func (s *Service) storage(ctx context.Context, in *ProjectFilter) (*storageOut, error) {
	st, err := s.Store.Storage(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	st.GB = round(st.Bytes, 1e9)
	return &storageOut{st}, nil
}

// days returns the counters of the days of a period that ends today.
func (s *Service) days(ctx context.Context, project, period string) (Span, []Day, error) {
	n, err := parsePeriod(period)
	if err != nil {
		return Span{}, nil, err
	}
	to := s.Now().UTC()
	from := to.AddDate(0, 0, 1-n)
	days, err := s.Store.Days(ctx, project, from, to)
	return Span{Period: period, From: from.Format(time.DateOnly), To: to.Format(time.DateOnly)}, days, err
}

// parsePeriod returns the number of days a period has.
func parsePeriod(s string) (int, error) {
	bad := &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"query", "period"}, Msg: "A number of days, weeks or months such as 30d, 4w or 1m, at most 366 days", Type: "value_error"}}}
	if len(s) < 2 {
		return 0, bad
	}
	n, err := strconv.Atoi(s[:len(s)-1])
	unit := map[byte]int{'d': 1, 'w': 7, 'm': 30}[s[len(s)-1]]
	if err != nil || n < 1 || n > 366 || unit == 0 || n*unit > 366 {
		return 0, bad
	}
	return n * unit, nil
}
