//go:build cdk

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"bldst/events/asl"
	"bldst/shared/config"
	"bldst/shared/emf"
	"bldst/shared/partition"
)

// outside are all settings that lead outside.
var outside = map[string]any{"stage": "prod", "webhook-secret": "ssm:/bldst/webhook,secretsmanager:bldst/webhook-old", "outbound": "10.20.0.0/16", "webhook-accounts": "111122223333,444455556666",
	"ci-credentials": "JENKINS=ssm:/bldst/ci/jenkins,GITHUB=secretsmanager:bldst/ci/github"}

const adoptedStream = "arn:aws:dynamodb:us-east-1:111122223333:table/restored/stream/2026-11-24T08:00:00.000"

var adopted = map[string]any{"stage": "prod", "table": "restored", "table-stream": adoptedStream}

// variables returns the environment of a function.
func (t template) variables(tt *testing.T, function string) map[string]any {
	tt.Helper()
	env, _ := t.prefixed(tt, "AWS::Lambda::Function", title(function)+"Function").Properties["Environment"].(map[string]any)
	v, _ := env["Variables"].(map[string]any)
	return v
}

func TestEveryVariableOfTheFunctionsIsGivenByTheStackOrASetting(t *testing.T) {
	tmpl := synth(t, outside)
	given := map[string]bool{}
	for _, f := range tmpl.of("AWS::Lambda::Function") {
		env, _ := f.Properties["Environment"].(map[string]any)
		v, _ := env["Variables"].(map[string]any)
		for name := range v {
			given[name] = true
			if !slices.ContainsFunc(config.Variables, func(v config.Variable) bool { return v.Is(name) }) {
				t.Errorf("%s is set and read by nobody", name)
			}
		}
	}
	for _, v := range config.Variables {
		is := slices.ContainsFunc(slices.Collect(func(yield func(string) bool) {
			for name := range given {
				if !yield(name) {
					return
				}
			}
		}), v.Is)
		if want := v.Setting != "" || v.Source == "stack"; is != want {
			t.Errorf("%s: given to functions is %v, and by config.Variables it must be %v", v.Name, is, want)
		}
	}
	if v := tmpl.variables(t, "webhooks"); v["WEBHOOK_SECRET"] != outside["webhook-secret"] || v["OUTBOUND_ALLOW"] != "10.20.0.0/16" {
		t.Errorf("webhooks: %s", text(v))
	}
	if v := tmpl.variables(t, "dispatch"); v["BLDST_CI_JENKINS"] != "ssm:/bldst/ci/jenkins" || v["BLDST_CI_GITHUB"] != "secretsmanager:bldst/ci/github" {
		t.Errorf("dispatch: %s", text(v))
	}
	if v := tmpl.variables(t, "platforms"); v["WEBHOOK_SECRET"] != nil || v["BLDST_CI_JENKINS"] != nil {
		t.Errorf("platforms is told of secrets that are not its business: %s", text(v))
	}
}

func TestOperationsListTheVariables(t *testing.T) {
	b, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range config.Variables {
		if v.Source == "AWS" || v.Source == "host" {
			continue
		}
		given := "the stack"
		if v.Setting != "" {
			given = "`" + v.Setting + "`"
		}
		if row := fmt.Sprintf("| `%s` | %s | %s |", v.Name, given, v.About); !strings.Contains(string(b), row) {
			t.Errorf("docs/operations.md lacks the row\n%s", row)
		}
	}
}

func TestASecretIsNoSetting(t *testing.T) {
	for name, c := range map[string]struct {
		context map[string]any
		want    string
	}{
		"a webhook's secret itself":      {map[string]any{"webhook-secret": "hunter2hunter2"}, "webhook-secret must be references"},
		"a CI's credential itself":       {map[string]any{"ci-credentials": "JENKINS=bob:token"}, "ci-credentials must have the form"},
		"a name that is no variable":     {map[string]any{"ci-credentials": "jen-kins=ssm:/bldst/x"}, "ci-credentials must have the form"},
		"a network that is none":         {map[string]any{"outbound": "everything"}, "outbound: "},
		"a table without its stream":     {map[string]any{"table": "restored"}, "table and table-stream belong together"},
		"a stream that is not the table": {map[string]any{"table": "other", "table-stream": adoptedStream}, "is not the stream of table other"},
	} {
		app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir()), Context: &c.context})
		if _, err := settingsOf(app); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "bob:token") {
			t.Errorf("%s: want %q, got %v", name, c.want, err)
		}
	}
}

