package build

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bldst/shared/api"
	"bldst/shared/problem"
)

// A ReportIn is the body of POST /builds/{id}/state and /states, in every
// generation: state_code, state or state_name say where, status how.
type ReportIn struct {
	StateCode api.IntOrString `json:"state_code,omitzero" doc:"0-100, or the name of a state."`
	State     api.IntOrString `json:"state,omitzero" doc:"Alias of state_code."`
	StateName string          `json:"state_name,omitempty" maxLength:"100" doc:"The name of a state, from the project's state codes or built in."`
	Status    string          `json:"status,omitempty" doc:"pending, in_progress, completed, failed or cancelled, or what a CI calls them. A text that is not understood is kept as the message; it completes nothing and resumes nothing, and the answer carries a Warning."`
	Message   string          `json:"message,omitempty" doc:"The middle of one longer than 4000 characters is left out."`
	Metadata  json.RawMessage `json:"metadata,omitempty"`

	ArtifactStorageType string          `json:"artifact_storage_type,omitempty" maxLength:"50" doc:"s3, nfs, ebs, ceph, azure-blob, gcs, local ..."`
	ArtifactStoragePath string          `json:"artifact_storage_path,omitempty" maxLength:"2000"`
	ArtifactSizeBytes   *int64          `json:"artifact_size_bytes,omitempty" minimum:"0"`
	ArtifactChecksum    string          `json:"artifact_checksum,omitempty" maxLength:"128"`
	ArtifactMetadata    json.RawMessage `json:"artifact_metadata,omitempty"`

	StartTime    *api.Time `json:"start_time,omitempty"`
	EndTime      *api.Time `json:"end_time,omitempty"`
	ErrorMessage string    `json:"error_message,omitempty" doc:"As message."`
	RetryCount   *int      `json:"retry_count,omitempty" minimum:"0" maximum:"1000000"`

	BuildID string   `json:"build_id,omitempty" doc:"Older callers say it once more; the path counts."`
	Unread  []string `json:"-"` // fields of a failure that could not be read

	Attempt      *int   `json:"attempt,omitempty" minimum:"1" maximum:"1000000" doc:"The attempt the worker belongs to; a report of a replaced one is refused. Also as header X-Build-Attempt."`
	Worker       string `json:"worker,omitempty" maxLength:"200" doc:"Who reports. With it the worker gets a lease."`
	Target       string `json:"target,omitempty" maxLength:"200" doc:"The part of the state this is about, e.g. a region; without commas. It says nothing of the other parts: a report without target completes the state."`
	Fingerprint  string `json:"fingerprint,omitempty" maxLength:"200" doc:"Of the state's inputs."`
	AllowPartial bool   `json:"allow_partial,omitempty" doc:"The build is completed although targets of it are not done; they stay in open_targets."`
	Rerun        bool   `json:"rerun,omitempty" doc:"The state is run again although it is done in this attempt. Without it such a report is taken for one that came late or twice."`
	TakeOver     bool   `json:"take_over,omitempty" doc:"The worker replaces whoever holds the build: the next attempt begins."`
	Release      bool   `json:"release,omitempty" doc:"The worker gives its lease back with this report: another one goes on in the same attempt."`
}

// A Report says that a build is in a state, and how that state is going.
type Report struct {
	ReportIn
	At      int    // where
	How     Status // how
	Text    string // what to show a person
	Attempt int    // of the worker; 0 when it did not say
	Class   Class  // of the failure, when the status word tells
	Unclear string // what was not understood of the status, and what was made of it; "" when it was

	Warnings []string // what the caller is told beside that
	whole    string   // the text that Text is of

	Interrupted bool // it was reported as cancelled, and nobody had asked for that
}

// Normalise is the one place that knows the spellings of a report. current is
// where the build is, for names that stand for no progress.
func (in ReportIn) Normalise(current int, rules Rules) (Report, error) {
	r := Report{ReportIn: in, Text: in.Message}
	code, err := in.code(current, rules)
	if err != nil {
		return r, err
	}
	r.At = code.Number
	if err := r.documents(); err != nil {
		return r, err
	}
	r.how(code, rules)
	if r.Text == "" {
		r.Text = in.ErrorMessage
	}
	r.whole, r.Text, r.ErrorMessage = r.Text, cut(r.Text, MaxText), cut(r.ErrorMessage, MaxText)
	for _, f := range []struct{ name, text string }{{"message", r.whole}, {"error_message", in.ErrorMessage}} {
		if note := CutNote(f.name, f.text, MaxText); note != "" {
			r.Warnings = append(r.Warnings, note)
		}
	}
	if in.Attempt != nil {
		r.Attempt = *in.Attempt
	}
	return r, nil
}

