package localstack

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"bldst/localstack/states"
)

// An accessLog writes a line for every request, for the person at the terminal:
// when, what, with which outcome, how long, and the id by which the answer is
// found again. A query may hold what is nobody's business and is left out.
type accessLog struct {
	next http.Handler
	now  func() time.Time

	mu  sync.Mutex
	out io.Writer
}

// longestPath is how much of a path is written.
const longestPath = 200

// ServeHTTP implements http.Handler. What the system asks its own state
// machine is no request of anybody.
func (l *accessLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("X-Amz-Target"), states.Target) {
		l.next.ServeHTTP(w, r)
		return
	}
	begin := time.Now()
	path := r.URL.EscapedPath() // before a handler changes it
	rec := &answered{ResponseWriter: w}
	l.next.ServeHTTP(rec, r)
	if len(path) > longestPath {
		path = path[:longestPath] + "..."
	}
	took := float64(time.Since(begin).Microseconds()) / 1000
	line := fmt.Sprintf("%s %d %s %s %.1fms %s\n", l.now().Format(time.TimeOnly), rec.status, r.Method, path, took, w.Header().Get("X-Request-Id"))
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = io.WriteString(l.out, line) // nobody to tell
}

// An answered remembers the status of an answer.
type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
