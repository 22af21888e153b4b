package localstack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	embedded "bldst/localstack/table"
	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/store"
	"bldst/shared/table"
	"bldst/shared/wire"
)

// A register is what the record of a build is to its callers.
type register struct {
	build.Stand
	Revision int64
	done     [build.LastState + 1]bool // in this attempt
}

// seen reports whether an answer shows the register as it is.
func (r register) seen(out register) bool { return r.Stand == out.Stand && r.Revision == out.Revision }

// An asked is one call; with Read it only looks.
type asked struct {
	Read    bool
	Code    int
	Status  build.Status
	Attempt int // 0: not said
}

// An answered is what came of it. An unknown one may have been carried out or
// not, then or later.
type answered struct {
	Status  int
	Unknown bool
	Now     register // with 200
}

// after is the register after the call was carried out on r, and the status it
// is answered with.
func (in asked) after(r register) (register, int) {
	switch {
	case in.Read:
		return r, 200
	case in.Attempt != 0 && in.Attempt < r.Attempt:
		return r, 409
	case in.Attempt > r.Attempt:
		return r, 422
	}
	r.Revision++
	if r.Status == build.Failed && in.Status != build.Failed {
		if in.Attempt != 0 { // it is kept
			return r, 409
		}
		r.Attempt++
		r.done = [build.LastState + 1]bool{}
	} else if in.Status != build.Failed && (r.done[in.Code] && r.State >= in.Code) {
		return r, 200 // it comes late, or twice
	} else if in.Status == build.Completed && in.Code < r.State && r.Status == build.InProgress {
		r.done[in.Code] = true // it has been left behind
		return r, 200
	}
	r.State, r.Status, r.done[in.Code] = in.Code, in.Status, in.Status == build.Completed
	if in.Status == build.Completed {
		r.Status = build.InProgress
	}
	return r, 200
}

