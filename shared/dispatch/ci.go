// Package dispatch tells the CI that owns a build to go on with it: it starts
// the job, workflow or pipeline that the project names, with the build, the
// attempt and the state to resume from as its parameters.
package dispatch

import (
	"context"
	"slices"
	"strings"
	"time"

	"bldst/shared/build"
	"bldst/shared/outbound"
	"bldst/shared/problem"
	"bldst/shared/secret"
)

// The kinds of CI.
const (
	Concourse = "concourse"
	Jenkins   = "jenkins"
	GitHub    = "github-actions"
	GitLab    = "gitlab-ci"
	Webhook   = "webhook"
)

// A CI is where the builds of a project are made, and how their jobs are
// started. It holds a reference to the credential, never the credential.
type CI struct {
	Kind       string `json:"kind" required:"true" enum:"concourse,jenkins,github-actions,gitlab-ci,webhook"`
	URL        string `json:"url,omitempty" maxLength:"2000" doc:"Of the server; default https://api.github.com and https://gitlab.com. Of a webhook: where it is sent."`
	Credential string `json:"credential_ref,omitempty" maxLength:"600" doc:"env:BLDST_CI_NAME, ssm:/bldst/NAME or secretsmanager:bldst/NAME. It refers to: concourse a token, or user:password; jenkins user:token; github-actions a token; gitlab-ci a trigger token; webhook the secret that signs."`
	Team       string `json:"team,omitempty" maxLength:"200" doc:"concourse; default main."`
	Pipeline   string `json:"pipeline,omitempty" maxLength:"200" doc:"concourse."`
	Job        string `json:"job,omitempty" maxLength:"500" doc:"concourse and jenkins; in folders as folder/name."`
	Vars       string `json:"vars,omitempty" enum:"instance,none" doc:"concourse: instance (default) sets an instance of the pipeline with the parameters as its vars and starts its job; none starts the job of the pipeline as it is."`
	Repository string `json:"repository,omitempty" maxLength:"500" doc:"github-actions owner/name; gitlab-ci group/name or the number of the project."`
	Workflow   string `json:"workflow,omitempty" maxLength:"200" doc:"github-actions: file of the workflow; without one a repository_dispatch event bldst-resume is sent."`
	Ref        string `json:"ref,omitempty" maxLength:"200" doc:"github-actions and gitlab-ci: branch or tag; default main."`
}

// A ProjectCI is the CI of a project as it is stored.
type ProjectCI struct {
	CI
	ProjectID string    `json:"project_id"`
	UpdatedAt time.Time `json:"updated_at"`
	UpdatedBy string    `json:"updated_by"`
	Rev       int64     `json:"-"`
}

// defaults are what a field is when it was not given.
func (c *CI) defaults() {
	set := func(field *string, kind, value string) {
		if c.Kind == kind && *field == "" {
			*field = value
		}
	}
	set(&c.Team, Concourse, "main")
	set(&c.Vars, Concourse, "instance")
	set(&c.URL, GitHub, "https://api.github.com")
	set(&c.URL, GitLab, "https://gitlab.com")
	set(&c.Ref, GitHub, "main")
	set(&c.Ref, GitLab, "main")
	c.URL = strings.TrimRight(c.URL, "/")
}

// Check completes c and returns a problem for what could not work: a missing
// part, an address that may not be reached, a credential that is none.
func (c *CI) Check(allow outbound.Allow) error {
	c.defaults()
	if c.URL == "" {
		return problem.Missing("url")
	}
	if _, err := allow.URL(c.URL); err != nil {
		return problem.New(problem.Refused, "url: %s", err)
	}
	if c.Credential == "" && c.Kind != Webhook {
		return problem.Missing("credential_ref")
	}
	if c.Credential != "" {
		if err := secret.Check(c.Credential); err != nil {
			return err
		}
	}
	if (c.Kind == GitHub || c.Kind == GitLab) && c.Repository == "" {
		return problem.Missing("repository")
	}
	if owner, name, ok := strings.Cut(c.Repository, "/"); c.Kind == GitHub && (!ok || owner == "" || name == "" || strings.Contains(name, "/")) {
		return problem.BadField("repository", "value_error", "A repository is given as owner/name")
	}
	return nil
}

// An Order asks for the job that goes on with a build.
type Order struct {
	RequestID   string
	BuildID     string
	BuildNumber string
	ProjectID   string
	Attempt     int
	From        int
	To          *int
	Targets     []string // of the state From, what is to be done; nil for all of it
	Reason      string
	CI          *ProjectCI // of the project, nil when it has none
	Override    Override   // of the request
	Last        *LastJob   // the newest job of the build, nil without one
	Unsure      bool       // an earlier try may have started the job
	UnsureSince time.Time
}

