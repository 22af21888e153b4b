package dispatch_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/dispatch"
)

// lost is the answer of a server whose connection breaks after it has read the
// request.
func lost(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

const (
	start     = "POST /job/j/buildWithParameters"
	parameter = `"actions":[{},{"parameters":[{"name":"BUILD_ID","value":"b-1"},{"name":"ATTEMPT","value":"2"}]}]`
	other     = `"actions":[{"parameters":[{"name":"BUILD_ID","value":"b-1"},{"name":"ATTEMPT","value":"1"}]}]`
)

func (v *vendor) times(method string) int {
	n := 0
	for _, a := range v.asked {
		if a.Method == method {
			n++
		}
	}
	return n
}

func jenkins(v *vendor) dispatch.CI { return dispatch.CI{Kind: dispatch.Jenkins, URL: v.url, Job: "j"} }

func TestAStartThatMayHaveArrivedIsFoundInJenkins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ queue, builds, id, url string }{
		"in the queue": {`{"items":[{"id":6,` + other + `},{"id":7,` + parameter + `}]}`, `{"builds":[]}`, "7", "/queue/item/7/"},
		"as a build":   {`{"items":[]}`, `{"builds":[{"id":"118","url":"https://j.example.com/job/j/118/",` + parameter + `}]}`, "118", ""},
	} {
		v := newVendor(t)
		v.answers[start] = lost
		v.on("GET /queue/api/json", 200, c.queue)
		v.on("GET /job/j/api/json", 200, c.builds)
		o, err := send(t, jenkins(v), "a:token")
		want := "https://j.example.com/job/j/118/"
		if c.url != "" {
			want = v.url + c.url
		}
		o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered, JobID: c.id, JobURL: want})
		if n := v.times("POST"); n != 1 {
			t.Errorf("%s: told %d times", name, n)
		}
	}
}

func TestAStartThatNobodyCanTellOfIsLeftToAPerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ci    dispatch.CI
		start string
		says  string
	}{
		"a Jenkins that does not answer": {dispatch.CI{Kind: dispatch.Jenkins, Job: "j"}, start, "cannot be asked"},
		"GitLab with a trigger token":    {dispatch.CI{Kind: dispatch.GitLab, Repository: "8"}, "POST /api/v4/projects/8/trigger/pipeline", "may not list them"},
		"a job of Concourse as it is":    {dispatch.CI{Kind: dispatch.Concourse, Pipeline: "p", Job: "j", Vars: "none"}, "POST /api/v1/teams/main/pipelines/p/jobs/j/builds", "does not say for which build"},
	} {
		v := newVendor(t)
		v.answers[c.start] = lost
		c.ci.URL = v.url
		credential := "a:token"
		if c.ci.Kind != dispatch.Jenkins {
			credential = "token"
		}
		o, err := send(t, c.ci, credential)
		if err != nil || o.outcome.Status != dispatch.Pending || !o.outcome.Unsure || !strings.Contains(o.outcome.Error, c.says) || !strings.Contains(o.outcome.Error, "start it yourself") {
			t.Errorf("%s: %+v %v", name, o.outcome, err)
		}
		if n := v.times("POST"); n != 1 {
			t.Errorf("%s: told %d times", name, n)
		}
	}
}

// What the CI does not show yet is asked for again later; only when it has had
// time to show it is the job started once more.
func TestAStartIsRepeatedOnlyWhenTheCIHasHadTimeToShowIt(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.answers[start] = lost
	v.on("GET /queue/api/json", 200, `{"items":[]}`)
	v.on("GET /job/j/api/json", 200, `{"builds":[]}`)
	o, err := send(t, jenkins(v), "a:token")
	if err == nil || o.outcome.Status != dispatch.Pending || !o.Unsure || v.times("POST") != 1 {
		t.Fatalf("%+v %v", o.outcome, err)
	}
	v.on(start, 201, "", "Location", "/queue/item/9/")
	d := dispatcher(o, "a:token")
	o.UnsureSince = noon.Add(-30 * time.Second)
	if err := d.Handle(t.Context(), build.Event{}); err == nil || v.times("POST") != 1 {
		t.Fatalf("too early: %v, told %d times", err, v.times("POST"))
	}
	o.UnsureSince = noon.Add(-2 * time.Minute)
	err = d.Handle(t.Context(), build.Event{})
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered, JobID: "9", JobURL: v.url + "/queue/item/9/"})
	if v.times("POST") != 2 {
		t.Errorf("told %d times", v.times("POST"))
	}
}

