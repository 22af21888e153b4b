// Package bus publishes the domain events of builds to Amazon EventBridge. It
// is the only importer of that client.
package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"bldst/shared/build"
	"bldst/shared/problem"
)

// Access says where EventBridge is and who asks. The caller reads it from its
// environment once.
type Access struct {
	Region       string
	Endpoint     string // "" is the one of the region
	KeyID        string // the access key
	Secret       string
	SessionToken string // "" for a key of a user
}

// Retrieve implements aws.CredentialsProvider.
func (a Access) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: a.KeyID, SecretAccessKey: a.Secret, SessionToken: a.SessionToken, Source: "environment"}, nil
}

// A Bus is one event bus. It is safe for concurrent use.
type Bus struct {
	client *eventbridge.Client
	name   string
}

// requestTimeout ends one attempt of a request, so that a dead connection
// costs a retry and not the caller's whole time.
const requestTimeout = 5 * time.Second

// Open returns the bus called name at a; "" is the default bus.
func Open(a Access, name string) *Bus {
	o := eventbridge.Options{Region: a.Region, Credentials: a, HTTPClient: awshttp.NewBuildableClient().WithTimeout(requestTimeout)}
	if a.Endpoint != "" {
		o.BaseEndpoint = &a.Endpoint
	}
	return &Bus{eventbridge.New(o), name}
}

// perCall is how many events one call takes.
const perCall = 10

// Publish publishes events: source build.EventSource, detail-type the type of
// the event, detail the event. When it fails some may have been published; to
// publish them again is harmless. It returns a problem of kind Unavailable
// when EventBridge did not take all.
func (b *Bus) Publish(ctx context.Context, events []build.Event) error {
	for chunk := range slices.Chunk(events, perCall) {
		entries := make([]types.PutEventsRequestEntry, len(chunk))
		for i, e := range chunk {
			detail, err := json.Marshal(e)
			if err != nil {
				return fmt.Errorf("event %s: %w", e.ID, err)
			}
			entries[i] = types.PutEventsRequestEntry{Source: aws.String(build.EventSource), DetailType: aws.String(string(e.Type)),
				Detail: aws.String(string(detail)), Time: aws.Time(e.Time)}
			if b.name != "" {
				entries[i].EventBusName = &b.name
			}
		}
		out, err := b.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
		if err != nil {
			return fmt.Errorf("publish events: %w", err)
		}
		if out.FailedEntryCount > 0 {
			return &problem.Problem{Kind: problem.Unavailable, Detail: "EventBridge did not take every event; try again", RetryAfter: time.Second,
				Err: fmt.Errorf("%d of %d events refused: %s", out.FailedEntryCount, len(entries), reasons(out.Entries))}
		}
	}
	return nil
}

// reasons returns why entries were refused.
func reasons(entries []types.PutEventsResultEntry) []string {
	var out []string
	for _, e := range entries {
		if e.ErrorCode != nil && !slices.Contains(out, *e.ErrorCode) {
			out = append(out, *e.ErrorCode)
		}
	}
	return out
}
