package localstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
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
// mapping of a DynamoDB stream does: in order, in batches, again when the
// function does not accept them. What it has accepted is remembered across
// restarts; after a crash a few changes come again. A change that is refused
// again and again is buried among the dead letters and holds up nothing.
type pump struct {
	feed     *table.Table
	consumer *table.Consumer
	function lambda.Handler
	dead     string // file of the dead letters
	log      *slog.Logger
	busy     func() bool // requests are being served

	took    time.Duration // the last batch
	most    int           // changes given at once; halved while the function fails
	refused string        // the change that was not accepted last
	tries   int           // how often
}

// batchSize is how many changes are taken at most. The function is given those
// it has to do with.
const batchSize = 1000

// Requests go before what follows from them: while some are being served, the
// function gets at most one part in patience of the time, and waits no longer
// than longestRest. What it has to do is not less for being done a little
// later, and nobody waits for it; at a quiet moment it goes on at once.
const (
	patience    = 10
	longestRest = 2 * time.Second
	look        = time.Millisecond
)

// How long to wait before a batch is tried again, and how often a change is.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
	maxTries   = 6
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
		wait(ctx, pause)
		pause = min(2*pause, lastPause)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// step delivers one batch, waiting for changes if there are none.
func (p *pump) step(ctx context.Context) error {
	changes, err := p.feed.Changes(ctx, p.consumer.Cursor(), batchSize)
	if err != nil || len(changes) == 0 {
		return err
	}
	last := changes[len(changes)-1].Seq
	relevant := slices.DeleteFunc(changes, func(c port.Change) bool { return !store.FeedsRelay(c.Key) })
	if p.most > 0 && len(relevant) > p.most {
		relevant = relevant[:p.most]
		last = relevant[p.most-1].Seq
	}
	if len(relevant) > 0 {
		p.yield(ctx)
		begin := time.Now()
		n, err := p.deliver(context.WithoutCancel(ctx), relevant)
		p.took = time.Since(begin)
		if err != nil {
			return p.again(relevant, n, err)
		}
	}
	p.most, p.refused, p.tries = 0, "", 0
	return p.consumer.Ack(last)
}

// yield lets requests go first.
func (p *pump) yield(ctx context.Context) {
	if p.busy == nil {
		return
	}
	for end := time.Now().Add(min(patience*p.took, longestRest)); p.busy() && time.Now().Before(end) && ctx.Err() == nil; {
		wait(ctx, look)
	}
}

// again says what becomes of a batch of which the first n changes were
// accepted and the next was not, because of cause: the accepted ones are done,
// the refused one comes again, alone in the end, and is buried when it was
// tried often enough.
func (p *pump) again(batch []port.Change, n int, cause error) error {
	if n > 0 {
		if err := p.consumer.Ack(batch[n-1].Seq); err != nil {
			return err
		}
	}
	bad := batch[n]
	if p.refused != bad.Seq {
		p.refused, p.tries = bad.Seq, 0
	}
	p.most = max(1, (len(batch)-n)/2)
	if p.tries++; p.tries < maxTries || len(batch)-n > 1 && n == 0 {
		return cause
	}
	if err := bury(p.dead, bad, cause); err != nil {
		return errors.Join(cause, err)
	}
	p.log.Error("a change was refused too often; it is among the dead letters", "file", p.dead, "key", bad.Key.PK+" "+bad.Key.SK, "cause", cause.Error())
	p.most, p.refused, p.tries = 0, "", 0
	return p.consumer.Ack(bad.Seq)
}

// A deadLetter is a change that relay did not accept.
type deadLetter struct {
	Time  time.Time                  `json:"time"`
	Cause string                     `json:"cause"`
	Event events.DynamoDBEventRecord `json:"record"`
}

// bury appends the change to the dead letters.
func bury(file string, c port.Change, cause error) error {
	b, err := json.Marshal(deadLetter{time.Now().UTC(), cause.Error(), stream.Event([]port.Change{c}).Records[0]})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
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
