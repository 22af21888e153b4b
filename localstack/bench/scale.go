package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bldst/localstack"
	"bldst/localstack/table"
	"bldst/shared/build"
	"bldst/shared/store"
	port "bldst/shared/table"
)

// fill stores builds number from to to-1 as the API would: each with its
// history, its place in the lists and in the counters, and its execution.
func fill(ctx context.Context, s *localstack.Stack, from, to int) error {
	st := store.New(s.Table)
	if err := each(from, to, func(i int) error {
		_, err := create(ctx, st, i)
		return err
	}); err != nil {
		return err
	}
	return settled(ctx, st, to)
}

// each calls f with the numbers from from to to-1, from as many goroutines as
// there are clients.
func each(from, to int, f func(i int) error) error {
	var next, failures atomic.Int64
	next.Store(int64(from))
	errs := make([]error, clients)
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for failures.Load() == 0 {
				i := int(next.Add(1)) - 1
				if i >= to {
					return
				}
				if errs[c] = f(i); errs[c] != nil {
					failures.Add(1)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func create(ctx context.Context, st *store.Store, i int) (*build.Build, error) {
	platforms := []string{"aws-commercial", "azure", "gcp", "openstack"}
	c, err := build.CreateIn{PlatformID: platforms[i%len(platforms)], OSVersionID: "rhel-9.3", ImageTypeID: "base", BuildNumber: fmt.Sprintf("bench-%d", i)}.Normalise()
	if err != nil {
		return nil, err
	}
	return st.CreateBuild(ctx, c)
}

// fillEnded stores builds that have ended into the folder of a stack that does
// not run: such builds need no execution, and the counters are brought up as
// relay does it.
func fillEnded(ctx context.Context, dir string, from, to int) error {
	t, err := table.Open(filepath.Join(dir, localstack.DataFile), table.Options{})
	if err != nil {
		return err
	}
	w := &written{Table: t}
	through, st := store.New(w), store.New(t)
	const atOnce = 1000
	for ; from < to && err == nil; from += atOnce {
		w.counted = map[port.Key]port.Change{}
		err = each(from, min(from+atOnce, to), func(i int) error { return ended(ctx, through, i) })
		if err == nil {
			err = st.Count(ctx, slices.Collect(maps.Values(w.counted)))
		}
	}
	return errors.Join(err, t.Close())
}

// ended stores one build that is completed.
func ended(ctx context.Context, st *store.Store, i int) error {
	b, err := create(ctx, st, i)
	if err != nil {
		return err
	}
	_, _, err = st.ChangeBuild(ctx, b.ID, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		return b.Advance(build.Report{At: build.LastState, How: build.Completed}, rules, now)
	})
	return err
}

// written is a table that remembers the last change of each row that is counted.
type written struct {
	port.Table
	mu      sync.Mutex
	counted map[port.Key]port.Change
}

func (w *written) Write(ctx context.Context, ops ...port.Op) error {
	if err := w.Table.Write(ctx, ops...); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, op := range ops {
		if store.Counted(op.Item.Key) {
			w.counted[op.Item.Key] = port.Change{Key: op.Item.Key, New: &op.Item}
		}
	}
	return nil
}

// settled waits until relay has counted n builds.
func settled(ctx context.Context, st *store.Store, n int) error {
	for deadline := time.Now().Add(15 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
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
	dir, err := os.MkdirTemp("", "bldst-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const small = 1000
	if err := onStack(ctx, dir, func(*localstack.Stack) error { return nil }); err != nil { // stores what builds refer to
		return err
	}
	before, err := profileOf(ctx, dir, runs, 0, small)
	if err != nil {
		return err
	}
	begin := time.Now()
	after, err := profileOf(ctx, dir, runs, small, builds)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "filled with %d builds and measured in %s\n", builds, time.Since(begin).Round(time.Second))
	for i, b := range before {
		note := fmt.Sprintf("(%.3g ms, then %.3g ms)", b.ms, after[i].ms)
		r.add(fmt.Sprintf("%s, p50 from %d to %d builds", b.name, small, builds), atMost(1.5, "x"), note, after[i].ms/b.ms)
	}
	return nil
}

// profileOf adds builds number from to to-1 to the folder and returns the
// profile of a stack on it.
func profileOf(ctx context.Context, dir string, runs, from, to int) ([]timing, error) {
	if err := fillEnded(ctx, dir, from, to); err != nil {
		return nil, err
	}
	var out []timing
	err := onStack(ctx, dir, func(s *localstack.Stack) (err error) {
		out, err = profile(s.URL, runs)
		return err
	})
	return out, err
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
