package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
)

// benchVersus compares what a report costs with an earlier build of the program,
// in rounds that alternate: a busy machine is as busy for both.
func benchVersus(_ context.Context, r *report, runs int, bin, earlier string) error {
	programs := []string{earlier, bin}
	urls, nexts := make([]string, len(programs)), make([]func(c, i int) []byte, len(programs))
	for i, program := range programs {
		dir, err := os.MkdirTemp("", "bldst-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		p, err := start(program, dir)
		if err != nil {
			return err
		}
		defer p.stop()
		urls[i] = p.url
		if nexts[i], err = reports(p.url, 1); err != nil {
			return err
		}
	}
	var ratios []float64
	for round := range 4*runs + 2 { // the first two warm up
		var p50 [2]float64
		for i := range programs {
			which := (i + round) % 2 // who begins changes
			s, err := drive(urls[which], 1, 500, http.StatusOK, nexts[which])
			if err != nil {
				return err
			}
			p50[which] = float64(s.p50)
		}
		if round > 1 {
			ratios = append(ratios, p50[1]/p50[0])
		}
	}
	r.add("POST state, p50 of this build by that of the earlier one", atMost(1.05, "x"), fmt.Sprintf("%d alternating rounds", len(ratios)), ratios...)
	return nil
}
