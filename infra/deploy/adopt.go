//go:build cdk

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bldst/shared/table"
	"bldst/shared/table/dynamo"
)

// tableWait is how long a table may take to be ready; a restore of many
// gigabytes takes hours.
const tableWait = 12 * time.Hour

// restore makes a new table of what the table of the stack held at a time, waits
// until it is there, and prepares it like adopt.
func (t *target) restore(ctx context.Context, at, name string) error {
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return fmt.Errorf("%q is no time; write it as 2026-11-24T08:00:00Z", at)
	}
	st, err := t.describe(ctx)
	if err != nil {
		return err
	}
	if st == nil {
		return fmt.Errorf("there is no stack %s", t.stack)
	}
	source := ""
	for _, o := range st.Outputs {
		if text(o.OutputKey) == "TableName" {
			source = text(o.OutputValue)
		}
	}
	_, err = t.db.RestoreTableToPointInTime(ctx, &dynamodb.RestoreTableToPointInTimeInput{
		SourceTableName: &source, TargetTableName: &name, RestoreDateTime: &when,
	})
	if err != nil {
		return fmt.Errorf("restore table %s: %s", source, reason(err))
	}
	say("restoring what %s held at %s into %s; this takes a while", source, at, name)
	return t.adopt(ctx, name)
}

// adopt gives a table what a stage needs of it and a restore does not bring
// (stream, expiry, recovery, protection) and prints the settings that put it in
// the place of the stage's own. It may be called again.
func (t *target) adopt(ctx context.Context, name string) error {
	if err := dynamodb.NewTableExistsWaiter(t.db).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, tableWait); err != nil {
		return fmt.Errorf("table %s is not ready: %s", name, reason(err))
	}
	out, err := t.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		return fmt.Errorf("look at table %s: %s", name, reason(err))
	}
	if err := fits(out.Table); err != nil {
		return err
	}
	stream, err := t.streamOf(ctx, out.Table)
	if err != nil {
		return err
	}
	if err := t.protect(ctx, name); err != nil {
		return err
	}
	fmt.Printf("table=%s table-stream=%s\n", name, stream)
	return nil
}

// fits returns an error when the keys or indexes of a table are not those that
// the product needs.
func fits(have *types.TableDescription) error {
	want := dynamo.Schema(text(have.TableName))
	same := func(a, b []types.KeySchemaElement) bool {
		return slices.EqualFunc(a, b, func(x, y types.KeySchemaElement) bool {
			return text(x.AttributeName) == text(y.AttributeName) && x.KeyType == y.KeyType
		})
	}
	if !same(have.KeySchema, want.KeySchema) {
		return fmt.Errorf("table %s has other keys than a table of bldst", text(have.TableName))
	}
	for _, w := range want.GlobalSecondaryIndexes {
		if !slices.ContainsFunc(have.GlobalSecondaryIndexes, func(h types.GlobalSecondaryIndexDescription) bool {
			return text(h.IndexName) == text(w.IndexName) && same(h.KeySchema, w.KeySchema)
		}) {
			return fmt.Errorf("table %s lacks the index %s; restore it with its indexes", text(have.TableName), text(w.IndexName))
		}
	}
	return nil
}

// streamOf returns the ARN of the stream of a table, which gets one if it has
// none.
func (t *target) streamOf(ctx context.Context, d *types.TableDescription) (string, error) {
	if d.StreamSpecification != nil && aws.ToBool(d.StreamSpecification.StreamEnabled) {
		if d.StreamSpecification.StreamViewType != types.StreamViewTypeNewAndOldImages {
			return "", fmt.Errorf("the stream of table %s must have new and old images; switch it off and adopt again", text(d.TableName))
		}
		return text(d.LatestStreamArn), nil
	}
	out, err := t.db.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: d.TableName, StreamSpecification: &types.StreamSpecification{
		StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages}})
	if err != nil {
		return "", fmt.Errorf("switch the stream of table %s on: %s", text(d.TableName), reason(err))
	}
	return text(out.TableDescription.LatestStreamArn), nil
}

// protect switches on what keeps the data safe, and the expiry of rows that have
// one. What an emulator does not know is said and left out there.
func (t *target) protect(ctx context.Context, name string) error {
	if err := dynamodb.NewTableExistsWaiter(t.db).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, tableWait); err != nil {
		return fmt.Errorf("table %s is not ready: %s", name, reason(err))
	}
	ttl, err := t.db.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err == nil && ttl.TimeToLiveDescription.TimeToLiveStatus != types.TimeToLiveStatusEnabled {
		_, err = t.db.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{TableName: &name,
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(table.AttrTTL), Enabled: aws.Bool(true)}})
	}
	if err != nil {
		return fmt.Errorf("switch the expiry of table %s on: %s", name, reason(err))
	}
	_, recovery := t.db.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{TableName: &name,
		PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)}})
	_, protection := t.db.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &name, DeletionProtectionEnabled: aws.Bool(true)})
	if err := errors.Join(recovery, protection); err != nil && !t.emulated {
		return fmt.Errorf("protect table %s: %s", name, reason(err))
	} else if err != nil {
		say("this emulator does not protect table %s: %s", name, reason(err))
	}
	return nil
}
