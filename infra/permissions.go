//go:build cdk

package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"

	"bldst/shared/manifest"
	"bldst/shared/table/dynamo"
)

// policies returns what f may do, by what for: exactly what the manifest says,
// each action by name and each resource by its ARN.
func (st *stack) policies(f manifest.Function, group awslogs.LogGroup) *map[string]awsiam.PolicyDocument {
	out := map[string]awsiam.PolicyDocument{
		"logs":   policy(allow([]string{"logs:CreateLogStream", "logs:PutLogEvents"}, group.LogGroupArn())),
		"traces": policy(allow(tracing, s("*"))),
	}
	if f.Table != manifest.None {
		out["table"] = policy(st.tableStatements(f)...)
	}
	if f.Signs {
		out["signing"] = policy(append(st.decrypt(), allow([]string{"secretsmanager:GetSecretValue"}, st.signing.SecretArn()))...)
	}
	if len(f.States) > 0 {
		out["machine"] = policy(allow(f.States, st.machineARN(), st.executionARN("*")))
	}
	if f.Events {
		out["events"] = policy(allow([]string{"events:PutEvents"}, st.bus.EventBusArn()))
	}
	if f.Files {
		out["files"] = policy(append(st.decrypt(),
			allow([]string{"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}, st.bucket.ArnForObjects(s("builds/*"))),
			allow([]string{"s3:ListBucket"}, st.bucket.BucketArn()))...) // else what is not there is answered as forbidden
	}
	if f.Topics {
		out["topics"] = policy(allow([]string{"sns:Publish"}, st.arn("sns", topicPrefix+"*")))
	}
	if f.Secrets {
		out["references"] = policy(
			allow([]string{"ssm:GetParameter"}, st.arn("ssm", "parameter/bldst/*"), st.arn("ssm", "parameter/aws/reference/secretsmanager/bldst/*")),
			allow([]string{"secretsmanager:GetSecretValue"}, st.arn("secretsmanager", "secret:bldst/*")))
	}
	if f.Stream {
		out["stream"] = policy(
			allow([]string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}, st.table.TableStreamArn()),
			allow([]string{"dynamodb:ListStreams"}, s("*")))
	}
	if q := st.dead[f.Name]; q != nil {
		out["dead-letters"] = policy(allow([]string{"sqs:SendMessage"}, q.QueueArn()))
	}
	return &out
}

// topicPrefix begins the names of the SNS topics that subscriptions may name:
// what may publish to any topic could speak to systems that expect somebody else.
const topicPrefix = "bldst-"

// tracing are the actions of X-Ray, which knows no resources.
var tracing = []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords"}

// tableStatements allows the items of f's partitions. An index has partitions
// of its own, by name, parent and time, which are not those prefixes; it is
// limited to queries.
func (st *stack) tableStatements(f manifest.Function) []awsiam.PolicyStatement {
	items := &awsiam.PolicyStatementProps{Actions: list(f.Table.Actions()...), Resources: &[]*string{st.table.TableArn()}}
	if len(f.Keys) > 0 {
		var prefixes []string
		for _, k := range f.Keys {
			prefixes = append(prefixes, k+"*")
		}
		items.Conditions = &map[string]any{"ForAllValues:StringLike": map[string]any{"dynamodb:LeadingKeys": prefixes}}
	}
	out := []awsiam.PolicyStatement{awsiam.NewPolicyStatement(items)}
	if f.Table >= manifest.Read {
		var indexes []*string
		for i := 1; i <= 2; i++ {
			indexes = append(indexes, s(*st.table.TableArn()+"/index/"+dynamo.IndexName(i)))
		}
		out = append(out, allow([]string{"dynamodb:Query"}, indexes...))
	}
	return append(out, st.decrypt()...)
}

// decrypt allows the key of the settings, if there is one.
func (st *stack) decrypt() []awsiam.PolicyStatement {
	if st.key == nil {
		return nil
	}
	return []awsiam.PolicyStatement{allow([]string{"kms:Decrypt", "kms:GenerateDataKey"}, st.key.KeyArn())}
}

func allow(actions []string, resources ...*string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: list(actions...), Resources: &resources})
}

func policy(statements ...awsiam.PolicyStatement) awsiam.PolicyDocument {
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements})
}
