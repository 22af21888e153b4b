// Package ci knows what a job can tell of itself from the variables its CI
// gives it. To add a CI, add a line to the table.
package ci

import (
	"fmt"
	"strings"
)

// A Job is the job this process runs in.
type Job struct {
	CI     string // its name as jobs of builds have it, "" for none
	ID     string // of the job, as the CI's own messages have it
	Number string // of the build: the same in every rerun of the job, never in another one
	Worker string // who works: one run of what the build is, all its jobs
	URL    string
	Name   string // of the job
	Commit string
	Space  string // the folder the job works in
	hint   string // how to give a number where the CI gives none
}

// A system is one CI. The texts are templates: $NAME stands for a variable, and
// a text with one that is not set, or empty, counts as not given.
type system struct {
	name   string
	when   string   // the variable that tells this CI
	number []string // the first that is given counts
	worker []string
	id     []string
	url    []string
	job    []string
	commit []string
	space  []string
	hint   string
	source string
}

// systems are the CIs, in the order they are looked for. Numbers leave out what
// changes when the same job is run again: the attempt of GitHub, the job id of
// GitLab, the retry of Buildkite, what follows the dot in Concourse's name of a
// build.
var systems = []system{
	{name: "github-actions", when: "GITHUB_RUN_ID",
		number: []string{"github-$GITHUB_REPOSITORY-$GITHUB_RUN_ID"},
		worker: []string{"github/$GITHUB_REPOSITORY/$GITHUB_RUN_ID/$GITHUB_RUN_ATTEMPT", "github/$GITHUB_REPOSITORY/$GITHUB_RUN_ID"},
		id:     []string{"$GITHUB_RUN_ID"},
		url:    []string{"$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID"},
		job:    []string{"$GITHUB_JOB"}, commit: []string{"$GITHUB_SHA"}, space: []string{"$GITHUB_WORKSPACE"},
		source: "docs.github.com, Variables reference, 2026-11"},
	{name: "gitlab-ci", when: "GITLAB_CI",
		number: []string{"gitlab-$CI_PROJECT_PATH-$CI_PIPELINE_ID"},
		worker: []string{"gitlab/$CI_PROJECT_PATH/$CI_PIPELINE_ID"},
		id:     []string{"$CI_JOB_ID"},
		url:    []string{"$CI_JOB_URL", "$CI_PIPELINE_URL"},
		job:    []string{"$CI_JOB_NAME"}, commit: []string{"$CI_COMMIT_SHA"}, space: []string{"$CI_PROJECT_DIR"},
		source: "docs.gitlab.com, Predefined CI/CD variables, 18.6"},
	{name: "buildkite", when: "BUILDKITE_BUILD_ID",
		number: []string{"buildkite-$BUILDKITE_ORGANIZATION_SLUG-$BUILDKITE_PIPELINE_SLUG-$BUILDKITE_BUILD_NUMBER"},
		worker: []string{"buildkite/$BUILDKITE_ORGANIZATION_SLUG/$BUILDKITE_PIPELINE_SLUG/$BUILDKITE_BUILD_NUMBER"},
		id:     []string{"$BUILDKITE_JOB_ID"},
		url:    []string{"$BUILDKITE_BUILD_URL#$BUILDKITE_JOB_ID", "$BUILDKITE_BUILD_URL"},
		job:    []string{"$BUILDKITE_STEP_KEY", "$BUILDKITE_LABEL"}, commit: []string{"$BUILDKITE_COMMIT"}, space: []string{"$BUILDKITE_BUILD_CHECKOUT_PATH"},
		source: "buildkite.com/docs, Environment variables, agent 3"},
	{name: "jenkins", when: "JENKINS_URL",
		number: []string{"jenkins-$JOB_NAME-$BUILD_NUMBER"},
		worker: []string{"jenkins/$JOB_NAME/$BUILD_NUMBER"},
		id:     []string{"$BUILD_NUMBER"},
		url:    []string{"$BUILD_URL"},
		job:    []string{"$JOB_NAME"}, commit: []string{"$GIT_COMMIT"}, space: []string{"$WORKSPACE"},
		source: "jenkins.io, Using environment variables, 2.528"},
	// A task gets nothing but the address of the web node; get, put and check
	// steps get the rest.
	{name: "concourse", when: "ATC_EXTERNAL_URL",
		number: []string{"concourse-$BUILD_TEAM_NAME-$BUILD_PIPELINE_NAME-$BUILD_JOB_NAME-$BUILD_NAME"},
		worker: []string{"concourse/$BUILD_TEAM_NAME/$BUILD_PIPELINE_NAME/$BUILD_JOB_NAME/$BUILD_NAME"},
		id:     []string{"$BUILD_ID"},
		url:    []string{"$BUILD_URL", "$ATC_EXTERNAL_URL/teams/$BUILD_TEAM_NAME/pipelines/$BUILD_PIPELINE_NAME/jobs/$BUILD_JOB_NAME/builds/$BUILD_NAME"},
		job:    []string{"$BUILD_JOB_NAME"},
		hint:   "A Concourse task knows neither its pipeline nor its build: pass BLDST_BUILD_NUMBER as a parameter, or load it from the file that a resource has written.",
		source: "concourse-ci.org, Implementing a resource type, 7.14"},
}

