package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"bldst/cli/print"
	"bldst/shared/client"

	"github.com/spf13/cobra"
)

// An endpoint is a command that makes one call of the API. Everything it does
// is declared: its arguments fill the path, its flags the body and the query.
type endpoint struct {
	use     string // the verb
	aliases []string
	short   string
	long    string
	example []string // command lines, without "bldst"

	call  string // method and path, e.g. "GET /builds/{id}/artifacts/{aid}"
	args  []arg  // in the order of the path's parameters
	query []field
	body  []field
	fixed body // members of every body, or of a GET's query

	change  bool     // at least one member must be given
	columns []string // of a list; nil: the answer is one object
	unpaged bool     // the list comes whole
	first   []string // members of an object that come first
	ask     string   // what is asked before, e.g. "Delete artifact %s?"
	secret  string   // the member that --quiet prints instead of the id
	said    string   // told afterwards, with the id, e.g. "Deleted artifact %s."

	// complete fills in what was not given; nil: nothing.
	complete func(context.Context, *Factory, body) error
}

// An arg is an argument of a command that may be given in other ways as well.
type arg struct {
	name     string   // in the use line, e.g. BUILD
	usage    string   // of its flag
	flags    []string // spellings of a flag that stands for it; the first one is shown
	env      string   // the variable BLDST_… that stands for it
	optional string   // its value when nothing names it; "" if it is required
	kind     string   // what shells complete it with, see completers
}

var (
	buildArg   = arg{name: "BUILD", usage: "build: its id or number (default BLDST_BUILD_ID)", flags: []string{"build-id"}, env: "BUILD_ID", kind: "builds"}
	projectArg = arg{name: "PROJECT", usage: "project: its id or name (default BLDST_PROJECT)", flags: []string{"project-id", "project"}, env: "PROJECT", kind: "projects"}
	userArg    = arg{name: "USER", usage: "user: id or name", flags: []string{"user", "user-id"}, kind: "users"}
	idArg      = arg{name: "ID"}
)

// endpointOptions are what argv said.
type endpointOptions struct {
	Args  []string // as given; those of the environment are added by the work
	Query url.Values
	Body  body
	Page  paging
	Yes   bool

	endpoint endpoint
	flags    []string // per argument the value of its flag
}

