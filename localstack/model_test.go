package localstack_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"pgregory.net/rapid"

	"bldst/localstack/states"
	"bldst/shared/build"
	"bldst/shared/table"
)

// An act is one thing somebody asks of a build.
type act struct {
	Build  int
	What   string // report, failure, heartbeat, cancel, resume
	Code   int
	Status build.Status // of a report
	Class  build.Class  // of a failure
	Worker string
	Belong string // to which attempt the caller belongs: none said, current, old, future
	Over   bool   // it takes the build over
}

var acts = rapid.Custom(func(t *rapid.T) act {
	return act{
		Build:  rapid.IntRange(0, 1).Draw(t, "build"),
		What:   rapid.SampledFrom([]string{"report", "report", "report", "report", "failure", "failure", "heartbeat", "cancel", "resume"}).Draw(t, "what"),
		Code:   rapid.SampledFrom([]int{5, 25, 50, 100}).Draw(t, "code"),
		Status: rapid.SampledFrom([]build.Status{build.Pending, build.InProgress, build.InProgress, build.InProgress, build.Completed, build.Completed, build.Failed, build.Cancelled}).Draw(t, "status"),
		Class:  rapid.SampledFrom([]build.Class{build.Transient, build.Transient, build.Persistent, ""}).Draw(t, "class"),
		Worker: rapid.SampledFrom([]string{"", "runner-1", "runner-2"}).Draw(t, "worker"),
		Belong: rapid.SampledFrom([]string{"none", "current", "current", "old", "future"}).Draw(t, "attempt"),
		Over:   rapid.IntRange(0, 7).Draw(t, "take over") == 0,
	}
})

// attempt returns the attempt the caller of a names for the build b, 0 for
// none.
func (a act) attempt(b *build.Build) int {
	switch {
	case a.What == "cancel" || a.What == "resume":
		return 0
	case a.Belong == "current":
		return b.Attempt
	case a.Belong == "old":
		return b.Attempt - 1
	case a.Belong == "future":
		return b.Attempt + 1
	}
	return 0
}

// A stand is the build as the model knows it.
type stand struct {
	build.Stand
	Cancelling bool
}

// fail fails the build, or cancels it when that was asked for.
func (s *stand) fail() {
	if s.Status = build.Failed; s.Cancelling {
		s.Status, s.Cancelling = build.Cancelled, false
	}
}

func standOf(b *build.Build) stand { return stand{b.Stand(), b.Cancelling} }

// An expected is what a is to be answered with, and where the build is then. A
// status of 0 is "201, or 409 and nothing has changed".
type expected struct {
	status int
	then   stand
	kept   bool // refused, but in the history
}

// expect is the model: what a comes to when the build is b at now.
func (a act) expect(b *build.Build, now time.Time) expected {
	s := standOf(b)
	final := b.Status == build.Completed || b.Status == build.Cancelled
	n := a.attempt(b)
	talks := a.What == "report" || a.What == "failure" || a.What == "heartbeat"
	switch {
	case n != 0 && n < b.Attempt:
		return expected{409, s, false}
	case n > b.Attempt:
		return expected{422, s, false}
	case talks && a.Worker != "" && held(b, now) && !b.Lease.Nameless && b.Lease.Worker != a.Worker && !(a.Over && a.What != "failure"):
		return expected{409, s, false}
	case a.What == "report":
		return a.expectReport(b, n, s, now)
	case a.What == "cancel" && final, a.What == "failure" && final, a.What == "heartbeat" && final:
		return expected{400, s, false}
	case a.What == "cancel":
		return a.expectCancel(b, s, now)
	case a.What == "resume" && (final || b.Resume.Open() && !a.Over):
		return expected{409, s, false}
	case a.What == "resume":
		s.Stand, s.Cancelling = build.Stand{State: s.State, Status: build.InProgress, Attempt: s.Attempt + 1}, false
		return expected{0, s, false}
	case a.What == "heartbeat" && b.Status == build.Failed:
		return expected{409, s, false}
	case a.What == "heartbeat" && a.Over:
		s.Attempt += begunBy(b)
		s.Status = build.InProgress
	case a.What == "failure":
		s.State = a.Code
		s.fail()
	}
	return expected{200, s, false}
}

