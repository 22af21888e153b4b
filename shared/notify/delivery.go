package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"bldst/shared/build"
)

// The statuses of a delivery.
const (
	Pending   = "pending" // it is being sent, or will be tried again
	Delivered = "delivered"
	Failed    = "failed" // given up; it can be replayed
)

// A Delivery is one event on its way to one subscription. The row in the table
// is its JSON. It is kept for thirty days.
type Delivery struct {
	ID             string          `json:"id"`
	ProjectID      string          `json:"project_id"`
	SubscriptionID string          `json:"subscription_id"`
	Kind           string          `json:"kind" enum:"webhook,slack,sns"`
	Event          build.EventType `json:"event"`
	EventID        string          `json:"event_id"`
	BuildID        string          `json:"build_id"`
	Status         string          `json:"status" enum:"pending,delivered,failed"`
	Tries          int             `json:"tries" doc:"How often it was sent."`
	StatusCode     *int            `json:"status_code" doc:"Of the last answer; null without one."`
	Error          *string         `json:"error" doc:"Why the last try failed."`
	CreatedAt      time.Time       `json:"created_at"`
	UpdatedAt      time.Time       `json:"updated_at"`
	DeliveredAt    *time.Time      `json:"delivered_at"`
	Detail         json.RawMessage `json:"detail" doc:"What it tells: the event."`

	// Claims is how often an event brought it up, and Until until when the
	// newest of them has it for itself.
	Claims int       `json:"claims,omitempty" hidden:"true"`
	Until  time.Time `json:"until,omitzero" hidden:"true"`
	Rev    int64     `json:"-"`
}

// Shown is d as callers read it.
func (d Delivery) Shown() Delivery {
	d.Claims, d.Until = 0, time.Time{}
	return d
}

// DeliveryID returns the id of the delivery of an event to a subscription: the
// same event, told again, is the same delivery.
func DeliveryID(event, subscription string) string {
	sum := sha256.Sum256([]byte(event + "\x00" + subscription))
	return hex.EncodeToString(sum[:16])
}

// A DeliveryQuery asks for a page of the deliveries of a project, newest first.
type DeliveryQuery struct {
	Project string
	Skip    int
	Limit   int
	Cursor  string
}

// Deliveries keeps deliveries.
type Deliveries interface {
	// ClaimDelivery stores d as new, or returns the one there is, for this
	// caller alone for a minute; send is false when it was delivered or given
	// up. Unavailable while another has it.
	ClaimDelivery(ctx context.Context, d *Delivery) (claimed *Delivery, send bool, err error)
	// Delivery returns one by its id; NotFound when there is none.
	Delivery(ctx context.Context, id string) (*Delivery, error)
	// SaveDelivery stores what became of d.
	SaveDelivery(ctx context.Context, d *Delivery) error
	// DeliveriesOf returns a page of those of a project.
	DeliveriesOf(ctx context.Context, q DeliveryQuery) ([]Delivery, string, error)
}
