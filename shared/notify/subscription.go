// Package notify tells people and other systems what has become of the builds
// of a project: by a signed webhook, a message to a chat that understands
// Slack's, or an SNS topic. Every delivery has a row that says how it went, and
// can be sent again.
//
// It runs in a function of its own, by an event: a target that hangs or is
// down costs its own delivery and holds up nothing else.
package notify

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"bldst/shared/build"
	"bldst/shared/outbound"
	"bldst/shared/problem"
)

// The kinds of targets.
const (
	Webhook = "webhook"
	Slack   = "slack"
	SNS     = "sns"
)

// Words are what can be subscribed to, in the order of a build's life.
var Words = []string{"failed", "stalled", "waiting", "recovered", "completed"}

// typeOf returns the domain event a word stands for.
func typeOf(word string) build.EventType { return build.EventType("build." + word) }

// A Subscription asks to be told of events of one project. The row in the table
// is its JSON, the secret included: it signs, and so must be at hand.
type Subscription struct {
	ID        string    `json:"id"`
	ProjectID string    `json:"project_id"`
	Name      string    `json:"name,omitempty"`
	Kind      string    `json:"kind"`
	URL       string    `json:"url,omitempty"`
	Topic     string    `json:"topic_arn,omitempty"`
	Events    []string  `json:"events"`
	Secret    string    `json:"secret,omitempty"` // of a webhook
	Enabled   bool      `json:"enabled"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Rev       int64     `json:"-"`
}

// A SubscriptionIn is the body of POST and, in parts, of PUT.
type SubscriptionIn struct {
	Name    *string  `json:"name,omitempty" maxLength:"200"`
	Kind    string   `json:"kind" required:"true" enum:"webhook,slack,sns"`
	URL     string   `json:"url,omitempty" maxLength:"2000" doc:"Of webhook and slack, by https. The address of a slack webhook is itself a secret and is shown without its path."`
	Topic   string   `json:"topic_arn,omitempty" maxLength:"400" doc:"Of sns."`
	Events  []string `json:"events" required:"true" minItems:"1" maxItems:"5" doc:"Any of failed, stalled, waiting (for a person), recovered, completed."`
	Enabled *bool    `json:"enabled,omitempty" doc:"Default true."`
	Rotate  bool     `json:"rotate_secret,omitempty" doc:"PUT of a webhook: makes a new secret, shown in this answer only."`
}

// A SubscriptionView is a subscription as callers read it.
type SubscriptionView struct {
	ID        string    `json:"id"`
	ProjectID string    `json:"project_id"`
	Name      *string   `json:"name"`
	Kind      string    `json:"kind" enum:"webhook,slack,sns"`
	URL       *string   `json:"url"`
	Topic     *string   `json:"topic_arn"`
	Events    []string  `json:"events"`
	Secret    *string   `json:"secret,omitempty" doc:"Signs the webhook. Shown once, when it was made."`
	Enabled   bool      `json:"enabled"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// View returns s as callers read it, without its secrets.
func (s *Subscription) View() SubscriptionView {
	return SubscriptionView{ID: s.ID, ProjectID: s.ProjectID, Name: text(s.Name), Kind: s.Kind, URL: text(s.shownURL()), Topic: text(s.Topic), Events: s.Events,
		Enabled: s.Enabled, CreatedBy: s.CreatedBy, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
}

// Record is s as it goes into the audit trail.
func (s *Subscription) Record() any { return s.View() }

// shownURL is the address without what may be a secret in it.
func (s *Subscription) shownURL() string {
	u, err := url.Parse(s.URL)
	if err != nil || s.URL == "" {
		return ""
	}
	if u.RawQuery != "" {
		u.RawQuery = "..."
	}
	if s.Kind == Slack {
		u.Path, u.RawPath = "/...", ""
	}
	return u.String()
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// topic is the form of the name of a topic, longestTopic its length.
var topic = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+$`)

const longestTopic = 256

// Apply makes s what in says, and refuses what could not be delivered to.
func (s *Subscription) Apply(in SubscriptionIn, allow outbound.Allow) error {
	if in.Name != nil {
		s.Name = *in.Name
	}
	if in.Enabled != nil {
		s.Enabled = *in.Enabled
	}
	s.Kind, s.URL, s.Topic, s.Events = in.Kind, in.URL, in.Topic, nil
	for _, w := range Words {
		if slices.ContainsFunc(in.Events, func(e string) bool { return strings.TrimPrefix(e, "build.") == w }) {
			s.Events = append(s.Events, w)
		}
	}
	for _, e := range in.Events {
		if !slices.Contains(Words, strings.TrimPrefix(e, "build.")) {
			return problem.BadField("events", "enum", "There is no event %q; the events are %s", e, strings.Join(Words, ", "))
		}
	}
	if len(s.Events) == 0 {
		return problem.Missing("events")
	}
	return s.check(allow)
}

func (s *Subscription) check(allow outbound.Allow) error {
	switch {
	case !slices.Contains([]string{Webhook, Slack, SNS}, s.Kind):
		return problem.BadField("kind", "enum", "One of webhook, slack, sns")
	case s.Kind == SNS && s.Topic == "":
		return problem.Missing("topic_arn")
	case s.Kind == SNS && (!topic.MatchString(s.Topic) || len(s.Topic)-strings.LastIndex(s.Topic, ":")-1 > longestTopic):
		return problem.BadField("topic_arn", "value_error", "A topic is given as arn:aws:sns:REGION:ACCOUNT:NAME")
	case s.Kind == SNS:
		s.URL, s.Secret = "", ""
		return nil
	case s.URL == "":
		return problem.Missing("url")
	}
	s.Topic = ""
	if s.Kind != Webhook {
		s.Secret = ""
	}
	if _, err := allow.URL(s.URL); err != nil {
		return problem.New(problem.Refused, "url: %s", err)
	}
	return nil
}

// MaxSubscriptions is how many a project may have: they are delivered to at the
// same time.
const MaxSubscriptions = 20

// NewSecret returns a secret that signs webhooks.
func NewSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return "whsec_" + base64.RawURLEncoding.EncodeToString(b)
}

// A Store keeps subscriptions. Where it takes a project it accepts its id or
// name and returns NotFound when there is none, and Forbidden when the caller's
// credential is bound to others.
type Store interface {
	// AddSubscription stores the subscription f makes; Refused when the
	// project has too many.
	AddSubscription(ctx context.Context, project string, f func(s *Subscription) error) (*Subscription, error)
	// Subscriptions returns those of a project by age.
	Subscriptions(ctx context.Context, project string) ([]*Subscription, error)
	// Subscription returns one; NotFound when there is none.
	Subscription(ctx context.Context, project, id string) (*Subscription, error)
	// ChangeSubscription lets f change one and stores it.
	ChangeSubscription(ctx context.Context, project, id string, f func(s *Subscription) error) (*Subscription, error)
	// DeleteSubscription removes one, unless check refuses.
	DeleteSubscription(ctx context.Context, project, id string, check func(*Subscription) error) error

	Deliveries
}
