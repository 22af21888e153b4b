package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/dispatch"
	"bldst/shared/outbound"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// ask is a request as a vendor's server got it. Auth is the header of that
// name.
type ask struct{ Method, Path, Auth, Type, Body string }

// vendor is a little server of one vendor: it answers each "METHOD /path" as
// its documentation says, and remembers what it was asked.
type vendor struct {
	t       *testing.T
	url     string
	asked   []ask
	headers []http.Header
	answers map[string]http.HandlerFunc
}

func newVendor(t *testing.T) *vendor {
	v := &vendor{t: t, answers: map[string]http.HandlerFunc{}}
	s := httptest.NewServer(v)
	t.Cleanup(s.Close)
	v.url = s.URL
	return v
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	v.asked = append(v.asked, ask{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)})
	v.headers = append(v.headers, r.Header)
	path, _, _ := strings.Cut(r.URL.RequestURI(), "?")
	if h := v.answers[r.Method+" "+path]; h != nil {
		h(w, r)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

// on makes the server answer a request with a status, a body and headers.
func (v *vendor) on(request string, status int, body string, header ...string) {
	v.answers[request] = func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// wants compares what the server was asked.
func (v *vendor) wants(want ...ask) {
	v.t.Helper()
	if d := cmp.Diff(want, v.asked); d != "" {
		v.t.Errorf("-want +got:\n%s", d)
	}
}

// order is one order and what became of it.
type order struct {
	dispatch.Order
	claims  int
	outcome *dispatch.Outcome
}

func (o *order) ClaimOrder(context.Context, build.Event) (*dispatch.Order, int, error) {
	if o.outcome != nil && o.outcome.Status != dispatch.Pending {
		return nil, 0, nil
	}
	o.claims++
	return &o.Order, o.claims, nil
}

func (o *order) FinishOrder(_ context.Context, _ *dispatch.Order, out dispatch.Outcome) error {
	o.outcome, o.Unsure = &out, out.Unsure
	return nil
}

// secrets are what references lead to.
type secrets map[string]string

func (s secrets) Secret(_ context.Context, ref string) (string, error) {
	if v, ok := s[ref]; ok {
		return v, nil
	}
	return "", errors.New("the credential " + ref + " is empty or does not exist")
}

const ref = "env:BLDST_CI_TEST"

// send carries out an order for ci with this credential; it returns the order
// and the error of the delivery.
func send(t *testing.T, ci dispatch.CI, credential string, change ...func(*dispatch.Order)) (*order, error) {
	t.Helper()
	ci.Credential = ref
	o := &order{Order: dispatch.Order{RequestID: "r-1", BuildID: "b-1", BuildNumber: "2024.02.001", ProjectID: "p-1", Attempt: 2, From: 35, CI: &dispatch.ProjectCI{CI: ci, ProjectID: "p-1"}}}
	for _, f := range change {
		f(&o.Order)
	}
	return o, dispatcher(o, credential).Handle(t.Context(), build.Event{})
}

func dispatcher(o dispatch.Orders, credential string) *dispatch.Dispatcher {
	return &dispatch.Dispatcher{Orders: o, Secrets: secrets{ref: credential}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon },
		HTTP: outbound.New(outbound.Options{Allow: outbound.Allow{Loopback: true, Plain: true}, Pause: func(context.Context, time.Duration) error { return nil }})}
}

func (o *order) became(t *testing.T, err error, want dispatch.Outcome) {
	t.Helper()
	if err != nil {
		t.Errorf("the event is to be delivered again: %v", err)
	}
	if o.outcome == nil {
		t.Fatal("nothing became of the order")
	}
	if d := cmp.Diff(want, *o.outcome); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

const form = "application/x-www-form-urlencoded"

func TestJenkinsQueuesAParameterisedBuild(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.on("POST /job/images/job/rhel%209/buildWithParameters", 201, "", "Location", "https://jenkins.example.com/queue/item/117/")
	o, err := send(t, dispatch.CI{Kind: dispatch.Jenkins, URL: v.url + "/", Job: "images/rhel 9"}, "bob:token")
	v.wants(ask{"POST", "/job/images/job/rhel%209/buildWithParameters", "Basic Ym9iOnRva2Vu", form, "ATTEMPT=2&BUILD_ID=b-1&RESUME_FROM_STATE=35&RESUME_MODE=true"})
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered, JobID: "117", JobURL: "https://jenkins.example.com/queue/item/117/"})
}

