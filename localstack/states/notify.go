package states

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// An Event tells that the status of an execution has changed. As JSON it is
// the EventBridge event "Step Functions Execution Status Change".
type Event struct {
	Version    string       `json:"version"`
	ID         string       `json:"id"` // the same when it is told again
	DetailType string       `json:"detail-type"`
	Source     string       `json:"source"`
	Account    string       `json:"account"`
	Time       time.Time    `json:"time"`
	Region     string       `json:"region"`
	Resources  []string     `json:"resources"` // the execution
	Detail     StatusChange `json:"detail"`
}

// StatusChange is the detail of an Event. Dates are milliseconds since 1970.
type StatusChange struct {
	ExecutionARN        string   `json:"executionArn"`
	StateMachineARN     string   `json:"stateMachineArn"`
	Name                string   `json:"name"`
	Status              string   `json:"status"`
	StartDate           int64    `json:"startDate"`
	StopDate            *int64   `json:"stopDate"`
	Input               *string  `json:"input"`
	InputDetails        Included `json:"inputDetails"`
	Output              *string  `json:"output"`
	OutputDetails       Included `json:"outputDetails"`
	Error               *string  `json:"error"`
	Cause               *string  `json:"cause"`
	RedriveCount        int      `json:"redriveCount"`
	RedriveDate         *int64   `json:"redriveDate"`
	RedriveStatus       string   `json:"redriveStatus"`
	RedriveStatusReason *string  `json:"redriveStatusReason"`
}

// Included says whether input or output is in the event.
type Included struct {
	Included bool `json:"included"`
}

// maxTold is the size over which AWS leaves input and output out.
const maxTold = 248 * 1024

func newEvent(t *turn) Event {
	r := &t.r
	account := ""
	if parts := strings.Split(r.ARN, ":"); len(parts) > 4 {
		account = parts[4]
	}
	e := Event{
		Version: "0", ID: t.env.uuid(), DetailType: "Step Functions Execution Status Change", Source: "aws.states",
		Account: account, Time: t.env.now, Region: region(r.ARN), Resources: []string{r.ARN},
		Detail: StatusChange{
			ExecutionARN: r.ARN, StateMachineARN: r.Machine, Name: r.Name, Status: r.Status,
			StartDate: r.Started.UnixMilli(), StopDate: millis(r.Stopped), Error: r.Error, Cause: r.Cause,
			RedriveCount: r.Redrives, RedriveDate: millis(r.Redriven), RedriveStatus: "REDRIVABLE",
		},
	}
	e.Detail.Input, e.Detail.InputDetails = told([]byte(r.Input))
	e.Detail.Output, e.Detail.OutputDetails = told(r.Output)
	if why := r.notRedrivable(t.env.now); why != "" {
		e.Detail.RedriveStatus, e.Detail.RedriveStatusReason = "NOT_REDRIVABLE", &why
	}
	return e
}

func told(raw []byte) (*string, Included) {
	if raw == nil || len(raw) > maxTold {
		return nil, Included{raw == nil}
	}
	s := string(raw)
	return &s, Included{true}
}

func millis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

// tell puts a status change in the outbox, in the transaction that makes it.
func (x *txn) tell(t *turn) {
	n, err := x.in("outbox").NextSequence()
	if x.err == nil {
		x.err = err
	}
	x.putJSON("outbox", numbered(n), newEvent(t))
}

func (e *Engine) ring() {
	select {
	case e.bell <- struct{}{}:
	default:
	}
}

// tellLoop tells what is in the outbox and takes it out.
func (e *Engine) tellLoop() {
	for {
		select {
		case <-e.bell:
		case <-e.closing:
			return
		}
		for e.tellSome() && !e.closed() {
			continue
		}
	}
}

// tellSome tells up to a hundred events; false when there were none.
func (e *Engine) tellSome() bool {
	keys, events := e.untold(100)
	for i, event := range events {
		if e.closed() {
			keys = keys[:i]
			break
		}
		e.opt.OnStatus(event)
	}
	if len(keys) == 0 {
		return false
	}
	err := e.submit(func(x *txn) error {
		for _, key := range keys {
			x.delete("outbox", key)
		}
		return nil
	})
	if err != nil {
		e.opt.Log.Error("state machines: told status changes will be told again", "error", err, "count", strconv.Itoa(len(keys)))
		return false
	}
	e.done(len(keys))
	return true
}

// untold returns the first events of the outbox.
func (e *Engine) untold(most int) (keys [][]byte, events []Event) {
	err := e.disk.view(func(x *txn) error {
		c := x.in("outbox").Cursor()
		for k, v := c.First(); k != nil && len(keys) < most; k, v = c.Next() {
			var event Event
			if err := unmarshal(v, &event); err != nil {
				return err
			}
			keys, events = append(keys, append([]byte(nil), k...)), append(events, event)
		}
		return nil
	})
	if err != nil {
		e.opt.Log.Error("state machines: the outbox cannot be read", "error", err)
	}
	return keys, events
}

func unmarshal(raw []byte, v any) error { return json.Unmarshal(raw, v) }
