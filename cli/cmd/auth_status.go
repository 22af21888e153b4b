package cmd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"bldst/cli/print"
	"bldst/cli/settings"

	"github.com/spf13/cobra"
)

func newAuthStatus(f *Factory, work run[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Print who you are signed in as, and with what", Args: positional(0),
		Long:        "Print who you are signed in as, with which credential, where that comes from and\nwhat the user may do. The exit code is 4 when the credential is not accepted.",
		Example:     "  bldst auth status",
		Annotations: map[string]string{apiCall: "GET /users/me"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, noOptions{}) },
	}
}

// A credential is what is known of a credential without asking the API. It
// never holds a secret.
type credential struct {
	Kind      string `json:"credential"` // api key, token or none
	From      string `json:"from"`
	ExpiresAt string `json:"expires_at,omitempty"`
	Refreshes bool   `json:"refreshes"`
	Profile   string `json:"profile,omitempty"`
	URL       string `json:"api_url"`
}

func (f *Factory) credential() (credential, error) {
	s, err := f.Settings()
	if err != nil {
		return credential{}, err
	}
	c := credential{Kind: "none", Profile: s.Profile, URL: s.URL()}
	if f.flags.apiURL != "" {
		c.URL = f.flags.apiURL
	}
	if from := s.Where(settings.APIKey, "API_KEY"); from != "" {
		c.Kind, c.From = "api key", from
	} else if from := s.Where(settings.Token, "JWT_TOKEN"); from != "" {
		c.Kind, c.From, c.ExpiresAt = "token", from, expiry(s.Token())
		_, _, c.Refreshes = s.Login()
	}
	return c, nil
}

// expiry returns when a JWT ends, "" if it does not say so. The signature is
// the service's business.
func expiry(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(raw, &claims) != nil || claims.Exp == 0 {
		return ""
	}
	return time.Unix(claims.Exp, 0).UTC().Format(time.RFC3339)
}

func runAuthStatus(ctx context.Context, f *Factory, _ noOptions) error {
	c, err := f.credential()
	if err != nil {
		return err
	}
	me, err := f.call(ctx, "GET", "/users/me", nil, nil)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	shown, err := print.Union(me, raw)
	if err != nil {
		return err
	}
	return f.Printer().Object(shown, "username", "scopes", "credential", "from", "expires_at", "refreshes", "api_url")
}