func held(b *build.Build, now time.Time) bool { return leased(b) && b.Lease.Until.After(now) }

func leased(b *build.Build) bool {
	return b.Status.Active() && b.Lease != nil && b.Lease.Attempt == b.Attempt && b.Lease.Worker != ""
}

// begunBy returns 1 when somebody has worked on b, whom another can replace.
func begunBy(b *build.Build) int {
	if len(b.Marks) > 0 || leased(b) {
		return 1
	}
	return 0
}

func (a act) expectCancel(b *build.Build, s stand, now time.Time) expected {
	if held(b, now) {
		s.Cancelling = true
		return expected{202, s, false}
	}
	s.Status, s.Cancelling = build.Cancelled, false
	return expected{200, s, false}
}

// expectReport is the model of a report of a caller that names the attempt n.
func (a act) expectReport(b *build.Build, n int, s stand, now time.Time) expected {
	m := b.Marks[a.Code]
	done := m.Status == build.Completed && m.Attempt == b.Attempt && b.Current >= a.Code && (a.Status == build.Completed || a.Status == build.InProgress || a.Status == build.Pending)
	how := a.Status
	switch {
	case b.Status == build.Completed && done && a.Code == b.Current && how == build.Completed:
		return expected{200, s, false}
	case b.Status.Final():
		return expected{400, s, false}
	case how == build.Cancelled && !b.Cancelling && b.Status == build.Failed && n == 0:
		return expected{200, s, false}
	case how == build.Cancelled && !b.Cancelling && b.Status == build.Failed:
		return expected{409, s, true}
	case how == build.Cancelled && !b.Cancelling:
		how = build.Failed
	}
	if b.Status == build.Failed {
		return a.expectResume(how, n, s)
	}
	if over := a.replaces(b, n, how, now); over > 0 {
		s.Attempt += over
	} else if done || how == build.Completed && a.Code < b.Current && b.Status == build.InProgress && b.Marks[b.Current].Attempt == b.Attempt {
		return expected{200, s, false}
	}
	return expected{200, a.moved(how, s), false}
}

// replaces returns 1 when the report begins the next attempt of b, which is
// worked on: it says so, or the lease has ended and somebody begins anew.
func (a act) replaces(b *build.Build, n int, how build.Status, now time.Time) int {
	if a.Over {
		return begunBy(b)
	}
	if a.Worker == "" || n != 0 || !leased(b) || held(b, now) {
		return 0
	}
	if a.Worker != b.Lease.Worker || (how == build.InProgress || how == build.Pending) && a.Code <= b.Current {
		return 1
	}
	return 0
}

// expectResume is the model of a report on a failed build.
func (a act) expectResume(how build.Status, n int, s stand) expected {
	switch {
	case how == build.Failed:
	case n != 0 && !a.Over:
		return expected{409, s, true}
	default:
		s.Attempt++
		s.Cancelling = false
	}
	return expected{200, a.moved(how, s), false}
}

// moved is the build once the report of how counts.
func (a act) moved(how build.Status, s stand) stand {
	was := s.Status
	s.State, s.Status = a.Code, how
	switch {
	case how == build.Cancelled:
		s.Cancelling = false
	case how == build.Failed:
		s.fail()
	case how == build.Completed && a.Code == 100:
		s.Cancelling = false
	case how == build.Pending && was == build.Pending:
	default:
		s.Status = build.InProgress
	}
	return s
}

// A modelled is the system under random use, and what must be true of it.
type modelled struct {
	*scenario
	ids []string

	sync.Mutex
	said  int
	lamed map[string]bool            // builds a token of which was lost
	acked map[string]map[string]bool // by build, what was reported and acknowledged
	bad   []string                   // what contradicts the model
}

