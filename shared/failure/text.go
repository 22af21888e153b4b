package failure

import (
	"strings"
	"sync"
)

// A text is the output of a tool, line by line, in lower case.
type text struct{ lines []string }

// Lines at the ends of an output say more than those between.
const (
	lastLines = 2
	tailLines = 12
	headLines = 2
)

// longLine is how much of either end of a line is looked at.
const longLine = 4096

// read returns output as lines without colours and blank lines.
func read(output string) text {
	var t text
	for _, line := range strings.FieldsFunc(strings.ToLower(plain(output)), func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if len(line) > 2*longLine {
			line = line[:longLine] + " ... " + line[len(line)-longLine:]
		}
		t.lines = append(t.lines, line)
	}
	return t
}

// plain removes the sequences that colour a terminal.
func plain(s string) string {
	if !strings.Contains(s, "\x1b[") {
		return s
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		end := strings.IndexFunc(after, func(r rune) bool { return r >= '@' && r <= '~' })
		s = after[end+1:]
	}
}

// has reports whether a line holds the pattern.
func (t text) has(p string) bool { return t.last(p) >= 0 }

// last returns the last line that holds the pattern, -1 without one.
func (t text) last(p string) int {
	c := compile(p)
	for i := len(t.lines) - 1; i >= 0; i-- {
		if c.in(t.lines[i]) {
			return i
		}
	}
	return -1
}

// marks are what makes a line an error.
var marks = sync.OnceValue(func() []pattern {
	return compileAll("error*|*error:|err:*|err!|e:|fatal|failed|failure|panic|*exception|cannot|could not|can't|unable|denied|aborted|abnormal*|unreachable!|refused")
})

// again are words of a line about something that is tried once more.
var again = sync.OnceValue(func() []pattern {
	return compileAll("retrying|will retry|trying again|try again in|retries left|attempt # of #|attempt #/#|retry #/#|next attempt|trying other mirror|trying next mirror")
})

// harmless are words of a line about something that went well or does not
// matter.
var harmless = sync.OnceValue(func() []pattern {
	return compileAll("...ignoring|ignoring error*|(ignored)|errors ignored|--- pass*|... ok|test passed|tests passed|ignore_errors")
})

// progress are the beginnings of lines in which tools say what they do; what
// such a line names is the name of a thing.
var progress = strings.Fields("get: hit: ign: fetched selecting unpacking preparing setting installing installed downloading downloaded collecting " +
	"requirement ok: ok skipping: changed: included: + task play copying inflating building removing processing compiling verifying upgrading cleanup " +
	"running checking pass ✓ √ created creating adding loaded using configuring starting started enabling")

// isProgress reports whether a line only says what is being done.
func isProgress(line string) bool {
	first, _, _ := strings.Cut(line, " ")
	if colon := strings.IndexByte(first, ':'); colon > 0 {
		first = first[:colon+1] // apt: "get:12"
	}
	for _, p := range progress {
		if first == p || first == p+":" {
			return p == "ok" || p == "+" || p == "task" || p == "play" || !anyIn(line, marks())
		}
	}
	return false
}

// verdict returns what the lines say, or what the exit code says when that says
// more.
func (t text) verdict(exit verdict) verdict {
	best, present := exit, t.present(rules())
	if len(present) == 0 {
		return best
	}
	first := true // no error was seen
	for i, line := range t.lines {
		marked := anyIn(line, marks())
		v := strongest(line, present)
		if v.Class != "" {
			v.weight = t.weigh(v.weight, i, marked, marked && first)
		}
		if v.weight >= enough && v.weight >= best.weight {
			best = v
		}
		first = first && !marked
	}
	return best
}

// enough is the least weight that says anything.
const enough = 5

// weigh returns the weight of what line i says, given where it stands.
func (t text) weigh(weight, i int, marked, first bool) int {
	line := t.lines[i]
	left := len(t.lines) - i
	switch {
	case anyIn(line, harmless()), isProgress(line):
		return 0
	case anyIn(line, again()):
		if left > 3 {
			return 0
		}
		weight = min(weight, 4)
	case strings.HasPrefix(line, "warn"), strings.HasPrefix(line, "[warn"):
		weight -= 2
	}
	switch {
	case left <= lastLines:
		return weight + 3
	case left <= tailLines:
		return weight + 2
	case first, i < headLines:
		return weight + 1
	case !marked:
		return weight - 3
	}
	return weight
}

// present returns the rules that could match: a pattern whose longest part is
// nowhere in the text need not be looked for in each line.
func (t text) present(all []rule) []rule {
	whole := strings.Join(t.lines, "\n")
	var out []rule
	for _, r := range all {
		var says []pattern
		for _, p := range r.says {
			if strings.Contains(whole, p.literal) {
				says = append(says, p)
			}
		}
		if len(says) > 0 {
			r.says = says
			out = append(out, r)
		}
	}
	return out
}
