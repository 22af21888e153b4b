package failure_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"bldst/shared/failure"
)

// A sample is one line of testdata/texts.tsv.
type sample struct {
	class, looksLike failure.Class
	source           string
	signs            failure.Signs
}

func samples(t testing.TB) []sample {
	t.Helper()
	doc, err := os.ReadFile("testdata/texts.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []sample
	for i, line := range strings.Split(strings.TrimSuffix(string(doc), "\n"), "\n")[1:] {
		f := strings.Split(line, "\t")
		if len(f) != 6 {
			t.Fatalf("line %d of texts.tsv has %d columns, want 6", i+2, len(f))
		}
		s := sample{failure.Class(f[0]), failure.Class(f[1]), f[4], failure.Signs{Tool: f[2], Message: strings.ReplaceAll(f[5], `\n`, "\n")}}
		if f[3] != "" {
			code, err := strconv.Atoi(f[3])
			if err != nil {
				t.Fatal(err)
			}
			s.signs.ExitCode = &code
		}
		out = append(out, s)
	}
	return out
}

func TestEveryTextHasItsClassAndAReason(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		got, reason := failure.Classify(s.signs)
		if got != s.class || reason == "" {
			t.Errorf("%s (%s)\n%s\nwant %s, got %s: %s", s.signs.Tool, s.source, s.signs.Message, s.class, got, reason)
		}
	}
}

func TestTheTableOfTextsIsWideEnough(t *testing.T) {
	t.Parallel()
	all := samples(t)
	texts, misleading := map[failure.Class]int{}, map[failure.Class]int{}
	for _, s := range all {
		texts[s.class]++
		misleading[s.looksLike]++
		if s.source == "" {
			t.Errorf("%q has no source", s.signs.Message)
		}
	}
	if len(all) < 150 {
		t.Errorf("%d texts, want 150 at least", len(all))
	}
	for _, c := range []failure.Class{failure.Transient, failure.Persistent, failure.Quota, failure.TimedOut, failure.NothingDone} {
		if texts[c] < 3 || misleading[c] < 3 {
			t.Errorf("%s: %d texts and %d that only look like it; want 3 of each at least", c, texts[c], misleading[c])
		}
	}
}

// A text in the midst of a long, quiet log keeps its class: where it stands
// alone at the end decides.
func TestALongLogBeforeItChangesNothing(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		if s.signs.Message == "" || s.class == failure.NothingDone {
			continue
		}
		s.signs.Message = strings.Repeat("the next package is being looked at\n", 200) + s.signs.Message
		if got, reason := failure.Classify(s.signs); got != s.class {
			t.Errorf("%s: want %s, got %s: %s", s.signs.Message[len(s.signs.Message)-60:], s.class, got, reason)
		}
	}
}

func TestWhatTheCallerSaysCountsFirst(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, c := range []struct {
		signs failure.Signs
		want  failure.Class
	}{
		{failure.Signs{Class: failure.Quota, Retryable: &yes, Message: "access denied"}, failure.Quota},
		{failure.Signs{Retryable: &yes, Message: "access denied"}, failure.Transient},
		{failure.Signs{Retryable: &no, Message: "connection reset by peer"}, failure.Persistent},
		{failure.Signs{Code: "VcpuLimitExceeded", Message: "connection reset by peer"}, failure.Quota},
		{failure.Signs{Type: "network_error", Message: "no space left on device"}, failure.Transient},
		{failure.Signs{Code: "E1234", Message: "no space left on device"}, failure.Persistent},
	} {
		if got, reason := failure.Classify(c.signs); got != c.want {
			t.Errorf("%+v: want %s, got %s: %s", c.signs, c.want, got, reason)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.signs.Message, s.signs.Tool, 1)
	}
	f.Fuzz(func(t *testing.T, message, tool string, code int) {
		c, reason := failure.Classify(failure.Signs{Message: message, Tool: tool, ExitCode: &code})
		if c == "" || reason == "" {
			t.Errorf("no class or no reason: %q %q", c, reason)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	log := strings.Repeat("the next package is being looked at, error or not\n", 1300) + "Connection reset by peer"
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		failure.Classify(failure.Signs{Message: log})
	}
}
