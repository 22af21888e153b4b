//go:build dynamodb

package localstack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"bldst/localstack"
	"bldst/localstack/gateway"
	"bldst/localstack/objects"
	"bldst/shared/build"
	"bldst/shared/id"
	"bldst/shared/store"
	"bldst/shared/suite"
	"bldst/shared/table"
	"bldst/shared/table/dynamo"
	"bldst/shared/table/dynamo/dynamotest"
	"bldst/shared/table/stream"
	"bldst/shared/wire"
)

// The suite on a real DynamoDB engine, with relay fed by its stream; see
// .ci/dynamodb-local. No state machine drives the builds.
func TestTheAPIKeepsItsContractOnDynamoDB(t *testing.T) {
	endpoint := os.Getenv("BLDST_TEST_DYNAMODB")
	if endpoint == "" {
		t.Fatal("BLDST_TEST_DYNAMODB names no engine; run make test-dynamodb")
	}
	access := dynamo.Access{Region: "us-east-1", Endpoint: endpoint, KeyID: "local", Secret: "local"}
	client, name := dynamo.Client(access), "suite-"+id.New()
	if err := dynamo.CreateTable(t.Context(), client, name); err != nil {
		t.Fatal(err)
	}
	st := store.New(dynamo.New(client, name))
	if err := localstack.Seed(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	log := &output{}
	p := wire.Ports{Table: st.Table, Signer: testSigner, Development: true, Origins: []string{"*"},
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	bucket, err := objects.Open(t.TempDir(), "http://"+server.Listener.Addr().String(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	p.Bucket = bucket
	g, err := gateway.New(localstack.Functions(func(string) wire.Ports { return p }), gateway.Options{Log: p.Log})
	if err != nil {
		t.Fatal(err)
	}
	follow(t, access, client, name, wire.Relay(p, idle{}, idle{}))
	suite.Run(t, func(t *testing.T) suite.Stack {
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a ServeMux would redirect
			if strings.HasPrefix(r.URL.Path, objects.Path) {
				bucket.ServeHTTP(w, r)
			} else {
				g.ServeHTTP(w, r)
			}
		})
		server.Start()
		return suite.Stack{URL: server.URL, Log: log.String, Signer: testSigner, Undriven: true}
	})
}

// An idle workflow starts executions that wait for ever, and publishes to
// nobody.
type idle struct{}

func (idle) Start(_ context.Context, name string, _ any) (string, bool, error) {
	return localstack.MachineARN + ":" + name, true, nil
}
func (idle) Succeed(context.Context, string, any) (bool, error) { return false, nil }
func (idle) Fail(context.Context, string, string, string) (bool, error) {
	return false, nil
}
func (idle) Beat(context.Context, string) (bool, error)     { return false, nil }
func (idle) Status(context.Context, string) (string, error) { return "RUNNING", nil }
func (idle) Stop(context.Context, string, string) error     { return nil }
func (idle) Publish(context.Context, []build.Event) error   { return nil }

// follow hands the changes of the table to the function until t ends, as the
// event source mapping of a stream does.
func follow(t *testing.T, a dynamo.Access, client *dynamodb.Client, name string, relay lambda.Handler) {
	t.Helper()
	out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{arn: *out.Table.LatestStreamArn, relay: relay, at: map[string]*string{},
		client: dynamodbstreams.New(dynamodbstreams.Options{Region: a.Region, Credentials: a, BaseEndpoint: &a.Endpoint})}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			n, err := f.step(ctx)
			if err != nil && ctx.Err() == nil {
				t.Errorf("stream: %v", err)
				return
			}
			if n == 0 {
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

// A follower reads all shards of a stream from their beginning on.
type follower struct {
	client *dynamodbstreams.Client
	arn    string
	relay  lambda.Handler
	at     map[string]*string // where it is in each shard
}

// step delivers what there is and returns how many changes that were.
func (f *follower) step(ctx context.Context) (int, error) {
	s, err := f.client.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &f.arn})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, shard := range s.StreamDescription.Shards {
		at, known := f.at[*shard.ShardId]
		if !known {
			it, err := f.client.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{StreamArn: &f.arn, ShardId: shard.ShardId, ShardIteratorType: streamtypes.ShardIteratorTypeTrimHorizon})
			if err != nil {
				return n, err
			}
			at = it.ShardIterator
		}
		if at == nil {
			continue
		}
		out, err := f.client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: at})
		if err != nil {
			return n, err
		}
		if err := f.deliver(ctx, out.Records); err != nil {
			return n, err
		}
		f.at[*shard.ShardId] = out.NextShardIterator
		n += len(out.Records)
	}
	return n, nil
}

func (f *follower) deliver(ctx context.Context, records []streamtypes.Record) error {
	var changes []table.Change
	for _, r := range records {
		c, err := dynamotest.Change(r.Dynamodb)
		if err != nil {
			return err
		}
		if store.FeedsRelay(c.Key) {
			changes = append(changes, c)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	payload, err := json.Marshal(stream.Event(changes))
	if err != nil {
		return err
	}
	answer, err := f.relay.Invoke(ctx, payload)
	if err != nil {
		return err
	}
	if string(answer) != `{"batchItemFailures":null}` && string(answer) != `{"batchItemFailures":[]}` {
		return fmt.Errorf("relay answers %s", answer)
	}
	return nil
}
