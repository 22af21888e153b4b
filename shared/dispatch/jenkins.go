package dispatch

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"bldst/shared/outbound"
)

// jenkins queues a build of a parameterised job. The answer says where in the
// queue it is; that address leads to the build once it runs.
func (c *call) jenkins() (Started, error) {
	if !strings.Contains(c.secret, ":") {
		return Started{}, credentialError{c.ci.Credential}
	}
	form := url.Values{}
	for _, p := range c.order.parameters() {
		form.Set(p.upper, p.value)
	}
	r := outbound.Request{Once: true, URL: c.ci.URL + jobPath(c.ci.Job) + "/buildWithParameters", Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {basic(c.secret)}}}
	resp, _, err := c.http.Send(c.ctx, r)
	if err == nil && resp.Status == http.StatusForbidden && bytes.Contains(bytes.ToLower(resp.Body), []byte("crumb")) {
		resp, err = c.withCrumb(r)
	}
	if err != nil {
		return Started{}, err
	}
	if err := c.refusal(resp, outbound.HostOf(c.ci.URL)); err != nil {
		return Started{}, err
	}
	started := c.queued(resp)
	if resp.Status != http.StatusCreated || started.URL == "" {
		return Started{}, &outbound.Error{Host: outbound.HostOf(c.ci.URL), Status: resp.Status, Why: fmt.Sprintf(
			"answered %d and did not queue the job: Jenkins answers 201 with a Location. Is there a sign-in page in front of it?", resp.Status)}
	}
	return started, nil
}

// jobPath returns the path of folder/name: /job/folder/job/name.
func jobPath(job string) string {
	var b strings.Builder
	for _, part := range strings.Split(strings.Trim(job, "/"), "/") {
		b.WriteString("/job/" + url.PathEscape(part))
	}
	return b.String()
}

// withCrumb sends r once more with the crumb that Jenkins wants of those who
// sign in with a password instead of an API token. A crumb belongs to a
// session, so its cookies are sent along.
func (c *call) withCrumb(r outbound.Request) (*outbound.Response, error) {
	resp, err := c.send(outbound.Request{Method: http.MethodGet, URL: c.ci.URL + "/crumbIssuer/api/json", Header: http.Header{"Authorization": r.Header["Authorization"]}})
	if err != nil {
		return nil, err
	}
	var crumb struct {
		Field string `json:"crumbRequestField"`
		Crumb string `json:"crumb"`
	}
	if json.Unmarshal(resp.Body, &crumb) != nil || crumb.Field == "" {
		return nil, c.unreadable()
	}
	r.Header = r.Header.Clone()
	r.Header.Set(crumb.Field, crumb.Crumb)
	for _, cookie := range (&http.Response{Header: resp.Header}).Cookies() {
		r.Header.Add("Cookie", cookie.Name+"="+cookie.Value)
	}
	resp, _, err = c.http.Send(c.ctx, r)
	return resp, err
}

// queued reads where the build is queued: under the address Jenkins has for
// itself, which need not be the one it was reached by.
func (c *call) queued(resp *outbound.Response) Started {
	base, err := url.Parse(c.ci.URL)
	if err != nil {
		return Started{}
	}
	at, err := base.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" || (at.Scheme != "https" && at.Scheme != "http") {
		return Started{}
	}
	return Started{ID: path.Base(strings.TrimRight(at.Path, "/")), URL: at.String()}
}

func basic(userPassword string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(userPassword))
}
