package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

var userFields = []field{
	{flag: "email", short: "e", key: "email", required: true, usage: "address"},
	{flag: "full-name", key: "full_name", usage: "full name"},
	{flag: "first-name", key: "first_name", usage: "first name"},
	{flag: "last-name", key: "last_name", usage: "last name"},
	{flag: "employee-id", key: "employee_id", usage: "number of the employee"},
	{flag: "scope", key: "scopes", kind: list, usage: "what the user may do: read, write, admin (default read,write)", also: []string{"scopes"}},
	{flag: "superuser", key: "is_superuser", kind: boolean, usage: "the user may do everything"},
	{flag: "active", key: "is_active", kind: boolean, usage: "the user may sign in"},
	{flag: "inactive", key: "is_active", kind: negated, usage: "the user may not sign in"},
	{flag: "password", short: "p", key: "password", usage: "password; others on this machine may see it, better be asked"},
}

func newUser(f *Factory) *cobra.Command {
	name := field{flag: "username", short: "u", key: "username", required: true, usage: "name to sign in with"}
	one := userArg
	one.name, one.flags = "ID", nil
	return f.add(newGroup("user", "Work with users", "users"),
		endpoint{use: "create", short: "Create a user", example: []string{"user create --username ada --email ada@example.org --full-name 'Ada Lovelace' --scope read,write"},
			long: "Create a user. The password is asked for when it is not given, or read from\nstandard input.",
			call: "POST /users", body: append([]field{name}, userFields...), complete: completeUser, first: []string{"id", "username", "email"}, said: "Created user %s."},
		endpoint{use: "get", short: "Print a user, found by id or name", example: []string{"user get ada"},
			call: "GET /users/{id}", args: []arg{one}, query: []field{includeDeleted}, first: []string{"id", "username"}},
		endpoint{use: "list", short: "List users", example: []string{"user list"},
			call: "GET /users", query: []field{includeDeleted}, columns: []string{"id", "username", "email", "scopes", "is_active", "created_at"}},
		endpoint{use: "me", short: "Print who you are signed in as", example: []string{"user me -o json"}, call: "GET /users/me", first: []string{"id", "username", "scopes"}},
		endpoint{use: "profile", short: "Print a user with their keys; without ID, yourself", example: []string{"user profile ada", "user profile"},
			call: "GET /users/{id}/profile", args: []arg{{name: "ID", optional: "me", kind: "users"}}, first: []string{"id", "username"}},
		endpoint{use: "update", short: "Change a user", example: []string{"user update ada --inactive"},
			call: "PUT /users/{id}", args: []arg{one}, change: true, body: append(optional([]field{name}), optional(userFields)...), said: "Updated user %s."},
		endpoint{use: "delete", short: "Delete a user; all keys of the user end", example: []string{"user delete ada --yes"},
			call: "DELETE /users/{id}", args: []arg{one}, ask: "Delete user %s?", said: "Deleted user %s. 'bldst user restore' brings the user back, not the keys."},
		endpoint{use: "restore", short: "Bring back a user that was deleted, without keys", example: []string{"user restore ada"},
			call: "POST /users/{id}/restore", args: []arg{one}, said: "Restored user %s."},
	)
}

// completeUser asks for the password.
func completeUser(ctx context.Context, f *Factory, b body) (err error) {
	if _, given := b["password"]; !given {
		b["password"], err = f.readSecret(ctx, "Password of the user: ", "no password was entered")
	}
	return err
}

func newToken(f *Factory) *cobra.Command {
	return f.add(newGroup("token", "Work with API keys of users", "tokens"),
		endpoint{use: "create", short: "Make an API key; it is shown this once", example: []string{"token create --user ada --name ci --scope read --scope write --expires 90", "token create ada --name laptop -q"},
			call: "POST /users/{id}/tokens", args: []arg{userArg}, first: []string{"token", "id", "name", "scopes"}, secret: "token", said: "The key is shown this once.",
			body: []field{
				{flag: "name", key: "name", usage: "what it is for"},
				{flag: "scope", key: "scopes", kind: list, usage: "what it may do: read, write, admin", also: []string{"scopes"}},
				{flag: "expires", key: "expires_in_days", kind: integer, usage: "days until it ends", also: []string{"expires-in-days"}},
				{flag: "expires-at", key: "expires_at", usage: "when it ends, e.g. 2030-01-31T00:00:00Z"},
				{flag: "projects", key: "projects", kind: list, usage: "projects it is bound to (default: all)"},
				{flag: "description", key: "description", usage: "further words"},
			}},
		endpoint{use: "list", short: "List the API keys of a user", example: []string{"token list --user ada"},
			call: "GET /users/{id}/tokens", args: []arg{userArg}, columns: []string{"id", "name", "scopes", "is_active", "expires_at", "last_used_at"}},
		endpoint{use: "revoke", aliases: []string{"delete"}, short: "End an API key", example: []string{"token revoke --token 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a --user ada --yes"},
			call: "DELETE /users/{id}/tokens/{tid}", args: []arg{userArg, {name: "TOKEN", usage: "id of the key", flags: []string{"token", "token-id"}}},
			ask: "End the key %s?", said: "Ended the key %s."},
	)
}
