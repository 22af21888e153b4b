package localstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"bldst/events"
	"bldst/events/asl"
	"bldst/localstack/bus"
	"bldst/localstack/meter"
	"bldst/localstack/states"
	"bldst/shared/build"
	"bldst/shared/wire"
	"bldst/shared/workflow"

	"github.com/aws/aws-lambda-go/lambda"
)

// MachineARN is the state machine that drives builds on this machine.
const MachineARN = "arn:aws:states:us-east-1:000000000000:stateMachine:bldst-build"

// machineName is the last part of MachineARN.
const machineName = "bldst-build"

// Files of the data folder, beside the table.
const (
	statesFile = "states.db"
	busFile    = "bus.db"
)

// A driver is what moves builds on: the state machine with its tasks, the
// rules and their schedule, and the functions they invoke.
type driver struct {
	meter     *meter.Meter
	functions map[string]lambda.Handler
	engine    *states.Engine
	bus       *bus.Bus
	log       *slog.Logger
}

// newDriver starts it. url is where the system answers, or will in a moment;
// ports are what each function is given.
func newDriver(url string, o Options, ports func(function string) wire.Ports) (*driver, error) {
	d := &driver{log: o.Log, meter: o.Meter}
	machine := workflow.Open(workflow.Access{Region: "us-east-1", Endpoint: url, KeyID: "local", Secret: "local"}, MachineARN)
	d.functions = map[string]lambda.Handler{
		"open-build": wire.OpenBuild(ports("open-build"), machine), "await-report": wire.AwaitReport(ports("await-report"), machine),
		"record-stall": wire.RecordStall(ports("record-stall")), "decide-failure": wire.DecideFailure(ports("decide-failure")),
		"resume-build": wire.ResumeBuild(ports("resume-build")), "relay": wire.Relay(ports("relay"), machine, d),
		"sweep": wire.Sweep(ports("sweep"), machine), "reconcile": wire.Reconcile(ports("reconcile"), machine),
		"notify": wire.Notify(ports("notify"), nil), "dispatch": wire.Dispatch(ports("dispatch"), nil),
	}
	for name, h := range d.functions {
		d.functions[name] = o.Meter.Function(name, h)
	}
	definition, err := asl.Render("aws", func(function string) string { return function })
	if err != nil {
		return nil, err
	}
	if d.bus, err = bus.Open(bus.Options{Path: filepath.Join(o.Data, busFile), Rules: events.Bind(events.Rules, MachineARN), Invoker: d, Functions: slices.Sorted(maps.Keys(d.functions)), Clock: o.Clock, Log: o.Log}); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if d.engine, err = states.Open(states.Options{Path: filepath.Join(o.Data, statesFile), Invoker: d, Clock: o.Clock, Log: o.Log,
		Machines: []states.Machine{{Name: machineName, ARN: MachineARN, Definition: []byte(definition), File: "build.asl.json"}},
		OnStatus: d.told}); err != nil {
		return nil, errors.Join(fmt.Errorf("state machine: %w", err), d.bus.Close())
	}
	return d, nil
}

// told passes a change of an execution's status on to the rules.
func (d *driver) told(e states.Event) {
	if err := d.bus.Take(context.Background(), e); err != nil {
		d.log.Error("status of an execution not taken by the rules", "cause", err.Error())
	}
}

// Publish implements drive.Publisher.
func (d *driver) Publish(ctx context.Context, es []build.Event) error {
	d.meter.Add(meter.Events, float64(len(es)))
	return d.bus.Publish(ctx, es)
}

// Invoke implements the Invoker of the state machine and of the rules: it
// calls a function as Lambda does, and names its errors as Lambda's runtime
// does.
func (d *driver) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	h := d.functions[function]
	if h == nil {
		return nil, &states.ServiceError{Code: "Lambda.ResourceNotFoundException", Message: "no function " + function}
	}
	out, err := h.Invoke(ctx, payload)
	if err == nil {
		return out, nil
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return nil, &states.FunctionError{Type: t.Name(), Message: err.Error()}
}

// route sends what is meant for Step Functions to the state machine and
// everything else to next.
func (d *driver) route(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("X-Amz-Target"), states.Target) {
			d.engine.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (d *driver) close() error { return errors.Join(d.engine.Close(), d.bus.Close()) }
