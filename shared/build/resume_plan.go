package build

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bldst/shared/problem"
)

// A Reason says why a build can be resumed or not: ok, or the kind of problem
// that POST /resume answers with.
type Reason string

// OK is the reason of a build that can be resumed.
const OK Reason = "ok"

// reasons are the kinds a resume can be refused with.
var reasons = map[problem.Kind]bool{
	problem.BuildCompleted: true, problem.BuildCancelled: true, problem.BuildRunning: true, problem.NothingDone: true,
	problem.StateNotResumable: true, problem.ArtifactMissing: true, problem.ArtifactExpired: true, problem.ArtifactRevoked: true,
	problem.VariableMissing: true, problem.ResumeInProgress: true, problem.BreakerOpen: true,
}

// A Strategy says how the state to resume from is taken up.
type Strategy string

// The strategies.
const (
	FromArtifact Strategy = "from_artifact" // restore a checkpoint, then run what follows it
	RerunState   Strategy = "rerun_state"   // run the state again on what is there
	SkipToNext   Strategy = "skip_to_next"  // leave the failed state out
)

// A ResumeConfig is what a project says about resuming from one of its states.
type ResumeConfig struct {
	ID                string    `json:"id"`
	ProjectID         string    `json:"project_id"`
	StateCode         int       `json:"state_code"`
	IsResumable       bool      `json:"is_resumable"`
	Strategy          *string   `json:"resume_strategy"`
	RequiredArtifacts []string  `json:"required_artifacts" doc:"Names or types."`
	RequiredVariables []string  `json:"required_variables"`
	Command           *string   `json:"resume_command"`
	Timeout           int       `json:"resume_timeout_seconds"`
	Description       *string   `json:"description"`
	Notes             *string   `json:"notes"`
	CreatedAt         time.Time `json:"created_at"`
	UpdatedAt         time.Time `json:"updated_at"`
	Revision          int64     `json:"revision" doc:"Counts its changes; also the ETag."`
}

// A Plan is what a resume of a build would do, and whether it can be done. It
// is sound: after the restores and the run of the states from resume_from_state
// on, everything the build has to do is done.
type Plan struct {
	BuildID       string         `json:"build_id"`
	Attempt       int            `json:"attempt" doc:"The current one; a resume opens the next."`
	Resumable     bool           `json:"resumable"`
	Reason        Reason         `json:"reason" enum:"ok,build_completed,build_cancelled,build_running,nothing_done,state_not_resumable,artifact_missing,artifact_expired,artifact_revoked,variable_missing,resume_in_progress,breaker_open"`
	Detail        string         `json:"detail"`
	Strategy      Strategy       `json:"strategy" enum:"from_artifact,rerun_state,skip_to_next"`
	From          int            `json:"resume_from_state"`
	Why           string         `json:"resume_from_why" doc:"Why there."`
	Targets       []string       `json:"resume_targets" doc:"Of the state it begins with, what is still to be done; null: all of it."`
	LastCompleted *int           `json:"last_completed_state"`
	FailedState   *int           `json:"failed_state"`
	Restore       []Restore      `json:"restore" doc:"One for each target."`
	Artifacts     []PlanArtifact `json:"artifacts"`
	Variables     []PlanVariable `json:"variables"`
	States        []PlanState    `json:"states"`
	Lease         *Hold          `json:"lease" doc:"The worker that holds the build while it runs."`
	MinutesSaved  int            `json:"estimated_minutes_saved"`
	Warnings      []string       `json:"warnings"`
}

// A Restore is a checkpoint to restore before anything is run.
type Restore struct {
	Target        string  `json:"target,omitempty"`
	ArtifactID    string  `json:"artifact_id"`
	ArtifactName  string  `json:"artifact_name"`
	StateCode     int     `json:"state_code"`
	ArtifactPath  string  `json:"artifact_path"`
	RestoreTo     string  `json:"restore_to,omitempty" doc:"The path of the worker it was saved from, when that is known."`
	Checksum      *string `json:"checksum"`
	Algorithm     string  `json:"checksum_algorithm"`
	ChecksumKnown bool    `json:"checksum_known"`
}