func TestAJobIsToldWhichTargetsAreLeft(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.on("POST /job/images/buildWithParameters", 201, "", "Location", "/queue/item/1/")
	_, err := send(t, dispatch.CI{Kind: dispatch.Jenkins, URL: v.url, Job: "images"}, "bob:token", func(o *dispatch.Order) { o.Targets = []string{"eu-1", "us-2"} })
	if err != nil {
		t.Fatal(err)
	}
	v.wants(ask{"POST", "/job/images/buildWithParameters", "Basic Ym9iOnRva2Vu", form, "ATTEMPT=2&BUILD_ID=b-1&RESUME_FROM_STATE=35&RESUME_MODE=true&RESUME_TARGETS=eu-1%2Cus-2"})
}

func TestJenkinsGetsACrumbWhenItWantsOne(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.on("GET /crumbIssuer/api/json", 200, `{"_class":"hudson.security.csrf.DefaultCrumbIssuer","crumb":"abc","crumbRequestField":"Jenkins-Crumb"}`, "Set-Cookie", "JSESSIONID.1=node0; Path=/; HttpOnly")
	v.answers["POST /job/j/buildWithParameters"] = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Jenkins-Crumb") != "abc" || r.Header.Get("Cookie") != "JSESSIONID.1=node0" {
			http.Error(w, "<title>Error 403 No valid crumb was included in the request</title>", http.StatusForbidden)
			return
		}
		w.Header().Set("Location", "/queue/item/8/")
		w.WriteHeader(http.StatusCreated)
	}
	o, err := send(t, dispatch.CI{Kind: dispatch.Jenkins, URL: v.url, Job: "j"}, "bob:password")
	if len(v.asked) != 3 || v.asked[1].Path != "/crumbIssuer/api/json" || v.asked[1].Auth != v.asked[0].Auth {
		t.Errorf("%+v", v.asked)
	}
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered, JobID: "8", JobURL: v.url + "/queue/item/8/"})
}

func TestJenkinsNeedsAUserAndAToken(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	o, err := send(t, dispatch.CI{Kind: dispatch.Jenkins, URL: v.url, Job: "j"}, "s3cret")
	v.wants()
	o.became(t, err, dispatch.Outcome{Status: dispatch.Failed, Error: "The credential env:BLDST_CI_TEST cannot be read or has the wrong form."})
}

func TestGitHubStartsAWorkflow(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.on("POST /repos/acme/images/actions/workflows/build.yml/dispatches", 204, "")
	o, err := send(t, dispatch.CI{Kind: dispatch.GitHub, URL: v.url, Repository: "acme/images", Workflow: "build.yml", Ref: "release"}, "ghp_token")
	v.wants(ask{"POST", "/repos/acme/images/actions/workflows/build.yml/dispatches", "Bearer ghp_token", "application/json",
		`{"inputs":{"attempt":"2","build_id":"b-1","resume_from_state":"35","resume_mode":"true"},"ref":"release"}`})
	if h := v.headers[0]; h.Get("Accept") != "application/vnd.github+json" || h.Get("X-GitHub-Api-Version") != "2022-11-28" || h.Get("User-Agent") == "" {
		t.Errorf("%v", h)
	}
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered})
}

func TestGitHubMaySayWhichRunItIs(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.on("POST /repos/acme/images/actions/workflows/build.yml/dispatches", 200,
		`{"workflow_run_id":987,"run_url":"https://api.github.com/repos/acme/images/actions/runs/987","html_url":"https://github.com/acme/images/actions/runs/987"}`)
	o, err := send(t, dispatch.CI{Kind: dispatch.GitHub, URL: v.url, Repository: "acme/images", Workflow: "build.yml"}, "t")
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered, JobID: "987", JobURL: "https://github.com/acme/images/actions/runs/987"})
}

