package states_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"

	"bldst/localstack/states"
)

const sleepy = `{"StartAt": "W", "States": {"W": {"Type": "Wait", "SecondsPath": "$.s", "End": true}}}`

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func TestTheSameNameAndInputIsTheSameExecutionWhileItRuns(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy), machineOf("other", sleepy))
	ctx := t.Context()
	start := func(machine, name, input string) (*sfn.StartExecutionOutput, error) {
		h.clock.Advance(time.Second)
		return h.client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(arnOf(machine)), Name: &name, Input: &input})
	}
	first, err := start("m", "a", `{"s": 60}`)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "ARN", executionOf("m", "a"), *first.ExecutionArn)
	second, err := start("m", "a", `{"s": 60}`)
	if err != nil || *second.ExecutionArn != *first.ExecutionArn || !second.StartDate.Equal(*first.StartDate) {
		t.Errorf("want the first answer again, got %v, %v", second, err)
	}
	_, err = start("m", "a", `{"s": 61}`)
	equal(t, "other input", "ExecutionAlreadyExists", code(err))
	_, err = start("other", "a", `{"s": 61}`)
	equal(t, "another machine", error(nil), err)
	h.clock.Advance(time.Hour)
	_, err = start("m", "a", `{"s": 60}`)
	equal(t, "after the end", "ExecutionAlreadyExists", code(err))
	equal(t, "its error type", true, errors.As(err, new(*types.ExecutionAlreadyExists)))
}

func TestNamesAndInputsThatAreNotAllowedAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy))
	for _, c := range []struct {
		name, input, want string
	}{
		{"build-1.2_3(4)=+@!", `{"s": 0}`, "<nil>"},
		{strings.Repeat("n", 80), `{"s": 0}`, "<nil>"},
		{strings.Repeat("n", 81), `{"s": 0}`, "InvalidName"},
		{"", `{"s": 0}`, "InvalidName"},
		{"a b", `{"s": 0}`, "InvalidName"},
		{"a/b", `{"s": 0}`, "InvalidName"},
		{"a:b", `{"s": 0}`, "InvalidName"},
		{"a\u0085b", `{"s": 0}`, "InvalidName"},
		{"i1", `{"s": `, "InvalidExecutionInput"},
		{"i2", ``, "InvalidExecutionInput"},
		{"i3", `{} {}`, "InvalidExecutionInput"},
		{"i4", `"` + strings.Repeat("x", 262144) + `"`, "ValidationException"},
		{"i5", `null`, "<nil>"},
	} {
		_, err := h.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(arnOf("m")), Name: &c.name, Input: &c.input})
		equal(t, fmt.Sprintf("%.90q", c.name), c.want, code(err))
	}
}

func TestWhatDoesNotExistIsToldByItsName(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy))
	ctx, none := t.Context(), aws.String(executionOf("m", "none"))
	_, start := h.client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(arnOf("none"))})
	_, describe := h.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: none})
	_, stop := h.client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: none})
	_, redrive := h.client.RedriveExecution(ctx, &sfn.RedriveExecutionInput{ExecutionArn: none})
	_, history := h.client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: none})
	_, list := h.client.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(arnOf("none"))})
	_, machine := h.client.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: aws.String("not an arn")})
	_, wrong := h.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: aws.String(arnOf("m"))})
	_, unknown := h.client.CreateActivity(ctx, &sfn.CreateActivityInput{Name: aws.String("a")})
	_, stats := h.engine.Stats(*none)
	got := []string{code(start), code(describe), code(stop), code(redrive), code(history), code(list), code(machine), code(wrong), code(unknown)}
	equal(t, "codes", []string{
		"StateMachineDoesNotExist", "ExecutionDoesNotExist", "ExecutionDoesNotExist", "ExecutionDoesNotExist", "ExecutionDoesNotExist",
		"StateMachineDoesNotExist", "InvalidArn", "InvalidArn", "UnknownOperationException",
	}, got)
	var p *states.Problem
	equal(t, "stats", true, errors.As(stats, &p) && p.Code == "ExecutionDoesNotExist")
}

