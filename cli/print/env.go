package print

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A Variable is a variable of a shell.
type Variable struct{ Name, Value string }

// Env writes variables as lines for sh, bash, dash or zsh to source. Whatever a
// value holds, nothing of it is carried out. Of two variables with one name the
// last one counts.
func (p *Printer) Env(variables []Variable) error {
	for _, v := range variables {
		if _, err := fmt.Fprintf(p.Out, "export %s=%s\n", v.Name, Quote(v.Value)); err != nil {
			return err
		}
	}
	return nil
}

// Quote returns s as one word of a shell. Between single quotes everything
// stands for itself; a single quote itself is written \'. Two quotes never
// touch, since zsh may take them for one. A NUL cannot be in a variable and is
// left out.
func Quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if s == "" {
		return "''"
	}
	var b strings.Builder
	for i, part := range strings.Split(s, "'") {
		if i > 0 {
			b.WriteString(`\'`)
		}
		if part != "" {
			b.WriteString("'" + part + "'")
		}
	}
	return b.String()
}

// EnvName returns prefix and name as the name of a variable: capitals, digits
// and _.
func EnvName(prefix, name string) string {
	return prefix + strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		default:
			return '_'
		}
	}, name)
}

// env writes the members of one object as variables BLDST_MEMBER.
func (p *Printer) env(raw json.RawMessage) error {
	v, err := parse(raw)
	if err != nil {
		return err
	}
	obj, ok := v.([]member)
	if !ok {
		return errors.New("a list cannot be printed as variables: use -o json")
	}
	var out []Variable
	for _, m := range obj {
		value, isText := m.value.(string)
		if !isText && m.value != nil {
			value = compact(m.value)
		}
		out = append(out, Variable{EnvName("BLDST_", m.name), value})
	}
	return p.Env(out)
}
