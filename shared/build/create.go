package build

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"bldst/shared/problem"
)

// A CreateIn is the body of POST /builds in every generation: references by
// id, slug or name, under the _id name or the older one.
type CreateIn struct {
	ProjectID      string `json:"project_id,omitempty" maxLength:"200" doc:"Default: the project named default."`
	Project        string `json:"project,omitempty" maxLength:"200" doc:"Alias of project_id."`
	PlatformID     string `json:"platform_id,omitempty" maxLength:"200"`
	Platform       string `json:"platform,omitempty" maxLength:"200" doc:"Alias of platform_id."`
	OSVersionID    string `json:"os_version_id,omitempty" maxLength:"200"`
	OSVersion      string `json:"os_version,omitempty" maxLength:"200" doc:"Alias of os_version_id."`
	ImageTypeID    string `json:"image_type_id,omitempty" maxLength:"200"`
	ImageType      string `json:"image_type,omitempty" maxLength:"200" doc:"Alias of image_type_id."`
	CloudProvider  string `json:"cloud_provider_id,omitempty" maxLength:"200"`
	OSDistribution string `json:"os_distribution_id,omitempty" maxLength:"200"`
	ImageVariant   string `json:"image_variant_id,omitempty" maxLength:"200"`

	BuildNumber string `json:"build_number,omitempty" minLength:"1" maxLength:"200" doc:"Unique; made when absent."`
	BuildID     string `json:"build_id,omitempty" minLength:"1" maxLength:"200" doc:"Alias of build_number."`

	Description   string          `json:"description,omitempty" maxLength:"2000"`
	BuildMetadata json.RawMessage `json:"build_metadata,omitempty"`
	Metadata      json.RawMessage `json:"metadata,omitempty" doc:"Alias of build_metadata."`
	CreatedBy     string          `json:"created_by,omitempty" maxLength:"200" doc:"Default: the caller."`
	ConcourseURL  string          `json:"concourse_pipeline_url,omitempty" maxLength:"2000"`
	PipelineURL   string          `json:"pipeline_url,omitempty" maxLength:"2000" doc:"Alias of concourse_pipeline_url."`
	ConcourseJob  string          `json:"concourse_job_name,omitempty" maxLength:"200"`
	CommitHash    string          `json:"commit_hash,omitempty" maxLength:"200"`

	Base   *Base             `json:"base,omitempty" doc:"What the build starts from."`
	Inputs map[string]string `json:"inputs,omitempty" doc:"Digests of what goes into the image, by name."`
}

// A Create is a normalised CreateIn. References are still as the caller wrote
// them.
type Create struct {
	Build
	Attach    bool // when the number is taken by the same build, return that one
	NoProject bool // the caller named no project
}

// DefaultProject is the name of the project of builds that name none.
const DefaultProject = "default"

// Limits of what a build carries.
const (
	MaxMetadata = 64 << 10 // bytes of a metadata document
	MaxInputs   = 200
)

// Normalise is the one place that knows the spellings of a new build.
func (in CreateIn) Normalise() (Create, error) {
	var c Create
	b := &c.Build
	b.Number = either(in.BuildNumber, in.BuildID)
	c.NoProject = either(in.ProjectID, in.Project) == ""
	b.ProjectID = either(in.ProjectID, in.Project, DefaultProject)
	b.PlatformID = either(in.PlatformID, in.Platform)
	b.OSVersionID = either(in.OSVersionID, in.OSVersion)
	b.ImageTypeID = either(in.ImageTypeID, in.ImageType)
	b.CloudProvider, b.OSDistribution, b.ImageVariant = in.CloudProvider, in.OSDistribution, in.ImageVariant
	b.Description, b.CreatedBy, b.CommitHash = in.Description, in.CreatedBy, in.CommitHash
	b.PipelineURL, b.JobName = either(in.ConcourseURL, in.PipelineURL), in.ConcourseJob
	b.Base, b.Inputs = in.Base, in.Inputs
	var err error
	if b.Metadata, err = object("build_metadata", in.BuildMetadata); err == nil && b.Metadata == nil {
		b.Metadata, err = object("metadata", in.Metadata)
	}
	if err != nil {
		return c, err
	}
	return c, c.check()
}

func (c *Create) check() error {
	if why := oddNumber(c.Number); why != "" {
		return problem.BadField("build_number", "value_error", "%s; leave it out, or look whether a variable of the CI is not set", why)
	}
	if len(c.Metadata) > MaxMetadata {
		return problem.New(problem.TooLarge, "build_metadata is larger than %d bytes; store it elsewhere and send its address.", MaxMetadata)
	}
	if len(c.Inputs) > MaxInputs {
		return problem.BadField("inputs", "too_long", "At most %d inputs", MaxInputs)
	}
	for name, digest := range c.Inputs {
		if name == "" || len(name) > 200 || digest == "" || len(digest) > 200 {
			return problem.BadField("inputs", "value_error", "Names and digests of inputs have 1 to 200 characters")
		}
	}
	return nil
}

// oddNumber returns why a build cannot be found by number, or would be found by
// everybody whose variable is not set; "" when it can.
func oddNumber(number string) string {
	tail := number[strings.LastIndexAny(number, "-_./:#")+1:]
	switch {
	case number == "":
		return ""
	case strings.TrimSpace(number) == "":
		return "The build number is blank"
	case number != strings.TrimSpace(number):
		return "The build number begins or ends with a blank"
	case strings.ContainsFunc(number, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }):
		return "A build number holds no control characters"
	case number == "." || number == "..":
		return "The build number is a step of a path, not a name"
	case strings.ContainsAny(number[:1], "-_") || tail == "":
		return "The build number '" + clipText(number) + "' is only half of one"
	case strings.EqualFold(tail, "null") || strings.EqualFold(tail, "undefined"):
		return "The build number '" + clipText(number) + "' ends in what a program writes for nothing"
	case strings.Contains(number, "${") || strings.Contains(number, "$(") || strings.Contains(number, "{{"):
		return "The build number '" + clipText(number) + "' holds a variable that was not replaced"
	}
	return ""
}

// Start makes c the first state of a build that exists from now on.
func (c *Create) Start(id, actor string, now time.Time) {
	b := &c.Build
	b.ID, b.Status, b.Attempt = id, Pending, 1
	b.CreatedAt, b.UpdatedAt, b.Rev = now, now, 1
	if b.CreatedBy == "" {
		b.CreatedBy = actor
	}
	if b.Number == "" {
		b.Number = fmt.Sprintf("%s-%s", now.Format("2006.01.02"), id[max(0, len(id)-8):])
	}
}

// Same reports whether b is the build c asks for: the same number with the
// same references, as far as c gives any.
func (c *Create) Same(b *Build) error {
	for _, r := range []struct{ name, want, have string }{
		{"project", c.ProjectID, b.ProjectID}, {"platform", c.PlatformID, b.PlatformID},
		{"OS version", c.OSVersionID, b.OSVersionID}, {"image type", c.ImageTypeID, b.ImageTypeID},
	} {
		if r.want != "" && r.want != r.have && !(r.name == "project" && c.NoProject) {
			return problem.New(problem.Conflict, "Build number '%s' exists with id '%s' and another %s: '%s', not '%s'", b.Number, b.ID, r.name, r.have, r.want)
		}
	}
	return nil
}

func either(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func isNull(m json.RawMessage) bool { return len(m) == 0 || string(m) == "null" }