func TestGitHubWithoutAWorkflowGetsARepositoryDispatch(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.on("POST /repos/acme/images/dispatches", 204, "")
	o, err := send(t, dispatch.CI{Kind: dispatch.GitHub, URL: v.url, Repository: "acme/images"}, "t")
	v.wants(ask{"POST", "/repos/acme/images/dispatches", "Bearer t", "application/json",
		`{"client_payload":{"attempt":"2","build_id":"b-1","resume_from_state":"35","resume_mode":"true"},"event_type":"bldst-resume"}`})
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered})
}

func TestGitLabStartsAPipelineWithATriggerToken(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.on("POST /api/v4/projects/acme%2Fimages/trigger/pipeline", 201, `{"id":257,"project_id":8,"status":"pending","ref":"main","web_url":"https://gitlab.example.com/acme/images/-/pipelines/257"}`)
	o, err := send(t, dispatch.CI{Kind: dispatch.GitLab, URL: v.url, Repository: "acme/images"}, "glptt-token")
	want := url.Values{"token": {"glptt-token"}, "ref": {"main"}, "variables[BUILD_ID]": {"b-1"}, "variables[RESUME_MODE]": {"true"}, "variables[RESUME_FROM_STATE]": {"35"}, "variables[ATTEMPT]": {"2"}}
	v.wants(ask{"POST", "/api/v4/projects/acme%2Fimages/trigger/pipeline", "", form, want.Encode()})
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered, JobID: "257", JobURL: "https://gitlab.example.com/acme/images/-/pipelines/257"})
}

const vars = `?vars.attempt=%222%22&vars.build_id=%22b-1%22&vars.resume_from_state=%2235%22&vars.resume_mode=%22true%22`

