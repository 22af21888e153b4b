package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// A Time is a time as callers write it, see ParseTime; the zero value is none.
// Every time of a body or a query is one.
type Time struct{ time.Time }

// At returns the time in UTC, to the microsecond; nil when there is none.
func (t *Time) At() *time.Time {
	if t == nil || t.IsZero() {
		return nil
	}
	at := t.UTC().Truncate(time.Microsecond)
	return &at
}

// UnmarshalJSON reads a string or a number; null and "" are none.
func (t *Time) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	if string(b) == "null" || string(b) == `""` {
		*t = Time{}
		return nil
	}
	text := string(b)
	if b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	return t.UnmarshalText([]byte(text))
}

// UnmarshalText reads a time of a query.
func (t *Time) UnmarshalText(b []byte) error {
	at, err := ParseTime(string(b))
	t.Time = at
	return err
}

// timeFormat marks the schema of a Time.
const timeFormat = "time"

// Schema implements huma.SchemaProvider.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{{Type: huma.TypeString, Format: timeFormat, MaxLength: ptr(100)}, {Type: huma.TypeNumber}, {Type: "null"}},
		Description: "RFC 3339; also without zone (UTC), with a blank for T, or seconds or milliseconds since 1970."}
}

// isTime reports whether s is the schema of a Time.
func isTime(s *huma.Schema) bool { return len(s.AnyOf) > 0 && s.AnyOf[0].Format == timeFormat }

// timeOf reads a time from a parsed body.
func timeOf(v any) (time.Time, error) {
	switch v := v.(type) {
	case string:
		return ParseTime(v)
	case float64:
		return sinceEpoch(v)
	default:
		return time.Time{}, errNoTime
	}
}

// layouts are the spellings of a time, with the systems that write them. A
// fraction of a second may follow the seconds in any of them.
var layouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05",           // Python: datetime.utcnow().isoformat()
	"2006-01-02 15:04:05",           // Python: str(datetime.utcnow()); SQL
	"2006-01-02 15:04:05Z07:00",     // Python: str(datetime.now(UTC))
	"2006-01-02T15:04:05Z0700",      // date +%FT%T%z; Jira
	"2006-01-02 15:04:05 MST",       // GitLab webhooks, Jenkins: BUILD_TIMESTAMP
	"2006-01-02 15:04:05 Z0700",     // git, GitLab: created_at
	"2006-01-02 15:04:05 Z07:00",    // Ruby with a colon
	"2006-01-02 15:04:05Z0700",      // PostgreSQL and others
	"2006-01-02 15:04:05Z07",        // PostgreSQL
	"2006-01-02 15:04:05 -0700 MST", // Go: Time.String
	"2006-01-02T15:04Z07:00",        // ISO 8601 to the minute
	"2006-01-02T15:04",
	"2006-01-02 15:04",
	"20060102T150405Z0700", // ISO 8601, basic
	"20060102T150405",
	"Mon Jan _2 15:04:05 MST 2006",      // date
	"Mon Jan _2 15:04:05 2006",          // Python: time.ctime
	"Mon, 02 Jan 2006 15:04:05 MST",     // HTTP
	"Mon, 2 Jan 2006 15:04:05 Z0700",    // mail, date -R
	"Mon Jan 02 2006 15:04:05 GMT-0700", // JavaScript: Date.toString
	"Jan 2, 2006 3:04:05 PM",            // Java, Jenkins
	"Jan 2, 2006, 3:04:05 PM",
	"20060102150405",
	time.DateOnly,
}

var errNoTime = errors.New("expected a time like 2024-02-01T10:30:00Z, or seconds or milliseconds since 1970")

// ParseTime reads a time in any of the spellings that languages and CI systems
// have for it: RFC 3339, with a blank for T, with the zone as +hhmm, without
// zone (then it is UTC), and seconds or milliseconds since 1970. Names of zones
// other than UTC are not read: they mean different things in different places.
func ParseTime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseFloat(s, 64); err == nil && len(s) >= 9 && !compact(s) {
		return sinceEpoch(n)
	}
	s, _, _ = strings.Cut(s, " m=")                    // Go's monotonic clock
	s, _, _ = strings.Cut(s, " (")                     // JavaScript's name of the zone
	s = strings.Replace(s, ",", ".", countComma(s))    // a decimal comma
	if len(s) > 10 && (s[10] == 't' || s[10] == '_') { // RFC 3339 allows t
		s = s[:10] + "T" + s[11:]
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if zone, offset := t.Zone(); offset == 0 && strings.Contains(layout, "MST") && !strings.Contains(layout, "-0700") && zone != "UTC" && zone != "GMT" && zone != "Z" {
			break
		}
		return inYears(t)
	}
	return time.Time{}, errNoTime
}

// compact reports whether s is a date and a time written without separators.
func compact(s string) bool {
	_, err := time.Parse("20060102150405", s)
	return err == nil && (strings.HasPrefix(s, "19") || strings.HasPrefix(s, "20"))
}

// countComma is 1 when the comma of s stands before the fraction of a second.
func countComma(s string) int {
	if i := strings.IndexByte(s, ','); i > 0 && i+1 < len(s) && s[i-1] >= '0' && s[i-1] <= '9' && s[i+1] >= '0' && s[i+1] <= '9' {
		return 1
	}
	return 0
}

// sinceEpoch reads seconds, milliseconds, microseconds or nanoseconds since
// 1970, by their size: as seconds those of the year 5138 have 11 digits before
// the point, which milliseconds have since 1973.
func sinceEpoch(n float64) (time.Time, error) {
	if math.Abs(n) < 1e8 { // 1973: a number that is no time
		return time.Time{}, errNoTime
	}
	for _, unit := range []float64{1, 1e3, 1e6, 1e9} {
		if secs := n / unit; math.Abs(secs) < 1e11 {
			whole, frac := math.Modf(secs)
			return inYears(time.Unix(int64(whole), int64(math.Round(frac*1e6))*1000))
		}
	}
	return time.Time{}, errNoTime
}

// inYears returns t in UTC, to the microsecond, when its year has four digits.
func inYears(t time.Time) (time.Time, error) {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, errNoTime
	}
	return t, nil
}
