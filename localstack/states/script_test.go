package states_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"bldst/localstack/states"
)

// The files in testdata are definitions, inputs, what is done to them and what
// must come of it, in a form that says nothing about this interpreter: the same
// files are run on another one in localstack_test.go.

type scriptFile struct {
	About      string             `json:"about"`
	Functions  map[string][]reply `json:"functions"`
	Definition json.RawMessage    `json:"definition"`
	Cases      []scriptCase       `json:"cases"`
}

// A reply is what a function does in one call; the last one repeats.
type reply struct {
	Echo    bool            `json:"echo,omitempty"`
	Return  json.RawMessage `json:"return,omitempty"`
	Error   string          `json:"error,omitempty"`
	Message string          `json:"message,omitempty"`
}

type scriptCase struct {
	Name    string          `json:"name"`
	Machine string          `json:"machine"` // its name, where the output shows it
	Input   json.RawMessage `json:"input"`
	Advance int             `json:"advance"` // seconds at the end
	Script  []action        `json:"script"`
	Want    outcome         `json:"want"`
}

type action struct {
	Do      string          `json:"do"` // success, failure, heartbeat, stop: to the wait that is open
	Output  json.RawMessage `json:"output"`
	Error   string          `json:"error"`
	Cause   string          `json:"cause"`
	Advance int             `json:"advance"` // or let seconds pass
}

type outcome struct {
	Status string          `json:"status"`
	Output json.RawMessage `json:"output,omitempty"`
	Error  string          `json:"error,omitempty"`
	Cause  string          `json:"cause,omitempty"` // compared when wanted
	States []string        `json:"states"`
	Events []string        `json:"events,omitempty"` // compared when wanted
}

func scriptFiles(t *testing.T) map[string]scriptFile {
	t.Helper()
	names, err := filepath.Glob("testdata/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in testdata: %v", err)
	}
	files := map[string]scriptFile{}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var f scriptFile
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files[strings.TrimSuffix(filepath.Base(name), ".json")] = f
	}
	return files
}

// replyList gives the replies of a function one after the other.
type replyList struct {
	mu   sync.Mutex
	left []reply
}

func (l *replyList) next() reply {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.left[0]
	if len(l.left) > 1 {
		l.left = l.left[1:]
	}
	return r
}

// function makes an in-process Lambda of replies.
func function(replies []reply) lambda {
	list := &replyList{left: replies}
	return func(_ context.Context, payload []byte) ([]byte, error) {
		switch r := list.next(); {
		case r.Error != "":
			return nil, &states.FunctionError{Type: r.Error, Message: r.Message}
		case r.Echo:
			return payload, nil
		default:
			return r.Return, nil
		}
	}
}

// A player runs one case on some interpreter through its API.
type player struct {
	t       *testing.T
	client  *sfn.Client
	arn     string
	advance func(seconds int)
	settle  func()
}

func (p *player) play(machine string, c scriptCase) outcome {
	p.t.Helper()
	started, err := p.client.StartExecution(p.t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: aws.String(machine), Input: aws.String(string(c.Input)),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.arn = *started.ExecutionArn
	for _, a := range c.Script {
		p.settle()
		p.do(a)
	}
	p.settle()
	p.advance(c.Advance)
	p.settle()
	return p.outcome()
}

func (p *player) do(a action) {
	p.t.Helper()
	var err error
	switch ctx := p.t.Context(); a.Do {
	case "":
		p.advance(a.Advance)
	case "success":
		_, err = p.client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: p.token(), Output: aws.String(string(a.Output))})
	case "failure":
		_, err = p.client.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: p.token(), Error: aws.String(a.Error), Cause: aws.String(a.Cause)})
	case "heartbeat":
		_, err = p.client.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: p.token()})
	case "stop":
		_, err = p.client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &p.arn, Error: aws.String(a.Error), Cause: aws.String(a.Cause)})
	default:
		p.t.Fatalf("the script says %q", a.Do)
	}
	if err != nil {
		p.t.Fatalf("%s: %v", a.Do, err)
	}
}

// token returns the token of the open wait, from the request in the history:
// no Lambda needs to hand it on.
func (p *player) token() *string {
	p.t.Helper()
	token := tokenIn(p.history())
	if token == "" {
		p.t.Fatal("nothing was scheduled")
	}
	return &token
}

func tokenIn(events []types.HistoryEvent) string {
	for _, e := range slices.Backward(events) {
		if d := e.TaskScheduledEventDetails; d != nil {
			var request struct{ Payload struct{ Token string } }
			_ = json.Unmarshal([]byte(*d.Parameters), &request)
			return request.Payload.Token
		}
	}
	return ""
}

func (p *player) history() []types.HistoryEvent {
	p.t.Helper()
	var all []types.HistoryEvent
	pages := sfn.NewGetExecutionHistoryPaginator(p.client, &sfn.GetExecutionHistoryInput{ExecutionArn: &p.arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		all = append(all, page.Events...)
	}
	return all
}

func (p *player) outcome() outcome {
	p.t.Helper()
	d, err := p.client.DescribeExecution(p.t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &p.arn})
	if err != nil {
		p.t.Fatal(err)
	}
	o := outcome{Status: string(d.Status), Error: aws.ToString(d.Error), Cause: aws.ToString(d.Cause)}
	if d.Output != nil {
		o.Output = json.RawMessage(*d.Output)
	}
	for _, e := range p.history() {
		o.Events = append(o.Events, string(e.Type))
		if e.StateEnteredEventDetails != nil {
			o.States = append(o.States, *e.StateEnteredEventDetails.Name)
		}
	}
	return o
}

// compare returns how got differs from what is wanted.
func compare(want, got outcome) string {
	if want.Cause == "" {
		got.Cause = ""
	}
	if want.Events == nil {
		got.Events = nil
	}
	if want.Error == "" && want.Status == "TIMED_OUT" {
		got.Error = ""
	}
	return cmp.Diff(want, got, cmp.Comparer(func(a, b json.RawMessage) bool { return sameJSON(a, b) }))
}

func sameJSON(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
}

func TestEveryFileOfTestdataComesOutAsItSays(t *testing.T) {
	t.Parallel()
	for name, f := range scriptFiles(t) {
		for _, c := range f.Cases {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				functions := lambdas{}
				for name, replies := range f.Functions {
					functions[name] = function(replies)
				}
				h := newHarness(t, functions, states.Machine{Name: name, ARN: arnOf(name), Definition: f.Definition})
				p := &player{
					t: t, client: h.client, settle: h.engine.Settle,
					advance: func(seconds int) { h.clock.Advance(time.Duration(seconds) * time.Second) },
				}
				if diff := compare(c.Want, p.play(arnOf(name), c)); diff != "" {
					t.Errorf("%s (-want +got)\n%s", c.Name, diff)
				}
			})
		}
	}
}
