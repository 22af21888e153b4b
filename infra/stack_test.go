//go:build cdk

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"bldst/events"
	"bldst/events/asl"
	"bldst/shared/manifest"
)

var update = flag.Bool("update", false, "write testdata again")

func TestMain(m *testing.M) {
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

// A resource is one of the template.
type resource struct {
	Type           string
	Properties     map[string]any
	DeletionPolicy string
}

type template struct {
	Resources map[string]resource
	Outputs   map[string]any
}

// synth returns the template of a stage with the given context. The functions
// are empty.
func synth(t *testing.T, context map[string]any) template {
	t.Helper()
	app, dir, name := newApp(t, context)
	app.Synth(nil)
	b, err := os.ReadFile(filepath.Join(dir, name+".template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out template
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func newApp(t *testing.T, context map[string]any) (app awscdk.App, dir, name string) {
	t.Helper()
	dist, dir := t.TempDir(), t.TempDir()
	for _, f := range manifest.All {
		path := filepath.Join(dist, "arm64", f.Name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "bootstrap"), []byte(f.Name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	values := map[string]any{"dist": dist}
	maps.Copy(values, context)
	app = awscdk.NewApp(&awscdk.AppProps{Outdir: &dir, Context: &values, AnalyticsReporting: no, TreeMetadata: no})
	settings, err := settingsOf(app)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newStack(app, settings); err != nil {
		t.Fatal(err)
	}
	return app, dir, stackName(settings.Stage)
}

func (t template) of(kind string) map[string]resource {
	out := map[string]resource{}
	for id, r := range t.Resources {
		if r.Type == kind {
			out[id] = r
		}
	}
	return out
}

// text returns v as JSON, to look into.
func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// prefixed returns the one resource of a kind whose id is prefix and a hash.
func (t template) prefixed(tt *testing.T, kind, prefix string) resource {
	tt.Helper()
	for id, r := range t.of(kind) {
		if rest, ok := strings.CutPrefix(id, prefix); ok && len(rest) == 8 {
			return r
		}
	}
	tt.Errorf("the template has no %s called %s", kind, prefix)
	return resource{}
}

var prod = map[string]any{"stage": "prod"}

func TestEveryFunctionOfTheManifestHasARoleALogGroupAndItsSizes(t *testing.T) {
	tmpl := synth(t, prod)
	for _, f := range manifest.All {
		id := title(f.Name)
		p := tmpl.prefixed(t, "AWS::Lambda::Function", id+"Function").Properties
		got := map[string]any{"memory": p["MemorySize"], "timeout": p["Timeout"], "tracing": p["TracingConfig"], "arch": p["Architectures"], "runtime": p["Runtime"]}
		want := map[string]any{"memory": float64(f.Memory), "timeout": float64(f.Timeout), "tracing": map[string]any{"Mode": "Active"},
			"arch": []any{"arm64"}, "runtime": "provided.al2023"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", f.Name, d)
		}
		tmpl.prefixed(t, "AWS::IAM::Role", id+"Role")
		if g := tmpl.prefixed(t, "AWS::Logs::LogGroup", id+"Logs"); g.Properties["RetentionInDays"] == nil {
			t.Errorf("the logs of %s are kept forever; give the group a retention", f.Name)
		}
	}
	if got := len(tmpl.of("AWS::Lambda::Function")); got != len(manifest.All) {
		t.Errorf("%d functions for %d entries of the manifest", got, len(manifest.All))
	}
}

// anyResource are the actions that know no resources, and why they are allowed.
var anyResource = map[string]string{
	"xray:PutTraceSegments": "X-Ray knows no resources", "xray:PutTelemetryRecords": "X-Ray knows no resources",
	"xray:GetSamplingRules": "X-Ray knows no resources", "xray:GetSamplingTargets": "X-Ray knows no resources",
	"dynamodb:ListStreams":   "it lists; a stream's ARN does not apply",
	"logs:CreateLogDelivery": "log delivery knows no resources", "logs:GetLogDelivery": "log delivery knows no resources",
	"logs:UpdateLogDelivery": "log delivery knows no resources", "logs:DeleteLogDelivery": "log delivery knows no resources",
	"logs:ListLogDeliveries": "log delivery knows no resources", "logs:PutResourcePolicy": "log delivery knows no resources",
	"logs:DescribeLogGroups": "log delivery knows no resources", "logs:DescribeResourcePolicies": "log delivery knows no resources",
}

func TestRolesNameTheirActionsAndResources(t *testing.T) {
	for id, r := range synth(t, map[string]any{"stage": "prod", "own-key": "true"}).of("AWS::IAM::Role") {
		for _, st := range statements(r) {
			for _, action := range words(st["Action"]) {
				if strings.Contains(action, "*") {
					t.Errorf("%s may %s; name the actions", id, action)
				}
				if slices.ContainsFunc(words(st["Resource"]), func(r string) bool { return r == "*" }) && anyResource[action] == "" {
					t.Errorf("%s may %s anything; name the resource, or the reason in anyResource", id, action)
				}
			}
		}
	}
}

func TestPermissionsAreInRolesAlone(t *testing.T) {
	tmpl := synth(t, prod)
	for _, kind := range []string{"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy", "AWS::IAM::User", "AWS::IAM::Group"} {
		if n := len(tmpl.of(kind)); n > 0 {
			t.Errorf("there are %d of %s, which TestRolesNameTheirActionsAndResources does not look at", n, kind)
		}
	}
}

func statements(role resource) []map[string]any {
	var out []map[string]any
	policies, _ := role.Properties["Policies"].([]any)
	for _, p := range policies {
		document := p.(map[string]any)["PolicyDocument"].(map[string]any)
		for _, st := range document["Statement"].([]any) {
			out = append(out, st.(map[string]any))
		}
	}
	return out
}

// words returns a string, or the strings of a list.
func words(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, x := range v {
			if w, ok := x.(string); ok {
				out = append(out, w)
			}
		}
		return out
	}
	return nil
}

func TestFunctionsMayUseTheTableAsTheManifestSays(t *testing.T) {
	tmpl := synth(t, prod)
	for _, f := range manifest.All {
		var got, prefixes []string
		for _, st := range statements(tmpl.prefixed(t, "AWS::IAM::Role", title(f.Name)+"Role")) {
			if !strings.Contains(text(st["Resource"]), `"Arn"`) || !strings.HasPrefix(words(st["Action"])[0], "dynamodb:") || strings.Contains(text(st["Resource"]), "/index/") {
				continue
			}
			got = append(got, words(st["Action"])...)
			if c, ok := st["Condition"].(map[string]any); ok {
				prefixes = words(c["ForAllValues:StringLike"].(map[string]any)["dynamodb:LeadingKeys"])
			}
		}
		var want []string
		for _, k := range f.Keys {
			want = append(want, k+"*")
		}
		if d := cmp.Diff(f.Table.Actions(), got); d != "" {
			t.Errorf("%s: -manifest +template\n%s", f.Name, d)
		}
		if d := cmp.Diff(want, prefixes); d != "" {
			t.Errorf("%s, keys: -manifest +template\n%s", f.Name, d)
		}
	}
}

func TestEveryAsynchronousTargetHasADeadLetterQueueAndAnAlarm(t *testing.T) {
	tmpl := synth(t, prod)
	targets := map[string]bool{}
	for _, r := range events.Rules {
		targets[r.Target] = true
	}
	for id, r := range tmpl.of("AWS::Events::Rule") {
		if strings.Count(text(r.Properties["Targets"]), "DeadLetterConfig") != 1 {
			t.Errorf("rule %s has no dead-letter queue", id)
		}
	}
	for id, m := range tmpl.of("AWS::Lambda::EventSourceMapping") {
		p := m.Properties
		for _, need := range []string{"DestinationConfig", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts", "BisectBatchOnFunctionError", "FunctionResponseTypes"} {
			if p[need] == nil {
				t.Errorf("stream mapping %s does not say %s; a bad record would hold up all others", id, need)
			}
		}
	}
	for _, f := range manifest.All {
		if !targets[f.Name] && !f.Stream {
			continue
		}
		if targets[f.Name] && tmpl.prefixed(t, "AWS::Lambda::Function", title(f.Name)+"Function").Properties["DeadLetterConfig"] == nil {
			t.Errorf("%s has no dead-letter queue", f.Name)
		}
		alarm := tmpl.prefixed(t, "AWS::CloudWatch::Alarm", title(f.Name)+"DeadLettersAlarm")
		if !strings.Contains(text(alarm.Properties), "ApproximateNumberOfMessagesVisible") {
			t.Errorf("nothing says that the dead-letter queue of %s has something in it", f.Name)
		}
	}
}

func TestTheStateMachineIsTheFileAndEveryWaitIsBounded(t *testing.T) {
	tmpl := synth(t, prod)
	machine := tmpl.of("AWS::StepFunctions::StateMachine")["Machine"]
	join := machine.Properties["DefinitionString"].(map[string]any)["Fn::Join"].([]any)[1].([]any)
	var definition strings.Builder
	for _, part := range join {
		if s, ok := part.(string); ok {
			definition.WriteString(s)
		} else {
			definition.WriteString("ARN")
		}
	}
	want, err := asl.Render("ARN", func(string) string { return "ARN" })
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, definition.String()); d != "" {
		t.Errorf("-file +deployed\n%s", d)
	}
	var m struct {
		TimeoutSeconds int
		States         map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(definition.String()), &m); err != nil {
		t.Fatal(err)
	}
	for name, s := range m.States {
		parked := strings.HasSuffix(fmt.Sprint(s["Resource"]), ".waitForTaskToken")
		if s["Type"] == "Task" && (s["TimeoutSeconds"] == nil && s["TimeoutSecondsPath"] == nil || parked && s["HeartbeatSeconds"] == nil && s["HeartbeatSecondsPath"] == nil) {
			t.Errorf("state %s may wait for ever; give it a timeout, and a heartbeat when it waits for somebody", name)
		}
	}
	if m.TimeoutSeconds == 0 || machine.Properties["LoggingConfiguration"] == nil || machine.Properties["TracingConfiguration"] == nil {
		t.Error("the state machine must have a timeout, a log and traces")
	}
}

func TestNothingIsPublicButTheAPI(t *testing.T) {
	tmpl := synth(t, prod)
	for id, r := range tmpl.of("AWS::Lambda::Permission") {
		if p := fmt.Sprint(r.Properties["Principal"]); p != "apigateway.amazonaws.com" && p != "events.amazonaws.com" || r.Properties["SourceArn"] == nil {
			t.Errorf("%s lets %s call a function from anywhere; name the caller's ARN", id, p)
		}
	}
	for _, kind := range []string{"AWS::Lambda::Url", "AWS::EC2::SecurityGroup", "AWS::S3::AccessPoint"} {
		if len(tmpl.of(kind)) > 0 {
			t.Errorf("there is a %s; the API is the only door", kind)
		}
	}
	for id, r := range tmpl.Resources {
		if strings.Contains(text(r.Properties), `"Effect":"Allow","Principal":"*"`) || strings.Contains(text(r.Properties), `"Effect":"Allow","Principal":{"AWS":"*"}`) {
			t.Errorf("%s lets anybody in", id)
		}
	}
}

func TestTheStageThrottlesTracesAndLogsNothingSecret(t *testing.T) {
	tmpl := synth(t, prod)
	stage := tmpl.of("AWS::ApiGateway::Stage")["Stage"].Properties
	settings := stage["MethodSettings"].([]any)[0].(map[string]any)
	if stage["TracingEnabled"] != true || settings["ThrottlingRateLimit"] == nil || settings["ThrottlingBurstLimit"] == nil || settings["DataTraceEnabled"] != false {
		t.Errorf("the stage must trace, throttle, and keep bodies out of its logs: %s", text(stage))
	}
	var line map[string]string
	if err := json.Unmarshal([]byte(stage["AccessLogSetting"].(map[string]any)["Format"].(string)), &line); err != nil {
		t.Fatalf("the access log is no JSON: %v", err)
	}
	for _, need := range []string{"request_id", "status", "ms", "path", "ip"} {
		if line[need] == "" {
			t.Errorf("the access log does not say %s", need)
		}
	}
	if all := text(line); strings.Contains(all, "header") || strings.Contains(all, "querystring") || strings.Contains(all, "authorizer") {
		t.Errorf("the access log may show a credential: %s", all)
	}
	rule := tmpl.of("AWS::XRay::SamplingRule")["Sampling"].Properties["SamplingRule"].(map[string]any)
	if want := "bldst-prod/prod"; rule["ServiceName"] != want || rule["ReservoirSize"] != 0.0 {
		t.Errorf("the rule of what is traced must be of %s and follow nothing beyond its share: %s", want, text(rule))
	}
	if traced := pricesOf(t).Assumed["traced_share"]; rule["FixedRate"] != traced {
		t.Errorf("make cost reckons with a share of %v traced, the template says %v", traced, rule["FixedRate"])
	}
}

func TestOutputsSayWhatPeopleAndProgramsNeed(t *testing.T) {
	tmpl := synth(t, prod)
	need := []string{"ApiUrl", "ApiId", "ApiStage", "TableName", "ArtifactBucket", "StateMachineArn", "EventBusName", "SigningKeysArn"}
	for _, f := range manifest.All {
		if asynchronous(f) {
			need = append(need, title(f.Name)+"DeadLetters")
		}
	}
	for _, name := range need {
		if tmpl.Outputs[name] == nil {
			t.Errorf("there is no output %s", name)
		}
	}
	if url := text(tmpl.Outputs["ApiUrl"]); !strings.Contains(url, `"https://"`) || !strings.Contains(url, `"/prod"`) {
		t.Errorf("bldst config set-url cannot take %s", url)
	}
}

func TestEventsAreKeptAndTheScheduleRuns(t *testing.T) {
	tmpl := synth(t, prod)
	if archive := tmpl.of("AWS::Events::Archive")["Archive"].Properties; archive["RetentionDays"] == nil {
		t.Errorf("events cannot be replayed: %s", text(archive))
	}
	for _, r := range events.Rules {
		p := tmpl.of("AWS::Events::Rule")[title(r.Name)].Properties
		if p["State"] != "ENABLED" || r.Schedule != "" && p["ScheduleExpression"] != r.Schedule || r.Schedule == "" && p["EventPattern"] == nil {
			t.Errorf("rule %s is not as in events/rules.go: %s", r.Name, text(p))
		}
	}
}

func TestOptionsDoWhatTheySay(t *testing.T) {
	const topic = "arn:aws:sns:us-east-1:111122223333:pager"
	tmpl := synth(t, map[string]any{"stage": "prod", "own-key": "true", "firewall": "true", "domain": "builds.example.com",
		"certificate": "arn:aws:acm:us-east-1:111122223333:certificate/1", "alarm-topic": topic, "origins": "https://builds.example.com", "tags": "team=images",
		"rate": "7", "log-days": "365"})
	table, bucket := tmpl.prefixed(t, "AWS::DynamoDB::Table", "Table").Properties, tmpl.prefixed(t, "AWS::S3::Bucket", "Artifacts").Properties
	for what, p := range map[string]any{
		"table": table["SSESpecification"], "bucket": bucket["BucketEncryption"], "secret": tmpl.prefixed(t, "AWS::SecretsManager::Secret", "SigningKeys").Properties["KmsKeyId"]} {
		if !strings.Contains(text(p), `"Key`) {
			t.Errorf("own-key does not encrypt the %s: %s", what, text(p))
		}
	}
	if keys := tmpl.of("AWS::KMS::Key"); len(keys) != 1 || !strings.Contains(text(keys), `"EnableKeyRotation":true`) {
		t.Errorf("there must be one key, and it must rotate: %s", text(keys))
	}
	if len(tmpl.of("AWS::WAFv2::WebACL")) != 1 || len(tmpl.of("AWS::WAFv2::WebACLAssociation")) != 1 {
		t.Error("firewall puts none before the stage")
	}
	if api := tmpl.of("AWS::ApiGateway::RestApi")["Api"].Properties; api["DisableExecuteApiEndpoint"] != true || tmpl.Outputs["DomainTarget"] == nil ||
		text(tmpl.Outputs["ApiUrl"]) != `{"Value":"https://builds.example.com"}` {
		t.Error("with a domain the API is reached by it, and by nothing else")
	}
	for id, a := range tmpl.of("AWS::CloudWatch::Alarm") {
		if text(a.Properties["AlarmActions"]) != `["`+topic+`"]` {
			t.Errorf("nobody is told of %s", id)
		}
	}
	if env := text(tmpl.prefixed(t, "AWS::Lambda::Function", "BuildsFunction").Properties["Environment"]); !strings.Contains(env, `"ALLOWED_ORIGINS":"https://builds.example.com"`) {
		t.Errorf("builds does not know who may call it from a browser: %s", env)
	}
	if tags := text(table["Tags"]); !strings.Contains(tags, `{"Key":"team","Value":"images"}`) || !strings.Contains(tags, `{"Key":"stage","Value":"prod"}`) {
		t.Errorf("tags are missing: %s", tags)
	}
	if text(tmpl.of("AWS::ApiGateway::Stage")["Stage"].Properties["MethodSettings"].([]any)[0].(map[string]any)["ThrottlingRateLimit"]) != "7" ||
		text(tmpl.prefixed(t, "AWS::Logs::LogGroup", "BuildsLogs").Properties["RetentionInDays"]) != "365" {
		t.Error("rate or log-days do nothing")
	}
}

func TestWhatHoldsDataIsEncryptedAndOutlivesProduction(t *testing.T) {
	tmpl := synth(t, prod)
	table := tmpl.prefixed(t, "AWS::DynamoDB::Table", "Table")
	bucket := tmpl.prefixed(t, "AWS::S3::Bucket", "Artifacts")
	secret := tmpl.prefixed(t, "AWS::SecretsManager::Secret", "SigningKeys")
	for name, r := range map[string]resource{"table": table, "bucket": bucket, "secret": secret} {
		if r.DeletionPolicy != "Retain" {
			t.Errorf("the %s of production is deleted with the stack", name)
		}
	}
	if p := table.Properties; p["DeletionProtectionEnabled"] != true || p["BillingMode"] != "PAY_PER_REQUEST" || !strings.Contains(text(p["StreamSpecification"]), "NEW_AND_OLD_IMAGES") || !strings.Contains(text(p["SSESpecification"]), "true") || !strings.Contains(text(p["PointInTimeRecoverySpecification"]), "true") {
		t.Errorf("the table must be protected, encrypted, recoverable, billed by use and streamed: %s", text(p))
	}
	if p := bucket.Properties; p["BucketEncryption"] == nil || !strings.Contains(text(p["VersioningConfiguration"]), "Enabled") || strings.Contains(text(p["PublicAccessBlockConfiguration"]), "false") {
		t.Errorf("the bucket must be encrypted, versioned and private: %s", text(p))
	}
	if rules := text(bucket.Properties["LifecycleConfiguration"]); !strings.Contains(rules, "AbortIncompleteMultipartUpload") || !strings.Contains(rules, "bldst:retention") {
		t.Errorf("unfinished uploads and expired artifacts stay: %s", rules)
	}
	if policy := text(tmpl.of("AWS::S3::BucketPolicy")); !strings.Contains(policy, `"aws:SecureTransport":"false"`) {
		t.Error("the bucket can be reached without TLS")
	}
	for id, q := range tmpl.of("AWS::SQS::Queue") {
		if q.Properties["SqsManagedSseEnabled"] != true {
			t.Errorf("queue %s is not encrypted", id)
		}
	}
}

func TestAStageOtherThanProductionGoesWhole(t *testing.T) {
	tmpl := synth(t, map[string]any{"stage": "dev"})
	if table := tmpl.prefixed(t, "AWS::DynamoDB::Table", "Table"); table.DeletionPolicy != "Delete" || table.Properties["DeletionProtectionEnabled"] == true {
		t.Errorf("the table of dev stays behind: %s", table.DeletionPolicy)
	}
}

// A change of the golden file is a new table, which is empty: CloudFormation
// replaces a table whose keys or name change, or whose logical id does.
func TestTheTableIsNotReplaced(t *testing.T) {
	got := map[string]any{}
	for id, r := range synth(t, prod).of("AWS::DynamoDB::Table") {
		got[id] = map[string]any{"KeySchema": r.Properties["KeySchema"], "TableName": r.Properties["TableName"], "Indexes": r.Properties["GlobalSecondaryIndexes"]}
	}
	b, _ := json.MarshalIndent(got, "", "  ")
	golden := filepath.Join("testdata", "table.json")
	if *update {
		if err := os.WriteFile(golden, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(b)+"\n"); d != "" {
		t.Errorf("deployed stages would get a new, empty table. Change it in steps that keep the data, then -update. -deployed +template\n%s", d)
	}
}

func TestEveryRouteOfTheManifestLeadsToItsFunction(t *testing.T) {
	tmpl := synth(t, prod)
	paths := tmpl.of("AWS::ApiGateway::RestApi")["Api"].Properties["Body"].(map[string]any)["paths"].(map[string]any)
	n := 0
	for _, f := range manifest.All {
		for _, route := range f.Routes {
			n++
			if p := text(paths[route]); !strings.Contains(p, `["`+title(f.Name)+"Function") {
				t.Errorf("%s does not lead to %s", route, f.Name)
			}
		}
	}
	if n != len(paths) {
		t.Errorf("%d paths for %d routes of the manifest", len(paths), n)
	}
}

func TestTheAPIIsDeployedAnewOnlyWhenItChanges(t *testing.T) {
	a := synth(t, prod).of("AWS::ApiGateway::Deployment")
	b := synth(t, map[string]any{"stage": "prod", "log-level": "debug", "own-key": "true"}).of("AWS::ApiGateway::Deployment")
	if d := cmp.Diff(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b))); d != "" {
		t.Errorf("a setting that is not the API's changes its deployment: %s", d)
	}
}

func TestTwoStagesShareNoName(t *testing.T) {
	dev, prod := synth(t, map[string]any{"stage": "dev"}), synth(t, prod)
	for id, a := range dev.Resources {
		b, ok := prod.Resources[id]
		if !ok {
			continue
		}
		for name, v := range a.Properties {
			fixed, ok := v.(string)
			if ok && strings.HasSuffix(name, "Name") && !slices.Contains([]string{"IndexName", "StageName"}, name) && b.Properties[name] == fixed && !strings.HasPrefix(a.Type, "AWS::CloudWatch::Alarm") {
				t.Errorf("%s has the %s %q in both stages; they could not live in one account", id, name, fixed)
			}
		}
	}
}

func TestTheStackKeepsWellWithinItsLimit(t *testing.T) {
	for name, context := range map[string]map[string]any{
		"prod": prod,
		"all options": {"stage": "prod", "own-key": "true", "firewall": "true", "domain": "builds.example.com", "certificate": "arn:aws:acm:us-east-1:111122223333:certificate/1",
			"alarm-topic": "arn:aws:sns:us-east-1:111122223333:pager", "origins": "https://builds.example.com", "tags": "team=images"},
	} {
		tmpl := synth(t, context)
		t.Logf("%s: %d resources", name, len(tmpl.Resources))
		if len(tmpl.Resources) > 400 {
			t.Errorf("%s: %d resources; at most 400, so that there is room below the 500 of CloudFormation", name, len(tmpl.Resources))
		}
	}
}

func TestSettingsThatAreWrongAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		context map[string]any
		want    string
	}{
		"a stage with a bad name":          {map[string]any{"stage": "Prod!"}, `stage "Prod!" must be`},
		"an architecture that is none":     {map[string]any{"arch": "x86"}, `arch "x86" must be`},
		"a domain without its certificate": {map[string]any{"domain": "a.example.com"}, "belong together"},
		"production open to every page":    {map[string]any{"stage": "prod", "origins": "*"}, "name the origins"},
		"a rate that is no number":         {map[string]any{"rate": "many"}, "rate must be a number above 0"},
		"more traced than there is":        {map[string]any{"traced": "2"}, "share of all requests"},
		"tags that are not pairs":          {map[string]any{"tags": "images"}, "tags must have the form"},
		"a retention of less than nothing": {map[string]any{"log-days": "-1"}, "log-days must be a number above 0"},
	} {
		app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir()), Context: &c.context})
		if _, err := settingsOf(app); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q, got %v", name, c.want, err)
		}
	}
}
