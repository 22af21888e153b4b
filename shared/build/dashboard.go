package build

import "time"

// A Summary is the answer of GET /dashboard/summary, the union of its three
// generations.
type Summary struct {
	TotalBuilds      int            `json:"total_builds"`
	ActiveBuilds     int            `json:"active_builds" doc:"Pending or in progress."`
	CompletedBuilds  int            `json:"completed_builds"`
	FailedBuilds     int            `json:"failed_builds"`
	CancelledBuilds  int            `json:"cancelled_builds"`
	Platforms        int            `json:"platforms"`
	Projects         int            `json:"projects"`
	BuildsByPlatform map[string]int `json:"builds_by_platform" doc:"By platform id."`
	BuildsByState    map[string]int `json:"builds_by_state" doc:"By state code."`
	StatusCounts     map[string]int `json:"status_counts" doc:"By status; always has completed, failed and in_progress."`
	RecentBuilds     []View         `json:"recent_builds" doc:"The ten changed last."`
}

// A PlatformSummary is the answer of GET /dashboard/platform/{id}.
type PlatformSummary struct {
	Platform          string         `json:"platform" doc:"Its name."`
	PlatformID        string         `json:"platform_id"`
	Statistics        Statistics     `json:"statistics"`
	RecentBuilds      []View         `json:"recent_builds" doc:"The five newest."`
	Builds            []View         `json:"builds" doc:"Same as recent_builds."`
	StateDistribution map[string]int `json:"state_distribution" doc:"By state code."`
	StatusCounts      map[string]int `json:"status_counts"`
}

// Statistics are the counters of one platform.
type Statistics struct {
	TotalBuilds int        `json:"total_builds"`
	OldestBuild *time.Time `json:"oldest_build"`
	NewestBuild *time.Time `json:"newest_build"`
}

// Counts says what b adds to the counters of the dashboard: nothing once it is
// deleted.
func (b *Build) Counts() []string {
	if b.DeactivatedAt != nil {
		return nil
	}
	return []string{"builds", "status:" + string(b.Status), "state:" + formatCode(b.Current)}
}

// NewSummary makes a summary of the counters, by the names Counts gives them,
// the number of builds by platform, and the builds changed last.
func NewSummary(counts, platforms map[string]int, recent []*Build) *Summary {
	s := &Summary{
		TotalBuilds: counts["builds"], Platforms: counts["platforms"], Projects: counts["projects"],
		BuildsByPlatform: platforms, BuildsByState: stateCounts(counts), StatusCounts: statusCounts(counts), RecentBuilds: views(recent),
	}
	s.ActiveBuilds = s.StatusCounts[string(Pending)] + s.StatusCounts[string(InProgress)]
	s.CompletedBuilds, s.FailedBuilds, s.CancelledBuilds = s.StatusCounts[string(Completed)], s.StatusCounts[string(Failed)], s.StatusCounts[string(Cancelled)]
	return s
}

// NewPlatformSummary makes the summary of one platform.
func NewPlatformSummary(id, name string, counts map[string]int, newest []*Build, oldest *Build) *PlatformSummary {
	p := &PlatformSummary{Platform: name, PlatformID: id, RecentBuilds: views(newest), Builds: views(newest),
		StateDistribution: stateCounts(counts), StatusCounts: statusCounts(counts)}
	p.Statistics.TotalBuilds = counts["builds"]
	if oldest != nil {
		p.Statistics.OldestBuild = &oldest.CreatedAt
	}
	if len(newest) > 0 {
		p.Statistics.NewestBuild = &newest[0].CreatedAt
	}
	return p
}

func statusCounts(counts map[string]int) map[string]int {
	out := map[string]int{}
	for _, s := range Statuses {
		out[string(s)] = counts["status:"+string(s)]
	}
	return out
}

func stateCounts(counts map[string]int) map[string]int {
	out := map[string]int{}
	for code := FirstState; code <= LastState; code++ {
		if n := counts["state:"+formatCode(code)]; n != 0 {
			out[formatCode(code)] = n
		}
	}
	return out
}
