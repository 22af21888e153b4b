package dispatch

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"bldst/shared/outbound"
)

// githubVersion is the version of the REST API that is spoken here.
const githubVersion = "2022-11-28"

// resumeEvent is the type of the repository_dispatch event.
const resumeEvent = "bldst-resume"

// github starts a workflow by its file, or sends the repository_dispatch event
// when the project names none. GitHub answers 204 and does not say which run
// it will be; newer versions answer 200 and do.
func (c *call) github() (Started, error) {
	owner, name, _ := strings.Cut(c.ci.Repository, "/")
	repo := c.ci.URL + "/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name)
	address := repo + "/dispatches"
	body := map[string]any{"event_type": resumeEvent, "client_payload": c.order.lower()}
	if c.ci.Workflow != "" {
		address = repo + "/actions/workflows/" + url.PathEscape(c.ci.Workflow) + "/dispatches"
		body = map[string]any{"ref": c.ci.Ref, "inputs": c.order.lower()}
	}
	doc, err := json.Marshal(body)
	if err != nil {
		return Started{}, err
	}
	resp, err := c.send(outbound.Request{Once: true, URL: address, Body: doc, Header: c.githubHeader()})
	if err != nil {
		return Started{}, err
	}
	var run struct {
		ID  json.Number `json:"workflow_run_id"`
		URL string      `json:"html_url"`
	}
	if resp.Status != http.StatusNoContent && (json.Unmarshal(resp.Body, &run) != nil || run.ID == "") {
		return Started{}, c.unreadable()
	}
	if run.URL == "" && c.ci.URL == "https://api.github.com" {
		run.URL = "https://github.com/" + c.ci.Repository + "/actions"
		if c.ci.Workflow != "" {
			run.URL += "/workflows/" + url.PathEscape(c.ci.Workflow)
		}
	}
	return Started{ID: run.ID.String(), URL: run.URL}, nil
}

func (c *call) githubHeader() http.Header {
	return http.Header{"Accept": {"application/vnd.github+json"}, "Authorization": {"Bearer " + c.secret}, "Content-Type": {"application/json"},
		"X-Github-Api-Version": {githubVersion}}
}
