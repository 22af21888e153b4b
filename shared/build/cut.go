package build

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// How many characters of a text are kept. The class of a failure is taken from
// the whole of it.
const (
	MaxText        = 4000 // of a report's message
	MaxFailureText = 8000 // of a failure's
)

// cut returns text when it has at most most characters, else its head and its
// tail: the cause of a failure stands at the end of its log, what it was about
// at the beginning.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	all := []rune(strings.ToValidUTF8(text, "\uFFFD"))
	if len(all) <= most {
		return text
	}
	const between = "\n[... %d characters left out ...]\n"
	head := most / 4
	tail := most - head - len(between) - len("1048576")
	return string(all[:head]) + fmt.Sprintf(between, len(all)-head-tail) + string(all[len(all)-tail:])
}

// CutNote says for a warning that the middle of a field was left out; "" when
// all of it was kept.
func CutNote(field, text string, most int) string {
	if len(text) <= most || cut(text, most) == text {
		return ""
	}
	return fmt.Sprintf("The field '%s' is longer than %d characters; its middle was left out", field, most)
}

// cutText is cut to MaxText of a text that may be absent.
func cutText(text *string) *string {
	if text == nil {
		return nil
	}
	s := cut(*text, MaxText)
	return &s
}

// unreadLines are the fields that could not be read, as lines "name: value".
func unreadLines(fields map[string]string) []string {
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, name+": "+fields[name])
	}
	return out
}
