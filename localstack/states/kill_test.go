package states_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"bldst/localstack/clock"
	"bldst/localstack/states"
)

// The tests of this file run an engine in a process of its own, this test
// binary started again, and kill it. Its clock stands still until it is told
// to move, so that what is left of a wait can be compared exactly.

const (
	childFile = "BLDST_STATES_CHILD_FILE"
	childTime = "BLDST_STATES_CHILD_TIME"
	childHang = "BLDST_STATES_CHILD_HANG"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(childFile); file != "" {
		if err := runChild(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := flag.Set("rapid.nofailfile", "true"); err != nil { // the seed is printed; testdata stays clean
		panic(err)
	}
	os.Exit(m.Run())
}

// childMachine passes every kind of wait, as its input says.
const childMachine = `{"StartAt": "Which", "TimeoutSeconds": 86400, "States": {
	"Which": {"Type": "Choice", "Choices": [
		{"Variable": "$.go", "StringEquals": "wait", "Next": "Wait"},
		{"Variable": "$.go", "StringEquals": "retry", "Next": "Retry"},
		{"Variable": "$.go", "StringEquals": "invoke", "Next": "Invoke"}], "Default": "Await"},
	"Wait": {"Type": "Wait", "Seconds": 600, "End": true},
	"Await": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Parameters": {"FunctionName": "park", "Payload": {"token.$": "$$.Task.Token"}},
		"HeartbeatSeconds": 600, "TimeoutSeconds": 3600, "End": true},
	"Retry": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "fail"}, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 600, "MaxAttempts": 1}], "End": true},
	"Invoke": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "hang"}, "OutputPath": "$.Payload", "End": true}}}`

func runChild(file string) error {
	now, err := time.Parse(time.RFC3339, os.Getenv(childTime))
	if err != nil {
		return err
	}
	fake := clock.NewFake(now)
	engine, err := states.Open(states.Options{
		Path: file, Clock: fake, Machines: []states.Machine{machineOf("m", childMachine)},
		Invoker: lambdas{
			"park": nothing,
			"fail": func(context.Context, []byte) ([]byte, error) { return nil, &states.FunctionError{Type: "E"} },
			"hang": func(ctx context.Context, _ []byte) ([]byte, error) {
				if os.Getenv(childHang) != "" {
					<-ctx.Done()
				}
				return []byte(`"invoked"`), ctx.Err()
			},
		},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /{$}", engine)
	mux.HandleFunc("POST /advance", func(_ http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.URL.Query().Get("by"))
		fake.OnStep(engine.Settle)
		fake.Advance(d)
	})
	fmt.Println(listener.Addr())
	return http.Serve(listener, mux)
}

// A child is a running engine.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	client *sfn.Client
}

// startChild starts an engine on file at a time. It is killed with the test.
func startChild(t *testing.T, file string, at time.Time, hang bool) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childFile+"="+file, childTime+"="+at.Format(time.RFC3339))
	if hang {
		c.cmd.Env = append(c.cmd.Env, childHang+"=1")
	}
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	line := bufio.NewScanner(out)
	if !line.Scan() {
		t.Fatal("the child did not start")
	}
	c.url = "http://" + line.Text()
	c.client = clientOf(c.url)
	return c
}

// kill ends the child as a power cut does.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

func (c *child) advance(d time.Duration) {
	c.t.Helper()
	r, err := http.Post(c.url+"/advance?by="+d.String(), "", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = r.Body.Close()
}

func (c *child) start(name, input string) string {
	c.t.Helper()
	out, err := c.client.StartExecution(c.t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(arnOf("m")), Name: &name, Input: &input})
	if err != nil {
		c.t.Fatal(err)
	}
	return *out.ExecutionArn
}

func (c *child) player(arn string) *player { return &player{t: c.t, client: c.client, arn: arn} }

