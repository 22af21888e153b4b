package localstack_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"bldst/localstack/states"
	"bldst/shared/build"
	"bldst/shared/problem"
	"bldst/shared/table"
)

func TestAWorkerDiesInState50(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	s.policy(automatic(build.Stalled, 1, 300))
	id := s.create("n1")
	s.report(id, 45, "completed", "runner-1", 1)
	s.report(id, 50, "in_progress", "runner-1", 1)
	s.beaten(id, "runner-1", 30*time.Minute)
	s.clock.Advance(build.DefaultHeartbeat - time.Minute)
	s.expect(id, build.InProgress, "", 1)
	s.clock.Advance(2 * time.Minute) // its window and a minute after the last beat
	b := s.expect(id, build.Failed, build.Stalled, 1)
	if b.Current != 50 || *b.LastCompleted != 45 || !strings.Contains(b.Message, "runner-1") {
		t.Errorf("got %+v", b)
	}
	s.execution(id+"-a1", states.Running, "Backoff")
	s.clock.Advance(5 * time.Minute)
	s.expect(id, build.InProgress, "", 2)
	s.report(id, 50, "in_progress", "runner-2", 2)
	s.report(id, 50, "completed", "runner-2", 2)
	s.report(id, 100, "completed", "runner-2", 2)
	s.expect(id, build.Completed, "", 2)
	s.execution(id+"-a1", states.Succeeded, "Done")
	if got, want := s.news(), []string{"completed", "recovered", "resume_requested", "stalled"}; !slices.Equal(got, want) {
		t.Errorf("want %q told, got %q", want, got)
	}
}

func TestASecondRunnerStartsWhileTheFirstStillWrites(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	s.policy(automatic(build.Stalled, 1, 0))
	id := s.create("n1")
	s.report(id, 25, "in_progress", "runner-1", 1)
	s.clock.Advance(build.DefaultHeartbeat + time.Minute)
	s.expect(id, build.InProgress, "", 2)
	s.report(id, 25, "in_progress", "runner-2", 2)
	before := s.build(id)
	status, problem := s.call("POST", "/builds/"+id+"/state", doc{"state_code": 30, "status": "completed", "worker": "runner-1", "attempt": 1})
	if status != 409 || problem["code"] != "stale_attempt" {
		t.Errorf("want the first one fenced, got %d %v", status, problem)
	}
	s.settle()
	if after := s.build(id); after.Rev != before.Rev || after.Lease.Worker != "runner-2" {
		t.Errorf("the first one has changed the build: %+v", after)
	}
	s.report(id, 100, "completed", "runner-2", 2)
	s.execution(id+"-a1", states.Succeeded, "Done")
}

func TestHeartbeatsStopButReportsDoNot(t *testing.T) {
	t.Parallel()
	for _, worker := range []string{"runner-1", ""} {
		s := newScenario(t)
		id := s.create("n1")
		s.report(id, 25, "in_progress", "runner-1", 1)
		s.beat(id, "runner-1")
		for range 8 { // a report every nine minutes is enough
			s.clock.Advance(9 * time.Minute)
			s.report(id, 25, "in_progress", worker, 1)
		}
		s.expect(id, build.InProgress, "", 1)
	}
}

func TestCallersThatKnowNoWorkersAreOnlyBoundByTheLimitOfTheState(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	id := s.ok("POST", "/builds", doc{"build_id": "old", "platform": "aws-commercial"})["id"].(string)
	s.ok("POST", "/builds/"+id+"/state", doc{"state_code": 25})
	s.clock.Advance(build.DefaultLimit(25) - time.Minute)
	s.expect(id, build.InProgress, "", 1)
	s.clock.Advance(2 * time.Minute)
	s.expect(id, build.Failed, build.TimedOut, 1)
	s.ok("POST", "/builds/"+id+"/state", doc{"state_code": 25}) // it resumes as it always did
	s.expect(id, build.InProgress, "", 2)
	s.ok("POST", "/builds/"+id+"/state", doc{"state_code": 100})
	s.execution(id+"-a1", states.Succeeded, "Done")
}

