//go:build cdk

package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"

	"bldst/events"
	"bldst/shared/config"
	"bldst/shared/manifest"
	"bldst/shared/secret"
)

// What becomes of an asynchronous call that fails.
const (
	retries  = 2       // further tries
	oldest   = 6       // hours after which it is given up
	deadDays = 14      // kept in the dead-letter queue, the most there is
	polls    = 60 * 60 // seconds a record of the stream is tried again, see addStream
)

var architectures = map[string]func() awslambda.Architecture{"arm64": awslambda.Architecture_ARM_64, "amd64": awslambda.Architecture_X86_64}

// addFunction adds a function with a role, a log group and, when it is called
// asynchronously, a dead-letter queue of its own.
func (st *stack) addFunction(f manifest.Function) {
	id := title(f.Name)
	if asynchronous(f) {
		st.dead[f.Name] = st.addQueue(id+"DeadLetters", f)
	}
	group := awslogs.NewLogGroup(st.Stack, s(id+"Logs"), &awslogs.LogGroupProps{
		Retention: awslogs.RetentionDays(days(st.LogDays)), RemovalPolicy: st.keep(),
	})
	role := awsiam.NewRole(st.Stack, s(id+"Role"), &awsiam.RoleProps{
		AssumedBy:      awsiam.NewServicePrincipal(s("lambda.amazonaws.com"), nil),
		Description:    s("What " + f.Name + " may do"),
		InlinePolicies: st.policies(f, group),
	})
	st.functions[f.Name] = awslambda.NewFunction(st.Stack, s(id+"Function"), &awslambda.FunctionProps{
		Description:      s(stackName(st.Stage) + " " + f.Name),
		Runtime:          awslambda.Runtime_PROVIDED_AL2023(),
		Architecture:     architectures[st.Arch](),
		Handler:          s("bootstrap"),
		Code:             awslambda.Code_FromAsset(s(filepath.Join(st.Dist, st.Arch, f.Name)), &awss3assets.AssetOptions{}),
		MemorySize:       n(float64(f.Memory)),
		Timeout:          awscdk.Duration_Seconds(n(float64(f.Timeout))),
		Environment:      st.environment(f),
		Role:             role.WithoutPolicyUpdates(nil), // what the manifest says, and nothing CDK adds
		LogGroup:         group,
		LoggingFormat:    awslambda.LoggingFormat_JSON, // which lets Lambda's own three lines a call be left out
		SystemLogLevelV2: awslambda.SystemLogLevel_WARN,
		Tracing:          awslambda.Tracing_ACTIVE,
		DeadLetterQueue:  st.deadLetters(f),
		MaxEventAge:      st.whenAsynchronous(f, awscdk.Duration_Hours(n(oldest))),
		RetryAttempts:    st.retryAttempts(f),
	})
}

// asynchronous reports whether a rule calls f.
func asynchronous(f manifest.Function) bool {
	return f.Stream || slices.ContainsFunc(events.Rules, func(r events.Rule) bool { return r.Target == f.Name })
}

func (st *stack) addQueue(id string, f manifest.Function) awssqs.Queue {
	return awssqs.NewQueue(st.Stack, &id, &awssqs.QueueProps{
		RetentionPeriod: awscdk.Duration_Days(n(deadDays)), Encryption: awssqs.QueueEncryption_SQS_MANAGED, EnforceSSL: yes,
	})
}

// deadLetters returns the dead-letter queue of a function that rules call. The
// stream's mapping names the queue of its function itself.
func (st *stack) deadLetters(f manifest.Function) awssqs.IQueue {
	if q := st.dead[f.Name]; q != nil && !f.Stream {
		return q
	}
	return nil
}

func (st *stack) whenAsynchronous(f manifest.Function, d awscdk.Duration) awscdk.Duration {
	if st.deadLetters(f) == nil {
		return nil
	}
	return d
}

func (st *stack) retryAttempts(f manifest.Function) *float64 {
	if st.deadLetters(f) == nil {
		return nil
	}
	return n(retries)
}

// environment returns the variables that config reads. The ARN of the state
// machine is composed, since the machine refers to the functions.
func (st *stack) environment(f manifest.Function) *map[string]*string {
	env := map[string]*string{"STAGE": &st.Stage, "LOG_LEVEL": &st.LogLevel}
	if f.Table != manifest.None {
		env[config.TableName] = st.table.TableName()
	}
	if len(f.Routes) > 0 {
		env["ALLOWED_ORIGINS"] = &st.Origins
	}
	if f.Signs {
		env[config.SigningSecret] = st.signing.SecretArn()
	}
	if st.Outbound != "" {
		env["OUTBOUND_ALLOW"] = &st.Outbound
	}
	if f.Secrets {
		st.references(env)
	}
	if len(f.States) > 0 {
		env[config.Machine] = st.machineARN()
	}
	if f.Files {
		env[config.Bucket] = st.bucket.BucketName()
	}
	if f.Events {
		env["EVENT_BUS_NAME"] = st.bus.EventBusName()
	}
	return &env
}

// references adds the references to secrets that the settings give.
func (st *stack) references(env map[string]*string) {
	if st.Webhook != "" {
		env["WEBHOOK_SECRET"] = &st.Webhook
	}
	env["WEBHOOK_ACCOUNTS"] = st.Account()
	if st.Accounts != "" {
		env["WEBHOOK_ACCOUNTS"] = &st.Accounts
	}
	for _, c := range st.CI {
		name, ref, _ := strings.Cut(c, "=")
		env[secret.EnvPrefix+name] = &ref
	}
}

// days returns the retention that CloudWatch offers for at least so many days.
func days(want int) string {
	for _, r := range []struct {
		days int
		name awslogs.RetentionDays
	}{{1, awslogs.RetentionDays_ONE_DAY}, {7, awslogs.RetentionDays_ONE_WEEK}, {14, awslogs.RetentionDays_TWO_WEEKS}, {30, awslogs.RetentionDays_ONE_MONTH},
		{90, awslogs.RetentionDays_THREE_MONTHS}, {180, awslogs.RetentionDays_SIX_MONTHS}, {365, awslogs.RetentionDays_ONE_YEAR}} {
		if want <= r.days {
			return string(r.name)
		}
	}
	return string(awslogs.RetentionDays_TEN_YEARS)
}

// title returns name as part of a logical id: OpenBuild of open-build.
func title(name string) string {
	var out strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("-_/{}+", r) }) {
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}
