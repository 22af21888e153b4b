package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"bldst/shared/outbound"
)

func TestWhatTheListenerIsSent(t *testing.T) {
	t.Parallel()
	const body = `{"request_id":"r-1","build_id":"b-1","resume_from_state":60,"attempt":2,"resume_targets":["eu","us"]}`
	now := time.Now()
	for name, c := range map[string]struct {
		body, header string
		want         int
	}{
		"a signed resume":                  {body, outbound.Sign("secret", now, []byte(body)), http.StatusAccepted},
		"one without a signature":          {body, "", http.StatusUnauthorized},
		"one with another secret":          {body, outbound.Sign("other", now, []byte(body)), http.StatusUnauthorized},
		"one with another body":            {body + " ", outbound.Sign("secret", now, []byte(body)), http.StatusUnauthorized},
		"an old one":                       {body, outbound.Sign("secret", now.Add(-time.Hour), []byte(body)), http.StatusUnauthorized},
		"something else that is signed":    {`{}`, outbound.Sign("secret", now, []byte(`{}`)), http.StatusBadRequest},
		"an id that leads out of its jobs": {`{"request_id":"../x","build_id":"b"}`, outbound.Sign("secret", now, []byte(`{"request_id":"../x","build_id":"b"}`)), http.StatusInternalServerError},
	} {
		l := newListener(t, "true")
		if w := send(l, c.body, c.header); w.Code != c.want {
			t.Errorf("%s: want %d, got %d %s", name, c.want, w.Code, w.Body)
		}
	}
}

func TestAWebhookThatComesTwiceStartsOneJob(t *testing.T) {
	t.Parallel()
	l := newListener(t, "sh", "-c", "echo $BUILD_ID $RESUME_MODE $RESUME_FROM_STATE $ATTEMPT $RESUME_TARGETS; exit 3")
	const body = `{"request_id":"r-1","build_id":"b-1","resume_from_state":60,"attempt":2,"resume_targets":["eu","us"]}`
	for range 2 {
		w := send(l, body, outbound.Sign(l.secret, time.Now(), []byte(body)))
		if want := `{"job_id":"r-1","job_url":"http://ci.example/jobs/r-1"}`; w.Code != http.StatusAccepted || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("want 202 %s, got %d %s", want, w.Code, w.Body)
		}
	}
	l.running.Wait()
	f, err := l.jobs.Open("r-1")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, _ := io.ReadAll(f); string(got) != "b-1 true 60 2 eu,us\njob: exit status 3\n" {
		t.Errorf("the job wrote %q", got)
	}
}

func newListener(t *testing.T, command ...string) *listener {
	t.Helper()
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{secret: "secret", address: "ci.example", command: command, jobs: dir}
	t.Cleanup(func() {
		l.running.Wait()
		_ = dir.Close()
	})
	return l
}

func send(l *listener, body, signature string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/resume", strings.NewReader(body))
	r.Header.Set("Bldst-Signature", signature)
	w := httptest.NewRecorder()
	l.receive(w, r)
	return w
}
