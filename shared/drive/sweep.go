package drive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/store"
)

// A DueStore is what the sweep needs of the store beside a Store.
type DueStore interface {
	Store
	// Due returns the builds of a shard that are to be looked at by now, and
	// how to read on. It may lag.
	Due(ctx context.Context, shard int, cursor string) (ids []string, next string, err error)
}

// A Sweep finds the builds that the machine has forgotten: a limit passed and
// nobody noticed, an execution that was never started or is gone. It trusts
// nothing but the table.
type Sweep struct {
	Store   DueStore
	Machine Workflow
	Log     *slog.Logger
}

// A SweepReport says what a sweep has done.
type SweepReport struct {
	Looked  int `json:"looked"`  // at so many builds
	Ended   int `json:"ended"`   // failed, or cancelled, for silence
	Started int `json:"started"` // given another execution
	Errors  int `json:"errors"`
}

// Run looks at every build that is due. One it cannot deal with does not keep
// it from the others; the next sweep looks at it again.
func (s *Sweep) Run(ctx context.Context) (SweepReport, error) {
	var mu sync.Mutex
	var total SweepReport
	var errs []error
	var wg sync.WaitGroup
	for shard := range store.DueShards {
		wg.Go(func() {
			r, err := s.shard(ctx, shard)
			mu.Lock()
			defer mu.Unlock()
			total.add(r)
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return total, errors.Join(errs...)
}

func (r *SweepReport) add(o SweepReport) {
	r.Looked, r.Ended, r.Started, r.Errors = r.Looked+o.Looked, r.Ended+o.Ended, r.Started+o.Started, r.Errors+o.Errors
}

func (s *Sweep) shard(ctx context.Context, shard int) (SweepReport, error) {
	var r SweepReport
	var errs []error
	for cursor := ""; ; {
		ids, next, err := s.Store.Due(ctx, shard, cursor)
		if err != nil {
			return r, errors.Join(append(errs, fmt.Errorf("due builds of shard %d: %w", shard, err))...)
		}
		for _, id := range ids {
			if err := s.look(ctx, id, &r); err != nil {
				r.Errors++
				errs = append(errs, fmt.Errorf("build %s: %w", id, err))
				s.Log.Error("sweep: a build could not be looked at", "build_id", id, "error", err)
			}
		}
		if cursor = next; cursor == "" || ctx.Err() != nil {
			return r, errors.Join(errs...)
		}
	}
}

// look deals with one build whose time to be looked at has come.
func (s *Sweep) look(ctx context.Context, id string, r *SweepReport) error {
	var last *build.Driven
	ended, lost := false, false
	err := s.Store.Drive(ctx, id, func(d *build.Driven) error {
		last, ended, lost = d, false, false
		if d.Looks.IsZero() || d.Looks.After(d.Now) {
			return nil // the list lags: somebody else has looked
		}
		e, over, err := d.Overdue(d.Rules, d.Now)
		if over {
			d.Entry, ended = &e, true
		}
		if err != nil || over {
			return err
		}
		if lost = d.Lost(); lost {
			d.Driver.Release()
		}
		at := lookAgain(d, lost)
		d.LookAt = &at
		return nil
	})
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r.Looked++
	if ended {
		r.Ended++
		s.Log.Info("sweep: a build was ended", "build_id", id, "status", last.Status, "failure_class", last.FailureClass, "state_code", last.Current)
	}
	if !lost {
		return nil
	}
	r.Started++
	s.Log.Warn("sweep: nobody drives a build; another execution is started", "build_id", id, "status", last.Status, "previous", last.Driver.Previous)
	return start(ctx, s.Machine, last, fmt.Sprintf("s%d", last.Now.Unix()))
}

// lookAgain returns when to look at the build next, zero for never: soon when
// another execution is being started, in case that fails.
func lookAgain(d *build.Driven, lost bool) time.Time {
	at, ok := d.LookAgain(d.Rules, d.Now)
	soon := d.Now.Add(build.FirstLook)
	switch {
	case lost && (!ok || d.Status == build.Failed || soon.Before(at)):
		return soon
	case !ok:
		return time.Time{}
	default:
		return at
	}
}
