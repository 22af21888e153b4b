package dispatch

import (
	"encoding/json"
	"net/http"
	"net/url"

	"bldst/shared/outbound"
)

// gitlab starts a pipeline with a trigger token; the parameters are its
// variables.
func (c *call) gitlab() (Started, error) {
	form := url.Values{"token": {c.secret}, "ref": {c.ci.Ref}}
	for _, p := range c.order.parameters() {
		form.Set("variables["+p.upper+"]", p.value)
	}
	resp, err := c.send(outbound.Request{Once: true, URL: c.ci.URL + "/api/v4/projects/" + url.PathEscape(c.ci.Repository) + "/trigger/pipeline", Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
	if err != nil {
		return Started{}, err
	}
	var p struct {
		ID  json.Number `json:"id"`
		URL string      `json:"web_url"`
	}
	if json.Unmarshal(resp.Body, &p) != nil || p.ID == "" {
		return Started{}, c.unreadable()
	}
	return Started{ID: p.ID.String(), URL: p.URL}, nil
}
