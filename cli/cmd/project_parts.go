package cmd

import "github.com/spf13/cobra"

var codeFields = []field{
	{flag: "code", key: "state_code", kind: integer, usage: "number from 0 to 100", also: []string{"state-code", "state"}},
	{flag: "name", key: "name", usage: "name to report it by"},
	{flag: "display-name", key: "display_name", usage: "name for people"},
	{flag: "description", key: "description", usage: "what happens in it"},
	{flag: "color", key: "color", usage: "colour, e.g. #FFA500"},
	{flag: "is-terminal", key: "is_terminal", kind: boolean, usage: "a build that completes it is completed", also: []string{"is-final"}},
	{flag: "is-initial", key: "is_initial", kind: boolean, usage: "builds begin in it"},
	{flag: "is-error", key: "is_error", kind: boolean, usage: "reporting it is a failure"},
	{flag: "is-blocking", key: "is_blocking", kind: boolean, usage: "it holds other builds back"},
	{flag: "cancels", key: "cancels", kind: boolean, usage: "reporting it cancels the build"},
	{flag: "timeout", key: "timeout_seconds", kind: integer, usage: "seconds it may take", also: []string{"timeout-seconds"}},
	{flag: "heartbeat", key: "heartbeat_seconds", kind: integer, usage: "seconds a worker may be silent", also: []string{"heartbeat-seconds"}},
	{flag: "sort-order", key: "sort_order", kind: integer, usage: "place in lists (default 0)"},
}

func newStateCode(f *Factory) *cobra.Command {
	project := field{flag: "project-id", key: "project_id", usage: "project (default BLDST_PROJECT)", also: []string{"project"}}
	filter := project
	filter.usage = "only those of this project"
	return f.add(newGroup("state-code", "Work with the states a project names", "state-codes"),
		endpoint{use: "create", short: "Name a state of a project", example: []string{"state-code create --project-id golden-images --code 40 --name packages --display-name 'Packages installed'"},
			call: "POST /state-codes", body: append([]field{project}, codeFields...), complete: completeProject, said: "Created state code %s."},
		endpoint{use: "list", short: "List the states projects name", example: []string{"state-code list --project-id golden-images"},
			call: "GET /state-codes", query: []field{filter, includeDeleted}, columns: []string{"id", "state_code", "name", "display_name", "is_terminal", "is_error", "project_id"}},
		endpoint{use: "get", short: "Print a state code", example: []string{"state-code get 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a"},
			call: "GET /state-codes/{id}", args: []arg{idArg}, query: []field{includeDeleted}},
		endpoint{use: "update", short: "Change a state code", example: []string{"state-code update 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a --timeout 3600"},
			call: "PUT /state-codes/{id}", args: []arg{idArg}, change: true, body: codeFields, said: "Updated state code %s."},
		endpoint{use: "delete", short: "Delete a state code", example: []string{"state-code delete 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a --yes"},
			call: "DELETE /state-codes/{id}", args: []arg{idArg}, ask: "Delete state code %s?", said: "Deleted state code %s. 'bldst state-code restore' brings it back."},
		endpoint{use: "restore", short: "Bring back a state code that was deleted", example: []string{"state-code restore 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a"},
			call: "POST /state-codes/{id}/restore", args: []arg{idArg}, said: "Restored state code %s."},
	)
}

