// Package metrics answers what resumes are worth: how many there are, how many
// succeed, how much time they save, and what the artifacts they need take up.
// The numbers come from counters that are kept as builds change; nothing is
// scanned.
package metrics

import (
	"context"
	"math"
	"time"
)

// Counters are numbers by name, see the names below.
type Counters map[string]int64

// The names of the counters. Those that end in a colon are followed by a word.
const (
	Resumes     = "resumes"       // attempts after the first that began
	Recovered   = "recovered"     // of them: got past the state where the build had failed
	FailedAgain = "failed_again"  // of them: failed before that
	WaitSeconds = "wait_seconds"  // from each failure to the attempt that follows it
	ByClass     = "class:"        // resumes by the class of the failure
	BySource    = "source:"       // resume requests by who asked
	Failed      = "builds_failed" // builds that failed for the first time
	Completed   = "builds_completed"
	Saved       = "builds_saved"  // builds completed after a resume
	SavedSecs   = "saved_seconds" // what the completed states that they did not repeat had taken
)

// A Day is the counters of one day, in UTC.
type Day struct {
	Date     string // 2026-03-04
	Counters Counters
}

// A Store reads the counters. project is an id or name, "" is every project the
// caller may see.
type Store interface {
	// Totals returns the counters since the beginning.
	Totals(ctx context.Context, project string) (Counters, error)
	// Days returns the counters of the days from..to that have any, in order.
	Days(ctx context.Context, project string, from, to time.Time) ([]Day, error)
	// Storage returns the artifacts there are.
	Storage(ctx context.Context, project string) (*StorageUsage, error)
}

// ResumeStats are the numbers of all resumes.
type ResumeStats struct {
	Total        int64            `json:"total_resumes" doc:"Attempts after the first."`
	Succeeded    int64            `json:"succeeded" doc:"Of them: got past the state where the build had failed."`
	Failed       int64            `json:"failed" doc:"Of them: failed before that."`
	InProgress   int64            `json:"in_progress" doc:"Of them: neither yet."`
	Rate         *float64         `json:"success_rate" doc:"succeeded / (succeeded + failed); null without any. The aim is 0.9."`
	ByClass      map[string]int64 `json:"by_failure_class"`
	BySource     map[string]int64 `json:"by_request_source" doc:"Resume requests by who made them."`
	MeanWait     *float64         `json:"mean_seconds_to_resume" doc:"From a failure to the attempt that follows it. The aim is 300."`
	BuildsFailed int64            `json:"builds_failed" doc:"Builds that failed at least once."`
	BuildsSaved  int64            `json:"builds_recovered" doc:"Of them: completed since."`
	Recovery     *float64         `json:"recovery_rate" doc:"builds_recovered / builds_failed. The aim is 0.8."`
}

// NewStats makes ResumeStats of counters.
func NewStats(c Counters) ResumeStats {
	s := ResumeStats{Total: c[Resumes], Succeeded: c[Recovered], Failed: c[FailedAgain], ByClass: words(c, ByClass), BySource: words(c, BySource),
		BuildsFailed: c[Failed], BuildsSaved: c[Saved]}
	s.InProgress = max(0, s.Total-s.Succeeded-s.Failed)
	s.Rate = ratio(s.Succeeded, s.Succeeded+s.Failed)
	s.MeanWait = ratio(c[WaitSeconds], s.Total)
	s.Recovery = ratio(s.BuildsSaved, s.BuildsFailed)
	return s
}

// words returns the counters whose names begin with prefix, by what follows.
func words(c Counters, prefix string) map[string]int64 {
	out := map[string]int64{}
	for name, n := range c {
		if len(name) > len(prefix) && name[:len(prefix)] == prefix {
			out[name[len(prefix):]] = n
		}
	}
	return out
}

// ratio returns n/of to four digits, nil when there is nothing to divide by.
func ratio(n, of int64) *float64 {
	if of == 0 {
		return nil
	}
	r := math.Round(float64(n)/float64(of)*1e4) / 1e4
	return &r
}

