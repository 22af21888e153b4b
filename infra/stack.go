//go:build cdk

package main

import (
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"

	"bldst/events"
	"bldst/shared/manifest"
)

// A stack is one stage of bldst.
type stack struct {
	awscdk.Stack
	*Settings

	key       awskms.IKey // nil: the keys of AWS
	table     awsdynamodb.ITable
	bucket    awss3.Bucket
	signing   awssecretsmanager.Secret
	bus       awsevents.EventBus
	functions map[string]awslambda.Function
	dead      map[string]awssqs.Queue // the dead-letter queues, by the function whose work did not succeed
	apiURL    string
	apiID     *string
	stage     awsapigateway.CfnStage
	alarms    []interfacesawscloudwatch.IAlarmRef
}

// newStack adds the stack of a stage to app. This is its table of contents.
func newStack(app constructs.Construct, settings *Settings) (*stack, error) {
	st := &stack{Settings: settings, functions: map[string]awslambda.Function{}, dead: map[string]awssqs.Queue{}}
	if err := events.Check(events.Rules, functionNames()); err != nil {
		return nil, err
	}
	st.Stack = awscdk.NewStack(app, s(stackName(settings.Stage)), st.props())
	st.tag()

	st.addKey()
	st.addTable()
	st.addBucket()
	st.addSigningKeys()
	st.addBus()
	for _, f := range manifest.All {
		st.addFunction(f)
	}
	if err := st.addMachine(); err != nil {
		return nil, err
	}
	st.addStream()
	st.addRules()
	st.addAPI()
	st.addFirewall()
	st.addDomain()
	st.addAlarms()
	st.addDashboard()
	st.addOutputs()
	return st, nil
}

func stackName(stage string) string { return "bldst-" + stage }

func (st *stack) props() *awscdk.StackProps {
	return &awscdk.StackProps{
		Description:           s(fmt.Sprintf("bldst, stage %s: remembers where every image build is, and drives it", st.Stage)),
		AnalyticsReporting:    no,
		TerminationProtection: awsBool(st.production()),
		Synthesizer:           awscdk.NewDefaultStackSynthesizer(&awscdk.DefaultStackSynthesizerProps{GenerateBootstrapVersionRule: no}),
	}
}

func (st *stack) tag() {
	tags := awscdk.Tags_Of(st.Stack)
	tags.Add(s("application"), s("bldst"), nil)
	tags.Add(s("stage"), &st.Stage, nil)
	for _, t := range st.Settings.Tags {
		k, v, _ := strings.Cut(t, "=")
		tags.Add(&k, &v, nil)
	}
}

// keep is what becomes of what holds data when the stack is deleted.
func (st *stack) keep() awscdk.RemovalPolicy {
	if st.production() {
		return awscdk.RemovalPolicy_RETAIN
	}
	return awscdk.RemovalPolicy_DESTROY
}

// arn returns the ARN of a resource of this account and region.
func (st *stack) arn(service, resource string) *string {
	return s(fmt.Sprintf("arn:%s:%s:%s:%s:%s", *st.Partition(), service, *st.Region(), *st.Account(), resource))
}

func functionNames() []string {
	var out []string
	for _, f := range manifest.All {
		out = append(out, f.Name)
	}
	return out
}

func awsBool(b bool) *bool { return &b }
