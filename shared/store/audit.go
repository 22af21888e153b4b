package store

import (
	"context"
	"encoding/json"
	"time"

	"bldst/shared/auth"
	"bldst/shared/table"
)

// An AuditEntry says who did what to which thing, and how the thing was before
// and after. Entries are written in the transaction of the act.
type AuditEntry struct {
	ID         string          `json:"id"`
	Time       time.Time       `json:"time"`
	Actor      string          `json:"actor" doc:"The user."`
	Credential string          `json:"credential" doc:"key:<token id> or jwt."`
	Action     string          `json:"action" example:"platform.update"`
	Resource   string          `json:"resource" example:"platform"`
	ResourceID string          `json:"resource_id"`
	Before     json.RawMessage `json:"before,omitempty"`
	After      json.RawMessage `json:"after,omitempty"`
	RequestID  string          `json:"request_id"`
}

// auditIndex is the partition of index 1 that lists all entries by time; of
// index 2, auditIndex#ACTOR lists those of one user.
const auditIndex = "audit"

// auditOp returns the op that records action on the thing. before and after
// are documents without secrets; either may be nil.
func (s *Store) auditOp(ctx context.Context, action, resource, id string, before, after []byte) table.Op {
	user, credential := auth.Actor(ctx)
	e := AuditEntry{ID: s.NewID(), Time: s.now(), Actor: user, Credential: credential, Action: action,
		Resource: resource, ResourceID: id, Before: before, After: after, RequestID: auth.RequestOf(ctx).ID}
	at := stamp(e.Time) + "#" + e.ID
	return table.PutOp(table.Item{
		Key: table.Key{PK: "audit#" + resource + "#" + id, SK: at}, Rev: 1, Doc: encode(e),
		Index: [2]table.IndexKey{{PK: auditIndex, SK: at}, {PK: auditIndex + "#" + user, SK: at}},
	}, table.Cond{Kind: table.Absent})
}
