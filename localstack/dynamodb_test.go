//go:build dynamodb

package localstack_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"testing"

	"bldst/localstack"
	"bldst/localstack/apitest"
	"bldst/localstack/gateway"
	"bldst/shared/id"
	"bldst/shared/store"
	"bldst/shared/table/dynamo"
	"bldst/shared/wire"
)

// The API's own tests on a real DynamoDB engine; see .ci/dynamodb-local.
func TestTheAPIOnDynamoDB(t *testing.T) {
	endpoint := os.Getenv("BLDST_TEST_DYNAMODB")
	if endpoint == "" {
		t.Fatal("BLDST_TEST_DYNAMODB names no engine; run make test-dynamodb")
	}
	client := dynamo.Client(dynamo.Access{Region: "us-east-1", Endpoint: endpoint, KeyID: "local", Secret: "local"})
	name := "api-" + id.New()
	if err := dynamo.CreateTable(t.Context(), client, name); err != nil {
		t.Fatal(err)
	}
	st := store.New(dynamo.New(client, name))
	for _, seed := range []func(context.Context) error{st.SeedIdentity, func(ctx context.Context) error { return st.SeedReference(ctx, true) }, st.SeedBuilds} {
		if err := seed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	book := &logBook{}
	log := slog.New(slog.NewJSONHandler(book, nil))
	p := wire.Ports{Table: st.Table, Signer: testSigner, Log: log, Development: true}
	g, err := gateway.New(localstack.Functions(p), gateway.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	defer server.Close()
	t.Run("suite", func(t *testing.T) {
		apitest.Run(t, apitest.Stack{URL: server.URL, Signer: testSigner, Log: book.String})
	})
	apitest.NoSecretIn(t, book.String())
}
