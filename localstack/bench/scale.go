package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"bldst/localstack"
	"bldst/shared/build"
	"bldst/shared/store"
)

// fill stores builds number from to to-1 as the API would: each with its
// history, its place in the lists and in the counters. Those that have ended
// need no execution.
func fill(ctx context.Context, s *localstack.Stack, from, to int, ended bool) error {
	st := store.New(s.Table)
	platforms := []string{"aws-commercial", "azure", "gcp", "openstack"}
	work := make(chan int)
	errs := make(chan error, clients)
	for range clients {
		go func() {
			var err error
			for i := range work {
				if err != nil {
					continue
				}
				c, e := build.CreateIn{PlatformID: platforms[i%len(platforms)], OSVersionID: "rhel-9.3", ImageTypeID: "base", BuildNumber: fmt.Sprintf("bench-%d", i)}.Normalise()
				var b *build.Build
				if e == nil {
					b, e = st.CreateBuild(ctx, c)
				}
				if e == nil && ended {
					e = end(ctx, st, b.ID)
				}
				err = e
			}
			errs <- err
		}()
	}
	for i := from; i < to; i++ {
		work <- i
	}
	close(work)
	for range clients {
		if err := <-errs; err != nil {
			return err
		}
	}
	return settled(ctx, st, to)
}

// end completes a build.
func end(ctx context.Context, st *store.Store, id string) error {
	_, _, err := st.ChangeBuild(ctx, id, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		return b.Advance(build.Report{At: build.LastState, How: build.Completed}, rules, now)
	})
	return err
}

// settled waits until relay has counted n builds.
func settled(ctx context.Context, st *store.Store, n int) error {
	for deadline := time.Now().Add(time.Hour); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		sum, err := st.Summary(ctx)
		if err != nil {
			return err
		}
		if sum.TotalBuilds >= n {
			return nil
		}
	}
	return fmt.Errorf("relay did not count %d builds in time", n)
}

// benchScale measures how much slower calls become from 1,000 builds to many.
func benchScale(ctx context.Context, r *report, runs, builds int) error {
	return withStack(ctx, func(s *localstack.Stack) error {
		const small = 1000
		if err := fill(ctx, s, 0, small, true); err != nil {
			return err
		}
		before, err := profile(s.URL, runs)
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := fill(ctx, s, small, builds, true); err != nil {
			return err
		}
		fmt.Fprintf(r.out, "filled with %d builds in %s\n", builds, time.Since(begin).Round(time.Second))
		after, err := profile(s.URL, runs)
		if err != nil {
			return err
		}
		for i, b := range before {
			note := fmt.Sprintf("(%.3g ms, then %.3g ms)", b.ms, after[i].ms)
			r.add(fmt.Sprintf("%s, p50 from %d to %d builds", b.name, small, builds), atMost(1.5, "x"), note, after[i].ms/b.ms)
		}
		return nil
	})
}

type timing struct {
	name string
	ms   float64
}

// profile returns the median p50 of the calls that must not grow.
func profile(url string, runs int) ([]timing, error) {
	id, err := newBuild(url)
	if err != nil {
		return nil, err
	}
	walk, err := reports(url, 1)
	if err != nil {
		return nil, err
	}
	fixed := func(path string) func(int, int) []byte {
		req := request("GET", path, "")
		return func(int, int) []byte { return req }
	}
	calls := []struct {
		name string
		next func(c, i int) []byte
	}{
		{"GET build", fixed("/builds/" + id)},
		{"POST state", walk},
		{"list newest 100", fixed("/builds?limit=100")},
		{"dashboard summary", fixed("/dashboard/summary")},
	}
	var out []timing
	for _, call := range calls {
		var p50 []float64
		for range runs + 1 {
			s, err := drive(url, 1, 400, http.StatusOK, call.next)
			if err != nil {
				return nil, err
			}
			p50 = append(p50, float64(s.p50)/float64(time.Millisecond))
		}
		out = append(out, timing{call.name, median(p50[1:])})
	}
	return out, nil
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}
