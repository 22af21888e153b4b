package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"bldst/cli/print"
	"bldst/shared/build"

	"github.com/spf13/cobra"
)

type buildResumePlanOptions struct {
	ID           string
	From         string
	Fingerprints []string // of the inputs of states: CODE=FINGERPRINT
}

func newBuildResumePlan(f *Factory, work run[buildResumePlanOptions]) *cobra.Command {
	var o buildResumePlanOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use: "resume-plan [BUILD]", Short: "Print what a resume would restore, run and skip, and why", Args: positional(0, "BUILD"),
		Long:        "Print what a resume would restore, run and skip, and why. Nothing is changed. The\nexit code is 1 when the build cannot be resumed there.",
		Example:     examples([]string{`build resume-plan "$BUILD"`, `build resume-plan "$BUILD" --from 40 -o json | jq .restore`}),
		Annotations: map[string]string{apiCall: "GET /builds/{id}/resume-plan,POST /builds/{id}/resume-plan"},
	}
	ref.declare(cmd)
	fs := cmd.Flags()
	fs.StringVar(&o.From, "from", "", "`state` to begin with (default: where it failed)")
	fs.StringVar(&o.From, "from-state", "", "")
	_ = fs.MarkHidden("from-state")
	fs.StringSliceVar(&o.Fingerprints, "fingerprint", nil, "what the inputs of a state are now, `CODE=FINGERPRINT`; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.ID, err = ref.id(cmd, args); err != nil {
			return err
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runBuildResumePlan(ctx context.Context, f *Factory, o buildResumePlanOptions) error {
	path, err := f.buildPath(o.ID, "resume-plan")
	if err != nil {
		return err
	}
	method, in, err := o.question(f)
	if err != nil {
		return err
	}
	out, err := f.call(ctx, method, path, nil, in)
	if err != nil {
		return err
	}
	var plan build.Plan
	if err := json.Unmarshal(out, &plan); err != nil {
		return err
	}
	p := f.Printer()
	switch {
	case p.Format != print.Table:
		err = p.Object(out)
	case p.Quiet:
		_, err = fmt.Fprintln(f.Streams.Out, plan.From)
	default:
		err = printPlan(p, plan)
	}
	if err == nil && !plan.Resumable {
		err = errTold
	}
	return err
}

// question returns the call that asks for the plan.
func (o buildResumePlanOptions) question(f *Factory) (method string, in any, err error) {
	if o.From == "" && len(o.Fingerprints) == 0 {
		return "GET", nil, nil
	}
	b := body{}
	if o.From != "" {
		b["from_state"] = stateText(o.From)
		if err := f.states(b); err != nil {
			return "", nil, err
		}
		if name, isName := b["from_state"].(string); isName {
			return "", nil, &badInput{fmt.Errorf("--from %s must be a number", name)}
		}
	}
	prints := map[string]string{}
	for _, s := range o.Fingerprints {
		code, fingerprint, ok := strings.Cut(s, "=")
		if !ok {
			return "", nil, &badInput{fmt.Errorf("--fingerprint %q is not CODE=FINGERPRINT", s)}
		}
		prints[code] = fingerprint
	}
	if len(prints) > 0 {
		b["fingerprints"] = prints
	}
	return "POST", b, nil
}

// printPlan prints a plan so that it is understood at once: the verdict, what
// is done with each state, what is restored, what is missing.
func printPlan(p *print.Printer, plan build.Plan) error {
	verdict := "can be resumed from state " + strconv.Itoa(plan.From)
	if !plan.Resumable {
		verdict = "cannot be resumed: " + string(plan.Reason)
	}
	lines := []string{fmt.Sprintf("Build %s, attempt %d, %s.", plan.BuildID, plan.Attempt, verdict), plan.Detail}
	if plan.Why != "" {
		lines = append(lines, "Begins there: "+plan.Why)
	}
	if plan.Lease != nil {
		lines = append(lines, fmt.Sprintf("Held by worker %s until %s; 'bldst build resume %s --take-over' replaces it.", plan.Lease.Worker, p.When(plan.Lease.Until), plan.BuildID))
	}
	if plan.MinutesSaved > 0 {
		lines = append(lines, fmt.Sprintf("Saves about %s against a new build.", minutes(int64(plan.MinutesSaved)*60)))
	}
	if err := p.Lines(lines...); err != nil {
		return err
	}
	if err := planStates(p, plan); err != nil {
		return err
	}
	if err := planRestore(p, plan); err != nil {
		return err
	}
	return p.Lines(planMissing(plan)...)
}

func planStates(p *print.Printer, plan build.Plan) error {
	var rows [][]string
	for _, s := range plan.States {
		typical := ""
		if s.Typical != nil && s.Action == build.ActionRun {
			typical = minutes(*s.Typical)
		}
		rows = append(rows, []string{strconv.Itoa(s.StateCode), s.Name, strings.ToUpper(s.Action), typical, s.Why + openTargets(s)})
	}
	return p.Section("", []string{"state", "name", "action", "takes", "why"}, rows)
}

// openTargets names the targets of a state that are still to be done.
func openTargets(s build.PlanState) string {
	var open []string
	for _, t := range s.Targets {
		if t.Action == build.ActionRun {
			open = append(open, t.Target)
		}
	}
	if len(open) == 0 || len(open) == len(s.Targets) {
		return ""
	}
	return " (only " + strings.Join(open, ", ") + ")"
}

func planRestore(p *print.Printer, plan build.Plan) error {
	var rows [][]string
	for _, r := range plan.Restore {
		checked := "no checksum"
		if r.ChecksumKnown {
			checked = r.Algorithm
		}
		rows = append(rows, []string{r.ArtifactName, r.Target, strconv.Itoa(r.StateCode), r.ArtifactPath, checked})
	}
	return p.Section("Restored before anything runs", []string{"artifact", "target", "made by", "path", "verified by"}, rows)
}

// planMissing says what stands in the way, or may.
func planMissing(plan build.Plan) []string {
	var lines []string
	for _, a := range plan.Artifacts {
		switch {
		case a.Revoked:
			lines = append(lines, "Artifact "+a.Name+" was revoked.")
		case a.Expired:
			lines = append(lines, "Artifact "+a.Name+" has expired.")
		case a.Required && !a.Found:
			lines = append(lines, "Artifact "+a.Name+" is required and missing.")
		}
	}
	for _, v := range plan.Variables {
		if v.Required && !v.Found {
			lines = append(lines, "Variable "+v.Key+" is required and missing: bldst variable set "+plan.BuildID+" "+v.Key+"=VALUE")
		}
	}
	for _, w := range plan.Warnings {
		lines = append(lines, "Note: "+w)
	}
	if plan.Resumable {
		lines = append(lines, "Go on with: bldst build resume "+plan.BuildID)
	}
	return lines
}

// minutes returns seconds as people say it.
func minutes(seconds int64) string {
	switch {
	case seconds < 90:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 90*60:
		return fmt.Sprintf("%d min", (seconds+30)/60)
	default:
		return fmt.Sprintf("%d h %d min", seconds/3600, seconds%3600/60)
	}
}