func TestAReportArrivesBeforeTheTokenIsParked(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	var id string
	s.before["await-report"] = func() {
		id = s.onlyBuild()
		if status, out := s.call("POST", "/builds/"+id+"/state", doc{"state_code": 25}); status != 200 {
			t.Errorf("report: %d %v", status, out)
		}
	}
	s.create("n1")
	s.execution(id+"-a1", states.Running, "AwaitReport")
	if d := s.driver(id); d.Seen.State != 25 || d.Token == "" {
		t.Errorf("the machine waits for something else: %+v", d)
	}
	s.report(id, 100, "completed", "", 1)
	s.execution(id+"-a1", states.Succeeded, "Done")
}

func TestTheTokenIsLost(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	s.policy(automatic(build.Stalled, 1, 60))
	id := s.create("n1")
	s.report(id, 25, "in_progress", "runner-1", 1)
	s.loseToken(id)
	s.report(id, 30, "in_progress", "runner-1", 1) // the machine never hears of it
	s.clock.Advance(build.DefaultHeartbeat + time.Minute)
	s.expect(id, build.Failed, build.Stalled, 1)
	s.clock.Advance(5 * time.Minute) // the machine's own clock has run out meanwhile
	s.expect(id, build.InProgress, "", 2)
	s.report(id, 100, "completed", "runner-2", 2)
	s.execution(id+"-a1", states.Succeeded, "Done")
}

func TestTheTokenIsLostAndTheMachineWaitsForHours(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	s.policy(automatic(build.Transient, 1, 60))
	id := s.create("n1")
	s.report(id, 25, "in_progress", "", 1)
	s.loseToken(id)
	s.fail(id, build.Transient) // the machine waits for two hours before it looks
	s.clock.Advance(build.FirstLook + 3*time.Minute)
	b := s.expect(id, build.InProgress, "", 2)
	if !strings.HasPrefix(b.Execution, executionARN(id+"-a1-s")) {
		t.Errorf("want another execution to drive it, got %s", b.Execution)
	}
	s.execution(id+"-a1", states.Aborted, "AwaitReport") // and does not wait for an answer for ever
	s.report(id, 100, "completed", "", 2)
	s.clock.Advance(3 * time.Hour)
	s.expect(id, build.Completed, "", 2)
}

func TestStreamRecordsComeFiveTimesAndOutOfOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		s := newScenario(t)
		s.shape = fiveTimes(seed)
		s.policy(automatic(build.Transient, 1, 60))
		id := s.create("n1")
		s.report(id, 5, "in_progress", "r", 1)
		s.report(id, 5, "completed", "r", 1)
		s.report(id, 25, "in_progress", "r", 1)
		s.stuck = true // now the feed lags, and everything comes at once
		s.report(id, 25, "in_progress", "r", 1)
		s.fail(id, build.Transient)
		s.stuck = false
		s.clock.Advance(2 * time.Minute)
		s.expect(id, build.InProgress, "", 2)
		s.report(id, 25, "completed", "r2", 2)
		s.report(id, 100, "completed", "r2", 2)
		s.expect(id, build.Completed, "", 2)
		s.execution(id+"-a1", states.Succeeded, "Done")
		if got, want := s.news(), []string{"completed", "failed", "recovered", "resume_requested"}; !slices.Equal(got, want) {
			t.Errorf("seed %d: want %q told, got %q", seed, want, got)
		}
		sum, err := s.store.Summary(t.Context())
		if err != nil || sum.TotalBuilds != 1 || sum.CompletedBuilds != 1 {
			t.Errorf("seed %d: counted %+v, %v", seed, sum, err)
		}
	}
}

