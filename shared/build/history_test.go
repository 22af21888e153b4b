package build_test

import (
	"fmt"
	"strings"
	"testing"

	"bldst/shared/build"
)

// chain makes a history of n rows and the build it belongs to.
func chain(t testing.TB, n int) ([]build.Row, *build.Build) {
	t.Helper()
	b := &build.Build{ID: "b"}
	rows := make([]build.Row, n)
	for i := range rows {
		r, err := build.Link(b.Head, build.Entry{Seq: i + 1, BuildID: "b", Kind: build.StateReported, At: noon, Data: []byte(fmt.Sprintf(`{"i":%d,"t":"<&>"}`, i))})
		if err != nil {
			t.Fatal(err)
		}
		rows[i], b.Head = r, build.Head{Seq: i + 1, Hash: r.Hash}
	}
	return rows, b
}

func TestTheHashChainFindsTheRowThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	rehash := func(r build.Row) build.Row { // as somebody would who knows how it is done
		e, _ := r.Entry()
		e.Data = []byte(`{"forged":true}`)
		out, _ := build.Link(build.Head{Hash: r.Prev}, e)
		return out
	}
	for name, c := range map[string]struct {
		tamper func(rows []build.Row, b *build.Build) []build.Row
		bad    int // 0: none
		says   string
	}{
		"an honest history": {func(rows []build.Row, _ *build.Build) []build.Row { return rows }, 0, ""},
		"a byte of a row": {func(rows []build.Row, _ *build.Build) []build.Row {
			rows[4].JSON = strings.Replace(rows[4].JSON, `"i":4`, `"i":9`, 1)
			return rows
		}, 5, "its hash does not fit"},
		"white space of a row": {func(rows []build.Row, _ *build.Build) []build.Row {
			rows[0].JSON += " "
			return rows
		}, 1, "its hash does not fit"},
		"a row with its hash": {func(rows []build.Row, _ *build.Build) []build.Row {
			rows[4] = rehash(rows[4])
			return rows
		}, 6, "does not follow"},
		"the last row with its hash": {func(rows []build.Row, _ *build.Build) []build.Row {
			rows[9] = rehash(rows[9])
			return rows
		}, 10, "the build has 10 rows"},
		"a row is missing":     {func(rows []build.Row, _ *build.Build) []build.Row { return append(rows[:3], rows[4:]...) }, 4, "does not follow"},
		"the first is missing": {func(rows []build.Row, _ *build.Build) []build.Row { return rows[1:] }, 1, "does not follow"},
		"the last is missing":  {func(rows []build.Row, _ *build.Build) []build.Row { return rows[:9] }, 10, "the build has 10 rows"},
		"all are missing":      {func([]build.Row, *build.Build) []build.Row { return nil }, 1, "the build has 10 rows"},
		"two have changed place": {func(rows []build.Row, _ *build.Build) []build.Row {
			rows[5], rows[6] = rows[6], rows[5]
			return rows
		}, 6, "does not follow"},
		"one was added": {func(rows []build.Row, b *build.Build) []build.Row {
			r, _ := build.Link(b.Head, build.Entry{Seq: 11})
			return append(rows, r)
		}, 11, "the build has 10 rows"},
		"one comes twice": {func(rows []build.Row, _ *build.Build) []build.Row { return append(rows[:5:5], rows[4:]...) }, 6, "does not follow"},
		"a row that is no JSON": {func(rows []build.Row, _ *build.Build) []build.Row {
			rows[2].JSON = "{"
			return rows
		}, 3, "not valid JSON"},
		"a number that is not its own": {func(rows []build.Row, b *build.Build) []build.Row {
			r, _ := build.Link(build.Head{Hash: rows[8].Hash}, build.Entry{Seq: 12})
			b.Head.Hash = r.Hash
			return append(rows[:9], r)
		}, 10, "it says it is row 12"},
		"the head of the build": {func(rows []build.Row, b *build.Build) []build.Row {
			b.Head.Hash = strings.Repeat("0", 64)
			return rows
		}, 10, "the build has 10 rows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, b := chain(t, 10)
			var v build.Verifier
			for _, r := range c.tamper(rows, b) {
				v.Add(r)
			}
			got := v.Verdict(b)
			if c.bad == 0 {
				if !got.Valid || got.FirstBad != nil || got.Rows != 10 || got.HeadHash != b.Head.Hash {
					t.Errorf("%+v", got)
				}
				return
			}
			if got.Valid || got.FirstBad == nil || *got.FirstBad != c.bad || !strings.Contains(got.Reason, c.says) {
				t.Errorf("want row %d, %q, got %+v", c.bad, c.says, got)
			}
		})
	}
}
