// Package health says whether the service can do its work. Every generation of
// the API had its own shapes; the answers here are their union.
package health

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"time"

	"bldst/shared/auth"
	"bldst/shared/problem"
)

// A Table is what readiness depends on.
type Table interface {
	// Ping reports why the table cannot be read.
	Ping(ctx context.Context) error
}

// patience is how long the table may take to count as there.
const patience = 2 * time.Second

// A Service answers for the process that began at Started.
type Service struct {
	Table   Table
	Log     *slog.Logger
	Now     func() time.Time
	Started time.Time

	// Writable reports why nothing can be stored; nil where Table would say so
	// itself.
	Writable func(ctx context.Context) error

	// Behind returns the backlog of relay; nil where it cannot be asked for: on
	// AWS it is the stream's IteratorAge, which has an alarm.
	Behind func() Backlog
}

// A Backlog is what was stored and not passed on yet. Until it is, counters and
// lists by platform lack it, and notifications and state machines wait. It is
// information: a service that is behind is healthy.
type Backlog struct {
	Changes       int     `json:"changes" example:"0" doc:"Changes that were stored and are not in counters and lists yet."`
	OldestSeconds float64 `json:"oldest_seconds" example:"0" doc:"For how long the oldest of them has waited; 0 when there is none."`
}

// backlog returns the backlog; nil when it is not known.
func (s *Service) backlog() *Backlog {
	if s.Behind == nil {
		return nil
	}
	b := s.Behind()
	return &b
}

// A Refusal is what answers of a service that is not ready carry in addition,
// so that they are errors like all others. It is zero otherwise.
type Refusal struct {
	Detail    string       `json:"detail,omitempty"`
	Code      problem.Kind `json:"code,omitempty"`
	RequestID string       `json:"request_id,omitempty"`
}

// check reads the table once, and asks whether what is written is stored: who
// sends requests here must learn that they will be refused.
func (s *Service) check(ctx context.Context) Refusal {
	tight, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.Table.Ping(tight); err != nil {
		return s.refuse(ctx, "The table cannot be read; try again later.", err)
	}
	if s.Writable == nil {
		return Refusal{}
	}
	if err := s.Writable(tight); err != nil {
		return s.refuse(ctx, "Nothing can be written: "+reason(err)+". What was acknowledged is safe.", err)
	}
	return Refusal{}
}

// reason says what is wrong with the disk, without the name of a file.
func reason(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no.Error()
	}
	return "the data file does not take it"
}

func (s *Service) refuse(ctx context.Context, detail string, cause error) Refusal {
	id := auth.RequestOf(ctx).ID
	s.Log.WarnContext(ctx, "not ready", "request_id", id, "detail", detail, "cause", cause.Error())
	return Refusal{Detail: detail, Code: problem.Unavailable, RequestID: id}
}

// ok reports whether there is nothing to refuse.
func (r Refusal) ok() bool { return r.Code == "" }

// status returns the status of the answer that carries r.
func (r Refusal) status() int {
	if r.ok() {
		return 200
	}
	return r.Code.Status()
}

// word returns good or bad.
func (r Refusal) word(good, bad string) string {
	if r.ok() {
		return good
	}
	return bad
}

// A Root is the answer of /.
type Root struct {
	Message string `json:"message" example:"Build State API"`
	Version string `json:"version" example:"1.0.0"`
	Status  string `json:"status" example:"healthy"`
	Service string `json:"service" example:"build-state-api"`
}

// A Health is the answer of /health and /health/liveness.
type Health struct {
	Status    string    `json:"status" example:"healthy"`
	Backlog   *Backlog  `json:"backlog,omitempty" doc:"Not on AWS, where the stream has a metric of its own, and not in /health/liveness."`
	Timestamp time.Time `json:"timestamp"`
	Refusal
}

// A Ready is the answer of /ready.
type Ready struct {
	Ready     bool      `json:"ready"`
	Status    string    `json:"status" enum:"ready,unready"`
	Database  string    `json:"database" enum:"connected,disconnected"`
	Cache     string    `json:"cache" example:"disabled" doc:"There is no cache that could fail."`
	Redis     bool      `json:"redis" doc:"The same as ready."`
	Overall   bool      `json:"overall" doc:"The same as ready."`
	Timestamp time.Time `json:"timestamp"`
	Refusal
}

// A Readiness is the answer of /health/readiness.
type Readiness struct {
	Status    string    `json:"status" enum:"ready,unready"`
	Database  string    `json:"database" enum:"ok,unavailable"`
	Cache     string    `json:"cache" example:"ok"`
	Timestamp time.Time `json:"timestamp"`
	Refusal
}

// A Status is the answer of /status.
type Status struct {
	Version       string      `json:"version" example:"1.0.0"`
	Uptime        int         `json:"uptime" doc:"Seconds since this instance started."`
	Status        string      `json:"status" enum:"running,degraded"`
	OverallStatus string      `json:"overall_status" enum:"healthy,unhealthy"`
	Database      Database    `json:"database"`
	Cache         Cache       `json:"cache"`
	Components    []Component `json:"components"`
	Backlog       *Backlog    `json:"backlog,omitempty" doc:"Not on AWS, where the stream has a metric of its own."`
	Timestamp     time.Time   `json:"timestamp"`
	Refusal
}

// A Database is the table in a Status.
type Database struct {
	Type        string `json:"type" example:"dynamodb"`
	Status      string `json:"status" enum:"connected,disconnected"`
	BuildsCount *int   `json:"builds_count" doc:"Always null; see /dashboard/summary."`
}

// A Cache is the cache in a Status: there is none.
type Cache struct {
	Status string `json:"status" example:"disabled"`
}

// A Component is one part in a Status.
type Component struct {
	Name    string `json:"name" example:"database"`
	Status  string `json:"status" enum:"healthy,unhealthy"`
	Details string `json:"details" example:"The table can be read."`
}