func TestAnExecutionIsAbortedByHand(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	id := s.create("n1")
	s.report(id, 25, "in_progress", "runner-1", 1)
	s.stop(id + "-a1")
	b := s.expect(id, build.Failed, build.Aborted, 1)
	if b.Execution != "" {
		t.Errorf("still driven by %s", b.Execution)
	}
	s.clock.Advance(24 * time.Hour)
	s.expect(id, build.Failed, build.Aborted, 1)
	s.report(id, 25, "in_progress", "runner-2", 0)
	s.execution(id+"-a2", states.Running, "AwaitReport")
	s.report(id, 100, "completed", "runner-2", 2)
	s.execution(id+"-a2", states.Succeeded, "Done")
	s.execution(id+"-a1", states.Aborted, "")
}

func TestTheBreakerOfAnImageLineStopsAutomaticResumes(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	p := automatic(build.Transient, 9, 0)
	p.Breaker = &build.BreakerRule{Failures: 3, Within: 3600}
	s.policy(p)
	first, second := s.create("n1"), s.create("n2")
	s.fail(first, build.Transient)
	s.clock.Advance(time.Second)
	s.expect(first, build.InProgress, "", 2)
	s.fail(second, build.Transient)
	s.clock.Advance(time.Second)
	s.fail(first, build.Transient)
	s.clock.Advance(time.Second)
	if b := s.expect(first, build.Failed, build.Transient, 2); b.Decision.Next != build.Await || !strings.Contains(b.Decision.Reason, "breaker") {
		t.Errorf("decided %+v", b.Decision)
	}
	s.fail(second, build.Transient)
	s.clock.Advance(time.Hour)
	s.expect(second, build.Failed, build.Transient, 2)
	if _, err := s.store.CloseBreaker(t.Context(), s.build(first).Line()); err != nil {
		t.Fatal(err)
	}
	third := s.create("n3")
	s.fail(third, build.Transient)
	s.clock.Advance(time.Second)
	s.expect(third, build.InProgress, "", 2)
}

func TestTheBudgetIsUsedUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy   func() build.Policy
		attempts int
		reason   string
	}{
		"of resumes": {func() build.Policy { return automatic(build.Transient, 2, 60) }, 3, "All 2 automatic resumes"},
		"of time": {func() build.Policy {
			p := automatic(build.Transient, 9, 600)
			p.MaxTotal = 1500
			return p
		}, 3, "time for automatic resumes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScenario(t)
			s.policy(c.policy())
			id := s.create("n1")
			s.report(id, 25, "in_progress", "", 1)
			for attempt := 1; attempt < c.attempts; attempt++ {
				s.fail(id, build.Transient)
				s.expect(id, build.Failed, build.Transient, attempt)
				s.clock.Advance(10 * time.Minute)
				s.expect(id, build.InProgress, "", attempt+1)
			}
			s.fail(id, build.Transient)
			s.clock.Advance(10 * time.Minute)
			b := s.expect(id, build.Failed, build.Transient, c.attempts)
			if b.Decision.Next != build.Await || !strings.Contains(b.Decision.Reason, c.reason) {
				t.Errorf("decided %+v", b.Decision)
			}
			s.execution(id+"-a1", states.Running, "AwaitReport")
			if !slices.Contains(s.news(), "waiting") {
				t.Errorf("nobody was told that it waits: %q", s.news())
			}
		})
	}
}

func TestTwoResumesAtOnce(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	id := s.create("n1")
	s.report(id, 25, "in_progress", "", 1)
	s.fail(id, build.Persistent)
	var wg sync.WaitGroup
	answers := make([]error, 2)
	for i := range answers {
		wg.Go(func() {
			from := 25
			_, answers[i] = s.store.AddRequest(t.Context(), id, build.ResumeIn{From: &from}.Request)
		})
	}
	wg.Wait()
	s.settle()
	if answers[0] == nil {
		answers[0], answers[1] = answers[1], nil
	}
	if answers[1] != nil || !problem.Is(answers[0], problem.ResumeInProgress) {
		t.Errorf("want one to win and one to be told, got %v", answers)
	}
	if told := s.news(); !slices.Equal(told, []string{"failed", "resume_requested", "waiting"}) {
		t.Errorf("told %q", told)
	}
	s.expect(id, build.InProgress, "", 2)
	s.execution(id+"-a1", states.Running, "AwaitReport")
}