// record is the model of the record of one build.
var record = porcupine.NondeterministicModel{
	Init: func() []any {
		return []any{register{Stand: build.Stand{Status: build.Pending, Attempt: 1}, Revision: 1}}
	},
	Step: func(state, input, output any) []any {
		r, in, out := state.(register), input.(asked), output.(answered)
		next, status := in.after(r)
		switch {
		case out.Unknown && next == r:
			return []any{r}
		case out.Unknown:
			return []any{r, next}
		case out.Status == 503:
			return []any{r} // it says that nothing was changed
		case out.Status != status || status == 200 && !next.seen(out.Now):
			return nil
		}
		return []any{next}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

var errLost = errors.New("the connection was reset")

// A flaky table does some writes and then says that it does not know.
type flaky struct {
	table.Table
	fails func() bool
}

func (f flaky) Write(ctx context.Context, ops ...table.Op) error {
	err := f.Table.Write(ctx, ops...)
	if err == nil && f.fails() {
		return &problem.Problem{Kind: problem.Unavailable, Detail: "Nobody knows", Err: errLost}
	}
	return err
}

// A chance is true now and then, from a seed.
type chance struct {
	sync.Mutex
	*rand.Rand
	on atomic.Bool
}

func (c *chance) one(in int) bool {
	c.Lock()
	defer c.Unlock()
	return c.on.Load() && c.IntN(in) == 0
}

// A linear is a record under test.
type linear struct {
	t     *testing.T
	h     http.Handler
	id    string
	begin time.Time
}

func newLinear(t *testing.T, c *chance) *linear {
	t.Helper()
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "t.db"), embedded.Options{BeforeCommit: func() error {
		if c.one(12) {
			return errors.New("the disk is full")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	st := store.New(engine)
	for _, seed := range []func(context.Context) error{st.SeedIdentity, func(ctx context.Context) error { return st.SeedReference(ctx, true) }} {
		if err := seed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b, err := st.CreateBuild(t.Context(), must(build.CreateIn{PlatformID: "aws-commercial"}.Normalise()))
	if err != nil {
		t.Fatal(err)
	}
	p := wire.Ports{Table: flaky{engine, func() bool { return c.one(12) }}, Signer: testSigner, Log: slog.New(slog.DiscardHandler), Development: true}
	return &linear{t: t, h: wire.Builds(p), id: b.ID, begin: time.Now()}
}

// do makes one call. With a key it is made again, with the same key, as long as
// nobody knows what has become of it.
func (l *linear) do(in asked, key string) (out answered) {
	for range 8 {
		if out = l.once(in, key); !out.Unknown || key == "" {
			return out
		}
	}
	return out
}

func (l *linear) once(in asked, key string) answered {
	method, path, body := "GET", "/builds/"+l.id, ""
	if !in.Read {
		doc := doc{"state_code": in.Code, "status": in.Status}
		if in.Attempt > 0 {
			doc["attempt"] = in.Attempt
		}
		b, _ := json.Marshal(doc)
		method, path, body = "POST", path+"/state", string(b)
	}
	r := httptest.NewRequestWithContext(l.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("X-API-Key", "dev-key-12345")
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	l.h.ServeHTTP(w, r)
	var answer struct {
		CurrentState int          `json:"current_state"`
		Status       build.Status `json:"status"`
		BuildStatus  build.Status `json:"build_status"`
		Attempt      int          `json:"attempt"`
		Revision     int64        `json:"revision"`
	}
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	if answer.BuildStatus != "" {
		answer.Status = answer.BuildStatus
	}
	known := w.Code < 500 || w.Code == 503 && strings.Contains(w.Body.String(), "nothing was changed")
	return answered{Status: w.Code, Unknown: !known, Now: register{Stand: build.Stand{State: answer.CurrentState, Status: answer.Status, Attempt: answer.Attempt}, Revision: answer.Revision}}
}

// client makes n calls, one after the other, and returns what came of them.
func (l *linear) client(number, n int, rnd *rand.Rand) []porcupine.Operation {
	var ops []porcupine.Operation
	attempt := 1
	for i := range n {
		in := asked{Read: rnd.IntN(4) == 0}
		key := ""
		if !in.Read {
			in.Code = 5 * (1 + rnd.IntN(19))
			in.Status = []build.Status{build.InProgress, build.InProgress, build.Completed, build.Failed}[rnd.IntN(4)]
			in.Attempt = []int{0, attempt, attempt, max(0, attempt-1), attempt + 1}[rnd.IntN(5)]
			if rnd.IntN(2) == 0 {
				key = fmt.Sprintf("%d-%d", number, i)
			}
		}
		op := porcupine.Operation{ClientId: number, Input: in, Call: int64(time.Since(l.begin))}
		out := l.do(in, key)
		op.Output, op.Return = out, int64(time.Since(l.begin))
		if out.Unknown {
			op.Return = int64(time.Hour) // whenever
		}
		if out.Now.Attempt > 0 {
			attempt = out.Now.Attempt
		}
		ops = append(ops, op)
	}
	return ops
}

func TestTheRecordOfABuildIsLinearizable(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &chance{Rand: rand.New(rand.NewPCG(seed, 0))}
	l := newLinear(t, c)
	c.on.Store(true)
	const clients, calls = 6, 30
	all := make([][]porcupine.Operation, clients)
	var wg sync.WaitGroup
	for i := range clients {
		rnd := rand.New(rand.NewPCG(seed, uint64(i+1)))
		wg.Go(func() { all[i] = l.client(i, calls, rnd) })
	}
	wg.Wait()
	c.on.Store(false)
	history := l.client(clients, 1, rand.New(rand.NewPCG(seed, 99)))
	unknown, done := 0, 0
	for _, ops := range all {
		for _, op := range ops {
			if op.Output.(answered).Unknown {
				unknown++
			} else if op.Output.(answered).Status == 200 {
				done++
			}
		}
		history = append(history, ops...)
	}
	t.Logf("%d calls, %d carried out, %d unknown", len(history), done, unknown)
	if got := porcupine.CheckOperationsTimeout(record.ToModel(), history, 30*time.Second); got != porcupine.Ok {
		t.Errorf("no order of the calls explains their answers: %s", got)
		for _, op := range history {
			t.Logf("%d %10d-%10d %s", op.ClientId, op.Call, op.Return, record.DescribeOperation(op.Input, op.Output))
		}
	}
}
