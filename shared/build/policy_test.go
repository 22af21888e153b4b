package build_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bldst/shared/build"
	"bldst/shared/problem"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// failed is a build that failed, after so many automatic resumes of its class.
func failed(class build.Class, spent int) *build.Build {
	b := &build.Build{ID: "b1", Status: build.Failed, Attempt: spent + 1, FailureClass: class, StartTime: ptr(noon.Add(-time.Hour)), CreatedAt: noon.Add(-2 * time.Hour)}
	if spent > 0 {
		b.Decision = &build.Decision{Attempt: spent, Retries: map[build.Class]int{class: spent}}
	}
	return b
}

func TestDecide(t *testing.T) {
	t.Parallel()
	on, err := build.Policy{Automatic: true}.Normalise()
	if err != nil {
		t.Fatal(err)
	}
	short := on
	short.MaxTotal = 3600 + 59
	for name, c := range map[string]struct {
		policy  build.Policy
		b       *build.Build
		breaker *build.Breaker
		next    build.Step
		delay   int
		reason  string
	}{
		"without a policy a person resumes":         {build.DefaultPolicy(), failed(build.Transient, 0), nil, build.Await, 0, "resumes nothing automatically"},
		"the first transient failure is resumed":    {on, failed(build.Transient, 0), nil, build.Backoff, 60, "resume 1 of 3"},
		"the third one waits longer":                {on, failed(build.Transient, 2), nil, build.Backoff, 900, "resume 3 of 3"},
		"the fourth one is for a person":            {on, failed(build.Transient, 3), nil, build.Await, 0, "All 3"},
		"a quota is tried late":                     {on, failed(build.Quota, 1), nil, build.Backoff, 3600, "resume 2 of 3"},
		"a silent worker is replaced":               {on, failed(build.Stalled, 0), nil, build.Backoff, 60, "stalled"},
		"a persistent failure is for a person":      {on, failed(build.Persistent, 0), nil, build.Await, 0, "not resumed automatically"},
		"an unknown failure is for a person":        {on, failed("", 0), nil, build.Await, 0, "unknown"},
		"a stopped execution is for a person":       {on, failed(build.Aborted, 0), nil, build.Await, 0, "aborted"},
		"a slow state is for a person":              {on, failed(build.TimedOut, 0), nil, build.Await, 0, "timed_out"},
		"an open breaker is for a person":           {on, failed(build.Transient, 0), &build.Breaker{Open: true, Reason: "too many"}, build.Await, 0, "too many"},
		"a closed breaker does not matter":          {on, failed(build.Transient, 0), &build.Breaker{}, build.Backoff, 60, ""},
		"no resume that would begin after its time": {short, failed(build.Transient, 0), nil, build.Await, 0, "time for automatic resumes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.policy.Decide(c.b, c.breaker, noon)
			if got.Next != c.next || got.Delay != c.delay || !strings.Contains(got.Reason, c.reason) || got.Attempt != c.b.Attempt || got.At != noon {
				t.Errorf("want %s after %d s because %q, got %+v", c.next, c.delay, c.reason, got)
			}
		})
	}
}

func TestThePolicyThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	_, err := build.Policy{
		MaxTotal: -1, Breaker: &build.BreakerRule{Failures: 0, Within: 1},
		Classes: map[build.Class]build.ClassPolicy{"weather": {}, build.Quota: {Retries: 21, Backoff: []int{5, -5}}},
	}.Normalise()
	p := problem.From(err)
	var got []string
	for _, f := range p.Fields {
		var loc []string
		for _, l := range f.Loc {
			if s, ok := l.(string); ok {
				loc = append(loc, s)
			}
		}
		got = append(got, strings.Join(loc, "."))
	}
	want := []string{"body.breaker.failures", "body.breaker.within_seconds", "body.classes.quota.backoff_seconds", "body.classes.quota.retries",
		"body.classes.weather", "body.max_total_seconds"}
	if d := cmp.Diff(want, got); d != "" || p.Kind != problem.Invalid {
		t.Errorf("-want +got:\n%s%v", d, p)
	}
}

func TestAPolicyKeepsTheDefaultsOfWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	got, err := build.Policy{Automatic: true, Classes: map[build.Class]build.ClassPolicy{build.Quota: {Retries: 0}, build.Unknown: {Retries: 1, Backoff: []int{5}}}}.Normalise()
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Classes) != len(build.Classes) || got.Classes[build.Quota].Retries != 0 || got.Classes[build.Unknown].Backoff[0] != 5 ||
		got.Classes[build.Transient].Retries != 3 || *got.Breaker != build.DefaultBreaker {
		t.Errorf("got %+v", got)
	}
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	rule := build.BreakerRule{Failures: 3, Within: 60}
	fail := func(seconds ...int) *build.Breaker {
		k := build.NewBreaker(&build.Build{ProjectID: "p", PlatformID: "aws"})
		for _, s := range seconds {
			k.Count(rule, &build.Build{ID: "b", FailureClass: build.Transient}, noon.Add(time.Duration(s)*time.Second))
		}
		return k
	}
	for name, c := range map[string]struct {
		k    *build.Breaker
		open bool
	}{
		"two failures do not open it":           {fail(0, 1), false},
		"three within the time open it":         {fail(0, 30, 59), true},
		"three that are far apart do not":       {fail(0, 30, 61), false},
		"more failures leave it open":           {fail(0, 1, 2, 3, 4), true},
		"it does not close by itself with time": {fail(0, 1, 2, 9999), true},
	} {
		if c.k.Open != c.open {
			t.Errorf("%s: open is %v: %+v", name, c.k.Open, c.k)
		}
	}
	k := fail(0, 1, 2)
	k.Count(rule, &build.Build{FailureClass: build.Aborted}, noon)
	if len(k.Failures) != 3 || k.ID != "p~aws~~" {
		t.Errorf("a stopped execution counts, or the line is wrong: %+v", k)
	}
	if k.Close("ann", noon.Add(time.Second)) && !k.Open {
		t.Error("closed by a success before it opened")
	}
	if !k.Close("ann", noon.Add(time.Minute)) || k.Open || k.ClosedBy != "ann" || len(k.Failures) != 0 {
		t.Errorf("not closed: %+v", k)
	}
	if k.Close("bob", noon.Add(time.Hour)) {
		t.Error("closed twice")
	}
}
