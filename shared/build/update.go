package build

import (
	"encoding/json"
	"time"

	"bldst/shared/api"
	"bldst/shared/problem"
)

// An UpdateIn is the body of PUT /builds/{id}: any subset.
type UpdateIn struct {
	CurrentState  api.IntOrString   `json:"current_state,omitzero" doc:"0-100 or the name of a state."`
	StateCode     api.IntOrString   `json:"state_code,omitzero" doc:"Alias of current_state."`
	Status        string            `json:"status,omitempty" maxLength:"100" doc:"As in a report: completed only with state 100 or one its project marks as final."`
	EndTime       *api.Time         `json:"end_time,omitempty"`
	AMIID         *string           `json:"ami_id,omitempty" maxLength:"2000" doc:"Also as Packer writes those of many regions: us-east-1:ami-0abc,eu-west-1:ami-0def"`
	AMIIDs        map[string]string `json:"ami_ids,omitempty" doc:"The image of each region. Instead of ami_id."`
	ImageID       *string           `json:"image_id,omitempty" maxLength:"2000"`
	Manifest      json.RawMessage   `json:"packer_manifest,omitempty" doc:"An object or a list."`
	Description   *string           `json:"description,omitempty" maxLength:"2000"`
	BuildMetadata json.RawMessage   `json:"build_metadata,omitempty" doc:"An object."`
	Metadata      json.RawMessage   `json:"metadata,omitempty" doc:"Alias of build_metadata."`
	Message       string            `json:"message,omitempty" doc:"The middle of one longer than 4000 characters is left out."`
	CommitHash    *string           `json:"commit_hash,omitempty" maxLength:"200"`
	PipelineURL   *string           `json:"pipeline_url,omitempty" maxLength:"2000"`
	ConcourseURL  *string           `json:"concourse_pipeline_url,omitempty" maxLength:"2000" doc:"Alias of pipeline_url."`
	AllowPartial  bool              `json:"allow_partial,omitempty" doc:"As in a report."`
	Attempt       *int              `json:"attempt,omitempty" minimum:"1" maximum:"1000000"`
}

// normalise is the one place that knows the spellings of a change.
func (in UpdateIn) normalise() (UpdateIn, error) {
	if !in.CurrentState.IsSet() {
		in.CurrentState = in.StateCode
	}
	if in.PipelineURL == nil {
		in.PipelineURL = in.ConcourseURL
	}
	in.Message = cut(in.Message, MaxText)
	name := "build_metadata"
	if isNull(in.BuildMetadata) {
		name, in.BuildMetadata = "metadata", in.Metadata
	}
	in.StateCode, in.ConcourseURL, in.Metadata = api.IntOrString{}, nil, nil
	var err error
	if in.BuildMetadata, err = object(name, in.BuildMetadata); err != nil {
		return in, err
	}
	if m := in.Manifest; !isNull(m) && m[0] != '{' && m[0] != '[' {
		return in, problem.BadField("packer_manifest", "type_error", "Expected an object or a list")
	}
	if len(in.AMIIDs) > 0 {
		in.AMIID, err = joinAMIs(in.AMIIDs)
	}
	return in, err
}

// Update applies in to b. Where the build is and how it goes can be changed
// only while it has not ended; what it produced always.
func (b *Build) Update(in UpdateIn, rules Rules, now time.Time) (Entry, error) {
	in, err := in.normalise()
	if err != nil {
		return Entry{}, err
	}
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
	if end := in.EndTime.At(); end != nil && b.EndTime != nil {
		b.EndTime = end
	}
	return NewEntry(Updated, in)
}

// move is the part of Update that is a report.
func (b *Build) move(in UpdateIn, rules Rules, now time.Time) error {
	report := ReportIn{StateCode: in.CurrentState, Status: in.Status, Message: in.Message, Attempt: in.Attempt, AllowPartial: in.AllowPartial}
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
	if how == Completed && r.How != Completed || how == Completed && b.Status != Completed {
		if err := b.completable(r, rules); err != nil {
			return err
		}
	}
	if b.Cancelling = b.Cancelling || r.How == Cancelled; r.How == Cancelled { // PUT asks for it by itself
		r.Attempt = 0
	}
	_, err = b.Advance(r, rules, now)
	return err
}

// completable refuses to complete a build by saying so: its last state must be
// done, and a failed build must be resumed. It says how.
func (b *Build) completable(r Report, rules Rules) error {
	switch {
	case b.Status == Failed:
		return problem.New(problem.Conflict, "Attempt %d failed in state %d, and a change of the build is no work on it. Resume it (POST /builds/%s/resume, bldst build resume %s), "+
			"or report the state that is done by now (POST /builds/%s/state, bldst state update %s --state CODE --status completed).", b.Attempt, b.Current, b.ID, b.ID, b.ID, b.ID)
	case r.How != Completed || r.At != LastState && !rules.Final(r.At):
		return problem.New(problem.Conflict, "The build is in state %d and is completed by state %d, or one its project marks as final. Send current_state %d with the status, "+
			"or report it: POST /builds/%s/state, bldst state update %s --state %d --status completed.", b.Current, LastState, LastState, b.ID, b.ID, LastState)
	}
	return nil
}
