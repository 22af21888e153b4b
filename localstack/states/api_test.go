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
		{strings.Repeat("ü", 80), `{"s": 0}`, "<nil>"},
		{strings.Repeat("ü", 81), `{"s": 0}`, "InvalidName"},
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
		{"i6", `"` + strings.Repeat("ü", 131071) + `"`, "<nil>"}, // 262144 bytes
		{"i7", `"` + strings.Repeat("ü", 131072) + `"`, "ValidationException"},
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
	equal(t, "in one page", want, list(sfn.ListExecutionsInput{MaxResults: 25}))
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
		{sfn.ListExecutionsInput{StateMachineArn: m, RedriveFilter: "REDRIVEN"}, "ValidationException"},
		{sfn.ListExecutionsInput{StateMachineArn: m, RedriveFilter: "NOT_REDRIVEN"}, "ValidationException"},
		{sfn.ListExecutionsInput{StateMachineArn: m, RedriveFilter: "redriven"}, "ValidationException"},
		{sfn.ListExecutionsInput{StateMachineArn: m, MapRunArn: m}, "ValidationException"},
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

func TestMetadataOnlyShowsNoData(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy))
	ctx, only := t.Context(), types.IncludedDataMetadataOnly
	done, stopped := h.start("m", "done", `{"s": 0}`), h.start("m", "stopped", `{"s": 60}`)
	if _, err := h.client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &stopped, Error: aws.String("E"), Cause: aws.String("c")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ arn, status string }{{done, "SUCCEEDED"}, {stopped, "ABORTED"}} {
		d, err := h.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &c.arn, IncludedData: only})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "status", c.status, string(d.Status))
		equal(t, "data", []string{"", "", "", ""}, []string{aws.ToString(d.Input), aws.ToString(d.Output), aws.ToString(d.Error), aws.ToString(d.Cause)})
		d, err = h.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &c.arn, IncludedData: types.IncludedDataAllData})
		equal(t, "all data", true, err == nil && d.Input != nil && (d.Output != nil || d.Error != nil && d.Cause != nil))
	}
	m, err := h.client.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: aws.String(arnOf("m")), IncludedData: only})
	equal(t, "machine", true, err == nil && *m.Definition == "{}" && *m.Name == "m")
	f, err := h.client.DescribeStateMachineForExecution(ctx, &sfn.DescribeStateMachineForExecutionInput{ExecutionArn: &done, IncludedData: only})
	equal(t, "machine of the execution", true, err == nil && *f.Definition == "{}")
	_, err = h.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &done, IncludedData: "SOME"})
	equal(t, "another value", "ValidationException", code(err))
}

func TestLengthsAreCountedInCharacters(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy))
	arn := h.start("m", "a", `{"s": 3600}`)
	for _, c := range []struct{ name, cause, want string }{
		{strings.Repeat("ü", 256), strings.Repeat("ü", 32768), "<nil>"},
		{strings.Repeat("ü", 257), "", "ValidationException"},
		{"", strings.Repeat("ü", 32769), "ValidationException"},
	} {
		_, err := h.client.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn, Error: &c.name, Cause: &c.cause})
		equal(t, fmt.Sprint(len(c.name), len(c.cause)), c.want, code(err))
	}
}

func TestClientTokensRedriveOnceFor15Minutes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", `{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}}`))
	arn := h.start("m", "a", `{}`)
	redrive := func(token string) (time.Time, error) {
		out, err := h.client.RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn, ClientToken: &token})
		if err != nil {
			return time.Time{}, err
		}
		return *out.RedriveDate, nil
	}
	for _, bad := range []string{"", strings.Repeat("t", 65)} {
		_, err := redrive(bad)
		equal(t, fmt.Sprintf("%q", bad), "ValidationException", code(err))
	}
	dates := map[string]time.Time{}
	for i := range 11 {
		h.clock.Advance(time.Second)
		token := fmt.Sprint("t", i)
		at, err := redrive(token)
		equal(t, token, error(nil), err)
		dates[token] = at
	}
	h.restart()
	for _, known := range []string{"t1", "t10"} {
		at, err := redrive(known)
		equal(t, known, error(nil), err)
		equal(t, "its date", true, at.Equal(dates[known]))
	}
	equal(t, "redrives", int32(11), *h.describe(arn).RedriveCount)
	_, _ = redrive("t0") // the eleventh back is a new one
	equal(t, "redrives", int32(12), *h.describe(arn).RedriveCount)
	h.clock.Advance(16 * time.Minute)
	_, _ = redrive("t10")
	equal(t, "redrives after 16 minutes", int32(13), *h.describe(arn).RedriveCount)
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

func TestErrorsOfRequestsAreInTheWordsOfAWS(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy))
	machine := `"stateMachineArn": "` + arnOf("m") + `"`
	for _, c := range []struct{ operation, body, want string }{
		{"StartExecution", `{"stateMachineArn": 1}`, "NUMBER_VALUE can not be converted to a String"},
		{"StartExecution", `{"stateMachineArn": true}`, "TRUE_VALUE can not be converted to a String"},
		{"StartExecution", `{"input": {"a": 1}}`, "Start of structure or map found where not expected."},
		{"StartExecution", `{"input": [1]}`, "Start of list found where not expected"},
		{"ListExecutions", `{"maxResults": "7"}`, "STRING_VALUE can not be converted to an Integer"},
		{"GetExecutionHistory", `{"reverseOrder": "yes"}`, "STRING_VALUE can not be converted to a Boolean"},
		{"StartExecution", `[]`, "Start of list found where not expected"},
		{"StartExecution", `{"input": `, "Unexpected end-of-input at line 1, column 10"},
		{"StartExecution", "{\n x}", "Unexpected character ('x') at line 2, column 2"},
		{"StartExecution", `{` + machine + `, "input": "{\"a\": "}`, "Invalid State Machine Execution Input: 'Unexpected end-of-input at line 1, column 6'"},
		{"StartExecution", `{` + machine + `, "input": "nope"}`, "Invalid State Machine Execution Input: 'Unexpected character ('o') at line 1, column 2'"},
	} {
		got := h.refusal(c.operation, c.body)
		equal(t, c.body, c.want, got)
	}
}

// refusal returns the message of the error that a request is answered with.
func (h *harness) refusal(operation, body string) string {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", states.Target+operation)
	w := httptest.NewRecorder()
	h.engine.ServeHTTP(w, r)
	var got struct{ Message string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusBadRequest {
		h.t.Fatalf("status %d, %v", w.Code, err)
	}
	return got.Message
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
