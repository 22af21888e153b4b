// Package drive moves builds on: the tasks of the state machine that drives
// each build, the relay that turns changes of the table into answers to it,
// the sweep that finds what it has missed, and the repair of builds whose
// execution has died. What is decided stands in package build, as pure rules;
// here it is carried out.
//
// The table is the truth. Everything here may be called twice, late, or out of
// order, and reads the build again before it does anything.
package drive

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bldst/shared/build"
	"bldst/shared/store"
	"bldst/shared/table"
)

// A Store keeps builds and what drives them.
type Store interface {
	// Build returns the build with the id or number; NotFound when there is none.
	Build(ctx context.Context, ref string, deleted bool) (*build.Build, error)
	// OpenBuild creates a build that execution drives. When the number is
	// taken by the same build it returns that one and a Conflict.
	OpenBuild(ctx context.Context, c build.Create, execution string) (*build.Build, error)
	// Driven returns a build and what drives it.
	Driven(ctx context.Context, id string) (*build.Driven, error)
	// Drive lets f change a build and what drives it, in one transaction.
	Drive(ctx context.Context, id string, f func(*build.Driven) error) error
	// Decide is Drive with the policy of the project and the breaker of the line.
	Decide(ctx context.Context, id string, f func(*build.Driven) error) error
	// DrivenBy returns the build an execution drives that is not named after it.
	DrivenBy(ctx context.Context, execution string) (string, error)
}

// A Workflow starts and answers executions of the state machine.
type Workflow interface {
	// Start starts the execution called name. It returns false when the name
	// belongs to another one, or to one that has ended.
	Start(ctx context.Context, name string, input any) (arn string, started bool, err error)
	// Succeed ends the wait that token stands for; false when it is over.
	Succeed(ctx context.Context, token string, output any) (waiting bool, err error)
	// Fail is Succeed with an error: its name and its cause.
	Fail(ctx context.Context, token, name, cause string) (waiting bool, err error)
	// Beat is a sign of life for that wait; false when it is over.
	Beat(ctx context.Context, token string) (waiting bool, err error)
	// Status returns RUNNING or how the execution has ended; "" when there is none.
	Status(ctx context.Context, arn string) (string, error)
	// Stop ends an execution; one that is over is left as it is.
	Stop(ctx context.Context, arn, cause string) error
}

// A Publisher publishes domain events. Publishing one again is harmless: it has
// the same id.
type Publisher interface {
	Publish(ctx context.Context, events []build.Event) error
}

// A Resumer opens the next attempt of a failed build, as POST /resume does.
type Resumer interface {
	// AutoResume opens the attempt after attempt for the reason. It refuses
	// with the reason code of the plan, and with a Conflict when the build is
	// not failed in that attempt.
	AutoResume(ctx context.Context, id string, attempt int, reason string) error
}

var _ Store = (*store.Store)(nil)

// running is the status of an execution that has not ended.
const running = "RUNNING"

// An Ask is the input of an execution that the system starts itself.
type Ask struct {
	BuildID  string `json:"build_id"`
	Attempt  int    `json:"attempt"`
	Previous string `json:"previous_execution,omitempty"` // that drove the build before
	From     string `json:"hand_over_from,omitempty"`     // that drives the build, and hands it over
}

// handOver starts the execution that goes on with the build where the history of
// the one that drives it is nearly full. When one that was started has not taken
// over within a hundred moves, another is.
func handOver(ctx context.Context, w Workflow, d *build.Driven) error {
	name := fmt.Sprintf("%s-a%d-h%dm%d", d.ID, d.Attempt, d.Driver.Handed+1, d.Driver.Moves/100)
	_, _, err := w.Start(ctx, name, Ask{BuildID: d.ID, Attempt: d.Attempt, From: d.Driver.Execution})
	return err
}

// start starts an execution for the build, unless it has ended or is driven by
// one that runs. The execution is named after the attempt it opens, BUILD-aN;
// when that name is used up, suffix makes another.
func start(ctx context.Context, w Workflow, d *build.Driven, suffix string) error {
	if d.Status.Final() || d.DeactivatedAt != nil {
		return nil
	}
	previous := d.Driver.Previous
	if d.Driver.Execution != "" {
		status, err := w.Status(ctx, d.Driver.Execution)
		if err != nil || status == running {
			return err
		}
		previous = d.Driver.Execution
	}
	name, ask := fmt.Sprintf("%s-a%d", d.ID, d.Attempt), Ask{BuildID: d.ID, Attempt: d.Attempt, Previous: previous}
	_, started, err := w.Start(ctx, name, ask)
	if err != nil || started {
		return err
	}
	_, _, err = w.Start(ctx, name+"-"+suffix, ask)
	return err
}

// AnswerError is the error by which AwaitReport is answered when no further
// report is awaited; its cause is the Drive. While reports follow on each other
// the machine waits again at once, without a choice in between: Step Functions
// charges for each state that is entered.
const AnswerError = "Answer"

// answer ends the wait that token stands for; false when it is over.
func answer(ctx context.Context, w Workflow, token string, d build.Drive) (waiting bool, err error) {
	if d.Next == build.Await {
		return w.Succeed(ctx, token, d)
	}
	cause, err := json.Marshal(d)
	if err != nil {
		return false, err
	}
	return w.Fail(ctx, token, AnswerError, string(cause))
}

// A Feed is what relay needs of the store beside a Store.
type Feed interface {
	Store
	// Changed returns what a change of the table is about; false for nothing.
	Changed(c table.Change) (store.Changed, bool, error)
	// Count brings the counters of the dashboard up to the changes.
	Count(ctx context.Context, changes []table.Change) error
	// Relayed remembers what was dealt with.
	Relayed(ctx context.Context, id string, revs []int64, token string) error
	// Succeeded closes the breaker of the line of a completed build.
	Succeeded(ctx context.Context, b *build.Build, at time.Time) error
}
