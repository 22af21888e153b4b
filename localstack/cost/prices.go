package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"bldst/localstack/meter"
)

// Prices are those of infra/prices.json.
type prices struct {
	Date     string             `json:"date"`
	Region   string             `json:"region"`
	Million  map[string]float64 `json:"usd_per_million"`
	GBSecond map[string]float64 `json:"usd_per_gigabyte_second"`
	Gigabyte map[string]float64 `json:"usd_per_gigabyte"`
	Month    map[string]float64 `json:"usd_per_month"` // for one of what Counts counts
	Counts   map[string]float64 `json:"counts"`        // how many a stage has; tests of infra compare them with the template
	OwnKey   struct {
		Month   float64 `json:"usd_per_month"`
		Million float64 `json:"usd_per_million_requests"`
	} `json:"own_key"`
	Assumption struct {
		Milliseconds float64 `json:"lambda_milliseconds"`
		Gigabytes    float64 `json:"lambda_gigabytes"`
		AccessLog    float64 `json:"access_log_bytes"`
		PlatformLog  float64 `json:"platform_log_bytes"`
		Traced       float64 `json:"traced_share"`
		TracedOther  float64 `json:"traced_share_of_other_calls"`
	} `json:"assumed"`
}

func readPrices(name string) (*prices, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w; run it in the root of the repository: make cost", err)
	}
	p := &prices{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// A line is what one build takes of a service.
type line struct {
	service, of string
	n           float64
	usd         float64 // for one of it
}

// lines prices what one build takes.
func (p *prices) lines(n map[string]float64) []line {
	a := p.Assumption
	const million, giga = 1e6, 1 << 30
	traced := n["apigateway_requests"]*a.Traced + (n[meter.Calls]-n["apigateway_requests"])*a.TracedOther
	logged := n["log_bytes"] + n["apigateway_requests"]*a.AccessLog + n[meter.Calls]*a.PlatformLog
	return []line{
		{"API Gateway", "requests", n["apigateway_requests"], p.Million["apigateway_requests"] / million},
		{"Lambda", "calls", n[meter.Calls], p.Million["lambda_requests"] / million},
		{"Lambda", "GB-seconds", n[meter.Calls] * a.Milliseconds / 1000 * a.Gigabytes, p.GBSecond["lambda_arm64"]},
		{"DynamoDB", "read units", n[meter.ReadUnits], p.Million[meter.ReadUnits] / million},
		{"DynamoDB", "write units", n[meter.WriteUnits], p.Million[meter.WriteUnits] / million},
		{"Step Functions", "transitions", n["states_transitions"], p.Million["states_transitions"] / million},
		{"EventBridge", "events", n[meter.Events], p.Million["eventbridge_events"] / million},
		{"CloudWatch Logs", "bytes", logged, p.Gigabyte["logs_ingested"] / giga},
		{"X-Ray", "traces", traced, p.Million["xray_traces"] / million},
	}
}

// print writes the table for 1,000 builds and for a million, and returns the
// sum for 1,000.
func (p *prices) print(w io.Writer, n map[string]float64) float64 {
	out := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	out("Builds of %d reports and %d heartbeats each; prices of %s in %s; counted in a run of %d builds.\n", reports, beats, p.Date, p.Region, sample)
	out("%-16s %-12s %14s %14s %16s", "service", "of", "a build", "USD, 1,000", "USD, 1,000,000")
	total := 0.0
	for _, l := range p.lines(n) {
		out("%-16s %-12s %14.1f %14.3f %16.0f", l.service, l.of, l.n, l.n*l.usd*1e3, l.n*l.usd*1e6)
		total += l.n * l.usd
	}
	out("%-16s %-12s %14s %14.3f %16.0f", "total", "", "", total*1e3, total*1e6)
	fixed := 0.0
	for what, usd := range p.Month {
		fixed += usd * p.Counts[what]
	}
	a := p.Assumption
	out("\nBeside that %.2f USD a month: %.0f metrics of alarms, %.0f metrics of builds, the dashboard, the secret.", fixed, p.Counts["alarm_metrics"], p.Counts["custom_metrics"])
	out("own-key=true: %.2f USD a month and %.2f USD for a million requests to the key.", p.OwnKey.Month, p.OwnKey.Million)
	out("detailed-metrics=true: %.2f USD a month for each metric of each path and method that is used.", p.Month["custom_metrics"])
	out("Assumed: calls of %.0f ms with %.2f GB, %.0f%% of requests traced, %.0f%% of other calls.", a.Milliseconds, a.Gigabytes, a.Traced*100, a.TracedOther*100)
	out("Not in it: storage, backups, transfer, artifacts, and that X-Ray follows the first of the other calls of every second, at most %.2f USD a day.", 86_400*p.Million["xray_traces"]/1e6)
	return total * 1e3
}
