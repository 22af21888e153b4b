package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"bldst/shared/build"
	"bldst/shared/outbound"
	"bldst/shared/problem"
	"bldst/shared/secret"
)

// A Dispatcher carries out orders.
type Dispatcher struct {
	Orders  Orders
	Secrets secret.Source
	HTTP    *outbound.Client
	Log     *slog.Logger
	Now     func() time.Time
}

// maxClaims is how often an order is tried again by a later delivery of its
// event, each time with the tries of the HTTP client.
const maxClaims = 3

// Handle carries out the order of a build.resume_requested event. It is
// idempotent by the resume request: once the job was started nothing happens
// any more. Without a CI the request stays as it is: somebody else starts the
// job. An error means that the event is to be delivered again.
func (d *Dispatcher) Handle(ctx context.Context, e build.Event) error {
	o, tries, err := d.Orders.ClaimOrder(ctx, e)
	if err != nil || o == nil {
		return err
	}
	started, err := d.carryOut(ctx, o)
	var unsure *unsureError
	switch {
	case errors.As(err, &unsure):
		return d.leave(ctx, o, unsure, tries)
	case errors.Is(err, errNoCI):
		return d.Orders.FinishOrder(ctx, o, Outcome{Status: Pending, Error: explain(err)})
	case err == nil:
		d.Log.Info("job started", "build_id", o.BuildID, "request_id", o.RequestID, "job_url", started.URL)
		return d.Orders.FinishOrder(ctx, o, Outcome{Status: Triggered, JobID: started.ID, JobURL: started.URL})
	case outbound.IsTemporary(err) && tries < maxClaims:
		return errors.Join(err, d.Orders.FinishOrder(ctx, o, Outcome{Status: Pending, Error: explain(err)}))
	default:
		d.Log.Error("job not started", "build_id", o.BuildID, "request_id", o.RequestID, "cause", err.Error())
		return d.Orders.FinishOrder(ctx, o, Outcome{Status: Failed, Error: explain(err)})
	}
}

// carryOut starts the job of o. When an earlier try may have started it, the CI
// is asked first.
func (d *Dispatcher) carryOut(ctx context.Context, o *Order) (Started, error) {
	c, err := d.call(ctx, o)
	if err != nil {
		return Started{}, err
	}
	if o.Unsure && c.ci.Kind != Webhook { // a webhook carries the id of the request: it knows that it was sent before
		if started, err := c.find(nil); err != nil || started != nil {
			return either(started), err
		}
		if d.Now().Sub(o.UnsureSince) < settle {
			return Started{}, &unsureError{host: outbound.HostOf(c.ci.URL), asked: true}
		}
	}
	started, err := starter(c.ci.Kind)(c)
	if outbound.Sent(err) && c.ci.Kind != Webhook {
		found, err := c.find(err)
		if err == nil && found == nil {
			err = &unsureError{host: outbound.HostOf(c.ci.URL), asked: true}
		}
		return either(found), err
	}
	return started, err
}

// settle is how long a CI may need to show a job that it was told to start.
const settle = time.Minute

func either(s *Started) Started {
	if s == nil {
		return Started{}
	}
	return *s
}

// leave puts down that nobody knows whether the job was started. While the CI
// can be asked, the event is delivered again, and it is asked again; else it is
// a person's turn. The job may be running, so the resume stays open for it.
func (d *Dispatcher) leave(ctx context.Context, o *Order, err *unsureError, tries int) error {
	d.Log.Warn("job perhaps started", "build_id", o.BuildID, "request_id", o.RequestID, "cause", err.Error())
	put := d.Orders.FinishOrder(ctx, o, Outcome{Status: Pending, Unsure: true, Error: err.Error()})
	if err.asked && tries < maxClaims {
		return errors.Join(err, put)
	}
	return put
}

// An unsureError says that a job may or may not have been started.
type unsureError struct {
	host  string
	cause string // why the start was not answered
	asked bool   // the CI was asked and shows no such job, yet
	why   string // it could not be asked
}

func (e *unsureError) Error() string {
	text := e.host + " was told to start the job and did not say whether it did"
	if e.cause != "" {
		text += " (" + e.cause + ")"
	}
	if e.asked {
		return text + "; its queue and its newest builds do not show the job yet."
	}
	return text + ", and cannot be asked: " + e.why + ". It is not told twice. Look there; if no job runs, start it yourself, or cancel this resume request and resume again."
}

