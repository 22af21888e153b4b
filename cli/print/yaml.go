package print

import (
	"strings"

	"github.com/goccy/go-yaml"
)

// YAML returns JSON as block-style YAML, in the order it was sent and with its
// numbers as they were written.
func YAML(raw []byte) (string, error) {
	v, err := parse(raw)
	if err != nil {
		return "", err
	}
	out, err := yaml.MarshalWithOptions(yamlValue(v), yaml.IndentSequence(false))
	return string(out), err
}

// A literal is written as it is. It implements yaml.BytesMarshaler.
type literal string

func (l literal) MarshalYAML() ([]byte, error) { return []byte(l), nil }

func yamlValue(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = yamlValue(e)
		}
		return out
	case []member:
		out := make(yaml.MapSlice, len(v))
		for i, m := range v {
			out[i] = yaml.MapItem{Key: m.name, Value: yamlValue(m.value)}
		}
		return out
	case string:
		return scalar(v)
	case nil, bool:
		return v
	default:
		return literal(compact(v))
	}
}

// scalar returns s as the library writes it, or quoted as in JSON where some
// reader could take it for anything but a string (1e3, yes, 2024-01-01).
func scalar(s string) any {
	if s == "" || reserved[strings.ToLower(s)] || !letter(s[0]) || strings.Trim(s, plainBytes) != "" || strings.HasSuffix(s, " ") {
		return literal(quote(s))
	}
	return s
}

const plainBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./@- "

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

var reserved = map[string]bool{"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true, "null": true}
