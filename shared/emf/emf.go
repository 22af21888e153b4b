// Package emf writes business metrics as lines of the log, in the embedded
// metric format of Amazon CloudWatch, which makes metrics of them. A line costs
// no call, and where there is no CloudWatch it is a line.
package emf

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"bldst/shared/build"
)

// Namespace is where the metrics are found, and Stage is their dimension.
const (
	Namespace = "bldst"
	Stage     = "Stage"
)

// The metrics of events, by what has happened: each counts 1. The feed may
// deliver a change twice, and then it counts twice: these are for alarms and
// curves, GET /metrics/resume has the exact numbers.
var Events = map[build.EventType]string{
	build.EventCreated:   "BuildsCreated",
	build.EventFailed:    "BuildsFailed",
	build.EventStalled:   "BuildsStalled",
	build.EventRecovered: "BuildsResumed",
	build.EventCompleted: "BuildsCompleted",
}

// MinutesSaved is the gauge of what all builds did not have to repeat, since
// the beginning.
const MinutesSaved = "MinutesSaved"

// A Log is where the lines go. A nil Log writes nothing.
type Log struct {
	stage string
	mu    sync.Mutex
	w     io.Writer
}

// New returns a log of stage on w.
func New(w io.Writer, stage string) *Log { return &Log{stage: stage, w: w} }

type directive struct {
	Timestamp int64    `json:"Timestamp"`
	Metrics   []series `json:"CloudWatchMetrics"`
}

type series struct {
	Namespace  string              `json:"Namespace"`
	Dimensions [][]string          `json:"Dimensions"`
	Metrics    []map[string]string `json:"Metrics"`
}

// Put writes the values at a time. A write that fails loses them, and nothing
// else.
func (l *Log) Put(at time.Time, values map[string]float64) {
	if l == nil || len(values) == 0 {
		return
	}
	s := series{Namespace: Namespace, Dimensions: [][]string{{Stage}}}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s.Metrics = append(s.Metrics, map[string]string{"Name": name})
	}
	line := map[string]any{"_aws": directive{at.UnixMilli(), []series{s}}, Stage: l.stage}
	for name, v := range values {
		line[name] = v
	}
	b, err := json.Marshal(line)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.w.Write(append(b, '\n'))
}

// A Publisher publishes events.
type Publisher interface {
	Publish(ctx context.Context, events []build.Event) error
}

// Counting returns next, with the events that it has published counted in l.
func (l *Log) Counting(next Publisher) Publisher {
	if l == nil {
		return next
	}
	return counting{l, next}
}

type counting struct {
	log  *Log
	next Publisher
}

func (c counting) Publish(ctx context.Context, events []build.Event) error {
	if err := c.next.Publish(ctx, events); err != nil {
		return err
	}
	counts := map[string]float64{}
	var at time.Time
	for _, e := range events {
		if name := Events[e.Type]; name != "" {
			counts[name]++
			at = e.Time
		}
	}
	c.log.Put(at, counts)
	return nil
}
