// Package cmd holds the commands of bldst, one file per verb.
//
// Each verb is three pieces: an options struct with what argv said, a
// constructor newXxx that declares flags and fills the options, and runXxx
// that does the work. The constructor takes the run function as a parameter,
// so that a test can stop after parsing. To add a verb: write its file and add
// one line in the file of its group (or in root.go).
package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"bldst/cli/print"
	"bldst/cli/settings"
	"bldst/cli/streams"
	"bldst/shared/client"
)

// A Factory gives commands what they need from their surroundings. Nothing is
// read or connected before a command asks for it.
type Factory struct {
	// Required.
	Streams *streams.Streams
	Env     func(string) (string, bool) // e.g. os.LookupEnv
	Home    func() (string, error)      // e.g. os.UserHomeDir
	Version string

	// Optional.
	Keyring settings.Keyring                           // nil: credentials are kept in the file
	HTTP    *http.Client                               // nil: a default one
	Retry   client.Retry                               // zero: the client's default
	Local   func(context.Context, LocalOptions) error  // nil: "local" is not available
	Now     func() time.Time                           // nil: time.Now
	Sleep   func(context.Context, time.Duration) error // nil: a timer

	Browse func(address string) error // opens a page in the browser; nil: there is none

	// Bootstrap makes a key in the table of a deployed stage and returns it;
	// nil: "bootstrap" is not available.
	Bootstrap func(context.Context, BootstrapOptions) (string, error)

	flags      rootFlags
	started    bool   // a command's work has begun: its errors are no usage errors
	completing bool   // a shell asks what may follow
	signedBy   string // what the client signs in with: "key", "token" or ""
	settings   *settings.Settings
	client     *client.Client
}

// rootFlags are the flags of every command.
type rootFlags struct {
	config  string
	profile string
	apiURL  string
	output  string
	fields  []string
	jq      string
	quiet   bool
	verbose bool
}

// A run does the work of a verb. The options are what argv said.
type run[O any] func(context.Context, *Factory, O) error

// Settings reads the settings, once. A file or a profile that was named with
// the command must be there.
func (f *Factory) Settings() (*settings.Settings, error) {
	s, err := f.newSettings()
	switch {
	case err != nil || !s.Missing:
		return s, err
	case f.flags.config != "":
		return nil, &badInput{fmt.Errorf("there is no settings file %s", f.flags.config)}
	case f.flags.profile != "":
		return nil, &badInput{f.noProfile()}
	default:
		return s, nil
	}
}

func (f *Factory) noProfile() error {
	text := fmt.Sprintf("there is no profile %s; make it with 'bldst --profile %s config set-url URL'", f.flags.profile, f.flags.profile)
	if home, err := f.Home(); err == nil {
		if names := settings.Profiles(home); len(names) > 0 {
			text += "; there are " + strings.Join(names, ", ")
		}
	}
	return errors.New(text)
}

// newSettings reads the settings as Settings does, but the file need not be
// there: for commands that write it.
func (f *Factory) newSettings() (*settings.Settings, error) {
	if f.settings == nil {
		s, err := settings.Open(f.settingsOptions())
		if err != nil {
			return nil, err
		}
		f.settings = s
	}
	return f.settings, nil
}

func (f *Factory) settingsOptions() settings.Options {
	return settings.Options{Path: f.flags.config, Profile: f.flags.profile, Env: f.Env, Home: f.Home, Keyring: f.Keyring, Note: func(s string) { f.warn("%s", s) }}
}

// Client returns the client of the API with the user's credential.
func (f *Factory) Client() (*client.Client, error) {
	if f.client == nil {
		c, err := f.signedClient()
		if err != nil {
			return nil, err
		}
		f.client = c
	}
	return f.client, nil
}

func (f *Factory) signedClient() (*client.Client, error) {
	s, err := f.Settings()
	if err != nil {
		return nil, err
	}
	o := client.Options{APIKey: s.APIKey(), Retry: f.Retry}
	f.signedBy = "key"
	if o.APIKey == "" {
		o.Token, o.Refresh, f.signedBy = s.Token(), f.refresh, "token"
	}
	if o.APIKey == "" && o.Token == "" {
		f.signedBy = ""
	}
	return f.newClient(o)
}

