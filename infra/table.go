//go:build cdk

package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"

	"bldst/shared/table"
	"bldst/shared/table/dynamo"
)

// addKey adds a key of the customer's own when the settings ask for one.
func (st *stack) addKey() {
	if !st.OwnKey {
		return
	}
	st.key = awskms.NewKey(st.Stack, s("Key"), &awskms.KeyProps{
		Description: s("Encrypts the data of " + stackName(st.Stage)), EnableKeyRotation: yes, RemovalPolicy: st.keep(),
	})
}

// addTable adds the one table, with the schema that its adapter has. Where the
// settings adopt another, such as one that was restored, everything refers to
// that one; the stack's own stays as it is, and leaving the setting out is the
// way back.
func (st *stack) addTable() {
	own := st.ownTable()
	st.table = own
	if st.Adopted != "" {
		indexes := []string{dynamo.IndexName(1), dynamo.IndexName(2)}
		st.table = awsdynamodb.Table_FromTableAttributes(st.Stack, s("Adopted"), &awsdynamodb.TableAttributes{
			TableName: &st.Adopted, TableStreamArn: &st.Stream, EncryptionKey: st.key, GlobalIndexes: list(indexes...),
		})
	}
}

func (st *stack) ownTable() awsdynamodb.Table {
	props := &awsdynamodb.TableProps{
		PartitionKey: str(table.AttrPK), SortKey: str(table.AttrSK),
		BillingMode:                      awsdynamodb.BillingMode_PAY_PER_REQUEST,
		Stream:                           awsdynamodb.StreamViewType_NEW_AND_OLD_IMAGES,
		TimeToLiveAttribute:              s(table.AttrTTL),
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: yes},
		DeletionProtection:               awsBool(st.production()),
		RemovalPolicy:                    st.keep(),
		Encryption:                       awsdynamodb.TableEncryption_AWS_MANAGED,
	}
	if st.key != nil {
		props.Encryption, props.EncryptionKey = awsdynamodb.TableEncryption_CUSTOMER_MANAGED, st.key
	}
	own := awsdynamodb.NewTable(st.Stack, s("Table"), props)
	for i, k := range table.AttrIndex {
		own.AddGlobalSecondaryIndex(&awsdynamodb.GlobalSecondaryIndexProps{
			IndexName: s(dynamo.IndexName(i + 1)), PartitionKey: str(k.PK), SortKey: str(k.SK),
		})
	}
	awscdk.Tags_Of(own).Add(s("backup"), s("true"), nil)
	return own
}

func str(name string) *awsdynamodb.Attribute {
	return &awsdynamodb.Attribute{Name: &name, Type: awsdynamodb.AttributeType_STRING}
}
