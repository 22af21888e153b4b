//go:build cdk

package main

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"

	"bldst/events/asl"
)

// machineName is the name of the state machine. It has one, and only it, since
// its functions know its ARN and it knows theirs: without a name that would be
// a circle. The stage is in it.
func (st *stack) machineName() string { return *st.StackName() + "-build" }

func (st *stack) machineARN() *string { return st.arn("states", "stateMachine:"+st.machineName()) }

func (st *stack) executionARN(name string) *string {
	return st.arn("states", "execution:"+st.machineName()+":"+name)
}

// logDelivery are the actions with which a state machine sets up its log, which
// know no resources.
var logDelivery = []string{"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery", "logs:ListLogDeliveries",
	"logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"}

// samplingAndTracing are the actions of X-Ray for who decides what is traced.
var samplingAndTracing = slices.Concat(tracing, []string{"xray:GetSamplingRules", "xray:GetSamplingTargets"})

// addMachine adds the state machine of events/asl.
func (st *stack) addMachine() error {
	definition, err := asl.Render(*st.Partition(), func(function string) string {
		if f := st.functions[function]; f != nil {
			return *f.FunctionArn()
		}
		return ""
	})
	if err != nil {
		return err
	}
	group := awslogs.NewLogGroup(st.Stack, s("MachineLogs"), &awslogs.LogGroupProps{
		LogGroupName: s("/aws/vendedlogs/states/" + st.machineName()), // a prefix whose groups need no resource policy each
		Retention:    awslogs.RetentionDays(days(st.LogDays)), RemovalPolicy: st.keep(),
	})
	var tasks []*string
	for _, name := range slices.Sorted(maps.Values(asl.Placeholders)) {
		tasks = append(tasks, st.functions[name].FunctionArn())
	}
	role := awsiam.NewRole(st.Stack, s("MachineRole"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(s("states.amazonaws.com"), nil),
		Description: s("What the state machine may do"),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"tasks":  policy(allow([]string{"lambda:InvokeFunction"}, tasks...)),
			"logs":   policy(allow(logDelivery, s("*"))),
			"traces": policy(allow(samplingAndTracing, s("*"))),
		},
	})
	awsstepfunctions.NewCfnStateMachine(st.Stack, s("Machine"), &awsstepfunctions.CfnStateMachineProps{
		StateMachineName: s(st.machineName()),
		StateMachineType: s("STANDARD"),
		DefinitionString: definition,
		RoleArn:          role.RoleArn(),
		LoggingConfiguration: &awsstepfunctions.CfnStateMachine_LoggingConfigurationProperty{
			Level: s("ERROR"), IncludeExecutionData: no, // inputs may hold what only the table may show
			Destinations: []any{&awsstepfunctions.CfnStateMachine_LogDestinationProperty{
				CloudWatchLogsLogGroup: &awsstepfunctions.CfnStateMachine_CloudWatchLogsLogGroupProperty{LogGroupArn: group.LogGroupArn()}}},
		},
		TracingConfiguration: &awsstepfunctions.CfnStateMachine_TracingConfigurationProperty{Enabled: yes},
	}).Node().AddDependency(role)
	return nil
}
