package cmd

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"bldst/cli/settings"
	"bldst/shared/problem"

	"github.com/spf13/cobra"
)

type loginOptions struct {
	IDM      bool // at the identity management
	Username string
	Password string
	Stdin    bool // read the password from standard input
	Once     bool // do not keep the password
}

// newIDMLogin is auth login with the account of the identity management.
func newIDMLogin(f *Factory, work run[loginOptions]) *cobra.Command {
	cmd := newLogin(f, func(ctx context.Context, f *Factory, o loginOptions) error {
		o.IDM = true
		return work(ctx, f, o)
	})
	cmd.Use, cmd.Short = "idm-login", "Sign in with the account of the identity management"
	cmd.Example = examples([]string{"auth idm-login --username ada --password-stdin < password.txt"})
	return cmd
}

func newLogin(f *Factory, work run[loginOptions]) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use: "login", Short: "Sign in with user name and password", Args: positional(0),
		Long: `Sign in and keep the token in the system's keyring, or in the settings file when
there is none. What is not given is asked for. The token ends after an hour; an
API key does not.`,
		Example: "  bldst auth login --username admin\n  bldst auth login --username ci --password-stdin < password.txt",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Stdin && o.Password != "" {
				return usage(cmd, errors.New("--password and --password-stdin exclude each other"))
			}
			return work(cmd.Context(), f, o)
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.Username, "username", "u", "", "user name")
	fs.StringVarP(&o.Password, "password", "p", "", "password; others on this machine may see it, better be asked")
	fs.BoolVar(&o.Once, "no-refresh", false, "keep the token only; sign in again when it has ended")
	fs.BoolVar(&o.Stdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

func runLogin(ctx context.Context, f *Factory, o loginOptions) error {
	if err := f.askLogin(ctx, &o); err != nil {
		return err
	}
	token, err := f.signIn(ctx, o)
	if problem.Is(err, problem.Unauthorized) {
		return hint(err, "Check user name and password.")
	}
	if err != nil {
		return err
	}
	if err := f.store(settings.Token, token, "token"); err != nil {
		return err
	}
	s, err := f.newSettings()
	if err != nil {
		return err
	}
	if s.ForgetLogin(); !o.Once && !o.IDM && s.KeepLogin(o.Username, o.Password) == nil {
		f.say("The login refreshes by itself until 'bldst auth logout'.")
	}
	f.say("Signed in as %s.", o.Username)
	if s.APIKey() != "" {
		f.warn("an API key is set as well and is used first; 'bldst auth clear-key' forgets it")
	}
	return nil
}

// signIn returns a token for a user name and a password.
func (f *Factory) signIn(ctx context.Context, o loginOptions) (string, error) {
	c, err := f.Anonymous(false)
	if err != nil {
		return "", err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if o.IDM {
		err = c.Do(ctx, "POST", "/auth/idm", nil, body{"username": o.Username, "password": o.Password}, &answer)
	} else {
		err = c.Do(ctx, "POST", "/token", nil, url.Values{"username": {o.Username}, "password": {o.Password}}, &answer)
	}
	if err == nil && answer.AccessToken == "" {
		err = errors.New("the answer holds no token, is the URL right?")
	}
	return answer.AccessToken, err
}

// refresh signs in again with what the last sign-in left in the keyring.
func (f *Factory) refresh(ctx context.Context) (string, error) {
	s, err := f.Settings()
	if err != nil {
		return "", err
	}
	username, password, ok := s.Login()
	if !ok || s.Where(settings.Token, "JWT_TOKEN") == "the environment" {
		return "", errors.New("nothing to sign in with")
	}
	token, err := f.signIn(ctx, loginOptions{Username: username, Password: password})
	if err != nil {
		return "", err
	}
	_, err = s.SetSecret(settings.Token, token)
	return token, err
}

// askLogin asks for what is missing.
func (f *Factory) askLogin(ctx context.Context, o *loginOptions) (err error) {
	if o.Username == "" {
		if !f.Streams.InTTY {
			return &badInput{errors.New("missing --username")}
		}
		o.Username, err = f.Streams.Ask(ctx, "User name: ")
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || strings.TrimSpace(o.Username) == "" {
			return &badInput{errors.New("no user name was entered")}
		}
	}
	if o.Password != "" {
		return nil
	}
	if !o.Stdin && !f.Streams.InTTY {
		return &badInput{errors.New("missing --password or --password-stdin")}
	}
	o.Password, err = f.readSecret(ctx, "Password: ", "no password was entered")
	return err
}
