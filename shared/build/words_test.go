package build_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"bldst/shared/build"
)

func TestTheDocumentHasTheTableOfWords(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/states.md")
	if err != nil {
		t.Fatal(err)
	}
	want, err := build.WriteWords(string(doc))
	if err != nil {
		t.Fatal(err)
	}
	if want != string(doc) {
		t.Error("docs/states.md does not have the words of shared/build/words.go; run make gen and commit the file")
	}
}

// spellings of one word.
func spellings(word string) []string {
	camel := ""
	for _, p := range strings.FieldsFunc(word, func(r rune) bool { return r == '_' || r == '-' }) {
		camel += strings.ToUpper(p[:1]) + p[1:]
	}
	return []string{word, strings.ToUpper(word), strings.ToLower(word), camel, " " + word + "\t", strings.ReplaceAll(word, "_", "-"), strings.ReplaceAll(word, "_", " "), word + ".", "'" + word + "'"}
}

func TestEveryWordIsUnderstoodInEverySpelling(t *testing.T) {
	t.Parallel()
	for _, l := range build.Lines() {
		if len(l.Source) < 5 || l.Meaning.Doc == "" {
			t.Errorf("the words %v of %s have no source or no explanation", l.Words, l.System)
		}
		for _, w := range l.Words {
			for _, s := range spellings(w) {
				m, known := build.ParseWord(s)
				if known != (l.Meaning.State != "") || known && m != l.Meaning {
					t.Errorf("%q of %s is %+v, %v; want %+v", s, l.System, m, known, l.Meaning)
				}
			}
		}
	}
}

func TestWordsThatAreNoneMeanNothing(t *testing.T) {
	t.Parallel()
	for _, w := range append(strings.Split(noWords, "|"), strings.Repeat("completed ", 20)) {
		if m, known := build.ParseWord(w); known {
			t.Errorf("%q is taken for a word that %s", w, m.Doc)
		}
	}
}

// noWords are texts that mean nothing, or something only to who wrote them.
const noWords = "|  |compelted|not completed|incomplete|uncompleted|100|0|1|true|false|null|None|<nil>|${STATUS}|$result|build completed|completed with errors|all good|" +
	"succes|sucess|fialed|Packer build completed successfully|exit 0|%|!!!|✅|完了|завершено|ｃｏｍｐｌｅｔｅｄ ok?|finished|FINALIZED|DEPRECATED|unknown|UNKNOWN|n/a|-|success_or_failure|no success|okay?not"

func TestNothingButAWordForDoneCompletesABuild(t *testing.T) {
	t.Parallel()
	words := strings.Split(noWords, "|")[1:]
	for _, l := range build.Lines() {
		words = append(words, l.Words...)
	}
	for _, w := range words {
		m, known := build.ParseWord(w)
		for _, failed := range []bool{false, true} {
			walk := newWalk(t).to("40")
			if failed {
				walk.to("40 failed")
			}
			b, in := walk.b, build.ReportIn{StateCode: code(100), Status: w}
			_, _ = walk.try(in) // a refusal is right too
			r, err := in.Normalise(40, walk.rules)
			if err != nil {
				t.Fatal(err)
			}
			if finished := known && m.State == build.Completed && !m.Skips; (b.Status == build.Completed) != finished {
				t.Errorf("100 %q (after a failure: %v) makes the build %s", w, failed, b.Status)
			}
			if !known && failed && (b.Status != build.Failed || b.Attempt != 1) {
				t.Errorf("%q resumes a failed build: %s, attempt %d", w, b.Status, b.Attempt)
			}
			if known == (r.Unclear != "") && !m.Skips {
				t.Errorf("%q is known: %v, and is told as %q", w, known, r.Unclear)
			}
		}
	}
}

func TestATypingMistakeIsNamed(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{"compelted": "completed", "FIALED": "failed", "in_progres": "in_progress", "canceld": "cancelled", "pendign": "pending", "Ansible started": "", "": "blank", " ": "blank"} {
		got := build.Misunderstood(typed, "it is kept.")
		if want != "" && !strings.Contains(got, want) || want == "" && strings.Contains(got, "mean") {
			t.Errorf("of %q is said %q, want %q in it", typed, got, want)
		}
	}
}

func TestEverySystemSaysHowItEnds(t *testing.T) {
	t.Parallel()
	ends := map[string][]build.Status{}
	for _, l := range build.Lines() {
		ends[l.System] = append(ends[l.System], l.Meaning.State)
	}
	for system, all := range ends {
		for _, s := range []build.Status{build.Completed, build.Failed, build.Cancelled} {
			if !slices.Contains(all, s) {
				t.Errorf("%s has no word for %s", system, s)
			}
		}
	}
}
