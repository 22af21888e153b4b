package localstack_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"bldst/localstack/states"
	"bldst/shared/build"
)

// The test of this file runs a scenario in a process of its own, this test
// binary started again, until a build is in a certain state of the machine. It
// is killed there, and another scenario goes on with what is on disk.

const (
	killedFolder = "BLDST_TEST_KILLED_FOLDER"
	killedTask   = "BLDST_TEST_KILLED_TASK"
	killedWhen   = "BLDST_TEST_KILLED_WHEN"
)

// When a process is killed: as its task begins; when the task has done its work
// and nobody knows of it yet, least of all Route, which would say what is next;
// or while the state waits.
const (
	begins = "begins"
	done   = "done"
	waits  = "waits"
)

// A hanging handler says that it is there before or after it has done its
// work, and waits to be killed.
type hanging struct {
	lambda.Handler
	after bool
	here  func()
}

func (h hanging) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if h.after {
		if _, err := h.Handler.Invoke(ctx, payload); err != nil {
			return nil, err
		}
	}
	h.here()
	select {}
}

// TestUntilItIsKilled is the process that is killed.
func TestUntilItIsKilled(t *testing.T) {
	dir, task, when := os.Getenv(killedFolder), os.Getenv(killedTask), os.Getenv(killedWhen)
	if dir == "" {
		t.Skip("it is started by TestTheStackIsKilledInEveryStateOfTheMachine")
	}
	s := openScenario(t, dir, noon)
	s.policy(automatic(build.Stalled, 1, 60))
	here := func() {
		st, err := s.engine.Stats(executionARN(s.onlyBuild() + "-a1"))
		fmt.Printf("killed in %s at %s, %v\n", st.State, s.clock.Now().Format(time.RFC3339), err)
	}
	if when != waits {
		s.lambdas[task] = hanging{Handler: s.lambdas[task], after: when == done, here: here}
	}
	id := s.create("n1")
	s.report(id, 25, "in_progress", "runner-1", 1)
	if task == "await-report" {
		here()
		select {}
	}
	s.stuck = true // what comes of silence, the machine must find
	s.clock.Advance(build.DefaultHeartbeat + build.Grace)
	s.stuck = false
	s.settle()
	if task == "" {
		s.clock.Advance(30 * time.Second)
		here()
		select {}
	}
	s.clock.Advance(2 * time.Minute)
	t.Error("not killed")
}

// kill runs the process until it is where it is to be killed. It returns the
// state of the machine it was in, and when.
func kill(t *testing.T, dir, task, when string) (string, time.Time) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestUntilItIsKilled$")
	cmd.Env = append(os.Environ(), killedFolder+"="+dir, killedTask+"="+task, killedWhen+"="+when)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
		var state, at string
		if n, _ := fmt.Sscanf(lines.Text(), "killed in %s at %s <nil>", &state, &at); n == 2 {
			now, err := time.Parse(time.RFC3339, strings.TrimSuffix(at, ","))
			if err != nil {
				t.Fatal(err)
			}
			return state, now
		}
	}
	t.Fatalf("the process never came to where it is to be killed: %s", strings.Join(said, "\n"))
	return "", time.Time{}
}

func TestTheStackIsKilledInEveryStateOfTheMachine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state, task, when string
		attempt           int // that the build comes to
	}{
		{"OpenBuild", "open-build", begins, 1},
		{"OpenBuild", "open-build", done, 1},
		{"AwaitReport", "await-report", begins, 1},
		{"AwaitReport", "await-report", done, 1},
		{"AwaitReport", "await-report", waits, 1},
		{"RecordStall", "record-stall", begins, 2},
		{"RecordStall", "record-stall", done, 2},
		{"Decide", "decide-failure", begins, 2},
		{"Decide", "decide-failure", done, 2},
		{"Backoff", "", waits, 2},
		{"Resume", "resume-build", begins, 2},
		{"Resume", "resume-build", done, 2},
	} {
		name := c.state + " as its task begins"
		switch c.when {
		case done:
			name = "before Route knows what " + c.state + " has done"
		case waits:
			name = c.state + " while it waits"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			state, at := kill(t, dir, c.task, c.when)
			if state != c.state {
				t.Errorf("killed in %s, want %s", state, c.state)
			}
			s := openScenario(t, dir, at)
			id := s.onlyBuild()
			if c.when == waits {
				s.execution(id+"-a1", states.Running, c.state)
			}
			s.clock.Advance(30 * time.Second) // what is left of a wait, and not more
			if c.attempt == 1 {
				s.report(id, 25, "in_progress", "runner-1", 1)
			} else if c.when != waits {
				s.clock.Advance(40 * time.Second)
			}
			s.expect(id, build.InProgress, "", c.attempt)
			s.execution(id+"-a1", states.Running, "AwaitReport")
			s.report(id, 100, "completed", fmt.Sprint("runner-", c.attempt), c.attempt)
			s.expect(id, build.Completed, "", c.attempt)
			s.execution(id+"-a1", states.Succeeded, "Done")
			s.happenedOnce(id, c.attempt)
		})
	}
}

// happenedOnce checks that the build had one execution, and in its history one
// failure, decision and resume for each attempt but the first.
func (s *scenario) happenedOnce(id string, attempts int) {
	s.t.Helper()
	arn := machineARN
	list, err := s.sfn.ListExecutions(s.t.Context(), &sfn.ListExecutionsInput{StateMachineArn: &arn})
	if err != nil || len(list.Executions) != 1 {
		s.t.Errorf("want one execution, got %d, %v", len(list.Executions), err)
	}
	_, rows, _, err := s.store.History(s.t.Context(), id, build.HistoryQuery{Kinds: []build.Kind{build.FailureReported, build.Decided, build.ResumeRequested}, Limit: 10})
	if want := 3 * (attempts - 1); err != nil || len(rows) != want {
		s.t.Errorf("want %d rows of failures, decisions and resumes, got %d, %v", want, len(rows), err)
	}
}