func TestAFixChangesAnEarlierState(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	id := s.create("n1")
	for _, code := range []int{10, 25, 30} {
		s.ok("POST", "/builds/"+id+"/state", doc{"state_code": code, "status": "completed", "fingerprint": fmt.Sprintf("sha256:%d", code)})
	}
	s.report(id, 35, "in_progress", "runner-1", 1)
	s.fail(id, build.Persistent)
	s.clock.Advance(time.Hour) // somebody mends the role of state 25
	r := s.ok("POST", "/builds/"+id+"/resume", doc{"resume_from_state": 35, "fingerprints": doc{"10": "sha256:10", "25": "sha256:mended", "30": "sha256:30"}})
	if r["resume_from_state"] != 25.0 || r["requested_from_state"] != 35.0 || r["attempt"] != 2.0 {
		t.Errorf("want it to begin at the state that was mended, got %v", r)
	}
	s.expect(id, build.InProgress, "", 2)
	for _, code := range []int{25, 30, 35, 100} {
		s.report(id, code, "completed", "runner-2", 2)
	}
	s.expect(id, build.Completed, "", 2)
	s.execution(id+"-a1", states.Succeeded, "Done")
}

func TestAPartialPublish(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	s.policy(automatic(build.Transient, 1, 60))
	id := s.create("n1")
	s.report(id, 80, "completed", "runner-1", 1)
	publish := func(attempt int, worker, status string, regions ...string) {
		for _, region := range regions {
			s.ok("POST", "/builds/"+id+"/state", doc{"state_code": 90, "target": region, "status": status, "message": "throttled", "attempt": attempt, "worker": worker})
		}
	}
	publish(1, "runner-1", "in_progress", "eu-1", "eu-2", "us-1", "us-2", "us-3")
	publish(1, "runner-1", "completed", "eu-1")
	publish(1, "runner-1", "failed", "eu-2", "us-2")
	publish(1, "runner-1", "completed", "us-1", "us-3") // they had begun before the first failure
	s.expect(id, build.Failed, build.Transient, 1)
	s.clock.Advance(2 * time.Minute)
	s.expect(id, build.InProgress, "", 2)
	rest := s.request(id)
	if want := []string{"eu-2", "us-2"}; !slices.Equal(rest.Targets, want) || rest.From != 90 {
		t.Errorf("want a resume of %q in state 90, got %q in state %d", want, rest.Targets, rest.From)
	}
	publish(2, "runner-2", "in_progress", rest.Targets...)
	publish(2, "runner-2", "completed", rest.Targets...)
	s.report(id, 90, "completed", "runner-2", 2)
	s.report(id, 100, "completed", "runner-2", 2)
	s.expect(id, build.Completed, "", 2)
	s.execution(id+"-a1", states.Succeeded, "Done")
}

func TestAFailedBuildWaitsForAPersonAndIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	id := s.create("n1")
	s.fail(id, build.Persistent)
	s.clock.Advance(build.PersonWait - time.Hour)
	s.execution(id+"-a1", states.Running, "AwaitReport")
	s.clock.Advance(2 * time.Hour)
	s.execution(id+"-a1", states.Failed, "Fail")
	s.expect(id, build.Failed, build.Persistent, 1)
	s.report(id, 25, "in_progress", "", 0)
	s.execution(id+"-a2", states.Running, "AwaitReport")
}

func TestABuildThatIsToBeCancelledIsClosedWhenItsWorkerIsSilent(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	id := s.create("n1")
	s.report(id, 25, "in_progress", "runner-1", 1)
	s.must(func() error {
		_, _, err := s.store.ChangeBuild(t.Context(), id, func(b *build.Build, _ build.Rules, _ time.Time) (build.Entry, error) {
			return b.Cancel("superseded", s.clock.Now())
		})
		return err
	})
	s.settle()
	s.clock.Advance(build.DefaultHeartbeat + time.Minute)
	s.expect(id, build.Cancelled, "", 1)
	s.execution(id+"-a1", states.Succeeded, "Done")
}

