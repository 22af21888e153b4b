package step

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// How much of the output a failure is told with.
const (
	tailSize    = 64 << 10 // kept, and looked at for the class
	messageSize = 3000     // of the message
	detailSize  = 30 << 10 // of the details
)

// A tail keeps the end of what was written, over all streams in the order it
// came.
type tail struct {
	mu    sync.Mutex
	ring  []byte
	lost  bool // something was written before what is kept
	first string
	line  []byte // the one being written, while no error was seen
}

// add keeps p.
func (t *tail) add(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.look(p)
	if over := len(t.ring) + len(p) - tailSize; over > 0 {
		t.lost = true
		if len(p) >= tailSize {
			t.ring, p = t.ring[:0], p[len(p)-tailSize:]
		} else {
			t.ring = t.ring[:copy(t.ring, t.ring[over:])]
		}
	}
	t.ring = append(t.ring, p...)
}

var errorLine = regexp.MustCompile(`(?i)\b(error|fatal|failed|panic)\b`)

// look keeps the first line that tells of an error: what follows of it may be
// longer than what is kept.
func (t *tail) look(p []byte) {
	for t.first == "" && len(p) > 0 {
		var part []byte
		part, p, _ = bytes.Cut(p, []byte{'\n'})
		t.line = append(t.line, part[:min(len(part), 1000)]...)
		if len(p) == 0 && !bytes.HasSuffix(part, []byte{'\n'}) && len(t.line) < 1000 {
			return
		}
		if errorLine.Match(t.line) {
			t.first = string(t.line)
		}
		t.line = t.line[:0]
	}
}

// text returns what is kept, as text.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return plain(string(t.ring))
}

// firstError returns the first line that told of an error, when it came before
// what is kept.
func (t *tail) firstError() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.lost || bytes.Contains(t.ring, []byte(t.first)) {
		return ""
	}
	return plain(t.first)
}

// A copier hands what the command writes on to the stream of this process, and
// keeps its end. A stream that nobody reads any more is written to no more; the
// command goes on.
type copier struct {
	to     io.Writer
	tail   *tail
	also   io.Writer // the log, nil for none
	closed bool
}

func (c *copier) Write(p []byte) (int, error) {
	c.tail.add(p)
	if c.also != nil {
		_, _ = c.also.Write(p)
	}
	if !c.closed {
		if _, err := c.to.Write(p); err != nil {
			c.closed = true
		}
	}
	return len(p), nil
}

// sameFile reports whether two streams lead to the same place, as after 2>&1.
func sameFile(a, b *os.File) bool {
	x, err := a.Stat()
	if err != nil {
		return false
	}
	y, err := b.Stat()
	return err == nil && os.SameFile(x, y)
}

var escape = regexp.MustCompile("\x1b(\\[[0-9;?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?|[@-Z\\\\-_])")

// plain returns output as text that can be stored and shown: valid, without
// control characters and colours, and of a line that was drawn over, its end.
func plain(s string) string {
	s = strings.ToValidUTF8(escape.ReplaceAllString(s, ""), "\uFFFD")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if at := strings.LastIndexByte(strings.TrimRight(l, "\r"), '\r'); at >= 0 {
			l = l[at+1:]
		}
		lines[i] = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) && r != '\t' {
				return -1
			}
			return r
		}, l)
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n \t")
}

// last returns the last lines of s that are at most size bytes together.
func last(s string, size int) string {
	if len(s) <= size {
		return s
	}
	cut := s[len(s)-size:]
	for !utf8.RuneStart(cut[0]) {
		cut = cut[1:]
	}
	if _, whole, ok := strings.Cut(cut, "\n"); ok && whole != "" {
		return whole
	}
	return cut
}

// secret are the names of variables whose values are never told.
var secret = regexp.MustCompile(`(?i)(TOKEN|SECRET|PASSW(OR)?D|PASSPHRASE|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIALS?)$`)

// secretsOf returns the values of an environment that are never told.
func secretsOf(environ []string) []string {
	var out []string
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && secret.MatchString(name) {
			out = append(out, value)
		}
	}
	return out
}

// Masked stands for a secret.
const Masked = "******"

// mask hides the secrets in s, and each line of those that have several. What
// is shorter than four characters is in too many words to be one.
func mask(s string, secrets []string) string {
	for _, secret := range secrets {
		for _, line := range append([]string{secret}, strings.Split(secret, "\n")...) {
			if line = strings.TrimSpace(line); len(line) >= 4 {
				s = strings.ReplaceAll(s, line, Masked)
			}
		}
	}
	return s
}
