package states_test

import (
	"path/filepath"
	"strings"
	"testing"

	"bldst/localstack/states"
)

func TestWhatIsNotSupportedIsRefusedWithFileStateAndField(t *testing.T) {
	t.Parallel()
	one := func(state string) string { return `{"StartAt": "S", "States": {"S": ` + state + `}}` }
	task := func(more string) string {
		return one(`{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "End": true` + more + `}`)
	}
	await := func(more string) string {
		return one(`{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Parameters": {"FunctionName": "f", "Payload": {"t.$": "$$.Task.Token"}}, "End": true` + more + `}`)
	}
	choice := func(rule string) string {
		return `{"StartAt": "S", "States": {"S": {"Type": "Choice", "Choices": [` + rule + `], "Default": "E"}, "E": {"Type": "Succeed"}}}`
	}
	for _, c := range []struct {
		name, definition, want string
	}{
		{"not JSON", `{"StartAt": `, "m.json: Unexpected end-of-input at line 1, column 12"},
		{"no object", `[]`, "m.json: a definition is a JSON object"},
		{"a key twice", `{"StartAt": "S", "States": {"S": {"Type": "Succeed"}, "S": {"Type": "Succeed"}}}`, "m.json: States.S is there twice"},
		{"no start", `{"States": {"S": {"Type": "Succeed"}}}`, "m.json: StartAt: is missing"},
		{"a start that is not there", `{"StartAt": "T", "States": {"S": {"Type": "Succeed"}}}`, "m.json: StartAt: there is no state T"},
		{"no states", `{"StartAt": "S", "States": {}}`, "m.json: States: an object with at least one state is needed"},
		{"an unknown field at the top", `{"StartAt": "S", "Timeout": 3, "States": {"S": {"Type": "Succeed"}}}`, "m.json: Timeout: unknown field"},
		{"another version", `{"StartAt": "S", "Version": "2.0", "States": {"S": {"Type": "Succeed"}}}`, "m.json: Version: only 1.0"},
		{"JSONata", `{"StartAt": "S", "QueryLanguage": "JSONata", "States": {"S": {"Type": "Succeed"}}}`, "m.json: QueryLanguage: only JSONPath"},
		{"a limit that is none", `{"StartAt": "S", "TimeoutSeconds": 0, "States": {"S": {"Type": "Succeed"}}}`, "m.json: TimeoutSeconds: must be a whole number"},
		{"a typo in a field", await(`, "HeartbeatSecond": 3`), "m.json: state S: HeartbeatSecond: unknown field"},
		{"a field of another kind of state", one(`{"Type": "Succeed", "Result": 1}`), "m.json: state S: Result: unknown field"},
		{"variables", one(`{"Type": "Pass", "Assign": {}, "End": true}`), "m.json: state S: Assign: not supported"},
		{"a Parallel", one(`{"Type": "Parallel", "Branches": [], "End": true}`), "m.json: state S: Type: Parallel is not supported"},
		{"a Map", one(`{"Type": "Map", "End": true}`), "m.json: state S: Type: Map is not supported"},
		{"no type", one(`{"End": true}`), "m.json: state S: Type: is missing"},
		{"no way on", one(`{"Type": "Pass"}`), "m.json: state S: Next: is missing"},
		{"two ways on", one(`{"Type": "Pass", "Next": "S", "End": true}`), "m.json: state S: Next: is there although End"},
		{"an end that is no boolean", one(`{"Type": "Pass", "End": "yes"}`), "m.json: state S: End: must be true or false"},
		{"a way to nowhere", one(`{"Type": "Pass", "Next": "T"}`), "m.json: state S: Next: there is no state T"},
		{"a state nobody reaches", `{"StartAt": "S", "States": {"S": {"Type": "Succeed"}, "T": {"Type": "Succeed"}}}`, "m.json: state T: unreachable"},
		{"a path to many places", one(`{"Type": "Pass", "InputPath": "$.a[*]", "End": true}`), "m.json: state S: InputPath: JSONPath \"$.a[*]\" is not supported"},
		{"a recursive path", one(`{"Type": "Pass", "Parameters": {"a.$": "$..b"}, "End": true}`), "m.json: state S: Parameters.a.$: JSONPath"},
		{"a path that is none", one(`{"Type": "Pass", "OutputPath": "a.b", "End": true}`), "m.json: state S: OutputPath: \"a.b\" is not a JSONPath"},
		{"a context field that is not there", one(`{"Type": "Pass", "Parameters": {"a.$": "$$.Execution.Nme"}, "End": true}`), "m.json: state S: Parameters: $$.Execution.Nme is not in the context object"},
		{"a token in a state that has none", one(`{"Type": "Pass", "Parameters": {"a.$": "$$.Task.Token"}, "End": true}`), "m.json: state S: Parameters: $$.Task.Token exists only"},
		{"a result written into the context", one(`{"Type": "Pass", "ResultPath": "$$.State", "End": true}`), "m.json: state S: ResultPath: must begin with $."},
		{"a field with and without .$", one(`{"Type": "Pass", "Parameters": {"a": 1, "a.$": "$.x"}, "End": true}`), "m.json: state S: Parameters.a.$: a is there too"},
		{"a dynamic field that is no string", one(`{"Type": "Pass", "Parameters": {"a": {"b.$": 1}}, "End": true}`), "m.json: state S: Parameters.a.b.$: a field that ends in .$ must be a string"},
		{"a function that is none", one(`{"Type": "Pass", "Parameters": {"a.$": "States.Fromat('')"}, "End": true}`), "there is no function States.Fromat"},
		{"a function with too few arguments", one(`{"Type": "Pass", "Parameters": {"a.$": "States.MathAdd(1)"}, "End": true}`), "States.MathAdd does not take 1 arguments"},
		{"a function that does not end", one(`{"Type": "Pass", "Parameters": {"a.$": "States.Array('x'"}, "End": true}`), "a comma or ) is missing"},
		{"another resource", one(`{"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"FunctionName": "f"}, "End": true}`), "m.json: state S: Resource: arn:aws:states:::sqs:sendMessage is not supported"},
		{"no function", one(`{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true}`), "m.json: state S: Parameters.FunctionName: is missing"},
		{"another parameter", one(`{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f", "LogType": "Tail"}, "End": true}`), "m.json: state S: Parameters.LogType: not supported"},
		{"a token for nobody", one(`{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Parameters": {"FunctionName": "f"}, "End": true}`), "m.json: state S: Parameters: $$.Task.Token is handed to nobody"},
		{"heartbeats nobody can send", task(`, "HeartbeatSeconds": 3`), "m.json: state S: HeartbeatSeconds: only a .waitForTaskToken"},
		{"a heartbeat as long as the limit", await(`, "HeartbeatSeconds": 3, "TimeoutSeconds": 3`), "m.json: state S: HeartbeatSeconds: must be smaller"},
		{"a limit given twice", await(`, "TimeoutSeconds": 3, "TimeoutSecondsPath": "$.t"`), "m.json: state S: TimeoutSeconds: is there together with TimeoutSecondsPath"},
		{"an error that is none", task(`, "Retry": [{"ErrorEquals": ["States.Timout"]}]`), "m.json: state S: Retry[0].ErrorEquals: there is no error States.Timout"},
		{"an error nobody can catch", task(`, "Catch": [{"ErrorEquals": ["States.Runtime"], "Next": "S"}]`), "m.json: state S: Catch[0].ErrorEquals: States.Runtime ends the execution"},
		{"States.ALL with others", task(`, "Retry": [{"ErrorEquals": ["States.ALL", "E"]}]`), "Retry[0].ErrorEquals: States.ALL must stand alone"},
		{"States.ALL before others", task(`, "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}]`), "Retry[0].ErrorEquals: States.ALL must stand alone"},
		{"no errors", task(`, "Retry": [{"ErrorEquals": []}]`), "Retry[0].ErrorEquals: must name at least one error"},
		{"a typo in a retrier", task(`, "Retry": [{"ErrorEquals": ["E"], "BackofRate": 2}]`), "m.json: state S: Retry[0].BackofRate: unknown field"},
		{"a rate below one", task(`, "Retry": [{"ErrorEquals": ["E"], "BackoffRate": 0.5}]`), "Retry[0].BackoffRate: must be a number of at least 1.0"},
		{"a greatest delay of more than a year", task(`, "Retry": [{"ErrorEquals": ["E"], "MaxDelaySeconds": 31622400}]`), "Retry[0].MaxDelaySeconds: must be a whole number from 1 to 31622399"},
		{"another jitter", task(`, "Retry": [{"ErrorEquals": ["E"], "JitterStrategy": "HALF"}]`), "Retry[0].JitterStrategy: must be FULL or NONE"},
		{"a catcher without a way", task(`, "Catch": [{"ErrorEquals": ["E"]}]`), "m.json: state S: Catch[0].Next: is missing"},
		{"a retry of a Pass", one(`{"Type": "Pass", "Retry": [], "End": true}`), "m.json: state S: Retry: unknown field"},
		{"a wait of two lengths", one(`{"Type": "Wait", "Seconds": 1, "Timestamp": "2026-03-04T12:00:00Z", "End": true}`), "m.json: state S: Seconds: exactly one of"},
		{"a wait of none", one(`{"Type": "Wait", "End": true}`), "m.json: state S: Seconds: exactly one of"},
		{"a time that is none", one(`{"Type": "Wait", "Timestamp": "tomorrow", "End": true}`), "m.json: state S: Timestamp: must be a time"},
		{"no rules", `{"StartAt": "S", "States": {"S": {"Type": "Choice", "Choices": [], "Default": "E"}, "E": {"Type": "Succeed"}}}`, "m.json: state S: Choices: must hold at least one rule"},
		{"a rule without a comparison", choice(`{"Variable": "$.a", "Next": "E"}`), "m.json: state S: Choices[0].Variable: needs exactly one comparison, has 0"},
		{"a rule with two", choice(`{"Variable": "$.a", "IsNull": true, "IsString": true, "Next": "E"}`), "m.json: state S: Choices[0].Variable: needs exactly one comparison, has 2 (IsNull, IsString)"},
		{"a typo in a comparison", choice(`{"Variable": "$.a", "StringEqual": "x", "Next": "E"}`), "m.json: state S: Choices[0].StringEqual: unknown field"},
		{"an operand of another kind", choice(`{"Variable": "$.a", "NumericEquals": "1", "Next": "E"}`), "m.json: state S: Choices[0].NumericEquals: must be a number"},
		{"a way on in an inner rule", choice(`{"Not": {"Variable": "$.a", "IsNull": true, "Next": "E"}, "Next": "E"}`), "m.json: state S: Choices[0].Not.Next: unknown field"},
		{"a rule without a way", choice(`{"Variable": "$.a", "IsNull": true}`), "m.json: state S: Choices[0].Next: is missing"},
		{"a rule to nowhere", choice(`{"Variable": "$.a", "IsNull": true, "Next": "T"}`), "m.json: state S: Choices[0].Next: there is no state T"},
		{"both texts of a Fail", one(`{"Type": "Fail", "Error": "E", "ErrorPath": "$.e"}`), "m.json: state S: Error: is there together with ErrorPath"},
		{"a Fail that goes on", one(`{"Type": "Fail", "End": true}`), "m.json: state S: End: unknown field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := states.Check("m.json", []byte(c.definition))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q in it, got: %v", c.want, err)
			}
		})
	}
}

func TestAllRefusalsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := states.Open(states.Options{Path: filepath.Join(t.TempDir(), "s.db"), Machines: []states.Machine{
		{Name: "a", ARN: arnOf("a"), File: "a.json", Definition: []byte(`{"StartAt": "S", "States": {"S": {"Type": "Pass", "Nxt": "T", "Resutl": 1}}}`)},
		{Name: "b", ARN: "arn:aws:states:us-east-1:000000000000:stateMachine:c", Definition: []byte(`{"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}`)},
	}})
	want := `a.json: state S: Next: is missing, and End is not true
a.json: state S: Nxt: unknown field
a.json: state S: Resutl: unknown field
b: "arn:aws:states:us-east-1:000000000000:stateMachine:c" is not the ARN of a state machine named "b"`
	if err == nil || err.Error() != want {
		t.Errorf("want\n%s\ngot\n%v", want, err)
	}
}