func TestAnAdoptedTableTakesThePlaceOfTheOwnOneWhichStays(t *testing.T) {
	tmpl := synth(t, adopted)
	own := tmpl.prefixed(t, "AWS::DynamoDB::Table", "Table")
	if own.DeletionPolicy != "Retain" {
		t.Error("the stack's own table must stay")
	}
	own0 := "TableCD117FA1"
	for id, r := range tmpl.Resources {
		if id != own0 && strings.Contains(text(r), own0) {
			t.Errorf("%s still refers to the stack's own table", id)
		}
	}
	if v := tmpl.variables(t, "builds"); v["TABLE_NAME"] != "restored" {
		t.Errorf("builds uses %v", v["TABLE_NAME"])
	}
	if m := tmpl.of("AWS::Lambda::EventSourceMapping")["RelayStream"]; m.Properties["EventSourceArn"] != adoptedStream {
		t.Errorf("relay follows %v", m.Properties["EventSourceArn"])
	}
	if out := text(tmpl.Outputs["TableName"]); !strings.Contains(out, "restored") {
		t.Errorf("the output TableName is %s", out)
	}
}

// worlds are the partitions, each with a region, an account and the end of its
// addresses.
var worlds = map[string]map[string]string{
	"aws":        {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "111122223333", "AWS::URLSuffix": "amazonaws.com"},
	"aws-us-gov": {"AWS::Partition": "aws-us-gov", "AWS::Region": "us-gov-west-1", "AWS::AccountId": "111122223333", "AWS::URLSuffix": "amazonaws.com"},
	"aws-cn":     {"AWS::Partition": "aws-cn", "AWS::Region": "cn-north-1", "AWS::AccountId": "111122223333", "AWS::URLSuffix": "amazonaws.com.cn"},
}

// resolve returns v as CloudFormation would in a world: pseudo parameters and
// joins become text, other references stay.
func resolve(v any, world map[string]string) any {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["Ref"].(string); ok && world[ref] != "" {
			return world[ref]
		}
		if join, ok := v["Fn::Join"].([]any); ok {
			return joined(join, world)
		}
		out := map[string]any{}
		for k, x := range v {
			out[k] = resolve(x, world)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = resolve(x, world)
		}
		return out
	}
	return v
}

func joined(join []any, world map[string]string) string {
	var parts []string
	for _, x := range join[1].([]any) {
		if s, ok := resolve(x, world).(string); ok {
			parts = append(parts, s)
		} else {
			parts = append(parts, "REFERENCE")
		}
	}
	return strings.Join(parts, join[0].(string))
}

var (
	anARN     = regexp.MustCompile(`arn:(aws[a-z-]*|REFERENCE):`)
	anAddress = regexp.MustCompile(`https://[a-zA-Z0-9.-]+\.amazonaws\.com[a-z.]*`)
)

func TestTheTemplateServesEveryPartition(t *testing.T) {
	tmpl := synth(t, map[string]any{"stage": "prod", "own-key": "true", "firewall": "true"})
	for name, world := range worlds {
		if p := partition.Of(world["AWS::Region"]); p.Name != name || p.Domain != world["AWS::URLSuffix"] {
			t.Errorf("package partition takes %s for %v", world["AWS::Region"], p)
		}
		for id, r := range tmpl.Resources {
			whole := text(resolve(r.Properties, world))
			for _, m := range anARN.FindAllStringSubmatch(whole, -1) {
				if m[1] != name {
					t.Errorf("%s: %s has an ARN of %s", name, id, m[1])
				}
			}
			for _, address := range anAddress.FindAllString(whole, -1) {
				if !strings.HasSuffix(address, "."+world["AWS::URLSuffix"]) {
					t.Errorf("%s: %s has the address %s", name, id, address)
				}
			}
		}
		machine := text(resolve(tmpl.Resources["Machine"].Properties, world))
		if got, want := strings.Count(machine, "arn:"+name+":states:::lambda:invoke"), strings.Count(asl.Source(), ":states:::lambda:invoke"); got != want {
			t.Errorf("%s: %d of %d tasks of the state machine are of this partition", name, got, want)
		}
	}
}

