package cmd

import (
	"context"
	"errors"
	"strings"

	"bldst/cli/settings"

	"github.com/spf13/cobra"
)

func newAuth(f *Factory) *cobra.Command {
	group := newGroup("auth", "Sign in and out, or set an API key")
	group.AddCommand(newLogin(f, runLogin), newIDMLogin(f, runLogin), newLogout(f, runLogout), newSetKey(f, runSetKey), newClearKey(f, runClearKey), newAuthStatus(f, runAuthStatus))
	return group
}

type setKeyOptions struct{ Key string } // "": ask

// newSetKey is both auth set-key and config set-key.
func newSetKey(f *Factory, work run[setKeyOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "set-key [KEY]", Short: "Store the API key", Args: positional(0, "KEY"),
		Long: `Store the API key in the system's keyring, or in the settings file when there is
none. Without KEY it is asked for, or read from standard input. In a pipeline,
set BLDST_API_KEY instead. BLDST_NO_KEYRING=1 keeps bldst off the keyring.`,
		Example: "  bldst auth set-key dev-key-12345\n  bldst auth set-key < key.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			var o setKeyOptions
			if len(args) > 0 && args[0] != "-" {
				o.Key = args[0]
			}
			return work(cmd.Context(), f, o)
		},
	}
}

func runSetKey(ctx context.Context, f *Factory, o setKeyOptions) error {
	key := strings.TrimSpace(o.Key)
	if key == "" {
		line, err := f.readSecret(ctx, "API key: ", "no key was entered")
		if err != nil {
			return err
		}
		key = strings.TrimSpace(line)
	}
	return f.store(settings.APIKey, key, "API key")
}

// readSecret reads a line, hidden if a person types it. Nothing is the error
// that says nothing.
func (f *Factory) readSecret(ctx context.Context, prompt, nothing string) (string, error) {
	read := f.Streams.Line
	if f.Streams.InTTY {
		read = func() (string, error) { return f.Streams.AskHidden(ctx, prompt) }
	}
	line, err := read()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil || strings.TrimSpace(line) == "":
		return "", &badInput{errors.New(nothing)}
	default:
		return line, nil
	}
}

// store keeps a credential and says where.
func (f *Factory) store(entry, secret, name string) error {
	s, err := f.newSettings()
	if err != nil {
		return err
	}
	reason, err := s.SetSecret(entry, secret)
	if err != nil {
		return hint(err, "Neither the keyring nor the file can be written; give the credential in BLDST_API_KEY or BLDST_JWT_TOKEN.")
	}
	if reason == nil {
		f.say("The %s is in the keyring.", name)
		return nil
	}
	f.warn("the keyring cannot be used (%v); the %s is kept in %s, readable by you only", reason, name, s.Path)
	return nil
}

func newClearKey(f *Factory, work run[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "clear-key", Short: "Forget the stored API key", Args: positional(0),
		Example: "  bldst auth clear-key",
		RunE:    func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, noOptions{}) },
	}
}

func runClearKey(_ context.Context, f *Factory, _ noOptions) error {
	return f.forget(settings.APIKey, "API key", "API_KEY")
}

func newLogout(f *Factory, work run[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "Forget the token of the last sign-in", Args: positional(0),
		Example: "  bldst auth logout",
		RunE:    func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, noOptions{}) },
	}
}

func runLogout(_ context.Context, f *Factory, _ noOptions) error {
	return f.forget(settings.Token, "token", "JWT_TOKEN")
}

func (f *Factory) forget(entry, name, variable string) error {
	s, err := f.Settings()
	if err != nil {
		return err
	}
	if err := s.ClearSecret(entry); err != nil {
		return err
	}
	if entry == settings.Token {
		s.ForgetLogin()
	}
	f.say("The %s is forgotten.", name)
	if s.Env(variable) != "" {
		f.warn("the environment still sets one (BLDST_%s or BUILDSTATE_%s)", variable, variable)
	}
	return nil
}