// An Override is the orchestration_config of a resume request.
type Override struct {
	Platform string `json:"platform,omitempty"`
	Pipeline string `json:"pipeline,omitempty"`
	Job      string `json:"job,omitempty"`
	Webhook  string `json:"trigger_webhook,omitempty"`
}

// A LastJob is a job that worked on the build.
type LastJob struct {
	Platform string `json:"platform"`
	Pipeline string `json:"pipeline_name"`
	Job      string `json:"job_name"`
	URL      string `json:"job_url"`
}

// errNoCI says that nobody has named a CI.
var errNoCI error = problem.New(problem.Refused, "The project has no CI that could be told; name one with PUT /projects/{id}/ci, or start the job yourself.")

// target returns what is to be started: the project's CI, with what the request
// wants instead, and with what the newest job says where neither says anything.
func (o Order) target() (CI, error) {
	if o.CI == nil && o.Override.Webhook == "" {
		return CI{}, errNoCI
	}
	var c CI
	if o.CI != nil {
		c = o.CI.CI
	}
	c.defaults()
	switch {
	case o.Override.Webhook != "" && c.Kind != Webhook:
		return CI{Kind: Webhook, URL: o.Override.Webhook}, nil
	case o.Override.Webhook != "":
		c.URL = o.Override.Webhook
		return c, nil
	case o.Override.Platform != "" && !strings.EqualFold(o.Override.Platform, c.Kind):
		return CI{}, problem.New(problem.Refused, "The request asks for %s, and the CI of the project is %s.", o.Override.Platform, c.Kind)
	}
	o.name(&c)
	return c, c.startable()
}

// name fills in which pipeline and job it is.
func (o Order) name(c *CI) {
	pipeline, job := []string{o.Override.Pipeline, c.Pipeline}, []string{o.Override.Job, c.Job}
	if c.Kind == GitHub {
		job = []string{o.Override.Job, o.Override.Pipeline, c.Workflow}
	}
	if o.Last != nil && strings.EqualFold(o.Last.Platform, c.Kind) && c.Kind != GitHub {
		pipeline, job = append(pipeline, o.Last.Pipeline), append(job, o.Last.Job)
	}
	c.Pipeline = first(pipeline)
	if c.Kind == GitHub {
		c.Workflow = first(job)
		return
	}
	c.Job = first(job)
}

func first(words []string) string {
	if i := slices.IndexFunc(words, func(w string) bool { return w != "" }); i >= 0 {
		return words[i]
	}
	return ""
}

func (c CI) startable() error {
	switch {
	case (c.Kind == Concourse || c.Kind == Jenkins) && c.Job == "":
		return problem.New(problem.Refused, "The CI of the project names no job, and the build had none.")
	case c.Kind == Concourse && c.Pipeline == "":
		return problem.New(problem.Refused, "The CI of the project names no pipeline, and the build had none.")
	}
	return nil
}

// An Outcome is what became of an order.
type Outcome struct {
	Status string // one of build's: pending (to be tried again), triggered, failed
	JobID  string
	JobURL string
	Error  string // for a person, without secrets
	Unsure bool   // with pending: the job may have been started
}

// The statuses of an Outcome.
const (
	Pending   = "pending"
	Triggered = "triggered"
	Failed    = "failed"
)

// A Store keeps which CI a project has and which orders were carried out.
// Where it takes a project it accepts its id or name and returns NotFound when
// there is none.
type Store interface {
	// CI returns the CI of a project; NotFound when it has none.
	CI(ctx context.Context, project string) (*ProjectCI, error)
	// ChangeCI lets f change the CI of a project, an empty one when it has
	// none, and stores it.
	ChangeCI(ctx context.Context, project string, f func(*ProjectCI) error) (*ProjectCI, error)
	// DeleteCI removes the CI of a project, unless check refuses.
	DeleteCI(ctx context.Context, project string, check func(*ProjectCI) error) error
}

// Orders hands out orders, one at a time for each resume request.
type Orders interface {
	// ClaimOrder returns the order for the resume request in e, for this
	// caller alone for some minutes, and how often it was claimed; nil when it
	// was carried out or has become pointless. Unavailable while another has
	// claimed it.
	ClaimOrder(ctx context.Context, e build.Event) (o *Order, tries int, err error)
	// FinishOrder puts down what became of a claimed order, there and on its
	// resume request.
	FinishOrder(ctx context.Context, o *Order, out Outcome) error
}