// Span is the period a number is about.
type Span struct {
	Period string `json:"period"`
	From   string `json:"from" doc:"The first day, UTC."`
	To     string `json:"to" doc:"The last day: today."`
}

// TimeSaved is what builds that were completed after a resume did not repeat.
type TimeSaved struct {
	Span
	Minutes float64        `json:"minutes_saved" doc:"What the states had taken that were completed in an earlier attempt and not run again."`
	Hours   float64        `json:"hours_saved" doc:"The aim is 20 a month."`
	Builds  int64          `json:"builds" doc:"Builds completed after a resume."`
	Daily   []DayTimeSaved `json:"daily" doc:"Days with any, in order."`
}

// A DayTimeSaved is one day of TimeSaved.
type DayTimeSaved struct {
	Date    string  `json:"date"`
	Minutes float64 `json:"minutes_saved"`
	Builds  int64   `json:"builds"`
}

// NewTimeSaved makes TimeSaved of days.
func NewTimeSaved(span Span, days []Day) TimeSaved {
	t := TimeSaved{Span: span, Daily: []DayTimeSaved{}}
	var secs int64
	for _, d := range days {
		if n := d.Counters[Saved]; n > 0 {
			t.Builds += n
			secs += d.Counters[SavedSecs]
			t.Daily = append(t.Daily, DayTimeSaved{Date: d.Date, Minutes: round(d.Counters[SavedSecs], 60), Builds: n})
		}
	}
	t.Minutes, t.Hours = round(secs, 60), round(secs, 3600)
	return t
}

// round returns n/unit to one digit.
func round(n, unit int64) float64 { return math.Round(float64(n)/float64(unit)*10) / 10 }

// SuccessRate is how resumes went in a period.
type SuccessRate struct {
	Span
	Resumes   int64     `json:"resumes"`
	Succeeded int64     `json:"succeeded"`
	Failed    int64     `json:"failed"`
	Rate      *float64  `json:"success_rate" doc:"succeeded / (succeeded + failed); null without any."`
	Daily     []DayRate `json:"daily" doc:"Days with any, in order."`
}

// A DayRate is one day of SuccessRate.
type DayRate struct {
	Date      string   `json:"date"`
	Resumes   int64    `json:"resumes"`
	Succeeded int64    `json:"succeeded"`
	Failed    int64    `json:"failed"`
	Rate      *float64 `json:"success_rate"`
}

// NewSuccessRate makes a SuccessRate of days. What a resume came to counts on
// the day it was known.
func NewSuccessRate(span Span, days []Day) SuccessRate {
	r := SuccessRate{Span: span, Daily: []DayRate{}}
	for _, d := range days {
		day := DayRate{Date: d.Date, Resumes: d.Counters[Resumes], Succeeded: d.Counters[Recovered], Failed: d.Counters[FailedAgain]}
		if day.Resumes+day.Succeeded+day.Failed == 0 {
			continue
		}
		day.Rate = ratio(day.Succeeded, day.Succeeded+day.Failed)
		r.Daily = append(r.Daily, day)
		r.Resumes, r.Succeeded, r.Failed = r.Resumes+day.Resumes, r.Succeeded+day.Succeeded, r.Failed+day.Failed
	}
	r.Rate = ratio(r.Succeeded, r.Succeeded+r.Failed)
	return r
}

// StorageUsage is what the artifacts there are take up, as far as they say.
type StorageUsage struct {
	Artifacts int64                    `json:"artifacts" doc:"Not deleted."`
	Bytes     int64                    `json:"total_bytes" doc:"Of those whose size is known."`
	Unknown   int64                    `json:"unknown_size" doc:"Artifacts without a size."`
	GB        float64                  `json:"total_gb"`
	Backends  map[string]StorageAmount `json:"by_backend"`
	Types     map[string]StorageAmount `json:"by_type"`
}

// An StorageAmount is how many artifacts, and their bytes.
type StorageAmount struct {
	Artifacts int64 `json:"artifacts"`
	Bytes     int64 `json:"bytes"`
}
