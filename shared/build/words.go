package build

import (
	"fmt"
	"strings"
	"unicode"

	"bldst/shared/api"
)

// A Meaning is what a status word says of a piece of work: a state, a job, a
// build. There is one table of words, for reports, jobs, webhooks, filters and
// the command line. A word that is not in it means nothing, and above all no
// success: see ParseWord.
type Meaning struct {
	State Status    // of a state that is reported with the word; "" when the word does not tell
	Job   JobStatus // of a job whose CI says the word
	Class Class     // of the failure, when the word alone tells; "" leaves it to the message
	Skips bool      // nothing was done: that completes a state, but never a build
	Doc   string    // for people
}

// The meanings there are.
var (
	waits    = &Meaning{State: Pending, Job: JobPending, Doc: "is waiting"}
	runs     = &Meaning{State: InProgress, Job: JobRunning, Doc: "is being worked on"}
	done     = &Meaning{State: Completed, Job: JobSuccess, Doc: "is done"}
	skips    = &Meaning{State: Completed, Job: JobAborted, Skips: true, Doc: "was left out; completes no build"}
	fails    = &Meaning{State: Failed, Job: JobFailed, Doc: "failed; the message gives the class"}
	late     = &Meaning{State: Failed, Job: JobFailed, Class: TimedOut, Doc: "took too long"}
	silent   = &Meaning{State: Failed, Job: JobFailed, Class: Stalled, Doc: "was not heard of"}
	machine  = &Meaning{State: Failed, Job: JobFailed, Class: Transient, Doc: "failed for its machine, not for what it does"}
	stops    = &Meaning{State: Cancelled, Job: JobAborted, Class: Aborted, Doc: "was stopped; nobody had asked for it: failed"}
	untold   = &Meaning{Job: "", Doc: "has ended, nobody knows how: kept as the message"}
	meanings = []*Meaning{waits, runs, done, skips, fails, late, silent, machine, stops, untold}
)

// A Vocabulary is what one system says.
type Vocabulary struct {
	System string
	Source string // where its words are listed
	words  map[*Meaning]string
}

// Vocabularies are the words of all systems. Two systems may share a word only
// when they mean the same. Spelling does not matter, see fold.
var Vocabularies = []Vocabulary{
	{"bldst", "this API, in all its generations", map[*Meaning]string{
		waits: "pending", runs: "in_progress running started", done: "completed complete success succeeded", skips: "skipped",
		fails: "failed failure error", stops: "cancelled canceled"}},
	{"GitHub Actions", "REST API 2022-11-28, workflow runs and jobs: status (read conclusion once it is completed), conclusion", map[*Meaning]string{
		waits: "queued requested waiting pending action_required", runs: "in_progress", done: "success neutral", skips: "skipped",
		fails: "failure startup_failure", late: "timed_out", silent: "stale", stops: "cancelled"}},
	{"GitLab CI", "REST API 18, jobs and pipelines: status; webhooks: build_status, detailed_status", map[*Meaning]string{
		waits: "created waiting_for_resource waiting_for_callback preparing pending scheduled manual", runs: "running canceling",
		done: "success passed passed_with_warnings success_with_warnings", skips: "skipped", fails: "failed", stops: "canceled"}},
	{"Jenkins", "hudson.model.Result 2.5; stage view and Blue Ocean: status, state", map[*Meaning]string{
		waits: "QUEUED PAUSED PAUSED_PENDING_INPUT", runs: "IN_PROGRESS RUNNING STARTED", done: "SUCCESS", skips: "SKIPPED",
		fails: "FAILURE FAILED UNSTABLE NOT_BUILT NOT_EXECUTED", stops: "ABORTED", untold: "FINISHED FINALIZED"}},
	{"Concourse", "atc.BuildStatus 7", map[*Meaning]string{
		waits: "pending", runs: "started", done: "succeeded", fails: "failed errored", stops: "aborted"}},
	{"Buildkite", "REST API v2, builds and jobs: state", map[*Meaning]string{
		waits: "creating scheduled waiting blocked unblocked limiting limited platform_limiting platform_limited reserved assigned accepted",
		runs:  "running failing canceling timing_out", done: "passed", skips: "skipped",
		fails: "failed broken not_run waiting_failed blocked_failed unblocked_failed", late: "timed_out", machine: "expired", stops: "canceled", untold: "finished"}},
	{"EC2 Image Builder", "API 2019-12-02, ImageState, WorkflowExecutionStatus, WorkflowStepExecutionStatus", map[*Meaning]string{
		waits: "PENDING CREATING", runs: "BUILDING TESTING DISTRIBUTING INTEGRATING RUNNING ROLLBACK_IN_PROGRESS", done: "AVAILABLE COMPLETED",
		skips: "SKIPPED", fails: "FAILED ROLLBACK_COMPLETED", stops: "CANCELLED", untold: "DEPRECATED DELETED DISABLED"}},
	{"Step Functions", "API 2016-11-23, DescribeExecution: status; MapRunStatus", map[*Meaning]string{
		waits: "PENDING_REDRIVE", runs: "RUNNING", done: "SUCCEEDED", fails: "FAILED", late: "TIMED_OUT", stops: "ABORTED"}},
	{"CodeBuild, CodePipeline", "API 2016-10-06, StatusType; API 2015-07-09, PipelineExecutionStatus, ActionExecutionStatus", map[*Meaning]string{
		runs: "IN_PROGRESS InProgress Stopping", done: "SUCCEEDED Succeeded", fails: "FAILED Failed", late: "TIMED_OUT", machine: "FAULT",
		stops: "STOPPED Stopped Cancelled Superseded Abandoned"}},
	{"Azure Pipelines", "REST API 7.1, BuildStatus, BuildResult, TaskResult", map[*Meaning]string{
		waits: "notStarted postponed", runs: "inProgress cancelling", done: "succeeded succeededWithIssues", skips: "skipped",
		fails: "failed partiallySucceeded", stops: "canceled abandoned"}},
	{"CircleCI", "API v2, workflows and jobs: status", map[*Meaning]string{
		waits: "on_hold not_running queued blocked", runs: "running failing", done: "success", fails: "failed error unauthorized not_run",
		late: "timedout", machine: "infrastructure_fail", stops: "canceled terminated-unknown"}},
	{"Bitbucket, Drone, Bamboo", "Bitbucket Cloud REST 2.0, state; Drone 2 status; Bamboo REST, buildState", map[*Meaning]string{
		waits: "waiting_on_dependencies", runs: "INPROGRESS", done: "SUCCESSFUL", fails: "ERROR declined", stops: "STOPPED killed"}},
	{"Kubernetes, Ansible, shell", "Pod phase, container reason 1.33; ansible-core 2.18 results; what scripts say", map[*Meaning]string{
		waits: "Waiting", runs: "working ongoing", done: "Succeeded Complete ok done changed finished_successfully green pass",
		skips: "ignored", fails: "fail red crashed fatal panic", late: "timeout time_out timed-out DeadlineExceeded",
		machine: "OOMKilled Evicted Preempted NodeLost unreachable", stops: "Terminated cancel abort stop killed interrupted", untold: "ended exited closed"}},
}

