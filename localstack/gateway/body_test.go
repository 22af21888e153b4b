package gateway

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bldst/shared/problem"
)

func post(body io.Reader, length int64) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/builds", body)
	r.ContentLength = length
	return r
}

// A stalled is a body that has begun and does not go on.
type stalled struct{ at io.Reader }

func (s stalled) Read(p []byte) (int, error) {
	if n, err := s.at.Read(p); err == nil {
		return n, nil
	}
	panic("the rest of the body was waited for")
}

func TestALengthThatIsTooLargeIsRefusedUnread(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	_, _, err := newBodies().read(w, post(stalled{strings.NewReader("")}, MaxBody+1))
	if problem.From(err).Kind != problem.TooLarge || w.Header().Get("Connection") != "close" {
		t.Errorf("%v, header %v; want TooLarge, and the connection closed", err, w.Header())
	}
}

func TestLargeBodiesShareWhatThereIs(t *testing.T) {
	t.Parallel()
	b := newBodies()
	b.time = 0 // nobody waits
	large := bytes.Repeat([]byte("x"), MaxBody)
	if _, _, err := b.read(httptest.NewRecorder(), post(bytes.NewReader(large), MaxBody)); problem.From(err).Kind != problem.Unavailable {
		t.Errorf("after its time: %v, want Unavailable", err)
	}
	b.time = time.Hour
	var releases []func()
	for range together / MaxBody {
		body, release, err := b.read(httptest.NewRecorder(), post(bytes.NewReader(large), -1))
		if err != nil || !bytes.Equal(body, large) {
			t.Fatalf("%d bytes, error %v", len(body), err)
		}
		releases = append(releases, release)
	}
	b.time = 0
	if _, _, err := b.read(httptest.NewRecorder(), post(bytes.NewReader(large), -1)); problem.From(err).Kind != problem.Unavailable {
		t.Errorf("one more: %v, want Unavailable", err)
	}
	if body, _, err := b.read(httptest.NewRecorder(), post(strings.NewReader("{}"), -1)); err != nil || string(body) != "{}" {
		t.Errorf("a small one: %q, error %v; want it read", body, err)
	}
	for _, release := range releases {
		release()
	}
	b.time = time.Hour
	if _, release, err := b.read(httptest.NewRecorder(), post(bytes.NewReader(large), -1)); err != nil {
		t.Errorf("when they are answered: %v", err)
	} else {
		release()
	}
	if !b.room.TryAcquire(together) {
		t.Error("not all room was given back")
	}
}

func TestABodyThatDoesNotEndIsCutOff(t *testing.T) {
	t.Parallel()
	b := newBodies()
	b.time = time.Millisecond
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, release, err := b.read(w, r); err != nil {
			Refuse(w, "req-1", err)
		} else {
			release()
		}
	}))
	defer s.Close()
	for _, sent := range []string{"{", strings.Repeat("x", smallest+1)} {
		in, out := io.Pipe()
		go func() { _, _ = io.WriteString(out, sent) }()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, in)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !res.Close {
			t.Errorf("%d bytes of a body without an end: %d, header %v; want 503, and the connection closed", len(sent), res.StatusCode, res.Header)
		}
		_ = out.Close()
	}
}
