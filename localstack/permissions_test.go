package localstack_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"

	"bldst/localstack"
	"bldst/localstack/apitest"
	"bldst/localstack/gateway"
	engine "bldst/localstack/table"
	"bldst/shared/manifest"
	"bldst/shared/store"
	"bldst/shared/table"
	"bldst/shared/wire"
)

// A guard is the table as IAM lets a function use it: no emulator looks at
// dynamodb:LeadingKeys, and on AWS a prefix that the manifest lacks is a 500.
type guard struct {
	table.Table
	f manifest.Function

	mu    *sync.Mutex
	found map[string]bool
}

func (g guard) Get(ctx context.Context, keys ...table.Key) ([]*table.Item, error) {
	g.need(manifest.Get, "read")
	for _, k := range keys {
		g.use(k.PK)
	}
	return g.Table.Get(ctx, keys...)
}

func (g guard) Query(ctx context.Context, q table.Query) (table.Page, error) {
	g.need(manifest.Read, "query")
	if q.Index == 0 {
		g.use(q.PK)
	}
	return g.Table.Query(ctx, q)
}

func (g guard) Write(ctx context.Context, ops ...table.Op) error {
	g.need(manifest.Write, "write")
	for _, op := range ops {
		g.use(op.Item.PK)
	}
	return g.Table.Write(ctx, ops...)
}

func (g guard) need(a manifest.Access, verb string) {
	if g.f.Table < a {
		g.say("must not " + verb)
	}
}

func (g guard) use(pk string) {
	for _, prefix := range g.f.Keys {
		if strings.HasPrefix(pk, prefix) {
			return
		}
	}
	if len(g.f.Keys) > 0 {
		kind, _, _ := strings.Cut(pk, "#")
		g.say("uses the partitions " + kind + "#")
	}
}

func (g guard) say(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.found["function "+g.f.Name+" "+what] = true
}

func TestFunctionsUseTheTableOnlyAsTheManifestAllows(t *testing.T) {
	t.Parallel()
	e, err := engine.Open(filepath.Join(t.TempDir(), "table.db"), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if err := localstack.Seed(t.Context(), store.New(e)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	found := map[string]bool{}
	book := &logBook{}
	log := slog.New(slog.NewJSONHandler(book, nil))
	handlers := map[string]lambda.Handler{}
	for _, f := range manifest.All {
		p := wire.Ports{Table: guard{e, f, &mu, found}, Signer: testSigner, Log: log, Development: true}
		if h := localstack.Functions(p)[f.Name]; h != nil {
			handlers[f.Name] = h
		}
	}
	g, err := gateway.New(handlers, gateway.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	t.Run("suite", func(t *testing.T) {
		apitest.Run(t, apitest.Stack{URL: server.URL, Signer: testSigner, Log: book.String})
	})
	for what := range found {
		t.Errorf("%s; add it to its Keys or Table in shared/manifest, else IAM refuses on AWS", what)
	}
}
