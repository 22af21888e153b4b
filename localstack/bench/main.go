// Command bench measures what the README promises, in one process, and prints
// a table and, with -json, a file of the same figures. Each figure is the
// median of several runs.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A figure is one line of the table.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Reach string  `json:"reach"`
	Met   bool    `json:"met"`
	Runs  int     `json:"runs"`
	Note  string  `json:"note,omitempty"`
}

// A bound is what a figure is to reach.
type bound struct {
	most, least float64
	unit        string
}

func atMost(v float64, unit string) bound  { return bound{most: v, unit: unit} }
func atLeast(v float64, unit string) bound { return bound{least: v, unit: unit} }
func shown(unit string) bound              { return bound{unit: unit} }

func (b bound) String() string {
	if b.least > 0 {
		return fmt.Sprintf(">= %.6g %s", b.least, b.unit)
	}
	if b.most == 0 {
		return ""
	}
	return fmt.Sprintf("<= %.6g %s", b.most, b.unit)
}

// A report collects figures.
type report struct {
	figures []figure
	out     io.Writer
}

// add adds the median of values.
func (r *report) add(name string, b bound, note string, values ...float64) {
	slices.Sort(values)
	v := values[len(values)/2]
	f := figure{Name: name, Value: v, Unit: b.unit, Reach: b.String(), Runs: len(values), Note: note}
	f.Met = b.least > 0 && v >= b.least || b.least == 0 && (b.most == 0 || v <= b.most)
	r.figures = append(r.figures, f)
	fmt.Fprintf(r.out, "%-58s %12s   %-16s %s %s\n", f.Name, fmt.Sprintf("%.6g %s", round(v), f.Unit), f.Reach, f.mark(), note)
}

func round(v float64) float64 {
	if v >= 1000 {
		return float64(int(v))
	}
	return float64(int(v*1000+0.5)) / 1000
}

func (f figure) mark() string {
	switch {
	case f.Reach == "":
		return "    "
	case f.Met:
		return "met "
	default:
		return "MISS"
	}
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(map[string]any{"machine": machine(), "time": time.Now().UTC(), "figures": r.figures}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// machine describes where the figures come from.
func machine() string {
	cpu := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.SplitSeq(string(b), "\n") {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				cpu = strings.TrimSpace(strings.TrimLeft(name, " \t:"))
				break
			}
		}
	}
	return fmt.Sprintf("%d cores, %s, %s, %s/%s", runtime.NumCPU(), cpu, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func main() {
	scale := flag.Bool("scale", false, "measure growth from 1,000 to -builds builds instead")
	builds := flag.Int("builds", 1_000_000, "with -scale: the size of the large table")
	driven := flag.Bool("drive", false, "measure the state machine that drives the builds instead")
	earlier := flag.String("versus", "", "an earlier build of the program, to compare what a report costs, and nothing else")
	runs := flag.Int("runs", 5, "runs of each figure")
	path := flag.String("json", "bench.json", "where the figures are written")
	bin := flag.String("bin", "bin/bldst", "the built program, for what is measured from outside")
	dist := flag.String("dist", "dist/"+runtime.GOARCH, "the built functions")
	flag.Parse()
	r := &report{out: os.Stdout}
	fmt.Printf("%s\n\n", machine())
	ctx := context.Background()
	steps := []func(context.Context, *report, int) error{benchHandler, benchHTTP,
		func(ctx context.Context, r *report, n int) error { return benchBootstraps(ctx, r, n, *dist) },
		func(ctx context.Context, r *report, n int) error { return benchProcess(ctx, r, n, *bin) }}
	if *scale {
		steps = []func(context.Context, *report, int) error{func(ctx context.Context, r *report, n int) error { return benchScale(ctx, r, n, *builds) }}
	}
	if *driven {
		steps = []func(context.Context, *report, int) error{func(ctx context.Context, r *report, n int) error { return benchMachine(ctx, r, n, *bin) }}
	}
	if *earlier != "" {
		steps = []func(context.Context, *report, int) error{func(ctx context.Context, r *report, n int) error { return benchVersus(ctx, r, n, *bin, *earlier) }}
	}
	for _, step := range steps {
		if err := step(ctx, r, *runs); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
	if err := r.write(*path); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	fmt.Printf("\nwritten to %s\n", *path)
}
