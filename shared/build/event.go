package build

import (
	"fmt"
	"time"
)

// EventSource is the source of the domain events.
const EventSource = "bldst"

// An EventType is what a domain event says has happened.
type EventType string

// The domain events. A failure is either failed or stalled: stalled when
// nobody reported it and the build was failed for silence or slowness.
const (
	EventCreated         EventType = "build.created"
	EventStateChanged    EventType = "build.state_changed"
	EventFailed          EventType = "build.failed"
	EventStalled         EventType = "build.stalled"
	EventWaiting         EventType = "build.waiting" // for a person
	EventResumeRequested EventType = "build.resume_requested"
	EventRecovered       EventType = "build.recovered" // got past the state that had failed
	EventCompleted       EventType = "build.completed"
	EventCancelled       EventType = "build.cancelled"
)

// EventTypes lists every type.
var EventTypes = []EventType{EventCreated, EventStateChanged, EventFailed, EventStalled, EventWaiting, EventResumeRequested, EventRecovered, EventCompleted, EventCancelled}

// An Event tells that something has happened to a build: the detail of the
// event as it is published. It may be told more than once, always with the
// same id: BUILD@REVISION:TYPE.
type Event struct {
	ID          string    `json:"id"`
	Type        EventType `json:"type"`
	Time        time.Time `json:"time"`
	BuildID     string    `json:"build_id"`
	BuildNumber string    `json:"build_number"`
	Revision    int64     `json:"revision"`
	Attempt     int       `json:"attempt"`
	ProjectID   string    `json:"project_id"`
	PlatformID  string    `json:"platform_id,omitempty"`
	OSVersionID string    `json:"os_version_id,omitempty"`
	ImageTypeID string    `json:"image_type_id,omitempty"`

	State          int          `json:"state_code"`
	Status         Status       `json:"status"`
	Before         *Stand       `json:"before,omitempty"`
	LastSuccessful *int         `json:"last_successful_state,omitempty"`
	FailedState    *int         `json:"failed_state,omitempty"`
	FailureClass   Class        `json:"failure_class,omitempty"`
	OpenTargets    []OpenTarget `json:"open_targets,omitempty"` // that are not done
	Message        string       `json:"message,omitempty"`
	Reason         string       `json:"reason,omitempty"`     // of waiting: why
	RequestID      string       `json:"request_id,omitempty"` // of resume_requested
}

// EventOf returns the event of type t about b as it is.
func EventOf(t EventType, b *Build) Event {
	return Event{
		ID: fmt.Sprintf("%s@%d:%s", b.ID, b.Rev, t), Type: t, Time: b.UpdatedAt, BuildID: b.ID, BuildNumber: b.Number, Revision: b.Rev, Attempt: b.Attempt,
		ProjectID: b.ProjectID, PlatformID: b.PlatformID, OSVersionID: b.OSVersionID, ImageTypeID: b.ImageTypeID,
		State: b.Current, Status: b.Status, LastSuccessful: b.LastCompleted, FailedState: b.FailedState, FailureClass: b.FailureClass, OpenTargets: b.OpenTargets(), Message: b.Message,
	}
}

// Events returns what has happened when a build that was old has become b; old
// is nil when b is new.
func Events(old, b *Build) []Event {
	var out []Event
	add := func(t EventType) *Event {
		out = append(out, EventOf(t, b))
		return &out[len(out)-1]
	}
	if old == nil {
		add(EventCreated)
		return out
	}
	if before := old.Stand(); before != b.Stand() {
		add(EventStateChanged).Before = &before
	}
	if old.Recovering != nil && b.Recovering == nil && b.Status != Failed && b.Status != Cancelled {
		add(EventRecovered)
	}
	if b.Status != old.Status {
		switch {
		case b.Status == Failed && (b.FailureClass == Stalled || b.FailureClass == TimedOut):
			add(EventStalled)
		case b.Status == Failed:
			add(EventFailed)
		case b.Status == Completed:
			add(EventCompleted)
		case b.Status == Cancelled:
			add(EventCancelled)
		}
	}
	if b.Resume.Open() && (old.Resume == nil || old.Resume.ID != b.Resume.ID) {
		add(EventResumeRequested).RequestID = b.Resume.ID
	}
	if d := b.decided(); d != nil && d.Next == Await && !d.sameAs(old.Decision) {
		add(EventWaiting).Reason = d.Reason
	}
	return out
}

// sameAs reports whether d and e say the same of the same attempt.
func (d *Decision) sameAs(e *Decision) bool {
	return e != nil && d.Attempt == e.Attempt && d.Next == e.Next
}
