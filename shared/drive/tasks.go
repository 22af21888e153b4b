package drive

import (
	"context"
	"encoding/json"
	"strings"

	"bldst/shared/api"
	"bldst/shared/build"
	"bldst/shared/problem"
)

// Tasks are the Lambda functions of the state machine, in the order of
// events/asl/build.asl.json. Each answers with the Drive that is the input of
// the next state.
type Tasks struct {
	Store   Store
	Machine Workflow
	Resumer Resumer
}

// A Refused is the error of a task that trying again cannot help. The machine
// knows it by the name of this type.
type Refused struct{ Detail string }

func (r *Refused) Error() string { return r.Detail }

// refused returns err as Refused when the caller must change something.
func refused(err error) error {
	p := problem.From(err)
	if p == nil || p.Kind == problem.Internal || p.Kind == problem.Unavailable {
		return err
	}
	return &Refused{Detail: p.Error()}
}

// An OpenIn is the input of open-build: what the execution was started with.
type OpenIn struct {
	Execution string          `json:"execution"`
	Input     json.RawMessage `json:"input"`
}

// An openBody is what an execution is started with: the body of POST /builds,
// or an Ask.
type openBody struct {
	build.CreateIn
	Attempt  int    `json:"attempt,omitempty" minimum:"0"`
	Previous string `json:"previous_execution,omitempty" maxLength:"500"`
	From     string `json:"hand_over_from,omitempty" maxLength:"500"`
}

// OpenBuild finds or makes the build that the execution is to drive, and makes
// it its driver. The input is an Ask, or the body of POST /builds in any of
// its generations: then the build is found by its number, or made. Without a
// number the execution's name is it, so that the same execution is the same
// build. An execution for a build that has another open one ends at once; one
// that takes a build over stops the one before.
func (t *Tasks) OpenBuild(ctx context.Context, in OpenIn) (build.Drive, error) {
	body, _, err := api.Decode[openBody](in.Input)
	if err != nil {
		return build.Drive{}, refused(err)
	}
	if body.BuildNumber == "" && body.BuildID == "" {
		body.BuildNumber = executionName(in.Execution)
	}
	var id string
	if body.Attempt > 0 {
		id, err = t.find(ctx, body.BuildID)
	} else {
		id, err = t.create(ctx, body.CreateIn, in.Execution)
	}
	if err != nil {
		return build.Drive{}, refused(err)
	}
	if body.From != "" {
		return t.takeOver(ctx, id, in.Execution, body.From)
	}
	out, err := t.attach(ctx, id, in.Execution)
	if err != nil || out.AttachedTo != "" || body.Previous == "" {
		return out, err
	}
	// One that has lost its token would wait for months.
	return out, t.Machine.Stop(ctx, body.Previous, "Another execution drives the build now: "+in.Execution)
}

func (t *Tasks) find(ctx context.Context, ref string) (string, error) {
	b, err := t.Store.Build(ctx, ref, true)
	if err != nil {
		return "", err
	}
	return b.ID, nil
}

// create returns the id of the build in asks for, new or not.
func (t *Tasks) create(ctx context.Context, in build.CreateIn, execution string) (string, error) {
	ref := in.BuildNumber
	if ref == "" {
		ref = in.BuildID
	}
	there, err := t.Store.Build(ctx, ref, false)
	if err != nil && !problem.Is(err, problem.NotFound) {
		return "", err
	}
	if err == nil {
		in.BuildNumber = there.Number
		if in.ProjectID == "" && in.Project == "" {
			in.ProjectID = there.ProjectID
		}
	}
	if in.CreatedBy == "" {
		in.CreatedBy = "step-functions"
	}
	c, err := in.Normalise()
	if err != nil {
		return "", err
	}
	c.Attach = true
	b, err := t.Store.OpenBuild(ctx, c, execution)
	if b != nil && problem.Is(err, problem.Conflict) {
		return b.ID, nil
	}
	if err != nil {
		return "", err
	}
	return b.ID, nil
}

// attach makes execution the driver of the build, unless another one that runs
// is.
func (t *Tasks) attach(ctx context.Context, id, execution string) (build.Drive, error) {
	d, err := t.run(ctx, t.Store.Drive, id, execution, func(*build.Driven) error { return nil })
	if err != nil || d.AttachedTo == "" {
		return d, err
	}
	status, err := t.Machine.Status(ctx, d.AttachedTo)
	if err != nil || status == running {
		return d, err
	}
	dead := d.AttachedTo
	return t.run(ctx, func(ctx context.Context, id string, f func(*build.Driven) error) error {
		return t.Store.Drive(ctx, id, func(d *build.Driven) error {
			if d.Driver.Execution == dead {
				d.Driver.Release()
			}
			return f(d)
		})
	}, id, execution, func(*build.Driven) error { return nil })
}

// takeOver makes execution the driver in the place of from, whose history is
// nearly full, and ends that one's wait: it has nothing more to do.
func (t *Tasks) takeOver(ctx context.Context, id, execution, from string) (build.Drive, error) {
	token := ""
	out, err := t.run(ctx, func(ctx context.Context, id string, f func(*build.Driven) error) error {
		return t.Store.Drive(ctx, id, func(d *build.Driven) error {
			token, _ = d.Driver.HandOver(from, execution)
			return f(d)
		})
	}, id, execution, func(*build.Driven) error { return nil })
	if err != nil || token == "" {
		return out, err
	}
	done := out
	done.Next, done.AttachedTo = build.Done, execution
	_, err = answer(ctx, t.Machine, token, done)
	return out, err
}

