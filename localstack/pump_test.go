package localstack

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bldst/localstack/table"
	port "bldst/shared/table"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// feedOf returns a pump over a table with one change for each build, in order.
func feedOf(t *testing.T, h lambda.Handler, builds ...string) *pump {
	t.Helper()
	dir := t.TempDir()
	tb, err := table.Open(filepath.Join(dir, "t.db"), table.Options{Feed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tb.Close() })
	c, err := tb.Consumer("relay")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range builds {
		if err := tb.Write(t.Context(), port.PutOp(port.Item{Key: port.Key{PK: "build#" + id, SK: "a"}, Rev: 1, Doc: []byte(`{}`)}, port.Cond{})); err != nil {
			t.Fatal(err)
		}
	}
	return &pump{feed: tb, consumer: c, function: h, dead: filepath.Join(dir, "dead"), log: slog.New(slog.DiscardHandler)}
}

// drain steps until everything was acknowledged; it returns how many steps
// failed on the way.
func drain(t *testing.T, p *pump) (failed int) {
	t.Helper()
	for range 1000 {
		over, cancel := context.WithCancel(t.Context())
		cancel()
		left, err := p.feed.Changes(over, p.consumer.Cursor(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return failed
		}
		if p.step(t.Context()) != nil {
			failed++
		}
	}
	t.Fatal("the feed is never done")
	return failed
}

func TestAPoisonedChangeIsBuriedAndHoldsUpNothing(t *testing.T) {
	for name, crash := range map[string]bool{"named as failed": false, "makes the function fail": true} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]int{}
			h := lambda.NewHandler(func(_ context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
				res := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
				for _, r := range e.Records {
					id := strings.TrimPrefix(r.Change.Keys["pk"].String(), "build#")
					if id != "poison" {
						seen[id]++
						continue
					}
					if crash {
						return res, errors.New("cannot be handled")
					}
					res.BatchItemFailures = append(res.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: r.Change.SequenceNumber})
				}
				return res, nil
			})
			p := feedOf(t, h, "a", "b", "poison", "c", "d")
			if failed := drain(t, p); failed < maxTries-1 {
				t.Errorf("the poisoned change was given up after %d tries", failed)
			}
			for _, id := range []string{"a", "b", "c", "d"} {
				if seen[id] == 0 {
					t.Errorf("the change of %s was never delivered", id)
				}
			}
			b, err := os.ReadFile(p.dead)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(b)), "\n")
			var l deadLetter
			if err := json.Unmarshal([]byte(lines[0]), &l); err != nil || len(lines) != 1 || l.Event.Change.Keys["pk"].String() != "build#poison" || l.Cause == "" {
				t.Errorf("dead letters: %s %v, want the poisoned change and why", b, err)
			}
		})
	}
}

func TestOnlyWhatRelayHasToDoWithIsDelivered(t *testing.T) {
	var got []string
	h := lambda.NewHandler(func(_ context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
		for _, r := range e.Records {
			got = append(got, r.Change.Keys["sk"].String())
		}
		return events.DynamoDBEventResponse{}, nil
	})
	p := feedOf(t, h, "a")
	for _, sk := range []string{"s#0000001", "lease", "status", "v", "req#1", "art#1", "token"} {
		if err := p.feed.Write(t.Context(), port.PutOp(port.Item{Key: port.Key{PK: "build#a", SK: sk}, Rev: 1, Doc: []byte(`{}`)}, port.Cond{})); err != nil {
			t.Fatal(err)
		}
	}
	drain(t, p)
	if want := []string{"a", "lease", "req#1", "art#1"}; !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
}
