// Command gen writes the table of status words into the document that its
// argument names.
package main

import (
	"fmt"
	"os"

	"bldst/shared/build"
)

func main() {
	doc, err := os.ReadFile(os.Args[1])
	if err == nil {
		var text string
		if text, err = build.WriteWords(string(doc)); err == nil {
			err = os.WriteFile(os.Args[1], []byte(text), 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(1)
	}
}