func TestAStopWakesAWaitAtOnceAndIsRepeatable(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy))
	arn := h.start("m", "a", `{"s": 3600}`)
	h.clock.Advance(time.Minute)
	first, err := h.client.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn, Error: aws.String("E"), Cause: aws.String("c")})
	if err != nil {
		t.Fatal(err)
	}
	d := h.describe(arn)
	equal(t, "status", []string{"ABORTED", "E", "c"}, []string{string(d.Status), aws.ToString(d.Error), aws.ToString(d.Cause)})
	h.clock.Advance(2 * time.Hour)
	again, err := h.client.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn})
	equal(t, "second stop", error(nil), err)
	equal(t, "its date", *first.StopDate, *again.StopDate)
	equal(t, "history", []string{"ExecutionStarted", "WaitStateEntered", "ExecutionAborted"}, h.kinds(arn))
}

func TestExecutionsAreListedNewestFirstInPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy), machineOf("empty", sleepy))
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("e%02d", i)
		h.start("m", name, fmt.Sprintf(`{"s": %d}`, 1000*(i%2)))
		want = append(want, name)
		if i%3 == 0 {
			h.clock.Advance(time.Second)
		}
	}
	slices.Reverse(want)
	list := func(in sfn.ListExecutionsInput) (names []string) {
		if in.StateMachineArn == nil {
			in.StateMachineArn = aws.String(arnOf("m"))
		}
		pages := sfn.NewListExecutionsPaginator(h.client, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Executions {
				names = append(names, *e.Name)
			}
		}
		return names
	}
	var running []string
	for i, name := range want {
		if i%2 == 1 {
			running = append(running, name)
		}
	}
	equal(t, "all", want, list(sfn.ListExecutionsInput{MaxResults: 7}))
	equal(t, "running", running, list(sfn.ListExecutionsInput{MaxResults: 5, StatusFilter: types.ExecutionStatusRunning}))
	equal(t, "redriven", []string(nil), list(sfn.ListExecutionsInput{RedriveFilter: types.ExecutionRedriveFilterRedriven}))
	equal(t, "not redriven", want, list(sfn.ListExecutionsInput{MaxResults: 25, RedriveFilter: types.ExecutionRedriveFilterNotRedriven}))
	equal(t, "of another machine", []string(nil), list(sfn.ListExecutionsInput{StateMachineArn: aws.String(arnOf("empty"))}))
	h.clock.Advance(time.Hour)
	equal(t, "running after the end", []string(nil), list(sfn.ListExecutionsInput{StatusFilter: types.ExecutionStatusRunning}))
	equal(t, "succeeded", want, list(sfn.ListExecutionsInput{MaxResults: 3, StatusFilter: types.ExecutionStatusSucceeded}))
}

func TestListsRefuseWhatIsOutOfRange(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy))
	m := aws.String(arnOf("m"))
	for _, c := range []struct {
		in   sfn.ListExecutionsInput
		want string
	}{
		{sfn.ListExecutionsInput{StateMachineArn: m, MaxResults: 1001}, "ValidationException"},
		{sfn.ListExecutionsInput{StateMachineArn: m, StatusFilter: "succeeded"}, "ValidationException"},
		{sfn.ListExecutionsInput{StateMachineArn: m, StatusFilter: "PENDING_REDRIVE"}, "ValidationException"},
		{sfn.ListExecutionsInput{StateMachineArn: m, NextToken: aws.String("made up")}, "InvalidToken"},
		{sfn.ListExecutionsInput{}, "ValidationException"},
	} {
		_, err := h.client.ListExecutions(t.Context(), &c.in)
		equal(t, fmt.Sprintf("%+v", c.in), c.want, code(err))
	}
}

func TestAHistoryIsReadForwardsBackwardsAndInPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(`, "TimeoutSeconds": 600`))
	arn := h.start("m", "a", `{"secret": 1}`)
	h.start("m", "b", `{}`) // a neighbour on disk
	h.clock.Advance(time.Hour)
	read := func(in sfn.GetExecutionHistoryInput) (kinds []string, ids []int64) {
		in.ExecutionArn = &arn
		pages := sfn.NewGetExecutionHistoryPaginator(h.client, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				kinds, ids = append(kinds, string(e.Type)), append(ids, e.Id)
			}
		}
		return kinds, ids
	}
	want := []string{"ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskTimedOut", "ExecutionFailed"}
	kinds, ids := read(sfn.GetExecutionHistoryInput{MaxResults: 2})
	equal(t, "kinds", want, kinds)
	equal(t, "ids", []int64{1, 2, 3, 4, 5, 6, 7}, ids)
	_, ids = read(sfn.GetExecutionHistoryInput{MaxResults: 3, ReverseOrder: true})
	equal(t, "ids backwards", []int64{7, 6, 5, 4, 3, 2, 1}, ids)
	page, err := h.client.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, IncludeExecutionData: aws.Bool(false)})
	if err != nil || page.Events[0].ExecutionStartedEventDetails.Input != nil || page.Events[2].TaskScheduledEventDetails.Parameters != nil {
		t.Errorf("data is there although it was not asked for: %v", err)
	}
}