// published are the metrics that AWS publishes, by namespace, with the sets of
// dimensions they come with. Sources: "DynamoDB metrics and dimensions", "Amazon
// API Gateway dimensions and metrics", "Types of metrics for Lambda functions",
// "Monitoring Step Functions metrics using CloudWatch", "Available CloudWatch
// metrics for Amazon SQS", each in the guide of its service.
var published = map[string]map[string][]string{
	"AWS/ApiGateway": metrics("ApiName,Stage", "5XXError", "4XXError", "Count", "Latency"),
	"AWS/Lambda":     metrics("FunctionName", "Throttles", "Errors", "IteratorAge"),
	"AWS/States":     metrics("StateMachineArn", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted", "ExecutionThrottled", "ExecutionsStarted", "ExecutionsSucceeded"),
	"AWS/SQS":        metrics("QueueName", "ApproximateNumberOfMessagesVisible"),
	"AWS/DynamoDB": {
		"SystemErrors":        {"Operation,TableName"},
		"ReadThrottleEvents":  {"TableName", "GlobalSecondaryIndexName,TableName"},
		"WriteThrottleEvents": {"TableName", "GlobalSecondaryIndexName,TableName"},
	},
	emf.Namespace: metrics(emf.Stage, "BuildsStalled"),
}

func metrics(dimensions string, names ...string) map[string][]string {
	out := map[string][]string{}
	for _, n := range names {
		out[n] = []string{dimensions}
	}
	return out
}

// watched returns every metric of an alarm, as CloudFormation has them: one, or
// those of an expression.
func watched(alarm map[string]any) []map[string]any {
	if alarm["MetricName"] != nil {
		return []map[string]any{alarm}
	}
	var out []map[string]any
	list, _ := alarm["Metrics"].([]any)
	for _, m := range list {
		if st, ok := m.(map[string]any)["MetricStat"].(map[string]any); ok {
			out = append(out, st["Metric"].(map[string]any))
		}
	}
	return out
}

func TestEveryAlarmWatchesAMetricThatExists(t *testing.T) {
	n := 0
	for id, a := range synth(t, prod).of("AWS::CloudWatch::Alarm") {
		of := watched(a.Properties)
		if len(of) == 0 {
			t.Errorf("%s watches nothing", id)
		}
		n += len(of)
		for _, m := range of {
			var names []string
			for _, d := range m["Dimensions"].([]any) {
				names = append(names, d.(map[string]any)["Name"].(string))
			}
			slices.Sort(names)
			namespace, name := m["Namespace"].(string), m["MetricName"].(string)
			if !slices.Contains(published[namespace][name], strings.Join(names, ",")) {
				t.Errorf("%s: nobody publishes %s %s by %s; see published", id, namespace, name, names)
			}
		}
	}
	if want := pricesOf(t).Counts["custom_metrics"]; float64(len(emf.Events)+1) != want { // and the gauge
		t.Errorf("builds have %d metrics, and prices.json reckons with %v", len(emf.Events)+1, want)
	}
	if want := pricesOf(t).Counts["alarm_metrics"]; float64(n) != want {
		t.Errorf("AWS bills each metric of an alarm: there are %d, and prices.json reckons with %v", n, want)
	}
}

type priceList struct {
	Assumed map[string]float64
	Counts  map[string]float64
}

func pricesOf(t *testing.T) priceList {
	t.Helper()
	b, err := os.ReadFile("prices.json")
	if err != nil {
		t.Fatal(err)
	}
	var out priceList
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheFirewallReadsTheLengthThatARequestSays(t *testing.T) {
	acl := synth(t, map[string]any{"stage": "prod", "firewall": "true"}).of("AWS::WAFv2::WebACL")
	pattern := ""
	for _, r := range acl["Firewall"].Properties["Rules"].([]any) {
		r := r.(map[string]any)
		if r["Name"] == "large-body" {
			pattern, _ = r["Statement"].(map[string]any)["RegexMatchStatement"].(map[string]any)["RegexString"].(string)
		}
	}
	rule := regexp.MustCompile(pattern)
	for length, refused := range map[string]bool{"0": false, "7": false, "999999": false, "1048575": false, "1048576": false, "1048577": true, "1048580": true,
		"1048600": true, "1049000": true, "1050000": true, "1100000": true, "2000000": true, "9999999": true, "10000000": true, "0000000001": false, "0002000000": true, "": false, "many": false} {
		if rule.MatchString(length) != refused {
			t.Errorf("a body of %q bytes is refused: %v, want %v, by %s", length, !refused, refused, pattern)
		}
	}
	for n := range 3 * largest {
		if rule.MatchString(fmt.Sprint(n)) != (n > largest) {
			t.Fatalf("%d bytes: %s", n, pattern)
		}
	}
	if len(pattern) > 512 {
		t.Errorf("a pattern has at most 512 characters, not %d", len(pattern))
	}
}

func TestPagesMayReadWhatAPIGatewayItselfAnswers(t *testing.T) {
	const header = "gatewayresponse.header.Access-Control-Allow-Origin"
	for origins, want := range map[string]any{"": nil, "https://a.example.com": "'https://a.example.com'", "https://a.example.com,https://b.example.com": "method.request.header.Origin"} {
		body := synth(t, map[string]any{"stage": "prod", "origins": origins}).of("AWS::ApiGateway::RestApi")["Api"].Properties["Body"].(map[string]any)
		for kind, answer := range body["x-amazon-apigateway-gateway-responses"].(map[string]any) {
			parameters, _ := answer.(map[string]any)["responseParameters"].(map[string]any)
			if parameters[header] != want {
				t.Errorf("origins %q, %s: %v, want %v", origins, kind, parameters[header], want)
			}
		}
	}
}
