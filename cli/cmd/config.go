package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"bldst/cli/print"
	"bldst/cli/settings"
	"bldst/shared/client"

	"github.com/spf13/cobra"
)

func newConfig(f *Factory) *cobra.Command {
	group := newGroup("config", "Change and print the settings")
	group.Long = "Change and print the settings, kept in ~/.bldst.yaml. The environment beats the\nfile: BLDST_API_URL, BLDST_API_KEY, BLDST_JWT_TOKEN, BLDST_TIMEOUT, BLDST_DEBUG;\nBUILDSTATE_ may stand for BLDST_.\n\nSettings of several deployments are profiles: 'bldst --profile NAME config set-url\nURL' makes one, kept in ~/.bldst.NAME.yaml. A profile named with --profile beats\nthe environment."
	group.AddCommand(newConfigSetURL(f, runConfigSetURL), newConfigGetURL(f, runConfigGetURL), newConfigShow(f, runConfigShow), newConfigProfiles(f, runConfigProfiles), newConfigReset(f, runConfigReset), newSetKey(f, runSetKey))
	return group
}

type configSetURLOptions struct{ URL string }

func newConfigSetURL(f *Factory, work run[configSetURLOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "set-url URL", Short: "Set the URL of the API", Args: positional(1, "URL"),
		Example: "  bldst config set-url http://localhost:8080",
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := client.ParseURL(args[0]); err != nil {
				return usage(cmd, err)
			}
			return work(cmd.Context(), f, configSetURLOptions{args[0]})
		},
	}
}

func runConfigSetURL(_ context.Context, f *Factory, o configSetURLOptions) error {
	s, err := f.newSettings()
	if err != nil {
		return err
	}
	u, err := client.ParseURL(o.URL)
	if err != nil {
		return err
	}
	if err := s.Set(settings.APIURL, u.String()); err != nil {
		return err
	}
	f.say("The API is at %s.", u)
	if now := s.URL(); now != u.String() {
		f.warn("the environment names another URL, which is used first: %s", now)
	}
	return nil
}

type noOptions struct{}

func newConfigGetURL(f *Factory, work run[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "get-url", Short: "Print the URL of the API", Args: positional(0),
		Example: "  bldst config get-url",
		RunE:    func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, noOptions{}) },
	}
}

func runConfigGetURL(_ context.Context, f *Factory, _ noOptions) error {
	s, err := f.Settings()
	if err != nil {
		return err
	}
	url := f.flags.apiURL
	if url == "" {
		url = s.URL()
	}
	if url == "" {
		return hint(errors.New("no API URL is set"), "Set it with 'bldst config set-url URL'.")
	}
	if p := f.Printer(); p.Format != print.Table {
		raw, err := json.Marshal(map[string]string{settings.APIURL: url})
		if err != nil {
			return err
		}
		return p.Object(raw)
	}
	_, err = fmt.Fprintln(f.Streams.Out, url)
	return err
}

func newConfigShow(f *Factory, work run[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Print the settings in effect, without secrets", Args: positional(0),
		Example: "  bldst config show",
		RunE:    func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, noOptions{}) },
	}
}

// shown are the settings in effect. It never holds a secret.
type shown struct {
	APIURL           string `json:"api_url"`
	HasAPIKey        bool   `json:"has_api_key"`
	HasToken         bool   `json:"has_jwt_token"`
	DefaultPlatform  string `json:"default_platform"`
	DefaultOSVersion string `json:"default_os_version"`
	ConfigFile       string `json:"config_file"`
}

func runConfigShow(_ context.Context, f *Factory, _ noOptions) error {
	s, err := f.Settings()
	if err != nil {
		return err
	}
	c := shown{s.URL(), s.APIKey() != "", s.Token() != "", s.Platform(), s.OSVersion(), s.Path}
	if f.flags.apiURL != "" {
		c.APIURL = f.flags.apiURL
	}
	p := f.Printer()
	if p.Format != print.Table {
		raw, err := json.Marshal(c)
		if err != nil {
			return err
		}
		return p.Object(raw)
	}
	mark := map[bool]string{true: "✓", false: "✗"}
	return p.Rows([][]string{
		{"api_url", c.APIURL}, {"has_api_key", mark[c.HasAPIKey]}, {"has_jwt_token", mark[c.HasToken]},
		{"default_platform", c.DefaultPlatform}, {"default_os_version", c.DefaultOSVersion}, {"config_file", c.ConfigFile},
	})
}

func newConfigReset(f *Factory, work run[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "reset", Short: "Remove the settings and the stored credentials", Args: positional(0),
		Example: "  bldst config reset",
		RunE:    func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, noOptions{}) },
	}
}

func runConfigReset(_ context.Context, f *Factory, _ noOptions) error {
	path, err := settings.Reset(f.settingsOptions())
	if err != nil {
		return err
	}
	f.say("Removed %s and the stored credentials.", path)
	return nil
}

func newConfigProfiles(f *Factory, work run[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "profiles", Short: "List the profiles there are", Args: positional(0),
		Example: "  bldst config profiles",
		RunE:    func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, noOptions{}) },
	}
}

func runConfigProfiles(_ context.Context, f *Factory, _ noOptions) error {
	home, err := f.Home()
	if err != nil {
		return err
	}
	var items []json.RawMessage
	for _, name := range settings.Profiles(home) {
		raw, err := json.Marshal(map[string]string{"id": name, "file": filepath.Join(home, ".bldst."+name+".yaml")})
		if err != nil {
			return err
		}
		items = append(items, raw)
	}
	return f.Printer().List(items, "id", "file")
}