func TestABuildThatIsToBeCancelledIsNotResumedWhenItsWorkerFails(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	s.policy(automatic(build.Transient, 3, 60))
	id := s.create("n1")
	s.report(id, 25, "in_progress", "runner-1", 1)
	s.ok("POST", "/builds/"+id+"/cancel", doc{"reason": "superseded"})
	s.fail(id, build.Transient)
	s.expect(id, build.Cancelled, "", 1)
	s.clock.Advance(time.Hour)
	s.expect(id, build.Cancelled, "", 1)
	s.execution(id+"-a1", states.Succeeded, "Done")
}

func TestCIStartsTheExecutionItself(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	body := doc{"platform": "aws-commercial", "os_version": "rhel-8.8", "image_type": "base", "build_id": "2024.02.001"}
	s.begin("nightly", body)
	b := s.build("2024.02.001")
	if b.Execution != executionARN("nightly") {
		t.Errorf("driven by %s", b.Execution)
	}
	s.begin("nightly", body)  // the same execution
	s.begin("nightly2", body) // another one of the same build
	s.execution("nightly2", states.Succeeded, "Done")
	s.begin("bad", doc{"platform": "moon"})
	s.execution("bad", states.Failed, "Fail")
	s.report(b.ID, 100, "completed", "", 1)
	s.execution("nightly", states.Succeeded, "Done")
	if got := s.onlyBuild(); got != b.ID {
		t.Errorf("there is another build: %s", got)
	}
}

func TestTheStackIsRestartedInEveryWaitOfTheMachine(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	p := automatic(build.Transient, 1, 600)
	p.Classes[build.Stalled] = build.ClassPolicy{}
	s.policy(p)
	id := s.create("n1")
	s.restart() // in AwaitReport
	s.report(id, 25, "in_progress", "runner-1", 1)
	s.restart()
	s.fail(id, build.Transient)
	s.clock.Advance(5 * time.Minute)
	s.execution(id+"-a1", states.Running, "Backoff")
	s.restart()
	s.clock.Advance(5 * time.Minute) // and not ten: the wait goes on
	s.expect(id, build.InProgress, "", 2)
	s.restart()
	s.fail(id, build.Persistent)
	s.restart() // waiting for a person
	s.clock.Advance(24 * time.Hour)
	s.report(id, 25, "in_progress", "runner-2", 0)
	s.expect(id, build.InProgress, "", 3)
	s.restart()
	s.clock.Advance(build.DefaultHeartbeat + time.Minute)
	s.expect(id, build.Failed, build.Stalled, 3)
	s.restart()
	s.report(id, 100, "completed", "runner-2", 0)
	s.restart()
	s.execution(id+"-a1", states.Succeeded, "Done")
}

func TestEveryTaskIsKilledAfterItHasDoneItsWork(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	s.policy(automatic(build.Stalled, 1, 60))
	everyTask := []string{"open-build", "await-report", "record-stall", "decide-failure", "resume-build"}
	for _, task := range everyTask {
		s.lost[task] = 2
	}
	id := s.create("n1")
	s.clock.Advance(10 * time.Second)
	s.report(id, 25, "in_progress", "runner-1", 1)
	s.clock.Advance(10 * time.Second)
	s.stuck = true // what comes of silence, the machine must find
	s.clock.Advance(build.DefaultHeartbeat + build.Grace)
	s.stuck = false
	s.clock.Advance(3 * time.Minute)
	s.expect(id, build.InProgress, "", 2)
	s.report(id, 100, "completed", "runner-2", 2)
	s.execution(id+"-a1", states.Succeeded, "Done")
	_, rows, _, err := s.store.History(t.Context(), id, build.HistoryQuery{Kinds: []build.Kind{build.FailureReported, build.Decided, build.ResumeRequested}, Limit: 10})
	if err != nil || len(rows) != 3 {
		t.Errorf("want one failure, one decision and one resume in the history, got %d rows, %v", len(rows), err)
	}
}

