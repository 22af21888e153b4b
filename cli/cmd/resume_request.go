package cmd

import "github.com/spf13/cobra"

var requestColumns = []string{"id", "attempt", "resume_from_state", "resume_reason", "orchestration_status", "requested_by", "created_at"}

var requestArg = arg{name: "ID", usage: "resume request", flags: []string{"request-id"}}

func newResumeRequest(f *Factory) *cobra.Command {
	group := f.add(newGroup("resume-request", "See who is asked to resume builds, and how far they are", "resume-requests"),
		endpoint{use: "get", short: "Print a resume request", example: []string{"resume-request get 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a"},
			call: "GET /resume-requests/{rid}", args: []arg{requestArg}, first: requestColumns},
		endpoint{use: "update", short: "Say how far a resume is", example: []string{"resume-request update 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a --status running --job-url https://ci.example.org/job/118"},
			call: "PATCH /resume-requests/{rid}", args: []arg{requestArg}, change: true, first: requestColumns, said: "Updated resume request %s.", body: []field{
				{flag: "status", key: "orchestration_status", usage: "pending, triggered, running, completed or failed", also: []string{"orchestration-status"}},
				{flag: "job-id", key: "orchestration_job_id", usage: "job that resumes", also: []string{"orchestration-job-id"}},
				{flag: "job-url", key: "orchestration_job_url", usage: "its address", also: []string{"orchestration-job-url"}},
				{flag: "triggered-at", key: "triggered_at", usage: "when it was started"},
				{flag: "completed-at", key: "completed_at", usage: "when it ended"},
				{flag: "error-message", key: "error_message", usage: "why it failed", also: []string{"error"}},
			}},
	)
	group.AddCommand(newEndpoint(f, resumeRequests("list"), runEndpoint))
	return group
}

// resumeRequests is resume-request list and build resume-requests.
func resumeRequests(use string) endpoint {
	group := "build "
	if use == "list" {
		group = "resume-request "
	}
	return endpoint{use: use, short: "List the resume requests of a build, newest first", example: []string{group + use + ` "$BUILD"`},
		call: "GET /builds/{id}/resume-requests", args: []arg{buildArg}, columns: requestColumns}
}
