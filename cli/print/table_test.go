package print

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"
)

// written returns what write makes a printer write.
func written(t *testing.T, p Printer, write func(*Printer) error) string {
	t.Helper()
	var out bytes.Buffer
	p.Out = &out
	if err := write(&p); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var wide = raws(
	`{"id":"0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a","message":"a very long message that no terminal has the room for, whatever is done","status":"failed"}`,
	`{"id":"0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5b","message":"漢字も幅がある漢字も幅がある漢字も幅がある漢字も幅がある","status":"completed"}`,
)

func TestTablesFitTheTerminal(t *testing.T) {
	t.Parallel()
	for _, width := range []int{200, 100, 80, 60, 45} {
		got := written(t, Printer{TTY: true, Width: width, Format: Table}, func(p *Printer) error { return p.List(wide, "id", "message", "status") })
		for _, line := range strings.Split(got, "\n") {
			if n := text.StringWidthWithoutEscSequences(line); n > width {
				t.Errorf("width %d: a line has %d columns: %s", width, n, line)
			}
		}
		if width >= 80 && !strings.Contains(got, "0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a") {
			t.Errorf("width %d: the id is cut:\n%s", width, got)
		}
		if !strings.Contains(got, "failed") || !strings.HasPrefix(got, "ID") {
			t.Errorf("width %d:\n%s", width, got)
		}
	}
	for _, p := range []Printer{{Format: Table}, {Format: Table, Header: true, Width: 20}} { // nobody looks: nothing is cut
		if got := written(t, p, func(p *Printer) error { return p.List(wide, "id", "message") }); !strings.Contains(got, "whatever is done") {
			t.Errorf("cut although nobody looks:\n%s", got)
		}
	}
}

func TestATableThatWasAskedForHasItsHeaderInAPipe(t *testing.T) {
	t.Parallel()
	got := written(t, Printer{Format: Table, Header: true}, func(p *Printer) error {
		return p.List(raws(`{"id":"b1","created_at":"2026-01-01T00:00:00Z"}`), "id", "created_at")
	})
	if want := "ID  CREATED AT\nb1  2026-01-01T00:00:00Z\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	list := func(p *Printer) error { return p.List(raws(`{"id":"b1","status":"failed"}`), "id", "status") }
	if got := written(t, Printer{TTY: true, Colour: true, Format: Table}, list); !strings.Contains(got, "\x1b[31mfailed\x1b[0m") {
		t.Errorf("no colour: %q", got)
	}
	named := func(p *Printer) error { return p.List(raws(`{"id":"failed","name":"failed"}`), "id", "name") }
	if got := written(t, Printer{TTY: true, Colour: true, Format: Table}, named); strings.Contains(got, "\x1b") {
		t.Errorf("a name has a colour: %q", got)
	}
	if got := written(t, Printer{TTY: true, Format: Table}, list); strings.Contains(got, "\x1b") {
		t.Errorf("colour: %q", got)
	}
}

func TestTimesAreRelativeForPeopleOnly(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC) }
	for at, want := range map[string]string{
		"2026-01-10T11:59:30Z": "30s ago", "2026-01-10T11:15:00Z": "45m ago", "2026-01-09T12:00:01Z": "23h ago", "2026-01-01T12:00:00Z": "9d ago",
		"2026-01-10T12:05:00.123Z": "in 5m", "2026-01-10T12:00:00Z": "now", "soon": "soon", "": "",
	} {
		items := raws(`{"created_at":"` + at + `","message":"2026-01-10T11:59:30Z"}`)
		got := written(t, Printer{TTY: true, Format: Table, Now: now}, func(p *Printer) error { return p.List(items, "created_at", "message") })
		if row := strings.Fields(strings.Split(got, "\n")[1]); strings.Join(row[:len(row)-1], " ") != want || row[len(row)-1] != "2026-01-10T11:59:30Z" {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	object := raws(`{"created_at":"2026-01-10T11:59:30Z"}`)[0]
	if got := written(t, Printer{TTY: true, Format: Table, Now: now}, func(p *Printer) error { return p.Object(object) }); got != "created_at  2026-01-10T11:59:30Z (30s ago)\n" {
		t.Errorf("object: %q", got)
	}
	if got := written(t, Printer{Format: Table, Now: now}, func(p *Printer) error { return p.Object(object) }); got != "created_at\t2026-01-10T11:59:30Z\n" {
		t.Errorf("piped: %q", got)
	}
}

func TestMembersAndQueries(t *testing.T) {
	t.Parallel()
	items := raws(`{"id":"b1","n":1.10,"big":12345678901234567890,"status":"failed"}`, `{"id":"b2","n":2,"big":0,"status":"completed"}`)
	for name, test := range map[string]struct {
		p    Printer
		want string
	}{
		"members in their order": {Printer{Format: JSON, Fields: []string{"n", "id"}}, "[\n  {\n    \"n\": 1.10,\n    \"id\": \"b1\"\n  },\n  {\n    \"n\": 2,\n    \"id\": \"b2\"\n  }\n]\n"},
		"texts as they are":      {Printer{Format: JSON, JQ: ".[].id"}, "b1\nb2\n"},
		"objects as JSON":        {Printer{Format: JSON, JQ: `map(select(.status == "failed") | {id})[]`}, "{\"id\":\"b1\"}\n"},
		"large numbers":          {Printer{Format: JSON, JQ: ".[0].big"}, "12345678901234567890\n"},
		"of members":             {Printer{Format: JSON, Fields: []string{"id"}, JQ: ".[0] | keys"}, "[\"id\"]\n"},
		"members as YAML":        {Printer{Format: Yaml, Fields: []string{"id"}}, "- id: b1\n- id: b2\n"},
	} {
		if d := cmp.Diff(test.want, written(t, test.p, func(p *Printer) error { return p.List(items) })); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	err := (&Printer{Out: &bytes.Buffer{}, Format: JSON, Fields: []string{"id", "nope"}}).Object(json.RawMessage(`{"id":1,"a":2}`))
	var unknown *Unknown
	if !errors.As(err, &unknown) || err.Error() != `the result has no member "nope"; it has a, id` {
		t.Errorf("err = %v", err)
	}
	if err := CheckQuery(".["); err == nil {
		t.Error("a broken expression is accepted")
	}
}
