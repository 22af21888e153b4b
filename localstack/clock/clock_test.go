package clock_test

import (
	"slices"
	"testing"
	"time"

	"bldst/localstack/clock"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestAdvanceStopsAtEveryTimerAndAtTheEnd(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(noon)
	hour, minute := fake.At(noon.Add(time.Hour)), fake.At(noon.Add(time.Minute))
	var seen []time.Duration
	fake.OnStep(func() { seen = append(seen, fake.Now().Sub(noon)) })
	fake.Advance(2 * time.Hour)
	<-minute.C()
	<-hour.C()
	want := []time.Duration{0, time.Minute, time.Hour}
	if !slices.Equal(want, seen) || !fake.Now().Equal(noon.Add(2*time.Hour)) {
		t.Errorf("want steps %v and 14:00, got %v and %s", want, seen, fake.Now())
	}
}

func TestATimerThatIsSetByAStepFiresInTheSameAdvance(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(noon)
	first := fake.At(noon.Add(time.Second))
	var second clock.Timer
	fake.OnStep(func() {
		if second == nil && fake.Now().After(noon) {
			second = fake.At(noon.Add(2 * time.Second))
		}
	})
	fake.Advance(time.Minute)
	<-first.C()
	<-second.C()
}

func TestAPastTimerFiresAtOnceAndAStoppedOneNever(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(noon)
	<-fake.At(noon).C()
	<-clock.Real{}.At(time.Now().Add(-time.Hour)).C()
	stopped := fake.At(noon.Add(time.Second))
	stopped.Stop()
	fake.Advance(time.Hour)
	select {
	case <-stopped.C():
		t.Error("a stopped timer fired")
	default:
	}
}