func TestConcourseSetsAnInstanceOfThePipelineAndStartsItsJob(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	const pipeline = "/api/v1/teams/main/pipelines/rhel-9"
	template := `{"jobs":[{"name":"build","plan":[{"task":"t","params":{"BUILD_ID":"((build_id))"}}]}]}`
	set := false
	v.answers["GET "+pipeline+"/config"] = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" && !set {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("X-Concourse-Config-Version", "42")
		_, _ = io.WriteString(w, `{"config":`+template+`}`)
	}
	v.answers["PUT "+pipeline+"/config"] = func(w http.ResponseWriter, _ *http.Request) {
		set = true
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"errors":[],"warnings":[]}`)
	}
	v.on("PUT "+pipeline+"/unpause", 200, "")
	v.on("POST "+pipeline+"/jobs/build/builds", 200, `{"id":33,"team_name":"main","name":"1","status":"pending","job_name":"build","api_url":"/api/v1/builds/33","pipeline_name":"rhel-9"}`)
	ci := dispatch.CI{Kind: dispatch.Concourse, URL: v.url, Pipeline: "rhel-9", Job: "build"}
	o, err := send(t, ci, "token")
	const bearer, kind = "Bearer token", "application/json"
	first := []ask{
		{"GET", pipeline + "/config" + vars, bearer, kind, ""},
		{"GET", pipeline + "/config", bearer, kind, ""},
		{"PUT", pipeline + "/config" + vars, bearer, kind, template},
		{"PUT", pipeline + "/unpause" + vars, bearer, kind, ""},
		{"POST", pipeline + "/jobs/build/builds" + vars, bearer, kind, ""},
	}
	v.wants(first...)
	done := dispatch.Outcome{Status: dispatch.Triggered, JobID: "33", JobURL: v.url + "/builds/33"}
	o.became(t, err, done)

	v.asked = nil
	o, err = send(t, ci, "token") // a second try, after one that got as far as setting the pipeline
	v.wants(first[0], first[3], first[4])
	o.became(t, err, done)
}

func TestConcourseCanStartTheJobAsItIs(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.on("POST /sky/issuer/token", 200, `{"access_token":"fresh","token_type":"bearer","expires_in":86399}`)
	v.on("POST /api/v1/teams/images/pipelines/p/jobs/j/builds", 200, `{"id":7}`)
	o, err := send(t, dispatch.CI{Kind: dispatch.Concourse, URL: v.url, Team: "images", Pipeline: "p", Job: "j", Vars: "none"}, "bob:password")
	v.wants(
		ask{"POST", "/sky/issuer/token", "Basic Zmx5OlpteDU=", form, "grant_type=password&password=password&scope=openid+profile+email+federated%3Aid+groups&username=bob"},
		ask{"POST", "/api/v1/teams/images/pipelines/p/jobs/j/builds", "Bearer fresh", "application/json", ""},
	)
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered, JobID: "7", JobURL: v.url + "/builds/7"})
}

func TestAWebhookIsSigned(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.on("POST /resume", 202, `{"job_id":"j-9","job_url":"https://ci.example.com/j-9"}`)
	to := 80
	o, err := send(t, dispatch.CI{Kind: dispatch.Webhook, URL: v.url + "/resume"}, "shared", func(o *dispatch.Order) { o.To, o.Reason = &to, "fixed" })
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered, JobID: "j-9", JobURL: "https://ci.example.com/j-9"})
	if _, err := outbound.Verify("shared", v.headers[0].Get("Bldst-Signature"), noon, []byte(v.asked[0].Body)); err != nil {
		t.Error(err)
	}
	if got := v.headers[0].Get("Idempotency-Key"); got != "r-1" {
		t.Errorf("Idempotency-Key %q", got)
	}
	var got dispatch.Hook
	if err := json.Unmarshal([]byte(v.asked[0].Body), &got); err != nil {
		t.Fatal(err)
	}
	want := dispatch.Hook{Event: "build.resume_requested", RequestID: "r-1", BuildID: "b-1", BuildNumber: "2024.02.001", ProjectID: "p-1", ResumeMode: true, From: 35, To: &to, Attempt: 2, Reason: "fixed"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWhatTheRequestSaysGoesBeforeTheProjectAndTheNewestJobFillsTheRest(t *testing.T) {
	t.Parallel()
	last := &dispatch.LastJob{Platform: "jenkins", Pipeline: "old-pipeline", Job: "old-job"}
	for name, c := range map[string]struct {
		ci       dispatch.CI
		override dispatch.Override
		last     *dispatch.LastJob
		want     string
	}{
		"the project's job":                {dispatch.CI{Kind: dispatch.Jenkins, Job: "j"}, dispatch.Override{}, last, "/job/j/buildWithParameters"},
		"the request's job":                {dispatch.CI{Kind: dispatch.Jenkins, Job: "j"}, dispatch.Override{Platform: "Jenkins", Job: "other"}, last, "/job/other/buildWithParameters"},
		"the newest job":                   {dispatch.CI{Kind: dispatch.Jenkins}, dispatch.Override{}, last, "/job/old-job/buildWithParameters"},
		"not that of another platform":     {dispatch.CI{Kind: dispatch.Concourse, Vars: "none", Pipeline: "p"}, dispatch.Override{}, last, ""},
		"the request's webhook":            {dispatch.CI{Kind: dispatch.Jenkins, Job: "j"}, dispatch.Override{Webhook: "/hook"}, last, "/hook"},
		"the request's workflow":           {dispatch.CI{Kind: dispatch.GitHub, Repository: "a/b", Workflow: "w.yml"}, dispatch.Override{Job: "x.yml"}, nil, "/repos/a/b/actions/workflows/x.yml/dispatches"},
		"not a platform that is not there": {dispatch.CI{Kind: dispatch.Jenkins, Job: "j"}, dispatch.Override{Platform: "concourse"}, last, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			v.on("POST "+c.want, 201, "", "Location", "/queue/item/1/")
			if c.ci.Kind == dispatch.GitHub {
				v.on("POST "+c.want, 204, "")
			}
			c.ci.URL = v.url
			if c.override.Webhook != "" {
				c.override.Webhook = v.url + c.override.Webhook
			}
			o, err := send(t, c.ci, "a:b", func(o *dispatch.Order) { o.Override, o.Last = c.override, c.last })
			got := ""
			if len(v.asked) > 0 {
				got = v.asked[0].Path
			}
			if got != c.want || (o.outcome.Status == dispatch.Failed) != (c.want == "") || err != nil {
				t.Errorf("asked for %q, want %q; %+v %v", got, c.want, o.outcome, err)
			}
			if c.override.Webhook != "" && v.headers[0].Get("Bldst-Signature") != "" {
				t.Error("a webhook of the request was signed with the credential of the project's Jenkins")
			}
		})
	}
}

func TestAProjectWithoutACILeavesTheRequestToOthers(t *testing.T) {
	t.Parallel()
	o, err := send(t, dispatch.CI{}, "", func(o *dispatch.Order) { o.CI = nil })
	if err != nil || o.outcome.Status != dispatch.Pending || !strings.Contains(o.outcome.Error, "no CI") {
		t.Errorf("%+v %v", o.outcome, err)
	}
}

func TestARefusalOfTheCIFailsTheOrderAtOnce(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 422, 302} {
		v := newVendor(t)
		v.on("POST /job/j/buildWithParameters", status, "s3cret", "Location", "http://169.254.169.254/")
		o, err := send(t, dispatch.CI{Kind: dispatch.Jenkins, URL: v.url, Job: "j"}, "bob:s3cret")
		if err != nil || o.outcome.Status != dispatch.Failed || len(v.asked) != 1 || strings.Contains(o.outcome.Error, "s3cret") || !strings.HasPrefix(o.outcome.Error, strings.TrimPrefix(v.url, "http://")+" answered ") {
			t.Errorf("%d: %+v after %d requests, %v", status, o.outcome, len(v.asked), err)
		}
	}
}

func TestACIThatIsDownIsTriedAgainAndThenGivenUp(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.on("POST /job/j/buildWithParameters", 503, "")
	o, err := send(t, dispatch.CI{Kind: dispatch.Jenkins, URL: v.url, Job: "j"}, "a:b")
	d := dispatcher(o, "a:b")
	for delivery := 1; delivery <= 2; delivery++ {
		if err == nil || o.outcome.Status != dispatch.Pending || len(v.asked) != delivery*outbound.Tries {
			t.Fatalf("delivery %d: %+v after %d requests, %v", delivery, o.outcome, len(v.asked), err)
		}
		err = d.Handle(t.Context(), build.Event{})
	}
	if err != nil || o.outcome.Status != dispatch.Failed || len(v.asked) != 3*outbound.Tries {
		t.Errorf("%+v after %d requests, %v", o.outcome, len(v.asked), err)
	}
	if err := d.Handle(t.Context(), build.Event{}); err != nil || len(v.asked) != 3*outbound.Tries {
		t.Errorf("an order that was given up was tried again: %v", err)
	}
}

func TestACIThatComesBackIsAskedOnce(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	times := 0
	v.answers["POST /job/j/buildWithParameters"] = func(w http.ResponseWriter, _ *http.Request) {
		if times++; times < 3 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.Header().Set("Location", "/queue/item/1/")
		w.WriteHeader(http.StatusCreated)
	}
	o, err := send(t, dispatch.CI{Kind: dispatch.Jenkins, URL: v.url, Job: "j"}, "a:b")
	o.became(t, err, dispatch.Outcome{Status: dispatch.Triggered, JobID: "1", JobURL: v.url + "/queue/item/1/"})
	if err := dispatcher(o, "a:b").Handle(t.Context(), build.Event{}); err != nil || len(v.asked) != 3 {
		t.Errorf("a second delivery asked again: %d requests, %v", len(v.asked), err)
	}
}

func TestAnAnswerThatIsNoneOfTheVendorIsAFailure(t *testing.T) {
	t.Parallel()
	for kind, path := range map[string]string{dispatch.GitLab: "/api/v4/projects/a%2Fb/trigger/pipeline", dispatch.Concourse: "/api/v1/teams/main/pipelines/p/jobs/j/builds"} {
		v := newVendor(t)
		v.on("POST "+path, 200, "<html>welcome</html>")
		o, err := send(t, dispatch.CI{Kind: kind, URL: v.url, Repository: "a/b", Pipeline: "p", Job: "j", Vars: "none"}, "t")
		if err != nil || o.outcome.Status != dispatch.Failed || !strings.Contains(o.outcome.Error, "did not answer as "+kind) {
			t.Errorf("%s: %+v %v", kind, o.outcome, err)
		}
	}
}
