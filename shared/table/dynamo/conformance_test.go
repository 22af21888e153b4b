//go:build dynamodb

// The suite against a real DynamoDB engine: .ci/dynamodb-local go test -tags dynamodb ./shared/table/dynamo
package dynamo_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"bldst/shared/table"
	"bldst/shared/table/dynamo"
	"bldst/shared/table/dynamo/dynamotest"
	"bldst/shared/table/tabletest"
)

// engine returns access to the engine the environment names.
func engine(t testing.TB) dynamo.Access {
	t.Helper()
	endpoint := os.Getenv("BLDST_TEST_DYNAMODB")
	if endpoint == "" {
		t.Fatal("BLDST_TEST_DYNAMODB is not set to the address of a DynamoDB engine; run .ci/dynamodb-local go test -tags dynamodb ./shared/table/dynamo")
	}
	return dynamo.Access{Region: "us-east-1", Endpoint: endpoint, KeyID: "test", Secret: "test"}
}

var tables atomic.Int64

// open creates a table of its own for t.
func open(t *testing.T) tabletest.Harness {
	t.Helper()
	access := engine(t)
	client, name := dynamo.Client(access), fmt.Sprintf("test-%d-%d", os.Getpid(), tables.Add(1))
	if err := dynamo.CreateTable(t.Context(), client, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
			t.Errorf("delete table: %v", err)
		}
	})
	tbl := dynamo.New(client, name)
	reopen := func(t *testing.T) table.Table { return dynamo.Open(access, name) }
	return tabletest.Harness{Table: tbl, Feed: newFeed(t, access, client, name), Reopen: reopen}
}

func TestConformance(t *testing.T) { tabletest.Run(t, open) }

func TestModel(t *testing.T) { tabletest.Model(t, open) }

func TestTheTableHasAStreamAndATimeToLive(t *testing.T) {
	t.Parallel()
	client, name := dynamo.Client(engine(t)), fmt.Sprintf("test-%d-schema", os.Getpid())
	if err := dynamo.CreateTable(t.Context(), client, name); err != nil {
		t.Fatal(err)
	}
	got, err := client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if ttl := got.TimeToLiveDescription; ttl.TimeToLiveStatus != types.TimeToLiveStatusEnabled || aws.ToString(ttl.AttributeName) != "ttl" {
		t.Errorf("time to live is %+v, want it on attribute ttl", ttl)
	}
	if err := dynamo.CreateTable(t.Context(), client, name); err == nil {
		t.Error("creating the table twice succeeded")
	}
}

// A feed reads the stream of a table as table.Feed, for the suite only: on AWS
// the stream calls the function relay. It follows all shards from their
// beginning each time, which is slow and simple.
type feed struct {
	client *dynamodbstreams.Client
	arn    string
}

func newFeed(t *testing.T, a dynamo.Access, client *dynamodb.Client, name string) *feed {
	t.Helper()
	out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	streams := dynamodbstreams.New(dynamodbstreams.Options{Region: a.Region, Credentials: a, BaseEndpoint: &a.Endpoint})
	return &feed{client: streams, arn: *out.Table.LatestStreamArn}
}

func (f *feed) Changes(ctx context.Context, after string, limit int) ([]table.Change, error) {
	for {
		out, err := f.read(ctx, after, limit)
		if ctx.Err() != nil {
			return nil, nil
		}
		if len(out) > 0 || err != nil {
			return out, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// read returns what there is now behind after.
func (f *feed) read(ctx context.Context, after string, limit int) ([]table.Change, error) {
	stream, err := f.client.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &f.arn})
	if err != nil {
		return nil, err
	}
	var out []table.Change
	for _, shard := range stream.StreamDescription.Shards {
		records, err := f.records(ctx, shard.ShardId)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			c, err := dynamotest.Change(r.Dynamodb)
			if err != nil {
				return nil, err
			}
			if c.Seq > after && len(out) < limit {
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// records returns all records of a shard.
func (f *feed) records(ctx context.Context, shard *string) ([]streamtypes.Record, error) {
	at, err := f.client.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
		StreamArn: &f.arn, ShardId: shard, ShardIteratorType: streamtypes.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return nil, err
	}
	var all []streamtypes.Record
	for next := at.ShardIterator; next != nil; {
		out, err := f.client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: next})
		if err != nil {
			return nil, err
		}
		if len(out.Records) == 0 {
			return all, nil
		}
		all, next = append(all, out.Records...), out.NextShardIterator
	}
	return all, nil
}