// do does a and compares what comes of it with the model.
func (m *modelled) do(a act) {
	id := m.ids[a.Build]
	m.Lock()
	m.said++
	text := fmt.Sprintf("said %d", m.said)
	m.Unlock()
	before := m.build(id)
	e := a.expect(before, m.clock.Now())
	want, then := e.status, e.then
	status, out := m.call("POST", "/builds/"+id+a.path(), a.body(before, text))
	after := m.build(id)
	accepted := status/100 == 2
	m.Lock()
	defer m.Unlock()
	kept := e.kept && status == 409 && after.Rev != before.Rev
	if (accepted || kept) && (a.What == "report" || a.What == "failure") {
		m.acked[id][text] = true
	}
	changes := kept || accepted && (a.What != "heartbeat" || a.Over)
	if want == 0 && (status == 201 || status == 409) || m.broken.Load() && status == 503 {
		want = status
	}
	switch {
	case after.Rev > before.Rev+1 || after.Rev == before.Rev+1 && !changes:
		// somebody else has changed it, too
	case status != want:
		m.bad = append(m.bad, fmt.Sprintf("%+v on %+v: answered %d %v, want %d", a, standOf(before), status, out, want))
	case (accepted || kept) && standOf(after) != then:
		m.bad = append(m.bad, fmt.Sprintf("%+v on %+v leads to %+v, want %+v", a, standOf(before), standOf(after), then))
	case !changes && after.Rev != before.Rev || changes && after.Rev != before.Rev+1:
		m.bad = append(m.bad, fmt.Sprintf("%+v on %+v: answered %d, revision from %d to %d", a, standOf(before), status, before.Rev, after.Rev))
	}
}

func (a act) path() string {
	if a.What == "report" {
		return "/state"
	}
	return "/" + a.What
}

func (a act) body(b *build.Build, text string) doc {
	out := doc{}
	switch a.What {
	case "report":
		out = doc{"state_code": a.Code, "status": a.Status, "message": text, "worker": a.Worker}
	case "failure":
		out = doc{"state_code": a.Code, "error_message": text, "worker": a.Worker}
		if a.Class != "" {
			out["failure_class"] = a.Class
		}
	case "heartbeat":
		out = doc{"worker": a.Worker}
	case "cancel":
		return doc{"reason": text}
	case "resume":
		return doc{"resume_from_state": b.Current, "force": a.Code > 5, "take_over": a.Over}
	}
	if a.Over && a.What != "failure" {
		out["take_over"] = true
	}
	if n := a.attempt(b); n > 0 {
		out["attempt"] = n
	}
	return out
}

var tasks = []string{"open-build", "await-report", "record-stall", "decide-failure", "resume-build"}

// modelOf begins with two builds, a policy that resumes, and a feed that
// brings every change three times and in any order.
func modelOf(outer *testing.T, t *rapid.T) *modelled {
	m := &modelled{scenario: openScenario(t, outer.TempDir(), noon), acked: map[string]map[string]bool{}, lamed: map[string]bool{}}
	p := automatic(build.Transient, 2, 0, 300)
	p.Classes[build.Stalled] = build.ClassPolicy{Retries: 1, Backoff: []int{60}}
	p.Automatic = rapid.Bool().Draw(t, "automatic")
	m.policy(p)
	m.shape = threeTimes(rapid.Uint64().Draw(t, "order of the feed"))
	for _, number := range []string{"n1", "n2"} {
		id := m.create(number)
		m.ids, m.acked[id] = append(m.ids, id), map[string]bool{}
	}
	return m
}

// threeTimes delivers each change three times, in any order.
func threeTimes(seed uint64) func([]table.Change) [][]table.Change {
	rnd := rand.New(rand.NewPCG(seed, 7))
	return func(cs []table.Change) [][]table.Change {
		all := slices.Concat(cs, cs, cs)
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return slices.Collect(slices.Chunk(all, 1+rnd.IntN(len(all))))
	}
}

