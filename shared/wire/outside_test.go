package wire_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bldst/events"
	"bldst/localstack/bus"
	"bldst/localstack/clock"
	embedded "bldst/localstack/table"
	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/dispatch"
	"bldst/shared/notify"
	"bldst/shared/outbound"
	"bldst/shared/project"
	"bldst/shared/store"
	"bldst/shared/wire"

	"github.com/aws/aws-lambda-go/lambda"
)

// host invokes functions by their names.
type host map[string]lambda.Handler

func (h host) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	if h[function] == nil {
		return nil, fmt.Errorf("no function %s", function)
	}
	return h[function].Invoke(ctx, payload)
}

// got is a server that remembers what it was sent.
type got struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
}

func newGot(t *testing.T) *got {
	g := &got{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.bodies = append(g.bodies, r.URL.Path+" "+string(body))
	}))
	t.Cleanup(g.Close)
	return g
}

// parameters are those of a Systems Manager.
type parameters map[string]string

func (p parameters) Parameter(_ context.Context, name string) (string, error) { return p[name], nil }

func TestEventsReachTheSubscriberAndTheCIThroughTheRules(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	tbl, err := embedded.Open(filepath.Join(t.TempDir(), "table.db"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tbl.Close() })
	p := wire.Ports{Table: tbl, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		Outbound: outbound.Allow{Loopback: true, Plain: true}, CI: func(string) (string, bool) { return "", false }}
	s := &store.Store{Table: tbl, Now: p.Now, NewID: store.New(tbl).NewID}
	chat, jenkins := newGot(t), newGot(t)
	b, request := resumed(t, s, chat.URL, jenkins.URL)

	rules := events.Bind(events.Rules, "arn:machine")
	h := host{"notify": wire.Notify(p, nil), "dispatch": wire.Dispatch(p, parameters{"/bldst/ci/jenkins": "bob:token"})}
	q, err := bus.Open(bus.Options{Path: filepath.Join(t.TempDir(), "bus.db"), Rules: rules[:2], Invoker: h, Clock: clock.NewFake(now)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	asked := build.EventOf(build.EventResumeRequested, b)
	asked.RequestID = request
	if err := q.Publish(t.Context(), []build.Event{build.EventOf(build.EventFailed, b), asked}); err != nil {
		t.Fatal(err)
	}
	q.Settle()
	if dead, err := q.DeadLetters(); len(dead) != 0 || err != nil {
		t.Errorf("%+v %v", dead, err)
	}
	if len(chat.bodies) != 1 || !strings.HasPrefix(chat.bodies[0], `/hook {"blocks":`) {
		t.Errorf("the chat got %v", chat.bodies)
	}
	want := "/job/rhel/buildWithParameters ATTEMPT=2&BUILD_ID=" + b.ID + "&RESUME_FROM_STATE=25&RESUME_MODE=true"
	if len(jenkins.bodies) != 1 || jenkins.bodies[0] != want {
		t.Errorf("the CI got %v, want %s", jenkins.bodies, want)
	}
}

// resumed makes a build that has failed and is to be resumed, in a project with
// a subscription and a CI; it returns the build and the id of the request.
func resumed(t *testing.T, s *store.Store, chat, jenkins string) (*build.Build, string) {
	t.Helper()
	ctx := auth.WithRequest(t.Context(), &auth.Request{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pr := &project.Project{Name: "images"}
	must(s.Projects().Create(ctx, pr))
	_, err := s.AddSubscription(ctx, pr.ID, func(sub *notify.Subscription) error {
		sub.Enabled = true
		return sub.Apply(notify.SubscriptionIn{Kind: notify.Slack, URL: chat + "/hook", Events: []string{"failed"}}, outbound.Allow{Loopback: true, Plain: true})
	})
	must(err)
	_, err = s.ChangeCI(ctx, pr.ID, func(r *dispatch.ProjectCI) error {
		r.CI = dispatch.CI{Kind: dispatch.Jenkins, URL: jenkins, Job: "rhel", Credential: "ssm:/bldst/ci/jenkins"}
		return nil
	})
	must(err)
	c, err := build.CreateIn{ProjectID: pr.ID, BuildNumber: "1"}.Normalise()
	must(err)
	b, err := s.CreateBuild(ctx, c)
	must(err)
	_, _, err = s.ChangeBuild(ctx, b.ID, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		return b.Fail(build.FailureIn{ErrorMessage: "disk full"}, rules, now)
	})
	must(err)
	from := 25
	r, err := s.AddRequest(ctx, b.ID, func(m *build.Materials, id string) (*build.Request, error) {
		return build.ResumeIn{From: &from, Force: true}.Request(m, id)
	})
	must(err)
	b, err = s.Build(ctx, b.ID, false)
	must(err)
	return b, r.ID
}

func TestTheSecretOfWebhooksMayBeAReference(t *testing.T) {
	t.Parallel()
	tbl, err := embedded.Open(filepath.Join(t.TempDir(), "table.db"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tbl.Close() })
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		webhooks []string
		secret   string
		want     int
	}{
		"the secret itself":      {[]string{"plain"}, "plain", 404},
		"a reference to it":      {[]string{"plain", "ssm:/bldst/webhook"}, "referred", 404},
		"not the reference":      {[]string{"ssm:/bldst/webhook"}, "ssm:/bldst/webhook", 401},
		"none":                   {nil, "", 401},
		"a reference to nothing": {[]string{"ssm:/bldst/nothing"}, "x", 503},
	} {
		p := wire.Ports{Table: tbl, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, Webhooks: c.webhooks}
		h := wire.Webhooks(p, parameters{"/bldst/webhook": "referred"})
		body := `{"build_id":"nobody","failure_reason":"x"}`
		r := httptest.NewRequest("POST", "/webhooks/build-failure", strings.NewReader(body))
		r.Header.Set("Bldst-Signature", outbound.Sign(c.secret, now, []byte(body)))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: status %d, want %d: %s", name, w.Code, c.want, w.Body)
		}
	}
}