func newResumableState(f *Factory) *cobra.Command {
	code := field{flag: "state", key: "state_code", kind: integer, required: true, usage: "number of the state", also: []string{"state-code"}}
	rules := []field{
		{flag: "strategy", key: "resume_strategy", usage: "from_artifact, rerun_state or skip_to_next", also: []string{"resume-strategy"}},
		{flag: "resumable", key: "is_resumable", kind: boolean, usage: "a build can be resumed there (default true)", also: []string{"is-resumable"}},
		{flag: "not-resumable", key: "is_resumable", kind: negated, usage: "a build cannot be resumed there"},
		{flag: "required-artifacts", key: "required_artifacts", kind: list, usage: "names or types of artifacts a resume needs"},
		{flag: "required-variables", key: "required_variables", kind: list, usage: "variables a resume needs"},
		{flag: "command", key: "resume_command", usage: "what to run to resume", also: []string{"resume-command"}},
		{flag: "timeout", key: "resume_timeout_seconds", kind: integer, usage: "seconds a resume may take (default 3600)", also: []string{"resume-timeout-seconds"}},
		{flag: "description", key: "description", usage: "what it is about"},
		{flag: "notes", key: "notes", usage: "what people should know"},
	}
	number := arg{name: "STATE", usage: "number of the state", flags: []string{"state", "state-code"}}
	columns := []string{"state_code", "is_resumable", "resume_strategy", "required_artifacts", "required_variables", "resume_timeout_seconds"}
	return f.add(newGroup("resumable-state", "Say how builds of a project are resumed", "resumable-states"),
		endpoint{use: "create", short: "Say how builds are resumed in a state",
			example: []string{"resumable-state create golden-images --state 40 --strategy from_artifact --required-artifacts root-fs --required-variables base_ami,region --timeout 3600"},
			call:    "POST /projects/{project}/resumable-states", args: []arg{projectArg}, body: append([]field{code}, rules...), first: columns, said: "Created resumable state %s."},
		endpoint{use: "list", short: "List how builds of a project are resumed", example: []string{"resumable-state list golden-images"},
			call: "GET /projects/{project}/resumable-states", args: []arg{projectArg}, columns: columns,
			query: []field{{flag: "resumable", key: "is_resumable", kind: boolean, usage: "only those that can be resumed", also: []string{"is-resumable"}}}},
		endpoint{use: "get", short: "Print how builds are resumed in a state", example: []string{"resumable-state get golden-images 40"},
			call: "GET /projects/{project}/resumable-states/{code}", args: []arg{projectArg, number}, first: columns},
		endpoint{use: "update", short: "Change how builds are resumed in a state", example: []string{"resumable-state update golden-images 40 --timeout 7200"},
			call: "PUT /projects/{project}/resumable-states/{code}", args: []arg{projectArg, number}, change: true, body: rules, first: columns, said: "Updated resumable state %s."},
	)
}

func newPolicy(f *Factory) *cobra.Command {
	return f.add(newGroup("policy", "Say when builds of a project are resumed by themselves", "policies"),
		endpoint{use: "get", short: "Print when builds are resumed by themselves", example: []string{"policy get golden-images"},
			call: "GET /projects/{id}/policy", args: []arg{projectArg}},
		endpoint{use: "set", aliases: []string{"update"}, short: "Say when builds are resumed by themselves", said: "Set the policy of %s.",
			long:    "Say when failed builds of a project are resumed by themselves, and how often.\nThe whole policy is replaced: what is not given gets its default.",
			example: []string{`policy set golden-images --automatic --classes '{"transient": {"retries": 3, "backoff_seconds": [60, 300, 900]}}'`},
			call:    "PUT /projects/{id}/policy", args: []arg{projectArg}, change: true, body: []field{
				{flag: "automatic", key: "automatic", kind: boolean, usage: "resume without being asked"},
				{flag: "classes", key: "classes", kind: object, usage: "by class of failure: retries and backoff_seconds; JSON or @FILE"},
				{flag: "max-total-seconds", key: "max_total_seconds", kind: integer, usage: "no resume once a build is older; 0 is no limit"},
				{flag: "breaker", key: "breaker", kind: object, usage: "when an image line stops being resumed; JSON or @FILE"},
			}},
	)
}