func TestAKillInAnyWaitLosesNothingAndTheRemainingTimeGoesOn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "states.db")
	first := startChild(t, file, noon, true)
	wait, await, retry, invoke := first.start("wait", `{"go": "wait"}`), first.start("await", `{"go": "await"}`), first.start("retry", `{"go": "retry"}`), first.start("invoke", `{"go": "invoke"}`)
	beaten := first.start("beaten", `{"go": "await"}`)
	waitFor(t, first, retry, "TaskFailed")
	waitFor(t, first, await, "TaskSubmitted")
	waitFor(t, first, beaten, "TaskSubmitted")
	token := first.player(beaten).token()
	first.kill()

	second := startChild(t, file, noon.Add(5*time.Minute), false)
	if _, err := second.client.SendTaskHeartbeat(t.Context(), &sfn.SendTaskHeartbeatInput{TaskToken: token}); err != nil {
		t.Fatal(err)
	}
	second.kill()

	third := startChild(t, file, noon.Add(6*time.Minute), false)
	third.advance(2 * time.Hour)
	for _, c := range []struct {
		arn, status, error, output string
		after                      time.Duration
	}{
		{wait, "SUCCEEDED", "", `{"go":"wait"}`, 10 * time.Minute},
		{await, "FAILED", "States.HeartbeatTimeout", "", 10 * time.Minute},
		{beaten, "FAILED", "States.HeartbeatTimeout", "", 15 * time.Minute},
		{retry, "FAILED", "E", "", 10 * time.Minute},
		{invoke, "SUCCEEDED", "", `"invoked"`, 5 * time.Minute},
	} {
		d, err := third.client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &c.arn})
		if err != nil {
			t.Fatal(err)
		}
		var output string
		if d.Output != nil {
			output = *d.Output
		}
		stopped := time.Duration(0)
		if d.StopDate != nil {
			stopped = d.StopDate.Sub(noon)
		}
		equal(t, c.arn, []any{c.status, c.error, c.output, c.after}, []any{string(d.Status), aws.ToString(d.Error), output, stopped})
	}
}

// waitFor returns when the history has an event of a kind.
func waitFor(t *testing.T, c *child, arn, kind string) {
	t.Helper()
	for {
		for _, e := range c.player(arn).history() {
			if string(e.Type) == kind {
				return
			}
		}
	}
}

func TestAKillUnderLoadLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "states.db")
	var mu sync.Mutex
	acknowledged := map[string]string{} // execution -> answer
	for round := range 3 {
		c := startChild(t, file, noon, false)
		var clients sync.WaitGroup
		enough := make(chan struct{}, 1000)
		for n := range 8 {
			clients.Go(func() {
				for i := 0; ; i++ {
					arn, output, ok := startAndAnswer(t, c, fmt.Sprintf("r%d-c%d-%d", round, n, i))
					if arn == "" {
						return // killed
					}
					mu.Lock()
					acknowledged[arn] = ""
					if ok {
						acknowledged[arn] = output
					}
					mu.Unlock()
					enough <- struct{}{}
				}
			})
		}
		for range 40 {
			<-enough
		}
		c.kill()
		clients.Wait()
	}
	c := startChild(t, file, noon, false)
	for arn, answer := range acknowledged {
		d, err := c.client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
		if err != nil {
			t.Errorf("%s was acknowledged and is lost: %v", arn, err)
			continue
		}
		if answer != "" && (d.Status != "SUCCEEDED" || aws.ToString(d.Output) != answer) {
			t.Errorf("%s: the answer %s was acknowledged, it is %s %s", arn, answer, d.Status, aws.ToString(d.Output))
		}
	}
}

// startAndAnswer starts an execution and answers its wait. The ARN is empty
// when the start was not acknowledged; ok says that the answer was.
func startAndAnswer(t *testing.T, c *child, name string) (arn, output string, ok bool) {
	ctx := context.WithoutCancel(t.Context())
	started, err := c.client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(arnOf("m")), Name: &name, Input: aws.String(`{"go": "await"}`)})
	if err != nil {
		return "", "", false
	}
	history, err := c.client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: started.ExecutionArn})
	if err != nil {
		return *started.ExecutionArn, "", false
	}
	token := tokenIn(history.Events)
	output = fmt.Sprintf("%q", name)
	_, err = c.client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output})
	return *started.ExecutionArn, output, err == nil
}
