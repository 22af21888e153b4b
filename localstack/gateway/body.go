package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"bldst/shared/api"
	"bldst/shared/problem"

	"golang.org/x/sync/semaphore"
)

// Bodies are read before anybody knows who sends them, so strangers decide how
// much memory they take, and for how long, within these limits. A small body
// is always read; a larger one, from then on, needs its part of what all of
// them may have together, and waits for it as long as it may take.
const (
	MaxBody  = api.MaxBody      // bytes of a body; API Gateway would pass 10 MB on to a function that refuses them
	BodyTime = 8 * time.Second  // for a body to arrive; less than the grace of a stop
	smallest = 16 << 10         // bytes that every body may have
	together = 16 * api.MaxBody // bytes of all larger ones
)

// bodies reads the bodies of requests.
type bodies struct {
	room *semaphore.Weighted
	time time.Duration
}

func newBodies() *bodies { return &bodies{semaphore.NewWeighted(together), BodyTime} }

// read returns the body of r, and what gives its memory back when the request
// is answered. It returns TooLarge for one of more than MaxBody bytes, before
// it is read when its length says so, and Unavailable for one that did not
// arrive in time.
func (b *bodies) read(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	release = func() {}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, release, nil
	}
	if r.ContentLength > MaxBody {
		return nil, release, hangUp(w, tooLarge())
	}
	end := time.Now().Add(b.time)
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(end) // a recorder of a test has none
	first, err := io.ReadAll(io.LimitReader(r.Body, smallest))
	if err == nil && len(first) == smallest {
		first, release, err = b.rest(r, first, end)
	}
	if err != nil {
		release()
		return nil, func() {}, hangUp(w, readError(err))
	}
	_ = control.SetReadDeadline(time.Time{})
	return first, release, nil
}

// rest reads what follows the first bytes of a body.
func (b *bodies) rest(r *http.Request, first []byte, end time.Time) ([]byte, func(), error) {
	most := int64(MaxBody)
	if r.ContentLength > 0 {
		most = r.ContentLength
	}
	ctx, cancel := context.WithDeadline(r.Context(), end)
	defer cancel()
	if err := b.room.Acquire(ctx, most); err != nil {
		return nil, func() {}, err
	}
	release := func() { b.room.Release(most) }
	// Grown as bytes come: a length that is only claimed takes no memory.
	rest, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1-smallest))
	if len(first)+len(rest) > MaxBody {
		err = errTooLarge
	}
	return append(first, rest...), release, err
}

var errTooLarge = errors.New("body too large")

func readError(err error) error {
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return &problem.Problem{Kind: problem.Unavailable, RetryAfter: time.Second, Err: err,
			Detail: fmt.Sprintf("The body did not arrive within %d seconds; send it again.", int(BodyTime.Seconds()))}
	default:
		return problem.New(problem.Refused, "The body could not be read; send it again.")
	}
}

func tooLarge() error {
	return problem.New(problem.TooLarge, "The body is larger than %d bytes; store large data elsewhere and send its address.", MaxBody)
}

// hangUp makes the server close the connection after the answer, so that it
// does not read what is left of the body.
func hangUp(w http.ResponseWriter, err error) error {
	w.Header().Set("Connection", "close")
	return err
}
