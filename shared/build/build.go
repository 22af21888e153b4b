// Package build is the life of one image build: the states it walks through,
// its failures, its history, what it leaves behind for a resume, and the rules
// that decide what may follow what. The rules are pure; package store keeps
// the rows and package api serves them.
package build

import (
	"context"
	"encoding/json"
	"strconv"
	"time"
)

// A Status says how a build, or one of its states, is going.
type Status string

// The statuses.
const (
	Pending    Status = "pending"
	InProgress Status = "in_progress"
	Completed  Status = "completed"
	Failed     Status = "failed"
	Cancelled  Status = "cancelled"
)

// Statuses lists every status, in the order the documentation shows them.
var Statuses = []Status{Pending, InProgress, Completed, Failed, Cancelled}

// Next lists the statuses a build may take from each. A failed build may move
// again: that is a resume. A status without an entry is final.
var Next = map[Status][]Status{
	Pending:    {Pending, InProgress, Completed, Failed, Cancelled},
	InProgress: {InProgress, Completed, Failed, Cancelled},
	Failed:     {InProgress, Completed, Failed, Cancelled},
}

// Final reports whether nothing may follow s.
func (s Status) Final() bool { return s == Completed || s == Cancelled }

// Active reports whether a build with status s is being worked on.
func (s Status) Active() bool { return s == Pending || s == InProgress }

// The range of state codes. A code is also read as a percentage.
const (
	FirstState = 0
	LastState  = 100
)

// A Build is one run of an image build, over all its attempts. The row in the
// table is its JSON.
type Build struct {
	ID             string `json:"id"`
	Number         string `json:"build_number"`
	ProjectID      string `json:"project_id"`
	PlatformID     string `json:"platform_id,omitempty"`
	OSVersionID    string `json:"os_version_id,omitempty"`
	ImageTypeID    string `json:"image_type_id,omitempty"`
	CloudProvider  string `json:"cloud_provider_id,omitempty"`
	OSDistribution string `json:"os_distribution_id,omitempty"`
	ImageVariant   string `json:"image_variant_id,omitempty"`

	Current       int        `json:"current_state"`
	Status        Status     `json:"status"`
	Message       string     `json:"message,omitempty"`
	Attempt       int        `json:"attempt"`
	FailedState   *int       `json:"failed_state,omitempty"`
	LastCompleted *int       `json:"last_successful_state,omitempty"`
	FailureClass  Class      `json:"failure_class,omitempty"`
	Marks         Marks      `json:"marks,omitempty"`
	Cancelling    bool       `json:"cancel_requested,omitempty"`
	Deadline      *time.Time `json:"deadline_at,omitempty"`
	Recovering    *int       `json:"recovering_state,omitempty"` // where the attempt before failed, until this one gets past it
	Decision      *Decision  `json:"decision,omitempty"`         // about the newest failure that was decided about

	Resume *ResumeState `json:"resume,omitempty"` // the newest resume request

	Base     *Base             `json:"base,omitempty"`
	Inputs   map[string]string `json:"inputs,omitempty"`
	Metadata json.RawMessage   `json:"build_metadata,omitempty"`

	Description   string          `json:"description,omitempty"`
	CreatedBy     string          `json:"created_by,omitempty"`
	PipelineURL   string          `json:"pipeline_url,omitempty"`
	JobName       string          `json:"concourse_job_name,omitempty"`
	CommitHash    string          `json:"commit_hash,omitempty"`
	AMIID         string          `json:"ami_id,omitempty"`
	ImageID       string          `json:"image_id,omitempty"`
	Manifest      json.RawMessage `json:"packer_manifest,omitempty"`
	StartTime     *time.Time      `json:"start_time,omitempty"`
	EndTime       *time.Time      `json:"end_time,omitempty"`
	WorkedMS      int64           `json:"worked_ms,omitempty"` // in all attempts together, see Work
	CreatedAt     time.Time       `json:"created_at"`
	UpdatedAt     time.Time       `json:"updated_at"`
	DeactivatedAt *time.Time      `json:"deactivated_at,omitempty"`

	Head Head  `json:"head"`
	Rev  int64 `json:"-"`

	// Lease is the worker's lease, kept in a row of its own; nil when unknown.
	Lease *Lease `json:"-"`
	// Execution is the ARN of the execution that drives the build. While there
	// is one it is kept in a row of its own; "" when unknown.
	Execution string `json:"execution_arn,omitempty"`
	// ETA is when the build is probably done; lists know it.
	ETA *time.Time `json:"-"`
}

