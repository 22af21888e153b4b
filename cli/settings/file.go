package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bldst/cli/print"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A file is the content of a settings file. Members this program does not know
// are kept as they were written.
type file struct {
	values map[string]string
	others []string
}

func (f file) get(key string) string { return f.values[key] }

// with returns f with key set to value, or without it when value is "".
func (f file) with(key, value string) file {
	out := file{values: map[string]string{}, others: f.others}
	for k, v := range f.values {
		out.values[k] = v
	}
	out.values[key] = value
	return out
}

func (f file) bytes() []byte {
	var b strings.Builder
	for _, key := range keys {
		if v := f.values[key]; v != "" {
			raw, _ := json.Marshal(map[string]string{key: v}) // strings always encode
			member, _ := print.YAML(raw)
			b.WriteString(member)
		}
	}
	for _, other := range f.others {
		b.WriteString(other + "\n")
	}
	return []byte(b.String())
}

// parseFile reads YAML. Values are taken as they are written, so that an API
// key of digits stays one. Errors name the line but never repeat it, since it
// may hold a credential.
func parseFile(data []byte) (file, error) {
	f := file{values: map[string]string{}}
	doc, err := parser.ParseBytes(data, 0)
	if err != nil {
		return f, errors.New(yaml.FormatError(err, false, false))
	}
	for _, d := range doc.Docs {
		if d.Body == nil || d.Body.Type() == ast.NullType || d.Body.Type() == ast.CommentType {
			continue
		}
		members, ok := d.Body.(ast.MapNode)
		if !ok {
			return f, errors.New("it must consist of lines such as \"api_url: https://…\"")
		}
		for it := members.MapRange(); it.Next(); {
			key := it.Key().GetToken().Value
			if !slices.Contains(keys, key) {
				f.others = append(f.others, it.KeyValue().String())
				continue
			}
			if f.values[key], err = text(it.Value()); err != nil {
				return f, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return f, nil
}

func text(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.NullNode:
		return "", nil
	case *ast.StringNode:
		return strings.TrimSpace(n.Value), nil
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), nil
	case ast.ScalarNode:
		return n.GetToken().Value, nil
	default:
		return "", errors.New("it must be a text")
	}
}