// run lets f change the build that execution drives, and returns what the
// machine does with it then. When another execution drives it, f is not called
// and this one is done.
func (t *Tasks) run(ctx context.Context, change func(context.Context, string, func(*build.Driven) error) error, id, execution string, f func(*build.Driven) error) (build.Drive, error) {
	var last *build.Driven
	ours := false
	err := change(ctx, id, func(d *build.Driven) error {
		last = d
		if ours = d.Driver.Adopt(execution); !ours {
			return nil
		}
		err := f(d)
		if d.Drive().Next == build.GiveUp {
			d.Driver.Release() // from now on a resume starts another execution
		}
		return err
	})
	if err != nil {
		return build.Drive{}, err
	}
	out := last.Drive()
	if !ours {
		out.Next, out.AttachedTo = build.Done, last.Driver.Execution
	}
	return out, nil
}

// A WaitIn is the input of the tasks that come after open-build: the build,
// and where it was when the machine last heard of it.
type WaitIn struct {
	BuildID   string       `json:"build_id"`
	Revision  int64        `json:"revision"`
	State     int          `json:"state_code"`
	Status    build.Status `json:"status"`
	Attempt   int          `json:"attempt"`
	Execution string       `json:"execution"`
	Token     string       `json:"token,omitempty"` // of await-report
	Error     string       `json:"error,omitempty"` // of record-stall: what ended the wait
}

func (in WaitIn) stand() build.Stand {
	return build.Stand{State: in.State, Status: in.Status, Attempt: in.Attempt}
}

// AwaitReport parks the token of the wait, on condition that the build is still
// where the machine believes it is; else it answers the wait at once. With
// relay, which reads the token after a change was committed, both orders of a
// report and the parking are right.
func (t *Tasks) AwaitReport(ctx context.Context, in WaitIn) (build.Drive, error) {
	parked := false
	out, err := t.run(ctx, t.Store.Drive, in.BuildID, in.Execution, func(d *build.Driven) error {
		if parked = d.Stand() == in.stand() && d.Drive().Next == build.Await; parked {
			d.Driver.Park(in.Token, in.stand())
		}
		return nil
	})
	if err != nil || parked && out.AttachedTo == "" {
		return out, err
	}
	_, err = answer(ctx, t.Machine, in.Token, out) // a wait that is over needs no answer
	return out, err
}

// RecordStall is asked when a wait has ended without an answer. The table
// decides: a build that has moved on goes on, one whose worker is alive and in
// time is waited for again, one that is silent or too slow is failed. A failed
// build that has waited long enough for a person is given up.
func (t *Tasks) RecordStall(ctx context.Context, in WaitIn) (build.Drive, error) {
	return t.run(ctx, t.Store.Drive, in.BuildID, in.Execution, func(d *build.Driven) error {
		d.Driver.Token = ""
		switch {
		case d.Status == build.Failed && d.GivenUp(d.Now):
			return d.GiveUp()
		case d.Stand() != in.stand():
			return nil
		}
		e, over, err := d.Overdue(d.Rules, d.Now)
		if over {
			d.Entry = &e
		}
		return err
	})
}

// DecideFailure decides what is done about the failure of the current attempt,
// once; asked again it gives the same answer.
func (t *Tasks) DecideFailure(ctx context.Context, in WaitIn) (build.Drive, error) {
	return t.run(ctx, t.Store.Decide, in.BuildID, in.Execution, func(d *build.Driven) error { return d.Decide() })
}

// ResumeBuild opens the attempt that was decided on. When somebody else has
// resumed the build meanwhile it does nothing; when the build cannot be
// resumed, a person must act.
func (t *Tasks) ResumeBuild(ctx context.Context, in WaitIn) (build.Drive, error) {
	due := false
	attempt, reason := 0, ""
	out, err := t.run(ctx, t.Store.Decide, in.BuildID, in.Execution, func(d *build.Driven) error {
		now := d.Drive()
		due = now.Next == build.Backoff && now.Delay <= int(build.Skew.Seconds())
		attempt, reason = d.Attempt, now.Reason
		if due && d.Breaker != nil && d.Breaker.Open {
			due = false
			return d.AskPerson("The breaker of the image line is open: " + d.Breaker.Reason)
		}
		return nil
	})
	if err != nil || !due || out.AttachedTo != "" {
		return out, err
	}
	err = t.Resumer.AutoResume(ctx, in.BuildID, attempt, reason)
	if p := problem.From(err); p != nil && (p.Kind == problem.Internal || p.Kind == problem.Unavailable) {
		return build.Drive{}, err
	}
	return t.run(ctx, t.Store.Drive, in.BuildID, in.Execution, func(d *build.Driven) error {
		if err == nil || d.Status != build.Failed || d.Attempt != attempt {
			return nil
		}
		return d.AskPerson("The automatic resume was refused: " + problem.From(err).Detail)
	})
}

// executionName returns the name in the ARN of an execution.
func executionName(arn string) string { return arn[strings.LastIndex(arn, ":")+1:] }
