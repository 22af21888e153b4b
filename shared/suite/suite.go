// Package suite holds the REST API to its contract: one set of tests over HTTP,
// run by every host of the handlers. It knows nothing of a host but its address,
// its log and the keys that sign JWTs. Every answer is checked against the
// OpenAPI document, every error for its shape, and in the end the log and all
// errors for the secrets that were used.
package suite

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bldst/shared/auth"
)

// A Stack is a running development stage that nobody has used yet: the seeded
// users, keys, reference rows, projects and builds are there, and nothing else.
type Stack struct {
	URL    string        // without a slash at its end
	Log    func() string // everything logged so far, at every level
	Signer *auth.Signer  // makes JWTs the stack accepts

	// Undriven says that no state machine drives the builds: none has an
	// execution, and no breaker opens.
	Undriven bool
}

// Run runs the suite on the stack that start returns; start registers with t
// how it is stopped.
func Run(t *testing.T, start func(t *testing.T) Stack) {
	stack := start(t)
	s := &session{Stack: stack, http: &http.Client{
		Timeout:       60 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}}
	t.Cleanup(s.http.CloseIdleConnections)
	s.admin, s.dev, s.reader = s.key("admin-key-99999"), s.key("dev-key-12345"), s.key("readonly-key-888")
	for _, name := range seedPasswords {
		s.secret(name)
	}
	t.Run("fresh", func(t *testing.T) { s.group(t, freshTests) })
	t.Run("api", func(t *testing.T) {
		for _, g := range groups {
			t.Run(g.name, func(t *testing.T) {
				t.Parallel()
				s.group(t, g.tests)
			})
		}
	})
	t.Run("no secret is in the log or in an error", s.noSecrets)
	t.Run("no error names internals", s.noInternals)
}

// A session is one run of the suite.
type session struct {
	Stack
	http               *http.Client
	admin, dev, reader caller // the documented keys

	mu      sync.Mutex
	secrets []string
	errors  []string // the bodies of errors
}

// A test is a function whose name in the list is a sentence.
type test struct {
	name string
	run  func(t *testing.T, s *session)
}

func (s *session) group(t *testing.T, tests []test) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, s)
		})
	}
}

// groups are the tests of the API, one list for each noun.
var groups = []struct {
	name  string
	tests []test
}{
	{"paths", pathTests}, {"contract", contractTests}, {"sign in", signInTests}, {"nouns", nounTests}, {"projects", projectTests},
	{"files", fileTests},
	{"state codes", codeTests}, {"resumable states", resumableTests}, {"builds", buildTests}, {"reports", reportTests}, {"words", wordTests}, {"input", inputTests}, {"failures", failureTests},
	{"history", historyTests}, {"bound credentials", boundTests}, {"artifacts", artifactTests}, {"variables", variableTests}, {"resume", resumeTests},
	{"jobs", jobTests}, {"fence", fenceTests}, {"users", userTests}, {"tokens", tokenTests}, {"dashboard", dashboardTests}, {"audit", auditTests},
	{"idempotency", onceTests}, {"at once", raceTests}, {"headers", headerTests}, {"pages", pageTests}, {"bad input", badInputTests}, {"authorization", authorizationTests},
}

// seedPasswords are the documented passwords of the development stage.
var seedPasswords = []string{"admin123", "user123", "readonly123", "testpass"}

// secret notes that v must never be logged or stand in an error.
func (s *session) secret(v string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append(s.secrets, v)
	return v
}

// newSecret returns a value nobody has used before.
func (s *session) newSecret() string { return s.secret("s3cret-" + random()) }

func (s *session) noSecrets(t *testing.T) {
	log := s.Log()
	if !strings.Contains(log, "request_id") {
		t.Fatal("the host's log has no line of a request; Stack.Log must return everything logged")
	}
	for _, v := range s.secrets {
		if at := strings.Index(log, v); at >= 0 {
			t.Errorf("the log holds the secret %q: ...%s", v, log[max(0, at-200):min(len(log), at+200)])
		}
		for _, body := range s.errors {
			if strings.Contains(body, v) {
				t.Errorf("an error holds the secret %q: %s", v, body)
			}
		}
	}
}

// internals are words of the implementation that no caller should see.
var internals = []string{"dynamodb", "bbolt", "goroutine", ".go:", "panic", "json: ", "Json: ", "Go struct", "Go value", "huma", "gsi1", "table:", "store:", "decode "}

func (s *session) noInternals(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range s.errors {
		_, body, _ := strings.Cut(e, ": ")
		for _, word := range internals {
			if strings.Contains(body, word) && !seen[word] {
				seen[word] = true // one is enough
				t.Errorf("an error says %q: %s", word, e)
			}
		}
	}
}

// random returns letters and digits nobody has used before.
func random() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// unique returns a name nobody has used before.
func unique(prefix string) string { return prefix + "-" + random() }

// patience is how long eventually waits: what follows from a change may take a
// while on a busy machine.
const patience = 60 * time.Second

// eventually repeats f until it returns "", and fails t with what it returns
// when that takes too long. Lists and counters follow changes in moments.
func eventually(t *testing.T, f func() string) {
	t.Helper()
	pause := time.Millisecond
	for end := time.Now().Add(patience); ; pause = min(2*pause, 100*time.Millisecond) {
		wrong := f()
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still after %v: %s", patience, wrong)
		}
		time.Sleep(pause)
	}
}