// documents refuses metadata that is no object; that of a failure is kept
// whatever it is.
func (r *Report) documents() error {
	for name, doc := range map[string]*json.RawMessage{"metadata": &r.Metadata, "artifact_metadata": &r.ArtifactMetadata} {
		if isNull(*doc) || r.failing() && len(*doc) <= MaxMetadata {
			continue
		}
		var err error
		if *doc, err = object(name, *doc); err != nil {
			return err
		}
	}
	return nil
}

// failing reports whether in tells of a failure: that is not lost for anything
// that is only kept.
func (in *ReportIn) failing() bool {
	m, known := ParseWord(in.Status)
	return known && (m.State == Failed || m.State == Cancelled)
}

// Ornaments implements api.Keeper.
func (in *ReportIn) Ornaments() []string {
	return []string{"build_id", "start_time", "end_time", "retry_count", "artifact_storage_type", "artifact_storage_path", "artifact_size_bytes", "artifact_checksum", "error_message"}
}

// Keep implements api.Keeper: a report that is none of a failure is refused.
func (in *ReportIn) Keep(unread map[string]string) bool {
	in.Unread = unreadLines(unread)
	return in.failing()
}

// how sets what r says of the state code. A word that is not understood is kept
// as text, and whatever it means, nothing is completed by it.
func (r *Report) how(code Code, rules Rules) {
	m, known := ParseWord(r.Status)
	r.How, r.Class = m.State, m.Class
	ends := r.At == LastState || rules.Final(r.At)
	switch {
	case m.Skips && ends:
		r.How, r.Unclear = InProgress, fmt.Sprintf("The status '%s' completes no build; report completed at %d when it is done.", r.Status, r.At)
	case known:
		return
	case r.Status == "" && (code.Final || r.At == LastState):
		r.How = Completed
		return
	case r.Status != "":
		r.Unclear = Misunderstood(r.Status, "it was kept as the message and completes nothing.")
		fallthrough
	default:
		r.How = code.how()
	}
	if r.Status = strings.TrimSpace(r.Status); r.Status != "" {
		r.Text = strings.TrimSuffix(r.Status+": "+r.Message, ": ")
	}
}

// how returns what reporting c says when nothing else does.
func (c Code) how() Status {
	switch {
	case c.Cancels:
		return Cancelled
	case c.Error:
		return Failed
	default:
		return InProgress
	}
}

// code returns the state the report is about.
func (in ReportIn) code(current int, rules Rules) (Code, error) {
	for _, v := range []api.IntOrString{in.StateCode, in.State, {Word: in.StateName}} {
		switch {
		case v.Int != nil:
			if *v.Int < FirstState || *v.Int > LastState {
				return Code{}, problem.BadField("state_code", "out_of_range", "A state code is a number from 0 to 100")
			}
			return Code{Number: *v.Int}, nil
		case v.Word != "":
			code, err := rules.Code(v.Word)
			if code.Error || code.Cancels {
				code.Number = current
			}
			return code, err
		}
	}
	return Code{}, problem.Missing("state_code")
}

// Advance applies r, which has passed the Fence, to b: which status may follow
// which, what is remembered of the state, and when a build ends or is taken up
// again. It returns the entry for the history. Refused when the build has
// ended; Kept when r names an attempt that has failed.
func (b *Build) Advance(r Report, rules Rules, now time.Time) (Entry, error) {
	if b.Status == Completed && r.At == b.Current && r.How == Completed && b.settled(r) {
		return b.note(r, now)
	}
	if err := b.open(); err != nil {
		return Entry{}, err
	}
	if err := b.checkTarget(r.At, r.Target); err != nil {
		return Entry{}, err
	}
	if r.How == Cancelled && !b.Cancelling { // nobody asked for it: the runner was taken away
		if b.Status == Failed {
			return b.late(r, now)
		}
		r.How, r.Interrupted = Failed, true
	}
	switch {
	case b.alongside(r):
		b.markAlongside(r)
		return b.stateEntry(r, now)
	case b.Status == Failed && r.Unclear != "" && r.How == InProgress: // nobody is said to work on it again
		return b.late(r, now)
	case b.Status == Failed && r.Attempt != 0 && r.How != Failed && !r.TakeOver:
		return Entry{}, b.keep(r, now)
	case r.TakeOver || b.restarts(r, now):
		b.takeOver(r.Worker)
	}
	if err := b.checkOpen(r, rules); err != nil {
		return Entry{}, err
	}
	return b.advance(r, rules, now)
}