// actions are what happens, in any order.
func (m *modelled) actions() map[string]func(*rapid.T) {
	someTask := rapid.SampledFrom(tasks)
	anyBuild := rapid.IntRange(0, 1)
	act := func(t *rapid.T) {
		m.do(acts.Draw(t, "act"))
		m.settle()
	}
	return map[string]func(*rapid.T){
		"act": act, "act again": act, "act and again": act, "act once more": act,
		"act in the middle of a task": func(t *rapid.T) {
			a, task := acts.Draw(t, "act"), someTask.Draw(t, "task")
			m.mu.Lock()
			m.before[task] = func() { m.do(a) }
			m.mu.Unlock()
		},
		"act while nothing can be written": func(t *rapid.T) {
			m.broken.Store(true)
			m.do(acts.Draw(t, "act"))
			m.broken.Store(false)
		},
		"time passes": func(t *rapid.T) {
			m.clock.Advance(time.Duration(rapid.SampledFrom([]int{1, 30, 120, 580, 700, 3600, 7300}).Draw(t, "seconds")) * time.Second)
		},
		"answers of a task are lost": func(t *rapid.T) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.lost[someTask.Draw(t, "task")] = rapid.IntRange(1, 10).Draw(t, "times")
		},
		"a token is lost":               func(t *rapid.T) { m.lame(m.ids[anyBuild.Draw(t, "build")]) },
		"the feed stands still or goes": func(*rapid.T) { m.stuck = !m.stuck; m.settle() },
		"the engine is restarted":       func(*rapid.T) { m.restart() },
		"an execution is aborted":       func(t *rapid.T) { m.abort(m.ids[anyBuild.Draw(t, "build")]) },
		"":                              m.check,
	}
}

// lame makes the table forget the token the build has parked.
func (m *modelled) lame(id string) {
	m.lamed[id] = true
	m.loseToken(id)
}

// abort stops the execution that drives the build, if there is one.
func (m *modelled) abort(id string) {
	arn := m.build(id).Execution
	if st, err := m.engine.Stats(arn); err == nil && st.Status == states.Running {
		m.stop(arn[strings.LastIndex(arn, ":")+1:])
	}
}

// check fails the run when something contradicts the model.
func (m *modelled) check(t *rapid.T) {
	m.Lock()
	defer m.Unlock()
	if len(m.bad) > 0 {
		t.Fatal(strings.Join(m.bad, "\n"))
	}
}

// end lets time pass until every build has come to where it stays.
func (m *modelled) end(t *rapid.T) {
	m.stuck = false
	m.settle()
	m.clock.Advance(3 * 24 * time.Hour)
	m.check(t)
	open := m.open()
	for _, id := range m.ids {
		m.endOf(t, id, open[id])
		m.historyOf(t, id)
	}
	m.forEver(t)
}

// endOf checks that a person can understand where the build is.
func (m *modelled) endOf(t *rapid.T, id string, open []string) {
	b := m.build(id)
	c := b.Decision
	switch b.Status {
	case build.Completed, build.Cancelled:
		if len(open) > 0 && !m.lamed[id] {
			t.Errorf("%s build has open executions %q", b.Status, open)
		}
	case build.Failed:
		if b.FailureClass == "" || b.Message == "" || c == nil || c.Attempt != b.Attempt || c.Reason == "" || c.Next != build.Await && c.Next != build.GiveUp {
			t.Errorf("failed build with class %q, message %q in attempt %d, decided %+v", b.FailureClass, b.Message, b.Attempt, c)
		}
	default:
		t.Errorf("after days the build is still %s in state %d; driven by %q, open %q", b.Status, b.Current, b.Execution, open)
	}
	if !m.lamed[id] && (len(open) > 1 || len(open) == 1 && open[0] != b.Execution) {
		t.Errorf("%s build driven by %q has open executions %q", b.Status, b.Execution, open)
	}
}

// forEver lets as much time pass as an execution waits at most: then none is
// open, not even one whose token was lost and that was replaced.
func (m *modelled) forEver(t *rapid.T) {
	m.stuck = true
	_ = m.bus.Close() // what is swept every minute would take long
	for range 2 {     // a wait that has ended may find that the build goes on elsewhere, and wait once more
		m.clock.Advance(build.PersonWait + 24*time.Hour)
	}
	if open := m.open(); len(open) > 0 {
		t.Errorf("open for ever: %q", open)
	}
}