func newEndpoint(f *Factory, e endpoint, work run[endpointOptions]) *cobra.Command {
	o := endpointOptions{endpoint: e, flags: make([]string, len(e.args))}
	cmd := &cobra.Command{
		Use: e.useLine(), Aliases: e.aliases, Short: e.short, Long: e.long, Example: examples(e.example),
		Annotations: map[string]string{apiCall: e.call},
		Args:        positional(0, argNames(e.args)...),
	}
	annotate(cmd, argKinds, kindsOf(e.args))
	declareArgs(cmd, e.args, o.flags)
	query, form := declare(cmd, e.query...), declare(cmd, e.body...)
	if e.paged() {
		o.Page.declare(cmd.Flags(), 100)
	}
	if e.ask != "" {
		cmd.Flags().BoolVarP(&o.Yes, "yes", "y", false, "do not ask")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		o.Args = args
		if o.Query, err = e.parameters(query); err != nil {
			return err
		}
		if o.Body, err = e.read(form); err != nil {
			return err
		}
		if e.paged() {
			if err := o.Page.check(cmd); err != nil {
				return err
			}
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

// apiCall is the annotation of a command with the calls of the API it makes,
// separated by commas. Tests range over it.
const apiCall = "api"

func (e endpoint) paged() bool { return e.columns != nil && !e.unpaged }

func (e endpoint) useLine() string {
	line := e.use
	for _, a := range e.args {
		line += " " + a.shown()
	}
	return line
}

func (a arg) shown() string {
	if len(a.flags) > 0 || a.env != "" || a.optional != "" {
		return "[" + a.name + "]"
	}
	return a.name
}

func argNames(args []arg) []string {
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = a.name
	}
	return names
}

func kindsOf(args []arg) string {
	kinds := make([]string, len(args))
	for i, a := range args {
		if kinds[i] = a.kind; a.kind == "" {
			kinds[i] = "-"
		}
	}
	return strings.Join(kinds, " ")
}

// declareArgs adds the flags that stand for arguments; their values go to
// values.
func declareArgs(cmd *cobra.Command, args []arg, values []string) {
	for i, a := range args {
		for n, name := range a.flags {
			cmd.Flags().StringVar(&values[i], name, "", a.usage+", instead of the argument")
			if a.kind != "" && a.kind != "artifacts" {
				_ = cmd.Flags().SetAnnotation(name, setsMember, []string{a.kind})
			}
			if n > 0 {
				_ = cmd.Flags().MarkHidden(name)
			}
		}
	}
}

// examples returns lines as help shows them.
func examples(lines []string) string {
	shown := make([]string, len(lines))
	for i, l := range lines {
		shown[i] = "  bldst " + l
	}
	return strings.Join(shown, "\n")
}

func (e endpoint) read(form *form) (body, error) {
	read := form.body
	if e.change {
		read = form.changes
	}
	b, err := read()
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(e.call, "GET ") {
		e.fill(b)
	}
	return b, nil
}

// fill adds the fixed members that b lacks.
func (e endpoint) fill(b body) {
	for k, v := range e.fixed {
		if _, given := b[k]; !given {
			b[k] = v
		}
	}
}

func runEndpoint(ctx context.Context, f *Factory, o endpointOptions) error {
	e := o.endpoint
	args, err := f.arguments(e.args, o.flags, o.Args)
	if err != nil {
		return err
	}
	method, path := e.address(args)
	if e.ask != "" {
		if err := f.confirm(ctx, o.Yes, fmt.Sprintf(e.ask, args[len(args)-1])); err != nil {
			return err
		}
	}
	if e.columns != nil {
		o.Page.All = o.Page.All || e.unpaged
		return f.list(ctx, path, o.Query, o.Page, e.columns)
	}
	in, err := o.send(ctx, f)
	if err != nil {
		return err
	}
	out, err := f.call(ctx, method, path, o.Query, in)
	if err != nil {
		return err
	}
	return f.show(e, args, out)
}

// send returns the body to send, nil for none.
func (o endpointOptions) send(ctx context.Context, f *Factory) (any, error) {
	if err := f.states(o.Body); err != nil {
		return nil, err
	}
	if o.endpoint.complete != nil {
		if err := o.endpoint.complete(ctx, f, o.Body); err != nil {
			return nil, err
		}
	}
	if len(o.Body) == 0 && (len(o.endpoint.body) == 0 || !strings.HasPrefix(o.endpoint.call, "POST")) {
		return nil, nil
	}
	return o.Body, nil
}

// show prints an answer and says what was done.
func (f *Factory) show(e endpoint, args []string, out json.RawMessage) error {
	id := ""
	if len(args) > 0 {
		id = args[len(args)-1]
	}
	if len(out) > 0 {
		first := e.first
		if first == nil {
			first = []string{"id"}
		}
		p := f.Printer()
		p.Key = e.secret
		if err := p.Object(out, first...); err != nil {
			return err
		}
		if made := print.ID(out); made != "" {
			id = made
		}
	}
	if e.said != "" {
		f.say(e.said, id)
	}
	return nil
}

// address returns the method and the path with args in place of its
// parameters.
func (e endpoint) address(args []string) (method, path string) {
	method, pattern, _ := strings.Cut(e.call, " ")
	var segments []string
	for _, s := range strings.Split(strings.Trim(pattern, "/"), "/") {
		if strings.HasPrefix(s, "{") {
			s, args = args[0], args[1:]
		}
		segments = append(segments, s)
	}
	return method, client.Path(segments...)
}

// arguments returns a value for each of args: its flag's, else the next of the
// command line, else the environment's. When fewer are on the command line
// than are open, those the environment knows are left to it.
func (f *Factory) arguments(args []arg, flags, given []string) ([]string, error) {
	s, err := f.Settings()
	if err != nil {
		return nil, err
	}
	out := slices.Clone(flags)
	open := 0
	for i := range args {
		if strings.TrimSpace(out[i]) == "" {
			open++
		}
	}
	for i, a := range args {
		if strings.TrimSpace(out[i]) != "" {
			continue
		}
		if env := s.Env(a.env); a.env != "" && env != "" && open > len(given) {
			out[i] = env
		} else if len(given) > 0 {
			out[i], given = given[0], given[1:]
		} else if out[i] = a.optional; out[i] == "" {
			return nil, &badInput{a.missing()}
		}
		open--
	}
	if len(given) > 0 {
		return nil, &badInput{fmt.Errorf("%q is one argument too many: %s", given[0], named(args, flags))}
	}
	return out, nil
}

func (a arg) missing() error {
	ways := []string{"as the argument"}
	if len(a.flags) > 0 {
		ways = append(ways, "with --"+a.flags[0])
	}
	if a.env != "" {
		ways = append(ways, "in BLDST_"+a.env)
	}
	return fmt.Errorf("missing %s: give it %s", a.name, strings.Join(ways, " or "))
}

// named says which arguments were given by flags.
func named(args []arg, flags []string) string {
	var out []string
	for i, a := range args {
		if flags[i] != "" {
			out = append(out, fmt.Sprintf("--%s %s names the %s", a.flags[0], flags[i], strings.ToLower(a.name)))
		}
	}
	return strings.Join(out, ", ")
}

// parameters are those of the query.
func (e endpoint) parameters(f *form) (url.Values, error) {
	b, err := f.body()
	if err != nil {
		return nil, err
	}
	q := url.Values{}
	if strings.HasPrefix(e.call, "GET ") {
		e.fill(b)
	}
	for k, v := range b {
		if s, ok := v.(stateText); ok {
			v = string(s)
		}
		q.Set(k, fmt.Sprint(v))
	}
	return q, nil
}

// A stateText is a state in a body as the user wrote it.
type stateText string

// states turns the states of b into what the API takes: a code, or a name.
func (f *Factory) states(b body) error {
	for key, v := range b {
		text, ok := v.(stateText)
		if !ok {
			continue
		}
		c, err := f.code(stateFlags{State: string(text)})
		switch {
		case err != nil:
			return err
		case c.Failed:
			return &badInput{errors.New("state -1 means a failure: report it with 'bldst build add-failure'")}
		case c.Name != "":
			b[key] = c.Name
		default:
			b[key] = c.Code
		}
	}
	return nil
}

// add adds a command for each of endpoints to group.
func (f *Factory) add(group *cobra.Command, endpoints ...endpoint) *cobra.Command {
	for _, e := range endpoints {
		group.AddCommand(newEndpoint(f, e, runEndpoint))
	}
	return group
}