// advance is Advance for a report that belongs to the current attempt.
func (b *Build) advance(r Report, rules Rules, now time.Time) (Entry, error) {
	switch {
	case b.settled(r):
		b.lateTarget(r)
		return b.note(r, now)
	case b.passed(r, rules):
		b.mark(r, now)
		if b.LastCompleted == nil || *b.LastCompleted < r.At || b.Marks[*b.LastCompleted].Attempt != b.Attempt {
			b.complete(r.At)
		}
		return b.stateEntry(r, now)
	}
	b.take(r, ofTarget(r.Target, r.How), rules, now)
	return b.stateEntry(r, now)
}

// late returns the entry of a word about a failed build that changes nothing.
func (b *Build) late(r Report, now time.Time) (Entry, error) {
	if r.Attempt != 0 {
		return Entry{}, b.keep(r, now)
	}
	return b.note(r, now)
}

// take applies r, which says that the state it is about goes on as how.
func (b *Build) take(r Report, how Status, rules Rules, now time.Time) {
	if b.Status == Failed && how != Failed && how != Cancelled {
		b.reopen()
	}
	begun := b.begun(r.At, how)
	b.mark(r, now)
	b.Current, b.Message = r.At, r.Text
	switch {
	case how == Failed:
		b.fail(r.At, r.class(), now)
	case how == Cancelled:
		b.end(Cancelled, now)
	case how == Completed && (r.At == LastState || rules.Final(r.At)):
		b.complete(r.At)
		b.end(Completed, now)
	case how == Completed:
		b.complete(r.At)
		b.go_(InProgress, now)
	case how == Pending && b.Status == Pending:
	default:
		b.go_(InProgress, now)
	}
	if !begun {
		b.watch(rules, now)
	}
	b.followResume(r.At, how)
}

// class returns the class of the failure that r reports. That it took too long,
// or was not heard of, is the word of who watched it; else the message knows
// more.
func (r Report) class() Class {
	switch {
	case r.Interrupted:
		return Transient
	case r.Class == TimedOut || r.Class == Stalled:
		return r.Class
	}
	if c := ClassOf(Signs{Message: r.whole}); c != Unknown || r.Class == "" {
		return c
	}
	return r.Class
}

// open refuses when nothing may follow.
func (b *Build) open() error {
	if b.Status.Final() {
		return problem.New(problem.Refused, "Cannot transition a %s build.", b.Status)
	}
	return nil
}

// reopen begins the next attempt of a failed build.
func (b *Build) reopen() {
	b.Attempt++
	if b.FailedState != nil {
		b.Recovering = b.FailedState
	}
	b.EndTime, b.FailedState, b.FailureClass, b.Cancelling = nil, nil, "", false
}

func (b *Build) go_(s Status, now time.Time) {
	b.Status = s
	if b.StartTime == nil {
		b.StartTime = &now
	}
}

// fail fails b in the state code; a build that is to be cancelled is cancelled
// with that: its worker has stopped, and nobody wants it resumed.
func (b *Build) fail(code int, class Class, now time.Time) {
	if b.Cancelling {
		b.end(Cancelled, now)
		return
	}
	b.end(Failed, now)
	b.FailedState, b.FailureClass = &code, class
}

func (b *Build) complete(code int) {
	b.LastCompleted = &code
	if b.Recovering != nil && code >= *b.Recovering {
		b.Recovering = nil
	}
}

func (b *Build) end(s Status, now time.Time) {
	b.go_(s, now)
	b.EndTime = &now
	if s == Completed {
		b.Recovering = nil
	}
	if s.Final() {
		b.Cancelling = false
	}
}