// explain returns what a person is told of err.
func explain(err error) string {
	var out *outbound.Error
	var p *problem.Problem
	var c credentialError
	switch {
	case errors.As(err, &out):
		return out.Error()
	case errors.As(err, &p):
		return p.Detail
	case errors.As(err, &c):
		return c.Error()
	default:
		return "The job could not be started; the log of the function says why."
	}
}

// A credentialError says that a reference leads to no credential. Its text is
// safe to show: it names the reference.
type credentialError struct{ ref string }

func (e credentialError) Error() string {
	return fmt.Sprintf("The credential %s cannot be read or has the wrong form.", e.ref)
}

// Started is the job that was started. Either may be empty: not every CI says.
type Started struct{ ID, URL string }

// A call is one order being carried out.
type call struct {
	ctx    context.Context
	http   *outbound.Client
	ci     CI
	order  *Order
	secret string
	now    time.Time
}

// starter returns what starts the jobs of a kind of CI, nil when there is none
// of that kind. It is a function, not a table, so that who only knows the types
// of this package does not link it all.
func starter(kind string) func(*call) (Started, error) {
	switch kind {
	case Concourse:
		return (*call).concourse
	case Jenkins:
		return (*call).jenkins
	case GitHub:
		return (*call).github
	case GitLab:
		return (*call).gitlab
	case Webhook:
		return (*call).webhook
	}
	return nil
}

// call returns o with its CI and credential.
func (d *Dispatcher) call(ctx context.Context, o *Order) (*call, error) {
	ci, err := o.target()
	if err != nil {
		return nil, err
	}
	if starter(ci.Kind) == nil {
		return nil, problem.New(problem.Refused, "There is no CI of kind %s.", ci.Kind)
	}
	c := &call{ctx: ctx, http: d.HTTP, ci: ci, order: o, now: d.Now()}
	if ci.Credential != "" {
		if c.secret, err = d.Secrets.Secret(ctx, ci.Credential); err != nil {
			d.Log.Error("credential not found", "build_id", o.BuildID, "cause", err.Error())
			return nil, credentialError{ci.Credential}
		}
	}
	return c, nil
}

// A parameter is what the job is told.
type parameter struct{ lower, upper, value string }

// parameters returns what every job is told, in their order.
func (o *Order) parameters() []parameter {
	out := []parameter{
		{"build_id", "BUILD_ID", o.BuildID},
		{"resume_mode", "RESUME_MODE", "true"},
		{"resume_from_state", "RESUME_FROM_STATE", strconv.Itoa(o.From)},
		{"attempt", "ATTEMPT", strconv.Itoa(o.Attempt)},
	}
	if o.Targets != nil { // a job that knows no targets need not know this: some refuse what they do not
		out = append(out, parameter{"resume_targets", "RESUME_TARGETS", strings.Join(o.Targets, ",")})
	}
	return out
}

// lower returns the parameters under their lower-case names.
func (o *Order) lower() map[string]string {
	m := map[string]string{}
	for _, p := range o.parameters() {
		m[p.lower] = p.value
	}
	return m
}

// send sends r with the tries of the client. Any status but one of success is
// an error, which says what the CI says of it.
func (c *call) send(r outbound.Request) (*outbound.Response, error) {
	resp, _, err := c.http.Send(c.ctx, r)
	if err != nil {
		return nil, err
	}
	return resp, c.refusal(resp, outbound.HostOf(r.URL))
}

// refusal returns the error of an answer with what it says, nil for one of
// success.
func (c *call) refusal(resp *outbound.Response, host string) error {
	err := resp.Err(host)
	var refused *outbound.Error
	if !errors.As(err, &refused) || resp.Status < 400 {
		return err
	}
	if said := reason(resp.Body, c.secret); said != "" {
		refused.Why += ": " + said
	}
	return refused
}

// unreadable is the error of an answer that is not what the CI documents.
func (c *call) unreadable() error {
	return &outbound.Error{Host: outbound.HostOf(c.ci.URL), Why: "did not answer as " + c.ci.Kind + " does"}
}
