// Package audit is the trail of who changed what: every act that changed a
// resource, written in the transaction of the act.
package audit

import (
	"context"
	"encoding/json"
	"time"
)

// An Entry says who did what to which thing, and how it was before and after.
type Entry struct {
	ID         string          `json:"id"`
	Time       time.Time       `json:"time"`
	Actor      string          `json:"actor" doc:"The user; system for what no request caused."`
	Credential string          `json:"credential" doc:"key:<token id> or jwt."`
	Action     string          `json:"action" example:"platform.update"`
	Resource   string          `json:"resource" example:"platform"`
	ResourceID string          `json:"resource_id"`
	Before     json.RawMessage `json:"before" doc:"Without secrets; null when it did not exist."`
	After      json.RawMessage `json:"after"`
	RequestID  string          `json:"request_id"`
}

// A Query selects entries; zero fields select all. With a resource id the
// answer is complete at once, else it may lag moments behind.
type Query struct {
	Resource, ResourceID string
	Actor                string
	Since                time.Time
	Skip, Limit          int
	Cursor               string
}

// A Trail reads the entries, newest first.
type Trail interface {
	// Audit returns a page of entries and the cursor of the next. A page may
	// be short although more follow.
	Audit(ctx context.Context, q Query) ([]Entry, string, error)
}