// mark remembers how the state r is about is going.
func (b *Build) mark(r Report, now time.Time) {
	m, how := b.Marks[r.At], ofTarget(r.Target, r.How)
	if !b.standing(r.At, m, r.Fingerprint) {
		m.Targets = nil
	}
	again := m.Status == Completed && how == Completed && m.Attempt == b.Attempt // said twice
	if !again && (m.Begin == 0 || m.End != 0 || m.Attempt != b.Attempt) {
		m.Begin, m.End, m.Tries = now.Unix(), 0, m.Tries+1
		if m.By = ""; m.Targets == nil {
			m.Fingerprint = ""
		}
	}
	if how != InProgress && how != Pending {
		m.End = now.Unix()
	}
	if how == Completed {
		m.By = either(b.worker(r.Worker), m.By)
	}
	m.Status, m.Attempt = how, b.Attempt
	if r.Fingerprint != "" {
		m.Fingerprint = r.Fingerprint
	}
	m.setTarget(r.Target, r.How)
	if b.Marks == nil {
		b.Marks = Marks{}
	}
	b.Marks[r.At] = m
}

// worker returns who reports: the worker that says its name, else the one that
// holds the build.
func (b *Build) worker(name string) string {
	if name == "" && b.leased() {
		return b.Lease.Worker
	}
	return name
}

// begun reports whether a report only says again that the state the build is
// in goes on: its limit keeps running.
func (b *Build) begun(code int, how Status) bool {
	m := b.Marks[code]
	return b.Status == InProgress && how == InProgress && b.Current == code && m.Status == InProgress && m.Attempt == b.Attempt
}

// watch sets until when something must be heard of the state the build is in.
func (b *Build) watch(rules Rules, now time.Time) {
	b.Deadline = nil
	if !b.Status.Active() {
		return
	}
	if _, limit := rules.Windows(b.Current); limit > 0 {
		until := now.Add(limit)
		b.Deadline = &until
	}
}

// stateEntry returns the entry of a report that was applied to b.
func (b *Build) stateEntry(r Report, now time.Time) (Entry, error) {
	m := b.Marks[r.At]
	row := StateRow{
		StateCode: r.At, State: r.At, Status: r.How, Message: r.Text, Metadata: r.Metadata,
		ArtifactStorageType: r.ArtifactStorageType, ArtifactStoragePath: r.ArtifactStoragePath,
		ArtifactSizeBytes: r.ArtifactSizeBytes, ArtifactChecksum: r.ArtifactChecksum, ArtifactMetadata: r.ArtifactMetadata,
		StartTime: m.begun(now), ErrorMessage: r.ErrorMessage, RetryCount: b.Marks.Retries(r.At),
		Attempt: b.Attempt, Worker: r.Worker, Target: r.Target, Fingerprint: r.Fingerprint, Unread: r.Unread,
	}
	if at := r.StartTime.At(); at != nil {
		row.StartTime = *at
	}
	if r.RetryCount != nil {
		row.RetryCount = *r.RetryCount
	}
	if row.EndTime = m.ended(r, now); row.EndTime != nil {
		secs := max(0, int64(row.EndTime.Sub(row.StartTime).Seconds()))
		row.Duration = &secs
	}
	if r.How == Failed {
		row.ErrorMessage, row.FailureClass = either(row.ErrorMessage, r.Text), r.class()
	}
	if r.Interrupted {
		row.FailureType = Interrupted
	}
	return NewEntry(StateReported, row)
}

// begun returns when the try that m is of began; now when it is of none.
func (m Mark) begun(now time.Time) time.Time {
	if m.Begin == 0 {
		return now
	}
	return time.Unix(m.Begin, 0).UTC()
}

