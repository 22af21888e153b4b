package dispatch

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// longestReason is how many characters of what a CI says are kept.
const longestReason = 300

// reason returns what the body of an answer says, for a person: the messages of
// a JSON document, the words of a page, the text itself. Whatever looks like
// the credential is left out.
func reason(body []byte, secret string) string {
	text := strings.ToValidUTF8(string(body), "")
	var doc any
	if json.Unmarshal(body, &doc) == nil {
		if said := messages(doc); len(said) > 0 {
			text = strings.Join(said, "; ")
		}
	} else if strings.Contains(text, "<") {
		text = html.UnescapeString(tags().ReplaceAllString(text, " "))
	}
	text = mask(text, secret)
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if letters := []rune(text); len(letters) > longestReason {
		text = string(letters[:longestReason-1]) + "…"
	}
	return text
}

var tags = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?is)<(script|style)[^>]*>.*?</(script|style)>|<[^>]*>`)
})

// messages returns the texts of the fields in which the APIs of the vendors say
// what is wrong.
func messages(doc any) []string {
	switch v := doc.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, one := range v {
			out = append(out, messages(one)...)
		}
		return out
	case map[string]any:
		var out []string
		for _, field := range []string{"message", "error", "error_description", "errors", "detail", "base"} {
			out = append(out, messages(v[field])...)
		}
		return out
	}
	return nil
}

// mask leaves out secret, each of its parts, and the way it is sent.
func mask(text, secret string) string {
	if secret == "" {
		return text
	}
	_, password, _ := strings.Cut(secret, ":")
	for _, s := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), password} {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return text
}
