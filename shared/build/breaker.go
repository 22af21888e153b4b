package build

import (
	"context"
	"fmt"
	"time"
)

// A Breaker stops the resumes of an image line whose builds keep failing: the
// same project, platform, OS version and image type. It opens after the
// failures its project's policy allows, and is closed by a person or by a
// build of the line that is completed.
type Breaker struct {
	ID          string      `json:"id" doc:"The image line."`
	ProjectID   string      `json:"project_id"`
	PlatformID  string      `json:"platform_id,omitempty"`
	OSVersionID string      `json:"os_version_id,omitempty"`
	ImageTypeID string      `json:"image_type_id,omitempty"`
	Open        bool        `json:"open"`
	OpenedAt    *time.Time  `json:"opened_at,omitempty"`
	Reason      string      `json:"reason,omitempty"`
	BuildID     string      `json:"build_id,omitempty" doc:"The build that failed last."`
	Failures    []time.Time `json:"failures" doc:"The failures that count, oldest first."`
	ClosedAt    *time.Time  `json:"closed_at,omitempty"`
	ClosedBy    string      `json:"closed_by,omitempty"`

	Rev int64 `json:"-"`
}

// NewBreaker returns the closed breaker of the line of b.
func NewBreaker(b *Build) *Breaker {
	return &Breaker{ID: b.Line(), ProjectID: b.ProjectID, PlatformID: b.PlatformID, OSVersionID: b.OSVersionID, ImageTypeID: b.ImageTypeID}
}

// Count adds the failure of b at now and opens k when rule says so. Stopped
// executions say nothing about an image line and do not count.
func (k *Breaker) Count(rule BreakerRule, b *Build, now time.Time) {
	if b.FailureClass == Aborted {
		return
	}
	window := time.Duration(rule.Within) * time.Second
	var recent []time.Time
	for _, at := range k.Failures {
		if now.Sub(at) < window {
			recent = append(recent, at)
		}
	}
	k.Failures = append(recent, now)
	k.BuildID = b.ID
	if over := len(k.Failures) - maxFailures; over > 0 {
		k.Failures = k.Failures[over:]
	}
	if !k.Open && len(k.Failures) >= rule.Failures {
		k.Open, k.OpenedAt = true, &now
		k.Reason = fmt.Sprintf("%d builds of it failed within %s.", len(k.Failures), window)
	}
}

// Close closes k and forgets the failures up to at; it reports whether that
// changes anything. A breaker that opened later stays open.
func (k *Breaker) Close(by string, at time.Time) bool {
	var later []time.Time
	for _, f := range k.Failures {
		if f.After(at) {
			later = append(later, f)
		}
	}
	closes := k.Open && !k.OpenedAt.After(at)
	if !closes && len(later) == len(k.Failures) {
		return false
	}
	k.Failures = later
	if closes {
		k.Open, k.OpenedAt, k.Reason = false, nil, ""
		k.ClosedAt, k.ClosedBy = &at, by
	}
	return true
}

// A PolicyStore keeps what projects want done about failures, and the breakers
// of their image lines. Forbidden when the caller's credential is bound to
// other projects.
type PolicyStore interface {
	// Policy returns the policy of the project with the id or name ref, the
	// default one when it has none; NotFound when there is no such project.
	Policy(ctx context.Context, ref string) (Policy, error)
	// SetPolicy stores the policy of a project; check is asked with the
	// revision it has, 0 for none.
	SetPolicy(ctx context.Context, ref string, p Policy, check func(rev int64) error) (Policy, error)
	// Breakers returns the open breakers, the one that opened last first.
	Breakers(ctx context.Context) ([]Breaker, error)
	// Breaker returns the breaker of a line; NotFound when it never failed.
	Breaker(ctx context.Context, line string) (*Breaker, error)
	// CloseBreaker closes the breaker of a line for the caller.
	CloseBreaker(ctx context.Context, line string) (*Breaker, error)
}
