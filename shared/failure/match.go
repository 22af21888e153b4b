package failure

import "strings"

// A rule gives what its patterns say a class and a reason.
type rule struct {
	class  Class
	reason string
	weight int // how much it tells: 3 a word that is often only a consequence, 8 a statement that leaves no doubt
	says   []pattern
	unless []pattern // the line is about something else
}

// A pattern is words in a line, in lower case. An asterisk stands for anything,
// a # for a number that is not zero. Both ends are ends of words, unless they
// are an asterisk.
type pattern struct {
	parts       []part
	open, close bool   // begins, ends with an asterisk
	literal     string // the longest text that is in every line the pattern is in
}

// A part is the texts between which there are numbers.
type part []string

func compile(text string) pattern {
	p := pattern{open: strings.HasPrefix(text, "*"), close: strings.HasSuffix(text, "*")}
	for _, words := range strings.Split(text, "*") {
		if words != "" {
			p.parts = append(p.parts, strings.Split(words, "#"))
		}
	}
	for _, part := range p.parts {
		for _, piece := range part {
			if len(piece) > len(p.literal) {
				p.literal = piece
			}
		}
	}
	return p
}

func compileAll(texts string) []pattern {
	var out []pattern
	for _, text := range strings.Split(texts, "|") {
		if text = strings.TrimSpace(text); text != "" {
			out = append(out, compile(text))
		}
	}
	return out
}

// in reports whether the pattern is in line.
func (p pattern) in(line string) bool {
	if !strings.Contains(line, p.literal) {
		return false
	}
	from := 0
	for i, part := range p.parts {
		left, right := i == 0 && !p.open, i == len(p.parts)-1 && !p.close
		end := find(line, from, part, left, right)
		if end < 0 {
			return false
		}
		from = end
	}
	return true
}

// find returns where the first part from an index on ends, -1 without one. left
// and right ask for ends of words.
func find(line string, from int, p part, left, right bool) int {
	for ; from <= len(line); from++ {
		i := strings.Index(line[from:], p[0])
		if i < 0 {
			return -1
		}
		from += i
		end := p.match(line, from)
		if end >= 0 && (!left || edge(line, from)) && (!right || edge(line, end)) {
			return end
		}
	}
	return -1
}

// match returns where p ends when it begins at an index, -1 when it does not.
func (p part) match(line string, at int) int {
	for i, piece := range p {
		if i > 0 {
			if at = pastNumber(line, at); at < 0 {
				return -1
			}
		}
		if !strings.HasPrefix(line[at:], piece) {
			return -1
		}
		at += len(piece)
	}
	return at
}

// pastNumber returns where the number at an index ends; -1 when there is none,
// or it is zero.
func pastNumber(line string, at int) int {
	if at > 0 && isDigit(line[at-1]) {
		return -1
	}
	zero := true
	end := at
	for ; end < len(line) && isDigit(line[end]); end++ {
		zero = zero && line[end] == '0'
	}
	if zero {
		return -1
	}
	return end
}

// edge reports whether a word begins or ends at an index.
func edge(line string, at int) bool {
	return at <= 0 || at >= len(line) || !isWord(line[at-1]) || !isWord(line[at])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isWord(c byte) bool  { return isDigit(c) || c >= 'a' && c <= 'z' || c >= 0x80 }

func anyIn(line string, ps []pattern) bool {
	for _, p := range ps {
		if p.in(line) {
			return true
		}
	}
	return false
}

// strongest returns what the strongest rule says of a line.
func strongest(line string, rs []rule) verdict {
	var best verdict
	for _, r := range rs {
		if r.weight > best.weight && anyIn(line, r.says) && !anyIn(line, r.unless) {
			best = verdict{r.class, r.reason, r.weight}
		}
	}
	return best
}
