package build

import (
	"fmt"
	"strings"
)

// The table of words stands in docs/states.md between these lines.
const (
	wordsBegin = "<!-- words: written by make gen from shared/build/words.go -->"
	wordsEnd   = "<!-- end of words -->"
)

//go:generate go run ./gen ../../docs/states.md

// WriteWords returns the document doc with the table of words in it.
func WriteWords(doc string) (string, error) {
	before, rest, found := strings.Cut(doc, wordsBegin)
	_, after, closed := strings.Cut(rest, wordsEnd)
	if !found || !closed {
		return "", fmt.Errorf("the document has no lines %q and %q", wordsBegin, wordsEnd)
	}
	return before + wordsBegin + "\n" + wordsTable() + wordsEnd + after, nil
}

// wordsTable returns the table of words as Markdown.
func wordsTable() string {
	var b strings.Builder
	b.WriteString("| system | words | of a state | of a job | meaning |\n|---|---|---|---|---|\n")
	for _, l := range Lines() {
		state, job := string(l.Meaning.State), string(l.Meaning.Job)
		if state == "" {
			state, job = "as it is", "as it is"
		}
		doc := l.Meaning.Doc
		if l.Meaning.Class != "" && l.Meaning.State == Failed {
			doc += ": class " + string(l.Meaning.Class)
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", l.System, strings.Join(l.Words, "` `"), state, job, doc)
	}
	b.WriteString("\nSources:")
	for i, v := range Vocabularies {
		if i > 0 {
			b.WriteString(";")
		}
		fmt.Fprintf(&b, " %s: %s", v.System, v.Source)
	}
	b.WriteString(".\n")
	return b.String()
}
