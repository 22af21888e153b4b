package print

import (
	"fmt"
	"strings"
	"time"
)

// ago returns s, a time of the API, as people say it, e.g. "5m ago" or "in 2h".
// Anything else is returned as it is.
func (p *Printer) ago(name, s string) string {
	if len(s) < len("2006-01-02T15:04:05Z") || !timeLike(name) {
		return s
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	d := now().Sub(t)
	switch {
	case d < 0 && d > -time.Second:
		return "now"
	case d < 0:
		return "in " + span(-d)
	case d < time.Second:
		return "now"
	default:
		return span(d) + " ago"
	}
}

func timeLike(name string) bool {
	for _, end := range []string{"at", "time", "until", "timestamp", "date", "eta", "last_updated", "last_transition"} {
		if name == end || strings.HasSuffix(name, "_"+end) {
			return true
		}
	}
	return false
}

// span returns d in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// Relative returns a time of the API as people say it, e.g. "in 5m".
func (p *Printer) Relative(s string) string { return p.ago("at", s) }

// When returns t for people, with how long that is away.
func (p *Printer) When(t time.Time) string {
	s := t.UTC().Format(time.RFC3339)
	if !p.TTY {
		return s
	}
	return s + " (" + p.Relative(s) + ")"
}
