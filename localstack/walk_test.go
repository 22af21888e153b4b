package localstack_test

import (
	"bytes"
	"strings"
	"sync"

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
