package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/notify"
	"bldst/shared/outbound"

	"github.com/google/go-cmp/cmp"
)

func TestAWebhookGetsASignedMessageForWhatItSubscribedTo(t *testing.T) {
	t.Parallel()
	o, hook, other := newOutside(t), newTarget(t), newTarget(t)
	sub := o.subscribe("webhook", hook.URL+"/bldst", "failed", "completed")
	o.subscribe("webhook", other.URL, "stalled")
	id, e := o.failed()
	for range 3 { // an event may be told more than once
		if err := o.notifier.Handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if len(hook.got()) != 1 || len(other.got()) != 0 {
		t.Fatalf("sent %d and %d, want 1 and 0", len(hook.got()), len(other.got()))
	}
	body := hook.got()[0]
	if _, err := outbound.Verify(sub["secret"].(string), hook.header.Get("Bldst-Signature"), o.clock(), []byte(body)); err != nil {
		t.Error(err)
	}
	var m struct {
		notify.Message
		Build build.Event `json:"build"`
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatal(err)
	}
	if m.Event != build.EventFailed || m.Build.BuildID != id || m.Build.FailureClass != build.Transient || m.ID == "" || hook.header.Get("Bldst-Delivery") != m.ID || hook.header.Get("Bldst-Event") != "build.failed" {
		t.Errorf("%s\n%v", body, hook.header)
	}
	if want := "Build 2024.02.001 failed in state 25 (transient): connection reset <by> peer"; m.Text != want {
		t.Errorf("%q, want %q", m.Text, want)
	}
	if ds := o.deliveries(); len(ds) != 1 || ds[0]["status"] != "delivered" || ds[0]["tries"] != 1.0 || ds[0]["status_code"] != 200.0 || ds[0]["id"] != m.ID {
		t.Errorf("%v", ds)
	}
}

func TestAChatGetsAMessageItCanShow(t *testing.T) {
	t.Parallel()
	o, chat := newOutside(t), newTarget(t)
	sub := o.subscribe("slack", chat.URL+"/services/T0/B0/s3cret", "build.failed")
	if _, there := sub["secret"]; there || sub["url"] != chat.URL+"/..." {
		t.Errorf("the address of a chat is a secret: %v", sub)
	}
	_, e := o.failed()
	if err := o.notifier.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	const text = "Build 2024.02.001 failed in state 25 (transient): connection reset &lt;by&gt; peer"
	want := map[string]any{"text": text, "blocks": []any{map[string]any{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": text}}}}
	var got map[string]any
	if err := json.Unmarshal([]byte(chat.got()[0]), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" || chat.header.Get("Bldst-Signature") != "" {
		t.Error(d, chat.header)
	}
}

// topics is an SNS.
type topics struct {
	got []string
	err error
}

func (s *topics) Publish(_ context.Context, topic, subject, message string) error {
	s.got = append(s.got, topic+"\n"+subject+"\n"+message)
	return s.err
}

func TestATopicGetsTheMessageOfAWebhook(t *testing.T) {
	t.Parallel()
	o, sns := newOutside(t), &topics{}
	o.notifier.Topics = sns
	const arn = "arn:aws:sns:us-east-1:123456789012:builds"
	o.subscribe("sns", arn, "failed")
	_, e := o.failed()
	if err := o.notifier.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if len(sns.got) != 1 || !strings.HasPrefix(sns.got[0], arn+"\nbuild.failed: 2024.02.001\n{") {
		t.Errorf("%v", sns.got)
	}
	sns.err = errors.New("access denied to s3cret")
	e.ID = "another"
	for range 2 {
		if err := o.notifier.Handle(t.Context(), e); !outbound.IsTemporary(err) {
			t.Fatal(err)
		}
	}
	if err := o.notifier.Handle(t.Context(), e); err != nil {
		t.Errorf("not given up after three times: %v", err)
	}
	ds := o.deliveries()
	shown, _ := json.Marshal(ds)
	if len(ds) != 2 || strings.Contains(string(shown), "s3cret") || !strings.Contains(string(shown), "SNS did not take the message") {
		t.Errorf("%s", shown)
	}
}

func TestATargetThatHangsOrIsDownCostsOnlyItsOwnDelivery(t *testing.T) {
	t.Parallel()
	o, hanging, down, fine := newOutside(t), newTarget(t), newTarget(t), newTarget(t)
	hanging.hanging = make(chan struct{})
	t.Cleanup(func() { close(hanging.hanging) })
	down.answers(503)
	for _, g := range []*target{hanging, down, fine} {
		o.subscribe("webhook", g.URL, "failed")
	}
	o.notifier.HTTP = outbound.New(outbound.Options{Allow: local, Total: 100 * time.Millisecond, Pause: func(context.Context, time.Duration) error { return nil }})
	_, e := o.failed()
	for n := 1; n <= 3; n++ {
		err := o.notifier.Handle(t.Context(), e)
		if (err != nil) != (n < 3) {
			t.Fatalf("after %d times: %v", n, err)
		}
		if len(fine.got()) == 0 {
			t.Errorf("the one that is fine has nothing after %d times", n)
		}
	}
	status := map[any]int{}
	for _, d := range o.deliveries() {
		status[d["status"]]++
		if d["status"] == "failed" && d["tries"] != float64(3*outbound.Tries) {
			t.Errorf("%v", d)
		}
	}
	if status["delivered"] != 1 || status["failed"] != 2 {
		t.Errorf("%v", status)
	}
}

func TestADeliveryIsReplayedByItsID(t *testing.T) {
	t.Parallel()
	o, hook := newOutside(t), newTarget(t)
	hook.answers(404)
	sub := o.subscribe("webhook", hook.URL, "failed")
	_, e := o.failed()
	if err := o.notifier.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	id := o.deliveries()[0]["id"].(string)
	o.call("GET /deliveries/"+id+" read", "").want(200).has("status", "failed", "status_code", 404, "error", strings.TrimPrefix(hook.URL, "http://")+" answered 404 Not Found")
	o.call("POST /deliveries/"+id+"/replay write", "").want(403)
	o.pass(time.Hour)
	hook.answers(204)
	o.call("POST /deliveries/"+id+"/replay admin", "").want(200).has("status", "delivered", "tries", 2, "status_code", 204, "error", nil)
	if _, err := outbound.Verify(sub["secret"].(string), hook.header.Get("Bldst-Signature"), o.clock(), []byte(hook.got()[1])); err != nil || hook.got()[0] != hook.got()[1] {
		t.Errorf("a replay is the same message with a fresh signature: %v", err)
	}
	o.call("POST /deliveries/nonsense/replay admin", "").want(404)
	o.call("DELETE /projects/images/subscriptions/"+sub["id"].(string)+" write", "").want(204)
	o.call("POST /deliveries/"+id+"/replay admin", "").want(400).says("deleted")
}

func TestSubscriptionsAreManagedWithoutShowingTheirSecrets(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	const url = "https://hooks.example.com/bldst?token=s3cret"
	made := o.subscribe("webhook", url, "completed", "failed")
	secret, id := made["secret"].(string), made["id"].(string)
	if !strings.HasPrefix(secret, "whsec_") || len(secret) < 40 || made["url"] != "https://hooks.example.com/bldst?..." {
		t.Errorf("%v", made)
	}
	path := "/projects/images/subscriptions/" + id
	for _, request := range []string{"GET " + path + " read", "GET /projects/images/subscriptions read", "PUT " + path + " write"} {
		body := ""
		if request[:3] == "PUT" {
			body = `{"enabled":false,"events":["waiting"]}`
		}
		if r := o.call(request, body).want(200); strings.Contains(r.text, secret) || strings.Contains(r.text, "s3cret") || strings.Contains(r.text, `"secret"`) {
			t.Errorf("%s shows a secret: %s", request, r.text)
		}
	}
	o.call("GET "+path+" read", "").has("enabled", false, "events", []any{"waiting"}, "kind", "webhook")
	rotated := o.call("PUT "+path+" write", `{"rotate_secret":true}`).want(200).object()["secret"]
	if rotated == nil || rotated == secret {
		t.Errorf("the secret was not replaced: %v", rotated)
	}
	stored, err := o.store.Subscription(t.Context(), "images", id)
	if err != nil || stored.Secret != rotated || stored.URL != url {
		t.Errorf("%+v %v", stored, err)
	}
	o.call("PUT "+path+" write", `{"name":"x"}`, "If-Match", `"99"`).want(412)
	o.call("DELETE "+path+" write", "").want(204)
	o.call("GET "+path+" read", "").want(404)
	for _, c := range o.changes() {
		if strings.HasPrefix(c.Key.PK, "audit#subscription") && c.New != nil && (strings.Contains(string(c.New.Doc), "s3cret") || strings.Contains(string(c.New.Doc), "whsec_")) {
			t.Errorf("the audit trail holds a secret: %s", c.New.Doc)
		}
	}
}

func TestSubscriptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	const all = "POST /projects/images/subscriptions write"
	for body, want := range map[string]int{
		`{"kind":"webhook","events":["failed"]}`:                                       422,
		`{"kind":"webhook","url":"http://169.254.169.254/latest","events":["failed"]}`: 400,
		`{"kind":"slack","url":"http://10.0.0.1/hook","events":["failed"]}`:            400,
		`{"kind":"webhook","url":"ftp://example.com","events":["failed"]}`:             400,
		`{"kind":"webhook","url":"https://u:p@example.com","events":["failed"]}`:       400,
		`{"kind":"webhook","url":"https://example.com","events":["exploded"]}`:         422,
		`{"kind":"webhook","url":"https://example.com","events":[]}`:                   422,
		`{"kind":"pigeon","url":"https://example.com","events":["failed"]}`:            422,
		`{"kind":"sns","topic_arn":"https://example.com","events":["failed"]}`:         422,
		`{"kind":"sns","events":["failed"]}`:                                           422,
	} {
		o.call(all, body).want(want)
	}
	o.call("POST /projects/nobody/subscriptions write", `{"kind":"slack","url":"https://example.com","events":["failed"]}`).want(404)
	o.call("POST /projects/images/subscriptions read", `{}`).want(403)
	for range notify.MaxSubscriptions {
		o.subscribe("slack", "https://example.com/x", "failed")
	}
	o.call(all, `{"kind":"slack","url":"https://example.com/x","events":["failed"]}`).want(400).says("at most 20")
}

func TestACreateWithAnIdempotencyKeyShowsTheSameSecretAgain(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	const body = `{"kind":"webhook","url":"https://example.com","events":["failed"]}`
	first := o.call("POST /projects/images/subscriptions write", body, "Idempotency-Key", "k").want(201).object()
	again := o.call("POST /projects/images/subscriptions write", body, "Idempotency-Key", "k").want(201).object()
	if d := cmp.Diff(first, again); d != "" || first["secret"] == nil {
		t.Error(d)
	}
	if subs, err := o.store.Subscriptions(t.Context(), "images"); len(subs) != 1 || err != nil {
		t.Errorf("%d subscriptions %v", len(subs), err)
	}
}
