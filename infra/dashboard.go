//go:build cdk

package main

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"

	"bldst/shared/emf"
	"bldst/shared/manifest"
)

// addDashboard adds one page that answers four questions, and what it is all
// worth.
func (st *stack) addDashboard() {
	awscloudwatch.NewDashboard(st.Stack, s("Dashboard"), &awscloudwatch.DashboardProps{
		DashboardName: st.StackName(), DefaultInterval: awscdk.Duration_Hours(n(12)),
		Widgets: &[]*[]awscloudwatch.IWidget{
			{awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{Title: s("Is anything wrong?"), Alarms: &st.alarms, Width: n(24)})},
			{
				st.graph("Can people report builds? (requests, errors)", st.api("Count", "Sum"), st.api("4XXError", "Sum"), st.api("5XXError", "Sum")),
				st.graph("How fast? (ms)", st.api("Latency", "p50"), st.api("Latency", "p99")),
			},
			{
				st.graph("Is any build stuck? (executions)", st.machine("ExecutionsStarted"), st.machine("ExecutionsSucceeded"), st.machine("ExecutionsFailed"),
					st.machine("ExecutionsTimedOut"), st.machine("ExecutionsAborted"), st.business("BuildsStalled", "Sum")),
				st.graph("Is the relay behind? (ms)", st.behind()...),
			},
			{
				st.graph("Is something in a dead-letter queue?", st.deadLetterMetrics()...),
				st.graph("What is it worth? (builds)", st.events()...),
				st.graph("Minutes saved", st.business(emf.MinutesSaved, "Maximum")),
			},
		},
	})
}

func (st *stack) graph(title string, metrics ...awscloudwatch.IMetric) awscloudwatch.IWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{Title: &title, Left: &metrics, Width: n(8), LiveData: yes})
}

func (st *stack) behind() []awscloudwatch.IMetric {
	var out []awscloudwatch.IMetric
	for _, f := range manifest.All {
		if f.Stream {
			out = append(out, st.metric("AWS/Lambda", "IteratorAge", "Maximum", map[string]*string{"FunctionName": st.functions[f.Name].FunctionName()}))
		}
	}
	return out
}

func (st *stack) deadLetterMetrics() []awscloudwatch.IMetric {
	var out []awscloudwatch.IMetric
	for _, name := range slices.Sorted(maps.Keys(st.dead)) {
		out = append(out, st.queued(name))
	}
	return out
}

func (st *stack) events() []awscloudwatch.IMetric {
	var out []awscloudwatch.IMetric
	for _, name := range slices.Sorted(maps.Values(emf.Events)) {
		out = append(out, st.business(name, "Sum"))
	}
	return out
}