// A Base is what a build starts from.
type Base struct {
	Key    string `json:"key" required:"true" minLength:"1" maxLength:"500" doc:"What the base is, e.g. the name of the parent image."`
	Digest string `json:"digest" required:"true" minLength:"1" maxLength:"200" doc:"The digest of exactly that base, e.g. sha256:..."`
}

// Copy returns a build that can be changed without changing b.
func (b *Build) Copy() *Build {
	c := *b
	c.Marks = make(Marks, len(b.Marks)+1)
	for k, v := range b.Marks {
		c.Marks[k] = v
	}
	return &c
}

// Line is the image line a build belongs to: what it builds, for which place.
// It stands in addresses as it is.
func (b *Build) Line() string {
	return b.ProjectID + "~" + b.PlatformID + "~" + b.OSVersionID + "~" + b.ImageTypeID
}

// A Store keeps builds. Every method that takes a ref accepts the id or the
// build number and returns NotFound ("Build not found") when there is none,
// and Forbidden when the caller's credential is bound to other projects.
type Store interface {
	// CreateBuild resolves the references of c and stores the new build with
	// the first row of its history. When the number is taken it returns the
	// build that has it together with a Conflict.
	CreateBuild(ctx context.Context, c Create) (*Build, error)
	// Build returns the build ref with its lease; a deleted one only when
	// deleted is true.
	Build(ctx context.Context, ref string, deleted bool) (*Build, error)
	// Builds returns a page of builds, newest first.
	Builds(ctx context.Context, f Filter) ([]*Build, string, error)
	// ChangeBuild reads the build ref, lets f change it, and stores the
	// result and its history entry in one transaction, again when somebody
	// else changed the build meanwhile. f returns the entry; a problem it
	// returns is returned, and nothing is stored. It returns the build and
	// the entry as they were stored.
	ChangeBuild(ctx context.Context, ref string, f Change) (*Build, Entry, error)
	// RestoreBuild brings a deleted build back; Conflict when its number was
	// taken meanwhile.
	RestoreBuild(ctx context.Context, id string) (*Build, error)
	// History returns a page of the history of the build ref, oldest first
	// unless newest is true, only of the given types if any.
	History(ctx context.Context, ref string, p HistoryQuery) (*Build, []Row, string, error)
	// Recent returns a page of the builds, those changed last first.
	Recent(ctx context.Context, limit int, cursor string) ([]*Build, string, error)
	// Summary returns the counters of the dashboard.
	Summary(ctx context.Context) (*Summary, error)
	// Platform returns the counters of one platform, and its newest builds.
	Platform(ctx context.Context, ref string) (*PlatformSummary, error)
}

// A Change is what ChangeBuild does: it changes b in place, knowing the rules
// of its project and the time, and returns what the history is to say of it.
type Change func(b *Build, rules Rules, now time.Time) (Entry, error)

// A Filter selects builds. Zero fields select all.
type Filter struct {
	Project, Platform string // id or name
	Status            Status
	Deleted           bool // deleted ones too
	Skip, Limit       int
	Cursor            string
}

// Rules are the parts of a project that decide about its builds.
type Rules interface {
	// Code returns the number of the state with that name, and what reporting
	// it means; an Invalid problem that names the known ones when there is
	// none.
	Code(name string) (Code, error)
	// Final reports whether completing code completes the build.
	Final(code int) bool
	// Windows returns how long a worker in the state may be silent, and how
	// long the state may take.
	Windows(code int) (heartbeat, limit time.Duration)
	// Name returns the name of a state, "" when it has none.
	Name(code int) string
	// ResumeConfig returns what the project says about resuming from a state,
	// nil when it says nothing.
	ResumeConfig(code int) *ResumeConfig
}

// A Code is what the name of a state stands for. Error and Cancels names stand
// for no progress: reporting them fails or cancels the build where it is.
type Code struct {
	Number  int
	Error   bool
	Cancels bool
	Final   bool
}

// formatCode writes a code as it stands in sentences.
func formatCode(c int) string { return strconv.Itoa(c) }
