package cmd

import "github.com/spf13/cobra"

var keyArg = arg{name: "KEY", usage: "name of the variable", flags: []string{"key"}}

var variableMarks = []field{
	{flag: "variable-type", key: "variable_type", usage: "string (default), json or encrypted", also: []string{"type"}},
	{flag: "required-for-resume", key: "is_required_for_resume", kind: boolean, usage: "a resume needs it", also: []string{"required"}},
	{flag: "is-sensitive", key: "is_sensitive", kind: boolean, usage: "it is a secret: shown as ******", also: []string{"sensitive"}},
}

var reveal = field{flag: "reveal", key: "reveal", kind: boolean, usage: "show secrets; needs write scope and is recorded"}

func newVariable(f *Factory) *cobra.Command {
	required := field{flag: "required-for-resume", key: "required_for_resume", kind: boolean, usage: "only those a resume needs"}
	group := f.add(newGroup("variable", "Work with variables of builds", "variables", "var"),
		endpoint{use: "list", short: "List the variables of a build", example: []string{`variable list "$BUILD"`, `variable list "$BUILD" --required-for-resume --reveal -o json`},
			call: "GET /builds/{id}/variables", args: []arg{buildArg}, query: []field{required, reveal},
			columns: []string{"variable_key", "variable_value", "variable_type", "set_at_state", "is_required_for_resume"}},
		endpoint{use: "dict", short: "Print the variables of a build as one object", example: []string{`variable dict "$BUILD" -o json`},
			call: "GET /builds/{id}/variables/dict", args: []arg{buildArg}, query: []field{required, reveal}},
		endpoint{use: "update", short: "Change a variable of a build", example: []string{`variable update "$BUILD" base_ami --value ami-0def`},
			call: "PATCH /builds/{id}/variables/{key}", args: []arg{buildArg, keyArg}, change: true, said: "Updated variable %s.",
			body: append([]field{{flag: "value", key: "variable_value", usage: "its value"}}, variableMarks...)},
		endpoint{use: "delete", short: "Delete a variable of a build", example: []string{`variable delete "$BUILD" base_ami --yes`},
			call: "DELETE /builds/{id}/variables/{key}", args: []arg{buildArg, keyArg}, ask: "Delete variable %s?", said: "Deleted variable %s."},
	)
	group.AddCommand(newVariableSet(f, runVariableSet), newVariableGet(f, runVariableGet))
	return group
}