// What AWS charges for: the states an execution goes through.
func TestTransitions(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	id := s.create("n1")
	count := func() int64 { return s.execution(id+"-a1", "RUNNING", "").Transitions }
	opened := count()
	s.report(id, 25, "in_progress", "runner-1", 1)
	before := count()
	s.report(id, 30, "in_progress", "runner-1", 1)
	moved := count() - before
	t.Logf("%d for a report that moves the code", moved)
	if moved > 2 {
		t.Errorf("a report that moves the code costs %d transitions, want at most 2", moved)
	}
	before = count()
	s.report(id, 30, "in_progress", "runner-1", 1)
	s.beaten(id, "runner-1", time.Hour)
	if beats := count() - before; beats != 0 {
		t.Errorf("an hour of heartbeats costs %d transitions, want none", beats)
	}
	before = count()
	s.report(id, 100, "completed", "runner-1", 1)
	ended := s.execution(id+"-a1", states.Succeeded, "Done").Transitions - before
	t.Logf("%d transitions to open the build, %d to finish it", opened, ended)
	if opened+ended > 6 {
		t.Errorf("to open and finish costs %d transitions, want at most 6", opened+ended)
	}
}

// onlyBuild returns the id of the only build there is.
func (s *scenario) onlyBuild() string {
	s.t.Helper()
	p, err := s.table.Query(s.t.Context(), table.Query{Index: 1, PK: "build", Limit: 2})
	if err != nil || len(p.Items) != 1 {
		s.t.Fatalf("want one build, got %d, %v", len(p.Items), err)
	}
	return strings.TrimPrefix(p.Items[0].PK, "build#")
}

func (s *scenario) driver(id string) build.Driver {
	s.t.Helper()
	d, err := s.store.Driven(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return d.Driver
}

// loseToken makes the table forget the token that is parked.
func (s *scenario) loseToken(id string) {
	s.t.Helper()
	s.must(func() error { return s.store.Relayed(s.t.Context(), id, nil, s.driver(id).Token) })
	s.settle()
}

// begin starts an execution as CI does.
func (s *scenario) begin(name string, input any) {
	s.t.Helper()
	if _, _, err := s.machine.Start(s.t.Context(), name, input); err != nil {
		s.t.Fatal(err)
	}
	s.settle()
}

// stop aborts an execution as a person does.
func (s *scenario) stop(name string) {
	s.t.Helper()
	arn := executionARN(name)
	if _, err := s.sfn.StopExecution(s.t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn}); err != nil {
		s.t.Fatal(err)
	}
	s.settle()
}

func TestAnExecutionWhoseHistoryIsNearlyFullHandsTheBuildOver(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	id := s.create("n1")
	for i := range build.MaxMoves + 100 {
		s.clock.Advance(time.Second)
		s.report(id, 25+i%2, "in_progress", "runner-1", 1)
	}
	b := s.expect(id, build.InProgress, "", 1)
	old := s.execution(id+"-a1", states.Succeeded, "Done")
	if old.Events >= 24_000 || b.Execution == executionARN(id+"-a1") || s.driver(id).Moves > 150 {
		t.Errorf("the first execution has %d events; %s drives, after %d moves", old.Events, b.Execution, s.driver(id).Moves)
	}
	next := b.Execution[strings.LastIndex(b.Execution, ":")+1:]
	s.execution(next, states.Running, "AwaitReport")
	if news := s.news(); len(news) > 0 {
		t.Errorf("it was told: %q", news)
	}
	s.beat(id, "runner-1")
	s.restart()
	s.report(id, 100, "completed", "runner-1", 1)
	s.expect(id, build.Completed, "", 1)
	s.execution(next, states.Succeeded, "Done")
}
