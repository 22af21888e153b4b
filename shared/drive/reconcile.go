package drive

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/aws/aws-lambda-go/events"

	"bldst/shared/build"
	"bldst/shared/problem"
)

// A Reconcile repairs builds whose execution has died: it failed, timed out or
// was stopped. Such a build is failed with class aborted, so that a resume
// starts another execution, linked to the dead one.
type Reconcile struct {
	Store   Store
	Machine Workflow
	Log     *slog.Logger
}

// ownName is how the system names executions: after the build.
var ownName = regexp.MustCompile(`^(.+)-a\d+(-([rs]\d+|h\d+m\d+))?$`)

// Handle deals with one "Step Functions Execution Status Change". Of the event
// it believes nothing but which execution it is about: how that execution is
// doing Step Functions says, and what it drives the table.
func (r *Reconcile) Handle(ctx context.Context, e events.EventBridgeEvent) error {
	var detail struct {
		Execution string `json:"executionArn"`
	}
	if err := json.Unmarshal(e.Detail, &detail); err != nil || detail.Execution == "" {
		return fmt.Errorf("event %s is no status change of an execution", e.ID)
	}
	arn := detail.Execution
	status, err := r.Machine.Status(ctx, arn)
	if err != nil || status == running || status == "SUCCEEDED" {
		return err
	}
	ids, err := r.candidates(ctx, arn)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := r.repair(ctx, id, arn, status); err != nil && !problem.Is(err, problem.NotFound) {
			return err
		}
	}
	return nil
}

// candidates returns the builds that arn may drive.
func (r *Reconcile) candidates(ctx context.Context, arn string) ([]string, error) {
	id, err := r.Store.DrivenBy(ctx, arn)
	if err != nil {
		return nil, err
	}
	var ids []string
	if id != "" {
		ids = append(ids, id)
	}
	if m := ownName.FindStringSubmatch(executionName(arn)); m != nil && m[1] != id {
		ids = append(ids, m[1])
	}
	return ids, nil
}

// repair fails the build if arn drove it until now, decides about its failure,
// and starts another execution only when the policy wants it resumed.
func (r *Reconcile) repair(ctx context.Context, id, arn, status string) error {
	var last *build.Driven
	ours := false
	err := r.Store.Drive(ctx, id, func(d *build.Driven) error {
		last = d
		if ours = d.Driver.Execution == arn || d.Driver.Execution == "" && d.Driver.Previous == arn; !ours {
			return nil
		}
		d.Driver.Release()
		e, ended, err := d.Abort(status, d.Rules, d.Now)
		if ended {
			d.Entry = &e
			r.Log.Warn("reconcile: the execution of a build has died", "build_id", d.ID, "execution", arn, "status", status)
		}
		return err
	})
	if err != nil || !ours || last.Status != build.Failed {
		return err
	}
	err = r.Store.Decide(ctx, last.ID, func(d *build.Driven) error {
		last = d
		return d.Decide()
	})
	if err != nil || last.Driver.Execution != "" || last.Drive().Next != build.Backoff {
		return err
	}
	return start(ctx, r.Machine, last, fmt.Sprintf("r%d", last.Rev))
}
