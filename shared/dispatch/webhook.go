package dispatch

import (
	"encoding/json"
	"net/http"

	"bldst/shared/build"
	"bldst/shared/outbound"
)

// A Hook is the body of the webhook that starts a job.
type Hook struct {
	Event       build.EventType `json:"event"`
	RequestID   string          `json:"request_id"`
	BuildID     string          `json:"build_id"`
	BuildNumber string          `json:"build_number"`
	ProjectID   string          `json:"project_id"`
	ResumeMode  bool            `json:"resume_mode"`
	From        int             `json:"resume_from_state"`
	To          *int            `json:"resume_to_state"`
	Targets     []string        `json:"resume_targets"` // of the state it begins with; null for all of it
	Attempt     int             `json:"attempt"`
	Reason      string          `json:"resume_reason,omitempty"`
}

// webhook sends a signed request. An answer may say which job it started:
// {"job_id", "job_url"}, both optional.
func (c *call) webhook() (Started, error) {
	o := c.order
	body, err := json.Marshal(Hook{Event: build.EventResumeRequested, RequestID: o.RequestID, BuildID: o.BuildID, BuildNumber: o.BuildNumber, ProjectID: o.ProjectID,
		ResumeMode: true, From: o.From, To: o.To, Targets: o.Targets, Attempt: o.Attempt, Reason: o.Reason})
	if err != nil {
		return Started{}, err
	}
	header := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {o.RequestID}}
	if c.secret != "" {
		header.Set(outbound.SignatureHeader, outbound.Sign(c.secret, c.now, body))
	}
	resp, err := c.send(outbound.Request{URL: c.ci.URL, Header: header, Body: body})
	if err != nil {
		return Started{}, err
	}
	var s struct {
		ID  string `json:"job_id"`
		URL string `json:"job_url"`
	}
	_ = json.Unmarshal(resp.Body, &s) // an answer need not say anything
	return Started{ID: clip(s.ID, 200), URL: clip(s.URL, 2000)}, nil
}

func clip(s string, n int) string { return s[:min(len(s), n)] }
