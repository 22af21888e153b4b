package build_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"bldst/shared/build"
)

// FuzzReport reads reports in any spelling: a code is always 0 to 100, the
// status one of the five, and the build is left in a state that can be.
func FuzzReport(f *testing.F) {
	for _, body := range []string{`{"state_code":25,"status":"completed"}`, `{"state":"45"}`, `{"state_name":"Testing"}`, `{"state_code":null,"state":null,"state_name":"pending"}`, `{"state_code":1e2}`, `{"state_code":-0}`,
		`{"state_code":"100","status":"Packer is done","message":"m"}`, `{"state_code":101}`, `{"state":" 5 "}`, `{"state_code":5,"start_time":"0001-01-01T00:00:00Z","end_time":"9999-12-31T23:59:59Z"}`,
		`{"state_code":5,"attempt":1,"worker":"w","fingerprint":"f","metadata":{"a":[1]},"retry_count":3}`, `{"state_code":5,"status":"cancelled"}`, `{"state_code":5,"status":"failed","error_message":"e"}`} {
		f.Add(body, uint8(0), uint8(0))
		f.Add(body, uint8(45), uint8(3))
	}
	f.Fuzz(func(t *testing.T, body string, current, status uint8) {
		var in build.ReportIn
		if json.Unmarshal([]byte(body), &in) != nil {
			return
		}
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		b := &build.Build{ID: "b", Current: int(current) % 101, Status: build.Statuses[int(status)%len(build.Statuses)], Attempt: 1, CreatedAt: now}
		if b.Status == build.Failed {
			b.FailedState = &b.Current
		}
		r, err := in.Normalise(b.Current, build.Builtin{})
		if err != nil {
			return
		}
		if r.At < build.FirstState || r.At > build.LastState || !slices.Contains(build.Statuses, r.How) {
			t.Fatalf("%s is at %d, %q", body, r.At, r.How)
		}
		e, err := b.Advance(r, build.Builtin{}, now)
		if err != nil {
			return
		}
		if b.Current < build.FirstState || b.Current > build.LastState || !slices.Contains(build.Statuses, b.Status) || b.Attempt < 1 || !json.Valid(e.Data) {
			t.Fatalf("%s leaves the build at %d, %q, attempt %d, with the entry %s", body, b.Current, b.Status, b.Attempt, e.Data)
		}
		if r.Unclear != "" && b.Status == build.Failed {
			return // as it was
		}
		if (b.Status == build.Failed) != (b.FailedState != nil) || b.Status.Final() && b.EndTime == nil {
			t.Fatalf("%s leaves the build %q, failed at %v, ended at %v", body, b.Status, b.FailedState, b.EndTime)
		}
	})
}

// FuzzCreate reads new builds in any spelling: what is accepted can be stored
// and shown.
func FuzzCreate(f *testing.F) {
	for _, body := range []string{`{}`, `{"platform":"aws","os_version":"rhel","image_type":"base","build_id":"1"}`, `{"project_id":"p","build_number":"2024.02.001","build_metadata":{"a":1},"metadata":null}`,
		`{"build_number":"a\u0000b"}`, `{"inputs":{"":"x"}}`, `{"inputs":{"a":"sha256:1"},"base":{"key":"k","digest":"d"}}`, `{"metadata":[1,2]}`, `{"build_metadata":null,"metadata":{"x":"y"}}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var in build.CreateIn
		if json.Unmarshal([]byte(body), &in) != nil {
			return
		}
		c, err := in.Normalise()
		if err != nil {
			return
		}
		c.Start("018d64e2-5a10-7c3e-9f52-1d2c3b4a5968", "actor", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		if c.Number == "" || c.ProjectID == "" || c.Status != build.Pending || c.Current != 0 {
			t.Fatalf("%s makes number %q, project %q, %s at %d", body, c.Number, c.ProjectID, c.Status, c.Current)
		}
		if shown, err := json.Marshal(c.View()); err != nil || !json.Valid(shown) {
			t.Fatalf("%s cannot be shown: %v", body, err)
		}
	})
}