// A PlanArtifact is an artifact the resume needs, or may use.
type PlanArtifact struct {
	Name          string `json:"name" doc:"What is required, a name or a type; else the name."`
	Required      bool   `json:"required"`
	Found         bool   `json:"found" doc:"It is there; to be used it must be neither expired nor revoked."`
	Expired       bool   `json:"expired"`
	Revoked       bool   `json:"revoked"`
	ChecksumKnown bool   `json:"checksum_known"`
}

// A PlanVariable is a variable the resume needs, or may use.
type PlanVariable struct {
	Key      string `json:"key"`
	Required bool   `json:"required"`
	Found    bool   `json:"found"`
}

// What a resume does with a state.
const (
	ActionSkip    = "skip"
	ActionRestore = "restore"
	ActionRun     = "run"
)

// A PlanState is what a resume does with one state.
type PlanState struct {
	StateCode int    `json:"state_code"`
	Name      string `json:"name"`
	Action    string `json:"action" enum:"skip,restore,run"`
	Why       string `json:"why"`
	Typical   *int64 `json:"typical_seconds"`

	By *string    `json:"by" doc:"The worker that completed it, if it said who it was."`
	At *time.Time `json:"at" doc:"When it was completed."`

	Targets []PlanTarget `json:"targets" doc:"Those it was reported for; null for a state without targets."`
}

// A PlanTarget is what becomes of a target of a state.
type PlanTarget struct {
	Target string `json:"target"`
	Status Status `json:"status" doc:"How it went."`
	Action string `json:"action" enum:"skip,run"`
}

// NewPlan returns the plan of resuming the build of m from the state from, nil
// for where it failed, else where it is. prints are the fingerprints the inputs
// of states have now, by code. It is a pure function.
func NewPlan(m *Materials, from *int, prints map[int]string) *Plan {
	return plan(m, from, nil, prints, false)
}

// newPlan is NewPlan; with takeOver for somebody who replaces the worker, or the
// open resume, of the build.
func newPlan(m *Materials, from *int, prints map[int]string, takeOver bool) *Plan {
	return plan(m, from, nil, prints, takeOver)
}

func plan(m *Materials, from *int, step *NextStep, prints map[int]string, takeOver bool) *Plan {
	b := m.Build
	p := &planner{Materials: m, step: step, takeOver: takeOver, out: &Plan{BuildID: b.ID, Attempt: b.Attempt, Lease: b.hold(), LastCompleted: b.LastCompleted, FailedState: b.failedAt(),
		Restore: []Restore{}, Artifacts: []PlanArtifact{}, Variables: []PlanVariable{}, States: []PlanState{}, Warnings: []string{}}}
	p.begin(from)
	p.compare(prints)
	p.config = m.Rules.ResumeConfig(p.out.From)
	if p.config == nil && step == nil {
		p.warn("State %d has no resumable-state configuration; it is taken as resumable.", p.out.From)
	}
	p.prints = prints
	if step == nil {
		p.choose(from != nil)
	} else {
		p.chooseStep()
	}
	p.out.Targets = p.tail(p.out.From)
	p.needArtifacts()
	p.needVariables()
	p.list()
	p.out.From = min(p.out.From, LastState)
	p.judge()
	return p.out
}

// A planner makes one plan.
type planner struct {
	*Materials
	step     *NextStep // the worker that asks, nil for a resume in general
	out      *Plan
	config   *ResumeConfig // of the state to resume from, nil for none
	prints   map[int]string
	restored []*Artifact
	lost     problem.Kind // why a checkpoint that is needed cannot be restored, "" when it can
	needs    []finding    // what is required and not there, in order
	takeOver bool
}

// A finding is something that keeps the build from being resumed.
type finding struct {
	kind   problem.Kind
	detail string
}

func (p *planner) warn(format string, args ...any) {
	p.out.Warnings = append(p.out.Warnings, fmt.Sprintf(format, args...))
}