func TestARunOfGitHubIsKnownByItsName(t *testing.T) {
	t.Parallel()
	for runs, want := range map[string]string{
		`{"workflow_runs":[{"id":31,"html_url":"https://github.com/a/b/actions/runs/31","display_title":"resume b-1 attempt 2"}]}`: dispatch.Triggered,
		`{"workflow_runs":[{"id":31,"html_url":"u","display_title":"Build image"}]}`:                                               dispatch.Pending,
	} {
		v := newVendor(t)
		v.answers["POST /repos/a/b/actions/workflows/w.yml/dispatches"] = lost
		v.on("GET /repos/a/b/actions/workflows/w.yml/runs", 200, runs)
		o, err := send(t, dispatch.CI{Kind: dispatch.GitHub, URL: v.url, Repository: "a/b", Workflow: "w.yml"}, "t")
		if err != nil || o.outcome.Status != want || v.times("POST") != 1 {
			t.Errorf("%s: %+v %v", runs, o.outcome, err)
		}
	}
}

func TestAnInstanceOfAPipelineIsThisOrdersAlone(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	const at = "/api/v1/teams/main/pipelines/p"
	v.on("GET "+at+"/config", 200, `{"config":{}}`)
	v.on("PUT "+at+"/unpause", 200, "")
	v.answers["POST "+at+"/jobs/j/builds"] = lost
	v.on("GET "+at+"/jobs/j/builds", 200, `[{"id":44,"name":"1"}]`)
	o, err := send(t, dispatch.CI{Kind: dispatch.Concourse, URL: v.url, Pipeline: "p", Job: "j"}, "t")
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered, JobID: "44", JobURL: v.url + "/builds/44"})
}

func TestAPageInsteadOfJenkinsStartsNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		header []string
	}{{200, nil}, {200, []string{"Location", "/queue/item/1/"}}, {201, nil}, {202, nil}} {
		v := newVendor(t)
		v.on(start, c.status, "<html>Sign in</html>", c.header...)
		o, err := send(t, jenkins(v), "a:token")
		if err != nil || o.outcome.Status != dispatch.Failed || !strings.Contains(o.outcome.Error, "201 with a Location") {
			t.Errorf("%d %v: %+v %v", c.status, c.header, o.outcome, err)
		}
	}
}

func TestTheReasonOfACIIsKept(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"message":"Unexpected inputs provided: [\"attempt\"]","documentation_url":"https://x"}`: `: Unexpected inputs provided: ["attempt"]`,
		`{"message":{"base":["Reference not found"]}}`:                                            ": Reference not found",
		`<html><style>a{}</style><h1>No such job</h1><p>bob:token0 is &lt;nobody&gt;</p></html>`:  ": No such job *** is <nobody>",
		`{"error":"` + strings.Repeat("é", 400) + `"}`:                                            ": " + strings.Repeat("é", 299) + "…",
		"plain\n\x00 text": ": plain text",
		"":                 "422 Unprocessable Entity",
	} {
		v := newVendor(t)
		v.on(start, 422, body)
		o, err := send(t, jenkins(v), "bob:token0")
		if err != nil || o.outcome.Status != dispatch.Failed || !strings.HasSuffix(o.outcome.Error, want) {
			t.Errorf("%s: %+v %v", body, o.outcome, err)
		}
	}
}
