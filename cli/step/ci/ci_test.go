package ci_test

import (
	"testing"

	"bldst/cli/step/ci"

	"github.com/google/go-cmp/cmp"
)

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func TestARerunIsTheSameBuildAndAnotherWorker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		vars, rerun map[string]string
		want        ci.Job
		worker      string // of the rerun
	}{
		"GitHub": {
			map[string]string{"CI": "true", "GITHUB_RUN_ID": "77", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_REPOSITORY": "acme/images", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_JOB": "build", "GITHUB_SHA": "abc", "GITHUB_WORKSPACE": "/w"},
			map[string]string{"GITHUB_RUN_ATTEMPT": "2"},
			ci.Job{CI: "github-actions", ID: "77", Number: "github-acme/images-77", Worker: "github/acme/images/77/1", URL: "https://github.com/acme/images/actions/runs/77", Name: "build", Commit: "abc", Space: "/w"},
			"github/acme/images/77/2",
		},
		"GitLab": {
			map[string]string{"GITLAB_CI": "true", "CI_PROJECT_PATH": "acme/images", "CI_PIPELINE_ID": "1001", "CI_JOB_ID": "5", "CI_JOB_URL": "https://gitlab.com/j/5", "CI_JOB_NAME": "build", "CI_COMMIT_SHA": "abc", "CI_PROJECT_DIR": "/w"},
			map[string]string{"CI_JOB_ID": "6"},
			ci.Job{CI: "gitlab-ci", ID: "5", Number: "gitlab-acme/images-1001", Worker: "gitlab/acme/images/1001", URL: "https://gitlab.com/j/5", Name: "build", Commit: "abc", Space: "/w"},
			"gitlab/acme/images/1001",
		},
		"Jenkins": {
			map[string]string{"JENKINS_URL": "https://ci/", "JOB_NAME": "images/rhel", "BUILD_NUMBER": "12", "BUILD_URL": "https://ci/job/12/", "GIT_COMMIT": "abc", "WORKSPACE": "/w"},
			nil,
			ci.Job{CI: "jenkins", ID: "12", Number: "jenkins-images/rhel-12", Worker: "jenkins/images/rhel/12", URL: "https://ci/job/12/", Name: "images/rhel", Commit: "abc", Space: "/w"},
			"jenkins/images/rhel/12",
		},
		"Buildkite": {
			map[string]string{"BUILDKITE_BUILD_ID": "u", "BUILDKITE_ORGANIZATION_SLUG": "acme", "BUILDKITE_PIPELINE_SLUG": "rhel", "BUILDKITE_BUILD_NUMBER": "3", "BUILDKITE_JOB_ID": "j", "BUILDKITE_BUILD_URL": "https://bk/3", "BUILDKITE_LABEL": "Build", "BUILDKITE_COMMIT": "abc", "BUILDKITE_BUILD_CHECKOUT_PATH": "/w"},
			map[string]string{"BUILDKITE_JOB_ID": "k"},
			ci.Job{CI: "buildkite", ID: "j", Number: "buildkite-acme-rhel-3", Worker: "buildkite/acme/rhel/3", URL: "https://bk/3#j", Name: "Build", Commit: "abc", Space: "/w"},
			"buildkite/acme/rhel/3",
		},
		"a put of Concourse": {
			map[string]string{"ATC_EXTERNAL_URL": "https://ci", "BUILD_TEAM_NAME": "main", "BUILD_PIPELINE_NAME": "rhel", "BUILD_JOB_NAME": "build", "BUILD_NAME": "12", "BUILD_ID": "4711"},
			map[string]string{"BUILD_NAME": "12.1"},
			ci.Job{CI: "concourse", ID: "4711", Number: "concourse-main-rhel-build-12", Worker: "concourse/main/rhel/build/12", URL: "https://ci/teams/main/pipelines/rhel/jobs/build/builds/12", Name: "build"},
			"concourse/main/rhel/build/12.1",
		},
	} {
		got := ci.Find(env(c.vars))
		if d := cmp.Diff(c.want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "hint" }, cmp.Ignore()), cmp.AllowUnexported(ci.Job{})); d != "" {
			t.Errorf("%s: -want +got:\n%s", name, d)
		}
		for k, v := range c.rerun {
			c.vars[k] = v
		}
		if again := ci.Find(env(c.vars)); again.Number != got.Number || again.Worker != c.worker {
			t.Errorf("%s, run again: number %s, worker %s", name, again.Number, again.Worker)
		}
	}
}

func TestATaskOfConcourseHasNoNumber(t *testing.T) {
	t.Parallel()
	j := ci.Find(env(map[string]string{"ATC_EXTERNAL_URL": "https://ci"}))
	if j.CI != "concourse" || j.Number != "" || j.Worker != "" || j.Hint() == "" {
		t.Errorf("got %+v", j)
	}
	if j := ci.Find(env(map[string]string{"GITHUB_RUN_ID": "", "HOME": "/root"})); j.CI != "" {
		t.Errorf("a laptop is taken for %s", j.CI)
	}
}

func TestNumbersOfEmptyVariablesAreRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", " ", "nightly-", "-12", "a/b/", ".", "..", "rhel_", ":7", "image#"} {
		if ci.CheckNumber(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"1", "2024.02.001", "rhel-9.3-77", "github-acme/images-77", "ä"} {
		if err := ci.CheckNumber(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestInside(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"": false, "false": false, "0": false, "true": true, "1": true, "woodpecker": true} {
		if got := ci.Inside(env(map[string]string{"CI": value})); got != want {
			t.Errorf("CI=%s: %v", value, got)
		}
	}
}
