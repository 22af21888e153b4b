//go:build localstack

package states_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// The differential test runs the files of testdata on LocalStack's interpreter,
// with the same player, in real time, and compares result and order of states:
//
//	BLDST_TEST_LOCALSTACK=http://127.0.0.1:4566 go test -tags localstack -run LocalStack ./localstack/states
//
// LocalStack must run Go bootstraps (runtime provided.al2023). Known
// differences are named in localstackSays and nowhere else.
const localstackVariable = "BLDST_TEST_LOCALSTACK"

const anyRole = "arn:aws:iam::000000000000:role/any"

func TestLocalStackComesToTheSameResults(t *testing.T) {
	endpoint := os.Getenv(localstackVariable)
	if endpoint == "" {
		t.Fatalf("%s is not set: give the address of a LocalStack", localstackVariable)
	}
	ls := &localstack{t: t, endpoint: endpoint, client: clientOf(endpoint), bootstrap: buildFunction(t)}
	for name, f := range scriptFiles(t) {
		for i, c := range f.Cases {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				for name, replies := range f.Functions {
					ls.function(t, name, replies)
				}
				machine := name
				if i > 0 && c.Machine == "" {
					machine = fmt.Sprintf("%s-%d", name, i)
				}
				p := &player{t: t, client: ls.client}
				p.settle = func() { ls.settle(p) }
				p.advance = func(seconds int) { time.Sleep(time.Duration(seconds) * time.Second) }
				p.play(ls.machine(t, machine, f.Definition), c)
				ls.ended(p)
				if diff := compare(localstackSays(c.Want), p.outcome()); diff != "" {
					t.Errorf("%s (-ours +LocalStack)\n%s\n%s", c.Name, diff, p.outcome().Cause)
				}
			})
		}
	}
}

// localstackSays turns what this interpreter does into what LocalStack does
// where they differ knowingly.
func localstackSays(want outcome) outcome {
	// LocalStack knows one error for both timeouts.
	want.Output = bytes.ReplaceAll(want.Output, []byte("States.HeartbeatTimeout"), []byte("States.Timeout"))
	switch {
	case want.Error == "States.NoChoiceMatched":
		want.Error = "States.Runtime" // as AWS writes it
	case want.Status == "ABORTED":
		want.Error, want.Cause = "", "" // LocalStack forgets what StopExecution was given
	}
	return want
}

type localstack struct {
	t         *testing.T
	endpoint  string
	client    *sfn.Client
	bootstrap []byte // a zip
}

// buildFunction builds testdata/function for the machine LocalStack runs on.
func buildFunction(t *testing.T) []byte {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", binary, "./testdata/function")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	header.SetMode(0o755)
	w, err := z.CreateHeader(header)
	if err == nil {
		_, err = w.Write(raw)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// function makes a Lambda anew, so that its replies begin at the first.
func (ls *localstack) function(t *testing.T, name string, replies []reply) {
	t.Helper()
	script, err := json.Marshal(replies)
	if err != nil {
		t.Fatal(err)
	}
	ls.lambda(t, http.MethodDelete, "/2015-03-31/functions/"+name, nil)
	status, body := ls.lambda(t, http.MethodPost, "/2015-03-31/functions", map[string]any{
		"FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": anyRole, "Timeout": 30,
		"Code":        map[string]any{"ZipFile": ls.bootstrap},
		"Environment": map[string]any{"Variables": map[string]string{"REPLIES": string(script)}},
	})
	if status != http.StatusCreated {
		t.Fatalf("create function %s: %d %s", name, status, body)
	}
	for range 100 {
		_, body := ls.lambda(t, http.MethodGet, "/2015-03-31/functions/"+name, nil)
		var made struct{ Configuration struct{ State string } }
		if json.Unmarshal(body, &made) == nil && made.Configuration.State == "Active" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("function %s does not become active", name)
}

// lambda makes a request to the Lambda API; no SDK client of it is needed
// anywhere else.
func (ls *localstack) lambda(t *testing.T, method, path string, body any) (int, []byte) {
	t.Helper()
	var sent io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		sent = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, ls.endpoint+path, sent)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=any/20260304/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	out, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, out
}

// machine makes a state machine and removes it after the test.
func (ls *localstack) machine(t *testing.T, name string, definition []byte) string {
	t.Helper()
	made, err := ls.client.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String(name), Definition: aws.String(string(definition)), RoleArn: aws.String(anyRole),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = ls.client.DeleteStateMachine(context.WithoutCancel(t.Context()), &sfn.DeleteStateMachineInput{StateMachineArn: made.StateMachineArn})
	})
	return *made.StateMachineArn
}

// settle waits until the execution has ended, a wait is open, or nothing has
// happened for a second.
func (ls *localstack) settle(p *player) {
	count, since := -1, time.Now()
	for time.Since(since) < time.Second {
		events := p.history()
		if n := len(events); n != count {
			count, since = n, time.Now()
		}
		if count > 0 {
			switch events[count-1].Type {
			case types.HistoryEventTypeTaskSubmitted, types.HistoryEventTypeWaitStateEntered, types.HistoryEventTypeExecutionSucceeded,
				types.HistoryEventTypeExecutionFailed, types.HistoryEventTypeExecutionAborted, types.HistoryEventTypeExecutionTimedOut:
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// ended waits up to ten seconds for the end of the execution.
func (ls *localstack) ended(p *player) {
	for range 100 {
		if p.outcome().Status != "RUNNING" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