// A Line is one line of the table: what words of a system mean.
type Line struct {
	System, Source string
	Words          []string
	Meaning        Meaning
}

// Lines returns the table of words, system by system.
func Lines() []Line {
	var out []Line
	for _, v := range Vocabularies {
		for _, m := range meanings {
			if w := strings.Fields(v.words[m]); len(w) > 0 {
				out = append(out, Line{v.System, v.Source, w, *m})
			}
		}
	}
	return out
}

// meaningOf is the table by folded word. It is made when the program starts,
// and panics when two systems mean different things by one word.
var meaningOf = func() map[string]*Meaning {
	out := map[string]*Meaning{}
	for _, v := range Vocabularies {
		for m, words := range v.words {
			for _, w := range strings.Fields(words) {
				if other := out[fold(w)]; other != nil && other != m {
					panic(fmt.Sprintf("the word %s of %s %s; in another system it %s", w, v.System, m.Doc, other.Doc))
				}
				out[fold(w)] = m
			}
		}
	}
	return out
}()

// maxWord is longer than any word of the table.
const maxWord = 100

// fold returns word without what is only spelling: case, and everything that
// is neither letter nor digit. TIMED_OUT, timed-out, TimedOut and "Timed out."
// are the same word.
func fold(word string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, word)
}

// ParseWord returns what a status word means, in any case and spelling; false
// when nobody knows, or when the word does not tell how it ended. What is not
// known must never count as done: keep it as text and say so.
func ParseWord(word string) (Meaning, bool) {
	if len(word) > maxWord {
		return Meaning{}, false
	}
	m := meaningOf[fold(word)]
	if m == nil || m.State == "" {
		return Meaning{}, false
	}
	return *m, true
}

// ParseStatus returns the status that word stands for; false for one that
// ParseWord does not know.
func ParseStatus(word string) (Status, bool) {
	m, ok := ParseWord(word)
	return m.State, ok
}

// Misunderstood says in one sentence that word was not understood and what was
// done with it, for a warning.
func Misunderstood(word, instead string) string {
	if strings.TrimSpace(word) == "" {
		return "The status is blank, maybe from a variable that is not set; " + instead
	}
	hint := ""
	if near := api.Nearest(strings.TrimSpace(word), statusNames()); near != "" {
		hint = fmt.Sprintf(" (did you mean %s?)", near)
	}
	return fmt.Sprintf("The status '%s' is none that is known%s; %s", clipText(word), hint, instead)
}

// statusNames are the statuses, as words.
func statusNames() []string {
	out := make([]string, len(Statuses))
	for i, s := range Statuses {
		out[i] = string(s)
	}
	return out
}
