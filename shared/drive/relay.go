package drive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-lambda-go/events"

	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/store"
	"bldst/shared/table"
	"bldst/shared/table/stream"
)

// A Relay deals with the changes of the table: it starts the execution of a new
// build, or of a resume whose execution has ended, tells the waiting machine
// when a build has moved on and that its worker is alive when it has not,
// publishes domain events, and keeps the counters of the dashboard.
//
// It is idempotent by build and revision: what a change is about is read from
// the table, not from the change, and revisions that were dealt with are
// remembered, so changes may come twice, late and in any order.
type Relay struct {
	Store   Feed
	Machine Workflow
	Events  Publisher
	Log     *slog.Logger
}

// atOnce bounds how many builds are dealt with at a time.
const atOnce = 32

// A notice is a change that is about a build, with the record it came in.
type notice struct {
	record int
	store.Changed
}

// Handle deals with the records of one batch. A record that cannot be dealt
// with is reported as failed, and never keeps the others from it.
func (r *Relay) Handle(ctx context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	f := failures{errs: make([]error, len(e.Records))}
	changes := make([]table.Change, len(e.Records))
	builds := map[string][]notice{}
	for i := range e.Records {
		cs, err := stream.Changes(events.DynamoDBEvent{Records: e.Records[i : i+1]})
		if err != nil {
			f.add(i, err)
			continue
		}
		changes[i] = cs[0]
		switch about, ok, err := r.Store.Changed(cs[0]); {
		case err != nil:
			f.add(i, err)
		case ok:
			builds[about.BuildID] = append(builds[about.BuildID], notice{i, about})
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.count(ctx, changes, &f) })
	slots := make(chan struct{}, atOnce)
	for id, notices := range builds {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := r.build(ctx, id, notices); err != nil {
				for _, n := range notices {
					f.add(n.record, err)
				}
			}
		})
	}
	wg.Wait()
	return f.response(e, r.Log), nil
}

// count brings the counters up to the changes; when that fails, one by one, so
// that one that cannot be counted is no trouble to the others.
func (r *Relay) count(ctx context.Context, changes []table.Change, f *failures) {
	if r.Store.Count(ctx, changes) == nil {
		return
	}
	for i, c := range changes {
		if err := r.Store.Count(ctx, []table.Change{c}); err != nil {
			f.add(i, fmt.Errorf("count: %w", err))
		}
	}
}

// build deals with the changes of one build.
func (r *Relay) build(ctx context.Context, id string, notices []notice) error {
	d, err := r.Store.Driven(ctx, id)
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	fresh := notices[:0:0]
	var revs []int64
	for _, n := range notices {
		switch {
		case n.Lease != nil:
		case n.New != nil && !d.Driver.Relayed.Has(n.New.Rev) && !slices.Contains(revs, n.New.Rev):
			revs = append(revs, n.New.Rev)
		default:
			continue
		}
		fresh = append(fresh, n)
	}
	if len(fresh) == 0 {
		return nil
	}
	answered, err := r.move(ctx, d, fresh)
	if err != nil {
		return err
	}
	if err := r.look(ctx, d); err != nil {
		return err
	}
	if err := r.tell(ctx, fresh); err != nil {
		return err
	}
	if len(revs) == 0 && answered == "" {
		return nil
	}
	return r.Store.Relayed(ctx, id, revs, answered)
}

// move tells the machine what has become of the build, and starts one when
// there is none. It returns the token that nobody waits with any more, "" for
// none.
func (r *Relay) move(ctx context.Context, d *build.Driven, fresh []notice) (answered string, err error) {
	token := d.Driver.Token
	moved := token != "" && d.Driver.Seen != d.Stand()
	waiting := false
	switch {
	case moved:
		waiting, err = answer(ctx, r.Machine, token, d.Drive())
		answered = token
	case token != "":
		if waiting, err = r.Machine.Beat(ctx, token); !waiting {
			answered = token
		}
	}
	if err != nil {
		return "", err
	}
	if moved && d.Driver.Moves >= build.MaxMoves && d.Status.Active() {
		return answered, handOver(ctx, r.Machine, d)
	}
	if waiting || !slices.ContainsFunc(fresh, func(n notice) bool { return n.needsDriver(d) }) {
		return answered, nil
	}
	return answered, start(ctx, r.Machine, d, fmt.Sprintf("r%d", d.Rev))
}

// needsDriver reports whether the change is one after which somebody must
// drive the build: it was made or resumed.
func (n notice) needsDriver(d *build.Driven) bool {
	if n.New == nil {
		return false
	}
	if n.Old == nil {
		return d.Driver.Execution == "" && d.Driver.Previous == ""
	}
	return n.New.Attempt > n.Old.Attempt
}

// look makes the sweep look at the build in time.
func (r *Relay) look(ctx context.Context, d *build.Driven) error {
	due, _, ok := d.Due(d.Rules)
	if !ok || d.Looks.IsZero() || !d.Looks.After(due) {
		return nil
	}
	return r.Store.Drive(ctx, d.ID, func(d *build.Driven) error {
		if due, _, ok := d.Due(d.Rules); ok && !d.Looks.IsZero() && d.Looks.After(due) {
			d.LookAt = &due
		}
		return nil
	})
}

// tell publishes what has happened, and lets the line's breaker know of a
// success.
func (r *Relay) tell(ctx context.Context, fresh []notice) error {
	var out []build.Event
	for _, n := range fresh {
		if n.New == nil {
			continue
		}
		out = append(out, build.Events(n.Old, n.New)...)
		if n.New.Status == build.Completed && (n.Old == nil || n.Old.Status != build.Completed) {
			if err := r.Store.Succeeded(ctx, n.New, n.New.UpdatedAt); err != nil {
				return err
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return r.Events.Publish(ctx, out)
}

// failures are the records of a batch that could not be dealt with.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) add(record int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs[record] = errors.Join(f.errs[record], err)
}

// response reports the failed records, each once.
func (f *failures) response(e events.DynamoDBEvent, log *slog.Logger) events.DynamoDBEventResponse {
	out := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
	for i, err := range f.errs {
		if err == nil {
			continue
		}
		seq := e.Records[i].Change.SequenceNumber
		log.Error("relay: a record was not dealt with", "sequence_number", seq, "key", keyOf(e.Records[i]), "error", err)
		out.BatchItemFailures = append(out.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: seq})
	}
	return out
}

// keyOf returns the key of a record for the log.
func keyOf(r events.DynamoDBEventRecord) string {
	var parts []string
	for _, name := range []string{table.AttrPK, table.AttrSK} {
		if v := r.Change.Keys[name]; v.DataType() == events.DataTypeString {
			parts = append(parts, v.String())
		}
	}
	return strings.Join(parts, "/")
}