// open returns the open executions of every build.
func (m *modelled) open() map[string][]string {
	arn := machineARN
	out, err := m.sfn.ListExecutions(m.t.Context(), &sfn.ListExecutionsInput{StateMachineArn: &arn, StatusFilter: types.ExecutionStatusRunning})
	if err != nil {
		m.t.Fatal(err)
	}
	open := map[string][]string{}
	for _, e := range out.Executions {
		for _, id := range m.ids {
			if strings.HasPrefix(*e.Name, id) {
				open[id] = append(open[id], *e.ExecutionArn)
			}
		}
	}
	return open
}

// historyOf checks that the history of the build holds everything that was
// acknowledged and nothing that was refused, and leads from one entry to the
// next to where the build is.
func (m *modelled) historyOf(t *rapid.T, id string) {
	status, verdict := m.call("GET", "/builds/"+id+"/history/verify", nil)
	if status != 200 || verdict["valid"] != true {
		t.Errorf("the history does not verify: %d %v", status, verdict)
	}
	b, rows, _, err := m.store.History(m.t.Context(), id, build.HistoryQuery{Limit: table.MaxLimit})
	if err != nil || len(rows) != int(b.Rev) {
		t.Fatalf("want %d rows, got %d, %v", b.Rev, len(rows), err)
	}
	told := map[string]bool{}
	var last build.Entry
	for _, r := range rows {
		e, err := r.Entry()
		if err != nil {
			t.Fatal(err)
		}
		if last.Seq > 0 {
			follows(t, last, e)
		}
		if text := saidIn(e); text != "" {
			if told[text] || !m.acked[id][text] {
				t.Errorf("%q stands in the history, acknowledged %t, twice %t", text, m.acked[id][text], told[text])
			}
			told[text] = true
		}
		last = e
	}
	for text := range maps.Keys(m.acked[id]) {
		if !told[text] {
			t.Errorf("%q was acknowledged and is lost", text)
		}
	}
	if last.After != b.Place() || last.Attempt != b.Attempt {
		t.Errorf("the history ends at %+v in attempt %d, the build is at %+v", last.After, last.Attempt, b.Stand())
	}
}

// follows checks that e may follow last.
func follows(t *rapid.T, last, e build.Entry) {
	reopens := e.Kind == build.ResumeRequested || e.Kind == build.StateReported || e.Kind == build.BuildTakenOver
	switch {
	case e.Before != last.After:
		t.Errorf("entry %d begins at %+v, the one before ended at %+v", e.Seq, e.Before, last.After)
	case e.Attempt != last.Attempt && (e.Attempt != last.Attempt+1 || !reopens):
		t.Errorf("entry %d, a %s, goes from attempt %d to %d", e.Seq, e.Kind, last.Attempt, e.Attempt)
	case last.After.Status.Final() && e.After != last.After:
		t.Errorf("entry %d, a %s, goes on from %+v to %+v", e.Seq, e.Kind, last.After, e.After)
	}
}

// saidIn returns what a caller of the model reported in e, "" for nothing.
func saidIn(e build.Entry) string {
	var data struct {
		Message string `json:"message"`
		Error   string `json:"error_message"`
	}
	if e.Kind != build.StateReported && e.Kind != build.StateRepeated && e.Kind != build.FailureReported || json.Unmarshal(e.Data, &data) != nil {
		return ""
	}
	for _, text := range []string{data.Message, data.Error} {
		if strings.HasPrefix(text, "said ") {
			return text
		}
	}
	return ""
}

// Whatever happens, in whatever order: rapid prints the seed of a failure, and
// the shortest way to it.
func TestNothingIsLostAndEveryBuildEndsInAStateAPersonCanUnderstand(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		m := modelOf(t, r)
		r.Repeat(m.actions())
		m.end(r)
	})
}
