package build_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bldst/shared/api"
	"bldst/shared/build"
)

var project = ruled{
	codes: map[string]build.Code{
		"harden": {Number: 15}, "broken": {Error: true}, "stopped": {Cancels: true}, "shipped": {Number: 90, Final: true},
	},
	finals: map[int]bool{90: true},
}

func TestEverySpellingOfAReport(t *testing.T) {
	t.Parallel()
	type want struct {
		at      int
		how     build.Status
		text    string
		attempt int
	}
	for name, c := range map[string]struct {
		body string
		want want
	}{
		"state_code":                          {`{"state_code":25,"status":"in_progress"}`, want{25, build.InProgress, "", 0}},
		"state":                               {`{"state":25,"status":"in_progress"}`, want{25, build.InProgress, "", 0}},
		"a number in quotes":                  {`{"state_code":"25"}`, want{25, build.InProgress, "", 0}},
		"a float that is whole":               {`{"state_code":25.0}`, want{25, build.InProgress, "", 0}},
		"any number, not only multiples of 5": {`{"state_code":42}`, want{42, build.InProgress, "", 0}},
		"state_code goes before state":        {`{"state":30,"state_code":25}`, want{25, build.InProgress, "", 0}},
		"null is absent":                      {`{"state_code":null,"state":25,"status":null,"message":null}`, want{25, build.InProgress, "", 0}},
		"a name of the project":               {`{"state_name":"Harden"}`, want{15, build.InProgress, "", 0}},
		"a built-in name in any case":         {`{"state_name":"PROVISIONING"}`, want{20, build.InProgress, "", 0}},
		"a name as state_code":                {`{"state_code":"testing"}`, want{80, build.InProgress, "", 0}},
		"no status at 100 is completed":       {`{"state_code":100,"message":"done"}`, want{100, build.Completed, "done", 0}},
		"no status at a final name":           {`{"state_name":"shipped"}`, want{90, build.Completed, "", 0}},
		"no status at the number of one":      {`{"state_code":90}`, want{90, build.InProgress, "", 0}},
		"an error name fails where it is":     {`{"state_name":"broken","message":"oops"}`, want{55, build.Failed, "oops", 0}},
		"a cancelling name cancels there":     {`{"state_name":"stopped"}`, want{55, build.Cancelled, "", 0}},
		"running":                             {`{"state_code":5,"status":"running"}`, want{5, build.InProgress, "", 0}},
		"started":                             {`{"state_code":5,"status":"started"}`, want{5, build.InProgress, "", 0}},
		"success":                             {`{"state_code":5,"status":"success"}`, want{5, build.Completed, "", 0}},
		"skipped":                             {`{"state_code":5,"status":"skipped"}`, want{5, build.Completed, "", 0}},
		"error":                               {`{"state_code":5,"status":"error"}`, want{5, build.Failed, "", 0}},
		"canceled with one l":                 {`{"state_code":5,"status":"canceled"}`, want{5, build.Cancelled, "", 0}},
		"blanks and case do not matter":       {`{"state_code":5,"status":" In_Progress "}`, want{5, build.InProgress, "", 0}},
		"free text is the message":            {`{"state_code":40,"status":"Packer build started"}`, want{40, build.InProgress, "Packer build started", 0}},
		"free text goes before the message":   {`{"state_code":40,"status":"Packer","message":"step 2"}`, want{40, build.InProgress, "Packer: step 2", 0}},
		"free text at 100":                    {`{"state_code":100,"status":"Packer build completed successfully"}`, want{100, build.InProgress, "Packer build completed successfully", 0}},
		"in progress at 100 is not completed": {`{"state_code":100,"status":"in_progress"}`, want{100, build.InProgress, "", 0}},
		"an error message is shown":           {`{"state_code":5,"status":"failed","error_message":"boom"}`, want{5, build.Failed, "boom", 0}},
		"the attempt":                         {`{"state_code":5,"attempt":3}`, want{5, build.InProgress, "", 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var in build.ReportIn
			if err := json.Unmarshal([]byte(c.body), &in); err != nil {
				t.Fatal(err)
			}
			r, err := in.Normalise(55, project)
			if err != nil {
				t.Fatal(err)
			}
			if got := (want{r.At, r.How, r.Text, r.Attempt}); got != c.want {
				t.Errorf("want %+v, got %+v", c.want, got)
			}
		})
	}
}

func TestReportsThatSayNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   build.ReportIn
		want string
	}{
		"no state":        {build.ReportIn{Status: "completed"}, "invalid state_code"},
		"below 0":         {build.ReportIn{StateCode: code(-1)}, "invalid state_code"},
		"above 100":       {build.ReportIn{State: code(101)}, "invalid state_code"},
		"an unknown name": {build.ReportIn{StateName: "nowhere"}, "invalid state_name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := c.in.Normalise(0, project); refusal(err) != c.want {
				t.Errorf("want %s, got %v", c.want, err)
			}
		})
	}
}

