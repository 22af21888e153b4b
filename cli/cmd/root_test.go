package cmd

import (
	"context"
	"slices"
	"strings"
	"testing"

	"bldst/shared/store"

	"github.com/spf13/cobra"
)

// TestEveryCommandIsComplete names what a new command still lacks.
func TestEveryCommandIsComplete(t *testing.T) {
	t.Parallel()
	f, _, _ := newSession(t, "").factory()
	root := newRoot(f)
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		path := c.CommandPath()
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: give it a Short, without a full stop", path)
		}
		if len(c.Commands()) == 0 && c.Example == "" {
			t.Errorf("%s: give it an Example", path)
		}
		if c != root && c.RunE == nil {
			t.Errorf("%s: give it a RunE", path)
		}
		for _, word := range strings.Split(c.Example, "\n") {
			if word != "" && !strings.HasPrefix(word, "  ") {
				t.Errorf("%s: indent its Example by two spaces", path)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// TestEveryCommandHasHelp also finds flags that clash, since those panic.
func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	f, _, _ := newSession(t, "").factory()
	for _, c := range newRoot(f).Commands() {
		for _, sub := range append(c.Commands(), c) {
			args := append(strings.Fields(sub.CommandPath())[1:], "--help")
			got := newSession(t, "").run(args...)
			if got.Code != 0 || !strings.Contains(got.Out, "Usage:") || got.Err != "" {
				t.Errorf("bldst %s: %+v", strings.Join(args, " "), got)
			}
		}
	}
}

// TestPromisedCommandsExist pins the spellings that scripts use.
func TestPromisedCommandsExist(t *testing.T) {
	t.Parallel()
	promised := `config set-url, config get-url, config show, config reset, config set-key,
		auth login, auth logout, auth set-key, auth clear-key,
		health, health check, health ready, health status, health liveness, health readiness,
		build create, build get, build list, build update, build add-state, build add-failure, build states, build failures,
		build update-state, build record-failure, build history, builds create, builds update-state,
		state update, state get, failure record, dashboard summary, dashboard recent, dashboard platform, version, local, help`
	for _, noun := range []string{"platform", "os-version", "image-type", "cloud-provider", "os-distribution", "image-variant", "project"} {
		for _, verb := range []string{"create", "get", "list", "update", "delete", "restore"} {
			promised += ", " + noun + " " + verb + ", " + noun + "s " + verb
		}
	}
	f, _, _ := newSession(t, "").factory()
	root := newRoot(f)
	root.InitDefaultHelpCmd()
	for _, line := range strings.Split(promised, ",") {
		words := strings.Fields(line)
		c, rest, err := root.Find(words)
		if err != nil || len(rest) > 0 {
			t.Errorf("bldst %s: found only %q (%v)", strings.Join(words, " "), c.CommandPath(), err)
		}
	}
}

func TestEveryNounOfTheCatalogueHasItsCommands(t *testing.T) {
	t.Parallel()
	for _, n := range store.Catalogue() {
		if !slices.ContainsFunc(nouns, func(c noun) bool { return c.plural == n.Plural }) {
			t.Errorf("%s have no commands; add an entry to nouns in nouns.go", n.Plural)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	s := newSession(t, "")
	check(t, result{0, "bldst 1.2.3\n", ""}, s.run("--version"))
	check(t, result{0, "bldst 1.2.3\n", ""}, s.run("version"))
	check(t, result{0, "{\n  \"version\": \"1.2.3\"\n}\n", ""}, s.run("version", "-o", "json"))
}

func TestBareCommandsHelp(t *testing.T) {
	t.Parallel()
	s := newSession(t, "")
	for _, args := range [][]string{nil, {"platform"}, {"auth"}} {
		if got := s.run(args...); got.Code != 0 || !strings.Contains(got.Out, "Available Commands:") {
			t.Errorf("bldst %v: %+v", args, got)
		}
	}
}

func TestCompletionOffersCommandsAndNoFiles(t *testing.T) {
	t.Parallel()
	got := newSession(t, "").run("__complete", "platform", "get", "")
	if !strings.Contains(got.Out, ":4") { // cobra.ShellCompDirectiveNoFileComp
		t.Errorf("completion of an id: %q", got.Out)
	}
	if got := newSession(t, "").run("completion", "bash"); got.Code != 0 || !strings.Contains(got.Out, "bldst") {
		t.Errorf("completion bash: exit %d", got.Code)
	}
}

func TestLocalIsCalled(t *testing.T) {
	t.Parallel()
	f, _, _ := newSession(t, "").factory()
	var got LocalOptions
	f.Local = func(_ context.Context, o LocalOptions) error { got = o; return nil }
	check(t, 0, Run(t.Context(), f, []string{"local", "--port", "1234", "--data", "d"}))
	check(t, LocalOptions{Port: 1234, Data: "d"}, got)
}
