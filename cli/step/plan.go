package step

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bldst/shared/id"
)

// A plan is what the API says is to be done before the state, as far as it is
// looked at here.
type plan struct {
	BuildID   string     `json:"build_id"`
	Attempt   int        `json:"attempt"`
	Reason    string     `json:"reason"`
	Detail    string     `json:"detail"`
	From      int        `json:"resume_from_state"`
	Why       string     `json:"resume_from_why"`
	Failed    *int       `json:"failed_state"`
	Restore   []restore  `json:"restore"`
	Artifacts []needed   `json:"artifacts"`
	Variables []needed   `json:"variables"`
	States    []state    `json:"states"`
	Lease     *lease     `json:"lease"`
	Warnings  []string   `json:"warnings"`
	Kept      int        `json:"-"` // what the API was told of this machine
	At        *time.Time `json:"-"`
}

type restore struct {
	ID        string  `json:"artifact_id"`
	Name      string  `json:"artifact_name"`
	State     int     `json:"state_code"`
	Path      string  `json:"artifact_path"`
	RestoreTo string  `json:"restore_to"`
	Checksum  *string `json:"checksum"`
}

type needed struct {
	Name  string `json:"name"`
	Key   string `json:"key"`
	Found bool   `json:"found"`

	Expired bool `json:"expired"`
	Revoked bool `json:"revoked"`
}

type state struct {
	Code   int        `json:"state_code"`
	Name   string     `json:"name"`
	Action string     `json:"action"`
	Why    string     `json:"why"`
	By     *string    `json:"by"`
	At     *time.Time `json:"at"`
}

