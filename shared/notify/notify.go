package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"bldst/shared/build"
	"bldst/shared/outbound"
	"bldst/shared/problem"
)

// Topics sends a message to an SNS topic.
type Topics interface {
	Publish(ctx context.Context, topic, subject, message string) error
}

// A Notifier delivers events to those who subscribed to them.
type Notifier struct {
	Store  Store
	HTTP   *outbound.Client
	Topics Topics // nil where there is no SNS
	Log    *slog.Logger
	Now    func() time.Time
}

// maxClaims is how often a delivery is tried again by a later delivery of its
// event, each time with the tries of the HTTP client.
const maxClaims = 3

// Handle delivers e to every subscription of its project that asks for it, to
// all at the same time. It is idempotent: what was delivered is not sent again.
// An error means that something is to be tried again later, with the same event.
func (n *Notifier) Handle(ctx context.Context, e build.Event) error {
	subs, err := n.Store.Subscriptions(ctx, e.ProjectID)
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	detail, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	errs := make([]error, len(subs))
	var all sync.WaitGroup
	for i, s := range subs {
		if s.Enabled && slices.ContainsFunc(s.Events, func(w string) bool { return typeOf(w) == e.Type }) {
			all.Go(func() { errs[i] = n.deliver(ctx, s, e, detail) })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// deliver makes the delivery of e to s, unless it was made.
func (n *Notifier) deliver(ctx context.Context, s *Subscription, e build.Event, detail []byte) error {
	d, send, err := n.Store.ClaimDelivery(ctx, &Delivery{ID: DeliveryID(e.ID, s.ID), ProjectID: s.ProjectID, SubscriptionID: s.ID, Kind: s.Kind,
		Event: e.Type, EventID: e.ID, BuildID: e.BuildID, Detail: detail, Status: Pending})
	if err != nil || !send {
		return err
	}
	failed := n.send(ctx, s, d, n.HTTP.Send)
	again := outbound.IsTemporary(failed) && d.Claims < maxClaims
	if again {
		d.Status = Pending
	}
	if err := n.Store.SaveDelivery(ctx, d); err != nil || again {
		return errors.Join(failed, err)
	}
	if failed != nil {
		n.Log.Error("notification not delivered", "delivery_id", d.ID, "subscription_id", s.ID, "tries", d.Tries, "cause", failed.Error())
	}
	return nil
}

// Replay sends the delivery id once more, whatever became of it, and returns
// how it went.
func (n *Notifier) Replay(ctx context.Context, id string) (*Delivery, error) {
	d, err := n.Store.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	s, err := n.Store.Subscription(ctx, d.ProjectID, d.SubscriptionID)
	if problem.Is(err, problem.NotFound) {
		err = problem.New(problem.Refused, "The subscription of this delivery was deleted.")
	}
	if err != nil {
		return nil, err
	}
	_ = n.send(ctx, s, d, func(ctx context.Context, r outbound.Request) (*outbound.Response, int, error) {
		resp, err := n.HTTP.Do(ctx, r)
		return resp, 1, err
	}) // the delivery says how it went
	return d, n.Store.SaveDelivery(ctx, d)
}

// A sender sends a request, perhaps several times, and says how often.
type sender func(context.Context, outbound.Request) (*outbound.Response, int, error)

// send sends d to s and puts down in d how it went.
func (n *Notifier) send(ctx context.Context, s *Subscription, d *Delivery, by sender) error {
	m, e, err := d.message()
	if err != nil {
		return err
	}
	resp, tries, err := n.transmit(ctx, s, m, e, by)
	d.Tries += tries
	d.StatusCode, d.Error, d.Status = nil, nil, Delivered
	if resp != nil {
		d.StatusCode = &resp.Status
		if err == nil {
			err = resp.Err(outbound.HostOf(s.URL))
		}
	}
	if err != nil {
		why := explain(err)
		d.Status, d.Error = Failed, &why
		return err
	}
	now := n.Now().UTC().Truncate(time.Microsecond)
	d.DeliveredAt = &now
	return nil
}

func (n *Notifier) transmit(ctx context.Context, s *Subscription, m Message, e build.Event, by sender) (*outbound.Response, int, error) {
	body, err := json.Marshal(m)
	if s.Kind == Slack {
		body, err = slack(m.Text)
	}
	if err != nil {
		return nil, 0, err
	}
	switch {
	case s.Kind != SNS:
		return by(ctx, outbound.Request{URL: s.URL, Body: body, Header: n.header(s, m, body)})
	case n.Topics == nil:
		return nil, 1, &outbound.Error{Host: "SNS", Why: "is not there on this host"}
	default:
		if err := n.Topics.Publish(ctx, s.Topic, subject(e), string(body)); err != nil {
			n.Log.Warn("topic not reached", "subscription_id", s.ID, "cause", err.Error())
			return nil, 1, &outbound.Error{Host: "SNS", Why: "did not take the message; the log of the function says why", Again: true}
		}
		return nil, 1, nil
	}
}

// header returns the headers of a webhook. The signature is made anew each time
// something is sent, so a replay is as fresh as the first.
func (n *Notifier) header(s *Subscription, m Message, body []byte) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	if s.Kind == Webhook {
		h.Set("Bldst-Event", string(m.Event))
		h.Set("Bldst-Delivery", m.ID)
		h.Set(outbound.SignatureHeader, outbound.Sign(s.Secret, n.Now(), body))
	}
	return h
}

// subject is the subject of an SNS message: ASCII, at most 100 characters.
func subject(e build.Event) string {
	s := []byte(fmt.Sprintf("%s: %s", e.Type, e.BuildNumber))
	for i, c := range s {
		if c < 0x20 || c > 0x7e {
			s[i] = '?'
		}
	}
	return string(s[:min(len(s), 100)])
}

func explain(err error) string {
	var out *outbound.Error
	if errors.As(err, &out) {
		return out.Error()
	}
	return "It could not be sent; the log of the function says why."
}
