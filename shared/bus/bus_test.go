package bus_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/bus"
	"bldst/shared/problem"
)

type request struct {
	Entries []struct{ Source, DetailType, Detail, EventBusName string }
}

func serve(t *testing.T, answer func(request) string) *bus.Bus {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") != "AWSEvents.PutEvents" {
			t.Errorf("target %q", r.Header.Get("X-Amz-Target"))
		}
		if a := r.Header.Get("Authorization"); !strings.HasPrefix(a, "AWS4-HMAC-SHA256 Credential=k/") || !strings.Contains(a, "/us-east-1/events/aws4_request") || !strings.Contains(a, "x-amz-target") {
			t.Errorf("not signed: %q", a)
		}
		b, _ := io.ReadAll(r.Body)
		var in request
		if err := json.Unmarshal(b, &in); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, answer(in))
	}))
	t.Cleanup(s.Close)
	return bus.Open(bus.Access{Region: "us-east-1", Endpoint: s.URL, KeyID: "k", Secret: "s"}, "images")
}

func TestPublishSendsTenEventsAtATime(t *testing.T) {
	t.Parallel()
	var sizes []int
	b := serve(t, func(in request) string {
		sizes = append(sizes, len(in.Entries))
		for _, e := range in.Entries {
			var detail build.Event
			if err := json.Unmarshal([]byte(e.Detail), &detail); err != nil || e.Source != "bldst" || e.DetailType != "build.failed" || detail.BuildID != "b1" || e.EventBusName != "images" {
				t.Errorf("entry %+v, %v", e, err)
			}
		}
		return `{"FailedEntryCount":0,"Entries":[]}`
	})
	event := build.EventOf(build.EventFailed, &build.Build{ID: "b1", Rev: 3, UpdatedAt: time.Unix(1, 0)})
	events := make([]build.Event, 12)
	for i := range events {
		events[i] = event
	}
	if err := b.Publish(t.Context(), events); err != nil || len(sizes) != 2 || sizes[0] != 10 || sizes[1] != 2 {
		t.Errorf("want calls of 10 and 2, got %v %v", sizes, err)
	}
}

func TestPublishFailsWhenAnEntryIsRefused(t *testing.T) {
	t.Parallel()
	b := serve(t, func(request) string { return `{"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException"}]}` })
	err := b.Publish(t.Context(), []build.Event{{ID: "x", Type: build.EventCreated}})
	if !problem.Is(err, problem.Unavailable) {
		t.Errorf("want unavailable, got %v", err)
	}
}

func TestPublishComesAgainWhenNobodyIsThere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		statuses []int
		want     problem.Kind
	}{
		"once":              {[]int{503, 200}, ""},
		"and is told later": {[]int{500, 503}, problem.Unavailable},
		"but not for input": {[]int{400}, problem.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.statuses[calls])
				calls++
				_, _ = io.WriteString(w, `{"FailedEntryCount":0}`)
			}))
			defer s.Close()
			err := bus.Open(bus.Access{Region: "us-east-1", Endpoint: s.URL, KeyID: "k", Secret: "s"}, "").Publish(t.Context(), []build.Event{{ID: "x"}})
			if err == nil && c.want != "" || err != nil && problem.From(err).Kind != c.want || calls != len(c.statuses) {
				t.Errorf("want %q after %d calls, got %v after %d", c.want, len(c.statuses), err, calls)
			}
		})
	}
}
