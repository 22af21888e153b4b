// Package bus publishes the domain events of builds to Amazon EventBridge. It
// makes the one call it needs itself, PutEvents, signed as AWS wants it: the
// client of the SDK would be a twelfth of the whole function.
package bus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"bldst/shared/build"
	"bldst/shared/partition"
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

func (a Access) url() string {
	if a.Endpoint != "" {
		return a.Endpoint
	}
	return partition.Endpoint("events", a.Region)
}

// A Bus is one event bus. It is safe for concurrent use.
type Bus struct {
	a      Access
	name   string
	client *http.Client
	signer *v4.Signer
}

// requestTimeout ends one request, so that a dead connection does not cost the
// caller's whole time.
const requestTimeout = 5 * time.Second

// Open returns the bus called name at a; "" is the default bus.
func Open(a Access, name string) *Bus {
	return &Bus{a: a, name: name, client: &http.Client{Timeout: requestTimeout}, signer: v4.NewSigner()}
}

// An entry is one event as PutEvents takes it.
type entry struct {
	Source       string
	DetailType   string
	Detail       string
	Time         int64
	EventBusName string `json:",omitempty"`
}

// A result is what PutEvents answers.
type result struct {
	FailedEntryCount int
	Entries          []struct{ ErrorCode string }
}

// perCall is how many events one call takes.
const perCall = 10

// Publish publishes events: source build.EventSource, detail-type the type of
// the event, detail the event. When it fails some may have been published; to
// publish them again is harmless. It returns a problem of kind Unavailable
// when EventBridge did not take all and may take them later.
func (b *Bus) Publish(ctx context.Context, events []build.Event) error {
	for chunk := range slices.Chunk(events, perCall) {
		entries := make([]entry, len(chunk))
		for i, e := range chunk {
			detail, err := json.Marshal(e)
			if err != nil {
				return fmt.Errorf("event %s: %w", e.ID, err)
			}
			entries[i] = entry{Source: build.EventSource, DetailType: string(e.Type), Detail: string(detail), Time: e.Time.Unix(), EventBusName: b.name}
		}
		if err := b.put(ctx, entries); err != nil {
			return err
		}
	}
	return nil
}

// put makes one call, and once more when the first one found nobody.
func (b *Bus) put(ctx context.Context, entries []entry) error {
	body, err := json.Marshal(map[string]any{"Entries": entries})
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	status, answer, err := b.post(ctx, body)
	if err != nil || status >= http.StatusInternalServerError {
		status, answer, err = b.post(ctx, body)
	}
	if err != nil {
		return later(err)
	}
	var r result
	if status == http.StatusOK && json.Unmarshal(answer, &r) == nil {
		if r.FailedEntryCount > 0 {
			return later(fmt.Errorf("%d of %d events refused: %v", r.FailedEntryCount, len(entries), r.Entries))
		}
		return nil
	}
	err = fmt.Errorf("publish events: EventBridge answered %d: %.300s", status, answer)
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || bytes.Contains(answer, []byte("Throttl")) {
		return later(err)
	}
	return err
}

// post makes one signed request.
func (b *Bus) post(ctx context.Context, body []byte) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.a.url(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AWSEvents.PutEvents")
	sum := sha256.Sum256(body)
	who := aws.Credentials{AccessKeyID: b.a.KeyID, SecretAccessKey: b.a.Secret, SessionToken: b.a.SessionToken}
	if err := b.signer.SignHTTP(ctx, who, r, hex.EncodeToString(sum[:]), "events", b.a.Region, time.Now()); err != nil {
		return 0, nil, err
	}
	w, err := b.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer w.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(w.Body, 1<<20))
	return w.StatusCode, answer, err
}

func later(cause error) error {
	return &problem.Problem{Kind: problem.Unavailable, Detail: "EventBridge did not take every event; try again", RetryAfter: time.Second, Err: cause}
}
