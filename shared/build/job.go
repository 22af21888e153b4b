package build

import (
	"context"
	"strings"
	"time"

	"bldst/shared/api"
	"bldst/shared/problem"
)

// A Job is a job of a CI system that works, or worked, on a build. Its status
// is what that system says: evidence, never the state of the build. The row in
// the table is its JSON.
type Job struct {
	ID          string     `json:"id"`
	BuildID     string     `json:"build_id"`
	Platform    string     `json:"platform"`
	Pipeline    *string    `json:"pipeline_name"`
	Name        string     `json:"job_name"`
	URL         *string    `json:"job_url"`
	JobID       *string    `json:"job_id" doc:"Its id in the CI system."`
	Number      *string    `json:"build_number" doc:"Its number in the CI system."`
	TriggeredBy *string    `json:"triggered_by"`
	Source      *string    `json:"trigger_source"`
	Status      JobStatus  `json:"status" enum:"pending,running,success,failed,aborted"`
	Said        *string    `json:"ci_status" doc:"What the CI called the status, when it has another word for it."`
	Resume      bool       `json:"is_resume_job"`
	ResumedFrom *int       `json:"resumed_from_state"`
	ParentID    *string    `json:"parent_job_id"`
	Attempt     int        `json:"attempt" doc:"Of the build, when the job was registered."`
	StartedAt   *time.Time `json:"started_at"`
	CompletedAt *time.Time `json:"completed_at"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	Rev         int64      `json:"-"`
}

// A JobStatus says how a job is going.
type JobStatus string

// The statuses of jobs.
const (
	JobPending JobStatus = "pending"
	JobRunning JobStatus = "running"
	JobSuccess JobStatus = "success"
	JobFailed  JobStatus = "failed"
	JobAborted JobStatus = "aborted"
)

// say sets how j is going in the word of its CI, which is kept when it is
// another one than ours. Invalid when nobody knows the word.
func (j *Job) say(word string, now time.Time) error {
	m, known := ParseWord(word)
	if !known {
		return problem.BadField("status", "enum", "One of pending, running, success, failed, aborted, or what a CI calls them")
	}
	if j.Said = nil; !strings.EqualFold(word, string(m.Job)) {
		j.Said = &word
	}
	j.move(m.Job, now)
	return nil
}

// move sets the status of j, and when it began and ended if nobody says.
func (j *Job) move(s JobStatus, now time.Time) {
	j.Status = s
	switch s {
	case JobPending:
	case JobRunning:
		if j.StartedAt == nil {
			j.StartedAt = &now
		}
	default:
		if j.CompletedAt == nil {
			j.CompletedAt = &now
		}
	}
}

// A JobStore keeps the jobs of builds. ref is the id or number of the build,
// which must exist (NotFound "Build REF not found").
type JobStore interface {
	// AddJob stores the job f makes.
	AddJob(ctx context.Context, ref string, f func(b *Build, now time.Time) (*Job, error)) (*Job, error)
	// Jobs returns a page, newest first.
	Jobs(ctx context.Context, ref string, q PageQuery) ([]*Job, string, error)
	// ChangeJob lets f change a job and stores it; NotFound "Build job X not
	// found for build REF".
	ChangeJob(ctx context.Context, ref, job string, f func(j *Job, now time.Time) error) (*Job, error)
}

// A JobIn is the body of POST /builds/{id}/jobs.
type JobIn struct {
	Platform     string  `json:"platform" required:"true" minLength:"1" maxLength:"50" doc:"concourse, jenkins, gitlab-ci, github-actions ..."`
	JobName      string  `json:"job_name" required:"true" minLength:"1" maxLength:"300"`
	PipelineName *string `json:"pipeline_name,omitempty" maxLength:"300"`
	JobURL       *string `json:"job_url,omitempty" maxLength:"2000"`
	JobID        *string `json:"job_id,omitempty" maxLength:"300"`
	BuildNumber  *string `json:"build_number,omitempty" maxLength:"300"`
	TriggeredBy  *string `json:"triggered_by,omitempty" maxLength:"200"`
	Source       *string `json:"trigger_source,omitempty" maxLength:"50" doc:"manual, webhook, schedule, resume ..."`
	Status       string  `json:"status,omitempty" maxLength:"50" doc:"pending (the default), running, success, failed or aborted, or what the CI calls them."`
	IsResumeJob  bool    `json:"is_resume_job,omitempty"`
	ResumedFrom  *int    `json:"resumed_from_state,omitempty" minimum:"0" maximum:"100"`
	ParentJobID  *string `json:"parent_job_id,omitempty" maxLength:"200"`
	Claimed
}

// Job returns the new job of b that in describes.
func (in JobIn) Job(b *Build, now time.Time) (*Job, error) {
	j := &Job{BuildID: b.ID, Platform: in.Platform, Pipeline: in.PipelineName, Name: in.JobName, URL: in.JobURL, JobID: in.JobID, Number: in.BuildNumber,
		TriggeredBy: in.TriggeredBy, Source: in.Source, Resume: in.IsResumeJob, ResumedFrom: in.ResumedFrom, ParentID: in.ParentJobID,
		Attempt: b.Attempt, CreatedAt: now, UpdatedAt: now}
	return j, j.say(either(in.Status, string(JobPending)), now)
}

// A JobPatch is the body of PATCH /builds/{id}/jobs/{jid}: any subset.
type JobPatch struct {
	Status      string    `json:"status,omitempty" maxLength:"50" doc:"As in POST."`
	StartedAt   *api.Time `json:"started_at,omitempty" doc:"Default: when it is first said to run."`
	CompletedAt *api.Time `json:"completed_at,omitempty" doc:"Default: when it is first said to have ended."`
	Claimed
}

// Apply changes j.
func (p JobPatch) Apply(j *Job, now time.Time) error {
	setTime(&j.StartedAt, p.StartedAt)
	setTime(&j.CompletedAt, p.CompletedAt)
	j.UpdatedAt = now
	if p.Status == "" {
		return nil
	}
	return j.say(p.Status, now)
}

// setTime sets a time that is given.
func setTime(to **time.Time, from *api.Time) {
	if from != nil {
		*to = from.At()
	}
}
