package dispatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bldst/shared/outbound"
)

// find asks the CI for the job of this order, which it was told to start. It
// returns nil when the CI shows none. cause is why the start was not answered.
// An error says that the CI cannot be asked, or could not be just now.
func (c *call) find(cause error) (*Started, error) {
	unsure := &unsureError{host: outbound.HostOf(c.ci.URL)}
	var said *outbound.Error
	if errors.As(cause, &said) {
		unsure.cause = said.Why
	}
	ask := finder(c.ci)
	if ask == nil {
		unsure.why = cannotBeAsked[c.ci.Kind]
		return nil, unsure
	}
	found, err := ask(c)
	if err != nil {
		unsure.why = err.Error()
		return nil, unsure
	}
	return found, nil
}

// finder returns what asks a CI, nil for one that cannot be asked.
func finder(ci CI) func(*call) (*Started, error) {
	switch {
	case ci.Kind == Jenkins:
		return (*call).findInJenkins
	case ci.Kind == GitHub:
		return (*call).findInGitHub
	case ci.Kind == Concourse && ci.Vars != "none":
		return (*call).findInConcourse
	}
	return nil
}

var cannotBeAsked = map[string]string{
	GitLab:    "a trigger token starts pipelines and may not list them",
	Concourse: "a job that is started without parameters does not say for which build",
}

// get reads the JSON answer at address into doc.
func (c *call) get(address string, header http.Header, doc any) error {
	resp, err := c.send(outbound.Request{Method: http.MethodGet, URL: address, Header: header})
	if err != nil {
		return err
	}
	if json.Unmarshal(resp.Body, doc) != nil {
		return c.unreadable()
	}
	return nil
}

// jenkinsItem is an item of the queue or a build, with its parameters.
type jenkinsItem struct {
	ID      json.Number `json:"id"`
	URL     string      `json:"url"`
	Actions []struct {
		Parameters []struct {
			Name  string `json:"name"`
			Value any    `json:"value"`
		} `json:"parameters"`
	} `json:"actions"`
}

// is reports whether the item was started for the order.
func (i jenkinsItem) is(o *Order) bool {
	of := map[string]string{}
	for _, a := range i.Actions {
		for _, p := range a.Parameters {
			of[p.Name] = fmt.Sprint(p.Value)
		}
	}
	return of["BUILD_ID"] == o.BuildID && of["ATTEMPT"] == fmt.Sprint(o.Attempt)
}

// findInJenkins looks into the queue and at the newest builds of the job, for
// one with the parameters of the order.
func (c *call) findInJenkins() (*Started, error) {
	header := http.Header{"Authorization": {basic(c.secret)}}
	var queue struct {
		Items []jenkinsItem `json:"items"`
	}
	if err := c.get(c.ci.URL+"/queue/api/json?tree="+url.QueryEscape("items[id,url,actions[parameters[name,value]]]"), header, &queue); err != nil {
		return nil, err
	}
	for _, i := range queue.Items {
		if i.is(c.order) {
			return &Started{ID: i.ID.String(), URL: c.ci.URL + "/queue/item/" + i.ID.String() + "/"}, nil
		}
	}
	var job struct {
		Builds []jenkinsItem `json:"builds"`
	}
	if err := c.get(c.ci.URL+jobPath(c.ci.Job)+"/api/json?tree="+url.QueryEscape("builds[id,url,actions[parameters[name,value]]]{0,50}"), header, &job); err != nil {
		return nil, err
	}
	for _, b := range job.Builds {
		if b.is(c.order) {
			return &Started{ID: b.ID.String(), URL: b.URL}, nil
		}
	}
	return nil, nil
}

// findInGitHub looks at the runs since the start. GitHub does not show the
// inputs of a run: one is recognised when its title (run-name in the workflow)
// holds the id of the build. Runs without it may be anybody's.
func (c *call) findInGitHub() (*Started, error) {
	since := c.order.UnsureSince
	if since.IsZero() {
		since = c.now
	}
	owner, name, _ := strings.Cut(c.ci.Repository, "/")
	address, event := c.ci.URL+"/repos/"+url.PathEscape(owner)+"/"+url.PathEscape(name)+"/actions/runs", "repository_dispatch"
	if c.ci.Workflow != "" {
		address, event = strings.TrimSuffix(address, "runs")+"workflows/"+url.PathEscape(c.ci.Workflow)+"/runs", "workflow_dispatch"
	}
	query := url.Values{"event": {event}, "per_page": {"100"}, "created": {">=" + since.Add(-settle).UTC().Format(time.RFC3339)}}
	var runs struct {
		Runs []struct {
			ID    json.Number `json:"id"`
			URL   string      `json:"html_url"`
			Title string      `json:"display_title"`
			Name  string      `json:"name"`
		} `json:"workflow_runs"`
	}
	if err := c.get(address+"?"+query.Encode(), c.githubHeader(), &runs); err != nil {
		return nil, err
	}
	for _, r := range runs.Runs {
		if strings.Contains(r.Title+" "+r.Name, c.order.BuildID) {
			return &Started{ID: r.ID.String(), URL: r.URL}, nil
		}
	}
	if len(runs.Runs) > 0 {
		return nil, errors.New("runs were started since whose names do not say for which build; give the workflow a run-name with ${{ inputs.build_id }}")
	}
	return nil, nil
}

// findInConcourse looks at the builds of the job in the instance of the
// pipeline, which was made for this order alone.
func (c *call) findInConcourse() (*Started, error) {
	token, err := c.concourseToken()
	if err != nil {
		return nil, err
	}
	var builds []struct {
		ID json.Number `json:"id"`
	}
	address := fmt.Sprintf("%s/api/v1/teams/%s/pipelines/%s/jobs/%s/builds?%s", c.ci.URL, url.PathEscape(c.ci.Team), url.PathEscape(c.ci.Pipeline),
		url.PathEscape(c.ci.Job), c.instance().Encode())
	if err := c.get(address, http.Header{"Authorization": {"Bearer " + token}}, &builds); err != nil {
		return nil, err
	}
	if len(builds) == 0 {
		return nil, nil
	}
	id := builds[0].ID.String()
	return &Started{ID: id, URL: c.ci.URL + "/builds/" + id}, nil
}