// begin sets where to resume from before anything is compared.
func (p *planner) begin(from *int) {
	b, out := p.Build, p.out
	if p.step != nil {
		p.beginStep()
		return
	}
	switch failed := b.failedAt(); {
	case from != nil:
		out.From, out.Why = *from, "It was asked for."
	case failed != nil:
		out.From, out.Why = *failed, fmt.Sprintf("State %d failed.", *failed)
	default:
		out.From = b.next()
		if out.Why = fmt.Sprintf("The build is at state %d.", b.Current); out.From > b.Current {
			out.Why = fmt.Sprintf("State %d is completed; what comes after it is to be run.", b.Current)
		}
	}
}

// next returns where b goes on when nothing has failed: with the state it is in,
// or behind that once it is completed. Which number comes then only the caller
// knows.
func (b *Build) next() int {
	if m := b.Marks[b.Current]; m.Status == Completed && b.Current < LastState {
		return b.Current + 1
	}
	return b.Current
}

// compare moves the begin to the first state whose inputs have changed since
// it was completed.
func (p *planner) compare(prints map[int]string) {
	for _, code := range slices.Sorted(maps.Keys(prints)) {
		if code >= p.out.From || !p.done(code) {
			continue
		}
		switch was := p.Build.Marks[code].Fingerprint; {
		case was == "":
			p.warn("State %d was completed without a fingerprint; whether its inputs have changed is not known.", code)
		case plainPrint(was) != plainPrint(prints[code]):
			p.out.From, p.out.Why = code, fmt.Sprintf("The inputs of state %d have changed since it was completed; it and all after it must be run again.", code)
			return
		}
	}
}

// plainPrint returns a fingerprint without the spelling that makes no
// difference.
func plainPrint(s string) string {
	return strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), DefaultAlgorithm+":")
}

// done reports whether the state code has been got past: it was completed, or
// a later state was begun after it in the same attempt.
func (p *planner) done(code int) bool {
	m := p.Build.Marks[code]
	if m.Status != InProgress {
		return m.Status == Completed
	}
	for later, n := range p.Build.Marks {
		if later > code && n.Attempt == m.Attempt && n.Begin >= m.Begin {
			return true
		}
	}
	return false
}

// lastDone returns the last state below code that is done, -1 for none.
func (p *planner) lastDone(code int) int {
	last := -1
	for c := range p.Build.Marks {
		if c < code && c > last && p.done(c) {
			last = c
		}
	}
	return last
}

// choose sets the strategy and what is restored. It may move the begin
// further back: what was done after the checkpoint must be done again.
func (p *planner) choose(asked bool) {
	out := p.out
	from, last, best := out.From, p.lastDone(out.From), p.checkpoints(out.From, p.over(out.From))
	current := len(best) > 0 && slices.ContainsFunc(best, func(a *Artifact) bool { return a.StateCode >= last })
	want := p.wanted()
	if want == SkipToNext && asked {
		want = "" // who asks for just this state does not want it left out
	}
	switch {
	case want == SkipToNext:
		out.Strategy = SkipToNext
		p.skip()
		best = slices.DeleteFunc(best, func(a *Artifact) bool { return a.StateCode < last })
	case want == FromArtifact && len(best) == 0 && last >= 0:
		out.Strategy = FromArtifact
		p.lose()
	case want == FromArtifact && len(best) > 0, want == "" && current:
		out.Strategy = FromArtifact
		if p.goBack(best); out.From < from { // and targets that are done are done again
			best = p.checkpoints(from, nil)
			p.goBack(best)
		}
	default:
		out.Strategy = RerunState
		p.adviseRerun(last, best)
		best = nil
	}
	for _, a := range best {
		p.restore(a)
	}
}

// wanted returns the strategy that is configured, "" for none or one nobody
// knows.
func (p *planner) wanted() Strategy {
	if p.config == nil || p.config.Strategy == nil {
		return ""
	}
	s := Strategy(*p.config.Strategy)
	if s != FromArtifact && s != RerunState && s != SkipToNext {
		p.warn("The strategy '%s' of state %d is not one the plan knows.", clipText(string(s)), p.out.From)
		return ""
	}
	return s
}

