package cmd

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"bldst/shared/client"

	"github.com/spf13/cobra"
)

// A completer says how shells complete an id: which list of the API has it,
// which of its members it may be, and what is shown beside it.
type completer struct {
	path     string
	ids      []string
	describe []string
}

// completers are the things with ids that are worth completing, by kind.
var completers = map[string]completer{
	"builds":    {"/builds", []string{"build_number", "id"}, []string{"status", "current_state", "platform_id"}},
	"projects":  {"/projects", []string{"name", "id"}, []string{"description"}},
	"users":     {"/users", []string{"username", "id"}, []string{"full_name"}},
	"breakers":  {"/breakers", []string{"id"}, []string{"platform_id", "os_version_id", "reason"}},
	"artifacts": {"", []string{"artifact_name", "id"}, []string{"artifact_type", "state_code"}},
}

// completedBy are the kinds of what flags and members of bodies name.
var completedBy = map[string]string{
	"project_id": "projects", "platform_id": "platforms", "os_version_id": "os-versions", "image_type_id": "image-types",
	"builds": "builds", "projects": "projects", "users": "users",
	"cloud_provider_id": "cloud-providers", "os_distribution_id": "os-distributions", "image_variant_id": "image-variants", "parent_project_id": "projects",
}

// choices are the words some flags take.
var choices = map[string][]string{
	"status":               {"pending", "in_progress", "completed", "failed", "cancelled"},
	"failure_class":        {"transient", "persistent", "quota", "stalled", "timed_out", "aborted", "unknown"},
	"resume_strategy":      {"from_artifact", "rerun_state", "skip_to_next"},
	"orchestration_status": {"pending", "triggered", "running", "completed", "failed"},
	"scopes":               {"read", "write", "admin"},
	"artifact_type":        {"ami", "ebs_snapshot", "vm_snapshot", "disk_image", "config_file"},
	"checksum_algorithm":   {"sha256"},
}

// completionLimit is how many ids are offered; completionWait how long a shell
// is kept waiting for them.
const (
	completionLimit = 50
	completionWait  = time.Second
)

type completion = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective)

// complete returns the completion of ids of a kind. It never fails: without the
// API nothing is offered.
func (f *Factory) complete(kind string) completion {
	return func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return f.ids(cmd.Context(), completerOf(kind), typed), cobra.ShellCompDirectiveNoFileComp
	}
}

func completerOf(kind string) completer {
	if c, ok := completers[kind]; ok {
		return c
	}
	return completer{"/" + kind, []string{"id"}, []string{"name", "version", "display_name"}}
}

// completeArgs completes each argument of a command by its kind.
func (f *Factory) completeArgs(args []arg) completion {
	return func(cmd *cobra.Command, given []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(given) >= len(args) || args[len(given)].kind == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c := completerOf(args[len(given)].kind)
		if c.path == "" { // of the build before it
			c.path = client.Path("builds", given[0], "artifacts")
		}
		return f.ids(cmd.Context(), c, typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// ids asks for the ids that begin with what was typed. Of several names of one
// thing the first that fits is offered.
func (f *Factory) ids(ctx context.Context, c completer, typed string) []cobra.Completion {
	ctx, cancel := context.WithTimeout(ctx, completionWait)
	defer cancel()
	f.Retry.Tries = 1
	api, err := f.Client()
	if err != nil {
		return nil
	}
	items, _, err := api.List(ctx, c.path, url.Values{}, completionLimit)
	if err != nil {
		return nil
	}
	var out []cobra.Completion
	for _, raw := range items {
		var object map[string]any
		if json.Unmarshal(raw, &object) != nil {
			continue
		}
		for _, key := range c.ids {
			if id, ok := object[key].(string); ok && id != "" && strings.HasPrefix(id, typed) {
				out = append(out, cobra.CompletionWithDesc(id, description(object, c.describe)))
				break
			}
		}
	}
	return out
}

func description(object map[string]any, keys []string) string {
	var parts []string
	for _, key := range keys {
		switch v := object[key].(type) {
		case string:
			parts = append(parts, v)
		case float64:
			b, _ := json.Marshal(v) // a number always encodes
			parts = append(parts, string(b))
		}
	}
	return strings.Join(parts, " ")
}

// completeFlag makes shells complete a flag by the member it sets.
func (f *Factory) completeFlag(cmd *cobra.Command, flag, key string) {
	if kind, ok := completedBy[key]; ok {
		_ = cmd.RegisterFlagCompletionFunc(flag, f.complete(kind))
	} else if words, ok := choices[key]; ok {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// completeFlags does so for every flag of cmd, by its annotation.
func (f *Factory) completeFlags(cmd *cobra.Command) {
	for flag, key := range flagKeys(cmd) {
		f.completeFlag(cmd, flag, key)
	}
}
