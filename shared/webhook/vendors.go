package webhook

import (
	"encoding/json"
	"fmt"

	"bldst/shared/build"
)

// The events of GitHub and GitLab, as far as they matter here. Sources: GitHub
// Docs, webhook events and payloads (workflow_job, workflow_run), REST API
// 2022-11-28; GitLab Docs 18, webhook events (job and pipeline).

type githubRun struct {
	ID         json.Number `json:"id"`
	RunID      json.Number `json:"run_id"` // of a job
	Attempt    int         `json:"run_attempt"`
	Name       string      `json:"name"`
	Status     string      `json:"status"`
	Conclusion string      `json:"conclusion"`
	URL        string      `json:"html_url"`
	Steps      []struct {
		Name       string `json:"name"`
		Conclusion string `json:"conclusion"`
	} `json:"steps"`
}

type githubEvent struct {
	Job        *githubRun `json:"workflow_job"`
	Run        *githubRun `json:"workflow_run"`
	Repository struct {
		Name string `json:"full_name"`
		URL  string `json:"html_url"`
	} `json:"repository"`
}

// ofGitHub returns the notice in an event; false for one that says nothing of
// jobs.
func ofGitHub(event string, body []byte) (Notice, bool, error) {
	var e githubEvent
	if err := read(body, &e); err != nil {
		return Notice{}, false, err
	}
	const platform = "github-actions"
	switch {
	case event == "workflow_job" && e.Job != nil:
		j := e.Job
		n := Notice{Platform: platform, Name: j.Name, Run: fmt.Sprintf("job %s.%d", j.ID, j.Attempt), Word: j.word(), URL: j.URL,
			Places: []Place{{Platform: platform, ID: j.ID.String()}, {}, {URL: j.URL}, {URL: e.Repository.URL + "/actions/runs/" + j.RunID.String()}, {Platform: platform, ID: j.RunID.String()}}}
		n.Reason, n.Class = j.reason()
		return n, true, nil
	case event == "workflow_run" && e.Run != nil:
		r := e.Run
		return Notice{Platform: platform, Run: fmt.Sprintf("run %s.%d", r.ID, r.Attempt), Word: r.word(), URL: r.URL, Reason: "The run of the workflow " + r.Name + " has ended.",
			Places: []Place{{URL: r.URL}, {URL: e.Repository.URL + "/actions/runs/" + r.ID.String()}, {Platform: platform, ID: r.ID.String()}}}, true, nil
	}
	return Notice{}, false, nil
}

// word returns how it is going: the conclusion, once there is one.
func (r *githubRun) word() string {
	if r.Conclusion != "" {
		return r.Conclusion
	}
	return r.Status
}

// reason says which step failed. A job that failed although none of its steps
// did has lost its runner.
func (r *githubRun) reason() (string, build.Class) {
	if r.Conclusion != "failure" {
		return "", ""
	}
	for _, s := range r.Steps {
		if s.Conclusion == "failure" {
			return "The step " + s.Name + " failed.", build.Unknown
		}
	}
	if len(r.Steps) == 0 {
		return "", build.Unknown
	}
	return "No step of it failed: its runner was lost.", build.Transient
}

type gitlabEvent struct {
	Kind string `json:"object_kind"`

	// of a job
	JobID    json.Number `json:"build_id"`
	Name     string      `json:"build_name"`
	Status   string      `json:"build_status"`
	Why      string      `json:"build_failure_reason"`
	Pipeline json.Number `json:"pipeline_id"`
	Retries  int         `json:"retries_count"`

	// of a pipeline
	Of struct {
		ID     json.Number `json:"id"`
		Status string      `json:"status"`
		URL    string      `json:"url"`
	} `json:"object_attributes"`

	Project struct {
		URL string `json:"web_url"`
	} `json:"project"`
	Repository struct {
		URL string `json:"homepage"`
	} `json:"repository"`
}

// ofGitLab returns the notice in an event; false for one that says nothing of
// jobs.
func ofGitLab(body []byte) (Notice, bool, error) {
	var e gitlabEvent
	if err := read(body, &e); err != nil {
		return Notice{}, false, err
	}
	const platform = "gitlab-ci"
	base := e.Project.URL
	if base == "" {
		base = e.Repository.URL
	}
	switch e.Kind {
	case "build":
		n := Notice{Platform: platform, Name: e.Name, Run: "job " + e.JobID.String(), Word: e.Status, URL: base + "/-/jobs/" + e.JobID.String(),
			Places: []Place{{URL: base + "/-/jobs/" + e.JobID.String()}, {Platform: platform, ID: e.JobID.String()}, {URL: base + "/-/pipelines/" + e.Pipeline.String()}, {Platform: platform, ID: e.Pipeline.String()}}}
		if e.Why != "" && e.Why != "unknown_failure" {
			n.Reason = "GitLab says " + e.Why + "."
		}
		return n, true, nil
	case "pipeline":
		at := e.Of.URL
		if at == "" {
			at = base + "/-/pipelines/" + e.Of.ID.String()
		}
		return Notice{Platform: platform, Run: "pipeline " + e.Of.ID.String(), Word: e.Of.Status, URL: at, Reason: "The pipeline has ended.",
			Places: []Place{{URL: at}, {Platform: platform, ID: e.Of.ID.String()}}}, true, nil
	}
	return Notice{}, false, nil
}
