package wire

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"bldst/shared/drive"
	"bldst/shared/emf"
	"bldst/shared/metrics"
	"bldst/shared/webhook"
)

// The functions that drive builds: the tasks of the state machine, and what
// the change feed, the rules and the schedule invoke. Each takes the ports it
// needs beside Ports, so that its binary links only those.

// OpenBuild finds or makes the build an execution is to drive.
func OpenBuild(p Ports, w drive.Workflow) lambda.Handler {
	return invoke(p.tasks(w).OpenBuild)
}

// AwaitReport parks the token of a wait.
func AwaitReport(p Ports, w drive.Workflow) lambda.Handler {
	return invoke(p.tasks(w).AwaitReport)
}

// RecordStall asks the table what a wait that ended without an answer means.
func RecordStall(p Ports) lambda.Handler { return invoke(p.tasks(nil).RecordStall) }

// DecideFailure decides what is done about a failure.
func DecideFailure(p Ports) lambda.Handler { return invoke(p.tasks(nil).DecideFailure) }

// ResumeBuild opens the attempt that was decided on.
func ResumeBuild(p Ports) lambda.Handler { return invoke(p.tasks(nil).ResumeBuild) }

func (p Ports) tasks(w drive.Workflow) *drive.Tasks {
	p = p.withDefaults()
	s := p.store()
	return &drive.Tasks{Store: s, Machine: w, Resumer: s}
}

// Relay deals with the changes of the table.
func Relay(p Ports, w drive.Workflow, events drive.Publisher) lambda.Handler {
	p = p.withDefaults()
	return invoke((&drive.Relay{Store: p.store(), Machine: w, Events: p.Metrics.Counting(events), Log: p.Log}).Handle)
}

// Sweep finds the builds that the machine has forgotten.
func Sweep(p Ports, w drive.Workflow) lambda.Handler {
	p = p.withDefaults()
	s := &drive.Sweep{Store: p.store(), Machine: w, Log: p.Log}
	return invoke(func(ctx context.Context, _ json.RawMessage) (drive.SweepReport, error) {
		p.gauge(ctx)
		return s.Run(ctx)
	})
}

// gauge writes what all builds have saved, for the dashboard. It is no reason to
// fail.
func (p Ports) gauge(ctx context.Context) {
	if p.Metrics == nil {
		return
	}
	totals, err := p.store().Totals(ctx, "")
	if err != nil {
		p.Log.WarnContext(ctx, "the minutes saved cannot be read", "error", err)
		return
	}
	p.Metrics.Put(p.Now(), map[string]float64{emf.MinutesSaved: float64(totals[metrics.SavedSecs]) / 60})
}

// Reconcile repairs builds whose execution has died, and fails those whose
// image EC2 Image Builder could not make.
func Reconcile(p Ports, w drive.Workflow) lambda.Handler {
	p = p.withDefaults()
	r := &drive.Reconcile{Store: p.store(), Machine: w, Log: p.Log}
	return invoke(func(ctx context.Context, e events.EventBridgeEvent) (any, error) {
		if e.Source == webhook.ImageBuilderSource {
			return nil, webhook.Take(ctx, p.store(), webhook.BusEvent{Source: e.Source, Type: e.DetailType, Resources: e.Resources, Detail: e.Detail})
		}
		return nil, r.Handle(ctx, e)
	})
}
