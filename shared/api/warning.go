package api

import (
	"context"
	"strconv"
	"strings"
)

// maxWarning bounds one warning, maxWarnings all of an answer: headers have
// limits, on the way too.
const (
	maxWarning  = 500
	maxWarnings = 2000
)

// Warn adds text to the Warning header of the answer to the request in ctx:
// something that was done although not all of it was understood. "" adds
// nothing.
func Warn(ctx context.Context, text string) {
	st := stateOf(ctx)
	if text == "" || st.header == nil {
		return
	}
	w := warning(text)
	if before := st.header.Get(warningHeader); before != "" {
		w = before + ", " + w
	}
	if len(w) <= maxWarnings {
		st.header.Set(warningHeader, w)
	}
}

const warningHeader = "Warning"

// warning returns text as the value of a Warning header: 299 is "miscellaneous
// persistent warning" (RFC 7234, 5.5), the agent is not told. What is not plain
// ASCII is escaped: a field may be called anything.
func warning(text string) string {
	return `299 - ` + strconv.QuoteToASCII(clip(text, maxWarning))
}

// Warnings returns the texts in the value of a Warning header.
func Warnings(header string) []string {
	var out []string
	for header != "" {
		_, rest, found := strings.Cut(header, `"`)
		if !found {
			break
		}
		end := closing(rest)
		text, err := strconv.Unquote(`"` + rest[:end] + `"`)
		if err != nil {
			text = rest[:end]
		}
		out = append(out, text)
		header = rest[min(end+1, len(rest)):]
	}
	return out
}

// closing returns where the quoted string that s begins in ends.
func closing(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(s)
}
