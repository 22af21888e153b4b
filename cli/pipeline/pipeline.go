// Package pipeline reads the file that 'bldst run' carries out: the states of a
// build with their commands, in one place. It knows nothing of the API; package
// cmd carries the states out, each as one 'bldst step'.
package pipeline

import (
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Schema is the JSON Schema of the file, for editors.
//
//go:embed schema.json
var Schema []byte

// A Pipeline is the file.
type Pipeline struct {
	Version int               `yaml:"version"`
	Build   References        `yaml:"build"`
	Env     map[string]string `yaml:"env"`
	Shell   []string          `yaml:"shell"` // runs commands that are one text; default sh -e -c
	Targets []Target          `yaml:"targets"`
	States  []State           `yaml:"states"`

	file *source
}

// References say which build it is. What is left out comes from the flags, the
// environment (BLDST_BUILD_NUMBER, BLDST_PLATFORM …) and the CI.
type References struct {
	Number    string `yaml:"number"` // $NAME stands for a variable
	Project   string `yaml:"project"`
	Platform  string `yaml:"platform"`
	OSVersion string `yaml:"os_version"`
	ImageType string `yaml:"image_type"`
}

// A Target is one build of a pipeline that makes several, side by side.
type Target struct {
	Name      string            `yaml:"name"`
	Platform  string            `yaml:"platform"`
	OSVersion string            `yaml:"os_version"`
	ImageType string            `yaml:"image_type"`
	Env       map[string]string `yaml:"env"`
}

// A State is one state of the build and the command that makes it.
type State struct {
	Code      int               `yaml:"code"`
	Name      string            `yaml:"name"`
	Run       Command           `yaml:"run"`
	Inputs    []string          `yaml:"inputs"`   // files and folders, and $NAME for variables, that the result depends on
	Produces  []string          `yaml:"produces"` // what the command must write
	Save      map[string]string `yaml:"save"`     // artifact: path, or ref:ADDRESS, or ref:@FILE
	Restore   map[string]string `yaml:"restore"`  // artifact: path, besides what the plan restores
	Env       map[string]string `yaml:"env"`
	Timeout   Duration          `yaml:"timeout"`
	Heartbeat Duration          `yaml:"heartbeat"`
	Grace     Duration          `yaml:"grace"`
	Retries   int               `yaml:"retries"`
	When      string            `yaml:"when"`    // always; missing ARTIFACT; if COMMAND
	Targets   []string          `yaml:"targets"` // only for these
}

// A Command is one text for the shell, or the words of a command line.
type Command []string

// UnmarshalYAML reads both forms.
func (c *Command) UnmarshalYAML(decode func(any) error) error {
	var text string
	if decode(&text) == nil {
		*c = Command{text}
		return nil
	}
	var words []string
	if err := decode(&words); err != nil {
		return err
	}
	if len(words) == 0 {
		return fmt.Errorf("a command has at least one word")
	}
	*c = append(Command{""}, words...) // the empty first word tells a list from a text
	return nil
}

// A Duration is written as 90s, 15m or 2h30m.
type Duration time.Duration

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(decode func(any) error) error {
	var text string
	if err := decode(&text); err != nil {
		return err
	}
	v, err := time.ParseDuration(text)
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is no duration; write it as 90s, 15m or 2h", text)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) String() string { return time.Duration(d).String() }

// Args returns the command line of a state: its words, or the text for the shell.
func (p *Pipeline) Args(c Command) []string {
	if c[0] == "" {
		return c[1:]
	}
	shell := p.Shell
	if len(shell) == 0 {
		shell = []string{"sh", "-e", "-c"}
	}
	return append(slices.Clone(shell), c[0])
}

// Of returns the states of a target, in their order.
func (p *Pipeline) Of(target string) []State {
	var out []State
	for _, s := range p.States {
		if len(s.Targets) == 0 || slices.Contains(s.Targets, target) {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b State) int { return a.Code - b.Code })
	return out
}

// Depends splits the inputs of a state into files and variables.
func (s State) Depends() (files, variables []string) {
	for _, in := range s.Inputs {
		if name, ok := strings.CutPrefix(in, "$"); ok {
			variables = append(variables, name)
		} else {
			files = append(files, in)
		}
	}
	return files, variables
}

var variable = regexp.MustCompile(`\$(\w+|\{\w+\})`)

// Expand puts variables into a text. It fails for one that is not set or empty:
// a number made of it would be that of another run.
func Expand(text string, env func(string) (string, bool)) (string, error) {
	var missing string
	out := variable.ReplaceAllStringFunc(text, func(m string) string {
		name := strings.Trim(m, "${}")
		v, _ := env(name)
		if strings.TrimSpace(v) == "" && missing == "" {
			missing = name
		}
		return v
	})
	if missing != "" {
		return "", fmt.Errorf("the variable %s is empty or not set", missing)
	}
	return out, nil
}

// Read reads a file and checks it. Its errors say file, line and column, and what
// was expected.
func Read(name string) (*Pipeline, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return Parse(name, b)
}