func TestStatusesFollowEachOther(t *testing.T) {
	t.Parallel()
	reported := []build.Status{build.Pending, build.InProgress, build.Completed, build.Failed, build.Cancelled}
	become := map[build.Status]build.Status{build.Pending: build.InProgress, build.InProgress: build.InProgress, build.Completed: build.InProgress,
		build.Failed: build.Failed, build.Cancelled: build.Failed} // nobody asked to cancel
	for _, from := range build.Statuses {
		for _, how := range reported {
			w := newWalk(t)
			w.b.Status = from
			_, err := w.try(build.ReportIn{StateCode: code(40), Status: string(how)})
			if from.Final() {
				if refusal(err) != "refused" || w.b.Status != from || w.b.Attempt != 1 {
					t.Errorf("%s, then %s: want a refusal, got %v and %s", from, how, err, w.b.Status)
				}
				continue
			}
			want := become[how]
			if how == build.Pending && from == build.Pending {
				want = build.Pending
			}
			attempt := 1
			if from == build.Failed && how != build.Failed && how != build.Cancelled {
				attempt = 2
			}
			if err != nil || w.b.Status != want || w.b.Attempt != attempt {
				t.Errorf("%s, then %s: want %s in attempt %d, got %s in attempt %d, %v", from, how, want, attempt, w.b.Status, w.b.Attempt, err)
			}
		}
	}
}

func TestABuildIsCompletedByItsLastStateOnly(t *testing.T) {
	t.Parallel()
	for report, want := range map[string]build.Status{
		"95 completed": build.InProgress, "100": build.Completed, "100 completed": build.Completed, "100 in_progress": build.InProgress,
		"90 completed": build.Completed, "90 in_progress": build.InProgress, "broken": build.Failed, "stopped": build.Failed, "shipped": build.Completed,
	} {
		w := newWalk(t)
		w.rules = project
		w.to("55", report)
		if w.b.Status != want {
			t.Errorf("%s: want %s, got %s", report, want, w.b.Status)
		}
		if ended := want != build.InProgress; (w.b.EndTime != nil) != ended || (w.b.Deadline == nil) != ended {
			t.Errorf("%s: end %v, deadline %v", report, w.b.EndTime, w.b.Deadline)
		}
	}
}

func TestTheFencing(t *testing.T) {
	t.Parallel()
	second := func(t *testing.T) *walk { return newWalk(t).to("20 completed", "25").fails("boom").to("25") }
	for name, c := range map[string]struct {
		attempt *int
		want    string
	}{
		"a caller that knows no attempts": {nil, ""},
		"the current one":                 {ptr(2), ""},
		"a replaced one":                  {ptr(1), "stale_attempt"},
		"one that is still to come":       {ptr(3), "invalid attempt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := second(t)
			before := *w.b
			_, err := w.try(build.ReportIn{StateCode: code(30), Attempt: c.attempt})
			if refusal(err) != c.want {
				t.Errorf("report: want %q, got %v", c.want, err)
			}
			if c.want != "" && (w.b.Current != before.Current || w.b.Attempt != 2) {
				t.Errorf("a refused report changed the build: %+v", w.b)
			}
		})
	}
}

func TestAReportOnAFailedBuildBeginsTheNextAttempt(t *testing.T) {
	t.Parallel()
	w := newWalk(t).to("20 completed", "25").fails("boom")
	if w.b.Status != build.Failed || *w.b.FailedState != 25 || *w.b.LastCompleted != 20 || w.b.Current != 25 || w.b.EndTime == nil {
		t.Fatalf("after the failure: %+v", w.b)
	}
	w.fails("again")
	if w.b.Attempt != 1 {
		t.Errorf("another failure began attempt %d", w.b.Attempt)
	}
	var kept *build.Kept
	if _, err := w.try(build.ReportIn{StateCode: code(25), Attempt: ptr(1)}); !errors.As(err, &kept) || refusal(err) != "conflict" || kept.Entry.Kind != build.StateRepeated || w.b.Attempt != 1 {
		t.Errorf("a report that names the failed attempt: %v, attempt %d", err, w.b.Attempt)
	}
	if w.to("25"); w.b.Attempt != 2 {
		t.Errorf("a report without an attempt leaves attempt %d", w.b.Attempt)
	}
	if w.b.FailedState != nil || w.b.EndTime != nil || w.b.FailureClass != "" || w.b.Deadline == nil {
		t.Errorf("of the failure there is left: %+v", w.b)
	}
	if w.to("25 completed"); *w.b.LastCompleted != 25 || w.b.Marks.Retries(25) != 2 {
		t.Errorf("last %d, retries %d", *w.b.LastCompleted, w.b.Marks.Retries(25))
	}
}

