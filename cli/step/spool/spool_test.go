package spool_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"bldst/cli/step/spool"

	"github.com/google/go-cmp/cmp"
)

func add(t *testing.T, s *spool.Spool, what, run, body string) {
	t.Helper()
	if err := s.Add(spool.Item{What: what, Path: "/p", Key: "k-" + what, Run: run, Body: json.RawMessage(body)}); err != nil {
		t.Fatal(err)
	}
}

func TestItemsAreSentInOrderAndOnce(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := spool.Open(root, "http://a", "b")
	for _, what := range []string{"one", "two", "three"} {
		add(t, s, what, "r", `{}`)
	}
	var sent []string
	send := func(away string) func(spool.Item) spool.Answer {
		return func(it spool.Item) spool.Answer {
			if it.What == away {
				return spool.Answer{Away: errors.New("away")}
			}
			sent = append(sent, it.What+" "+it.Key)
			return spool.Answer{}
		}
	}
	r, err := s.Flush(send("two"))
	if err != nil || r.Sent != 1 || r.Kept != 2 || r.Away == nil {
		t.Errorf("%+v, %v", r, err)
	}
	// What is added meanwhile comes last, from another process too.
	add(t, spool.Open(root, "http://a", "b"), "four", "r", `{}`)
	if r, err := s.Flush(send("")); err != nil || r.Sent != 3 || s.Len() != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if d := cmp.Diff([]string{"one k-one", "two k-two", "three k-three", "four k-four"}, sent); d != "" {
		t.Error(d)
	}
}

func TestWhatFollowsARefusedItemOfItsRunIsGivenUp(t *testing.T) {
	t.Parallel()
	s := spool.Open(t.TempDir(), "http://a", "b")
	add(t, s, "old begins", "old", `{}`)
	add(t, s, "new begins", "new", `{}`)
	add(t, s, "old ends", "old", `{}`)
	add(t, s, "new ends", "new", `{}`)
	r, err := s.Flush(func(it spool.Item) spool.Answer {
		if it.What == "old begins" {
			return spool.Answer{Refused: errors.New("replaced")}
		}
		return spool.Answer{}
	})
	if err != nil || r.Sent != 2 || len(r.Refused) != 2 || r.Refused[1].What != "old ends" || s.Len() != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTheAttemptThatBeginsHoldsForWhatFollows(t *testing.T) {
	t.Parallel()
	s := spool.Open(t.TempDir(), "http://a", "b")
	add(t, s, "begins", "r", `{"status":"in_progress"}`)
	add(t, s, "ends", "r", `{"status":"completed"}`)
	add(t, s, "knows", "r", `{"attempt":1}`)
	add(t, s, "other", "q", `{}`)
	for range 2 { // what was learned is on the disk
		_, _ = s.Flush(func(it spool.Item) spool.Answer {
			if it.What != "begins" {
				return spool.Answer{Away: errors.New("away")}
			}
			return spool.Answer{Attempt: 7}
		})
	}
	items, err := s.Items()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range items {
		got = append(got, string(it.Body))
	}
	if d := cmp.Diff([]string{`{"attempt":7,"status":"completed"}`, `{"attempt":1}`, `{}`}, got); d != "" {
		t.Error(d)
	}
}

func TestManyAddAtOnce(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := spool.Open(root, "http://a", "b")
			for j := range 10 {
				if err := s.Add(spool.Item{What: fmt.Sprint(i, j), Body: json.RawMessage(`{}`)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	items, err := spool.Open(root, "http://a", "b").Items()
	if err != nil || len(items) != 80 {
		t.Errorf("%d items, %v", len(items), err)
	}
	all, err := spool.All(root)
	if err != nil || len(all) != 1 || all[0].API != "http://a" || all[0].Build != "b" {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestABrokenItemIsSetAside(t *testing.T) {
	t.Parallel()
	s := spool.Open(t.TempDir(), "http://a", "b")
	add(t, s, "one", "r", `{}`)
	add(t, s, "two", "r", `{}`)
	if err := os.WriteFile(filepath.Join(s.Dir, "00000001.item"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	items, err := s.Items()
	if err != nil || len(items) != 1 || items[0].What != "two" {
		t.Errorf("%+v, %v", items, err)
	}
}