// Find returns the job that env tells of, the zero Job outside of a CI.
func Find(env func(string) (string, bool)) Job {
	for _, s := range systems {
		if v, _ := env(s.when); v == "" {
			continue
		}
		j := Job{CI: s.name, Number: first(s.number, env), Worker: first(s.worker, env), ID: first(s.id, env), URL: first(s.url, env), Name: first(s.job, env),
			Commit: first(s.commit, env), Space: first(s.space, env), hint: s.hint}
		if s.name == "concourse" {
			j.Number = withoutRerun(j.Number)
		}
		return j
	}
	return Job{}
}

// Hint says how to give a number where the CI gives none.
func (j Job) Hint() string { return j.hint }

// withoutRerun cuts what a rerun of a build of Concourse adds: 12.1 is a rerun
// of 12.
func withoutRerun(number string) string {
	if i := strings.LastIndexByte(number, '-'); i >= 0 {
		name, _, _ := strings.Cut(number[i:], ".")
		return number[:i] + name
	}
	return number
}

// first returns the first text whose variables are all set, "" for none.
func first(texts []string, env func(string) (string, bool)) string {
	for _, text := range texts {
		if s, ok := expand(text, env); ok {
			return s
		}
	}
	return ""
}

func expand(text string, env func(string) (string, bool)) (out string, ok bool) {
	parts := strings.Split(text, "$")
	var b strings.Builder
	b.WriteString(parts[0])
	for _, p := range parts[1:] {
		end := strings.IndexFunc(p, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') })
		if end < 0 {
			end = len(p)
		}
		v, _ := env(p[:end])
		if v = strings.TrimSpace(v); v == "" {
			return "", false
		}
		b.WriteString(v)
		b.WriteString(p[end:])
	}
	return b.String(), true
}

// CheckNumber refuses a build number that was made of a variable that is empty:
// every run would join the same build, and skip what it has done.
func CheckNumber(number string) error {
	switch n := strings.TrimSpace(number); {
	case n == "":
		return fmt.Errorf("the build number is empty")
	case n == "." || n == "..":
		return fmt.Errorf("%q is no build number", number)
	case strings.ContainsRune("-_./:#", rune(n[len(n)-1])), strings.ContainsRune("-_./:#", rune(n[0])):
		return fmt.Errorf("the build number %q has nothing before or after %q: a variable it is made of is empty, so every run would be the same build", number, strings.Trim(n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))
	default:
		return nil
	}
}

// Inside reports whether this is a CI's job: nobody sits at the terminal, even
// when there is one.
func Inside(env func(string) (string, bool)) bool {
	v, _ := env("CI")
	return v != "" && !strings.EqualFold(v, "false") && v != "0" || Find(env).CI != ""
}
