//go:build deployed

// Package aws_test drives a deployment on an emulator as its users and its
// accidents do. `localstack/aws/up` makes one and sets what is read here.
package aws_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// patience is how long something may take that happens by itself.
const patience = 4 * time.Minute

// A deployment is the system under test.
type deployment struct {
	*testing.T
	url, machine string
	states       *sfn.Client
}

func open(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{T: t, url: need(t, "BLDST_URL"), machine: need(t, "STATE_MACHINE_ARN")}
	endpoint := need(t, "AWS_ENDPOINT_URL")
	d.states = sfn.New(sfn.Options{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
	})})
	return d
}

func need(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set; localstack/aws/up sets it", name)
	}
	return v
}

// call makes a request with the key of the development data and returns the
// answer, whose status must be one of the good ones.
func (d *deployment) call(method, path string, body any) map[string]any {
	d.Helper()
	out := map[string]any{}
	if err := json.Unmarshal(d.raw(method, path, body), &out); err != nil {
		d.Fatalf("%s %s: %v", method, path, err)
	}
	return out
}

// raw is call without a look at the answer.
func (d *deployment) raw(method, path string, body any) []byte {
	d.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		d.Fatal(err)
	}
	req, err := http.NewRequestWithContext(d.Context(), method, d.url+path, bytes.NewReader(raw))
	if err != nil {
		d.Fatal(err)
	}
	req.Header.Set("X-API-Key", "dev-key-12345")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(res.Body)
	if res.StatusCode >= http.StatusBadRequest {
		d.Fatalf("%s %s: %s %s", method, path, res.Status, answer)
	}
	return answer
}

// build makes a build of a project of its own and returns both ids. Its state 10
// bears so many seconds of silence.
func (d *deployment) build(silence int) string {
	d.Helper()
	name := fmt.Sprintf("deployed-%d", time.Now().UnixNano())
	p := d.call(http.MethodPost, "/projects", map[string]any{"name": name})
	d.call(http.MethodPost, fmt.Sprintf("/projects/%v/state-codes", p["id"]), map[string]any{"state_code": 10, "name": "prepare", "heartbeat_seconds": silence})
	b := d.call(http.MethodPost, "/builds", map[string]any{"build_number": name, "project_id": p["id"], "platform_id": "aws-commercial", "os_version_id": "rhel-8.8", "image_type_id": "base"})
	return fmt.Sprint(b["id"])
}

// until waits for something to become true.
func (d *deployment) until(what string, done func() bool) {
	d.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			d.Fatalf("after %s: not yet %s", patience, what)
		}
	}
}

// execution returns the ARN of the execution that drives the first attempt.
func (d *deployment) execution(build string) string {
	return strings.Replace(d.machine, ":stateMachine:", ":execution:", 1) + ":" + build + "-a1"
}

// waits reports whether the execution has parked its token.
func (d *deployment) waits(arn string) bool {
	out, err := d.states.GetExecutionHistory(d.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn})
	return err == nil && len(out.Events) > 0 && out.Events[len(out.Events)-1].Type == types.HistoryEventTypeTaskSubmitted
}

func (d *deployment) status(arn string) types.ExecutionStatus {
	out, err := d.states.DescribeExecution(d.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		return ""
	}
	return out.Status
}

// happened reports whether the execution has had such an event.
func (d *deployment) happened(arn string, kind types.HistoryEventType) bool {
	d.Helper()
	out, err := d.states.GetExecutionHistory(d.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 1000})
	if err != nil {
		d.Fatal(err)
	}
	return slices.ContainsFunc(out.Events, func(e types.HistoryEvent) bool { return e.Type == kind })
}

// stopSchedules takes the targets of the rules that run by the clock, until the
// end of the test. To disable such a rule has no effect here.
func (d *deployment) stopSchedules() {
	d.Helper()
	var rules struct {
		Rules []struct{ Name, ScheduleExpression string }
	}
	d.events("ListRules", map[string]any{}, &rules)
	stopped := 0
	for _, r := range rules.Rules {
		if r.ScheduleExpression == "" {
			continue
		}
		var targets struct{ Targets []map[string]any }
		d.events("ListTargetsByRule", map[string]any{"Rule": r.Name}, &targets)
		for _, target := range targets.Targets {
			stopped++
			d.events("RemoveTargets", map[string]any{"Rule": r.Name, "Ids": []any{target["Id"]}}, nil)
			d.Cleanup(func() { d.events("PutTargets", map[string]any{"Rule": r.Name, "Targets": []any{target}}, nil) })
		}
	}
	if stopped == 0 {
		d.Error("nothing runs by the clock")
	}
}

// events calls EventBridge, which the product itself needs no client of.
func (d *deployment) events(act string, in, out any) {
	d.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		d.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(d.Context()), http.MethodPost, need(d.T, "AWS_ENDPOINT_URL"), bytes.NewReader(raw))
	if err != nil {
		d.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSEvents."+act)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260304/us-east-1/events/aws4_request, SignedHeaders=host, Signature=0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		d.Fatalf("%s: %s %s", act, res.Status, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			d.Fatal(err)
		}
	}
}

func (d *deployment) failedAs(build, class string) bool {
	return strings.Contains(string(d.raw(http.MethodGet, "/builds/"+build+"/failures", nil)), `"`+class+`"`)
}

func TestABuildThatReportsIsDrivenToItsEnd(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.build(600)
	d.until("an execution that waits", func() bool { return d.waits(d.execution(id)) })
	for _, code := range []int{10, 50, 100} {
		d.call(http.MethodPost, "/builds/"+id+"/state", map[string]any{"state_code": code, "status": "completed"})
	}
	d.until("an execution that succeeded", func() bool { return d.status(d.execution(id)) == types.ExecutionStatusSucceeded })
}

func TestTheBuildOfAnExecutionThatIsStoppedIsRepaired(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.build(600)
	d.call(http.MethodPost, "/builds/"+id+"/state", map[string]any{"state_code": 10, "status": "in_progress"})
	arn := d.execution(id)
	d.until("an execution that waits", func() bool { return d.waits(arn) })
	if _, err := d.states.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn}); err != nil {
		t.Fatal(err)
	}
	d.until("a build that failed as aborted", func() bool { return d.failedAs(id, "aborted") })
}

func TestAWorkerThatFallsSilentIsNoticed(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.stopSchedules() // else sweep may notice first
	id := d.build(10)
	d.call(http.MethodPost, "/builds/"+id+"/state", map[string]any{"state_code": 10, "status": "in_progress", "worker": "w"})
	d.until("a build that failed as stalled", func() bool { return d.failedAs(id, "stalled") })
	if !d.happened(d.execution(id), types.HistoryEventTypeTaskTimedOut) {
		t.Error("the build failed, but not since the heartbeat of its execution was missed")
	}
}
