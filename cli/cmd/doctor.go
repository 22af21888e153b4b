package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"bldst/cli/print"
	"bldst/cli/settings"
	"bldst/shared/client"

	"github.com/spf13/cobra"
)

func newDoctor(f *Factory, work run[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Find out why bldst does not work here", Args: positional(0),
		Long: `Find out why bldst does not work here: the settings, the address, the credential
and what it may do, the clock, the keyring, the versions of both sides, reports
that wait to be sent. For what is wrong, the command that mends it is printed.
The exit code is 1 when something does not work.`,
		Example:     "  bldst doctor",
		Annotations: map[string]string{apiCall: "GET /status,GET /users/me"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return work(cmd.Context(), f, noOptions{}) },
	}
}

// A finding is one thing that was looked at.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warning or error
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"`
}

func good(check, format string, args ...any) finding {
	return finding{check, "ok", fmt.Sprintf(format, args...), ""}
}

func bad(check string, err error, mend string) finding {
	return finding{check, "error", err.Error(), mend}
}

func doubtful(check, detail, mend string) finding { return finding{check, "warning", detail, mend} }

func runDoctor(ctx context.Context, f *Factory, _ noOptions) error {
	found := f.examine(ctx)
	p := f.Printer()
	if p.Format != print.Table {
		items := make([]json.RawMessage, len(found))
		for i, one := range found {
			items[i], _ = json.Marshal(one) // strings always encode
		}
		if err := p.List(items); err != nil {
			return err
		}
	} else if err := printFindings(p, found); err != nil {
		return err
	}
	for _, one := range found {
		if one.Result == "error" {
			return errTold
		}
	}
	return nil
}

func printFindings(p *print.Printer, found []finding) error {
	var rows [][]string
	var mend []string
	for _, one := range found {
		rows = append(rows, []string{one.Check, one.Result, one.Detail})
		if one.Mend != "" {
			mend = append(mend, one.Check+": "+one.Mend)
		}
	}
	if err := p.Rows(rows); err != nil {
		return err
	}
	if len(mend) > 0 {
		mend = append([]string{""}, mend...)
	}
	return p.Lines(mend...)
}

// examine looks at one thing after the other; what rests on something that does
// not work is left out.
func (f *Factory) examine(ctx context.Context) []finding {
	s, err := f.Settings()
	if err != nil {
		return []finding{bad("settings", err, "mend the file, or remove it with 'bldst config reset'")}
	}
	found := []finding{f.examineFile(s), f.examineKeyring(s)}
	found = append(found, f.examineSpool())
	c, err := f.Anonymous(true)
	if err != nil {
		return append(found, bad("address", err, "bldst config set-url URL"))
	}
	status, err := c.Send(ctx, client.Request{Method: "GET", Path: "/status"})
	if err != nil {
		return append(found, bad("address", err, "check the address with 'bldst config get-url', set another with 'bldst config set-url URL'"))
	}
	found = append(found, good("address", "%s answers", f.address(s)), f.examineClock(status.Header), f.examineVersion(status.Body))
	return append(found, f.examineCredential(ctx)...)
}

func (f *Factory) address(s *settings.Settings) string {
	if f.flags.apiURL != "" {
		return f.flags.apiURL
	}
	return s.URL()
}

func (f *Factory) examineFile(s *settings.Settings) finding {
	info, err := os.Stat(s.Path)
	switch {
	case s.Path == "":
		return good("settings", "there is no home directory; the environment is used")
	case errors.Is(err, os.ErrNotExist):
		return good("settings", "there is no %s; the environment is used", s.Path)
	case err != nil:
		return bad("settings", err, "make the file readable for you")
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return doubtful("settings", s.Path+" can be read by others", "chmod 600 "+s.Path)
	default:
		return good("settings", "%s", s.Path)
	}
}

func (f *Factory) examineKeyring(s *settings.Settings) finding {
	if err := s.KeyringError(); err != nil {
		return doubtful("keyring", err.Error(), "credentials are kept in "+cmp.Or(s.Path, "the settings file")+", or take them from BLDST_API_KEY")
	}
	return good("keyring", "credentials are kept in it")
}

// examineSpool counts the reports that could not be sent.
func (f *Factory) examineSpool() finding {
	all, err := f.spools("")
	if err != nil {
		return bad("spool", err, "look at the folder, or give up what is in it with 'bldst spool drop'")
	}
	n := 0
	for _, sp := range all {
		n += sp.Len()
	}
	if n > 0 {
		return doubtful("spool", fmt.Sprintf("%d reports wait to be sent", n), "bldst spool flush")
	}
	return good("spool", "no report waits to be sent")
}

// mayDiffer is how far apart the clocks may be: a token is refused when it
// seems to be from the future.
const mayDiffer = time.Minute

func (f *Factory) examineClock(h http.Header) finding {
	now := time.Now
	if f.Now != nil {
		now = f.Now
	}
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return doubtful("clock", "the answer says no time", "")
	}
	if d := now().Sub(theirs).Round(time.Second); d.Abs() > mayDiffer {
		return doubtful("clock", fmt.Sprintf("this machine's clock is %s apart from the service's", d.Abs()), "set the clock, e.g. timedatectl set-ntp true")
	}
	return good("clock", "agrees with the service's")
}

func (f *Factory) examineVersion(body []byte) finding {
	var status struct {
		Version string `json:"version"`
	}
	if json.Unmarshal(body, &status) != nil || status.Version == "" {
		return doubtful("version", "what answers does not say its version", "check with 'bldst config get-url' that the address is that of the API")
	}
	if newerThan(status.Version, apiVersion) {
		return doubtful("version", fmt.Sprintf("the API is %s, this bldst %s was made for %s", status.Version, f.Version, apiVersion), updateHint)
	}
	return good("version", "bldst %s, API %s", f.Version, status.Version)
}

func (f *Factory) examineCredential(ctx context.Context) []finding {
	c, err := f.credential()
	if err != nil {
		return []finding{bad("credential", err, "")}
	}
	if c.Kind == "none" {
		return []finding{bad("credential", errors.New("there is none"), "bldst auth login, or bldst auth set-key KEY, or BLDST_API_KEY")}
	}
	raw, err := f.call(ctx, "GET", "/users/me", nil, nil)
	if err != nil {
		e := f.describe(err)
		return []finding{bad("credential", fmt.Errorf("the %s from %s: %s", c.Kind, c.From, headline(e)), first(e.NextSteps))}
	}
	var me struct {
		Username string   `json:"username"`
		Scopes   []string `json:"scopes"`
	}
	if err := json.Unmarshal(raw, &me); err != nil {
		return []finding{bad("credential", err, "")}
	}
	return []finding{good("credential", "the %s from %s, of %s", c.Kind, c.From, me.Username), good("scopes", "%s", strings.Join(me.Scopes, ", "))}
}

func first(steps []string) string {
	if len(steps) == 0 {
		return ""
	}
	return steps[0]
}
