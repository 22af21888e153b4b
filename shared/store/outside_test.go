package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/api"
	"bldst/shared/build"
	"bldst/shared/dispatch"
	"bldst/shared/metrics"
	"bldst/shared/notify"
	"bldst/shared/outbound"
	"bldst/shared/project"
	"bldst/shared/store"
	"bldst/shared/table"
	"bldst/shared/webhook"
)

// An outside is the API, with everything that leads out of the system and comes
// in from CI, on the real store, with a clock that is moved by hand.
type outside struct {
	t          testing.TB
	mu         sync.Mutex
	now        time.Time
	feed       *embedded.Table
	store      *store.Store
	api        *api.API
	notifier   *notify.Notifier
	dispatcher *dispatch.Dispatcher
	topics     webhook.Topics
	secrets    map[string]string
	seen       string // how far the feed was read
}

var local = outbound.Allow{Loopback: true, Plain: true}

func newOutside(t testing.TB) *outside {
	t.Helper()
	o := &outside{t: t, now: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), secrets: map[string]string{}}
	tbl, err := embedded.Open(filepath.Join(t.TempDir(), "table.db"), embedded.Options{Feed: true, Now: o.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tbl.Close() })
	o.feed, o.store = tbl, store.New(tbl)
	o.store.Now = o.clock
	log := slog.New(slog.DiscardHandler)
	client := outbound.New(outbound.Options{Allow: local, Pause: func(context.Context, time.Duration) error { return nil }})
	o.notifier = &notify.Notifier{Store: o.store, HTTP: client, Log: log, Now: o.clock}
	o.dispatcher = &dispatch.Dispatcher{Orders: o.store, Secrets: o, HTTP: client, Log: log, Now: o.clock}
	o.api = api.New(api.Options{Auth: callers{}, Idempotency: o.store, Log: log, Now: o.clock})
	project.Mount(o.api, o.store.Projects())
	(&build.Service{Store: o.store}).Mount(o.api)
	(&build.ArtifactService{Store: o.store}).Mount(o.api)
	(&build.ResumeService{Store: o.store}).Mount(o.api)
	(&build.JobService{Store: o.store}).Mount(o.api)
	(&dispatch.Service{Store: o.store, Allow: local}).Mount(o.api)
	(&notify.Service{Store: o.store, Allow: local, Notifier: o.notifier, Secret: notify.NewSecret}).Mount(o.api)
	secrets := func(context.Context) ([]string, error) { return []string{"old", "shared"}, nil }
	(&webhook.Service{Store: o.store, Jobs: o.store, Topics: &o.topics, Secrets: secrets, Now: o.clock}).Mount(o.api)
	(&metrics.Service{Store: o.store, Now: o.clock}).Mount(o.api)
	o.call("POST /projects write", `{"name":"images"}`).want(201)
	return o
}

func (o *outside) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *outside) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

// Secret implements secret.Source.
func (o *outside) Secret(_ context.Context, ref string) (string, error) {
	if v, ok := o.secrets[ref]; ok {
		return v, nil
	}
	return "", fmt.Errorf("there is no %s", ref)
}

// call makes a request such as "POST /builds write" with a body and headers.
func (o *outside) call(request, body string, header ...string) reply {
	o.t.Helper()
	part := strings.Fields(request)
	r := httptest.NewRequest(part[0], part[1], strings.NewReader(body))
	if len(part) > 2 {
		r.Header.Set("X-API-Key", part[2])
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	o.api.ServeHTTP(w, r)
	return reply{o.t, request, w.Code, w.Header(), w.Body.String()}
}

// build makes a build of the project images and returns its id.
func (o *outside) build(number string) string {
	o.t.Helper()
	return o.call("POST /builds write", `{"project_id":"images","build_number":"`+number+`"}`).want(201).id()
}

// report reports a state of a build, some time later.
func (o *outside) report(after time.Duration, id string, code int, status string) {
	o.t.Helper()
	o.pass(after)
	o.call("POST /builds/"+id+"/state write", fmt.Sprintf(`{"state_code":%d,"status":"%s"}`, code, status)).want(200)
}

// changes returns what the feed tells since the last call.
func (o *outside) changes() []table.Change {
	o.t.Helper()
	var out []table.Change
	for {
		ctx, cancel := context.WithTimeout(o.t.Context(), time.Second)
		if len(out) > 0 {
			cancel() // what is there is there
		}
		cs, err := o.feed.Changes(ctx, o.seen, 1000)
		cancel()
		if err != nil {
			o.t.Fatal(err)
		}
		if len(cs) == 0 {
			return out
		}
		out, o.seen = append(out, cs...), cs[len(cs)-1].Seq
	}
}

// events returns the domain events of changes.
func (o *outside) events(changes []table.Change) []build.Event {
	o.t.Helper()
	var out []build.Event
	for _, c := range changes {
		about, ok, err := o.store.Changed(c)
		if err != nil {
			o.t.Fatal(err)
		}
		if ok && about.New != nil {
			out = append(out, build.Events(about.Old, about.New)...)
		}
	}
	return out
}

// happened returns the event of that type among the newest changes.
func (o *outside) happened(typ build.EventType) build.Event {
	o.t.Helper()
	for _, e := range o.events(o.changes()) {
		if e.Type == typ {
			return e
		}
	}
	o.t.Fatalf("there was no %s", typ)
	return build.Event{}
}

// failed makes a build that has failed, and returns its id and the event.
func (o *outside) failed() (string, build.Event) {
	o.t.Helper()
	id := o.build("2024.02.001")
	o.report(time.Minute, id, 25, "in_progress")
	o.call("POST /builds/"+id+"/failure write", `{"error_message":"connection reset <by> peer","failure_class":"transient"}`).want(200)
	return id, o.happened(build.EventFailed)
}

// A target is a server of somebody else.
type target struct {
	*httptest.Server
	mu      sync.Mutex
	status  int
	header  http.Header
	bodies  []string
	hanging chan struct{} // what answers wait for
	arrived chan struct{} // what has arrived, the first hundred
}

func newTarget(t testing.TB) *target {
	g := &target{status: http.StatusOK, arrived: make(chan struct{}, 100)}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		g.header, g.bodies = r.Header, append(g.bodies, string(body))
		status, hanging := g.status, g.hanging
		g.mu.Unlock()
		select {
		case g.arrived <- struct{}{}:
		default:
		}
		if hanging != nil {
			<-hanging
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *target) got() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bodies
}

func (g *target) answers(status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status = status
}

// subscribe subscribes to events and returns the answer.
func (o *outside) subscribe(kind, url string, events ...string) map[string]any {
	o.t.Helper()
	list, _ := json.Marshal(events)
	field := "url"
	if kind == "sns" {
		field = "topic_arn"
	}
	return o.call("POST /projects/images/subscriptions write", fmt.Sprintf(`{"kind":"%s","%s":"%s","events":%s}`, kind, field, url, list)).want(201).object()
}

func (o *outside) deliveries() []map[string]any {
	o.t.Helper()
	var out []map[string]any
	r := o.call("GET /projects/images/deliveries read", "").want(200)
	if err := json.Unmarshal([]byte(r.text), &out); err != nil {
		o.t.Fatal(err)
	}
	return out
}

func shuffled(seed uint64, changes []table.Change) []table.Change {
	out := append([]table.Change(nil), changes...)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
