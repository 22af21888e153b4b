//go:build cdk

package main

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

func TestAChangeThatLosesDataIsRefused(t *testing.T) {
	change := func(kind string, action types.ChangeAction, replacement types.Replacement) *changeSet {
		return &changeSet{changes: []types.ResourceChange{
			{ResourceType: ptr("AWS::Lambda::Function"), LogicalResourceId: ptr("F"), Action: types.ChangeActionRemove},
			{ResourceType: &kind, LogicalResourceId: ptr("It"), Action: action, Replacement: replacement},
		}}
	}
	for _, kind := range []string{"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret", "AWS::KMS::Key"} {
		if change(kind, types.ChangeActionModify, types.ReplacementTrue).refuse() == nil {
			t.Errorf("%s may be replaced", kind)
		}
		if change(kind, types.ChangeActionRemove, "").refuse() == nil {
			t.Errorf("%s may be removed", kind)
		}
		for _, replacement := range []types.Replacement{types.ReplacementFalse, types.ReplacementConditional} {
			if err := change(kind, types.ChangeActionModify, replacement).refuse(); err != nil {
				t.Errorf("%s may not even be changed: %v", kind, err)
			}
		}
	}
	if err := change("AWS::SQS::Queue", types.ChangeActionModify, types.ReplacementTrue).refuse(); err != nil {
		t.Errorf("what can be made again may be replaced: %v", err)
	}
}