// A StateRow is one report as the history keeps it: without what was not said.
type StateRow struct {
	ID                  string          `json:"id,omitempty"`
	BuildID             string          `json:"build_id,omitempty"`
	StateCode           int             `json:"state_code"`
	State               int             `json:"state" doc:"Same as state_code."`
	Status              Status          `json:"status" doc:"Of the state, not of the build."`
	Message             string          `json:"message,omitempty"`
	Metadata            json.RawMessage `json:"metadata,omitempty"`
	ArtifactStorageType string          `json:"artifact_storage_type,omitempty"`
	ArtifactStoragePath string          `json:"artifact_storage_path,omitempty"`
	ArtifactSizeBytes   *int64          `json:"artifact_size_bytes,omitempty"`
	ArtifactChecksum    string          `json:"artifact_checksum,omitempty"`
	ArtifactMetadata    json.RawMessage `json:"artifact_metadata,omitempty"`
	StartTime           time.Time       `json:"start_time"`
	EndTime             *time.Time      `json:"end_time,omitempty"`
	Duration            *int64          `json:"duration_seconds,omitempty"`
	ErrorMessage        string          `json:"error_message,omitempty"`
	FailureClass        Class           `json:"failure_class,omitempty"`
	FailureType         string          `json:"failure_type,omitempty"`
	RetryCount          int             `json:"retry_count"`
	Attempt             int             `json:"attempt"`
	Worker              string          `json:"worker,omitempty"`
	Target              string          `json:"target,omitempty"`
	Fingerprint         string          `json:"fingerprint,omitempty"`
	Unread              []string        `json:"unread,omitempty"`
	Timestamp           time.Time       `json:"timestamp,omitzero"`
	CreatedAt           time.Time       `json:"created_at,omitzero"`
}

// stateOf returns the report the entry holds.
func stateOf(e Entry) (ShownState, error) {
	var row StateRow
	if err := json.Unmarshal(e.Data, &row); err != nil {
		return ShownState{}, fmt.Errorf("history row %d of build %s: %w", e.Seq, e.BuildID, err)
	}
	row.ID, row.BuildID, row.Timestamp, row.CreatedAt = e.ID, e.BuildID, e.At, e.At
	return row.show(), nil
}

// A ShownState is one report as callers read it: every field is there.
type ShownState struct {
	ID                  string          `json:"id"`
	BuildID             string          `json:"build_id"`
	StateCode           int             `json:"state_code"`
	State               int             `json:"state" doc:"Same as state_code."`
	Status              Status          `json:"status" doc:"Of the state, not of the build."`
	Message             *string         `json:"message"`
	Metadata            json.RawMessage `json:"metadata"`
	ArtifactStorageType *string         `json:"artifact_storage_type"`
	ArtifactStoragePath *string         `json:"artifact_storage_path"`
	ArtifactSizeBytes   *int64          `json:"artifact_size_bytes"`
	ArtifactChecksum    *string         `json:"artifact_checksum"`
	ArtifactMetadata    json.RawMessage `json:"artifact_metadata"`
	StartTime           time.Time       `json:"start_time"`
	EndTime             *time.Time      `json:"end_time"`
	Duration            *int64          `json:"duration_seconds"`
	ErrorMessage        *string         `json:"error_message"`
	RetryCount          int             `json:"retry_count"`
	Attempt             int             `json:"attempt"`
	Worker              *string         `json:"worker"`
	Target              *string         `json:"target"`
	Fingerprint         *string         `json:"fingerprint"`
	Unread              []string        `json:"unread" doc:"Of a failure: fields that could not be read, as they were sent."`
	Timestamp           time.Time       `json:"timestamp" doc:"Same as created_at."`
	CreatedAt           time.Time       `json:"created_at"`
}

func (r StateRow) show() ShownState {
	return ShownState{
		ID: r.ID, BuildID: r.BuildID, StateCode: r.StateCode, State: r.State, Status: r.Status, Message: text(r.Message), Metadata: raw(r.Metadata),
		ArtifactStorageType: text(r.ArtifactStorageType), ArtifactStoragePath: text(r.ArtifactStoragePath), ArtifactSizeBytes: r.ArtifactSizeBytes,
		ArtifactChecksum: text(r.ArtifactChecksum), ArtifactMetadata: raw(r.ArtifactMetadata), StartTime: r.StartTime, EndTime: r.EndTime, Duration: r.Duration,
		ErrorMessage: text(r.ErrorMessage), RetryCount: r.RetryCount, Attempt: r.Attempt, Worker: text(r.Worker), Target: text(r.Target),
		Fingerprint: text(r.Fingerprint), Unread: r.Unread, Timestamp: r.Timestamp, CreatedAt: r.CreatedAt,
	}
}
