package asl_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bldst/events/asl"
	"bldst/localstack/states"
	"bldst/shared/build"
	"bldst/shared/drive"
	"bldst/shared/manifest"
)

type machine struct {
	StartAt string
	States  map[string]state
}

type state struct {
	Type, Resource, Next, Default                         string
	TimeoutSeconds, HeartbeatSeconds                      int
	TimeoutSecondsPath, HeartbeatSecondsPath, SecondsPath string
	Seconds                                               int
	Choices                                               []struct{ Variable, StringEquals, Next string }
	Retry                                                 []struct{ ErrorEquals []string }
	Catch                                                 []catch
	Parameters                                            struct {
		FunctionName string
		Payload      map[string]string
	}
}

type catch struct {
	ErrorEquals      []string
	ResultPath, Next string
}

func read(t *testing.T) machine {
	t.Helper()
	var m machine
	if err := json.Unmarshal([]byte(asl.Source()), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryWaitHasBothLimits(t *testing.T) {
	t.Parallel()
	for name, s := range read(t).States {
		if s.Type != "Task" {
			continue
		}
		if s.TimeoutSeconds == 0 && s.TimeoutSecondsPath == "" {
			t.Errorf("state %s can run for ever: give it TimeoutSeconds", name)
		}
		if !strings.HasSuffix(s.Resource, ".waitForTaskToken") {
			continue // an invocation ends by itself, and cannot beat
		}
		if s.TimeoutSecondsPath != "$.timeout_seconds" || s.HeartbeatSecondsPath != "$.heartbeat_seconds" {
			t.Errorf("state %s waits for a token; give it both limits, those of the build: $.timeout_seconds and $.heartbeat_seconds", name)
		}
	}
}

func TestEveryErrorIsCaught(t *testing.T) {
	t.Parallel()
	for name, s := range read(t).States {
		if s.Type != "Task" {
			continue
		}
		if len(s.Catch) == 0 || !slices.Contains(s.Catch[len(s.Catch)-1].ErrorEquals, "States.ALL") {
			t.Errorf("state %s: the last Catch must be States.ALL", name)
		}
		if len(s.Retry) == 0 {
			t.Errorf("state %s has no Retry; the service it calls may be busy", name)
		}
		for _, c := range s.Catch {
			if c.ResultPath != "$.error" {
				t.Errorf("state %s: a Catch must keep the input; set ResultPath to $.error", name)
			}
			heartbeat, timeout := slices.Contains(c.ErrorEquals, "States.HeartbeatTimeout"), slices.Contains(c.ErrorEquals, "States.Timeout")
			if heartbeat != timeout {
				t.Errorf("state %s: a missed heartbeat has one name on AWS and another elsewhere; catch States.HeartbeatTimeout and States.Timeout together", name)
			}
		}
	}
}

// ways are where each step of the code leads.
var ways = map[build.Step]string{build.Await: "AwaitReport", build.Decide: "Decide", build.Backoff: "Backoff", build.Done: "Done", build.GiveUp: "Fail"}

func TestEveryStepOfTheCodeHasAWayAndNoOther(t *testing.T) {
	t.Parallel()
	route := read(t).States["Route"]
	have := map[build.Step]string{}
	for _, c := range route.Choices {
		if c.Variable != "$.next" {
			t.Errorf("Route looks at %s; the code answers in $.next", c.Variable)
		}
		have[build.Step(c.StringEquals)] = c.Next
	}
	for _, step := range build.Steps {
		to := have[step]
		if to == "" {
			to = route.Default
		}
		if to != ways[step] {
			t.Errorf("step %q of build.Steps leads to %q and not to %q; mend the Choice Route in build.asl.json", step, to, ways[step])
		}
		delete(have, step)
	}
	for step := range have {
		t.Errorf("Route has a way for %q, which is not in build.Steps; remove it or add the step", step)
	}
}

// An answered wait goes on waiting, and what relay answers as an error, with
// the Drive in its cause, is routed.
func TestAnAnswerIsWaitedForAgainOrRouted(t *testing.T) {
	t.Parallel()
	states := read(t).States
	wait := states["AwaitReport"]
	if wait.Next != "AwaitReport" {
		t.Errorf("an answered wait leads to %s", wait.Next)
	}
	i := slices.IndexFunc(wait.Catch, func(c catch) bool { return slices.Contains(c.ErrorEquals, drive.AnswerError) })
	if i < 0 {
		t.Fatalf("AwaitReport does not catch %s", drive.AnswerError)
	}
	if next := states[wait.Catch[i].Next]; next.Type != "Pass" || next.Next != "Route" {
		t.Errorf("%s is caught by %s, which is a %s and leads to %s", drive.AnswerError, wait.Catch[i].Next, next.Type, next.Next)
	}
	if !slices.Contains(wait.Retry[0].ErrorEquals, drive.AnswerError) {
		t.Errorf("AwaitReport tries again when it is answered %s", drive.AnswerError)
	}
}

func TestEveryStateIsReachedAndEveryNextIsThere(t *testing.T) {
	t.Parallel()
	m := read(t)
	reached := map[string]bool{}
	var walk func(string)
	walk = func(name string) {
		s, ok := m.States[name]
		if !ok {
			t.Errorf("there is no state %q", name)
		}
		if reached[name] || !ok {
			return
		}
		reached[name] = true
		next := []string{s.Next, s.Default}
		for _, c := range s.Choices {
			next = append(next, c.Next)
		}
		for _, c := range s.Catch {
			next = append(next, c.Next)
		}
		for _, n := range next {
			if n != "" {
				walk(n)
			}
		}
	}
	walk(m.StartAt)
	for name := range m.States {
		if !reached[name] {
			t.Errorf("nothing leads to state %s", name)
		}
	}
}

func TestThePathsOfTheMachineAreThoseOfADrive(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(build.Drive{})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	m := read(t)
	for name, s := range m.States {
		paths := []string{s.TimeoutSecondsPath, s.HeartbeatSecondsPath, s.SecondsPath}
		if name != m.StartAt {
			paths = append(paths, slices.Collect(maps.Values(s.Parameters.Payload))...)
		}
		for _, p := range paths {
			field, ours := strings.CutPrefix(p, "$.")
			if !ours || strings.HasPrefix(p, "$$.") || strings.HasPrefix(field, "error.") {
				continue
			}
			if _, ok := fields[field]; !ok {
				t.Errorf("state %s reads %s, which every Drive must have: add it without omitempty", name, p)
			}
		}
	}
}

func TestPlaceholdersAreBoundToFunctions(t *testing.T) {
	t.Parallel()
	out, err := asl.Render("aws", func(function string) string { return "arn:" + function })
	if err != nil || strings.Contains(out, "${") {
		t.Errorf("not bound: %v", err)
	}
	used := map[string]bool{}
	for _, s := range read(t).States {
		if s.Type == "Task" {
			used[strings.Trim(s.Parameters.FunctionName, "${}")] = true
		}
	}
	for placeholder, function := range asl.Placeholders {
		if !used[placeholder] {
			t.Errorf("placeholder %s is bound and not used", placeholder)
		}
		if _, ok := manifest.Find(function); !ok {
			t.Errorf("function %s of placeholder %s is not in the manifest", function, placeholder)
		}
		if _, err := os.Stat(filepath.Join("../../functions", function, "main.go")); err != nil {
			t.Errorf("function %s of placeholder %s has no folder in functions/", function, placeholder)
		}
	}
	if _, err := asl.Render("aws", func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "build.asl.json") || !strings.Contains(err.Error(), "OpenBuildFunction") {
		t.Errorf("want an error that names the file and the placeholder, got %v", err)
	}
}

func TestTheInterpreterTakesIt(t *testing.T) {
	t.Parallel()
	out, err := asl.Render("aws", func(function string) string { return function })
	if err != nil {
		t.Fatal(err)
	}
	e, err := states.Open(states.Options{Path: filepath.Join(t.TempDir(), "states.db"),
		Machines: []states.Machine{{Name: "b", ARN: "arn:aws:states:us-east-1:000000000000:stateMachine:b", Definition: []byte(out), File: "build.asl.json"}}})
	if err != nil {
		t.Fatal(err)
	}
	_ = e.Close()
}
