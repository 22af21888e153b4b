//go:build cdk

package main

import (
	"bldst/events"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
)

func (st *stack) addFirewall()  {}
func (st *stack) addDomain()    {}
func (st *stack) addAlarms()    {}
func (st *stack) addDashboard() {}
func (st *stack) explainToNag() {}

func init() {
	events.Rules = slices.DeleteFunc(events.Rules, func(r events.Rule) bool { return !slices.Contains(functionNames(), r.Target) })
}

func (st *stack) addOutputs() {
	for name, v := range map[string]*string{"ApiUrl": &st.apiURL, "ApiId": st.apiID, "TableName": st.table.TableName(), "BucketName": st.bucket.BucketName(),
		"StateMachineArn": st.machineARN(), "EventBusName": st.bus.EventBusName()} {
		awscdk.NewCfnOutput(st.Stack, s("Output"+name), &awscdk.CfnOutputProps{Value: v}).OverrideLogicalId(&name)
	}
}
