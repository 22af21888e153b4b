package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bldst/cli/pipeline"
	"bldst/cli/print"
	"bldst/cli/step"
	"bldst/shared/build"
)

// A plannedRun is what a run would do for one target.
type plannedRun struct {
	Target       string         `json:"target,omitempty"`
	Build        string         `json:"build"`
	Exists       bool           `json:"exists"`
	Attempt      int            `json:"attempt,omitempty"`
	Reason       string         `json:"reason,omitempty"`
	Detail       string         `json:"detail,omitempty"`
	Restore      []string       `json:"restore"`
	States       []plannedState `json:"states"`
	MinutesSaved int            `json:"estimated_minutes_saved"`
	Minutes      *int64         `json:"estimated_minutes"` // of what is to be run and is known; null when nothing is
}

type plannedState struct {
	Code    int    `json:"state_code"`
	Name    string `json:"name,omitempty"`
	Action  string `json:"action"` // skip, run, left_out
	Why     string `json:"why"`
	Seconds *int64 `json:"typical_seconds,omitempty"`
}

func (f *Factory) printRunPlan(ctx context.Context, p *pipeline.Pipeline, targets []runTarget, o *runOptions) error {
	s, err := f.Settings()
	if err != nil {
		return err
	}
	if o.Client, err = f.Client(); err != nil {
		return err
	}
	o.API, o.Root = f.apiAddress(), f.spoolRoot(s)
	var items []json.RawMessage
	var all []plannedRun
	for _, t := range targets {
		planned, err := f.plannedOf(ctx, p, &t, o)
		if err != nil {
			return err
		}
		b, err := json.Marshal(planned)
		if err != nil {
			return err
		}
		items, all = append(items, b), append(all, planned)
	}
	printer := f.Printer()
	if printer.Format != print.Table {
		return printer.List(items)
	}
	for _, planned := range all {
		if err := printPlanned(printer, planned); err != nil {
			return err
		}
	}
	return nil
}

func (f *Factory) plannedOf(ctx context.Context, p *pipeline.Pipeline, t *runTarget, o *runOptions) (plannedRun, error) {
	out := plannedRun{Target: t.name, Build: t.build, Restore: []string{}, States: []plannedState{}}
	opts := o.Options
	opts.Build = t.build
	next := 0
	if len(t.states) > 0 {
		next = max(t.states[0].Code, o.From)
	}
	resp, err := step.Preview(ctx, opts, next, t.fingerprints(p, f.Env))
	if err != nil {
		return out, err
	}
	plan := build.Plan{}
	if resp != nil {
		if err := json.Unmarshal(resp.Body, &plan); err != nil {
			return out, err
		}
		out.Exists, out.Attempt, out.Reason, out.Detail, out.MinutesSaved = true, plan.Attempt, string(plan.Reason), plan.Detail, plan.MinutesSaved
	}
	for _, r := range plan.Restore {
		out.Restore = append(out.Restore, strings.TrimSuffix(fmt.Sprintf("%s of state %d to %s", r.ArtifactName, r.StateCode, r.RestoreTo), " to "))
	}
	for _, s := range t.states {
		if s.Code >= o.From && s.Code <= o.To {
			out.add(plannedAs(s, plan, o))
		}
	}
	return out, nil
}

func (r *plannedRun) add(s plannedState) {
	r.States = append(r.States, s)
	if s.Action == "run" && s.Seconds != nil {
		total := *s.Seconds / 60
		if r.Minutes != nil {
			total += *r.Minutes
		}
		r.Minutes = &total
	}
}

// plannedAs says what would become of a state.
func plannedAs(s pipeline.State, plan build.Plan, o *runOptions) plannedState {
	out := plannedState{Code: s.Code, Name: s.Name, Action: "run", Why: "It is not done yet."}
	for _, st := range plan.States {
		if st.StateCode != s.Code {
			continue
		}
		out.Why, out.Seconds = st.Why, st.Typical
		if st.Action != build.ActionRun {
			out.Action = "skip"
		}
		if st.By != nil && st.At != nil && out.Action == "skip" {
			out.Why = fmt.Sprintf("%s By %s, %s.", st.Why, *st.By, st.At.Local().Format(time.DateTime))
		}
	}
	if out.Action == "skip" && (o.Always || s.When == "always") {
		out.Action, out.Why = "run", "It is done, and run always."
	}
	if strings.HasPrefix(s.When, "if ") && out.Action == "run" {
		out.Why += " Only " + s.When + "."
	}
	return out
}

func printPlanned(p *print.Printer, r plannedRun) error {
	title := "Build " + r.Build
	if r.Target != "" {
		title = "Target " + r.Target + ", build " + r.Build
	}
	switch {
	case !r.Exists:
		title += " is not there yet."
	default:
		title += fmt.Sprintf(", attempt %d. %s", r.Attempt, r.Detail)
	}
	if err := p.Lines(title); err != nil {
		return err
	}
	var rows [][]string
	for _, s := range r.States {
		typical := ""
		if s.Seconds != nil && s.Action == "run" {
			typical = minutes(*s.Seconds)
		}
		rows = append(rows, []string{strconv.Itoa(s.Code), s.Name, strings.ToUpper(s.Action), typical, s.Why})
	}
	if err := p.Section("", []string{"state", "name", "action", "takes", "why"}, rows); err != nil {
		return err
	}
	var lines []string
	for _, a := range r.Restore {
		lines = append(lines, "Restored before: "+a)
	}
	if r.MinutesSaved > 0 {
		lines = append(lines, fmt.Sprintf("Saves about %s against a new build.", minutes(int64(r.MinutesSaved)*60)))
	}
	return p.Lines(lines...)
}
