package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

// completeProject takes the project from the environment.
func completeProject(_ context.Context, f *Factory, b body) error {
	s, err := f.Settings()
	if err != nil {
		return err
	}
	if project := s.Env("PROJECT", "PROJECT_ID"); b["project_id"] == nil && project != "" {
		b["project_id"] = project
	}
	return nil
}

func newBreaker(f *Factory) *cobra.Command {
	return f.add(newGroup("breaker", "See which image lines are no longer resumed", "breakers"),
		endpoint{use: "list", short: "List image lines that are no longer resumed by themselves", example: []string{"breaker list"}, unpaged: true,
			call: "GET /breakers", columns: []string{"id", "platform_id", "os_version_id", "image_type_id", "open", "reason", "opened_at"}},
		endpoint{use: "get", short: "Print why an image line is no longer resumed", example: []string{"breaker get 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a"}, call: "GET /breakers/{id}", args: []arg{idArg}},
		endpoint{use: "close", short: "Resume an image line by itself again", example: []string{"breaker close 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a"}, call: "POST /breakers/{id}/close", args: []arg{idArg}, said: "Closed breaker %s."},
	)
}

func newMetrics(f *Factory) *cobra.Command {
	project := field{flag: "project-id", key: "project_id", usage: "only builds of this project", also: []string{"project"}}
	period := field{flag: "period", key: "period", usage: "of the last time, e.g. 30d"}
	return f.add(newGroup("metrics", "Print how well resuming works"),
		endpoint{use: "resumes", aliases: []string{"stats"}, short: "Count resumes and how they went", example: []string{"metrics resumes"}, call: "GET /metrics/resumes/stats", query: []field{project}},
		endpoint{use: "time-saved", short: "Print how much time resuming saved", example: []string{"metrics time-saved --period 30d"}, call: "GET /metrics/resumes/time-saved", query: []field{project, period}},
		endpoint{use: "success-rate", short: "Print how many resumes ended well", example: []string{"metrics success-rate --period 7d"}, call: "GET /metrics/builds/resume-success-rate", query: []field{project, period}},
		endpoint{use: "storage", aliases: []string{"storage-usage"}, short: "Print how much artifacts take", example: []string{"metrics storage"}, call: "GET /metrics/artifacts/storage-usage", query: []field{project}},
	)
}

func newWindow(f *Factory) *cobra.Command {
	return f.add(newGroup("window", "See how long states may take", "windows"),
		endpoint{use: "list", short: "List how long the states of a project may take", example: []string{"window list golden-images"}, unpaged: true,
			call: "GET /projects/{project}/windows", args: []arg{projectArg}, columns: []string{"state_code", "name", "timeout_seconds", "heartbeat_seconds"}},
	)
}

func newAudit(f *Factory) *cobra.Command {
	return f.add(newGroup("audit", "See who changed what"),
		endpoint{use: "list", short: "List who changed what, newest first", example: []string{"audit list --resource platform --actor ada"},
			call: "GET /audit", columns: []string{"time", "actor", "action", "resource", "resource_id", "request_id"}, query: []field{
				{flag: "resource", key: "resource", usage: "only changes of this kind, e.g. platform"},
				{flag: "resource-id", key: "resource_id", usage: "only changes of this one"},
				{flag: "actor", key: "actor", usage: "only what this user changed"},
				{flag: "since", key: "since", usage: "only what was changed from then on, e.g. 2030-01-31T00:00:00Z"},
			}},
	)
}

func newJob(f *Factory) *cobra.Command {
	status := field{flag: "status", key: "status", usage: "pending, running, success, failed or aborted"}
	return f.add(newGroup("job", "Work with the CI jobs of builds", "jobs"),
		endpoint{use: "create", short: "Record the CI job that runs a build", example: []string{`job create "$BUILD" --platform jenkins --job-name images/rhel --job-id 117 --job-url https://jenkins.example.org/job/117`},
			call: "POST /builds/{id}/jobs", args: []arg{buildArg}, said: "Recorded job %s.", body: []field{
				{flag: "platform", key: "platform", required: true, usage: "concourse, jenkins, gitlab-ci, github-actions, …"},
				{flag: "job-name", key: "job_name", required: true, usage: "name of the job", also: []string{"name", "job"}},
				{flag: "pipeline-name", key: "pipeline_name", usage: "name of its pipeline", also: []string{"pipeline"}},
				{flag: "job-url", key: "job_url", usage: "its address", also: []string{"url"}},
				{flag: "job-id", key: "job_id", usage: "its id in the CI"},
				{flag: "build-number", key: "build_number", usage: "its number in the CI"},
				{flag: "triggered-by", key: "triggered_by", usage: "who started it"},
				{flag: "trigger-source", key: "trigger_source", usage: "manual, webhook, schedule or resume"},
				status,
				{flag: "is-resume-job", key: "is_resume_job", kind: boolean, usage: "it resumes the build"},
				{flag: "resumed-from-state", key: "resumed_from_state", kind: integer, usage: "state it resumes from"},
				{flag: "parent-job-id", key: "parent_job_id", usage: "job it goes on for"},
			}},
		endpoint{use: "list", short: "List the CI jobs of a build, newest first", example: []string{`job list "$BUILD"`},
			call: "GET /builds/{id}/jobs", args: []arg{buildArg}, columns: []string{"id", "platform", "job_name", "build_number", "status", "attempt", "job_url", "created_at"}},
		endpoint{use: "update", short: "Change the record of a CI job", example: []string{`job update "$BUILD" 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a --status success`},
			call: "PATCH /builds/{id}/jobs/{jid}", args: []arg{buildArg, {name: "JOB", usage: "record of the job", flags: []string{"job-record"}}}, change: true, said: "Updated job %s.", body: []field{
				status,
				{flag: "started-at", key: "started_at", usage: "when it began"},
				{flag: "completed-at", key: "completed_at", usage: "when it ended"},
			}},
	)
}