func TestAHistoryHasTheShapesOfAWS(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(`, "TimeoutSeconds": 600, "HeartbeatSeconds": 60`))
	arn := h.start("m", "a", `{"in": 1}`)
	h.player(arn).do(action{Do: "success", Output: []byte(`{"out": 1}`)})
	events := h.player(arn).history()
	var previous []int64
	for _, e := range events {
		previous = append(previous, e.PreviousEventId)
	}
	equal(t, "previous ids", []int64{0, 0, 2, 3, 4, 5, 6, 7}, previous)
	equal(t, "input", `{"in": 1}`, *events[1].StateEnteredEventDetails.Input)
	scheduled := events[2].TaskScheduledEventDetails
	equal(t, "scheduled", []any{"lambda", "invoke.waitForTaskToken", "us-east-1", int64(600), int64(60)},
		[]any{*scheduled.ResourceType, *scheduled.Resource, *scheduled.Region, *scheduled.TimeoutInSeconds, *scheduled.HeartbeatInSeconds})
	equal(t, "submitted", `{"ExecutedVersion":"$LATEST","Payload":null,"StatusCode":200}`, *events[4].TaskSubmittedEventDetails.Output)
	equal(t, "succeeded", `{"out": 1}`, *events[5].TaskSucceededEventDetails.Output)
	equal(t, "exited", `{"out":1}`, *events[6].StateExitedEventDetails.Output)
}

func TestMachinesAreListedAndDescribed(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("b", sleepy), machineOf("a", sleepy), machineOf("c", sleepy))
	first, err := h.client.ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{MaxResults: 2})
	if err != nil || first.NextToken == nil {
		t.Fatalf("want a page and a token: %v", err)
	}
	second, err := h.client.ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{NextToken: first.NextToken})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "names", []string{"a", "b", "c"}, []string{*first.StateMachines[0].Name, *first.StateMachines[1].Name, *second.StateMachines[0].Name})
	d, err := h.client.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: aws.String(arnOf("b"))})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "description", []any{"b", sleepy, types.StateMachineTypeStandard, types.StateMachineStatusActive, noon},
		[]any{*d.Name, *d.Definition, d.Type, d.Status, *d.CreationDate})
}

func TestRequestsThatAreNoneAreRefusedInTheFormOfTheProtocol(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy))
	for _, c := range []struct {
		target, body, want string
	}{
		{"AWSStepFunctions.CreateStateMachine", "{}", "UnknownOperationException"},
		{"DynamoDB_20120810.GetItem", "{}", "UnknownOperationException"},
		{"AWSStepFunctions.StartExecution", "{", "SerializationException"},
		{"AWSStepFunctions.StartExecution", `{"stateMachineArn": 1}`, "SerializationException"},
		{"AWSStepFunctions.StartExecution", "", "ValidationException"},
		{"AWSStepFunctions.SendTaskSuccess", `{"taskToken": "x"}`, "ValidationException"},
		{"AWSStepFunctions.SendTaskFailure", `{}`, "ValidationException"},
		{"AWSStepFunctions.SendTaskFailure", `{"taskToken": "x", "cause": "` + strings.Repeat("c", 32769) + `"}`, "ValidationException"},
		{"AWSStepFunctions.StartExecution", `{"input": "` + strings.Repeat("x", 3<<20) + `"}`, "SerializationException"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewBufferString(c.body))
		r.Header.Set("X-Amz-Target", c.target)
		w := httptest.NewRecorder()
		h.engine.ServeHTTP(w, r)
		var got struct {
			Type string `json:"__type"`
		}
		raw, _ := io.ReadAll(w.Body)
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		equal(t, c.target, []any{400, c.want, c.want, "application/x-amz-json-1.0"},
			[]any{w.Code, got.Type, w.Header().Get("X-Amzn-Errortype"), w.Header().Get("Content-Type")})
	}
}

func TestAClosedEngineSaysSo(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy))
	h.close()
	_, err := h.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(arnOf("m"))})
	equal(t, "code", "ServiceUnavailable", code(err))
	equal(t, "second close", error(nil), h.engine.Close())
	h.open()
}
