//go:build cdk

package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"

	"bldst/events/asl"
	"bldst/shared/emf"
	"bldst/shared/manifest"
	"bldst/shared/table"
	"bldst/shared/table/dynamo"
)

// An alarm goes off when a metric is above its limit for some periods. The
// description is what a person reads at night: what it means and where to look.
type alarm struct {
	id      string
	metric  awscloudwatch.IMetric
	above   float64
	periods float64
	says    string
}

// minutes is the period of every metric.
const minutes = 5

// addAlarms adds the alarms. Where nothing happens nothing is wrong: no data is
// no alarm.
func (st *stack) addAlarms() {
	all := slices.Concat(st.reportAlarms(), st.driveAlarms(), st.relayAlarms(), st.deadLetterAlarms())
	for _, a := range all {
		x := awscloudwatch.NewAlarm(st.Stack, s(a.id+"Alarm"), &awscloudwatch.AlarmProps{
			AlarmDescription: s(a.says + " See docs/operations.md."), Metric: a.metric, Threshold: &a.above, EvaluationPeriods: &a.periods,
			ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD, TreatMissingData: awscloudwatch.TreatMissingData_NOT_BREACHING,
		})
		if st.Alarms != "" {
			x.AddAlarmAction(awscloudwatchactions.NewSnsAction(awssns.Topic_FromTopicArn(st.Stack, s(a.id+"AlarmTopic"), &st.Alarms)))
		}
		st.alarms = append(st.alarms, x)
	}
}

// reportAlarms answer: can people report builds?
func (st *stack) reportAlarms() []alarm {
	return []alarm{
		{"ApiErrors", st.api("5XXError", "Sum"), 5, 1, "The API answers with errors: builds may not be able to report."},
		{"ApiSlow", st.api("Latency", "p99"), 3000, 3, "One request in a hundred takes more than three seconds."},
		{"ApiThrottled", st.sum("Throttles", st.httpFunctions()), 0, 1, "Lambda refuses calls of the API: raise the concurrency quota."},
		{"TableErrors", st.tableErrors(), 0, 1, "DynamoDB answers with errors of its own."},
		{"TableThrottled", st.tableThrottled(), 10, 2, "The table refuses requests: a key is too hot, or an account limit is reached."},
	}
}

// driveAlarms answer: is any build stuck?
func (st *stack) driveAlarms() []alarm {
	out := []alarm{
		{"MachineFailed", st.machine("ExecutionsFailed"), 0, 1, "An execution failed. A build that was given up fails its execution too; reconcile repairs the others."},
		{"MachineTimedOut", st.machine("ExecutionsTimedOut"), 0, 1, "An execution ran for a year."},
		{"MachineAborted", st.machine("ExecutionsAborted"), 0, 1, "Somebody stopped an execution. reconcile repairs its build."},
		{"MachineThrottled", st.machine("ExecutionThrottled"), 0, 2, "Step Functions slows executions down: raise the quota of state transitions."},
		{"BuildsStalled", st.business("BuildsStalled", "Sum"), 0, 1, "A worker has gone silent. The machine decides what becomes of the build."},
	}
	tasks := slices.Sorted(maps.Values(asl.Placeholders))
	return append(out, alarm{"TaskErrors", st.sum("Errors", tasks), 3, 1, "Tasks of the state machine fail. They are tried again; builds wait meanwhile."})
}

// relayAlarms answer: is the relay behind?
func (st *stack) relayAlarms() []alarm {
	var out []alarm
	for _, f := range manifest.All {
		if f.Stream {
			of := map[string]*string{"FunctionName": st.functions[f.Name].FunctionName()}
			out = append(out,
				alarm{title(f.Name) + "Behind", st.metric("AWS/Lambda", "IteratorAge", "Maximum", of), 60_000, 1, f.Name + " is more than a minute behind the table: executions and notifications are late."},
				alarm{title(f.Name) + "Errors", st.metric("AWS/Lambda", "Errors", "Sum", of), 0, 2, f.Name + " fails and is called again."})
		} else if asynchronous(f) {
			out = append(out, alarm{title(f.Name) + "Errors", st.function(f.Name, "Errors"), 0, 2, f.Name + " fails and is called again."})
		}
	}
	return out
}

