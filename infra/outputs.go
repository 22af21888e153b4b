//go:build cdk

package main

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
)

// addOutputs adds what people and programs need to know of the stack. ApiUrl is
// what `bldst config set-url` takes.
func (st *stack) addOutputs() {
	values := map[string]*string{
		"ApiUrl": &st.apiURL, "ApiId": st.apiID, "ApiStage": st.stage.Ref(), "TableName": st.table.TableName(), "ArtifactBucket": st.bucket.BucketName(),
		"StateMachineArn": st.machineARN(), "EventBusName": st.bus.EventBusName(), "SigningKeysArn": st.signing.SecretArn(),
	}
	for name, q := range st.dead {
		values[title(name)+"DeadLetters"] = q.QueueUrl()
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		awscdk.NewCfnOutput(st.Stack, s("Output"+name), &awscdk.CfnOutputProps{Value: values[name]}).OverrideLogicalId(&name)
	}
}
