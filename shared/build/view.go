package build

import (
	"encoding/json"
	"time"
)

// A View is a build as callers read it: the union of what the generations of
// callers expect.
type View struct {
	ID              string            `json:"id"`
	BuildNumber     string            `json:"build_number"`
	BuildID         string            `json:"build_id" doc:"Same as build_number."`
	ProjectID       string            `json:"project_id"`
	PlatformID      *string           `json:"platform_id"`
	OSVersionID     *string           `json:"os_version_id"`
	ImageTypeID     *string           `json:"image_type_id"`
	CloudProviderID *string           `json:"cloud_provider_id"`
	OSDistribution  *string           `json:"os_distribution_id"`
	ImageVariantID  *string           `json:"image_variant_id"`
	CurrentState    int               `json:"current_state" minimum:"0" maximum:"100"`
	StateCode       int               `json:"state_code" doc:"Same as current_state."`
	Status          Status            `json:"status" enum:"pending,in_progress,completed,failed,cancelled"`
	Message         *string           `json:"message"`
	LastSuccessful  *int              `json:"last_successful_state"`
	FailedState     *int              `json:"failed_state"`
	FailureClass    *Class            `json:"failure_class"`
	OpenTargets     []OpenTarget      `json:"open_targets" doc:"Targets that are not done; of a completed build those it was completed without. null for none."`
	Attempt         int               `json:"attempt" doc:"From 1; every resume begins the next."`
	Revision        int64             `json:"revision" doc:"Counts the changes; also the ETag."`
	LeaseUntil      *time.Time        `json:"lease_until" doc:"Until when the worker is believed to be alive."`
	Lease           *Hold             `json:"lease" doc:"The worker that holds the build."`
	DeadlineAt      *time.Time        `json:"deadline_at" doc:"When the current state takes too long."`
	CancelRequested bool              `json:"cancel_requested"`
	ETA             *time.Time        `json:"eta"`
	ExecutionARN    *string           `json:"execution_arn"`
	Base            *Base             `json:"base"`
	Inputs          map[string]string `json:"inputs"`
	BuildMetadata   json.RawMessage   `json:"build_metadata"`
	Metadata        json.RawMessage   `json:"metadata,omitempty" doc:"Same as build_metadata; rows of lists have that alone."`
	Description     *string           `json:"description"`
	CreatedBy       *string           `json:"created_by"`
	ConcourseURL    *string           `json:"concourse_pipeline_url"`
	ConcourseJob    *string           `json:"concourse_job_name"`
	PipelineURL     *string           `json:"pipeline_url" doc:"Same as concourse_pipeline_url."`
	CommitHash      *string           `json:"commit_hash"`
	AMIID           *string           `json:"ami_id"`
	AMIIDs          map[string]string `json:"ami_ids" doc:"The image of each region, when ami_id names regions."`
	ImageID         *string           `json:"image_id"`
	PackerManifest  json.RawMessage   `json:"packer_manifest"`
	StartTime       *time.Time        `json:"start_time"`
	EndTime         *time.Time        `json:"end_time"`
	Duration        *int64            `json:"duration_seconds" doc:"From its start to its end; of a build that was resumed without the time nobody worked on it."`
	CreatedAt       time.Time         `json:"created_at"`
	UpdatedAt       time.Time         `json:"updated_at"`
	DeactivatedAt   *time.Time        `json:"deactivated_at"`
	Links           Links             `json:"links"`
}

// Links are the addresses of what belongs to a build, relative to the API.
type Links struct {
	Self          string `json:"self"`
	State         string `json:"state"`
	Failures      string `json:"failures"`
	Artifacts     string `json:"artifacts"`
	Variables     string `json:"variables"`
	ResumeContext string `json:"resume_context"`
	History       string `json:"history"`
}