// Anonymous returns a client that sends no credential, and tries once if once
// is true.
func (f *Factory) Anonymous(once bool) (*client.Client, error) {
	o := client.Options{Retry: f.Retry}
	if once {
		o.Retry.Tries = 1
	}
	return f.newClient(o)
}

func (f *Factory) newClient(o client.Options) (*client.Client, error) {
	s, err := f.Settings()
	if err != nil {
		return nil, err
	}
	if o.BaseURL = f.flags.apiURL; o.BaseURL == "" {
		o.BaseURL = s.URL()
	}
	if o.BaseURL == "" {
		return nil, hint(fmt.Errorf("no API URL is set"), "Set it with 'bldst config set-url URL', or for one command with --api-url or BLDST_API_URL.")
	}
	if o.Timeout, err = s.Timeout(); err != nil {
		return nil, err
	}
	o.HTTP = f.HTTP
	o.UserAgent = "bldst/" + f.Version
	o.Warn = func(s string) { f.warn("%s", s) }
	if f.flags.verbose || s.Debug() {
		o.Trace = f.trace
	}
	c, err := client.New(o)
	if err != nil {
		return nil, hint(err, "See 'bldst config show'; set the URL with 'bldst config set-url URL' and the key with 'bldst auth set-key'.")
	}
	return c, nil
}

// trace tells one call: never a header, so never a credential.
func (f *Factory) trace(c client.Call) {
	result := fmt.Sprintf("%d (request %s)", c.Status, c.RequestID)
	if c.Err != nil {
		result = c.Err.Error()
	}
	try := ""
	if c.Try > 1 {
		try = fmt.Sprintf(" (try %d)", c.Try)
	}
	fmt.Fprintf(f.Streams.Err, "%s %s%s: %s\n", c.Method, c.URL, try, result)
}

// Printer returns the printer of results.
func (f *Factory) Printer() *print.Printer {
	format, _ := print.ParseFormat(f.flags.output) // was checked before the command began
	p := &print.Printer{Out: f.Streams.Out, TTY: f.Streams.OutTTY, Format: format, Quiet: f.flags.quiet, Nested: nested, Now: f.Now,
		Header: f.flags.output != "" && format == print.Table, Fields: f.flags.fields, JQ: f.flags.jq}
	if p.Format == print.Table && (len(p.Fields) > 0 || p.JQ != "") {
		p.Format = print.JSON
	}
	if p.TTY {
		p.Colour = f.colour()
		if f.Streams.Width != nil {
			p.Width = f.Streams.Width()
		}
	}
	return p
}

// colour reports whether a terminal shall show colours: see no-color.org.
func (f *Factory) colour() bool {
	no, _ := f.Env("NO_COLOR")
	term, _ := f.Env("TERM")
	return no == "" && term != "dumb"
}

// pause waits for d, or until ctx ends.
func (f *Factory) pause(ctx context.Context, d time.Duration) error {
	if f.Sleep != nil {
		return f.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// nested are the columns of lists inside objects, for a person. What the API
// gives twice is printed once, and what only programs need is left out.
var nested = map[string][]string{
	"recent_builds": buildColumns[1:],
	"builds":        {},
	"history":       {"timestamp", "state_code", "status", "attempt", "message"},
	"state_history": {},
	"links":         {},
}

// say tells the user what was done, unless they want quiet.
func (f *Factory) say(format string, args ...any) {
	if !f.flags.quiet {
		fmt.Fprintf(f.Streams.Err, format+"\n", args...)
	}
}

// warn tells the user what they should know in any case.
func (f *Factory) warn(format string, args ...any) {
	fmt.Fprintf(f.Streams.Err, "warning: "+format+"\n", args...)
}

// confirm asks before something is lost, if there is somebody to ask.
func (f *Factory) confirm(ctx context.Context, yes bool, question string) error {
	if yes || !f.Streams.InTTY {
		return nil
	}
	answer, err := f.Streams.Ask(ctx, question+" [y/N] ")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes") {
		return fmt.Errorf("nothing was changed")
	}
	return nil
}
