package notify

import (
	"context"
	"net/http"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/outbound"
	"bldst/shared/problem"
)

// A Service serves subscriptions and deliveries.
type Service struct {
	Store    Store
	Allow    outbound.Allow
	Notifier *Notifier     // replays
	Secret   func() string // makes secrets; NewSecret
}

const tag = "Notifications"

const deliveryDoc = "A webhook is a POST of {id, event, time, text, build} with the headers Bldst-Event, Bldst-Delivery and " +
	"Bldst-Signature: t=UNIX,v1=HEX, where HEX is the HMAC-SHA256 of \"UNIX.BODY\" under the secret. " +
	"Answer with any 2xx within ten seconds; 429 and 5xx are tried again. Redirects are not followed, and addresses that are not public are refused."

var (
	exampleName = "on call"
	exampleURL  = "https://hooks.example.com/bldst"
	exampleView = SubscriptionView{ID: "0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3d", ProjectID: "018d64e2-0000-7000-8000-000000000002", Name: &exampleName, Kind: Webhook,
		URL: &exampleURL, Events: []string{"failed", "stalled", "waiting"}, Enabled: true, CreatedBy: "alice"}
	exampleIn       = SubscriptionIn{Name: &exampleName, Kind: Webhook, URL: exampleURL, Events: []string{"failed", "stalled", "waiting"}}
	exampleDelivery = Delivery{ID: "5f0c7a9b3d1e2f405162738495a6b7c8", ProjectID: exampleView.ProjectID, SubscriptionID: exampleView.ID, Kind: Webhook,
		Event: build.EventFailed, EventID: "0193b5a0@7:build.failed", Status: Delivered, Tries: 1, Detail: []byte(`{}`)}
)

// Mount adds the endpoints of subscriptions and deliveries.
func (s *Service) Mount(a *api.API) {
	const all, one = "/projects/{project}/subscriptions", "/projects/{project}/subscriptions/{id}"
	gone := []problem.Kind{problem.NotFound}
	changed := append(gone, problem.Refused, problem.PreconditionFailed)
	api.Handle(a, api.Op{ID: "create-subscription", Method: http.MethodPost, Path: all, Scope: auth.Write, Tag: tag, Status: http.StatusCreated,
		Summary: "Be told of the builds of a project", Description: deliveryDoc, Problems: changed, Request: exampleIn, Answer: exampleView}, s.create)
	api.Handle(a, api.Op{ID: "list-subscriptions", Method: http.MethodGet, Path: all, Scope: auth.Read, Tag: tag,
		Summary: "List the subscriptions of a project", Problems: gone, Answer: []SubscriptionView{exampleView}}, s.list)
	api.Handle(a, api.Op{ID: "get-subscription", Method: http.MethodGet, Path: one, Scope: auth.Read, Tag: tag,
		Summary: "Get a subscription", Problems: gone, Answer: exampleView}, s.get)
	api.Handle(a, api.Op{ID: "update-subscription", Method: http.MethodPut, Path: one, Scope: auth.Write, Tag: tag,
		Summary: "Change any fields of a subscription", Problems: changed, Request: map[string]any{"enabled": false}, Answer: exampleView}, s.update)
	api.Handle(a, api.Op{ID: "delete-subscription", Method: http.MethodDelete, Path: one, Scope: auth.Write, Tag: tag, Status: http.StatusNoContent,
		Summary: "Delete a subscription", Problems: changed}, s.delete)
	api.Handle(a, api.Op{ID: "list-deliveries", Method: http.MethodGet, Path: "/projects/{project}/deliveries", Scope: auth.Read, Tag: tag,
		Summary: "List what was sent to the subscriptions of a project, newest first", Description: "Kept for thirty days.", Problems: gone, Answer: []Delivery{exampleDelivery}}, s.deliveries)
	api.Handle(a, api.Op{ID: "get-delivery", Method: http.MethodGet, Path: "/deliveries/{id}", Scope: auth.Read, Tag: tag,
		Summary: "Get a delivery", Problems: gone, Answer: exampleDelivery}, s.delivery)
	api.Handle(a, api.Op{ID: "replay-delivery", Method: http.MethodPost, Path: "/deliveries/{id}/replay", Scope: auth.Admin, Tag: tag,
		Summary: "Send a delivery again, and say how it went", Problems: append(gone, problem.Refused), Answer: exampleDelivery}, s.replay)
}

