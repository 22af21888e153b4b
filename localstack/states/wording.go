package states

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// jsonFault says where raw stops being JSON; err is what encoding/json said.
func jsonFault(raw []byte, err error) error {
	at, what := len(raw), "Unexpected end-of-input"
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset > 0 && int(syntax.Offset) <= len(raw) {
		at = int(syntax.Offset)
		r, _ := utf8.DecodeRune(raw[at-1:])
		what = fmt.Sprintf("Unexpected character (%q)", r)
	}
	before := raw[:at]
	line := bytes.LastIndexByte(before, '\n')
	return words("%s at line %d, column %d", what, bytes.Count(before, []byte("\n"))+1, utf8.RuneCount(before[line+1:]))
}

// notSerializable is a request that is no JSON, or one with a member of
// another type, in the words of the services of AWS that speak JSON.
func notSerializable(body []byte, err error) *Problem {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		if _, err := decode(body); err != nil {
			return problem("SerializationException", "%v", err)
		}
		return problem("SerializationException", "The request is not a JSON document")
	}
	switch given, _, _ := strings.Cut(wrong.Value, " "); given {
	case "object":
		return problem("SerializationException", "Start of structure or map found where not expected.")
	case "array":
		return problem("SerializationException", "Start of list found where not expected")
	case "bool":
		token := "FALSE"
		if bytes.HasSuffix(body[:min(int(wrong.Offset), len(body))], []byte("true")) {
			token = "TRUE"
		}
		return problem("SerializationException", "%s_VALUE can not be converted to %s", token, typeName(wrong.Type))
	default:
		return problem("SerializationException", "%s_VALUE can not be converted to %s", strings.ToUpper(given), typeName(wrong.Type))
	}
}

// typeName is the name AWS gives the type of a member.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a String"
	case reflect.Bool:
		return "a Boolean"
	case reflect.Int:
		return "an Integer"
	}
	return "a structure"
}

// longerThan reports whether s has more than most characters. AWS counts the
// length of a member so; input and output alone are counted in bytes.
func longerThan(s string, most int) bool {
	return len(s) > most && utf8.RuneCountInString(s) > most
}

// oneOf refuses what is not in the values of an enumeration; "" is left out.
func oneOf(member, v string, values ...string) error {
	for _, allowed := range values {
		if v == allowed {
			return nil
		}
	}
	if v == "" {
		return nil
	}
	return invalid(member, v, "Member must satisfy enum value set: ["+strings.Join(values, ", ")+"]")
}
