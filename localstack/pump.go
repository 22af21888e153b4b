package localstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"bldst/localstack/table"
	"bldst/shared/store"
	port "bldst/shared/table"
	"bldst/shared/table/stream"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// A pump hands the changes of the table to a function, as the event source
// mapping of a DynamoDB stream does: in order, in batches, again and again
// until the function accepts them. What it has accepted is remembered across
// restarts; after a crash a few changes come again.
type pump struct {
	feed     *table.Table
	consumer *table.Consumer
	function lambda.Handler
	log      *slog.Logger
}

// batchSize is how many changes are taken at most. The function is given those
// it has to do with.
const batchSize = 1000

// A batch of more changes than busy says that the writers are faster than the
// function. Then it is given the next one only after a rest: what changes a
// build in the meantime becomes one change to it, and the writers keep most of
// the machine.
const (
	busy = 16
	rest = 150 * time.Millisecond
)

// How long to wait before a batch is tried again.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// run works until ctx ends.
func (p *pump) run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		err := p.step(ctx)
		if err == nil {
			pause = firstPause
			continue
		}
		if ctx.Err() != nil {
			return
		}
		p.log.Error("changes of the table not accepted; trying again", "pause", pause.String(), "cause", err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// step delivers one batch, waiting for changes if there are none.
func (p *pump) step(ctx context.Context) error {
	changes, err := p.feed.Changes(ctx, p.consumer.Cursor(), batchSize)
	if err != nil || len(changes) == 0 {
		return err
	}
	relevant := slices.DeleteFunc(slices.Clone(changes), func(c port.Change) bool { return !store.FeedsRelay(c.Key) })
	last := changes[len(changes)-1].Seq
	if len(relevant) > 0 {
		accepted, err := p.deliver(context.WithoutCancel(ctx), relevant)
		if err != nil {
			if accepted == 0 {
				return err
			}
			return errors.Join(err, p.consumer.Ack(relevant[accepted-1].Seq))
		}
	}
	if err := p.consumer.Ack(last); err != nil {
		return err
	}
	if len(relevant) > busy {
		select {
		case <-ctx.Done():
		case <-time.After(rest):
		}
	}
	return nil
}

// deliver returns how many of changes, from the first on, were accepted.
func (p *pump) deliver(ctx context.Context, changes []port.Change) (int, error) {
	event := stream.Event(changes)
	payload, err := json.Marshal(event)
	if err != nil {
		return 0, err
	}
	answer, err := p.function.Invoke(ctx, payload)
	if err != nil {
		return 0, err
	}
	var failed events.DynamoDBEventResponse
	if err := json.Unmarshal(answer, &failed); err != nil {
		return 0, fmt.Errorf("answer of the function: %w", err)
	}
	return accepted(event.Records, failed.BatchItemFailures)
}

// accepted counts the records before the first one the function names as
// failed.
func accepted(records []events.DynamoDBEventRecord, failures []events.DynamoDBBatchItemFailure) (int, error) {
	if len(failures) == 0 {
		return len(records), nil
	}
	failed := map[string]bool{}
	for _, f := range failures {
		failed[f.ItemIdentifier] = true
	}
	for i, r := range records {
		if failed[r.Change.SequenceNumber] {
			return i, fmt.Errorf("%d changes from %s on", len(records)-i, r.Change.SequenceNumber)
		}
	}
	return 0, fmt.Errorf("the function names changes it was not given")
}
