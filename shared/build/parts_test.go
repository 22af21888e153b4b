package build_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bldst/shared/api"
	"bldst/shared/build"
)

func artifactOf(t *testing.T, body string) (*build.Artifact, error) {
	t.Helper()
	var in build.ArtifactIn
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		t.Fatal(err)
	}
	w := newWalk(t).to("45")
	return in.Artifact(w.b, w.rules, noon)
}

func TestChecksumsOfArtifacts(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("ab", 64)
	for name, c := range map[string]struct {
		sum, algorithm string
		want           string // "algorithm hex" or the refusal
	}{
		"none":                              {"", "", "sha256"},
		"none of an algorithm":              {"", "md5", "md5"},
		"bare":                              {hex[:64], "", "sha256 " + hex[:64]},
		"with the algorithm in front":       {"sha256:" + hex[:64], "", "sha256 " + hex[:64]},
		"with both":                         {"sha256:" + hex[:64], "sha256", "sha256 " + hex[:64]},
		"with both, spelled differently":    {"SHA-256:" + hex[:64], "Sha256", "sha256 " + hex[:64]},
		"upper case":                        {strings.ToUpper(hex[:64]), "", "sha256 " + hex[:64]},
		"blanks around":                     {" " + hex[:64] + " ", "", "sha256 " + hex[:64]},
		"the algorithm in front is another": {"md5:" + hex[:32], "", "md5 " + hex[:32]},
		"sha1":                              {hex[:40], "sha1", "sha1 " + hex[:40]},
		"sha512":                            {hex, "sha512", "sha512 " + hex},
		"of an algorithm nobody knows":      {"AbC:dEf", "crc", "crc AbC:dEf"},
		"an unknown algorithm in front":     {"etag:xyz", "etag", "etag xyz"},
		"too short":                         {hex[:63], "", "invalid checksum"},
		"too long":                          {hex[:65], "", "invalid checksum"},
		"no hex":                            {strings.Repeat("z", 64), "", "invalid checksum"},
		"of another length":                 {hex[:64], "md5", "invalid checksum"},
		"two algorithms":                    {"sha256:" + hex[:64], "md5", "invalid checksum"},
		"a word in front nobody knows":      {"foo:" + hex[:64], "", "invalid checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := build.ArtifactIn{StateCode: code(40), ArtifactName: "a", Checksum: c.sum, ChecksumAlgorithm: c.algorithm}
			a, err := in.Artifact(&build.Build{}, build.Builtin{}, noon)
			got := refusal(err)
			if err == nil {
				if got = a.Algorithm; a.Checksum != nil {
					got += " " + *a.Checksum
				}
			}
			if got != c.want {
				t.Errorf("want %q, got %q", c.want, got)
			}
		})
	}
}

