package emf_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/emf"
)

// publisher refuses when it has an error.
type publisher struct{ err error }

func (p publisher) Publish(context.Context, []build.Event) error { return p.err }

var at = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func events(types ...build.EventType) []build.Event {
	var out []build.Event
	for _, t := range types {
		out = append(out, build.Event{Type: t, Time: at})
	}
	return out
}

func TestPublishedEventsAreCountedInOneLine(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	p := emf.New(&log, "dev").Counting(publisher{})
	if err := p.Publish(t.Context(), events(build.EventFailed, build.EventFailed, build.EventCompleted, build.EventStateChanged)); err != nil {
		t.Fatal(err)
	}
	want := `{"BuildsCompleted":1,"BuildsFailed":2,"Stage":"dev","_aws":{"Timestamp":1772600767000,"CloudWatchMetrics":[` +
		`{"Namespace":"bldst","Dimensions":[["Stage"]],"Metrics":[{"Name":"BuildsCompleted"},{"Name":"BuildsFailed"}]}]}}` + "\n"
	if log.String() != want {
		t.Errorf("want %s\ngot  %s", want, log.String())
	}
}

func TestEventsThatAreNotPublishedAreNotCounted(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	refused := errors.New("refused")
	if err := emf.New(&log, "dev").Counting(publisher{refused}).Publish(t.Context(), events(build.EventFailed)); !errors.Is(err, refused) || log.Len() > 0 {
		t.Errorf("want the error and no line, got %v and %q", err, log.String())
	}
}

func TestEventsThatAreNoMetricWriteNothing(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	if err := emf.New(&log, "dev").Counting(publisher{}).Publish(t.Context(), events(build.EventStateChanged)); err != nil || log.Len() > 0 {
		t.Errorf("want no line, got %v and %q", err, log.String())
	}
}

func TestWhereThereIsNoLogNothingIsWritten(t *testing.T) {
	t.Parallel()
	var none *emf.Log
	none.Put(at, map[string]float64{emf.MinutesSaved: 1})
	if p := none.Counting(publisher{}); p != (publisher{}) {
		t.Errorf("want the publisher as it is, got %v", p)
	}
}