type lease struct {
	Worker string    `json:"worker"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

// plan asks what is to be done, nil when the API cannot be asked.
func (s *step) plan(ctx context.Context) (*plan, error) {
	if s.down() != nil {
		return nil, s.cannotAsk()
	}
	kept := 0
	if r := load(s.spool); r.BuildID == "" || s.id == "" || r.BuildID == s.id {
		kept = r.kept()
	}
	p := &plan{Kept: kept}
	body := map[string]any{"next_state": s.State, "kept_attempt": kept, "fingerprints": map[string]string{strconv.Itoa(s.State): s.print}}
	err := s.call(ctx, http.MethodPost, s.path("resume-plan"), "", body, p)
	switch {
	case err == nil:
		s.id, s.attempt = p.BuildID, p.Attempt
		return p, nil
	case isAway(err):
		s.lost(err)
		return nil, s.cannotAsk()
	default:
		return nil, err
	}
}

// cannotAsk is what a step does that cannot ask whether it is done.
func (s *step) cannotAsk() error {
	if s.Strict {
		return &Exit{Code: exitAway, Err: fmt.Errorf("whether state %d is done cannot be asked: %w", s.State, short(s.away)), Hint: "Without --strict the command would be run."}
	}
	s.Say("Whether state %d is done cannot be asked; it is run.", s.State)
	return nil
}

// of returns what the plan says of a state.
func (p *plan) of(code int) state {
	for _, st := range p.States {
		if st.Code == code {
			return st
		}
	}
	return state{Code: code, Action: "run", Why: "It is not done yet."}
}

// decide reports whether the command is to be run.
func (s *step) decide(p *plan) (run bool, err error) {
	st := p.of(s.State)
	skip := st.Action != "run"
	if s.WhenMissing != "" {
		if skip, err = s.present(p); err != nil {
			return false, err
		}
	}
	switch {
	case p.Reason == "build_cancelled":
		return false, refuse("A cancelled build is not gone on with: use another build number.", "%s", p.Detail)
	case skip && !s.Always:
		s.saySkipped(st, p)
		return false, nil
	case p.Reason == "build_completed" && !s.Always:
		return false, refuse("Use another build number for another build.", "the build is completed; state %d cannot be run in it any more (%s)", s.State, lower(st.Why))
	case skip: // done, and run all the same
		s.silent = true
		s.Say("State %d is done; --always runs it again, and it stays done.", s.State)
		return true, nil
	}
	if err := s.mayRun(p); err != nil && !s.Force {
		return false, err
	}
	return true, nil
}

// mayRun says why the state cannot be run now.
func (s *step) mayRun(p *plan) error {
	switch p.Reason {
	case "state_not_resumable", "artifact_missing", "artifact_expired", "artifact_revoked", "variable_missing":
		return refuse("Mend that, or run it all the same with --force.", "%s", p.Detail)
	case "breaker_open":
		s.Warn("%s", p.Detail)
	}
	if p.Failed != nil && *p.Failed < s.State {
		return refuse("Run that state first; or, if this one has to be run after a failure, use --force.",
			"state %d has failed and was not done since; state %d comes after it", *p.Failed, s.State)
	}
	if p.Reason == "build_running" && len(p.Restore) == 0 {
		return nil
	}
	for _, st := range p.States {
		if st.Code >= p.From && st.Code < s.State && st.Action == "run" && st.At != nil {
			return refuse("Run the script from that state on; or, if this machine has its results all the same, use --force --no-restore.",
				"state %d must be run again before state %d. %s", st.Code, s.State, p.Why)
		}
	}
	return nil
}

// present reports whether the artifact that the step is to make is there.
func (s *step) present(p *plan) (bool, error) {
	for _, a := range p.Artifacts {
		if a.Name == s.WhenMissing {
			return a.Found && !a.Expired && !a.Revoked, nil
		}
	}
	if exists(s.WhenMissing) {
		return false, refuse("Save it with --save NAME="+s.WhenMissing+", and say --when-missing NAME.",
			"--when-missing takes the name of an artifact of the build; that there is a file %s does not say that it is whole", s.WhenMissing)
	}
	return false, nil
}

func (s *step) saySkipped(st state, p *plan) {
	what := fmt.Sprintf("State %d", s.State)
	if name := s.Name; name != "" || st.Name != "" {
		if name == "" {
			name = st.Name
		}
		what += " (" + name + ")"
	}
	switch {
	case s.WhenMissing != "":
		s.Say("%s is skipped: artifact '%s' is there.", what, s.WhenMissing)
	case st.At == nil:
		s.Say("%s is skipped. %s", what, st.Why)
	default:
		by := ""
		if st.By != nil {
			by = " by " + *st.By
		}
		s.Say("%s is skipped: it was completed %s%s.", what, st.At.Local().Format("2006-01-02 15:04:05"), by)
	}
}

// lower makes a sentence part of another one.
func lower(sentence string) string {
	sentence = strings.TrimSuffix(sentence, ".")
	if sentence == "" {
		return "it is not done"
	}
	return strings.ToLower(sentence[:1]) + sentence[1:]
}

// begin tells that the state is being done. It opens the next attempt of a
// build that failed, or whose worker is gone.
func (s *step) begin(ctx context.Context, p *plan) error {
	body := s.report("in_progress")
	body["message"], body["fingerprint"] = s.title(), s.print
	delete(body, "attempt") // the API knows which one begins
	if p != nil {
		s.claim(p, body)
	} else if r := load(s.spool); r.kept() > 0 {
		s.attempt = r.Attempt
		body["attempt"] = r.Attempt
	}
	if s.silent {
		s.begun = true
		return s.note()
	}
	var answer struct {
		Attempt int  `json:"attempt"`
		Cancel  bool `json:"cancel_requested"`
	}
	err := s.tell(ctx, fmt.Sprintf("state %d in progress", s.State), s.path("state"), body, &answer)
	if err != nil {
		return err
	}
	if answer.Attempt > 0 {
		s.attempt = answer.Attempt
	}
	if answer.Cancel {
		return errors.Join(s.cancelled(ctx), refuse("", "the build is to be cancelled"))
	}
	s.begun = true
	s.recordJob(ctx)
	return s.note()
}

// recordJob records the job of the CI with the build, once in an attempt. The
// step does not depend on it.
func (s *step) recordJob(ctx context.Context) {
	mark := fmt.Sprintf("%d %s %s", s.attempt, s.Job.CI, s.Job.ID)
	if s.Job.CI == "" || s.Job.Name == "" || s.attempt == 0 || load(s.spool).Job == mark {
		return
	}
	body := map[string]any{"platform": s.Job.CI, "job_name": s.Job.Name, "status": "running", "attempt": s.attempt}
	for key, value := range map[string]string{"job_url": s.Job.URL, "job_id": s.Job.ID} {
		if value != "" {
			body[key] = value
		}
	}
	if err := s.call(ctx, http.MethodPost, s.path("jobs"), id.New(), body, nil); err != nil {
		s.Warn("the job could not be recorded: %v", short(err))
		return
	}
	_ = change(s.spool, func(r *record) { r.Job = mark })
}

// claim says in body which attempt the state belongs to: the one this machine
// works on, else the next.
func (s *step) claim(p *plan, body map[string]any) {
	if p.Reason != "build_running" && p.Reason != "resume_in_progress" { // it failed, or nothing was done yet
		return
	}
	own := p.Lease == nil || p.Lease.Worker == s.Worker // whether another's is over, the API knows: clocks differ
	again := p.of(s.State).At != nil                    // done in this attempt, perhaps
	switch {
	case s.TakeOver, p.Reason == "build_running" && own && (p.Kept != p.Attempt || again):
		body["take_over"] = true
	case p.Kept == p.Attempt:
		body["attempt"] = p.Attempt
	}
}

// note writes down that this machine works on the attempt, before anything is
// changed.
func (s *step) note() error {
	err := change(s.spool, func(r *record) {
		for run, k := range r.Running {
			if !k.alive() {
				delete(r.Running, run)
			}
		}
		if s.attempt != 0 && r.Attempt != s.attempt || r.Running == nil {
			r.Saved = nil
			if r.Running == nil {
				r.Running = map[string]running{}
			}
		}
		r.BuildID, r.Worker = s.id, s.Worker
		if s.attempt != 0 {
			r.Attempt = s.attempt
		}
		r.Running[s.run] = self(s.State)
	})
	if err != nil {
		s.Warn("%v: the next step does not know what is here.", err)
	}
	s.spool.Also(s.id)
	return nil
}

// forget writes down that the state is not being done any more.
func (s *step) forget(saved ...string) {
	_ = change(s.spool, func(r *record) {
		delete(r.Running, s.run)
		r.Saved = append(r.Saved, saved...)
	})
}

func (s *step) title() string {
	if s.Name != "" {
		return s.Name
	}
	return strings.Join(s.Args, " ")
}

// report returns the body of a report of the state.
func (s *step) report(status string) map[string]any {
	body := map[string]any{"state_code": s.State, "worker": s.Worker}
	if status != "" {
		body["status"] = status
	}
	if s.attempt > 0 {
		body["attempt"] = s.attempt
	}
	return body
}