// tail returns the targets of the state that a resume from it has to do, nil
// for all of it.
func (p *planner) tail(code int) []string {
	was, is := p.Build.Marks[code].Fingerprint, p.prints[code]
	if was != "" && is != "" && plainPrint(was) != plainPrint(is) {
		return nil
	}
	return p.Build.Tail(code)
}

// over returns the targets that a resume from the state leaves as they are.
func (p *planner) over(code int) []string {
	todo := p.tail(code)
	if todo == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(p.Build.Marks[code].Targets)), func(t string) bool { return slices.Contains(todo, t) })
}

// targets says what becomes of the targets of the state.
func (p *planner) targets(code int) []PlanTarget {
	m, over := p.Build.Marks[code], p.over(code)
	var out []PlanTarget
	for _, t := range slices.Sorted(maps.Keys(m.Targets)) {
		action := ActionRun
		if code < p.out.From || code == p.out.From && slices.Contains(over, t) {
			action = ActionSkip
		}
		out = append(out, PlanTarget{Target: t, Status: m.Targets[t], Action: action})
	}
	return out
}

// checkpoints returns, for each target that is not over, the newest artifact
// of the highest state below code that can be restored.
func (p *planner) checkpoints(code int, over []string) []*Artifact {
	best := map[string]*Artifact{}
	for _, a := range p.Artifacts {
		if !p.restorable(a, code) || !a.Usable(p.Now) || slices.Contains(over, target(a)) {
			continue
		}
		if have := best[target(a)]; have == nil || newer(a, have) > 0 {
			best[target(a)] = a
		}
	}
	out := make([]*Artifact, 0, len(best))
	for _, t := range slices.Sorted(maps.Keys(best)) {
		out = append(out, best[t])
	}
	return out
}

// restorable reports whether a holds the result of a state below code that is
// done, as far as anything is known of that state.
func (p *planner) restorable(a *Artifact, code int) bool {
	if !a.Resumable || a.StateCode >= code {
		return false
	}
	_, reported := p.Build.Marks[a.StateCode]
	return !reported || p.done(a.StateCode)
}

func target(a *Artifact) string {
	if a.Target == nil {
		return ""
	}
	return *a.Target
}