func TestWhatIsRememberedOfAState(t *testing.T) {
	t.Parallel()
	minute := func(n int) int64 { return noon.Add(time.Duration(n) * time.Minute).Unix() }
	for name, c := range map[string]struct {
		reports []string
		want    build.Mark
	}{
		"begun":                                  {[]string{"25"}, build.Mark{Status: build.InProgress, Begin: minute(1), Tries: 1, Attempt: 1}},
		"said again":                             {[]string{"25", "25"}, build.Mark{Status: build.InProgress, Begin: minute(1), Tries: 1, Attempt: 1}},
		"completed":                              {[]string{"25", "25 completed"}, build.Mark{Status: build.Completed, Begin: minute(1), End: minute(2), Tries: 1, Attempt: 1}},
		"completed at once":                      {[]string{"25 completed"}, build.Mark{Status: build.Completed, Begin: minute(1), End: minute(1), Tries: 1, Attempt: 1}},
		"completed twice is said once":           {[]string{"25 completed", "25 completed"}, build.Mark{Status: build.Completed, Begin: minute(1), End: minute(1), Tries: 1, Attempt: 1}},
		"begun late":                             {[]string{"25 completed", "25"}, build.Mark{Status: build.Completed, Begin: minute(1), End: minute(1), Tries: 1, Attempt: 1}},
		"begun again after its end is a new try": {[]string{"25 completed", "20", "25"}, build.Mark{Status: build.InProgress, Begin: minute(3), Tries: 2, Attempt: 1}},
		"failed":                                 {[]string{"25", "25 failed"}, build.Mark{Status: build.Failed, Begin: minute(1), End: minute(2), Tries: 1, Attempt: 1}},
		"completed in the next attempt":          {[]string{"25", "25 failed", "25", "25 completed"}, build.Mark{Status: build.Completed, Begin: minute(3), End: minute(4), Tries: 2, Attempt: 2}},
		"completed in the next attempt and again": {[]string{"25 completed", "30 failed", "25 completed"}, build.Mark{Status: build.Completed, Begin: minute(3), End: minute(3), Tries: 2, Attempt: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, newWalk(t).to(c.reports...).b.Marks[25]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheFingerprintIsThatOfTheTryThatWasCompleted(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	say := func(status, print string) {
		if _, err := w.try(build.ReportIn{StateCode: code(25), Status: status, Fingerprint: print, Rerun: status == "in_progress"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct{ status, print, want string }{
		{"in_progress", "a", "a"}, {"completed", "", "a"}, {"completed", "", "a"}, {"in_progress", "", ""}, {"completed", "b", "b"}, {"in_progress", "", ""}, {"completed", "", ""},
	} {
		say(step.status, step.print)
		if got := w.b.Marks[25].Fingerprint; got != step.want {
			t.Errorf("after %s with %q: want %q, got %q", step.status, step.print, step.want, got)
		}
	}
}

func TestWhatTheHistorySaysOfAReport(t *testing.T) {
	t.Parallel()
	w := newWalk(t).to("25")
	e, err := w.try(build.ReportIn{StateCode: code(25), Status: "completed", Message: "ok", Metadata: json.RawMessage(`{"a":1}`), ArtifactStorageType: "s3",
		ArtifactStoragePath: "s3://b/k", ArtifactSizeBytes: ptr(int64(5)), ArtifactChecksum: "sha256:ab", Worker: "w", Target: "us", Fingerprint: "f"})
	if err != nil || e.Kind != build.StateReported {
		t.Fatal(e.Kind, err)
	}
	begin, end := noon.Add(time.Minute), noon.Add(2*time.Minute)
	want := build.StateRow{StateCode: 25, State: 25, Status: build.Completed, Message: "ok", Metadata: json.RawMessage(`{"a":1}`), ArtifactStorageType: "s3",
		ArtifactStoragePath: "s3://b/k", ArtifactSizeBytes: ptr(int64(5)), ArtifactChecksum: "sha256:ab", StartTime: begin, EndTime: &end, Duration: ptr(int64(60)),
		Attempt: 1, Worker: "w", Target: "us", Fingerprint: "f"}
	if diff := cmp.Diff(want, data[build.StateRow](t, e)); diff != "" {
		t.Error(diff)
	}
	given := noon.Add(-time.Hour)
	e, err = w.try(build.ReportIn{StateCode: code(30), Status: "failed", StartTime: &api.Time{Time: given}, EndTime: &api.Time{Time: noon}, RetryCount: ptr(4), Message: "no space left"})
	if err != nil {
		t.Fatal(err)
	}
	row := data[build.StateRow](t, e)
	if !row.StartTime.Equal(given) || *row.Duration != 3600 || row.RetryCount != 4 || row.ErrorMessage != "no space left" {
		t.Errorf("what the caller says of times is kept: %+v", row)
	}
	if w.b.FailureClass != build.Persistent {
		t.Errorf("the class of a failed report: %s", w.b.FailureClass)
	}
}

func TestTheLimitOfAStateBeginsWithTheState(t *testing.T) {
	t.Parallel()
	w := newWalk(t).to("25")
	first := *w.b.Deadline
	if w.to("25"); !w.b.Deadline.Equal(first) {
		t.Errorf("saying it again moved the limit from %s to %s", first, w.b.Deadline)
	}
	if w.to("30"); !w.b.Deadline.Equal(w.now.Add(build.DefaultLimit(30))) {
		t.Errorf("limit of the next state %s", w.b.Deadline)
	}
	if w.fails("x"); w.b.Deadline != nil {
		t.Errorf("limit of a failed build %s", w.b.Deadline)
	}
	if w.to("30"); w.b.Deadline == nil {
		t.Error("no limit after the resume")
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want build.FailureRow
	}{
		"where it is": {`{"error_message":"boom"}`, build.FailureRow{StateCode: 45, State: 45, FailureClass: build.Unknown, ErrorMessage: "boom", RetryAttempt: 1, Attempt: 1, Status: build.Failed}},
		"the documented body": {`{"state_code":50,"error_message":"Volume mount failed","error_details":{"v":1},"is_retryable":true}`,
			build.FailureRow{StateCode: 50, State: 50, FailureClass: build.Transient, ClassReason: "called retryable by the caller", ErrorMessage: "Volume mount failed", ErrorDetails: json.RawMessage(`{"v":1}`), IsRetryable: ptr(true), RetryAttempt: 1, Attempt: 1, Status: build.Failed}},
		"the command line's": {`{"state":50,"failure_type":"packer_error","error_message":"x","error_details":null,"retry_attempt":3,"component":"packer"}`,
			build.FailureRow{StateCode: 50, State: 50, FailureType: "packer_error", FailureClass: build.Unknown, ErrorMessage: "x", Component: "packer", RetryAttempt: 3, Attempt: 1, Status: build.Failed}},
		"the first generation's": {`{"error_message":"x","error_code":"PACKER_TIMEOUT","details":{"a":1}}`,
			build.FailureRow{StateCode: 45, State: 45, FailureClass: build.Transient, ClassReason: "the network", ErrorMessage: "x", ErrorCode: "PACKER_TIMEOUT", ErrorDetails: json.RawMessage(`{"a":1}`), RetryAttempt: 1, Attempt: 1, Status: build.Failed}},
		"the routers'": {`{"error_message":"x","metadata":{"b":2},"state_name":"testing"}`,
			build.FailureRow{StateCode: 80, State: 80, FailureClass: build.Unknown, ErrorMessage: "x", ErrorDetails: json.RawMessage(`{"b":2}`), RetryAttempt: 1, Attempt: 1, Status: build.Failed}},
		"an exit code": {`{"error_message":"x","exit_code":137}`,
			build.FailureRow{StateCode: 45, State: 45, FailureClass: build.Transient, ClassReason: "interrupted", ErrorMessage: "x", ExitCode: ptr(137), RetryAttempt: 1, Attempt: 1, Status: build.Failed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var in build.FailureIn
			if err := json.Unmarshal([]byte(c.body), &in); err != nil {
				t.Fatal(err)
			}
			w := newWalk(t).to("45")
			e, err := w.b.Fail(in, w.rules, w.tick())
			if err != nil || e.Kind != build.FailureReported {
				t.Fatal(e.Kind, err)
			}
			if diff := cmp.Diff(c.want, data[build.FailureRow](t, e)); diff != "" {
				t.Error(diff)
			}
			if w.b.Current != c.want.StateCode || *w.b.FailedState != c.want.StateCode || w.b.FailureClass != c.want.FailureClass || w.b.Message != c.want.ErrorMessage {
				t.Errorf("the build: %+v", w.b)
			}
		})
	}
	for _, s := range []build.Status{build.Completed, build.Cancelled} {
		w := newWalk(t)
		w.b.Status = s
		if _, err := w.b.Fail(build.FailureIn{ErrorMessage: "x"}, w.rules, noon); refusal(err) != "refused" || !strings.Contains(err.Error(), "Cannot transition a "+string(s)+" build.") {
			t.Errorf("a failure of a %s build: %v", s, err)
		}
	}
	w := newWalk(t)
	big := json.RawMessage(`"` + strings.Repeat("x", build.MaxMetadata) + `"`)
	if _, err := w.b.Fail(build.FailureIn{ErrorMessage: "x", Details: big}, w.rules, noon); refusal(err) != "too_large" {
		t.Errorf("details that are too large: %v", err)
	}
}
