package client

import (
	"net/http"
	"strings"
)

// warnings returns the texts of the Warning headers of an answer, each
// `code agent "text"` (RFC 7234, section 5.5), several of them separated by
// commas.
func warnings(h http.Header) []string {
	var out []string
	for _, line := range h.Values("Warning") {
		for line != "" {
			_, rest, ok := strings.Cut(line, `"`)
			if !ok {
				break
			}
			var text string
			text, line = quoted(rest)
			if text != "" {
				out = append(out, text)
			}
			line = afterDate(line)
		}
	}
	return out
}

// quoted reads a quoted string whose opening quote was read; it returns what
// follows the closing one, too.
func quoted(s string) (text, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// afterDate passes over the date that may follow a warning's text, in quotes.
func afterDate(s string) string {
	if rest, ok := strings.CutPrefix(strings.TrimLeft(s, " "), `"`); ok {
		_, s = quoted(rest)
	}
	return s
}
