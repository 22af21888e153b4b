package cmd

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// A board shows people where the targets of a run are. Its callers take turns.
type board interface {
	show(runEvent)
	close()
}

func newBoard(f *Factory, targets []runTarget, live bool) board {
	if !live {
		return lines{f, len(targets) > 1}
	}
	b := &liveBoard{w: f.Streams.Out, at: map[string]*boardRow{}}
	for _, t := range targets {
		b.names = append(b.names, t.name)
		b.at[t.name] = &boardRow{total: len(t.states)}
	}
	b.draw()
	return b
}

// lines says one line for each state, for logs and for a lone target.
type lines struct {
	f       *Factory
	several bool
}

func (l lines) show(e runEvent) {
	who := ""
	if l.several {
		who = e.Target + " | "
	}
	switch e.Event {
	case "started":
		l.f.say("%s== %s", who, stateTitle(e))
	case "left_out":
		l.f.say("%sState %s is left out: its condition is not met.", who, stateTitle(e))
	case "failed":
		again := ""
		if e.Attempt > 0 { // it began: what was refused would be refused again
			again = " Run it again to go on there."
		}
		l.f.say("%sState %d failed after %s with exit code %d.%s", who, *e.State, elapsed(e.Seconds), *e.Exit, again)
	case "completed":
		l.f.say("%sState %d took %s.", who, *e.State, elapsed(e.Seconds))
	}
}

func (lines) close() {}

func stateTitle(e runEvent) string {
	return strings.TrimSpace(strconv.Itoa(*e.State) + " " + e.Name)
}

func elapsed(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}

// A liveBoard is a table that is drawn anew with every change.
type liveBoard struct {
	w     io.Writer
	names []string
	at    map[string]*boardRow
	drawn int // lines
}

type boardRow struct {
	total, done int
	state, what string
	seconds     float64
}

func (b *liveBoard) show(e runEvent) {
	r := b.at[e.Target]
	if e.State != nil {
		r.state = stateTitle(e)
	}
	r.what = e.Event
	switch e.Event {
	case "completed", "skipped", "left_out":
		r.done++
		r.seconds += e.Seconds
	case "failed":
		r.what = fmt.Sprintf("failed with exit code %d", *e.Exit)
	}
	b.draw()
}

func (b *liveBoard) draw() {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"target", "state", "", "done", "time"})
	for _, name := range b.names {
		r := b.at[name]
		t.AppendRow(table.Row{name, r.state, r.what, fmt.Sprintf("%d/%d", min(r.done, r.total), r.total), elapsed(r.seconds)})
	}
	text := t.Render()
	if b.drawn > 0 {
		_, _ = fmt.Fprintf(b.w, "\x1b[%dA\x1b[J", b.drawn)
	}
	_, _ = fmt.Fprintln(b.w, text)
	b.drawn = strings.Count(text, "\n") + 1
}

func (b *liveBoard) close() {}
