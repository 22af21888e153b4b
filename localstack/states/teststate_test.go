package states_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"bldst/localstack/states"
)

func TestADefinitionIsValidatedAsOpenWouldLoadIt(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	one := func(state string) string { return `{"StartAt": "S", "States": {"S": ` + state + `}}` }
	for _, c := range []struct{ definition, want string }{
		{one(`{"Type": "Succeed"}`), "OK []"},
		{`{"StartAt": `, "FAIL [ERROR INVALID_JSON_DESCRIPTION : Unexpected end-of-input at line 1, column 12]"},
		{`  `, "FAIL [ERROR MISSING_DESCRIPTION : Unexpected end-of-input at line 1, column 2]"},
		{`[]`, "FAIL [ERROR SCHEMA_VALIDATION_FAILED : a definition is a JSON object]"},
		{`{"StartAt": "S", "States": {"S": {"Type": "Succeed"}, "S": {"Type": "Succeed"}}}`, "FAIL [ERROR DUPLICATE_STATE_NAME : States.S is there twice]"},
		{`{"States": {"S": {"Type": "Succeed"}}}`, "FAIL [ERROR SCHEMA_VALIDATION_FAILED /StartAt: is missing ERROR MISSING_TRANSITION_TARGET /States/S: unreachable: no way leads here from ]"},
		{one(`{"Type": "Pass", "Next": "T"}`), "FAIL [ERROR MISSING_TRANSITION_TARGET /States/S/Next: there is no state T]"},
		{one(`{"Type": "Pass", "Parameters": {"a": {"b.$": 1}}, "End": true}`),
			"FAIL [ERROR SCHEMA_VALIDATION_FAILED /States/S/Parameters/a/b.$: a field that ends in .$ must be a string]"},
		{one(`{"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"FunctionName": "f"}, "End": true}`),
			"FAIL [ERROR INVALID_RESOURCE /States/S/Resource: arn:aws:states:::sqs:sendMessage is not supported; use arn:aws:states:::lambda:invoke or arn:aws:states:::lambda:invoke.waitForTaskToken]"},
	} {
		out, err := h.client.ValidateStateMachineDefinition(t.Context(), &sfn.ValidateStateMachineDefinitionInput{Definition: &c.definition})
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, d := range out.Diagnostics {
			found = append(found, fmt.Sprintf("%s %s %s: %s", d.Severity, *d.Code, aws.ToString(d.Location), *d.Message))
		}
		equal(t, c.definition, c.want, fmt.Sprint(out.Result, " ", found))
		equal(t, "truncated", false, aws.ToBool(out.Truncated))
		equal(t, "as Open", out.Result == types.ValidateStateMachineDefinitionResultCodeOk, states.Check("m", []byte(c.definition)) == nil)
	}
}

func TestDiagnosticsAreTruncatedAndMembersChecked(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	definition := aws.String(`{"StartAt": "S", "States": {"S": {"Type": "Pass", "Nxt": "T", "Resutl": 1}}}`)
	out, err := h.client.ValidateStateMachineDefinition(t.Context(), &sfn.ValidateStateMachineDefinitionInput{Definition: definition, MaxResults: 2})
	equal(t, "two of three", true, err == nil && len(out.Diagnostics) == 2 && *out.Truncated)
	for _, in := range []sfn.ValidateStateMachineDefinitionInput{
		{Definition: aws.String("")},
		{Definition: definition, MaxResults: 101},
		{Definition: definition, Severity: "INFO"},
		{Definition: definition, Type: "FAST"},
		{Definition: definition, Type: types.StateMachineTypeExpress},
	} {
		_, err := h.client.ValidateStateMachineDefinition(t.Context(), &in)
		equal(t, fmt.Sprintf("%+v", in), "ValidationException", code(err))
	}
}

