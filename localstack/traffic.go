package localstack

import (
	"net/http"
	"sync/atomic"
	"time"
)

// A traffic is the requests that are being served, for those who let them go
// first.
type traffic struct {
	open  atomic.Int64
	ended atomic.Int64 // Unix nanoseconds, the last one
}

// nextRequest is how soon a client that sends one request after the other sends the
// next.
const nextRequest = 2 * time.Millisecond

// counted counts the requests to next.
func (t *traffic) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.open.Add(1)
		defer func() {
			t.ended.Store(time.Now().UnixNano())
			t.open.Add(-1)
		}()
		next.ServeHTTP(w, r)
	})
}

// busy reports whether requests are being served, or the next is about to come.
func (t *traffic) busy() bool {
	return t.open.Load() > 0 || time.Since(time.Unix(0, t.ended.Load())) < nextRequest
}