func TestANewArtifact(t *testing.T) {
	t.Parallel()
	const must = `"artifact_name":"a","artifact_type":"ami","artifact_path":"p","storage_backend":"s3"`
	full, err := artifactOf(t, `{"state_code":40,`+must+`,"storage_region":"r","storage_bucket":"b","storage_key":"k","size_bytes":5368709120,"is_resumable":false,"is_final":true,"expires_at":"2030-01-02T03:04:05+01:00","metadata":{"a":1},"target":"us"}`)
	if err != nil {
		t.Fatal(err)
	}
	want := &build.Artifact{BuildID: "b1", StateCode: 40, Name: "a", Type: "ami", Path: "p", Backend: "s3", Region: ptr("r"), Bucket: ptr("b"), Key: ptr("k"), Size: ptr(int64(5368709120)),
		Algorithm: "sha256", Final: true, ExpiresAt: ptr(time.Date(2030, 1, 2, 2, 4, 5, 0, time.UTC)), Metadata: json.RawMessage(`{"a":1}`), Target: ptr("us"), Attempt: 1, CreatedAt: noon, UpdatedAt: noon}
	if diff := cmp.Diff(want, full); diff != "" {
		t.Error(diff)
	}
	least, err := artifactOf(t, `{"state":"testing",`+must+`,"metadata":null,"is_resumable":null,"expires_at":""}`)
	if err != nil || least.StateCode != 80 || !least.Resumable || least.Final || least.Metadata != nil || least.ExpiresAt != nil {
		t.Errorf("%+v, %v", least, err)
	}
	for body, want := range map[string]string{
		`{` + must + `}`:                               "invalid state_code",
		`{"state_code":101,` + must + `}`:              "invalid state_code",
		`{"state_code":4,` + must + `,"metadata":[1]}`: "invalid metadata",
		`{"state_code":4,"artifact_name":"a\u0000b"}`:  "invalid artifact_name",
	} {
		if _, err := artifactOf(t, body); refusal(err) != want {
			t.Errorf("%s: want %s, got %v", body, want, err)
		}
	}
	if _, err := artifactOf(t, `{"state_code":4,`+must+`,"metadata":{"a":"`+strings.Repeat("x", build.MaxMetadata)+`"}}`); refusal(err) != "too_large" {
		t.Errorf("metadata that is too large: %v", err)
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	secret := &build.Variable{ID: "v", BuildID: "b1", Key: "k", Value: "old", Type: "string", Sensitive: true, Required: true, SetAtState: ptr(10), CreatedAt: noon.Add(-time.Hour), Rev: 3}
	open := &build.Variable{ID: "v", BuildID: "b1", Key: "k", Value: "old", Type: "string", CreatedAt: noon.Add(-time.Hour), Rev: 3}
	type want struct {
		value, typ          string
		sensitive, required bool
		state               *int
		recorded            string // the value in the history, "-" for none
	}
	for name, c := range map[string]struct {
		old  *build.Variable
		body string
		want want
	}{
		"a new one":                               {nil, `{"variable_value":"x"}`, want{"x", "string", false, false, nil, "x"}},
		"all of a new one":                        {nil, `{"variable_value":"{}","variable_type":"json","set_at_state":20,"is_sensitive":true,"is_required_for_resume":true}`, want{"{}", "json", true, true, ptr(20), "-"}},
		"a state by name":                         {nil, `{"variable_value":"x","set_at_state":"testing"}`, want{"x", "string", false, false, ptr(80), "x"}},
		"an empty value":                          {nil, `{"variable_value":""}`, want{"", "string", false, false, nil, ""}},
		"an encrypted one is sensitive":           {nil, `{"variable_value":"x","variable_type":"encrypted","is_sensitive":false}`, want{"x", "encrypted", true, false, nil, "-"}},
		"a long value is not in the history":      {nil, `{"variable_value":"` + strings.Repeat("y", 257) + `"}`, want{strings.Repeat("y", 257), "string", false, false, nil, "-"}},
		"setting it again keeps it a secret":      {secret, `{"variable_value":"x"}`, want{"x", "string", true, true, ptr(10), "-"}},
		"unless that is taken back":               {secret, `{"variable_value":"x","is_sensitive":false,"is_required_for_resume":false}`, want{"x", "string", false, false, ptr(10), "-"}},
		"null is absent":                          {secret, `{"variable_value":"x","is_sensitive":null,"set_at_state":null,"variable_type":null}`, want{"x", "string", true, true, ptr(10), "-"}},
		"making it a secret hides it from now on": {open, `{"variable_value":"x","is_sensitive":true}`, want{"x", "string", true, false, nil, "-"}},
		"an open one stays open":                  {open, `{"variable_value":"x"}`, want{"x", "string", false, false, nil, "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := build.VariableIn{VariableKey: "k"}
			if err := json.Unmarshal([]byte(c.body), &in); err != nil {
				t.Fatal(err)
			}
			v, err := in.Set(c.old, &build.Build{ID: "b1"}, build.Builtin{}, noon)
			if err != nil {
				t.Fatal(err)
			}
			got := want{v.Value, v.Type, v.Sensitive, v.Required, v.SetAtState, "-"}
			if r := v.Record(c.old); r.Value != nil {
				got.recorded = *r.Value
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Error(diff)
			}
			if c.old != nil && (v.ID != "v" || !v.CreatedAt.Equal(c.old.CreatedAt) || c.old.Value != "old") {
				t.Errorf("it is another variable: %+v", v)
			}
			if m := v.Masked(); v.Sensitive != (m.Value == build.Mask) || m == v {
				t.Errorf("masked: %+v", m)
			}
		})
	}
	for name, c := range map[string]struct {
		in   build.VariableIn
		want string
	}{
		"no JSON":                 {build.VariableIn{VariableKey: "k", VariableType: "json", VariableValue: "{"}, "invalid variable_value"},
		"too large":               {build.VariableIn{VariableKey: "k", VariableValue: strings.Repeat("x", build.MaxValue+1)}, "too_large"},
		"a key with a line break": {build.VariableIn{VariableKey: "a\nb"}, "invalid variable_key"},
		"a state that is none":    {build.VariableIn{VariableKey: "k", SetAtState: code(101)}, "invalid set_at_state"},
		"a state by no name":      {build.VariableIn{VariableKey: "k", SetAtState: word("nowhere")}, "invalid set_at_state"},
	} {
		if _, err := c.in.Set(nil, &build.Build{}, build.Builtin{}, noon); refusal(err) != c.want {
			t.Errorf("%s: want %s, got %v", name, c.want, err)
		}
	}
	if _, err := (build.VariableIn{VariableKey: "k", VariableValue: strings.Repeat("x", build.MaxValue)}).Set(nil, &build.Build{}, build.Builtin{}, noon); err != nil {
		t.Errorf("the largest value: %v", err)
	}
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	lease := &build.Lease{Attempt: 1, Worker: "known"}
	for name, c := range map[string]struct {
		status build.Status
		lease  *build.Lease
		in     build.HeartbeatIn
		want   string // refusal, or the worker
	}{
		"of a worker that says who it is": {build.InProgress, nil, build.HeartbeatIn{Worker: "w"}, "w"},
		"before the first report":         {build.Pending, nil, build.HeartbeatIn{Worker: "w"}, "w"},
		"of a worker that is known":       {build.InProgress, lease, build.HeartbeatIn{}, "known"},
		"of one of an earlier attempt":    {build.InProgress, &build.Lease{Attempt: 0, Worker: "old"}, build.HeartbeatIn{}, "caller"},
		"of anybody":                      {build.InProgress, nil, build.HeartbeatIn{}, "caller"},
		"of a failed build":               {build.Failed, lease, build.HeartbeatIn{}, "conflict"},
		"of a completed build":            {build.Completed, lease, build.HeartbeatIn{}, "refused"},
		"of a cancelled build":            {build.Cancelled, lease, build.HeartbeatIn{}, "refused"},
	} {
		b := &build.Build{Status: c.status, Attempt: 1, Current: 25, Lease: c.lease}
		l, err := b.Beat(c.in, "caller", build.Builtin{}, noon)
		got := refusal(err)
		if err == nil {
			got = l.Worker
			if !l.Until.Equal(noon.Add(build.DefaultHeartbeat)) || l.Attempt != 1 || l.State != 25 {
				t.Errorf("%s: %+v", name, l)
			}
		}
		if got != c.want {
			t.Errorf("%s: want %s, got %s", name, c.want, got)
		}
	}
}

func TestAHeartbeatMaySayWhatTheWorkerIsIn(t *testing.T) {
	t.Parallel()
	state := 30
	b := &build.Build{Status: build.InProgress, Attempt: 1, Current: 25}
	l, err := b.Beat(build.HeartbeatIn{State: &state}, "caller", build.Builtin{}, noon)
	if err != nil || l.State != 30 || b.Current != 25 {
		t.Errorf("%+v %v, build in %d", l, err, b.Current)
	}
}

func TestCancelling(t *testing.T) {
	t.Parallel()
	live := &build.Lease{Attempt: 1, Worker: "w", Until: noon.Add(time.Minute)}
	for name, c := range map[string]struct {
		status  build.Status
		attempt int
		lease   *build.Lease
		want    build.Status
		asked   bool
	}{
		"nobody works on it":                {build.InProgress, 1, nil, build.Cancelled, false},
		"nobody has begun":                  {build.Pending, 1, nil, build.Cancelled, false},
		"a worker is alive":                 {build.InProgress, 1, live, build.InProgress, true},
		"a worker is alive before a report": {build.Pending, 1, live, build.Pending, true},
		"its lease has ended":               {build.InProgress, 1, &build.Lease{Attempt: 1, Until: noon}, build.Cancelled, false},
		"it was replaced":                   {build.InProgress, 2, live, build.Cancelled, false},
		"the build has failed":              {build.Failed, 1, live, build.Cancelled, false},
	} {
		b := &build.Build{Status: c.status, Attempt: c.attempt, Lease: c.lease}
		e, err := b.Cancel("superseded", noon)
		if err != nil || b.Status != c.want || b.Cancelling != c.asked || e.Kind != build.CancelRequested || (b.EndTime != nil) == c.asked {
			t.Errorf("%s: %v, %+v", name, err, b)
		}
		if said := data[map[string]any](t, e); said["worker_asked"] != c.asked || said["reason"] != "superseded" {
			t.Errorf("%s: the history says %v", name, said)
		}
	}
	for _, s := range []build.Status{build.Completed, build.Cancelled} {
		if _, err := (&build.Build{Status: s}).Cancel("", noon); refusal(err) != "refused" {
			t.Errorf("%s: %v", s, err)
		}
	}
	w := newWalk(t).to("25")
	if w.b.Cancelling = true; w.to("25 cancelled").b.Cancelling {
		t.Error("a cancelled build is still asked to cancel")
	}
}

func TestAWorkerThatFailsWhenItIsAskedToStopHasStopped(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(b *build.Build) error{
		"by a report": func(b *build.Build) error {
			_, err := b.Advance(build.Report{At: 25, How: build.Failed, Text: "killed"}, build.Builtin{}, noon)
			return err
		},
		"by a failure": func(b *build.Build) error {
			e, err := b.Fail(build.FailureIn{ErrorMessage: "killed", FailureClass: string(build.Transient)}, build.Builtin{}, noon)
			if said := data[build.FailureRow](t, e); said.Status != build.Cancelled {
				t.Errorf("the history says that the build is %s", said.Status)
			}
			return err
		},
	} {
		b := &build.Build{Status: build.InProgress, Attempt: 1, Current: 25, Cancelling: true, Marks: build.Marks{}}
		if err := fail(b); err != nil || b.Status != build.Cancelled || b.Cancelling || b.FailureClass != "" || b.Message != "killed" || b.EndTime == nil {
			t.Errorf("%s: %v, %+v", name, err, b)
		}
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	later := noon.Add(time.Hour)
	for name, c := range map[string]struct {
		first, then    string
		want           string // status or refusal
		started, ended *time.Time
	}{
		"pending at first":           {"", "", "pending", nil, nil},
		"begins":                     {"", "running", "running", &later, nil},
		"runs from the start":        {"running", "success", "success", &noon, &later},
		"says it again":              {"running", "running", "running", &noon, nil},
		"fails":                      {"in_progress", "errored", "failed", &noon, &later},
		"is aborted before it began": {"queued", "canceled", "aborted", nil, &later},
		"an unknown word":            {"pending", "splendid", "invalid status", nil, nil},
		"an unknown word at first":   {"splendid", "", "invalid status", nil, nil},
	} {
		j, err := build.JobIn{Platform: "jenkins", JobName: "j", Status: c.first}.Job(&build.Build{ID: "b1", Attempt: 2}, noon)
		if err == nil {
			err = build.JobPatch{Status: c.then}.Apply(j, later)
		}
		got := refusal(err)
		if err == nil {
			got = string(j.Status)
			if diff := cmp.Diff([]*time.Time{c.started, c.ended}, []*time.Time{j.StartedAt, j.CompletedAt}); diff != "" || j.Attempt != 2 || j.BuildID != "b1" {
				t.Errorf("%s: %s %+v", name, diff, j)
			}
		}
		if got != c.want {
			t.Errorf("%s: want %s, got %s", name, c.want, got)
		}
	}
	j := &build.Job{}
	if err := (build.JobPatch{Status: "success", StartedAt: at("2024-01-01"), CompletedAt: at("2024-01-02T00:00:00Z")}).Apply(j, noon); err != nil || j.StartedAt.Day() != 1 || j.CompletedAt.Day() != 2 {
		t.Errorf("%+v, %v", j, err)
	}
}

func at(s string) *api.Time {
	t, err := api.ParseTime(s)
	if err != nil {
		panic(err)
	}
	return &api.Time{Time: t}
}
