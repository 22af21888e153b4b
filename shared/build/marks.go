package build

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A Mark is what the build remembers of one of its states: enough to know what
// is done, how long it took and how often it was tried, without its history.
type Mark struct {
	Status      Status
	Begin       int64 // Unix seconds, when the newest try began; 0 for unknown
	End         int64 // and when it ended
	Tries       int
	Attempt     int    // of the newest report
	Fingerprint string // of the state's inputs, when it was last completed
	By          string // the worker that completed it, "" when it did not say

	Targets map[string]Status // how each is going, of a state that has targets
}

// Marks are the states a build has been in, by code. Their JSON is one string,
// since every report reads and writes them all: a mark is its code, a letter
// for its status, Begin, End, Tries, Attempt and, when there are any, the escaped
// Fingerprint, By after an "@", and each target with the letter of its status,
// "us-east-1=c", separated by spaces; marks are separated by semicolons.
type Marks map[int]Mark

// Retries returns how often the state was tried before its newest try.
func (m Marks) Retries(code int) int { return max(0, m[code].Tries-1) }

// statusLetters are how a Mark writes its status. A letter that is not here was
// written by a later version: it is kept as the status, and means none of them.
var statusLetters = map[Status]string{Pending: "p", InProgress: "i", Completed: "c", Failed: "f", Cancelled: "x"}

// letter returns how a Mark writes s.
func letter(s Status) string {
	if l, ok := statusLetters[s]; ok {
		return l
	}
	return string(s)
}

// MarshalJSON implements json.Marshaler.
func (m Marks) MarshalJSON() ([]byte, error) {
	out := append(make([]byte, 0, 2+32*len(m)), '"')
	for i, code := range slices.Sorted(maps.Keys(m)) {
		k := m[code]
		if i > 0 {
			out = append(out, ';')
		}
		out = strconv.AppendInt(out, int64(code), 10)
		out = append(append(out, ' '), letter(k.Status)...)
		for _, n := range [...]int64{k.Begin, k.End, int64(k.Tries), int64(k.Attempt)} {
			out = strconv.AppendInt(append(out, ' '), n, 10)
		}
		if k.Fingerprint != "" || k.By != "" || len(k.Targets) > 0 {
			out = append(append(out, ' '), url.QueryEscape(k.Fingerprint)...)
		}
		if k.By != "" {
			out = append(append(out, " @"...), url.QueryEscape(k.By)...)
		}
		for _, t := range slices.Sorted(maps.Keys(k.Targets)) {
			out = append(append(append(append(out, ' '), url.QueryEscape(t)...), '='), letter(k.Targets[t])...)
		}
	}
	return append(out, '"'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Marks) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	text := string(bytes.Trim(b, `"`))
	if bytes.IndexByte(b, '\\') >= 0 {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	*m = make(Marks, strings.Count(text, ";")+1)
	for text != "" {
		var one string
		one, text, _ = strings.Cut(text, ";")
		code, mark, err := parseMark(one)
		if err != nil {
			return fmt.Errorf("mark %q: %w", one, err)
		}
		(*m)[code] = mark
	}
	return nil
}

func parseMark(text string) (code int, m Mark, err error) {
	var numbers [5]int64 // the code, Begin, End, Tries, Attempt
	var status string
	for i := range 6 {
		var word string
		word, text, _ = strings.Cut(text, " ")
		if i == 1 {
			status = word
			continue
		}
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return 0, m, err
		}
		numbers[max(0, i-1)] = n
	}
	if m.Status, err = lettered(status); err != nil {
		return 0, m, err
	}
	m.Begin, m.End, m.Tries, m.Attempt = numbers[1], numbers[2], int(numbers[3]), int(numbers[4])
	fingerprint, rest, _ := strings.Cut(text, " ")
	if m.Fingerprint, err = url.QueryUnescape(fingerprint); err != nil || rest == "" {
		return int(numbers[0]), m, err
	}
	return int(numbers[0]), m, m.parseRest(rest)
}

// parseRest reads what comes after the fingerprint: By and the targets. Words
// of another form were written by a later version.
func (m *Mark) parseRest(text string) error {
	for word := range strings.SplitSeq(text, " ") {
		by, isBy := strings.CutPrefix(word, "@")
		name, letter, isTarget := strings.Cut(word, "=")
		var err error
		switch {
		case isBy:
			m.By, err = url.QueryUnescape(by)
		case isTarget:
			err = m.parseTarget(name, letter)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Mark) parseTarget(name, letter string) error {
	name, err := url.QueryUnescape(name)
	if err != nil {
		return err
	}
	how, err := lettered(letter)
	m.putTarget(name, how)
	return err
}

func (m *Mark) putTarget(name string, how Status) {
	if m.Targets == nil {
		m.Targets = map[string]Status{}
	}
	m.Targets[name] = how
}

// lettered returns the status that letter stands for.
func lettered(letter string) (Status, error) {
	for _, s := range Statuses {
		if statusLetters[s] == letter {
			return s, nil
		}
	}
	if len(letter) != 1 || !unicode.IsLetter(rune(letter[0])) {
		return "", fmt.Errorf("there is no status %q", letter)
	}
	return Status(letter), nil
}
