package localstack_test

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"bldst/localstack"
	"bldst/localstack/apitest"
	"bldst/shared/auth"
)

// testSigner signs the JWTs of stacks whose tests make JWTs of their own.
var testSigner = &auth.Signer{Current: "test", Keys: map[string][]byte{"test": []byte(strings.Repeat("test-key", 8))}}

// A logBook is a log that can be read while it is written.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func startStack(t *testing.T, o localstack.Options) apitest.Stack {
	t.Helper()
	book := &logBook{}
	o.Data, o.Signer, o.Log = t.TempDir(), testSigner, slog.New(slog.NewJSONHandler(book, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := localstack.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return apitest.Stack{URL: s.URL, Signer: testSigner, Log: book.String, Feed: true}
}

func TestTheAPI(t *testing.T) {
	s := startStack(t, localstack.Options{})
	t.Run("suite", func(t *testing.T) { apitest.Run(t, s) })
	if s.Log() == "" {
		t.Error("nothing was logged")
	}
	apitest.NoSecretIn(t, s.Log())
}

func TestTheAPIWithIndexesThatLag(t *testing.T) {
	s := startStack(t, localstack.Options{IndexLag: func() time.Duration { return time.Duration(rand.Int64N(int64(40 * time.Millisecond))) }})
	t.Run("suite", func(t *testing.T) { apitest.Run(t, s) })
}

func TestEveryEndpointAsksForItsScope(t *testing.T) {
	apitest.Authorization(t, startStack(t, localstack.Options{}))
}
