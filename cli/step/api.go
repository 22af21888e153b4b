package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"bldst/cli/step/spool"
	"bldst/shared/client"
	"bldst/shared/id"
	"bldst/shared/problem"
)

// How long the API is waited for: with its first silence, and with every call
// after that.
const (
	patience = 5 * time.Second
	hurry    = time.Second
)

// isAway reports whether err says that the API cannot answer now, which is not
// the build's fault.
func isAway(err error) bool {
	var un *client.Unreachable
	var e *client.Error
	switch {
	case errors.As(err, &un), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.As(err, &e):
		return e.Status >= 500 || e.Status == http.StatusTooManyRequests
	default:
		return false
	}
}

// call sends one request and waits for the answer for at most patience.
func (s *step) call(ctx context.Context, method, path, key string, in, out any) error {
	limit := patience
	if s.down() != nil {
		limit = hurry
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := client.Request{Method: method, Path: path, Body: in, Header: http.Header{"Prefer": {"handling=strict"}}}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	resp, err := s.Client.Send(ctx, r)
	if err != nil {
		return err
	}
	return resp.Decode(out)
}

// down returns why the API is thought to be away.
func (s *step) down() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away
}

// lost remembers that the API is away, and says so once.
func (s *step) lost(err error) {
	s.mu.Lock()
	first := s.away == nil
	s.away = err
	s.mu.Unlock()
	if first {
		s.Warn("%v. The command is run all the same; what is to be reported is kept in %s and sent by the next step, or by 'bldst spool flush'.", short(err), s.spool.Dir)
	}
}

// short is err without how a request was made.
func short(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the API does not answer")
	}
	var e *client.Error
	if errors.As(err, &e) {
		return fmt.Errorf("the API answers %d: %s", e.Status, e.Problem.Detail)
	}
	return err
}

// path is that of what belongs to the build.
func (s *step) path(parts ...string) string {
	ref := s.id
	if ref == "" {
		ref = s.Build
	}
	return client.Path(append([]string{"builds", ref}, parts...)...)
}

// flush sends what earlier steps could not.
func (s *step) flush(ctx context.Context) {
	if s.spool.Len() == 0 {
		return
	}
	r, err := Flush(ctx, s.spool, s.call)
	TellFlush(s.spool, r, s.Say, s.Warn)
	if err != nil {
		s.Warn("the spool %s: %v", s.spool.Dir, err)
	}
	if r.Away != nil && isAway(r.Away) {
		s.lost(r.Away)
	}
	if rec := load(s.spool); rec.Attempt == 0 && r.Attempt > 0 && len(rec.dead()) == 0 { // all of it was done here, unheard
		_ = change(s.spool, func(rec *record) { rec.Attempt = r.Attempt })
	}
}

// Flush sends the items of a spool with call.
func Flush(ctx context.Context, sp *spool.Spool, call func(ctx context.Context, method, path, key string, in, out any) error) (spool.Report, error) {
	return sp.Flush(func(it spool.Item) spool.Answer {
		var answer struct {
			Attempt int `json:"attempt"`
		}
		err := call(ctx, http.MethodPost, it.Path, it.Key, it.Body, &answer)
		switch {
		case err == nil:
			return spool.Answer{Attempt: answer.Attempt}
		case isAway(err), problem.Is(err, problem.Unauthorized, problem.Forbidden), ctx.Err() != nil:
			return spool.Answer{Away: err}
		default:
			return spool.Answer{Refused: err}
		}
	})
}

// TellFlush tells what became of the items of a spool.
func TellFlush(sp *spool.Spool, r spool.Report, say, warn func(string, ...any)) {
	if r.Sent > 0 {
		say("Sent %d report%s of build %s that the API could not be told before.", r.Sent, plural(r.Sent), sp.Build)
	}
	for _, it := range r.Refused {
		warn("the API refused '%s' of %s: %v", it.What, it.At.Local().Format("15:04:05"), short(it.Err))
	}
	if r.Kept > 0 {
		warn("%d report%s of build %s still wait to be sent: %v", r.Kept, plural(r.Kept), sp.Build, short(r.Away))
	}
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// tell reports something: at once, or by way of the spool when the API is away
// or something else waits there. An error says that it was refused.
func (s *step) tell(ctx context.Context, what, path string, body map[string]any, out any) error {
	if s.stale != nil {
		return nil
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	key := id.New()
	if s.spool.Len() == 0 {
		err = s.call(ctx, http.MethodPost, path, key, json.RawMessage(data), out)
		if err == nil || !isAway(err) {
			return err
		}
		s.lost(err)
	}
	return s.keep(what, path, key, data)
}

// keep puts a report into the spool.
func (s *step) keep(what, path, key string, body []byte) error {
	if s.Strict {
		return &Exit{Code: exitAway, Err: fmt.Errorf("'%s' could not be reported: %w", what, s.away), Hint: "Without --strict it would be kept and sent later."}
	}
	if err := s.keepItem(what, path, key, body); err != nil {
		s.Warn("'%s' is lost: the API is away, and %v", what, err)
	}
	return nil
}

func (s *step) keepItem(what, path, key string, body []byte) error {
	return s.spool.Add(spool.Item{What: what, Path: path, Key: key, Body: body, Run: s.run, At: s.Now()})
}

// attach makes the build, or finds the one of the same number.
func (s *step) attach(ctx context.Context) error {
	if s.Create == nil {
		return nil
	}
	if s.down() != nil {
		return s.keepCreation()
	}
	var b struct {
		ID string `json:"id"`
	}
	err := s.call(ctx, http.MethodPost, "/builds?attach=true", id.New(), s.Create, &b)
	switch {
	case err == nil:
		s.id = b.ID
		return nil
	case isAway(err):
		s.lost(err)
		return s.keepCreation()
	case problem.Is(err, problem.BuildCompleted, problem.BuildCancelled):
		return nil // the plan says what that means
	default:
		return err
	}
}

func (s *step) keepCreation() error {
	if s.Strict {
		return &Exit{Code: exitAway, Err: fmt.Errorf("the build cannot be found: %w", s.away)}
	}
	items, err := s.spool.Items()
	for _, it := range items {
		if it.Path == "/builds?attach=true" {
			return nil
		}
	}
	data, _ := json.Marshal(s.Create)
	if err == nil {
		err = s.spool.Add(spool.Item{What: "build " + s.Build, Path: "/builds?attach=true", Key: id.New(), Body: data, Run: s.run, At: s.Now()})
	}
	if err != nil {
		s.Warn("the build cannot be reported: %v", err)
	}
	return nil
}