// deadLetterAlarms answer: is something in a dead-letter queue?
func (st *stack) deadLetterAlarms() []alarm {
	var out []alarm
	for _, name := range slices.Sorted(maps.Keys(st.dead)) {
		out = append(out, alarm{title(name) + "DeadLetters", st.queued(name), 0, 1, "Work of " + name + " was given up and waits in its dead-letter queue."})
	}
	return out
}

// Metrics, by what they are of.

func (st *stack) metric(namespace, name, statistic string, of map[string]*string) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: &namespace, MetricName: &name, Statistic: &statistic, DimensionsMap: &of, Period: awscdk.Duration_Minutes(n(minutes)),
	})
}

func (st *stack) api(name, statistic string) awscloudwatch.Metric {
	return st.metric("AWS/ApiGateway", name, statistic, map[string]*string{"ApiName": st.StackName(), "Stage": &st.Settings.Stage})
}

func (st *stack) machine(name string) awscloudwatch.Metric {
	return st.metric("AWS/States", name, "Sum", map[string]*string{"StateMachineArn": st.machineARN()})
}

func (st *stack) business(name, statistic string) awscloudwatch.Metric {
	return st.metric(emf.Namespace, name, statistic, map[string]*string{emf.Stage: &st.Settings.Stage})
}

func (st *stack) function(name, metric string) awscloudwatch.Metric {
	return st.metric("AWS/Lambda", metric, "Sum", map[string]*string{"FunctionName": st.functions[name].FunctionName()})
}

func (st *stack) queued(name string) awscloudwatch.Metric {
	return st.metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", map[string]*string{"QueueName": st.dead[name].QueueName()})
}

// tableThrottled counts what the table and its indexes refuse for want of
// throughput. There is no such metric of the table as a whole.
func (st *stack) tableThrottled() awscloudwatch.IMetric {
	using := map[string]awscloudwatch.IMetric{}
	for _, name := range []string{"ReadThrottleEvents", "WriteThrottleEvents"} {
		for i := range len(table.AttrIndex) + 1 {
			of := map[string]*string{"TableName": st.table.TableName()}
			if i > 0 {
				of["GlobalSecondaryIndexName"] = s(dynamo.IndexName(i))
			}
			using[fmt.Sprintf("m%d", len(using))] = st.metric("AWS/DynamoDB", name, "Sum", of)
		}
	}
	return total(using)
}

func (st *stack) tableErrors() awscloudwatch.IMetric {
	using := map[string]awscloudwatch.IMetric{}
	for i, op := range dynamo.Operations {
		using[fmt.Sprintf("m%d", i)] = st.metric("AWS/DynamoDB", "SystemErrors", "Sum", map[string]*string{"TableName": st.table.TableName(), "Operation": &op})
	}
	return total(using)
}

// httpFunctions are the functions that most requests are for; an alarm takes
// ten metrics at most.
func (st *stack) httpFunctions() []string {
	var out []string
	for _, name := range []string{"builds", "resume", "artifacts", "variables", "jobs", "auth", "platforms", "projects"} {
		if st.functions[name] != nil {
			out = append(out, name)
		}
	}
	return out
}

// sum returns a metric of Lambda summed up over functions.
func (st *stack) sum(metric string, functions []string) awscloudwatch.IMetric {
	using := map[string]awscloudwatch.IMetric{}
	for i, name := range functions {
		using[fmt.Sprintf("m%d", i)] = st.function(name, metric)
	}
	return total(using)
}

func total(using map[string]awscloudwatch.IMetric) awscloudwatch.IMetric {
	expression := ""
	for i, id := range slices.Sorted(maps.Keys(using)) {
		if i > 0 {
			expression += "+"
		}
		expression += "FILL(" + id + ",0)"
	}
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: &expression, UsingMetrics: &using, Period: awscdk.Duration_Minutes(n(minutes)),
	})
}