func newCI(f *Factory) *cobra.Command {
	return f.add(newGroup("ci", "Say which CI resumes builds of a project"),
		endpoint{use: "get", short: "Print which CI resumes builds", example: []string{"ci get golden-images"}, call: "GET /projects/{project}/ci", args: []arg{projectArg}},
		endpoint{use: "set", short: "Say which CI resumes builds", said: "Set the CI of %s.", first: []string{"project_id", "kind"},
			long:    "Say which CI is asked to start a job when a build of the project is resumed. The\ncredential is named, not given: env:BLDST_CI_NAME, ssm:/bldst/NAME or\nsecretsmanager:bldst/NAME of the service.",
			example: []string{"ci set golden-images --kind jenkins --url https://jenkins.example.org --job images/rhel --credential-ref ssm:/bldst/jenkins"},
			call:    "PUT /projects/{project}/ci", args: []arg{projectArg}, body: []field{
				{flag: "kind", key: "kind", required: true, usage: "concourse, jenkins, github-actions, gitlab-ci or webhook"},
				{flag: "url", key: "url", usage: "address of the server"},
				{flag: "job", key: "job", usage: "job; in folders as folder/name"},
				{flag: "pipeline", key: "pipeline", usage: "pipeline of Concourse"},
				{flag: "team", key: "team", usage: "team of Concourse (default main)"},
				{flag: "vars", key: "vars", usage: "of Concourse: instance (default) or none"},
				{flag: "repository", key: "repository", usage: "owner/name at GitHub, group/name at GitLab"},
				{flag: "workflow", key: "workflow", usage: "file of the workflow at GitHub"},
				{flag: "ref", key: "ref", usage: "branch or tag (default main)"},
				{flag: "credential-ref", key: "credential_ref", usage: "where the service finds the credential"},
			}},
		endpoint{use: "delete", short: "Resume builds of a project by no CI", example: []string{"ci delete golden-images --yes"},
			call: "DELETE /projects/{project}/ci", args: []arg{projectArg}, ask: "Forget the CI of %s?", said: "Forgot the CI of %s."},
	)
}

func newSubscription(f *Factory) *cobra.Command {
	one := []arg{projectArg, idArg}
	fields := []field{
		{flag: "kind", key: "kind", required: true, usage: "slack, webhook or sns"},
		{flag: "events", key: "events", kind: list, required: true, usage: "what to tell, e.g. build.failed,build.completed"},
		{flag: "url", key: "url", usage: "where it is sent"},
		{flag: "topic-arn", key: "topic_arn", usage: "topic of SNS it is sent to"},
		{flag: "name", key: "name", usage: "name for people"},
		{flag: "enabled", key: "enabled", kind: boolean, usage: "send (default true)"},
		{flag: "disabled", key: "enabled", kind: negated, usage: "do not send"},
	}
	rotate := field{flag: "rotate-secret", key: "rotate_secret", kind: boolean, usage: "make another secret to sign with"}
	return f.add(newGroup("subscription", "Say who is told about builds of a project", "subscriptions"),
		endpoint{use: "create", short: "Tell somebody about builds", example: []string{"subscription create golden-images --kind webhook --url https://example.org/hook --events build.failed"},
			call: "POST /projects/{project}/subscriptions", args: []arg{projectArg}, body: fields, first: []string{"id", "kind", "events"}, said: "Created subscription %s."},
		endpoint{use: "list", short: "List who is told about builds", example: []string{"subscription list golden-images"}, unpaged: true,
			call: "GET /projects/{project}/subscriptions", args: []arg{projectArg}, columns: []string{"id", "kind", "name", "events", "enabled", "url"}},
		endpoint{use: "get", short: "Print who is told about builds", example: []string{"subscription get golden-images 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a"}, call: "GET /projects/{project}/subscriptions/{id}", args: one},
		endpoint{use: "update", short: "Change who is told about builds", example: []string{"subscription update golden-images 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a --disabled"},
			call: "PUT /projects/{project}/subscriptions/{id}", args: one, change: true, body: append(optional(fields), rotate), said: "Updated subscription %s."},
		endpoint{use: "delete", short: "Tell somebody no more", example: []string{"subscription delete golden-images 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a --yes"},
			call: "DELETE /projects/{project}/subscriptions/{id}", args: one, ask: "Delete subscription %s?", said: "Deleted subscription %s."},
	)
}

func newDelivery(f *Factory) *cobra.Command {
	return f.add(newGroup("delivery", "See what was told about builds, and tell it again", "deliveries"),
		endpoint{use: "list", short: "List what was told about builds of a project", example: []string{"delivery list golden-images"},
			call: "GET /projects/{project}/deliveries", args: []arg{projectArg}, columns: []string{"id", "event", "kind", "status", "tries", "error", "created_at"}},
		endpoint{use: "get", short: "Print what was told", example: []string{"delivery get 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a"}, call: "GET /deliveries/{id}", args: []arg{idArg}},
		endpoint{use: "replay", short: "Tell it again", example: []string{"delivery replay 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a"}, call: "POST /deliveries/{id}/replay", args: []arg{idArg}, said: "Delivery %s is sent again."},
	)
}
