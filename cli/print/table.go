package print

import (
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// narrowest is how far a column is cut to fit the terminal.
const narrowest = 12

// align writes rows in columns under headers; nil headers are left out. On a
// terminal of a known width, the widest columns are cut to fit.
func (p *Printer) align(headers []string, rows [][]string) error {
	p.fit(headers, rows)
	w := table.NewWriter()
	style := table.Style{Box: table.StyleBoxDefault, Options: table.OptionsNoBordersAndSeparators}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	w.SetStyle(style)
	if headers != nil {
		w.AppendHeader(toRow(headers))
	}
	for _, r := range rows {
		w.AppendRow(toRow(p.coloured(headers, r)))
	}
	for _, line := range strings.Split(w.Render(), "\n") {
		if err := p.line(strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func toRow(cells []string) table.Row {
	out := make(table.Row, len(cells))
	for i, c := range cells {
		out[i] = c
	}
	return out
}

// fit cuts the cells of the widest columns until a row fits the width.
func (p *Printer) fit(headers []string, rows [][]string) {
	if !p.TTY || p.Width <= 0 {
		return
	}
	widths := widths(append([][]string{headers}, rows...))
	for total(widths) > p.Width {
		widest := widestOf(widths)
		if widths[widest] <= narrowest {
			break // better too wide than unreadable
		}
		widths[widest] = max(narrowest, widths[widest]-(total(widths)-p.Width), secondWidest(widths, widest))
	}
	for _, r := range rows {
		for i, c := range r {
			r[i] = text.Snip(c, widths[i], "…")
		}
	}
}

// widestOf returns the widest column. The first, which names the row, is cut
// only when no other can be.
func widestOf(widths []int) int {
	widest := 0
	for i, n := range widths {
		if i > 0 && n > narrowest && (widest == 0 || n > widths[widest]) {
			widest = i
		}
	}
	return widest
}

// secondWidest returns a width just under that of the next widest column, so
// that equal columns are cut alike.
func secondWidest(widths []int, widest int) int {
	second := 0
	for i, n := range widths {
		if i != widest && (i > 0 || widest == 0) {
			second = max(second, n)
		}
	}
	return min(second, widths[widest]-1)
}

func total(widths []int) int {
	sum := -2
	for _, n := range widths {
		sum += n + 2
	}
	return sum
}

func widths(rows [][]string) []int {
	var out []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(out) {
				out = append(out, 0)
			}
			out[i] = max(out[i], text.StringWidthWithoutEscSequences(c))
		}
	}
	return out
}

// colours of words that say how something is.
var colours = map[string]text.Color{
	"completed": text.FgGreen, "success": text.FgGreen, "ok": text.FgGreen, "SKIP": text.FgGreen,
	"failed": text.FgRed, "error": text.FgRed,
	"in_progress": text.FgYellow, "running": text.FgYellow, "RUN": text.FgYellow, "warning": text.FgYellow,
	"RESTORE": text.FgCyan, "pending": text.FgCyan, "cancelled": text.FgHiBlack,
}

// coloured returns cells with colours, if there shall be any: those under a
// header, or behind a name, that says they are a status.
func (p *Printer) coloured(headers, cells []string) []string {
	if !p.Colour {
		return cells
	}
	out := slices.Clone(cells)
	for i, c := range cells {
		title := strings.ToUpper(cells[0])
		if headers != nil {
			title = headers[i]
		}
		if colour, ok := colours[c]; ok && statusTitle(title) {
			out[i] = text.Escape(c, colour.EscapeSeq())
		}
	}
	return out
}

func statusTitle(title string) bool {
	return title == "ACTION" || title == "RESULT" || strings.HasSuffix(title, "STATUS")
}

// Rows writes rows of cells that are no JSON, e.g. names and values.
func (p *Printer) Rows(rows [][]string) error { return p.table(nil, rows) }

// Section writes rows under a title and headers, all of it for people; nothing
// if there are no rows.
func (p *Printer) Section(title string, headers []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	if err := p.line(""); err != nil {
		return err
	}
	if title != "" {
		if err := p.line(title + ":"); err != nil {
			return err
		}
	}
	for _, r := range rows {
		for i, c := range r {
			r[i] = clean(c)
		}
	}
	return p.align(titles(headers), rows)
}

// Cut returns s on one line that fits the terminal.
func (p *Printer) Cut(s string) string {
	if s = clean(s); p.Width <= 1 {
		return s
	}
	return text.Snip(s, p.Width-1, "…")
}

// Lines writes lines for people.
func (p *Printer) Lines(lines ...string) error {
	for _, l := range lines {
		if err := p.line(clean(l)); err != nil {
			return err
		}
	}
	return nil
}

// table writes rows aligned under headers; or, when nobody looks and no table
// was asked for, separated by tabs and without headers.
func (p *Printer) table(headers []string, rows [][]string) error {
	if p.people() {
		return p.align(headers, rows)
	}
	w := &strings.Builder{}
	for _, r := range rows {
		w.WriteString(strings.Join(r, "\t") + "\n")
	}
	_, err := io.WriteString(p.Out, w.String())
	return err
}