// newer compares two checkpoints: a later state goes before a later artifact.
func newer(a, b *Artifact) int {
	return cmp.Or(cmp.Compare(a.StateCode, b.StateCode), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// skip moves the begin past the state it is at.
func (p *planner) skip() {
	from := p.out.From
	for code := from + 1; code <= LastState; code++ {
		if p.known(code) || code == LastState {
			p.out.From, p.out.Why = code, fmt.Sprintf("State %d is configured to be skipped.", from)
			return
		}
	}
}

// lose puts down why there is no checkpoint.
func (p *planner) lose() {
	p.lost = problem.ArtifactMissing
	for _, a := range p.Artifacts {
		switch {
		case !p.restorable(a, p.out.From):
		case a.RevokedAt != nil:
			p.lost = problem.ArtifactRevoked
		case p.lost == problem.ArtifactMissing:
			p.lost = problem.ArtifactExpired
		}
	}
}

// goBack moves the begin to the first state that was done after the oldest of
// the checkpoints that are the newest of their target: restoring that one
// undoes it.
func (p *planner) goBack(best []*Artifact) {
	latest := map[string]*Artifact{}
	for _, a := range best {
		if have := latest[target(a)]; have == nil || newer(a, have) > 0 {
			latest[target(a)] = a
		}
	}
	oldest := slices.MinFunc(slices.Collect(maps.Values(latest)), func(a, b *Artifact) int {
		return cmp.Or(cmp.Compare(a.StateCode, b.StateCode), cmp.Compare(target(a), target(b)))
	})
	for code := oldest.StateCode + 1; code < p.out.From; code++ {
		if p.done(code) {
			p.out.From = code
			p.out.Why = fmt.Sprintf("The newest checkpoint%s, '%s', is of state %d; what was done after it must be done again.", of(target(oldest)), oldest.Name, oldest.StateCode)
			return
		}
	}
}

func of(target string) string {
	if target == "" {
		return ""
	}
	return " of " + target
}

// adviseRerun says what it takes to run the state again on what is there.
func (p *planner) adviseRerun(last int, best []*Artifact) {
	if last < 0 {
		return
	}
	if len(best) == 0 {
		p.warn("There is no checkpoint; state %d can only be run again where what was done up to state %d is still there.", p.out.From, last)
		return
	}
	at := slices.MaxFunc(best, newer)
	next := last
	for code := at.StateCode + 1; code < p.out.From; code++ {
		if p.done(code) {
			next = code
			break
		}
	}
	if at.StateCode >= last {
		next = p.out.From
	}
	p.warn("State %d is run again where what was done up to state %d is still there. If it is gone: the newest checkpoint is '%s' of state %d, to be followed by state %d.",
		p.out.From, last, at.Name, at.StateCode, next)
}

func (p *planner) restore(a *Artifact) {
	p.restored = append(p.restored, a)
	p.out.Restore = append(p.out.Restore, Restore{Target: target(a), ArtifactID: a.ID, ArtifactName: a.Name, StateCode: a.StateCode,
		ArtifactPath: a.Path, RestoreTo: a.RestoreTo(), Checksum: a.Checksum, Algorithm: a.Algorithm, ChecksumKnown: a.Checksum != nil})
	if a.Checksum == nil {
		p.warn("Artifact '%s' has no checksum; that it is intact cannot be verified.", a.Name)
	}
	for code, m := range p.Build.Marks {
		if code <= a.StateCode && m.Status == Completed && m.Attempt > a.Attempt {
			p.warn("Artifact '%s' is of attempt %d; state %d was completed again in attempt %d.", a.Name, a.Attempt, code, m.Attempt)
			break
		}
	}
}

// needArtifacts lists the artifacts that are required, and the others a worker
// may use.
func (p *planner) needArtifacts() {
	listed := map[*Artifact]bool{}
	for _, name := range p.required() {
		out := PlanArtifact{Name: name, Required: true}
		for _, a := range p.Artifacts {
			if a.Name == name || a.Type == name {
				listed[a] = true
				out.add(a, p.Now)
			}
		}
		p.out.Artifacts = append(p.out.Artifacts, out)
		p.need(out)
	}
	for _, a := range p.Artifacts {
		if a.Resumable && !listed[a] {
			out := PlanArtifact{Name: a.Name}
			out.add(a, p.Now)
			p.out.Artifacts = append(p.out.Artifacts, out)
		}
	}
}

func (p *planner) required() []string {
	if p.config == nil {
		return nil
	}
	return p.config.RequiredArtifacts
}

// add puts down that a is there: a usable one is worth more than any other.
func (o *PlanArtifact) add(a *Artifact, now time.Time) {
	if !a.Usable(now) && a.RevokedAt == nil && !a.Expired(now) {
		return // it is none that a resume may use
	}
	usable := o.usable()
	o.Found = true
	if a.Usable(now) {
		o.ChecksumKnown = usable && o.ChecksumKnown || a.Checksum != nil
		o.Expired, o.Revoked = false, false
	} else if !usable {
		o.Revoked, o.Expired = o.Revoked || a.RevokedAt != nil, o.Expired || a.Expired(now)
		o.ChecksumKnown = o.ChecksumKnown || a.Checksum != nil
	}
}

// usable reports whether a resume can use it: that it is there is not enough.
func (o *PlanArtifact) usable() bool { return o.Found && !o.Expired && !o.Revoked }

// need puts down what keeps the required artifact o from being used.
func (p *planner) need(o PlanArtifact) {
	switch {
	case o.usable():
	case o.Revoked:
		p.miss(problem.ArtifactRevoked, "The required artifact '%s' was revoked.", o.Name)
	case o.Expired:
		p.miss(problem.ArtifactExpired, "The required artifact '%s' has expired.", o.Name)
	default:
		p.miss(problem.ArtifactMissing, "The required artifact '%s' is not there.", o.Name)
	}
}

func (p *planner) miss(kind problem.Kind, format string, args ...any) {
	p.needs = append(p.needs, finding{kind, fmt.Sprintf(format, args...)})
}

// needVariables lists the variables that are required, and the others.
func (p *planner) needVariables() {
	found := map[string]bool{}
	for _, v := range p.Variables {
		found[v.Key] = true
	}
	listed := map[string]bool{}
	if p.config != nil {
		for _, key := range p.config.RequiredVariables {
			listed[key] = true
			p.out.Variables = append(p.out.Variables, PlanVariable{Key: key, Required: true, Found: found[key]})
			if !found[key] {
				p.miss(problem.VariableMissing, "The required variable '%s' is not set.", key)
			}
		}
	}
	for _, v := range p.Variables {
		if !listed[v.Key] {
			p.out.Variables = append(p.out.Variables, PlanVariable{Key: v.Key, Required: v.Required, Found: true})
		}
	}
}

// known reports whether anything is known of the state: it was reported, has a
// name or a configuration.
func (p *planner) known(code int) bool {
	_, reported := p.Build.Marks[code]
	return reported || p.Rules.Name(code) != "" || p.Rules.ResumeConfig(code) != nil
}

// list says what becomes of each state, and adds up what is saved.
func (p *planner) list() {
	var saved time.Duration
	for code := FirstState; code <= LastState; code++ {
		if !p.known(code) && code != p.out.From {
			continue
		}
		s := PlanState{StateCode: code, Name: p.Rules.Name(code), Targets: p.targets(code)}
		s.Action, s.Why = p.action(code)
		if m := p.Build.Marks[code]; m.Status == Completed {
			at := time.Unix(m.End, 0).UTC()
			s.By, s.At = text(m.By), &at
		}
		if took, ok := p.took(code); ok {
			secs := int64(took / time.Second)
			s.Typical = &secs
			if s.Action != ActionRun && p.done(code) {
				saved += took
			}
		}
		p.out.States = append(p.out.States, s)
	}
	p.out.MinutesSaved = int(saved.Round(time.Minute) / time.Minute)
}

// action says what a resume does with the state, and why.
func (p *planner) action(code int) (action, why string) {
	m, reported := p.Build.Marks[code]
	if code >= p.out.From {
		switch {
		case m.Status == Failed:
			return ActionRun, fmt.Sprintf("It failed in attempt %d.", m.Attempt)
		case p.done(code):
			return ActionRun, fmt.Sprintf("It was done in attempt %d, but must be done again after state %d.", m.Attempt, p.out.From)
		default:
			return ActionRun, "It is not done yet."
		}
	}
	for _, a := range p.restored {
		if a.StateCode == code {
			return ActionRestore, fmt.Sprintf("Artifact '%s' holds its result.", a.Name)
		}
	}
	switch {
	case p.done(code):
		return ActionSkip, fmt.Sprintf("It was done in attempt %d.", m.Attempt)
	case reported:
		p.warn("State %d is skipped although it was never completed.", code)
		return ActionSkip, fmt.Sprintf("It was never completed, but the resume begins after it, at state %d.", p.out.From)
	default:
		return ActionSkip, "This build never reported it."
	}
}

// took returns how long the state usually takes: what is known of its project,
// else what its newest try took. A state that was only reported when it was
// completed took the time since the report before.
func (p *planner) took(code int) (time.Duration, bool) {
	if secs, ok := p.Typical.Seconds(code); ok {
		return time.Duration(secs) * time.Second, true
	}
	m := p.Build.Marks[code]
	if m.Begin == 0 || m.End == 0 {
		return 0, false
	}
	begin := m.Begin
	if m.Begin == m.End {
		before := int64(0)
		for other, n := range p.Build.Marks {
			if at := max(n.Begin, n.End); other != code && n.Attempt == m.Attempt && at <= m.Begin && at > before {
				before = at
			}
		}
		if before > 0 {
			begin = before
		}
	}
	return time.Duration(m.End-begin) * time.Second, true
}

// judge says whether the build can be resumed: the first thing that stands
// against it.
func (p *planner) judge() {
	p.out.Reason, p.out.Detail = OK, p.says()
	if f := p.against(); f.kind != "" {
		p.out.Reason, p.out.Detail = Reason(f.kind), f.detail
	}
	p.out.Resumable = p.out.Reason == OK
}

func (p *planner) against() finding {
	b := p.Build
	switch {
	case b.Status == Completed:
		return finding{problem.BuildCompleted, fmt.Sprintf("Build '%s' is completed.", b.ID)}
	case b.Status == Cancelled:
		return finding{problem.BuildCancelled, fmt.Sprintf("Build '%s' is cancelled. While a checkpoint of it is there it can be resumed with force (bldst build resume %s --force).", b.ID, b.ID)}
	case b.Resume.Open() && !p.takeOver:
		return finding{problem.ResumeInProgress, fmt.Sprintf("Build '%s' is being resumed by request %s, which is %s.", b.ID, b.Resume.ID, b.Resume.Status) + p.replace()}
	case len(b.Marks) == 0:
		return finding{problem.NothingDone, fmt.Sprintf("Build '%s' has reported nothing so far.", b.ID)}
	case b.Status != Failed && !p.takeOver:
		return finding{problem.BuildRunning, p.running()}
	case p.Breaker != nil && p.Breaker.Open:
		return finding{problem.BreakerOpen, "The breaker of the image line is open: " + p.Breaker.Reason}
	case p.config != nil && !p.config.IsResumable:
		return finding{problem.StateNotResumable, fmt.Sprintf("State %d is configured as not resumable.", p.config.StateCode)}
	case p.lost != "":
		return finding{p.lost, p.loss()}
	case len(p.needs) > 0:
		return p.needs[0]
	default:
		return finding{}
	}
}

// running says how it is known that the build is being worked on, and what to
// do when that is not so.
func (p *planner) running() string {
	b := p.Build
	where := fmt.Sprintf("Build '%s' is %s at state %d", b.ID, b.Status, b.Current)
	switch {
	case !b.leased():
		where += "."
	case b.Lease.Until.After(p.Now):
		where += fmt.Sprintf("; worker '%s' holds it since %s, until %s.", b.Lease.Worker, b.Lease.since().UTC().Format(time.RFC3339), b.Lease.Until.UTC().Format(time.RFC3339))
	default:
		where += fmt.Sprintf("; its worker '%s' was last heard of at %s, and its lease ended at %s.", b.Lease.Worker, b.Lease.At.UTC().Format(time.RFC3339), b.Lease.Until.UTC().Format(time.RFC3339))
	}
	return where + p.replace()
}

// replace says how to go on where somebody seems to work on the build.
func (p *planner) replace() string {
	return fmt.Sprintf(" If that is dead, take the build over: POST /builds/%s/resume {\"take_over\": true} (bldst build resume %s --take-over).", p.Build.ID, p.Build.ID)
}

func (p *planner) loss() string {
	why := map[problem.Kind]string{problem.ArtifactMissing: "there is none", problem.ArtifactExpired: "it has expired", problem.ArtifactRevoked: "it was revoked"}[p.lost]
	return fmt.Sprintf("State %d is resumed from an artifact of a state before it, but %s.", p.config.StateCode, why)
}

// says describes a resume that can be done.
func (p *planner) says() string {
	run := fmt.Sprintf("un from state %d on", p.out.From)
	switch {
	case len(p.out.Targets) > 0:
		run += ", there only for " + clipText(strings.Join(p.out.Targets, ", "))
	case p.out.Targets != nil:
		run += "; all of its targets are done"
	}
	switch {
	case len(p.restored) == 1:
		return fmt.Sprintf("Restore '%s' of state %d, then r%s.", p.restored[0].Name, p.restored[0].StateCode, run)
	case len(p.restored) > 1:
		return fmt.Sprintf("Restore an artifact for each of %d targets, then r%s.", len(p.restored), run)
	default:
		return "R" + run + "."
	}
}
