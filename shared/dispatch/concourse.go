package dispatch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"bldst/shared/outbound"
)

// concourse starts a build of a job. Concourse has no parameters for a build;
// what differs from one to the next are the vars of a pipeline. So the pipeline
// that is named is a template: an instance of it is set whose instance vars are
// the parameters, and the job of that instance is started. The calls are those
// of fly set-pipeline, unpause-pipeline and trigger-job.
func (c *call) concourse() (Started, error) {
	token, err := c.concourseToken()
	if err != nil {
		return Started{}, err
	}
	auth := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	pipeline := fmt.Sprintf("%s/api/v1/teams/%s/pipelines/%s", c.ci.URL, url.PathEscape(c.ci.Team), url.PathEscape(c.ci.Pipeline))
	query := ""
	if c.ci.Vars != "none" {
		query = "?" + c.instance().Encode()
		if err := c.setInstance(pipeline, query, auth); err != nil {
			return Started{}, err
		}
	}
	resp, err := c.send(outbound.Request{Once: true, URL: pipeline + "/jobs/" + url.PathEscape(c.ci.Job) + "/builds" + query, Header: auth})
	if err != nil {
		return Started{}, err
	}
	var b struct {
		ID   json.Number `json:"id"`
		Name string      `json:"name"`
	}
	if json.Unmarshal(resp.Body, &b) != nil || b.ID == "" {
		return Started{}, c.unreadable()
	}
	return Started{ID: b.ID.String(), URL: c.ci.URL + "/builds/" + b.ID.String()}, nil
}

// instance returns the parameters as the instance vars of a pipeline, each a
// JSON value, which is how the API names an instance.
func (c *call) instance() url.Values {
	q := url.Values{}
	for name, v := range c.order.lower() {
		doc, _ := json.Marshal(v) // of a string
		q.Set("vars."+name, string(doc))
	}
	return q
}

const configVersion = "X-Concourse-Config-Version"

// setInstance makes the instance unless it is there, as it is when an earlier
// try got that far, and lets its jobs run.
func (c *call) setInstance(pipeline, query string, auth http.Header) error {
	there, _, err := c.http.Send(c.ctx, outbound.Request{Method: http.MethodGet, URL: pipeline + "/config" + query, Header: auth})
	if err != nil {
		return err
	}
	if there.Status == http.StatusNotFound {
		err = c.copyTemplate(pipeline, query, auth)
	} else {
		err = there.Err(outbound.HostOf(pipeline))
	}
	if err != nil {
		return err
	}
	_, err = c.send(outbound.Request{Method: http.MethodPut, URL: pipeline + "/unpause" + query, Header: auth})
	return err
}

// copyTemplate stores the configuration of the pipeline as that of the
// instance.
func (c *call) copyTemplate(pipeline, query string, auth http.Header) error {
	template, err := c.send(outbound.Request{Method: http.MethodGet, URL: pipeline + "/config", Header: auth})
	if err != nil {
		return err
	}
	var t struct {
		Config json.RawMessage `json:"config"`
	}
	if json.Unmarshal(template.Body, &t) != nil || len(t.Config) == 0 {
		return c.unreadable()
	}
	header := auth.Clone()
	header.Set(configVersion, "")
	_, err = c.send(outbound.Request{Method: http.MethodPut, URL: pipeline + "/config" + query, Header: header, Body: t.Config})
	return err
}

// flyID is the client that fly signs in as; every Concourse knows it.
const flyID, flySecret = "fly", "Zmx5"

// concourseToken returns the credential when it is a token. A user and password
// get one, as fly login does.
func (c *call) concourseToken() (string, error) {
	user, password, pair := strings.Cut(c.secret, ":")
	if !pair {
		return c.secret, nil
	}
	form := url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}, "scope": {"openid profile email federated:id groups"}}
	resp, err := c.send(outbound.Request{URL: c.ci.URL + "/sky/issuer/token", Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {basic(flyID + ":" + flySecret)}}})
	if err != nil {
		return "", err
	}
	var t struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal(resp.Body, &t) != nil || t.Token == "" {
		return "", c.unreadable()
	}
	return t.Token, nil
}
