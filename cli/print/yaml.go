package print

import (
	"regexp"
	"strings"
)

// YAML returns JSON as block-style YAML. It is written by hand because the
// values must survive: every string that another reader could take for
// something else (1e3, yes, 2024-01-01) is quoted as in JSON, which YAML
// reads, and numbers stay as they were written.
func YAML(raw []byte) (string, error) {
	v, err := parse(raw)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	writeYAML(&b, v, 0)
	return b.String(), nil
}

// writeYAML writes v and a line end. The cursor is behind the place where v
// may begin, at column indent for a list or an object.
func writeYAML(b *strings.Builder, v any, indent int) {
	pad := strings.Repeat(" ", indent)
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			if i > 0 {
				b.WriteString(pad)
			}
			b.WriteString("- ")
			writeYAML(b, e, indent+2)
		}
		if len(v) == 0 {
			b.WriteString("[]\n")
		}
	case []member:
		for i, m := range v {
			if i > 0 {
				b.WriteString(pad)
			}
			b.WriteString(scalar(m.name) + ":")
			writeMember(b, m.value, indent)
		}
		if len(v) == 0 {
			b.WriteString("{}\n")
		}
	case string:
		b.WriteString(scalar(v) + "\n")
	default:
		b.WriteString(compact(v) + "\n")
	}
}

// writeMember writes the value of a member, on the next line if it has parts.
func writeMember(b *strings.Builder, v any, indent int) {
	list, isList := v.([]any)
	obj, isObj := v.([]member)
	switch {
	case isList && len(list) > 0:
		b.WriteString("\n" + strings.Repeat(" ", indent))
		writeYAML(b, v, indent)
	case isObj && len(obj) > 0:
		b.WriteString("\n" + strings.Repeat(" ", indent+2))
		writeYAML(b, v, indent+2)
	default:
		b.WriteByte(' ')
		writeYAML(b, v, indent)
	}
}

var (
	plain    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./@-]*( [A-Za-z0-9_./@-]+)*$`)
	reserved = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null)$`)
)

// scalar returns s plain if no reader can take it for anything but a string.
func scalar(s string) string {
	if plain.MatchString(s) && !reserved.MatchString(s) {
		return s
	}
	return quote(s)
}
