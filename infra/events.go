//go:build cdk

package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"

	"bldst/events"
	"bldst/shared/build"
	"bldst/shared/manifest"
)

// archiveDays is how long events can be replayed.
const archiveDays = 30

// addBus adds the bus of the domain events and their archive.
func (st *stack) addBus() {
	st.bus = awsevents.NewEventBus(st.Stack, s("Bus"), &awsevents.EventBusProps{
		EventBusName: s(*st.StackName()), Description: s("The domain events of builds"),
	})
	awsevents.NewCfnArchive(st.Stack, s("Archive"), &awsevents.CfnArchiveProps{
		SourceArn: st.bus.EventBusArn(), RetentionDays: n(archiveDays), Description: s("Every domain event, to be replayed; see docs/operations.md"),
		EventPattern: map[string]any{"source": []string{build.EventSource}},
	})
}

// addRules adds the rules of events/rules.go. What AWS itself says, and the
// schedule, are on the default bus; there is no other place for them.
func (st *stack) addRules() {
	for _, r := range events.Bind(events.Rules, *st.machineARN()) {
		f := st.functions[r.Target]
		rule := awsevents.NewCfnRule(st.Stack, s(title(r.Name)), &awsevents.CfnRuleProps{
			Description: &r.About, State: s("ENABLED"),
			EventBusName: st.busOf(r), EventPattern: patternOf(r.Pattern), ScheduleExpression: orNil(r.Schedule),
			Targets: []any{&awsevents.CfnRule_TargetProperty{
				Id: &r.Target, Arn: f.FunctionArn(),
				DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: st.dead[r.Target].QueueArn()},
				RetryPolicy:      &awsevents.CfnRule_RetryPolicyProperty{MaximumRetryAttempts: n(185), MaximumEventAgeInSeconds: n(oldest * 60 * 60)},
			}},
		})
		st.letRuleUse(r, rule.AttrArn())
	}
}

// letRuleUse allows a rule to call its function, and to keep in the dead-letter
// queue what it could not deliver.
func (st *stack) letRuleUse(r events.Rule, rule *string) {
	awslambda.NewCfnPermission(st.Stack, s(title(r.Name)+"Calls"), &awslambda.CfnPermissionProps{
		Action: s("lambda:InvokeFunction"), Principal: s("events.amazonaws.com"), FunctionName: st.functions[r.Target].FunctionArn(), SourceArn: rule,
	})
	q := st.dead[r.Target]
	q.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: list("sqs:SendMessage"), Resources: &[]*string{q.QueueArn()},
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(s("events.amazonaws.com"), nil)},
		Conditions: &map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": rule}},
	}))
}

func (st *stack) busOf(r events.Rule) *string {
	if r.Pattern == nil || r.Pattern.Source[0] != build.EventSource {
		return nil
	}
	return st.bus.EventBusName()
}

func patternOf(p *events.Pattern) any {
	if p == nil {
		return nil
	}
	out := map[string]any{"source": p.Source}
	if len(p.DetailType) > 0 {
		out["detail-type"] = p.DetailType
	}
	if len(p.Detail) > 0 {
		out["detail"] = p.Detail
	}
	return out
}

func orNil(v string) *string {
	if v == "" {
		return nil
	}
	return &v
}

// addStream leads the changes of the table to the function that asks for them.
// The records of one item stay in order; a batch that fails is cut in two until
// the record that is at fault is alone, and that one ends in the dead-letter
// queue when its time is over.
func (st *stack) addStream() {
	for _, f := range manifest.All {
		if !f.Stream {
			continue
		}
		awslambda.NewCfnEventSourceMapping(st.Stack, s(title(f.Name)+"Stream"), &awslambda.CfnEventSourceMappingProps{
			FunctionName: st.functions[f.Name].FunctionArn(), EventSourceArn: st.table.TableStreamArn(),
			StartingPosition: s("TRIM_HORIZON"), BatchSize: n(100), ParallelizationFactor: n(4),
			BisectBatchOnFunctionError: yes, FunctionResponseTypes: list("ReportBatchItemFailures"),
			MaximumRecordAgeInSeconds: n(polls), MaximumRetryAttempts: n(100),
			DestinationConfig: &awslambda.CfnEventSourceMapping_DestinationConfigProperty{
				OnFailure: &awslambda.CfnEventSourceMapping_OnFailureProperty{Destination: st.dead[f.Name].QueueArn()}},
		})
	}
}