// View returns b as callers read it.
func (b *Build) View() View {
	v := View{
		ID: b.ID, BuildNumber: b.Number, BuildID: b.Number, ProjectID: b.ProjectID,
		PlatformID: text(b.PlatformID), OSVersionID: text(b.OSVersionID), ImageTypeID: text(b.ImageTypeID),
		CloudProviderID: text(b.CloudProvider), OSDistribution: text(b.OSDistribution), ImageVariantID: text(b.ImageVariant),
		CurrentState: b.Current, StateCode: b.Current, Status: b.Status, Message: text(b.Message),
		LastSuccessful: b.LastCompleted, FailedState: b.FailedState, FailureClass: text(b.FailureClass),
		OpenTargets: b.OpenTargets(), Attempt: b.Attempt, Revision: b.Rev, DeadlineAt: b.Deadline, CancelRequested: b.Cancelling, ExecutionARN: text(b.Execution), ETA: b.ETA,
		Base: b.Base, Inputs: b.Inputs, BuildMetadata: raw(b.Metadata), Metadata: raw(b.Metadata),
		Description: text(b.Description), CreatedBy: text(b.CreatedBy), ConcourseURL: text(b.PipelineURL), PipelineURL: text(b.PipelineURL),
		ConcourseJob: text(b.JobName), CommitHash: text(b.CommitHash), AMIID: text(b.AMIID), AMIIDs: splitAMIs(b.AMIID), ImageID: text(b.ImageID), PackerManifest: raw(b.Manifest),
		StartTime: b.StartTime, EndTime: b.EndTime, CreatedAt: b.CreatedAt, UpdatedAt: b.UpdatedAt, DeactivatedAt: b.DeactivatedAt,
		Links: links(b.ID),
	}
	if v.Lease = b.hold(); v.Lease != nil {
		v.LeaseUntil = &v.Lease.Until
	}
	if b.StartTime != nil && b.EndTime != nil {
		secs := max(0, int64(b.EndTime.Sub(*b.StartTime).Seconds()))
		if b.Attempt > 1 && b.WorkedMS > 0 {
			secs = b.WorkedMS / 1000
		}
		v.Duration = &secs
	}
	return v
}

func links(id string) Links {
	self := "/builds/" + id
	return Links{Self: self, State: self + "/state", Failures: self + "/failures", Artifacts: self + "/artifacts",
		Variables: self + "/variables", ResumeContext: self + "/resume-context", History: self + "/history"}
}

// text returns nil for the empty string, which callers read as null.
func text[S ~string](s S) *S {
	if s == "" {
		return nil
	}
	return &s
}

// raw returns null for an absent document.
func raw(m json.RawMessage) json.RawMessage {
	if len(m) == 0 {
		return json.RawMessage("null")
	}
	return m
}

// views returns the rows of a list.
func views(bs []*Build) []View {
	out := make([]View, len(bs))
	for i, b := range bs {
		out[i] = b.Row()
	}
	return out
}

// Row returns b as it stands in lists and in its history: nothing large twice.
func (b *Build) Row() View {
	v := b.View()
	v.Metadata = nil
	return v
}

// A StateView is the answer of GET /builds/{id}/state.
type StateView struct {
	BuildID        string       `json:"build_id"`
	CurrentState   int          `json:"current_state"`
	StateCode      int          `json:"state_code" doc:"Same as current_state."`
	Status         Status       `json:"status" enum:"pending,in_progress,completed,failed,cancelled"`
	Message        *string      `json:"message"`
	Attempt        int          `json:"attempt"`
	LastUpdated    time.Time    `json:"last_updated"`
	LastTransition time.Time    `json:"last_transition" doc:"Same as last_updated."`
	TransitionedAt time.Time    `json:"transitioned_at" doc:"Same as last_updated."`
	History        []StateBrief `json:"history" doc:"Oldest first; the newest 1000."`
	StateHistory   []ShownState `json:"state_history" doc:"Newest first; the newest 1000."`
}

// A StateBrief is one line of StateView.History.
type StateBrief struct {
	StateCode int       `json:"state_code"`
	Status    Status    `json:"status"`
	Timestamp time.Time `json:"timestamp"`
	Message   *string   `json:"message"`
	Attempt   int       `json:"attempt"`
}