func TestOneStateIsTested(t *testing.T) {
	t.Parallel()
	var h *harness
	h = newHarness(t, lambdas{
		"echo": func(_ context.Context, payload []byte) ([]byte, error) { return payload, nil },
		"fail": func(context.Context, []byte) ([]byte, error) {
			return nil, &states.FunctionError{Type: "E", Payload: []byte(`"why"`)}
		},
		"slow": func(ctx context.Context, _ []byte) ([]byte, error) {
			h.clock.Advance(6 * time.Minute)
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	task := func(function, more string) string {
		return `{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "` + function + `", "Payload.$": "$"}, "ResultSelector": {"p.$": "$.Payload"}` + more + `}`
	}
	for _, c := range []struct{ state, input, want string }{
		{`{"Type": "Pass", "Parameters": {"a.$": "$.b"}, "ResultPath": "$.r", "Next": "N"}`, `{"b": 1}`, `SUCCEEDED N {"b":1,"r":{"a":1}}`},
		{`{"Type": "Pass", "End": true}`, ``, `SUCCEEDED  {}`},
		{`{"Type": "Pass", "Next": "TestState"}`, ``, `SUCCEEDED TestState {}`}, // back to itself
		{`{"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericGreaterThan": 1, "Next": "More"}], "Default": "Less"}`, `{"a": 2}`, `SUCCEEDED More {"a":2}`},
		{`{"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericGreaterThan": 1, "Next": "More"}], "Default": "Less"}`, `{"a": 1}`, `SUCCEEDED Less {"a":1}`},
		{`{"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericGreaterThan": 1, "Next": "More"}]}`, `{"a": 1}`, `FAILED   States.NoChoiceMatched`},
		{`{"Type": "Wait", "Seconds": 300, "Next": "N"}`, `{"a": 1}`, `SUCCEEDED N {"a":1}`},
		{`{"Type": "Wait", "Seconds": 301, "Next": "N"}`, `{"a": 1}`, `FAILED   States.Timeout`},
		{`{"Type": "Succeed", "OutputPath": "$.a"}`, `{"a": 1}`, `SUCCEEDED  1`},
		{`{"Type": "Fail", "Error": "E", "CausePath": "$.a"}`, `{"a": "c"}`, `FAILED   E c`},
		{`{"Type": "Pass", "InputPath": "$.none", "End": true}`, `{}`, `FAILED   States.Runtime`},
		{task("echo", `, "End": true`), `{"a": 1}`, `SUCCEEDED  {"p":{"a":1}}`},
		{task("fail", `, "End": true`), `{}`, `FAILED   E "why"`},
		{task("fail", `, "Retry": [{"ErrorEquals": ["E"]}], "End": true`), `{}`, `RETRIABLE   E "why"`},
		{task("fail", `, "Catch": [{"ErrorEquals": ["E"], "Next": "C"}], "End": true`), `{}`, `CAUGHT_ERROR C {"Cause":"\"why\"","Error":"E"} E "why"`},
		{task("slow", `, "TimeoutSeconds": 1, "End": true`), `{}`, `FAILED   States.Timeout`},
		{task("slow", `, "TimeoutSeconds": 3600, "End": true`), `{}`, `FAILED   States.Timeout`},
		{task("slow", `, "TimeoutSeconds": 1, "Retry": [{"ErrorEquals": ["States.ALL"]}], "End": true`), `{}`, `RETRIABLE   States.Timeout`},
		{task("none", `, "End": true`), `{}`, `FAILED   Lambda.ResourceNotFoundException`},
	} {
		in := &sfn.TestStateInput{Definition: &c.state}
		if c.input != "" {
			in.Input = &c.input
		}
		out, err := h.client.TestState(t.Context(), in)
		if err != nil {
			t.Fatalf("%s: %v", c.state, err)
		}
		got := fmt.Sprintf("%s %s %s", out.Status, aws.ToString(out.NextState), aws.ToString(out.Output))
		if out.Error != nil {
			got += " " + *out.Error
		}
		if out.Cause != nil && *out.Error == "E" {
			got += " " + *out.Cause
		}
		equal(t, c.state, c.want, got)
	}
}

func TestAStateOfAMachineIsTestedByItsName(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	machine := aws.String(`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Result": 7, "Next": "C"}, "C": {"Type": "Succeed"}}}`)
	out, err := h.client.TestState(t.Context(), &sfn.TestStateInput{Definition: machine, StateName: aws.String("B")})
	equal(t, "outcome", true, err == nil && *out.Output == "7" && *out.NextState == "C")
	_, err = h.client.TestState(t.Context(), &sfn.TestStateInput{Definition: machine, StateName: aws.String("D")})
	equal(t, "no such state", "ValidationException", code(err))
}

const awaitState = `{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
	"Parameters": {"FunctionName": "f", "Payload": {"t.$": "$$.Task.Token"}}, "HeartbeatSeconds": 60, "ResultPath": "$.report", "Next": "N",
	"Retry": [{"ErrorEquals": ["Again"]}], "Catch": [{"ErrorEquals": ["States.HeartbeatTimeout"], "ResultPath": "$.error", "Next": "Lost"}]}`

func TestATaskIsTestedWithAMock(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	failing := func(name string) *types.MockInput {
		return &types.MockInput{ErrorOutput: &types.MockErrorOutput{Error: &name, Cause: aws.String("c")}}
	}
	for _, c := range []struct {
		mock *types.MockInput
		want string
	}{
		{&types.MockInput{Result: aws.String(`{"exit": 0}`)}, `SUCCEEDED N {"id":1,"report":{"exit":0}}`},
		{failing("States.HeartbeatTimeout"), `CAUGHT_ERROR Lost {"error":{"Cause":"c","Error":"States.HeartbeatTimeout"},"id":1} States.HeartbeatTimeout`},
		{failing("Again"), `RETRIABLE   Again`},
		{failing("Other"), `FAILED   Other`},
	} {
		out, err := h.client.TestState(t.Context(), &sfn.TestStateInput{Definition: aws.String(awaitState), Input: aws.String(`{"id": 1}`), Mock: c.mock})
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s %s %s", out.Status, aws.ToString(out.NextState), aws.ToString(out.Output))
		if out.Error != nil {
			got += " " + *out.Error
		}
		equal(t, c.want, c.want, got)
	}
}

func TestWhatCannotBeTestedIsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	pass, await := aws.String(`{"Type": "Pass", "End": true}`), aws.String(awaitState)
	for _, c := range []struct {
		in   sfn.TestStateInput
		want string
	}{
		{sfn.TestStateInput{Definition: aws.String("")}, "ValidationException"},
		{sfn.TestStateInput{Definition: aws.String(`{"Type": "Map", "End": true}`)}, "InvalidDefinition"},
		{sfn.TestStateInput{Definition: aws.String(`{"Type": "Pass"}`)}, "InvalidDefinition"},
		{sfn.TestStateInput{Definition: pass, Input: aws.String(`{`)}, "InvalidExecutionInput"},
		{sfn.TestStateInput{Definition: pass, InspectionLevel: types.InspectionLevelDebug}, "ValidationException"},
		{sfn.TestStateInput{Definition: pass, InspectionLevel: "ALL"}, "ValidationException"},
		{sfn.TestStateInput{Definition: pass, Variables: aws.String(`{}`)}, "ValidationException"},
		{sfn.TestStateInput{Definition: await, Mock: &types.MockInput{}}, "ValidationException"},
		{sfn.TestStateInput{Definition: await, Mock: &types.MockInput{Result: aws.String(`{`)}}, "ValidationException"},
		{sfn.TestStateInput{Definition: pass, Mock: &types.MockInput{Result: aws.String(`{}`)}}, "ValidationException"},
		{sfn.TestStateInput{Definition: await}, "ValidationException"},
	} {
		_, err := h.client.TestState(t.Context(), &c.in)
		equal(t, aws.ToString(c.in.Definition), c.want, code(err))
	}
	_, err := h.client.TestState(t.Context(), &sfn.TestStateInput{Definition: aws.String(`{"Type": "Pass"}`)})
	var wrong *types.InvalidDefinition
	if !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	equal(t, "its words", "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: is missing, and End is not true at /Next'", wrong.ErrorMessage())
}
