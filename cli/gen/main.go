// Command gen writes what is made from the tree of commands: the reference
// docs/cli.md and, with -man FOLDER, a manual page for each command.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bldst/cli/cmd"
	"bldst/cli/streams"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func main() {
	reference := flag.String("reference", "", "`file` to write the reference to")
	man := flag.String("man", "", "`folder` to write manual pages to")
	flag.Parse()
	if err := write(*reference, *man); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func write(reference, man string) error {
	if reference != "" {
		if err := os.WriteFile(reference, []byte(markdown(tree())), 0o644); err != nil {
			return err
		}
	}
	if man == "" {
		return nil
	}
	if err := os.MkdirAll(man, 0o755); err != nil {
		return err
	}
	return doc.GenManTree(tree(), &doc.GenManHeader{Title: "BLDST", Section: "1", Source: "bldst", Date: new(time.Time)}, man)
}

// tree returns all commands, without anything to work with.
func tree() *cobra.Command {
	root := cmd.Tree(&cmd.Factory{
		Streams: &streams.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard},
		Env:     func(string) (string, bool) { return "", false },
		Home:    func() (string, error) { return "", os.ErrNotExist },
	})
	root.DisableAutoGenTag = true
	return root
}

// markdown returns the reference: a section for each group, a part for each
// command with its usage, examples and options.
func markdown(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# The commands of bldst\n\nWritten from the commands themselves by `make gen`. `make man` writes manual pages.\n\n")
	b.WriteString(root.Long + "\n\n## Options of every command\n\n" + block(root.PersistentFlags().FlagUsages()))
	for _, group := range root.Commands() {
		if group.IsAvailableCommand() && group.Name() != "help" {
			section(&b, group, "##")
		}
	}
	return b.String()
}

func section(b *strings.Builder, c *cobra.Command, level string) {
	fmt.Fprintf(b, "\n%s %s\n\n%s.\n", level, c.CommandPath(), c.Short)
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "Also: %s.\n", strings.Join(c.Aliases, ", "))
	}
	if c.Long != "" && !strings.HasPrefix(c.Long, "Generate the autocompletion") {
		fmt.Fprintf(b, "\n%s\n", c.Long)
	}
	if !c.HasAvailableSubCommands() {
		fmt.Fprintf(b, "\n%s", block(c.UseLine()+"\n\n"+c.Example))
	}
	if flags := c.NonInheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(b, "\n%s", block(flags.FlagUsages()))
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			section(b, sub, "###")
		}
	}
}

func block(text string) string {
	return "```\n" + strings.Trim(text, "\n") + "\n```\n"
}

// reference is where the reference is kept, from this folder.
var reference = filepath.Join("..", "..", "docs", "cli.md")