// A ProjectRef is the project in a path.
type ProjectRef struct {
	Project string `path:"project" maxLength:"200" doc:"Id or name of the project."`
}

// A SubscriptionRef is the subscription in a path.
type SubscriptionRef struct {
	ProjectRef
	ID string `path:"id" maxLength:"200"`
}

type createIn struct {
	ProjectRef
	Body SubscriptionIn
}

func (s *Service) create(ctx context.Context, in *createIn) (*api.Object[SubscriptionView], error) {
	sub, err := s.Store.AddSubscription(ctx, in.Project, func(sub *Subscription) error {
		sub.Enabled = true
		sub.CreatedBy, _ = auth.Actor(ctx)
		if in.Body.Kind == Webhook {
			sub.Secret = s.Secret()
		}
		return sub.Apply(in.Body, s.Allow)
	})
	if err != nil {
		return nil, err
	}
	v := sub.View()
	v.Secret = text(sub.Secret)
	return api.Rev(sub.Rev, v), nil
}

type listIn struct {
	ProjectRef
	api.Page
}

func (s *Service) list(ctx context.Context, in *listIn) (*api.List[SubscriptionView], error) {
	subs, err := s.Store.Subscriptions(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	views := make([]SubscriptionView, len(subs))
	for i, sub := range subs {
		views[i] = sub.View()
	}
	return api.Window(in.Page, views)
}

func (s *Service) get(ctx context.Context, in *SubscriptionRef) (*api.Object[SubscriptionView], error) {
	sub, err := s.Store.Subscription(ctx, in.Project, in.ID)
	if err != nil {
		return nil, err
	}
	return api.Rev(sub.Rev, sub.View()), nil
}

type updateIn struct {
	SubscriptionRef
	api.Match
	Body api.Partial[SubscriptionIn]
}

func (s *Service) update(ctx context.Context, in *updateIn) (*api.Object[SubscriptionView], error) {
	shown := ""
	sub, err := s.Store.ChangeSubscription(ctx, in.Project, in.ID, func(sub *Subscription) error {
		if err := in.Check(sub.Rev); err != nil {
			return err
		}
		body := SubscriptionIn{Name: &sub.Name, Kind: sub.Kind, URL: sub.URL, Topic: sub.Topic, Events: sub.Events}
		if err := in.Body.Apply(&body); err != nil {
			return err
		}
		if shown = ""; body.Kind == Webhook && (sub.Secret == "" || body.Rotate) {
			sub.Secret = s.Secret()
			shown = sub.Secret
		}
		return sub.Apply(body, s.Allow)
	})
	if err != nil {
		return nil, err
	}
	v := sub.View()
	v.Secret = text(shown)
	return api.Rev(sub.Rev, v), nil
}

type deleteIn struct {
	SubscriptionRef
	api.Match
}

func (s *Service) delete(ctx context.Context, in *deleteIn) (*api.Empty, error) {
	return nil, s.Store.DeleteSubscription(ctx, in.Project, in.ID, func(sub *Subscription) error { return in.Check(sub.Rev) })
}

type deliveriesIn struct {
	ProjectRef
	api.Page
}

func (s *Service) deliveries(ctx context.Context, in *deliveriesIn) (*api.List[Delivery], error) {
	ds, next, err := s.Store.DeliveriesOf(ctx, DeliveryQuery{Project: in.Project, Skip: in.Skip, Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	for i := range ds {
		ds[i] = ds[i].Shown()
	}
	return &api.List[Delivery]{Link: in.Next(next), Body: ds}, nil
}

type deliveryIn struct {
	ID string `path:"id" maxLength:"200"`
}

func (s *Service) delivery(ctx context.Context, in *deliveryIn) (*api.Object[Delivery], error) {
	d, err := s.Store.Delivery(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return api.Rev(d.Rev, d.Shown()), nil
}

func (s *Service) replay(ctx context.Context, in *deliveryIn) (*api.Object[Delivery], error) {
	d, err := s.Notifier.Replay(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return api.Rev(d.Rev, d.Shown()), nil
}
