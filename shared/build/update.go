package build

import (
	"encoding/json"
	"time"

	"bldst/shared/api"
	"bldst/shared/problem"
)

// An UpdateIn is the body of PUT /builds/{id}: any subset.
type UpdateIn struct {
	CurrentState  api.IntOrString `json:"current_state,omitzero" doc:"0-100 or the name of a state."`
	Status        string          `json:"status,omitempty" maxLength:"100"`
	EndTime       *time.Time      `json:"end_time,omitempty"`
	AMIID         *string         `json:"ami_id,omitempty" maxLength:"200"`
	ImageID       *string         `json:"image_id,omitempty" maxLength:"200"`
	Manifest      json.RawMessage `json:"packer_manifest,omitempty"`
	Description   *string         `json:"description,omitempty" maxLength:"2000"`
	BuildMetadata json.RawMessage `json:"build_metadata,omitempty"`
	Message       string          `json:"message,omitempty" maxLength:"4000"`
	CommitHash    *string         `json:"commit_hash,omitempty" maxLength:"200"`
	PipelineURL   *string         `json:"pipeline_url,omitempty" maxLength:"2000"`
	Attempt       *int            `json:"attempt,omitempty" minimum:"1" maximum:"1000000"`
}

// Update applies in to b. Where the build is and how it goes can be changed
// only while it has not ended; what it produced always.
func (b *Build) Update(in UpdateIn, rules Rules, now time.Time) (Entry, error) {
	if in.CurrentState.IsSet() || in.Status != "" {
		if err := b.move(in, rules, now); err != nil {
			return Entry{}, err
		}
	}
	for _, f := range []struct{ to, from *string }{{&b.AMIID, in.AMIID}, {&b.ImageID, in.ImageID}, {&b.Description, in.Description},
		{&b.CommitHash, in.CommitHash}, {&b.PipelineURL, in.PipelineURL}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	for _, f := range []struct {
		name string
		to   *json.RawMessage
		from json.RawMessage
	}{{"packer_manifest", &b.Manifest, in.Manifest}, {"build_metadata", &b.Metadata, in.BuildMetadata}} {
		if len(f.from) > MaxMetadata {
			return Entry{}, problem.New(problem.TooLarge, "%s is larger than %d bytes; store it elsewhere and send its address.", f.name, MaxMetadata)
		}
		if !isNull(f.from) {
			*f.to = f.from
		}
	}
	if in.EndTime != nil && b.EndTime != nil {
		end := in.EndTime.UTC()
		b.EndTime = &end
	}
	return NewEntry(Updated, in)
}

// move is the part of Update that is a report.
func (b *Build) move(in UpdateIn, rules Rules, now time.Time) error {
	report := ReportIn{StateCode: in.CurrentState, Status: in.Status, Message: in.Message, Attempt: in.Attempt}
	how, known := ParseStatus(in.Status)
	if in.Status != "" && !known {
		return problem.BadField("status", "enum", "One of pending, in_progress, completed, failed, cancelled")
	}
	if !in.CurrentState.IsSet() {
		code := b.Current
		report.StateCode = api.IntOrString{Int: &code}
	}
	r, err := report.Normalise(b.Current, rules)
	if err != nil {
		return err
	}
	if err := b.open(); err != nil {
		return err
	}
	if b.Cancelling = b.Cancelling || r.How == Cancelled; r.How == Cancelled { // PUT asks for it by itself
		r.Attempt = 0
	}
	if _, err := b.Advance(r, rules, now); err != nil {
		return err
	}
	if known && how == Completed && b.Status != Completed { // PUT speaks of the build, a report of a state
		b.end(Completed, now)
		b.Deadline = nil
		b.followResume(r.At, Completed)
	}
	return nil
}
