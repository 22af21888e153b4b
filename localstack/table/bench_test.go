package table_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/table"
)

var million = flag.Bool("million", false, "run BenchmarkMillion")

// post returns the writes of a POST /builds: the build and its number lock.
func post(n int64) []table.Op {
	id := fmt.Sprintf("%016x-%016x", n, n*7919)
	doc := []byte(`{"id":"` + id + `","pad":"` + strings.Repeat("x", 700) + `"}`)
	created := fmt.Sprintf("build#%020d", n)
	return []table.Op{
		table.PutOp(table.Item{
			Key: table.Key{PK: "build#" + id, SK: "a"}, Rev: 1, Doc: doc,
			Index: [2]table.IndexKey{{PK: "build", SK: created}, {PK: fmt.Sprintf("project#%d", n%10), SK: created}},
		}, table.Cond{Kind: table.Absent}),
		table.PutOp(table.Item{Key: table.Key{PK: "build#=" + id, SK: "a"}, Rev: 1, Doc: []byte(`{"id":"` + id + `"}`)}, table.Cond{Kind: table.Absent}),
	}
}

func openBench(b *testing.B) *embedded.Table {
	return open(b, filepath.Join(b.TempDir(), "table.db"), embedded.Options{Feed: true})
}

func BenchmarkWrite1(b *testing.B)  { benchmarkWrite(b, 1) }
func BenchmarkWrite64(b *testing.B) { benchmarkWrite(b, 64) }

func benchmarkWrite(b *testing.B, clients int) {
	t := openBench(b)
	consume(b, t)
	took := make([][]time.Duration, clients)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for c := range clients {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				start := time.Now()
				if err := t.Write(b.Context(), post(n)...); err != nil {
					b.Error(err)
					return
				}
				took[c] = append(took[c], time.Since(start))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	report(b, slices.Concat(took...))
}

// consume acknowledges every change, as the relay does.
func consume(b *testing.B, t *embedded.Table) {
	c, err := t.Consumer("relay")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for {
			changes, err := t.Changes(b.Context(), c.Cursor(), 1000)
			if err != nil || len(changes) == 0 {
				return
			}
			c.Ack(changes[len(changes)-1].Seq)
		}
	}()
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkMillion fills a table with a million builds of four items and
// reads single builds and pages of it. It takes minutes and runs only when
// asked for: -bench Million -args -million.
func BenchmarkMillion(b *testing.B) {
	if !*million {
		b.Skip("run with -args -million")
	}
	const builds = 1_000_000
	path := filepath.Join(b.TempDir(), "table.db")
	t := open(b, path, embedded.Options{Feed: true})
	consume(b, t)
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range 64 {
		wg.Go(func() {
			for n := next.Add(1); n <= builds; n = next.Add(1) {
				ops := post(n)
				for s := range 2 {
					k := table.Key{PK: ops[0].Item.PK, SK: fmt.Sprintf("s#%06d", s)}
					ops = append(ops, table.PutOp(table.Item{Key: k, Doc: []byte(`{"status":"completed"}`)}, table.Cond{Kind: table.Absent}))
				}
				if err := t.Write(b.Context(), ops...); err != nil {
					b.Error(err)
					return
				}
				if n%100_000 == 0 {
					b.Logf("%d builds after %v", n, time.Since(start).Round(time.Millisecond))
				}
			}
		})
	}
	wg.Wait()
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			if err := t.Write(b.Context(), post(next.Add(1))...); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := t.Get(b.Context(), post(rand.Int64N(builds) + 1)[0].Item.Key); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("page of 100", func(b *testing.B) {
		for b.Loop() {
			if _, err := t.Query(b.Context(), table.Query{Index: 1, PK: "build", Reverse: true, Limit: 100}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("page of 100 behind 100000", func(b *testing.B) {
		for b.Loop() {
			if _, err := t.Query(b.Context(), table.Query{Index: 1, PK: "build", Skip: 100_000, Limit: 100}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if err := t.Close(); err != nil {
				b.Fatal(err)
			}
			t = open(b, path, embedded.Options{Feed: true})
		}
	})
	if info, err := os.Stat(path); err == nil {
		b.Logf("the file has %d MB", info.Size()>>20)
	}
}
