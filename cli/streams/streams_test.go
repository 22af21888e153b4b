package streams

import (
	"context"
	"errors"
	"testing"
)

func TestLines(t *testing.T) {
	t.Parallel()
	s, _, prompt := Test("one\r\ntwo")
	a, _ := s.Ask(t.Context(), "1? ")
	b, err := s.AskHidden(t.Context(), "2? ")
	if a != "one" || b != "two" || err != nil || prompt.String() != "1? 2? \n" {
		t.Errorf("%q, %q, %v after %q; want one and two", a, b, err, prompt)
	}
	if _, err := s.Line(); err == nil {
		t.Error("a third line was read")
	}
}

func TestAQuestionCanBeInterrupted(t *testing.T) {
	t.Parallel()
	s, _, _ := Test("")
	restored := false
	s.Hidden = func() (string, error) { select {} }
	s.Restore = func() { restored = true }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.AskHidden(ctx, "? "); !errors.Is(err, context.Canceled) || !restored {
		t.Errorf("err %v, restored %v; want context.Canceled and the terminal as before", err, restored)
	}
}
