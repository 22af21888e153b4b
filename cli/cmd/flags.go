package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A kind is what a flag's text must be.
type kind string

const (
	text    kind = "string"
	integer kind = "int"
	boolean kind = "bool"
	object  kind = "json"  // a JSON object, or @FILE that holds one
	list    kind = "list"  // separated by commas, or the flag given several times
	negated kind = "not"   // a flag that means false
	state   kind = "state" // a code or the name of a state, see stateText
)

// A field is a member of a request body that a flag sets. Only members whose
// flag was given are sent: an update never sends an explicit null.
type field struct {
	flag     string
	short    string // its letter
	key      string // of the body
	kind     kind   // default text
	required bool
	usage    string
	also     []string // older spellings of the flag; they work but are not listed
}

// A body is a request body.
type body map[string]any

// A form is a set of fields declared on a command.
type form struct {
	cmd    *cobra.Command
	fields []field
	values []*value
}

// declare adds the flags of fields to cmd.
func declare(cmd *cobra.Command, fields ...field) *form {
	f := &form{cmd: cmd, fields: fields}
	for _, fd := range fields {
		v := &value{kind: fd.kind}
		if v.kind == "" {
			v.kind = text
		}
		f.values = append(f.values, v)
		usage := fd.usage
		if fd.required {
			usage += " (required)"
		}
		addFlag(cmd.Flags(), fd.flag, fd.short, usage, v, false)
		_ = cmd.Flags().SetAnnotation(fd.flag, setsMember, []string{fd.key})
		for _, name := range fd.also {
			addFlag(cmd.Flags(), name, "", "", v, true)
		}
	}
	return f
}

// setsMember is the annotation of a flag with the member it sets.
const setsMember = "member"

// flagKeys returns the members the flags of cmd set, by flag.
func flagKeys(cmd *cobra.Command) map[string]string {
	keys := map[string]string{}
	cmd.Flags().VisitAll(func(fl *pflag.Flag) {
		if key := fl.Annotations[setsMember]; len(key) > 0 {
			keys[fl.Name] = key[0]
		}
	})
	return keys
}

func addFlag(fs *pflag.FlagSet, name, short, usage string, v *value, hidden bool) {
	fl := fs.VarPF(v, name, short, usage)
	fl.Hidden = hidden
	if v.kind == boolean || v.kind == negated {
		fl.NoOptDefVal = "true"
	}
}

// body returns the members that were given, or a usage error that names the
// required ones that were not.
func (f *form) body() (body, error) {
	b := body{}
	var missing []string
	for i, fd := range f.fields {
		switch v := f.values[i]; {
		case v.set:
			b[fd.key] = v.value
		case fd.required:
			missing = append(missing, "--"+fd.flag)
		}
	}
	if missing != nil {
		return nil, usage(f.cmd, fmt.Errorf("missing %s", strings.Join(missing, ", ")))
	}
	return b, nil
}

// A value is a flag that knows whether it was given. It implements
// pflag.Value.
type value struct {
	kind  kind
	text  string
	value any
	set   bool
}

func (v *value) String() string { return v.text }

// Type is what help shows in the flag's place for a value.
func (v *value) Type() string {
	switch v.kind {
	case list:
		return "a,b,…"
	case negated:
		return string(boolean)
	case state:
		return "code"
	default:
		return string(v.kind)
	}
}

func (v *value) Set(s string) (err error) {
	switch v.kind {
	case integer:
		v.value, err = strconv.ParseInt(s, 10, 64)
		if err != nil {
			return errors.New("it must be a whole number")
		}
	case boolean, negated:
		on, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("it must be true or false")
		}
		v.value = on != (v.kind == negated)
	case object:
		v.value, err = readObject(s)
		if err != nil {
			return err
		}
	case list:
		items, _ := v.value.([]string)
		v.value = append(items, split(s)...)
	case state:
		if _, err := parseStateCode(s, false); err != nil && !wholeNumber(s) {
			return err
		}
		v.value = stateText(s)
	default:
		v.value = s
	}
	v.text, v.set = s, true
	return nil
}

// split cuts s at its commas; empty parts are left out.
func split(s string) []string {
	out := []string{}
	for _, part := range strings.Split(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// plainFlagError returns err of the command line in words for people.
func plainFlagError(cmd *cobra.Command, err error) error {
	var v *pflag.InvalidValueError
	var n *strconv.NumError
	if errors.As(err, &v) && errors.As(err, &n) && n.Func != "ParseBool" {
		return fmt.Errorf("invalid argument %q for \"--%s\" flag: it must be a whole number", v.GetValue(), v.GetFlag().Name)
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if near := nearFlags(cmd, unknown.GetSpecifiedName()); len(near) > 0 {
			return fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
		}
	}
	return err
}

// nearFlags returns the flags of cmd that are spelled almost like name: those
// that are listed, else those of older documents.
func nearFlags(cmd *cobra.Command, name string) []string {
	var listed, hidden []string
	cmd.Flags().VisitAll(func(fl *pflag.Flag) {
		switch near := len(name) > 1 && (strings.HasPrefix(fl.Name, name) || distance(fl.Name, name) <= 2); {
		case near && fl.Hidden:
			hidden = append(hidden, "--"+fl.Name)
		case near:
			listed = append(listed, "--"+fl.Name)
		}
	})
	if listed == nil {
		return hidden
	}
	return listed
}

// distance returns how many letters must be changed, added or left out to make
// b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// readObject returns the JSON object s, or the one in the file named by @s.
func readObject(s string) (json.RawMessage, error) {
	raw := []byte(s)
	if path, ok := strings.CutPrefix(s, "@"); ok {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		raw = data
	}
	raw = bytes.TrimSpace(raw)
	if !json.Valid(raw) || len(raw) == 0 || raw[0] != '{' {
		return nil, errors.New(`it must be a JSON object such as '{"key": "value"}', or @FILE`)
	}
	return raw, nil
}

// positional returns the check of a command's arguments, named as in its use
// line: at least min and at most all of names.
func positional(min int, names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < min:
			return fmt.Errorf("missing %s", strings.Join(names[len(args):min], " "))
		case len(args) > len(names):
			return fmt.Errorf("unexpected argument %q", args[len(names)])
		}
		for i, a := range args {
			if strings.TrimSpace(a) == "" {
				return fmt.Errorf("%s is empty", names[i])
			}
		}
		return nil
	}
}

// paging are the flags of every list.
type paging struct {
	Skip  int
	Limit int
	All   bool

	asked bool // --limit was given
}

func (p *paging) declare(fs *pflag.FlagSet, limit int) {
	fs.IntVar(&p.Skip, "skip", 0, "pass over that many")
	fs.IntVar(&p.Limit, "limit", limit, "print at most that many")
	fs.BoolVar(&p.All, "all", false, "print all, however many pages that takes")
}

func (p *paging) check(cmd *cobra.Command) error {
	if p.Skip < 0 || p.Limit < 1 {
		return usage(cmd, errors.New("--skip must be 0 or more and --limit 1 or more"))
	}
	p.asked = cmd.Flags().Changed("limit")
	return nil
}

// readText returns the content of a file, - for standard input, without the
// line end at its end.
func (f *Factory) readText(path string) (string, error) {
	read := os.ReadFile
	if path == "-" {
		read = func(string) ([]byte, error) { return io.ReadAll(f.Streams.In) }
	}
	data, err := read(path)
	if err != nil {
		return "", &badInput{err}
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
