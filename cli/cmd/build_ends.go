package cmd

import (
	"context"
)

// failureFields are what is said about a failure.
var failureFields = []field{
	{flag: "message", key: "error_message", required: true, usage: "what went wrong; --error is the same", also: []string{"error", "error-message"}},
	{flag: "type", key: "failure_type", usage: "kind of failure, e.g. packer_error", also: []string{"failure-type"}},
	{flag: "code", key: "error_code", usage: "error code, e.g. PACKER_TIMEOUT", also: []string{"error-code"}},
	{flag: "component", key: "component", usage: "what failed, e.g. packer, ansible"},
	{flag: "class", key: "failure_class", usage: "transient, persistent, quota, …: what may help", also: []string{"failure-class"}},
	{flag: "exit-code", key: "exit_code", kind: integer, usage: "exit code of what failed"},
	{flag: "retryable", key: "is_retryable", kind: boolean, usage: "trying again may help", also: []string{"is-retryable"}},
	{flag: "retry-attempt", key: "retry_attempt", kind: integer, usage: "number of the try that failed"},
	{flag: "target", key: "target", usage: "target of the state that failed"},
	{flag: "details", key: "error_details", kind: object, usage: "further data, a JSON object or @FILE", also: []string{"metadata", "error-details"}},
	{flag: "attempt", key: "attempt", kind: integer, usage: "attempt of the build the report belongs to"},
	{flag: "worker", key: "worker", usage: "who reports"},
}

var takeOver = field{flag: "take-over", key: "take_over", kind: boolean, usage: "replace the worker that holds the build: the next attempt begins"}

// buildEnds are the commands that end a build, or undo that.
var buildEnds = []endpoint{
	{use: "complete", short: "Report that a build is completed", example: []string{`build complete "$BUILD" --message 'published to 3 regions'`},
		call: "POST /builds/{id}/state", args: []arg{buildArg}, fixed: body{"state_code": 100, "status": "completed"}, said: "The build is completed.", body: []field{
			{flag: "message", key: "message", usage: "what was made"},
			{flag: "metadata", key: "metadata", kind: object, usage: "further data, a JSON object or @FILE"},
			{flag: "final-state", key: "state_code", kind: state, usage: "its last state (default 100)", also: []string{"state", "state-code"}},
			{flag: "attempt", key: "attempt", kind: integer, usage: "attempt of the build the report belongs to"},
			{flag: "worker", key: "worker", usage: "who reports"},
		}},
	{use: "fail", short: "Report that a build failed where it is", example: []string{`build fail "$BUILD" --message 'the agent is gone'`},
		call: "POST /builds/{id}/failure", args: []arg{buildArg}, fixed: body{"error_message": "failed"}, body: append(optional(failureFields),
			field{flag: "state", key: "state_code", kind: state, usage: "state that failed (default: the current one)", also: []string{"state-code"}}),
		complete: dropJenkinsCode, said: "Recorded the failure."},
	{use: "cancel", short: "Ask the worker of a build to stop", example: []string{`build cancel "$BUILD" --reason 'wrong branch'`},
		long: "Ask the worker of a build to stop. Without a worker the build is cancelled at\nonce; else when the worker has stopped, or its lease ends.",
		call: "POST /builds/{id}/cancel", args: []arg{buildArg}, first: []string{"id", "build_number", "status", "cancel_requested"},
		body: []field{{flag: "reason", key: "reason", usage: "why"}}, said: "Asked build %s to stop."},
	{use: "heartbeat", short: "Say that a build is being worked on, and ask whether it shall stop", example: []string{`build heartbeat "$BUILD" --worker "$HOSTNAME" --progress 40`},
		call: "POST /builds/{id}/heartbeat", args: []arg{buildArg}, first: []string{"attempt", "cancel_requested", "lease_until"}, secret: "cancel_requested", body: []field{
			{flag: "worker", key: "worker", usage: "who works on it"},
			{flag: "message", key: "message", usage: "what is going on"},
			{flag: "progress", key: "progress", kind: integer, usage: "how much of the state is done, 0 to 100"},
			{flag: "state", key: "state_code", kind: state, usage: "state it is in", also: []string{"state-code"}},
			{flag: "attempt", key: "attempt", kind: integer, usage: "attempt that is worked on"},
			takeOver,
		}},
	{use: "delete", short: "Delete a build that has ended", example: []string{`build delete "$BUILD" --yes`},
		call: "DELETE /builds/{id}", args: []arg{buildArg}, ask: "Delete build %s?", said: "Deleted build %s. 'bldst build restore' brings it back."},
	{use: "restore", short: "Bring back a build that was deleted", example: []string{`build restore "$BUILD"`},
		call: "POST /builds/{id}/restore", args: []arg{buildArg}, said: "Restored build %s."},
}

// dropJenkinsCode leaves out the error code -1, which only says that there is
// none.
func dropJenkinsCode(_ context.Context, _ *Factory, b body) error {
	if b["error_code"] == "-1" {
		delete(b, "error_code")
	}
	return nil
}
